"""The package on a PC that never had Fairtime: in, first session, up, down, cut short, out and in again, away for good.

The tests are one story and run in this order; each leaves the PC as the next one expects it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import cleanpc, reach
from tests.system.box import Box, Done, kill
from tests.system.cleanpc import LEFT, NEW, OLD, PLACE, Packages, apt, deb
from tests.system.fairtime import FAMILY, KEY, PHRASE, PIN
from tests.system.snapshots import Entry, Snapshots, differences

STATE = "/var/lib/fairtime"
FIRST = 180
"""Seconds from the start of the installation to the first protected session."""
ODD = "zoë"
"""An account as a PC may have it: not of ASCII; and the child's name has a space in it."""
ANSWERS = f"""
guardian = "Ana María"
guardian_account = "ana"
pin = "{PIN}"
zone = "UTC"
key = "{KEY}"
passphrase = "{PHRASE}"
children = [
  {{ name = "mia", account = "mia", preset = "preteen" }},
  {{ name = "leo", account = "leo", preset = "preteen" }},
  {{ name = "Zoë Sofia", account = "{ODD}", preset = "preteen" }},
]
"""
THEIRS = {
    "/etc/firefox/policies/policies.json": '{"policies": {"DisableTelemetry": true}}\n',
    "/etc/chromium/policies/managed/school.json": '{"HomepageLocation": "https://school.example"}\n',
}
"""Another product's rules for browsers."""
GATE = """fairtime doctor --json | grep -q '"capability":"exec-gate","present":true'"""
GAME = '"$HOME/my games/Ludo é"'
PLAY = f'mkdir -p "$HOME/my games" && cp /usr/bin/touch {GAME} && rm -f ~/proof && {GAME} ~/proof'
"""Of a place with a space in it, and a name that is not of ASCII."""


@pytest.fixture(scope="module")
def built() -> Packages:
    return cleanpc.make()


@pytest.fixture(scope="module")
def pc(built: Packages) -> Iterator[Box]:
    box = Box.boot()
    short = reach.SHORT
    try:
        reach.SHORT = ()  # "fairtime" is the package's own program here, not the lab's short way to it
        cleanpc.cleaned(box, built)
        for path, text in THEIRS.items():
            box.write(path, text)
        box.run("chmod 750 /etc/chromium/policies/managed && chmod 755 /etc/chromium/policies/managed").check()
        box.run(f"useradd --badname --create-home --shell /bin/bash {ODD}").check()
        yield box
    finally:
        reach.SHORT = short
        box.close()


@pytest.fixture(scope="module")
def disk(pc: Box) -> Snapshots:
    return Snapshots(pc.root, left=LEFT)


@pytest.fixture(scope="module")
def before(disk: Snapshots) -> dict[str, Entry]:
    """The PC as it was."""
    return disk.take()


def kept(box: Box) -> dict[str, str]:
    """What no change of version may touch: keys, policy, root of trust, the family file."""
    names = f"{STATE}/policy.dsse.json {STATE}/root.json {STATE}/guardian.json {STATE}/device.key /etc/fairtime/family.toml {KEY}"
    lines = box.run(f"for f in {names}; do [ ! -e $f ] || sha256sum $f; done").check().out.splitlines()
    assert len(lines) >= 4
    return {line.split()[1]: line.split()[0] for line in lines}


def used(box: Box) -> int:
    """Milliseconds of mia's in a copy of the ledger, which the service keeps to itself."""
    code = (
        "import sqlite3; print(sqlite3.connect('/tmp/look/ledger.db').execute("
        "\"select coalesce(sum(millis), 0) from charge where child = 'mia' and kind = 'total'\").fetchone()[0])"
    )
    line = f'rm -rf /tmp/look && mkdir /tmp/look && cp {STATE}/ledger.db* /tmp/look/ && python3 -c "$1"'
    return int(box.run(["sh", "-c", line, "sh", code]).check().out)


def version(box: Box) -> str:
    return box.run(["fairtime", "--version"]).check().out.split()[1]


