"""Self-defence on a real PC: own files come back, polkit refuses, a new account is limited, the doctor tells, and nothing stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import image, install
from tests.system.box import Box
from tests.system.snapshots import Snapshots

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 6
"""Seconds: five, and the time that asking takes."""
MODULE = "/usr/lib/fairtime/lib/python3.11/site-packages/agent/core/decide.py"
RULES = "/usr/share/polkit-1/rules.d/00-fairtime.rules"
STACK = "/etc/pam.d/common-account"


def doctor(box: Box) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.run(["fairtime", "doctor", "--json"]).check().out)
    return found


def finds(box: Box) -> set[str]:
    return {f["id"] for f in doctor(box)["findings"]}


def told(box: Box, words: str) -> None:
    box.until(f"fairtime status --json --child mia | grep -q '{words}'", within=15)


# ---- own files -----------------------------------------------------------------------------------------------------


FILES = (
    "/usr/lib/systemd/system/fairtime.service",
    "/usr/lib/systemd/system/fairtime.slice",
    RULES,
    "/etc/xdg/autostart/fairtime-tray.desktop",
    "/usr/share/pam-configs/fairtime",
    "/usr/libexec/fairtime/login-check",
    "/usr/libexec/fairtime/refuse.conf",
    "/usr/bin/fairtime",
    MODULE,
)
STATE = "for f in " + " ".join(FILES) + "; do stat -c '%a %U %G %F %N' $f; sha256sum < $f; done"


@pytest.mark.parametrize(
    ("deed", "within"),
    [
        ("rm {path}", WITHIN),
        ("echo else > {path}.x && mv -f {path}.x {path}", WITHIN),
        # A file of the program that is written to in place is found when its turn comes.
        ("test -L {path} && ln -sfn /bin/true {path} || echo else >> {path}", 70),
    ],
)
def test_own_files_come_back(box: Box, deed: str, within: int) -> None:
    was = box.run(STATE).check().out
    box.run(" ; ".join(deed.format(path=path) for path in FILES)).check()
    assert box.run(STATE).out != was
    box.write("/root/was", was)
    box.until(f"({STATE}) 2>&1 | cmp -s - /root/was", within=within)


def test_the_repairs_are_in_the_audit_and_the_chain_holds(box: Box) -> None:
    box.run(f"rm {RULES}").check()
    box.until(f"test -f {RULES}", within=WITHIN)
    box.until("fairtime audit show | grep -q 'own-file.*00-fairtime.rules'", within=5)
    box.run(["fairtime", "audit", "verify"]).check()


def test_our_lines_in_the_login_stack_come_back(box: Box) -> None:
    was = box.read(STACK)
    assert was.count("fairtime") >= 3
    box.run(f"sed -i /fairtime/d {STACK}").check()
    box.until(f"test $(grep -c fairtime {STACK}) = {was.count('fairtime')}", within=WITHIN)
    assert box.read(STACK) == was
    # And with pam-auth-update, the tool for it, whose other changes stay.
    box.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package --remove fairtime").check()
    box.until(f"grep -q fairtime {STACK}", within=WITHIN)
    box.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package fairtime").check()
    assert [line for line in box.read(STACK).splitlines() if line[:1] != "#"] == [
        line for line in was.splitlines() if line[:1] != "#"
    ]


def test_what_cannot_be_put_right_is_named(box: Box) -> None:
    path = "/etc/xdg/autostart/fairtime-tray.desktop"
    box.run("mv /var/lib/fairtime/own/spare /var/lib/fairtime/own/elsewhere").check()
    try:
        box.run(f"rm {path}").check()
        told(box, "cannot be put right\\|cannot be checked")
        assert box.fairtime.status("mia")["protection"] != "protected"
    finally:
        box.run("mv /var/lib/fairtime/own/elsewhere /var/lib/fairtime/own/spare").check()
    box.run("touch /var/lib/fairtime/own/manifest").check()  # a new list is tried at once, not in a minute
    box.until(f"test -f {path}", within=WITHIN)


WEAK = (
    ("systemctl disable fairtime", "systemctl enable fairtime", "unit-disabled"),
    ("systemctl mask --runtime fairtime", "systemctl unmask --runtime fairtime", "unit-overridden"),
    (
        "mkdir /etc/systemd/system/fairtime.service.d && echo '[Service]' > /etc/systemd/system/fairtime.service.d/x.conf",
        "rm -r /etc/systemd/system/fairtime.service.d",
        "unit-changed",
    ),
    ("echo > /etc/polkit-1/rules.d/00-a.rules", "rm /etc/polkit-1/rules.d/00-a.rules", "polkit-before-ours"),
    ("setfacl -m u:mia:rw /etc/pam.d/other", "setfacl -b /etc/pam.d/other", "place-writable"),
    ("chmod u+s /usr/bin/find", "chmod u-s /usr/bin/find", "setuid-shell"),
    ("echo 'mia ALL=(ALL) ALL' > /etc/sudoers.d/x", "rm /etc/sudoers.d/x", "child-sudo"),
    ("echo 'ana ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/y", "rm /etc/sudoers.d/y", "sudo-without-password"),
    ("gpasswd -a mia adm", "gpasswd -d mia adm", "child-group-adm"),
    ("gpasswd -a mia disk", "gpasswd -d mia disk", "child-group-disk"),
    ("gpasswd -a mia sudo", "gpasswd -d mia sudo", "child-administrator"),
)


def test_the_doctor_finds_what_is_weak_and_finds_it_gone(box: Box) -> None:
    wanted = {id_ for _, _, id_ in WEAK}
    assert not wanted & finds(box)
    for deed, _, _ in WEAK:
        box.run(deed).check()
    try:
        report = doctor(box)
        found = {f["id"]: f for f in report["findings"]}
        assert wanted <= found.keys()
        assert all(found[id_]["advice"] for id_ in wanted)
        assert report["protection"] == "not protected"
    finally:
        for _, back, _ in reversed(WEAK):
            box.run(back).check()
    assert not wanted & finds(box)


def test_a_child_that_became_administrator_is_told_within_a_minute(box: Box) -> None:
    box.run("gpasswd -a mia sudo").check()
    try:
        told(box, "mia is an administrator")
        assert box.fairtime.status("mia")["protection"] == "not protected"
    finally:
        box.run("gpasswd -d mia sudo").check()
    box.until("! fairtime status --json --child mia | grep -q 'mia is an administrator'", within=15)


# ---- polkit --------------------------------------------------------------------------------------------------------

NO = (
    "org.freedesktop.timedate1.set-time",
    "org.freedesktop.timedate1.set-timezone",
    "org.freedesktop.timedate1.set-ntp",
    "org.freedesktop.policykit.exec",
    "org.freedesktop.systemd1.manage-units",
    "org.freedesktop.systemd1.manage-unit-files",
    "org.freedesktop.login1.set-self-linger",
    "org.freedesktop.login1.set-user-linger",
)
ASK = ("org.freedesktop.login1.set-reboot-to-firmware-setup", "org.freedesktop.login1.set-reboot-to-boot-loader-menu")
KDE = 'polkit.addRule(function (a, s) { if (a.id.indexOf("org.freedesktop.timedate1.") == 0) return polkit.Result.YES; });\n'


@pytest.fixture
def generous(box: Box) -> Iterator[None]:
    """A desktop's own rule that lets whoever sits there set the clock, as KDE ships one."""
    path = "/usr/share/polkit-1/rules.d/10-kde-clock.rules"
    box.write(path, KDE)
    box.until(f"pkcheck --action-id {NO[0]} --process $$ -u", within=10)  # polkitd has read it
    yield
    box.run(["rm", path]).check()


