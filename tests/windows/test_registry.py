"""The registry itself: bytes as they stand there, rights, stamps, and a child's rules written and taken back."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("needs Windows, or a Windows Python under Wine (make windows)", allow_module_level=True)

import winreg

import psutil

from agent.errors import HostError
from agent.model.site import HostRule, SiteLane, SitePlan
from agent.platforms.windows import nrpt, powershell, privileges, profiles
from agent.platforms.windows.browserrules import POLICIES, rules
from agent.platforms.windows.browsers import Audience, Browsers
from agent.platforms.windows.hive import replace, same
from agent.platforms.windows.keeping import PLACE
from agent.platforms.windows.registry import Registry
from agent.platforms.windows.values import BINARY, EXPAND_SZ, SZ, Node, Value, as_number, as_text, number, text, texts

ROOT = r"SOFTWARE\FairtimeTest"
SID = "S-1-5-21-1111111111-2222222222-3333333333-1001"
PLAN = SitePlan(child="mia", hosts=(HostRule(host="game.example", action="block", rule="a"),), otherwise="allow")
TREE = Node(
    {"Word": text("schön 😀"), "": text("unnamed"), "Odd": Value(SZ, b"half\0a"), "Bytes": Value(BINARY, b"\0\1\2")},
    {"Below": Node({"1": number(7), "Many": texts(["a", "", "b"])}, {"*": Node({"x": text("")}), "Empty": Node()})},
)


@pytest.fixture
def machine() -> Iterator[Registry]:
    machine = Registry(winreg.HKEY_LOCAL_MACHINE)
    yield machine
    for key in (ROOT, PLACE.rpartition("\\")[0]):
        machine.remove(key)


@pytest.fixture
def users() -> Iterator[Registry]:
    """A hive of a child's, as far as a key below HKEY_USERS is one."""
    users = Registry(winreg.HKEY_USERS)
    try:
        users.make(rf"{SID}\{POLICIES}")
    except OSError as error:
        pytest.skip(f"keys right below HKEY_USERS cannot be made here: {error}")
    yield users
    users.remove(SID)


def test_bytes_come_back_as_they_were(machine: Registry) -> None:
    replace(machine, ROOT, TREE)
    assert same(machine.node(ROOT), TREE)
    assert machine.value(ROOT, "odd") == Value(SZ, b"half\0a")
    assert as_text(machine.value(ROOT, "Word")) == "schön 😀"
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, ROOT) as key:
        assert winreg.QueryValueEx(key, "Word") == ("schön 😀", winreg.REG_SZ)


def test_what_is_not_there_is_none_and_taking_it_away_is_success(machine: Registry) -> None:
    gone = rf"{ROOT}\Nowhere"
    assert machine.value(gone, "x") is None and machine.node(gone) is None and machine.stamp(gone) is None
    assert not machine.there(gone) and machine.names(gone) == ()
    machine.drop(gone, "x")
    machine.remove(gone)
    machine.make(ROOT)
    machine.drop(ROOT, "x")
    assert machine.value(ROOT, "x") is None


def test_a_tree_is_removed_whole(machine: Registry) -> None:
    replace(machine, ROOT, TREE)
    assert set(machine.names(ROOT)) == {"Below"}
    machine.remove(ROOT)
    assert not machine.there(ROOT)


def test_long_values_are_read_whole(machine: Registry) -> None:
    machine.put(ROOT, "Long", text("x" * 20_000))
    assert as_text(machine.value(ROOT, "Long")) == "x" * 20_000


def test_a_write_changes_the_stamp(machine: Registry) -> None:
    machine.put(ROOT, "a", number(1))
    before = machine.stamp(ROOT)
    assert before is not None and machine.stamp(ROOT) == before
    for value in range(2, 100):
        machine.put(ROOT, "a", number(value))
        if machine.stamp(ROOT) != before:  # the clock of stamps has steps of its own
            return
        ctypes.WinDLL("kernel32").Sleep(20)
    raise AssertionError("a write leaves no mark")


def test_rights_are_given_and_read_back(machine: Registry) -> None:
    machine.make(ROOT)
    machine.give(ROOT, f"O:BAG:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;{SID})")
    rights = machine.rights(ROOT)
    assert "(A;CI;KA;;;SY)" in rights and f"(A;CI;KR;;;{SID})" in rights
    assert rights == machine.rights(ROOT)


def test_a_link_is_not_followed(machine: Registry) -> None:
    machine.put(rf"{ROOT}\Target", "a", number(1))
    made = ctypes.c_void_p()
    create = ctypes.WinDLL("advapi32").RegCreateKeyExW
    result = create(
        ctypes.c_void_p(winreg.HKEY_LOCAL_MACHINE), rf"{ROOT}\Link", 0, None, 2, winreg.KEY_ALL_ACCESS | 0x20, None,
        ctypes.byref(made), None,
    )  # fmt: skip
    if result:
        pytest.skip(f"links cannot be made here: {ctypes.FormatError(result)}")
    target = "\\Registry\\Machine\\" + ROOT + "\\Target"
    data = target.encode("utf-16-le")
    put = ctypes.WinDLL("advapi32").RegSetValueExW
    assert put(made, "SymbolicLinkValue", 0, 6, data, len(data)) == 0
    ctypes.WinDLL("advapi32").RegCloseKey(made)
    with pytest.raises(OSError, match="link"):
        machine.put(rf"{ROOT}\Link", "b", number(2))
    machine.remove(rf"{ROOT}\Link")
    assert machine.names(ROOT) == ("Target",), "the link goes, and what it led to stays"
    assert machine.value(rf"{ROOT}\Target", "a") == number(1)
    assert machine.value(rf"{ROOT}\Target", "b") is None