def in_force(box: Box, within: float = 30) -> None:
    """The service of the installed version runs, with its gate, and denies."""
    box.until("systemctl is-active --quiet fairtime", within=within)
    box.until(GATE, within=within)
    exe = box.run(f"readlink /proc/{box.fairtime.pid}/exe").check().out.strip()
    assert exe == "/usr/lib/fairtime/fairtime-service"
    done = box.run(PLAY, user="mia")
    assert not done.ok
    box.run("test ! -e /home/mia/proof").check()


def guarded(box: Box) -> None:
    """The list of own files is there and true."""
    box.run(f"test -s {STATE}/own/manifest && test ! -e {STATE}/own/manifest.aside").check()
    box.until("""fairtime doctor --json | grep -q '"capability":"self-defence","present":true'""", within=15)
    box.run("rm /usr/lib/systemd/system/fairtime.slice").check()
    box.until("test -f /usr/lib/systemd/system/fairtime.slice", within=10)


class Trying:
    """A child that tries a blocked program all the time, and what came of it."""

    def __init__(self, box: Box) -> None:
        box.run("cp /usr/bin/touch ~/game; rm -f ~/ran ~/tried", user="mia").check()
        self._box = box
        # With nothing but bash's own words beside the game, so that what is busy is what is tried.
        line = (
            "exec 9<> <(:); while :; do ~/game ~/ran-$$ 2>/dev/null && echo $EPOCHREALTIME >> ~/ran; "
            "echo $EPOCHREALTIME >> ~/tried; read -rt 0.02 -u 9; done"
        )
        self._loop = box.spawn(["bash", "-c", line], user="mia")
        box.until("test -s /home/mia/tried", within=10)

    def ended(self) -> tuple[int, int, float]:
        """How often it was tried, how often it ran, and the longest time between the first and the last of a row that did."""
        kill(self._loop)
        self._loop.communicate()
        tried = [float(line) for line in self._box.read("/home/mia/tried").split()]
        ran = [float(line) for line in self._box.read("/home/mia/ran").split()]
        longest, since = 0.0, None
        for number, at in enumerate(ran):
            since = at if since is None else since
            longest = max(longest, at - since)
            if number + 1 < len(ran) and ran[number + 1] - at > 1:
                since = None
        self._box.run("rm -f /home/mia/ran* /home/mia/tried")
        return len(tried), len(ran), longest


# ---- in -------------------------------------------------------------------------------------------------------------


def test_nothing_is_put_on_a_read_only_usr(pc: Box, disk: Snapshots, before: dict[str, Entry]) -> None:
    readonly = "mount --bind /usr /usr && mount -o remount,ro,bind /usr"  # for apt alone
    line = f"{readonly} && DEBIAN_FRONTEND=noninteractive apt-get -y -q install {deb(OLD)}"
    done = pc.run(["unshare", "--mount", "sh", "-c", line], timeout=120)
    assert not done.ok
    assert "/usr is mounted read-only" in done.out + done.err
    pc.run("dpkg --audit; ! dpkg-query -W -f '${Status}' fairtime | grep -q 'ok installed'").check()
    assert differences(before, disk.take()) == []


def test_a_foreign_program_is_not_replaced(pc: Box, disk: Snapshots, before: dict[str, Entry]) -> None:
    pc.run("mkdir /usr/lib/fairtime && touch /usr/lib/fairtime/mine").check()
    try:
        done = apt(pc, "install", deb(OLD))
        assert not done.ok
        assert "is not this package's" in done.out + done.err
        pc.run("test -e /usr/lib/fairtime/mine").check()
    finally:
        pc.run("rm -rf /usr/lib/fairtime").check()
    assert differences(before, disk.take()) == []


def test_the_first_protected_session_comes_within_three_minutes(
    pc: Box, before: dict[str, Entry], record_property: Any
) -> None:
    pc.write("/root/our answers.toml", ANSWERS, mode=0o600)
    begun = time.monotonic()
    done = apt(pc, "install", deb(OLD)).check()
    assert "sudo fairtime setup" in done.out
    installed = time.monotonic() - begun
    report = pc.run(["fairtime", "setup", "--answers", "/root/our answers.toml"], timeout=120).check().out
    assert "+ the service runs" in report
    # The preset has hours, and this test runs at any: the lab's policy has none.
    pc.fairtime.policy(FAMILY.read_text(encoding="utf-8"))
    with pc.session("mia", "tty") as session:
        assert not session.run(PLAY).ok
        first = time.monotonic() - begun
    assert first < FIRST
    print(f"\ninstalled {installed:.1f} s after the start, first session {first:.1f} s after it")
    sizes = pc.run("for p in fairtime-service fairtime-gate fairtime-resol; do ps -C $p -o comm=,rss=; done").out
    print(f"KiB resident: {' '.join(sizes.split())}")
    in_force(pc)
    guarded(pc)