def ask(box: Box, account: str, *actions: str) -> dict[str, int]:
    """pkcheck(1)'s answer for a process of the account: 0 yes, 1 no, 2 a password would be asked for."""
    line = "echo $$ > /tmp/asking; exec sleep 60"
    waiting = box.spawn(["sh", "-c", line], account)
    try:
        box.until("test -s /tmp/asking", within=10)
        pid = box.read("/tmp/asking").strip()
        return {action: box.run(f"pkcheck --action-id {action} --process {pid}").code for action in actions}
    finally:
        box.run("kill $(cat /tmp/asking); rm -f /tmp/asking")
        waiting.communicate()


@pytest.mark.usefixtures("generous")
def test_a_child_may_not(box: Box) -> None:
    assert ask(box, "leo", *NO) == dict.fromkeys(NO, 1)


@pytest.mark.usefixtures("generous")
def test_a_guardian_still_may(box: Box) -> None:
    assert ask(box, "ana", NO[1]) == {NO[1]: 0}


def test_with_a_guardians_password_it_goes_on(box: Box) -> None:
    assert ask(box, "leo", *ASK) == dict.fromkeys(ASK, 2)


TOOLS = (
    "timedatectl --no-ask-password set-time '2030-01-01 00:00:00'",
    "timedatectl --no-ask-password set-timezone Pacific/Kiritimati",
    "timedatectl --no-ask-password set-ntp false",
    "loginctl --no-ask-password enable-linger",
    "systemctl --no-ask-password stop fairtime",
    "systemctl --no-ask-password kill fairtime",
    "systemctl --no-ask-password set-property fairtime MemoryMax=1",
    "systemd-run --no-ask-password true",
    "timeout 10 pkexec --disable-internal-agent id",
    "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "
    "StopUnit ss fairtime.service fail",
)


