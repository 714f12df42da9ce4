"""Browsers' rules on the disk: who may read them, what somebody changed, and what other programs left there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("policy folders of Linux", allow_module_level=True)

from agent.errors import HostError
from agent.model.site import HostRule, SitePlan
from agent.platforms.linux import acl, browserplaces
from agent.platforms.linux.browsers import Audience, Browsers
from agent.resources import load_catalogue

ME = (os.geteuid(), os.getegid())
ANA, MIA, LEO = 1001, 1002, 1003
CHROMIUM, FIREFOX = "etc/chromium/policies/managed", "etc/firefox/policies"
FILE = f"{CHROMIUM}/zz-fairtime-{MIA}.json"
POLICIES = f"{FIREFOX}/policies.json"
PLAN = SitePlan(child="mia", hosts=(HostRule(host="game.example", action="block", rule="a"),), otherwise="allow")
ELDER = SitePlan(child="leo", otherwise="allow", addresses=True)
MINUTE = 60_000


class Pc:
    """A PC with Chromium and Firefox on it, below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.people = [ANA, MIA]
        for sign in ("etc", "usr/bin", "usr/lib/firefox-esr", "usr/lib/chromium"):
            (root / sign).mkdir(parents=True)
        (root / "etc/passwd").write_text("")
        self.now = 0
        self.browsers = Browsers(lambda: self.people, root, ME)

    def put(self, *audiences: Audience) -> None:
        self.browsers.put(audiences or (Audience(PLAN, frozenset({MIA})),))

    def look(self) -> bool:
        """Three seconds later: look, and mend when that asks for it."""
        self.now += 3_001
        asked = self.browsers.look(self.now)
        if asked:
            self.browsers.mend(self.now)
        return asked

    def rules(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / path).read_text())
        return found

    def mended(self) -> set[tuple[str, str]]:
        return {(one.path, one.what) for one in self.browsers.take()}

    def finds(self) -> dict[str, str]:
        return {one.id: one.severity for one in self.browsers.findings()}


@pytest.fixture
def pc(tmp_path: Path) -> Pc:
    pc = Pc(tmp_path)
    pc.put()
    pc.look()  # the first look of a minute reads everything
    pc.mended()
    return pc


def closed_to(path: Path) -> set[int]:
    value = acl.read(path)
    return {uid for uid in (ANA, MIA, LEO) if value[4:].find(uid.to_bytes(4, "little")) >= 0}


# ---- who reads what --------------------------------------------------------------------------------------------------


def test_a_childs_rules_are_closed_to_everybody_else_and_to_nobody_unknown(pc: Pc) -> None:
    assert closed_to(pc.root / FILE) == {ANA}
    assert closed_to(pc.root / FIREFOX) == {ANA}
    assert (pc.root / FILE).stat().st_mode & 0o777 == 0o644


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming other accounts needs root")
def test_the_kernel_lets_the_child_read_and_the_parent_not(pc: Pc) -> None:
    for folder in [pc.root, *pc.root.parents]:
        if folder.stat().st_uid == 0 and "pytest" in str(folder):
            folder.chmod(0o755)
    for uid, path, may in (
        (MIA, FILE, True), (ANA, FILE, False), (4711, FILE, True), (MIA, POLICIES, True), (ANA, POLICIES, False),
    ):  # fmt: skip
        pid = os.fork()
        if pid == 0:
            os.setresuid(uid, uid, uid)
            try:
                (pc.root / path).read_bytes()
                os._exit(0)
            except PermissionError:
                os._exit(1)
            finally:
                os._exit(2)
        assert (os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0) is may, (uid, path)


