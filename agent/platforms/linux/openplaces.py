"""Places from which root runs or reads what a child could have written, and programs that hand out root's rights.

Bounded: the folders that are named here and what lies directly in them, some thousand lstat(2) in all (10 ms).
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.linux is for Linux")

from agent.platforms.base import Finding
from agent.platforms.linux.accounts import Person
from agent.platforms.linux.permissions import open_to

ALONE = (
    "etc", "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/sudoers", "etc/doas.conf", "etc/crontab", "etc/fstab",
    "etc/profile", "etc/bash.bashrc", "etc/environment", "etc/login.defs", "etc/ld.so.preload", "etc/ld.so.conf",
    "etc/sysctl.conf", "etc/nsswitch.conf", "etc/hosts", "etc/resolv.conf", "etc/fairtime", "usr", "usr/bin", "usr/sbin",
    "usr/lib", "usr/local/bin", "usr/local/sbin", "usr/lib/fairtime", "var/lib/fairtime", "root", "boot", "boot/grub",
    "boot/grub2",
)  # fmt: skip
WITH_CONTENT = (
    "etc/pam.d", "etc/security", "etc/sudoers.d", "etc/systemd/system", "etc/systemd/user", "etc/polkit-1/rules.d",
    "usr/lib/systemd/system", "usr/share/polkit-1/rules.d", "usr/share/polkit-1/actions", "usr/share/pam-configs",
    "etc/cron.d", "etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly", "etc/cron.monthly", "etc/profile.d",
    "etc/ld.so.conf.d", "etc/sysctl.d", "etc/modprobe.d", "etc/udev/rules.d", "etc/X11/Xsession.d", "etc/xdg/autostart",
    "etc/init.d", "etc/apt/apt.conf.d", "etc/NetworkManager/dispatcher.d", "etc/lightdm", "etc/gdm3", "etc/sddm.conf.d",
    "etc/environment.d", "etc/fairtime", "usr/libexec/fairtime",
)  # fmt: skip
_BINARIES = ("usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin")
_SHELLS = re.compile(
    r"^(ba|da|z|k|c|tc|fi)?sh$|^busybox$|^(python|perl|ruby|lua|node|php|tclsh)[\d.]*$|^(vi|vim|nano|emacs|less|more|ed|awk|gawk|mawk"
    r"|find|env|cp|mv|dd|tee|sed|tar|chmod|chown|strace|gdb|nsenter|unshare|docker|make|xargs|nice|timeout|script)([.\d-].*)?$"
)
_MOST_IN_ONE = 1_000
_MOST_TOLD = 8
_NOBODY = Person("", 65534, frozenset({65534}))
"""Whoever anybody is: finds what all may write."""


def of_places(people: Collection[Person], root: Path) -> Iterator[Finding]:
    """What one of these accounts, or everybody, may write."""
    found = []
    for path, info in _places(root):
        # Most are root's and root's alone: an ACL grants nothing without the group's bit (acl(5)).
        if info.st_uid == 0 and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            continue
        who = next((one for one in (_NOBODY, *people) if open_to(path, one)), None)
        if who is not None:
            found.append((path, who))
    for path, who in found[:_MOST_TOLD]:
        shown = f"/{os.path.relpath(path, root)}"
        yield Finding(
            "place-writable", "open", f"{who.name or 'Everybody'} may change {shown}, which decides what root does",
            f"Take the right away: sudo chown root: {shown}; sudo chmod go-w {shown}; sudo setfacl -b {shown}",
            who.name,
        )  # fmt: skip
    if len(found) > _MOST_TOLD:
        yield Finding(
            "place-writable", "open", f"{len(found) - _MOST_TOLD} more such places may be changed",
            "Put these right and look again: there are more than are shown here.",
        )  # fmt: skip


def of_setuid(people: Collection[Person], root: Path) -> Iterator[Finding]:
    """Shells and tools that run as root for anybody, and setuid programs that somebody may overwrite."""
    for folder in _BINARIES:
        for entry in _entries(root / folder):
            info = _lstat(entry.path)
            if info is None or not stat.S_ISREG(info.st_mode) or not info.st_mode & stat.S_ISUID or info.st_uid != 0:
                continue
            shown = f"/{folder}/{entry.name}"
            if info.st_mode & stat.S_IXOTH and _SHELLS.match(entry.name):
                yield Finding(
                    "setuid-shell", "open", f"{shown} runs as root for whoever starts it",
                    f"Take that away: sudo chmod u-s {shown}",
                )  # fmt: skip
            elif any(open_to(entry.path, one) for one in (_NOBODY, *people)):
                yield Finding(
                    "setuid-writable", "open", f"{shown} runs as root and may be changed by others",
                    f"Take that away: sudo chmod u-s,go-w {shown}, then install its package again.",
                )  # fmt: skip


def _places(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """A link is as safe as the folder it lies in, and left out."""
    for name in ALONE:
        info = _lstat(f"{root}/{name}")
        if info is not None and not stat.S_ISLNK(info.st_mode):
            yield f"{root}/{name}", info
    for name in WITH_CONTENT:
        info = _lstat(f"{root}/{name}")
        if info is None or not stat.S_ISDIR(info.st_mode):
            continue
        yield f"{root}/{name}", info
        for entry in _entries(root / name):
            info = _lstat(entry.path)
            if info is not None and not stat.S_ISLNK(info.st_mode):
                yield entry.path, info


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry, _ in zip(entries, range(_MOST_IN_ONE), strict=False)]
    except OSError:
        return []