@pytest.mark.usefixtures("generous")
def test_the_tools_are_refused(box: Box) -> None:
    pid = box.fairtime.pid
    with box.session("leo", "tty") as session:
        assert {line: session.run(line, timeout=30).ok for line in TOOLS} == dict.fromkeys(TOOLS, False)
    assert box.fairtime.pid == pid
    assert not box.run("test -e /var/lib/systemd/linger/leo").ok


# ---- accounts ------------------------------------------------------------------------------------------------------


def test_a_new_account_is_limited_and_told_within_a_minute(box: Box) -> None:
    box.run("useradd --create-home --shell /bin/bash --uid 31050 tim && echo tim:tim-lab | chpasswd").check()
    try:
        told(box, "The account tim is in nobody")
        assert box.fairtime.status("tim")["children"][0]["budget_today"] == 3600
        assert "account-appeared" in box.run(["fairtime", "audit", "show"]).check().out
        assert "unknown-account" in finds(box)
        box.until("id -nG tim | grep -q fairtime-children", within=15)
    finally:
        box.run("userdel --remove --force tim")
    box.until("! fairtime status --json --child mia | grep -q 'The account tim'", within=15)


# ---- the service under a child's load ------------------------------------------------------------------------------


def test_the_unit_is_as_it_was_written(box: Box) -> None:
    shown = (
        box.run("systemctl show fairtime -p Slice,OOMScoreAdjust,CPUWeight,Restart,KillMode,NeedDaemonReload")
        .check()
        .out
    )
    for words in (
        "Slice=fairtime.slice",
        "OOMScoreAdjust=-900",
        "CPUWeight=1000",
        "Restart=always",
        "KillMode=process",
    ):
        assert words in shown
    assert box.read("/sys/fs/cgroup/fairtime.slice/fairtime.service/memory.min").strip() in (str(64 << 20), "")
    if box.run(
        "echo -900 > /proc/self/oom_score_adj"
    ).ok:  # a container may not be allowed to, and systemd then goes on
        assert box.read(f"/proc/{box.fairtime.pid}/oom_score_adj").strip() == "-900"


# ---- away and back -------------------------------------------------------------------------------------------------


def test_away_is_as_it_was_byte_for_byte(tmp_path: Path) -> None:
    """On a disk of its own, which never boots: with the real pam-auth-update, groups and folders of Debian."""
    disk = image.copy(image.place() / f"away-{os.getpid()}.ext4")
    at = Path(tempfile.mkdtemp(prefix="away-", dir=image.place()))
    try:
        with image.mounted(disk, at) as root:
            # pam-auth-update's own first run (its memory, its notes) is not ours: it has happened on every PC.
            subprocess.run(
                ["chroot", str(root), "pam-auth-update", "--package"],
                check=True,
                env={**install.CLEAN, "DEBIAN_FRONTEND": "noninteractive"},
            )
            # Everything that an installation may touch.
            look = Snapshots(root, ("etc/", "usr/", "var/"), left=("usr/lib/fairtime/", "var/lib/fairtime/"))
            before = look.take()
            install.install(root)
            assert "fairtime" in (root / STACK.lstrip("/")).read_text()
            script = ROOT / "installer" / "linux" / "install.sh"
            subprocess.run(["sh", str(script), "--root", str(root), "--uninstall"], check=True, env=install.CLEAN)
            after = look.take()
            changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
            # The copies that groupadd, groupdel and pam-auth-update make of what was there are theirs.
            assert changed <= {"etc/group-", "etc/gshadow-", "var/cache/debconf/config.dat-old"}, changed
            assert (root / "var/lib/fairtime/removed").exists()
    finally:
        disk.unlink(missing_ok=True)
        shutil.rmtree(at, ignore_errors=True)


def test_away_and_back_on_a_running_pc(box: Box) -> None:
    for name in ("installer", "assets/icons", "agent/platforms/linux", "docs"):
        target = box.root / "root/checkout" / name
        shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
    script = "sh /root/checkout/installer/linux/install.sh"
    box.run(f"{script} --uninstall", timeout=120).check()
    try:
        assert not box.run("systemctl cat fairtime").ok
        assert not box.run("pgrep -f '[f]airtime service'").ok
        assert "fairtime" not in box.read(STACK)
        assert not box.run("getent group fairtime-children").ok
        with box.session("mia", "tty") as session:
            session.run("id").check()
    finally:
        box.run(script, timeout=120).check()
        box.run("systemctl enable --now fairtime").check()
        box.fairtime.wait()
        shutil.rmtree(box.root / "root/checkout")
    assert "was-removed" in box.run(["fairtime", "audit", "show"]).check().out
    told_of = box.run("fairtime summary --json 2>/dev/null || true").out
    assert "was taken off this PC" in told_of
    assert not box.run("test -e /var/lib/fairtime/removed").ok