def test_a_childs_rules_are_written_and_read_back(users: Registry, machine: Registry) -> None:
    browsers = Browsers(users, machine)
    browsers.put([Audience(PLAN, frozenset({SID}))])
    for key, node in rules(PLAN).items():
        assert same(users.node(rf"{SID}\{POLICIES}\{key}"), node), key
    with winreg.OpenKey(winreg.HKEY_USERS, rf"{SID}\{POLICIES}\Google\Chrome\URLBlocklist") as key:
        assert winreg.QueryValueEx(key, "1")[1] == winreg.REG_SZ
    with winreg.OpenKey(winreg.HKEY_USERS, rf"{SID}\{POLICIES}\Google\Chrome") as key:
        assert winreg.QueryValueEx(key, "IncognitoModeAvailability") == (1, winreg.REG_DWORD)
        assert json.loads(winreg.QueryValueEx(key, "ProxySettings")[0]) == {"ProxyMode": "direct"}
    assert not browsers.take()
    browsers.restore()
    assert same(users.node(rf"{SID}\{POLICIES}"), Node())


def test_what_a_child_changes_is_put_right(users: Registry, machine: Registry) -> None:
    browsers = Browsers(users, machine)
    browsers.put([Audience(PLAN, frozenset({SID}))])
    now = 0
    while not browsers.look(now):  # the first look of a minute reads everything
        now += 3_000
    browsers.mend(now)
    browsers.take()
    path = rf"{SID}\{POLICIES}\Mozilla\Firefox\DNSOverHTTPS"
    users.put(path, "Enabled", number(1))
    for _ in range(25):
        now += 3_000
        if browsers.look(now):
            break
    browsers.mend(now)
    assert as_number(users.value(path, "Enabled")) == 0
    assert [one.what for one in browsers.take()] == ["changed"]
    browsers.restore()


def test_what_stood_there_before_comes_back_byte_for_byte(users: Registry, machine: Registry) -> None:
    chrome = rf"{SID}\{POLICIES}\Google\Chrome"
    users.put(rf"{chrome}\urlblocklist", "1", text("theirs.example"))
    users.put(chrome, "HomepageLocation", Value(SZ, b"odd"))
    users.put(chrome, "incognitomodeavailability", number(2))
    before, rights = users.node(SID), users.rights(chrome)
    Browsers(users, machine).put([Audience(PLAN, frozenset({SID}))])
    assert not same(users.node(SID), before)
    Browsers(users, machine).restore()
    assert same(users.node(SID), before)
    assert users.rights(chrome) == rights
    assert not machine.there(PLACE)


def test_looking_for_five_minutes_leaves_no_handle_open(users: Registry, machine: Registry) -> None:
    browsers = Browsers(users, machine)
    browsers.put([Audience(PLAN, frozenset({SID}))])
    me = psutil.Process()
    before = me.num_handles()
    for now in range(0, 300_000, 3_000):
        if browsers.look(now):
            browsers.mend(now)
    assert users.node("no-such-hive") is None
    assert me.num_handles() <= before + 4
    browsers.restore()


def test_the_row_for_name_servers_is_written_and_taken_away(machine: Registry) -> None:
    before = machine.node(nrpt.TABLE)
    names = nrpt.Names(machine, nrpt.NameServers(machine), lambda: None, lambda: None)
    lane = SiteLane(plan=PLAN, accounts=("mia",), dns_port=0, page_port=0)
    names.serve([lane], ("192.0.2.1", "2001:db8::1"))
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, rf"{nrpt.TABLE}\{nrpt.RULE}") as key:
        assert winreg.QueryValueEx(key, "Name") == (["."], winreg.REG_MULTI_SZ)
        assert winreg.QueryValueEx(key, "GenericDNSServers") == ("192.0.2.1; 2001:db8::1", winreg.REG_SZ)
    names.restore()
    assert same(machine.node(nrpt.TABLE), before)


def test_a_powershell_that_does_nothing_is_not_believed() -> None:
    """Under Wine powershell.exe is a stub that ends well; on Windows it does what it is told."""
    try:
        assert powershell.run("Write-Output ('a' + [char]246)").strip() == "aö"
    except HostError as error:
        assert "did not come to the end" in error.title or "cannot be used" in error.title


def test_the_hive_of_an_account_that_is_not_logged_in_is_opened_and_closed(
    users: Registry, machine: Registry, tmp_path: Path
) -> None:
    users.put(rf"{SID}\{POLICIES}\Google\Chrome", "Kept", number(5))
    profile = tmp_path / "mia"
    profile.mkdir()
    saved = profile / "NTUSER.DAT"
    privileges.enable("SeBackupPrivilege")
    with winreg.OpenKey(winreg.HKEY_USERS, SID) as key:
        winreg.SaveKey(key, str(saved))
    users.remove(SID)
    machine.put(rf"{profiles.PROFILES}\{SID}", "ProfileImagePath", Value(EXPAND_SZ, text(str(profile)).data))
    try:
        with profiles.loaded(SID) as there:
            assert there
            assert as_number(users.value(rf"{SID}\{POLICIES}\Google\Chrome", "Kept")) == 5
        assert not users.there(SID)
        with profiles.loaded("S-1-5-21-4-5-6-7") as there:
            assert not there
    finally:
        machine.remove(rf"{profiles.PROFILES}\{SID}")
