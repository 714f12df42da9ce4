"""What the doctor finds on a PC: every weak place on a folder that stands for one, with its fix, and nothing on a sound one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("reads Linux's files", allow_module_level=True)

from agent.platforms.base import Ability, Capability, Finding
from agent.platforms.linux import accounts, findings, openplaces, sudoers, unitstate, waysin
from agent.platforms.linux.accounts import Person

MIA, ANA = "mia", "ana"


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Accounts with their groups; who is in sudo is an administrator."""
    known: dict[str, set[str]] = {MIA: {"mia"}, ANA: {"ana", "sudo"}}
    uids = {MIA: 1001, ANA: 1000}

    def person(name: str) -> Person | None:
        return Person(name, uids[name], frozenset({uids[name]})) if name in known else None

    monkeypatch.setattr(accounts, "person", person)
    monkeypatch.setattr(accounts, "groups_of", lambda name: frozenset(known.get(name, ())))
    monkeypatch.setattr(accounts, "is_administrator", lambda name: name == "root" or "sudo" in known.get(name, ()))
    return known


@pytest.fixture
def pc(tmp_path: Path, groups: dict[str, set[str]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound PC: the test's own files count as root's."""
    root = tmp_path / "pc"
    for folder in ("etc/pam.d", "etc/sudoers.d", "usr/bin", "usr/sbin", "boot/grub", "proc/self"):
        (root / folder).mkdir(parents=True, mode=0o755)
    write(root, "etc/sudoers", "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n")
    write(root, "etc/shadow", "root:!:1::::::\nana:$y$x:1::::::\nmia:$y$x:1::::::\n")
    write(root, "etc/pam.d/common-auth", "auth required pam_unix.so\n")
    return root


def write(root: Path, name: str, text: str, mode: int = 0o644) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def look(root: Path, *children: str) -> dict[str, Finding]:
    return {f.id: f for f in findings.findings(children or (MIA,), (), root=root)}


def test_a_sound_pc_has_nothing_to_tell(pc: Path) -> None:
    assert look(pc) == {}


@pytest.mark.parametrize(("group", "severity"), [(g, s) for g, (s, _) in findings.GROUPS.items()])
def test_a_group_that_gives_more(pc: Path, groups: dict[str, set[str]], group: str, severity: str) -> None:
    groups[MIA].add(group)
    found = look(pc)[f"child-group-{group}"]
    assert (found.severity, found.child) == (severity, MIA)
    assert f"gpasswd -d {MIA} {group}" in found.advice


@pytest.mark.parametrize("group", ["sudo", "docker", "libvirt", "lpadmin", "kvm"])
def test_these_groups_take_the_badge_away(pc: Path, groups: dict[str, set[str]], group: str) -> None:
    groups[MIA].add(group)
    assert {f.severity for f in look(pc).values()} & {"open", "weak"}


def test_a_child_without_an_account(pc: Path) -> None:
    assert look(pc, "nobody-here")["child-account-missing"].severity == "open"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("mia ALL=(ALL) ALL", True),
        ("leo, mia ALL=(ALL) ALL", True),
        ("leo,mia ALL=(ALL) NOPASSWD: /usr/bin/apt", True),
        ("ALL ALL=(ALL) ALL", True),
        ("#1001 ALL=(ALL) ALL", True),
        ("%#1001 ALL=(ALL) ALL", True),
        ("%mia ALL=(ALL) ALL", True),
        ("User_Alias KIDS = leo, mia : OLD = gran\nKIDS ALL=(ALL) ALL", True),
        ("User_Alias IN = mia\nUser_Alias OUT = IN\nOUT ALL=(ALL) ALL", True),
        ("mia \\\n  ALL=(ALL) ALL", True),
        ("ALL, !mia ALL=(ALL) ALL", False),
        ("ALL, !%mia ALL=(ALL) ALL", False),
        ("# mia ALL=(ALL) ALL", False),
        ("miami ALL=(ALL) ALL", False),
        ("User_Alias KIDS = mia", False),
        ("Cmnd_Alias mia = /bin/true", False),
        ("Defaults:mia !lecture", False),
        ("User_Alias A = B\nUser_Alias B = A\nA ALL=(ALL) ALL", False),
        ("", False),
    ],
)
def test_rules_of_sudo_that_name_a_child(pc: Path, line: str, named: bool) -> None:
    write(pc, "etc/sudoers.d/more", line + "\n", 0o440)
    assert ("child-sudo" in look(pc)) == named


def test_files_that_sudo_leaves_out_are_left_out(pc: Path) -> None:
    write(pc, "etc/sudoers.d/old.bak", "mia ALL=(ALL) ALL\n")
    write(pc, "etc/sudoers.d/old~", "mia ALL=(ALL) ALL\n")
    assert look(pc) == {}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("permit mia", "child-sudo"),
        ("permit nopass keepenv setenv { A B=c } mia as root", "child-sudo"),
        ("permit :mia", "child-sudo"),
        ("permit nopass ana", "sudo-without-password"),
        ("deny mia", ""),
        ("# permit mia", ""),
    ],
)
def test_rules_of_doas(pc: Path, line: str, found: str) -> None:
    write(pc, "etc/doas.conf", line + "\n")
    assert (found in look(pc)) if found else look(pc) == {}


@pytest.mark.parametrize("line", ["ana ALL=(ALL) NOPASSWD: ALL", "%sudo ALL=(ALL:ALL) NOPASSWD:ALL"])
def test_sudo_without_a_password(pc: Path, line: str) -> None:
    write(pc, "etc/sudoers.d/more", line + "\n")
    assert look(pc)["sudo-without-password"].severity == "weak"


def test_an_administrator_without_a_password(pc: Path) -> None:
    write(pc, "etc/shadow", "root:!:1::::::\nana::1::::::\nmia::1::::::\n")
    found = [f for f in findings.findings([MIA], (), root=pc) if f.id == "administrator-without-password"]
    assert [f.title for f in found] == ["The administrator ana has no password"]


@pytest.mark.parametrize(
    ("files", "open_"),
    [
        ({"etc/lightdm/lightdm.conf": "[Seat:*]\nallow-guest=true\n"}, True),
        ({"etc/lightdm/lightdm.conf.d/50.conf": "[Seat:*]\n Allow-Guest = TRUE\n"}, True),
        ({"usr/sbin/guest-account": ""}, True),  # lightdm's own default
        ({"usr/sbin/guest-account": "", "etc/lightdm/lightdm.conf": "[Seat:*]\nallow-guest=false\n"}, False),
        (
            {
                "usr/share/lightdm/lightdm.conf.d/50.conf": "allow-guest=false\n",
                "etc/lightdm/lightdm.conf": "allow-guest=true\n",
            },
            True,
        ),
        ({"etc/lightdm/lightdm.conf": "#allow-guest=true\n"}, False),
    ],
)
def test_guest_sessions(pc: Path, files: dict[str, str], open_: bool) -> None:
    for name, text in files.items():
        write(pc, name, text)
    assert ("guest-session" in look(pc)) == open_


@pytest.mark.parametrize(
    ("name", "text", "open_"),
    [
        ("etc/lightdm/lightdm.conf", "autologin-user=ana\n", True),
        ("etc/lightdm/lightdm.conf", "autologin-user=mia\n", False),
        ("etc/lightdm/lightdm.conf", "#autologin-user=ana\n", False),
        ("etc/gdm3/daemon.conf", "[daemon]\nAutomaticLoginEnable=true\nAutomaticLogin=ana\n", True),
        ("etc/gdm3/daemon.conf", "[daemon]\nTimedLoginEnable = true\nTimedLogin = ana\n", True),
        ("etc/gdm3/daemon.conf", "[daemon]\n#AutomaticLoginEnable=true\nAutomaticLogin=ana\n", False),
        ("etc/sddm.conf.d/a.conf", "[Autologin]\nUser=ana\n", True),
        ("etc/sddm.conf.d/a.conf", "[Users]\nUser=ana\n", False),
        ("etc/greetd/config.toml", '[initial_session]\ncommand = "sway"\nuser = "ana"\n', True),
        ("etc/systemd/system/getty@tty1.service.d/a.conf", "ExecStart=-/sbin/agetty --autologin ana %I\n", True),
    ],
)
def test_administrators_who_are_logged_in_by_themselves(pc: Path, name: str, text: str, open_: bool) -> None:
    write(pc, name, text)
    assert ("automatic-login" in look(pc)) == open_


HASH = "grub.pbkdf2.sha512.10000.AB"
MENU = 'menuentry "Debian" --unrestricted {\n}\n'
FEDORA = 'set superusers="root"\npassword_pbkdf2 root ${GRUB2_PASSWORD}\n' + MENU


@pytest.mark.parametrize(
    ("files", "open_"),
    [
        ({"boot/grub/grub.cfg": MENU}, True),
        ({"boot/grub/grub.cfg": f'set superusers="ana"\npassword_pbkdf2 ana {HASH}\n{MENU}'}, False),
        ({"boot/grub/grub.cfg": 'set superusers="ana"\n' + MENU}, True),
        ({"boot/grub2/grub.cfg": FEDORA}, True),
        ({"boot/grub2/grub.cfg": FEDORA, "boot/grub2/user.cfg": f"GRUB2_PASSWORD={HASH}\n"}, False),
        ({"boot/efi/EFI/debian/grub.cfg": "configfile ($root)/boot/grub/grub.cfg\n"}, False),
        ({"boot/loader/loader.conf": "timeout 3\n"}, True),
        ({"boot/loader/loader.conf": "timeout 3\neditor no\n"}, False),
        ({"efi/loader/loader.conf": "editor yes\n"}, True),
    ],
)
def test_the_boot_menu(pc: Path, files: dict[str, str], open_: bool) -> None:
    for name, text in files.items():
        write(pc, name, text)
    found = look(pc)
    assert ("boot-menu-open" in found) == open_
    assert not open_ or found["boot-menu-open"].severity == "weak"


def disk(root: Path, mount: str, blocks: dict[str, tuple[str, list[str]]]) -> None:
    """``blocks``: number or name → (dm uuid, slaves)."""
    write(root, "proc/self/mountinfo", mount + "\n")
    for block, (uuid, slaves) in blocks.items():
        folder = root / ("sys/dev/block" if ":" in block else "sys/class/block") / block
        (folder / "slaves").mkdir(parents=True)
        for slave in slaves:
            (folder / "slaves" / slave).mkdir()
        if uuid:
            write(folder, "dm/uuid", uuid + "\n")


@pytest.mark.parametrize(
    ("mount", "blocks", "readable"),
    [
        ("1 0 8:2 / / rw - ext4 /dev/sda2 rw", {"8:2": ("", [])}, True),
        ("1 0 254:0 / / rw - ext4 /dev/mapper/r rw", {"254:0": ("CRYPT-LUKS2-x", ["sda3"])}, False),
        (
            "1 0 254:1 / / rw - ext4 /dev/mapper/vg rw",
            {"254:1": ("LVM-x", ["dm-0"]), "dm-0": ("CRYPT-LUKS2-x", [])},
            False,
        ),
        ("1 0 254:1 / / rw - ext4 /dev/mapper/vg rw", {"254:1": ("LVM-x", ["sda3"]), "sda3": ("", [])}, True),
        ("1 0 0:30 /@ / rw - btrfs /dev/sda2 rw", {"sda2": ("", [])}, True),
        ("1 0 0:30 /@ / rw - btrfs /dev/dm-0 rw", {"dm-0": ("CRYPT-LUKS1-x", [])}, False),
        ("1 0 0:30 / / rw - overlay overlay rw", {}, False),
        ("1 0 0:30 / / rw - nfs server:/root rw", {}, False),
    ],
)
def test_the_disk(pc: Path, mount: str, blocks: dict[str, tuple[str, list[str]]], readable: bool) -> None:
    disk(pc, mount, blocks)
    found = {f.id: f for f in waysin.of_disk(pc)}
    assert ("disk-readable" in found) == readable


@pytest.mark.parametrize(
    "name", [*(n for n in openplaces.ALONE if n not in ("usr", "etc")), *(f"{n}/one" for n in openplaces.WITH_CONTENT)]
)
def test_a_place_that_everybody_may_write(pc: Path, name: str) -> None:
    path = pc / name
    if not path.exists():
        write(pc, name, "x")
    path.chmod(path.stat().st_mode | 0o002)
    found = look(pc)["place-writable"]
    assert found.severity == "open"
    assert f"Everybody may change /{name}," in found.title
    assert f"chmod go-w /{name}" in found.advice


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other accounts: as root")
def test_a_place_that_a_child_may_write(pc: Path) -> None:
    path = write(pc, "etc/cron.d/job", "")
    os.chown(path, 1001, 0)
    found = look(pc)["place-writable"]
    assert (found.child, found.title) == (MIA, "mia may change /etc/cron.d/job, which decides what root does")
    os.chown(path, 0, 1001)
    path.chmod(0o664)
    assert look(pc)["place-writable"].child == MIA
    os.chown(path, 0, 1002)
    assert look(pc) == {}
    os.chown(path, 1002, 0)  # a system's own account, a guardian's: not the child's
    path.chmod(0o644)
    assert look(pc) == {}


def test_many_open_places_are_few_lines(pc: Path) -> None:
    for number in range(30):
        write(pc, f"etc/cron.d/{number}", "", 0o666)
    found = [f for f in findings.findings([MIA], (), root=pc) if f.id == "place-writable"]
    assert len(found) == 9
    assert "22 more" in found[-1].title


def test_a_link_is_not_a_place(pc: Path) -> None:
    (pc / "etc/pam.d/link").symlink_to("/nowhere")
    assert look(pc) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="makes setuid files of root: as root")
@pytest.mark.parametrize(
    ("name", "mode", "id_"),
    [
        ("bash", 0o4755, "setuid-shell"),
        ("python3.11", 0o4755, "setuid-shell"),
        ("find", 0o4755, "setuid-shell"),
        ("vim.basic", 0o4755, "setuid-shell"),
        ("passwd", 0o4777, "setuid-writable"),
        ("passwd", 0o4755, ""),
        ("bash", 0o755, ""),
        ("bash", 0o4750, ""),
    ],
)
def test_programs_that_run_as_root(pc: Path, name: str, mode: int, id_: str) -> None:
    write(pc, f"usr/bin/{name}", "", mode)
    assert set(look(pc)) == ({id_} if id_ else set())


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"usr/bin/crontab": ""}, True),
        ({"usr/bin/crontab": "", "etc/cron.deny": "mia\n"}, False),
        ({"usr/bin/crontab": "", "etc/cron.allow": "ana\n"}, False),
        ({"usr/bin/crontab": "", "etc/cron.allow": "ana\n", "etc/cron.deny": "mia\n"}, False),
        ({"usr/bin/crontab": "", "etc/cron.allow": "ana\nmia\n"}, True),
        ({"usr/bin/at": "", "etc/at.deny": "daemon\n"}, True),
        ({"etc/cron.deny": ""}, False),
    ],
)
def test_timed_jobs_are_a_note(pc: Path, files: dict[str, str], told: bool) -> None:
    for name, text in files.items():
        write(pc, name, text)
    found = look(pc)
    assert {f.severity for f in found.values()} == ({"note"} if told else set())


def test_user_namespaces_are_a_note(pc: Path) -> None:
    write(pc, "proc/sys/user/max_user_namespaces", "7000\n")
    assert look(pc)["user-namespaces"].severity == "note"
    write(pc, "proc/sys/kernel/unprivileged_userns_clone", "0\n")
    assert look(pc) == {}


# ---- the installation ----------------------------------------------------------------------------------------------


@pytest.fixture
def installed(pc: Path) -> Path:
    write(pc, "var/lib/fairtime/own/manifest", "")
    write(pc, "usr/share/polkit-1/actions/org.x.policy", "")
    write(pc, "usr/share/polkit-1/rules.d/00-fairtime.rules", "")
    write(pc, "usr/share/polkit-1/rules.d/50-default.rules", "")
    write(pc, "var/lib/dpkg/info/polkitd.list", "")
    wants = pc / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / unitstate.UNIT).symlink_to("/usr/lib/systemd/system/fairtime.service")
    assert look(pc) == {}
    return pc


Deed = Callable[[Path], object]


@pytest.mark.parametrize(
    ("deed", "id_", "severity"),
    [
        (
            lambda pc: (pc / "etc/systemd/system/multi-user.target.wants" / unitstate.UNIT).unlink(),
            "unit-disabled",
            "weak",
        ),
        (lambda pc: (pc / "etc/systemd/system" / unitstate.UNIT).symlink_to("/dev/null"), "unit-overridden", "open"),
        (lambda pc: write(pc, f"etc/systemd/system/{unitstate.UNIT}", "[Service]\n"), "unit-overridden", "open"),
        (lambda pc: write(pc, f"run/systemd/system/{unitstate.UNIT}", "[Service]\n"), "unit-overridden", "open"),
        (lambda pc: write(pc, f"etc/systemd/system/{unitstate.UNIT}.d/o.conf", "ExecStart=\n"), "unit-changed", "weak"),
        (lambda pc: write(pc, "etc/polkit-1/rules.d/00-a.rules", ""), "polkit-before-ours", "weak"),
        (lambda pc: write(pc, "etc/polkit-1/rules.d/0-kde.rules", ""), "polkit-before-ours", "weak"),
    ],
)
def test_what_keeps_the_installation_from_working(installed: Path, deed: Deed, id_: str, severity: str) -> None:
    deed(installed)
    found = look(installed)
    assert {f.id: f.severity for f in found.values()} == {id_: severity}
    assert found[id_].advice


def test_an_old_polkit_reads_no_rules(installed: Path) -> None:
    (installed / "var/lib/dpkg/info/polkitd.list").unlink()
    write(installed, "var/lib/dpkg/status", "Package: policykit-1\nStatus: install ok installed\nVersion: 0.105-33\n\n")
    assert look(installed)["polkit-too-old"].severity == "weak"
    write(installed, "var/lib/dpkg/status", "Package: policykit-1\nVersion: 0.120-6\n\n")
    assert look(installed) == {}


def test_without_an_installation_nothing_is_said_of_it(pc: Path) -> None:
    assert not list(unitstate.of_installation(pc))


def test_the_gravest_come_first_and_there_are_not_too_many(pc: Path, groups: dict[str, set[str]]) -> None:
    groups[MIA] |= findings.GROUPS.keys()
    many = [MIA, *(f"gone{n}" for n in range(200))]
    found = findings.findings(many, (), root=pc)
    assert len(found) == 100
    order = [("open", "weak", "note").index(f.severity) for f in found]
    assert order == sorted(order)


def test_a_sudoers_file_without_end_is_cut(pc: Path) -> None:
    write(pc, "etc/sudoers", "# x\n" * 500_000)
    assert sudoers.grants(pc) == []


@pytest.mark.parametrize("gate", [True, False])
def test_without_the_kernels_events_it_says_what_may_run_until_the_next_look(gate: bool) -> None:
    missing = Ability(Capability.START_EVENTS, False, "The kernel tells none.")
    (found,) = findings.of_abilities([missing, Ability(Capability.EXEC_GATE, gate)])
    assert ("a blocked program may run that long" in found.advice) is not gate
    assert ("all else that is blocked does not start" in found.advice) is gate