def test_an_open_browser_sees_a_change_come_whole_and_without_a_new_time(
    pc: Pc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chromium waits for five seconds after each new time of change in its folder, also of a file that is being written."""
    seen: list[set[str]] = []
    replace = os.replace

    def watched(old: Path, new: Path) -> None:
        seen.append({entry.name for entry in os.scandir(new.parent)})
        replace(old, new)

    monkeypatch.setattr(os, "replace", watched)
    before = pc.root.joinpath(FILE).stat()
    pc.put(Audience(ELDER, frozenset({MIA})))
    after = pc.root.joinpath(FILE).stat()
    assert before.st_ino != after.st_ino
    assert before.st_mtime_ns == after.st_mtime_ns
    assert seen == [{f"zz-fairtime-{MIA}.json"}, {"policies.json"}]
    assert not list(pc.root.rglob("*.fairtime-new"))


def test_two_children_have_a_file_each_and_share_what_holds_for_both_in_firefox(pc: Pc) -> None:
    pc.people.append(LEO)
    pc.put(Audience(PLAN, frozenset({MIA})), Audience(ELDER, frozenset({LEO})))
    assert closed_to(pc.root / FILE) == {ANA, LEO}
    assert closed_to(pc.root / CHROMIUM / f"zz-fairtime-{LEO}.json") == {ANA, MIA}
    assert closed_to(pc.root / FIREFOX) == {ANA}
    block = pc.rules(POLICIES)["policies"]["WebsiteFilter"]["Block"]
    assert "*://*.game.example/*" not in block
    assert "*://*.255/*" in block
    pc.put(Audience(ELDER, frozenset({LEO})))
    assert not (pc.root / FILE).exists()
    assert pc.rules(POLICIES)["policies"]["WebsiteFilter"]["Block"] == []


def test_where_every_account_is_a_child_nobody_is_kept_out(pc: Pc) -> None:
    pc.people[:] = [MIA]
    pc.put()
    assert acl.read(pc.root / FILE) == acl.read(pc.root / FIREFOX) == b""


def test_a_new_account_is_kept_out_soon_and_nobody_is_accused(pc: Pc) -> None:
    pc.people.append(LEO)
    (pc.root / "etc/passwd").write_text("leo")
    assert pc.look()
    assert closed_to(pc.root / FILE) == closed_to(pc.root / FIREFOX) == {ANA, LEO}
    assert pc.mended() == set()


def test_a_browser_that_is_installed_later_gets_its_rules(pc: Pc) -> None:
    assert not (pc.root / "etc/opt").exists()
    (pc.root / "opt/google/chrome").mkdir(parents=True)
    assert pc.look()
    assert pc.rules(f"etc/opt/chrome/policies/managed/zz-fairtime-{MIA}.json")["IncognitoModeAvailability"] == 1


def test_no_lanes_leave_nothing_of_ours_behind(pc: Pc) -> None:
    pc.browsers.put(())
    assert not list(pc.root.glob("etc/**/*fairtime*"))
    assert not (pc.root / POLICIES).exists()
    assert acl.read(pc.root / FIREFOX) == b""
    pc.now += MINUTE
    assert not pc.look()


# ---- somebody changes something --------------------------------------------------------------------------------------


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


DEEDS: list[tuple[str, Callable[[Path], object], str]] = [
    (FILE, Path.unlink, "removed"),
    (FILE, lambda p: p.write_text("{}"), "changed"),
    (FILE, lambda p: p.write_bytes(b"\xff" * 2_000_000), "changed"),
    (FILE, lambda p: p.chmod(0o666), "given other rights"),
    (FILE, lambda p: p.chmod(0), "given other rights"),
    (FILE, lambda p: os.removexattr(p, "system.posix_acl_access"), "given other rights"),
    (FILE, a_link, "replaced"),
    (FILE, lambda p: (p.unlink(), p.mkdir()), "replaced"),
    (FILE, lambda p: (p.unlink(), os.mkfifo(p)), "replaced"),
    (CHROMIUM, lambda p: p.chmod(0o777), "given other rights"),
    (CHROMIUM, a_link, "replaced"),
    ("etc/chromium", a_link, "replaced"),
    ("etc/chromium", lambda p: p.chmod(0o1777), "given other rights"),
    (FIREFOX, lambda p: p.chmod(0o777), "given other rights"),
    (FIREFOX, lambda p: os.removexattr(p, "system.posix_acl_access"), "given other rights"),
    (FIREFOX, a_link, "replaced"),
    (POLICIES, Path.unlink, "removed"),
    (POLICIES, lambda p: p.write_text('{"policies": {}, "fairtime": true}'), "changed"),
    (POLICIES, lambda p: p.write_text("not json {"), "replaced"),
    (POLICIES, a_link, "replaced"),
]


@pytest.mark.parametrize(("path", "deed", "what"), DEEDS)
def test_what_somebody_changes_is_seen_and_put_right(
    pc: Pc, path: str, deed: Callable[[Path], object], what: str
) -> None:
    before = {name: (pc.root / name).read_bytes() for name in (FILE, POLICIES)}
    deed(pc.root / path)
    assert pc.look()
    assert {name: (pc.root / name).read_bytes() for name in before} == before
    assert (f"/{path}", what) in pc.mended()
    assert closed_to(pc.root / FILE) == closed_to(pc.root / FIREFOX) == {ANA}
    at = pc.root
    for name in Path(FILE).parts:
        at /= name
        assert not at.is_symlink()
        assert not at.stat().st_mode & 0o022
    assert not pc.look()
    assert pc.mended() == set()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
@pytest.mark.parametrize("path", [FILE, POLICIES, CHROMIUM, FIREFOX, "etc/firefox"])
def test_what_is_given_away_comes_back(pc: Pc, path: str) -> None:
    os.chown(pc.root / path, MIA, MIA)
    assert pc.look()
    assert (pc.root / path).stat().st_uid == 0
    assert (f"/{path}", "given other rights") in pc.mended()


def test_a_change_that_keeps_every_date_is_found_within_the_minute(pc: Pc) -> None:
    pc.browsers._prints[pc.root / FILE] = None
    (pc.root / FILE).write_text("{}")
    for path in pc.browsers._prints:
        pc.browsers._prints[path] = _print_of(path)
    assert not pc.look()
    pc.now += MINUTE
    assert pc.look()
    assert pc.rules(FILE)["DnsOverHttpsMode"] == "off"


def _print_of(path: Path) -> tuple[int, ...] | None:
    from agent.platforms.linux import browsers

    return browsers._print(path)


def test_what_cannot_be_written_is_named_and_tried_again(pc: Pc) -> None:
    folder = pc.root / "opt/google/chrome"
    folder.mkdir(parents=True)
    (pc.root / "etc/opt").write_text("a file where a folder should be")
    with pytest.raises(HostError) as caught:
        pc.put()
    assert "Chrome" in caught.value.title
    assert caught.value.advice
    assert "Chrome" in pc.browsers.why
    (pc.root / "etc/opt").unlink()
    pc.now += MINUTE
    pc.look()
    assert pc.browsers.why == ""
    assert pc.rules(f"etc/opt/chrome/policies/managed/zz-fairtime-{MIA}.json")


# ---- what other programs left ----------------------------------------------------------------------------------------


def test_another_programs_firefox_rules_are_kept_and_hold_where_ours_do_not(pc: Pc) -> None:
    theirs = {
        "policies": {"DisableTelemetry": True, "Proxy": {"Mode": "system"}, "Preferences": {"ui.x": {"Value": 1}}}
    }
    (pc.root / POLICIES).write_text(json.dumps(theirs))
    assert pc.look()
    found = pc.rules(POLICIES)["policies"]
    assert found["DisableTelemetry"] is True
    assert found["Proxy"] == {"Mode": "none", "Locked": True}
    assert found["Preferences"]["ui.x"] == {"Value": 1}
    assert found["Preferences"]["network.trr.mode"]["Value"] == 5
    assert pc.rules(f"{POLICIES}.before-fairtime") == theirs
    pc.browsers.put(())
    assert pc.rules(POLICIES) == theirs


def test_malformed_rules_of_another_program_are_set_aside_and_told(pc: Pc) -> None:
    (pc.root / POLICIES).write_text('{"policies": {"DisableTelemetry": true},}')
    assert pc.look()
    assert "WebsiteFilter" in pc.rules(POLICIES)["policies"]
    assert pc.finds()["browser-policy-malformed"] == "note"
    assert (pc.root / f"{POLICIES}.before-fairtime").read_text().startswith('{"policies"')


def test_files_of_others_beside_ours_are_left_alone_and_told(pc: Pc) -> None:
    folder = pc.root / CHROMIUM
    (folder / "aaa.json").write_text('{"URLAllowlist": ["game.example"], "HomepageLocation": "https://school.example"}')
    (folder / "zzz.json").write_text('{"URLAllowlist": ["game.example"]}')
    (folder / "broken.json").write_text("{")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "open.json").write_text("{}")
    (folder / "open.json").chmod(0o666)
    pc.look()
    found = [(one.id, one.severity, one.title) for one in pc.browsers.findings()]
    assert {(id_, severity) for id_, severity, _ in found} == {
        ("browser-policy-twice", "note"), ("browser-policy-twice", "weak"), ("browser-policy-malformed", "note"),
        ("browser-policy-writable", "open"),
    }  # fmt: skip
    assert all("URLAllowlist" in title for id_, _, title in found if id_ == "browser-policy-twice")
    assert (folder / "broken.json").read_text() == "{"
    assert all(one.advice for one in pc.browsers.findings())


@pytest.mark.parametrize(
    ("sign", "name", "rule"),
    [
        ("usr/bin/epiphany-browser", "GNOME Web", 'path = "/usr/bin/epiphany-browser"'),
        ("var/lib/flatpak/app/com.brave.Browser", "Brave (Flatpak)", 'package = "flatpak:com.brave.Browser"'),
        ("snap/brave", "Brave (Snap)", 'package = "snap:brave"'),
        ("usr/bin/opera", "Opera", 'path = "/usr/bin/opera"'),
    ],
)
def test_a_browser_that_takes_no_rules_is_named_with_the_rule_that_blocks_it(
    pc: Pc, sign: str, name: str, rule: str
) -> None:
    (pc.root / sign).parent.mkdir(parents=True, exist_ok=True)
    (pc.root / sign).touch()
    (finding,) = pc.browsers.findings()
    assert (finding.id, finding.severity) == ("browser-uncovered", "weak")
    assert name in finding.title
    assert rule in finding.advice
    assert finding.program in rule, "so that the service can ask whether a child may start it"


def test_the_catalogue_knows_every_browser_that_takes_no_rules() -> None:
    entries = load_catalogue()["browsers"]
    for path, name in browserplaces.UNCOVERED.items():
        kind, _, base = path.rpartition("/")
        found = [
            entry
            for entry in entries
            if (known := entry.linux) is not None
            if base in {"snap": known.snap, "var/lib/flatpak/app": known.flatpak}.get(kind, known.binary)
        ]
        assert [entry.site_rules is False or base in entry.linux.without_rules for entry in found if entry.linux] == [
            True
        ], name


def test_flatpak_browsers_get_theirs_where_they_look(tmp_path: Path) -> None:
    for app in ("org.chromium.Chromium", "org.mozilla.firefox", "com.google.Chrome"):
        (tmp_path / "var/lib/flatpak/app" / app).mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    Browsers(lambda: [ANA, MIA], tmp_path, ME).put([Audience(PLAN, frozenset({MIA}))])
    arch = os.uname().machine
    extension = tmp_path / "var/lib/flatpak/extension"
    assert (extension / f"org.mozilla.firefox.systemconfig/{arch}/stable/policies/policies.json").exists()
    chromium = extension / f"org.chromium.Chromium.Extension.fairtime/{arch}/1/policies/managed"
    assert (chromium / f"zz-fairtime-{MIA}.json").exists()
    assert (tmp_path / f"etc/opt/chrome/policies/managed/zz-fairtime-{MIA}.json").exists()
