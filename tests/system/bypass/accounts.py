"""Becoming somebody else, or more than a child."""

from __future__ import annotations

import json

from tests.system.bypass.attack import Outcome, attack
from tests.system.bypass.lab import Lab, all_of, refused


@attack("new-account", "make a second account", 15)
def new_account(lab: Lab) -> Outcome:
    lines = (
        "/usr/sbin/useradd evil", "/usr/sbin/adduser evil", "echo evil::0:0::/:/bin/sh >>/etc/passwd", "sudo -n useradd evil",
        "pkexec useradd evil </dev/null", "homectl create evil </dev/null", "newgrp sudo </dev/null",
    )  # fmt: skip
    outcome = all_of((line, refused(lab.mia.run(line, timeout=15))) for line in lines)
    return Outcome(outcome.held and not lab.box.run("getent passwd evil").ok, outcome.evidence)


@attack("unknown-account", "an account that no policy names", 15)
def unknown_account(lab: Lab) -> Outcome:
    """noa exists since before; the strictest limits hold for it, and guardians are told."""
    lab.box.write("/home/noa/bag/game", (lab.box.root / "home/mia/bag/game").read_bytes(), owner="noa", mode=0o755)
    notes = " ".join(lab.box.fairtime.status("mia")["notes"])
    told = "noa" in notes
    session = lab.log_in("noa")
    if isinstance(session, str):
        return Outcome(told, f"login refused: {session[-80:]}")
    outcome = lab.play(session, "$BAG/game")
    session.end()
    return Outcome(outcome.held and told, f"{outcome.evidence}; {'guardians are told' if told else 'nobody is told'}")


@attack("guest", "a guest session at the login screen", 16)
def guest(lab: Lab) -> Outcome:
    lab.box.write("/etc/lightdm/lightdm.conf", "[Seat:*]\nallow-guest=true\n")
    found = _doctor(lab)
    lab.box.run("rm -r /etc/lightdm")
    return Outcome(
        "guest-session" in found, "doctor: guest session, open" if "guest-session" in found else f"doctor: {found}"
    )


@attack("administrator", "the child is in sudo: no claim of protection", 17)
def administrator(lab: Lab) -> Outcome:
    lab.box.run("adduser leo sudo").check()
    found = _doctor(lab)
    lab.box.run("deluser leo sudo").check()
    there = "child-administrator" in found
    return Outcome(there, "doctor says open" if there else f"doctor: {found}")


@attack("escalate", "sudo, su, pkexec, setuid copies, capabilities, groups", 17)
def escalate(lab: Lab) -> Outcome:
    lines = (
        "sudo -n true", "echo mia-lab | sudo -S true", "echo mia-lab | su -c true", "echo mia-lab | su ana -c true",
        "pkexec true </dev/null", "cp /bin/dash d; chmod u+s d; /usr/sbin/setcap cap_sys_admin+ep d", "gpasswd -a mia sudo",
        "chsh -s /home/mia/bag/game </dev/null", "echo 'mia ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/mia",
    )  # fmt: skip
    return all_of((line, refused(lab.mia.run(line, timeout=15))) for line in lines)


@attack("service-manager", "stop, mask, override or restart the service; rescue mode", 4, 5)
def service_manager(lab: Lab) -> Outcome:
    before = lab.box.fairtime.pid
    lines = (
        "systemctl --no-ask-password stop fairtime", "systemctl --no-ask-password mask --now fairtime",
        "systemctl --no-ask-password kill -s KILL fairtime", "systemctl --no-ask-password isolate rescue.target",
        "systemctl --no-ask-password set-property fairtime.service CPUQuota=1%", "systemctl --no-ask-password daemon-reexec",
        "systemctl --no-ask-password set-environment PYTHONPATH=/home/mia", "systemctl --no-ask-password stop dbus systemd-logind",
        "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StopUnit ss fairtime.service replace",
        "loginctl --no-ask-password terminate-user leo", "loginctl --no-ask-password kill-user root",
    )  # fmt: skip
    outcome = all_of((line, refused(lab.mia.run(line, timeout=15))) for line in lines)
    return Outcome(outcome.held and lab.box.fairtime.pid == before, outcome.evidence)


def _doctor(lab: Lab) -> set[str]:
    """Ids of what ``fairtime doctor`` finds now."""
    found = json.loads(lab.box.run("fairtime doctor --json").out)
    return {one["id"] for one in found["findings"]}
