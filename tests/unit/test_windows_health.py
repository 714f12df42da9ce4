"""What weakens a Windows PC, from plain facts; and who may write where, from the words of a security descriptor."""

from __future__ import annotations

import pytest

from agent.platforms.windows import health, rights
from agent.platforms.windows.health import Facts
from agent.platforms.windows.rights import ANYBODY, Entry, entries, mask, may
from agent.platforms.windows.values import number, text
from tests.hives import Memory

MIA = "S-1-5-21-1-2-3-1001"
CHILD = {MIA, *ANYBODY}
WINDOWS = "O:S-1-5-80-1G:S-1-5-80-1D:PAI(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)"
ROOT = "O:S-1-5-80-1G:S-1-5-80-1D:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)(A;OICIIO;0x1301bf;;;AU)(A;;LC;;;AU)"
OPEN = "O:BAG:SYD:AI(A;OICIID;FA;;;BA)(A;OICIID;0x1200a9;;;BU)(A;ID;0x1301bf;;;AU)"


def found(known: Facts, *children: str) -> dict[str, str]:
    return {one.id: one.severity for one in health.findings(children or ("mia",), known)}


def test_a_pc_of_which_nothing_is_known_is_not_accused() -> None:
    assert found(Facts()) == {}
    assert found(Facts(uac=True, uac_asks=True, fast_start=False, guest=False, encrypted=True)) == {}


@pytest.mark.parametrize(
    ("known", "id_", "severity"),
    [
        (Facts(uac=False, uac_asks=False), "uac-off", "open"),
        (Facts(uac=True, uac_asks=False), "uac-silent", "weak"),
        (Facts(autologon="ana"), "autologon", "weak"),
        (Facts(guest=True), "guest-on", "weak"),
        (Facts(encrypted=False), "disk-open", "weak"),
        (Facts(linux=True), "linux-inside", "note"),
        (Facts(fast_start=True), "fast-start", "note"),
        (Facts(administrators=frozenset({"mia"}), writable={"mia": ["C:\\x"]}), "child-administrator", "open"),
        (Facts(missing=frozenset({"mia"})), "child-account-missing", "open"),
        (Facts(writable={"mia": ["C:\\Tools"]}), "path-writable", "weak"),
    ],
)
def test_each_weak_place_is_found_once_with_its_fix(known: Facts, id_: str, severity: str) -> None:
    assert found(known) == {id_: severity}
    assert all(one.title and one.advice for one in health.findings(("mia",), known))


def test_only_children_are_looked_at() -> None:
    assert found(Facts(administrators=frozenset({"ana"})), "mia") == {}


def test_the_registry_tells_what_it_can() -> None:
    machine = Memory()
    assert health.facts(machine) == Facts()
    machine.put(health.SYSTEM, "EnableLUA", number(1))
    machine.put(health.SYSTEM, "ConsentPromptBehaviorAdmin", number(0))
    machine.put(health.POWER, "HiberbootEnabled", number(1))
    machine.put(health.LOGON, "DefaultUserName", text("ana"))
    machine.make(health.LINUX)
    known = health.facts(machine, guest=True)
    assert known == Facts(uac=True, uac_asks=False, fast_start=True, linux=True, guest=True)
    machine.put(health.LOGON, "AutoAdminLogon", text("1"))
    assert health.facts(machine).autologon == "ana"


def test_the_folders_of_the_path_are_those_with_a_drive() -> None:
    machine = Memory()
    machine.put(health.ENVIRONMENT, "Path", text(r'%SystemRoot%\system32;"C:\Tools\";;relative;C:\Tools'))
    folders = health.path_folders(machine, lambda one: one.replace("%SystemRoot%", r"C:\Windows"))
    assert folders == (r"C:\Windows\system32", r"C:\Tools")


def test_a_folder_that_is_missing_is_open_where_it_may_be_made() -> None:
    there = {"C:\\": ROOT, r"C:\Windows": WINDOWS, r"C:\Open": OPEN}
    folders = (r"C:\Windows", r"C:\Open", r"C:\Gone\bin", r"C:\Windows\Gone", "D:\\Gone", "C:\\")
    assert health.open_folders(folders, there.get, CHILD) == (r"C:\Open", r"C:\Gone\bin")


# ---- who may write ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sddl", "writes"),
    [
        (WINDOWS, False),
        (ROOT, True),  # folders may be made right below C:\
        (OPEN, True),
        ("O:BAG:SYD:(A;;FA;;;BA)(A;;FRFX;;;WD)", False),
        ("O:BAG:SYD:(A;;FA;;;BA)(A;;FW;;;WD)", True),
        (f"O:BAG:SYD:(D;;FA;;;{MIA})(A;;FA;;;WD)", False),
        (f"O:BAG:SYD:(A;;FA;;;WD)(D;;FA;;;{MIA})", True),
        (f"O:BAG:SYD:(D;;CC;;;{MIA})(A;;FA;;;WD)", True),
        (f"O:{MIA}G:SYD:(A;;FR;;;WD)", True),
        ("O:BAG:SYD:", False),
        ("O:BAG:SY", True),
        ("D:NO_ACCESS_CONTROL", True),
        ("O:BAG:SYD:(A;;QQ;;;WD)", True),
        ('O:BAG:SYD:(XA;;FA;;;WD;(WIN://SYSAPPID Exists))', True),
        ('O:BAG:SYD:(XD;;FA;;;WD;(WIN://SYSAPPID Exists))(A;;GW;;;BU)', True),
        ("O:BAG:SYD:(A;OICIIO;GA;;;WD)", False),
        ("O:BAG:SYD:(A;;FA;;;BA)S:(AU;SAFA;FA;;;WD)", False),
        ("nonsense", True),
    ],
)  # fmt: skip
def test_who_may_write(sddl: str, writes: bool) -> None:
    assert may(sddl, CHILD) is writes


def test_administrators_and_the_system_may() -> None:
    assert may(WINDOWS, {"S-1-5-32-544"}) and may(WINDOWS, {"S-1-5-18"})


def test_generic_rights_are_those_of_files() -> None:
    assert mask("GA") == mask("FA") == mask("0x1f01ff") == mask("0x10000000")
    assert mask("GXGR") == mask("FXFR")
    assert list(entries("P(A;;FR;;;WD)(A;IO;FA;;;WD)(OA;;FX;guid;;AU)")) == [
        Entry(True, mask("FR"), "S-1-1-0"),
        Entry(True, mask("FX"), "S-1-5-11"),
    ]
    assert rights.CHANGE & mask("FR") == 0