def test_what_is_installed_is_what_the_family_expects(pc: Box) -> None:
    assert version(pc) == OLD
    pc.run("systemctl is-enabled fairtime").check()
    pc.run("dpkg --verify fairtime").check()
    assert pc.run("getent group fairtime-children").check().out.split(":")[3].strip().split(",") >= ["leo", "mia"]
    assert pc.read("/etc/pam.d/common-account").count("fairtime") >= 3
    pc.run("test -f /usr/share/man/man1/fairtime.1.gz && test -f /usr/share/doc/fairtime/licences.html").check()
    # The child's own commands are programs that may run.
    pc.run("fairtime status", user="mia").check()
    # A list needs the public suffixes, which are a file and no module.
    pc.write("/root/hosts.txt", "0.0.0.0 ads.example.org\n0.0.0.0 co.uk\n")
    pc.run(["fairtime", "lists", "add", "ads", "/root/hosts.txt"], stdin=PIN + "\n").check()
    assert '"ads"' in pc.run(["fairtime", "lists", "show", "--json"]).check().out
    pc.run(["fairtime", "lists", "remove", "ads"], stdin=PIN + "\n").check()
    pc.run("find /usr/lib/fairtime ! -type l -perm /022 | grep . && exit 1; exit 0").check()


def test_service_and_resolver_have_no_home_and_need_none(pc: Box) -> None:
    """The resolver's account is in no passwd file, and systemd tells neither of a home."""
    pc.until("pgrep -f '[/]usr/lib/fairtime/fairtime-resolver'", within=15)
    resolver = pc.run(["pgrep", "-o", "-f", "[/]usr/lib/fairtime/fairtime-resolver"]).check().out.strip()
    for pid in (pc.fairtime.pid, resolver):
        assert "HOME=" not in pc.run(["cat", f"/proc/{pid}/environ"]).check().out


def test_on_a_pc_without_a_desktop_the_tray_says_what_it_lacks_and_goes_on(pc: Box) -> None:
    """No display, no panel, no notices, and of Tk only what the package brings."""
    pc.run("ldconfig --print-cache | grep libtk && exit 1; exit 0").check()
    told = "$HOME/tray.log"
    line = (
        f"fairtime tray 2>{told} & for i in $(seq 300); do grep -q 'could not be shown' {told} && break; sleep 0.1; done; "
        f"kill $! || echo it had ended; cat {told}"
    )
    with pc.session("mia", "tty") as session:
        said = session.run(line, timeout=60).check().out
    assert "There is no display in this session" in said
    assert "a notice could not be shown at all: Fairtime is here" in said
    assert "libtk" not in said
    assert "it had ended" not in said


def test_an_account_that_is_not_ascii_has_its_limits(pc: Box) -> None:
    family = FAMILY.read_text(encoding="utf-8") + (
        f'\n[[children]]\nname = "Zoë Sofia"\naccounts = ["{ODD}"]\npreset = "older"\n'
        '\n[children.limits]\nwindows = {}\nbudget = {}\nlearning_after = false\nunknown_programs = "block"\n'
    )
    pc.fairtime.policy(family)
    try:
        status = json.loads(pc.run(["fairtime", "status", "--json", "--child", "Zoë Sofia"]).check().out)
        assert "Zoë Sofia" in json.dumps(status, ensure_ascii=False)
        pc.until(f"getent group fairtime-children | grep -q '{ODD}'", within=15)
        assert not pc.run(PLAY, user=ODD).ok
    finally:
        pc.fairtime.policy(FAMILY.read_text(encoding="utf-8"))


# ---- up and down ----------------------------------------------------------------------------------------------------


