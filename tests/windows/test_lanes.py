"""The lanes as the host of a Windows PC has them: on the real registry, with what Windows says of its own folders."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

import winreg

import win32security

from agent.errors import HostError
from agent.model.floor import Denial, ProgramFloor, Trait
from agent.model.site import HostRule, SiteLane, SitePlan
from agent.platforms.windows import lanes, nrpt
from agent.platforms.windows.browserrules import POLICIES
from agent.platforms.windows.keeping import OURS
from agent.platforms.windows.registry import Registry
from agent.platforms.windows.values import text

SID = "S-1-5-21-1111111111-2222222222-3333333333-1002"
PLAN = SitePlan(child="mia", hosts=(HostRule(host="game.example", action="block", rule="a"),), otherwise="allow")
LANE = SiteLane(plan=PLAN, accounts=("mia",), dns_port=0, page_port=0)


def test_sites_are_put_and_taken_back_as_far_as_this_windows_goes() -> None:
    users, machine = Registry(winreg.HKEY_USERS), Registry(winreg.HKEY_LOCAL_MACHINE)
    users.make(rf"{SID}\{POLICIES}")
    try:
        ours = lanes.sites({"mia": SID}.get)
        with pytest.raises(HostError) as caught:
            ours.put([LANE])
        # Under Wine there is no PowerShell, and that is what is said; on Windows names are what is missing.
        assert caught.value.title == nrpt.NOT_FILTERED or ours.firewall.why
        assert users.there(rf"{SID}\{POLICIES}\Google\Chrome\URLBlocklist")
        ours.resolver(lambda: None).serve([LANE], ("192.0.2.1",))
        assert machine.there(rf"{nrpt.TABLE}\{nrpt.RULE}")
        ours.restore()
        assert not users.names(rf"{SID}\{POLICIES}")
        assert not machine.there(rf"{nrpt.TABLE}\{nrpt.RULE}") and not machine.there(rf"{OURS}\Before")
    finally:
        users.remove(SID)


def test_a_denial_is_in_force_or_it_is_said_that_it_is_not(tmp_path: Path) -> None:
    game = tmp_path / "game.exe"
    game.write_bytes(b"MZ and nothing more")
    digest = hashlib.sha256(game.read_bytes()).hexdigest()
    ours = lanes.programs({"mia": SID}.get, {digest: str(game)}.get, lambda _: ())
    rule = Denial(rule="mia/game", traits=(Trait(kind="sha256", value=digest),))
    try:
        ours.put([ProgramFloor(child="mia", accounts=("mia",), denials=(rule,))])
    except HostError as error:
        assert error.advice and ours.why and ours.troubles
    else:
        assert not ours.why
        ours.restore()


def test_where_an_administrator_installed_is_the_machines_if_nobody_else_writes_there(tmp_path: Path) -> None:
    machine = Registry(winreg.HKEY_LOCAL_MACHINE)
    closed, open_ = tmp_path / "Closed", tmp_path / "Open"
    for folder, rights in ((closed, "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FRFX;;;WD)"), (open_, "D:P(A;;FA;;;WD)")):
        folder.mkdir()
        wanted = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(rights, 1)
        win32security.SetFileSecurity(str(folder), win32security.DACL_SECURITY_INFORMATION, wanted)
        machine.put(rf"{lanes.UNINSTALL[0]}\Fairtime test {folder.name}", "InstallLocation", text(f"{folder}\\"))
    machine.put(rf"{lanes.UNINSTALL[0]}\Fairtime test drive", "InstallLocation", text("C:\\"))
    try:
        found = lanes.places(machine)
    finally:
        for name in ("Closed", "Open", "drive"):
            machine.remove(rf"{lanes.UNINSTALL[0]}\Fairtime test {name}")
    assert str(closed) in found.others
    assert str(open_) not in found.others and "C:" not in found.others
    assert found.windows.casefold().endswith(r"\windows") and found.programs


def test_the_doctor_has_its_facts() -> None:
    found = lanes.facts({"mia": SID}, (), ("leo",))
    assert found.missing == {"leo"} and set(found.writable) == {"mia"}


def test_names_are_forgotten() -> None:
    lanes.flush_names()
