"""Files: the record, the policy, the program itself, and what the service reads of the child's own."""

from __future__ import annotations

import base64
import hashlib

from tests.system.bypass.attack import Outcome, attack
from tests.system.bypass.lab import OLD_POLICY, SHORT, Lab, all_of, refused
from tests.system.bypass.sessions import _play

STATE = "/var/lib/fairtime"
OWN = f"{STATE}/ledger.db {STATE}/policy.dsse.json {STATE}/root.json /etc/fairtime/family.toml /usr/bin/fairtime " \
    "/usr/lib/fairtime/bin/python3 /usr/lib/systemd/system/fairtime.service"  # fmt: skip


@attack("delete", "delete, overwrite, move or mount over Fairtime's files", 6)
def delete(lab: Lab) -> Outcome:
    lines = (
        f"for f in {OWN}; do rm -f $f && exit 0; echo x >>$f && exit 0; mv $f /tmp/ && exit 0; done; echo denied >&2; exit 1",
        f"rm -rf {STATE} /usr/lib/fairtime /etc/fairtime", f"mount --bind /tmp {STATE}", "dpkg --purge fairtime",
        "apt-get -y remove fairtime", "sh /usr/share/fairtime/install.sh --uninstall",
        f"unshare -Urm sh -c 'mount -t tmpfs t {STATE} && fairtime status --json >/dev/null; rm -f /usr/bin/fairtime'",
    )  # fmt: skip
    before = lab.box.run(f"stat -c '%n %i %a %U' {OWN}").out
    outcome = all_of((line, refused(lab.mia.run(line, timeout=20))) for line in lines)
    after = lab.box.run(f"stat -c '%n %i %a %U' {OWN}").out
    return Outcome(
        outcome.held and before == after, outcome.evidence if before == after else "files are others than before"
    )


@attack("record", "edit or read the ledger and the audit", 37)
def record(lab: Lab) -> Outcome:
    lines = (f"cat {STATE}/ledger.db", f"ls {STATE}", f"cp {STATE}/audit.log /tmp/", f"echo x >>{STATE}/audit.log",
             "python3 -c 'import sqlite3; sqlite3.connect(\"/var/lib/fairtime/ledger.db\").execute(\"delete from charge\")'")  # fmt: skip
    return all_of((line, refused(lab.leo.run(line))) for line in lines)


@attack("replay", "put an old, a foreign or a changed policy in force", 37)
def replay(lab: Lab) -> Outcome:
    """The old policy is signed by the guardian herself: what is wrong with it is only that it is old."""
    old = lab.box.read(OLD_POLICY)
    lab.box.write("/home/leo/old.json", old, owner="leo")
    changed = old.replace(base64.b64encode(b"x" * 3).decode(), "") + " "
    lab.box.write("/home/leo/changed.json", changed[:-40] + changed[-38:], owner="leo")
    lines = (
        "fairtime policy install ~/old.json", "fairtime policy install ~/changed.json",
        f"cp ~/old.json {STATE}/policy.dsse.json", "fairtime setup --answers /dev/null", "fairtime service run --state ~/mine",
    )  # fmt: skip
    outcome = all_of((line, refused(lab.leo.run(line, timeout=20))) for line in lines)
    root = lab.box.run(f"fairtime policy install {OLD_POLICY}")
    return Outcome(outcome.held and not root.ok, f"{outcome.evidence}; even as root: {' '.join(root.err.split())[:80]}")


@attack("links", "symlinks and hard links in /tmp, /var/tmp and the state folder's place", 37, alone=True)
def links(lab: Lab) -> Outcome:
    line = (
        f"for f in {OWN} /etc/shadow /etc/passwd; do ln $f /tmp/h-$(basename $f) 2>/dev/null && echo linked $f; done; "
        f"for n in fairtime fairtime.sock ledger.db policy.new .fairtime; do ln -sfn {STATE} /tmp/$n; ln -sfn /etc/shadow /var/tmp/$n; done; "
        f"ls -la /tmp | grep -c shadow; cat /tmp/fairtime/ledger.db"
    )
    done = lab.mia.run(line)
    lab.box.fairtime.control("restart")
    healthy = lab.box.fairtime.wait() < 20
    held = "linked" not in done.out and not done.ok and healthy
    lab.box.run("find /tmp /var/tmp -maxdepth 1 -user mia -type l -delete")
    return Outcome(held, f"{done.err.strip().splitlines()[-1][:80]}; the service starts among them: {healthy}")