def change(pc: Box, call: list[str], to: str) -> Done:
    """Another version while a child is at it: nothing is lost, and nothing opens."""
    keys, minutes, pid = kept(pc), used(pc), pc.fairtime.pid
    child = Trying(pc)
    with pc.session("mia", "tty"):
        done = apt(pc, *call).check()
        in_force(pc)
        tries, ran, longest = child.ended()
    print(f"to {to}: tried {tries} times, ran {ran} times, for {longest:.2f} s at most")
    assert version(pc) == to
    assert pc.fairtime.pid != pid
    assert kept(pc) == keys
    pc.fairtime.control("stop")
    assert used(pc) > minutes
    pc.fairtime.control("start")
    assert ran == 0
    pc.run(["fairtime", "audit", "verify"]).check()
    pc.run("dpkg --audit | grep . && exit 1; exit 0").check()
    guarded(pc)
    return done


def test_an_upgrade_keeps_everything_and_opens_nothing(pc: Box) -> None:
    change(pc, ["install", deb(NEW)], NEW)
    pc.run("test -e /usr/lib/fairtime/_internal/new-in-this-version").check()
    pc.run("test ! -e /usr/lib/fairtime/_internal/policies/examples/class.toml").check()


def test_a_downgrade_keeps_everything_and_opens_nothing(pc: Box) -> None:
    change(pc, ["--allow-downgrades", "install", deb(OLD)], OLD)
    pc.run("test ! -e /usr/lib/fairtime/_internal/new-in-this-version").check()


def test_the_same_again_repairs(pc: Box) -> None:
    pc.run("systemctl stop fairtime; rm -rf /usr/lib/fairtime/_internal /usr/libexec/fairtime").check()
    apt(pc, "--reinstall", "install", deb(OLD)).check()
    in_force(pc)
    guarded(pc)


# ---- cut short ------------------------------------------------------------------------------------------------------


def cut(pc: Box, sign: str, version: str) -> None:
    """dpkg and all that it started are killed as soon as ``sign`` (a shell line) is true."""
    started = pc.spawn(
        ["dpkg", "--force-downgrade", "--install", deb(version)], env={"DEBIAN_FRONTEND": "noninteractive"}
    )
    kill_all = "pkill -KILL -x dpkg; pkill -KILL -x dpkg-deb; pkill -KILL -f 'info/[f]airtime.postinst'"
    done = pc.run(
        f"for i in $(seq 2000); do if {sign}; then {kill_all}; exit 0; fi; sleep 0.01; done; exit 1", timeout=90
    )
    kill(started)
    started.communicate()
    pc.run("rm -f /var/lib/dpkg/lock /var/lib/dpkg/lock-frontend")
    assert done.ok, "it was over before it could be cut short"


def test_cut_short_while_files_come_the_old_version_goes_on(pc: Box) -> None:
    keys = kept(pc)
    cut(pc, "ls /usr/lib/fairtime/_internal/*.dpkg-new >/dev/null 2>&1", NEW)
    in_force(pc)
    assert kept(pc) == keys
    assert version(pc) == OLD
    pc.fairtime.control("restart")  # as after a power cut
    in_force(pc)
    # What apt says is to be done.
    pc.run("dpkg --configure -a", env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=120).check()
    apt(pc, "install", deb(NEW)).check()
    in_force(pc)
    guarded(pc)
    assert version(pc) == NEW
    assert kept(pc) == keys
    pc.run("find /usr /etc -name '*.dpkg-new' | grep . && exit 1; exit 0").check()


def test_cut_short_before_it_is_settled_the_new_version_goes_on(pc: Box) -> None:
    keys = kept(pc)
    cut(pc, "pgrep -f 'info/[f]airtime.postinst' >/dev/null", OLD)
    in_force(pc)
    assert version(pc) == OLD
    assert not pc.run(f"test -e {STATE}/own/manifest").ok
    pc.run("dpkg --configure -a", env={"DEBIAN_FRONTEND": "noninteractive"}, timeout=120).check()
    in_force(pc)
    guarded(pc)
    assert kept(pc) == keys
    pc.run("dpkg --audit | grep . && exit 1; exit 0").check()


# ---- out, in again, away --------------------------------------------------------------------------------------------


def test_removed_the_pc_is_as_it_was_but_for_the_record(pc: Box, disk: Snapshots, before: dict[str, Entry]) -> None:
    keys = kept(pc)
    apt(pc, "remove", "fairtime").check()
    pc.run("! systemctl is-active fairtime").check()
    # What it had started sees that it is gone, and ends.
    pc.until("! pgrep -af '[/]usr/lib/fairtime/fairtime'", within=5)
    if pc.run("command -v nft").ok:
        pc.run("nft list table inet fairtime && exit 1; exit 0").check()
    rest = [
        line
        for line in differences(before, disk.take())
        if not line.startswith(("new: var/lib/fairtime", "new: etc/fairtime"))
    ]
    assert rest == []
    for path, text in THEIRS.items():
        assert pc.read(path) == text
    assert kept(pc) == keys
    assert pc.read(f"{STATE}/removed").split()[0][:2] == "20"
    assert pc.run(PLAY, user="mia").ok  # and mia is free


def test_back_again_it_holds_at_once_and_the_audit_tells(pc: Box) -> None:
    apt(pc, "install", deb(NEW)).check()
    in_force(pc)
    guarded(pc)
    shown = pc.run(["fairtime", "audit", "show"]).check().out
    assert "being-removed" in shown
    assert "was-removed" in shown
    pc.run(["fairtime", "audit", "verify"]).check()


def test_other_versions_of_what_may_be_exchanged_are_kept(pc: Box) -> None:
    """The LGPL's right: a library of the tray is replaced, and stays so."""
    path = "/usr/lib/fairtime/_internal/pystray/__init__.py"
    pc.run(
        f"systemctl stop fairtime && echo '# mine' >> {path} && dpkg-reconfigure -f noninteractive fairtime",
        timeout=120,
    ).check()
    in_force(pc)
    guarded(pc)
    time.sleep(6)
    assert pc.read(path).endswith("# mine\n")


def test_purged_nothing_is_left(pc: Box, disk: Snapshots, before: dict[str, Entry]) -> None:
    apt(pc, "purge", "fairtime").check()
    assert differences(before, disk.take()) == []
    pc.run("test ! -e /var/lib/fairtime && test ! -e /etc/fairtime").check()
    pc.run("getent group fairtime-children && exit 1; exit 0").check()


# ---- where something is already -------------------------------------------------------------------------------------


def test_over_an_installation_by_script_and_beside_a_trial(pc: Box, disk: Snapshots, before: dict[str, Entry]) -> None:
    import subprocess

    from installer.freeze import PROGRAM

    theirs = "/usr/share/applications/org.fairtime.Fairtime.desktop"
    pc.write(theirs, "somebody else's\n", mode=0o600)
    subprocess.run(
        ["sh", str(cleanpc.SCRIPT), "--root", str(pc.root), "--program", str(PROGRAM)],
        check=True, env=cleanpc._CLEAN, capture_output=True,
    )  # fmt: skip
    pc.run(f"systemctl daemon-reload; mkdir -p {PLACE}/trial && cp -a /usr/lib/fairtime/. {PLACE}/trial/").check()
    trial = pc.spawn([f"{PLACE}/trial/fairtime", "trial"], user="ana")
    pc.run(["rm", KEY]).check()  # the purged household's, which the lab keeps elsewhere
    pc.run(["fairtime", "setup", "--answers", "/root/our answers.toml"], timeout=120).check()
    pc.until("systemctl is-active --quiet fairtime", within=30)
    try:
        apt(pc, "install", deb(OLD)).check()
        pc.until("systemctl is-active --quiet fairtime", within=30)
        guarded(pc)
        pc.run("dpkg --verify fairtime").check()
        out, err = trial.communicate(timeout=120)
        assert trial.returncode == 0, (out + err).decode(errors="replace")
    finally:
        kill(trial)
        apt(pc, "purge", "fairtime").check()
    assert pc.read(theirs) == "somebody else's\n"
    pc.run(f"rm {theirs}; rm -rf {PLACE}/trial").check()
    assert differences(before, disk.take()) == []


def test_the_packages_are_small_enough_to_be_carried(built: Packages) -> None:
    for path in (built.old, built.new):
        assert Path(path).stat().st_size < 64 << 20