@attack(
    "poisoned-home",
    "FIFOs, endless files and loops where the service reads of the child's: menus, autostart, programs",
    37,
    38,
)
def poisoned_home(lab: Lab) -> Outcome:
    """A service that opens a FIFO waits for ever, one that reads /dev/zero eats the memory."""
    lab.mia.run(
        "mkdir -p ~/.local/share/applications ~/.config/autostart; cd ~/.local/share/applications; mkfifo a.desktop; "
        "ln -s /dev/zero b.desktop; ln -s . loop; truncate -s 4G c.desktop; mkdir -p d.desktop; printf '%s' \"$(head -c 200000 /dev/zero | "
        "tr '\\0' A)\" >e.desktop; i=0; while [ $i -lt 3000 ]; do : >x$i.desktop; i=$((i+1)); done; "
        "mkfifo ~/.config/autostart/z.desktop; cp $HOME/bag/game ~/fat; truncate -s 600M ~/fat"
    )
    outcome = lab.play(lab.mia, "(sh $HOME/.local/share/applications/a.desktop &); ~/fat; $BAG/game")
    answers = lab.box.run("fairtime status --json --child mia", timeout=15).ok
    lab.box.run("rm -rf /home/mia/.local/share/applications /home/mia/.config/autostart /home/mia/fat")
    return Outcome(outcome.held and answers, f"service answers: {answers}; a game {outcome.evidence}")


@attack("own-config", "a unit, a config and a Python of one's own for Fairtime", 5, 37, kid=SHORT)
def own_config(lab: Lab) -> Outcome:
    line = (
        "mkdir -p ~/.config/systemd/user ~/.config/fairtime ~/lib/agent; echo 'raise SystemExit' >~/lib/sitecustomize.py; "
        "printf '[Service]\\nExecStart=/bin/true\\n' >~/.config/systemd/user/fairtime.service; echo 'format = 1' >~/.config/fairtime/family.toml; "
        "echo 'PYTHONPATH DEFAULT=/home/kid-own-config/lib' >~/.pam_environment; export PYTHONPATH=$HOME/lib; fairtime status; "
        "systemctl --user daemon-reload; systemctl --user start fairtime"
    )
    return _play(lab, "kid-own-config", line)


@attack("tampered", "change an allowed program's bytes in the instant after it was allowed", 11)
def tampered(lab: Lab) -> Outcome:
    """A program of the child's own is allowed by its SHA-256; other bytes under the same name are another program."""
    mine = (lab.box.root / "home/mia/bag/game-static").read_bytes() + b"mine"
    lab.box.write("/home/mia/bag/mine", mine, owner="mia", mode=0o755)
    sha = hashlib.sha256(mine).hexdigest()
    text = lab.family().replace(
        "programs = [\n", f'programs = [\n  {{ id = "mine", sha256 = "{sha}", action = "allow" }},\n', 1
    )
    lab.box.fairtime.policy(text)
    try:
        allowed = lab.play(lab.mia, "cp $BAG/mine ./mine; ./mine 3; sleep 2; ./mine 60", seconds=8)
        line = (
            "cp $BAG/mine ./mine; ./mine 1 2>/dev/null; sleep 1; i=0; while [ $i -lt 60 ]; do cat $BAG/mine >./mine; "
            "LIFE=$LIFE.good ./mine 0; (cat $BAG/mine; echo) >./mine; ./mine; i=$((i+1)); done"
        )
        changed = lab.play(lab.mia, f"LIFE=$LIFE.good; export LIFE; true; {line.replace('./mine 1 2>/dev/null', ':')}".replace(
            "echo) >./mine; ./mine;", "echo) >./mine; LIFE=${LIFE%.good} ./mine;"), seconds=9)  # fmt: skip
    finally:
        lab.box.fairtime.policy(lab.family())
    runs = not allowed.held
    return Outcome(runs and changed.held, f"allowed bytes run: {runs}; changed bytes: {changed.evidence}")
