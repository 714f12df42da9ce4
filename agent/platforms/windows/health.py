"""What about a Windows PC weakens protection: the lines of ``fairtime doctor`` that only Windows can tell.

Pure: ``Facts`` in, findings out.  ``None`` is what could not be found out, and says nothing.  ``facts`` reads what stands in the
registry; the rest is told by whoever asks the system (``healthfacts``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PureWindowsPath

from agent.platforms.base import Finding
from agent.platforms.windows.hive import Hive
from agent.platforms.windows.rights import ADD_FILE, ADD_FOLDER, WRITE_DAC, WRITE_OWNER, may
from agent.platforms.windows.values import as_number, as_text

SYSTEM = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"
LOGON = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon"
POWER = r"SYSTEM\CurrentControlSet\Control\Session Manager\Power"
ENVIRONMENT = r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
LINUX = r"SYSTEM\CurrentControlSet\Services\LxssManager"
"""The service of the Windows subsystem for Linux, there once it was switched on."""
_MOST = 20


@dataclass(frozen=True, slots=True)
class Facts:
    """One PC."""

    uac: bool | None = None
    """Windows asks before a program gets an administrator's rights."""
    uac_asks: bool | None = None
    """It asks administrators, too."""
    fast_start: bool | None = None
    autologon: str = ""
    """Who is logged in without a password."""
    linux: bool = False
    guest: bool | None = None
    """The guest account is on."""
    encrypted: bool | None = None
    """The system's drive is."""
    missing: frozenset[str] = frozenset()
    """Children without an account."""
    administrators: frozenset[str] = frozenset()
    """Children who are administrators."""
    writable: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Child → folders in which every program looks for others, and which the child may write."""


def facts(machine: Hive, **told: object) -> Facts:
    """What the registry says, with what else was told (fields of ``Facts``).  ``OSError`` when it cannot be read."""
    uac = as_number(machine.value(SYSTEM, "EnableLUA"))
    asks = as_number(machine.value(SYSTEM, "ConsentPromptBehaviorAdmin"))
    fast = as_number(machine.value(POWER, "HiberbootEnabled"))
    on = as_text(machine.value(LOGON, "AutoAdminLogon")).strip() == "1"
    return Facts(
        uac=None if uac is None else uac != 0,
        uac_asks=None if asks is None else asks != 0,
        fast_start=None if fast is None else fast != 0,
        autologon=as_text(machine.value(LOGON, "DefaultUserName")) if on else "",
        linux=machine.there(LINUX),
        **told,  # type: ignore[arg-type]  # fields of it, by name
    )


def path_folders(machine: Hive, expand: Callable[[str], str]) -> tuple[str, ...]:
    """The folders in which every program of this PC looks for others."""
    words = as_text(machine.value(ENVIRONMENT, "Path")).split(";")
    found = dict.fromkeys(expand(word.strip().strip('"')).rstrip("\\") for word in words if word.strip())
    return tuple(one for one in found if one[1:2] == ":")[:100]


def open_folders(
    folders: Sequence[str], descriptor: Callable[[str], str | None], sids: Collection[str]
) -> tuple[str, ...]:
    """Those in which somebody who is all of ``sids`` may put a program, or which that person may make.

    ``descriptor``: a folder's rights as SDDL, ``None`` when there is no such folder.
    """
    return tuple(folder for folder in folders if _open(folder, descriptor, sids))


def _open(folder: str, descriptor: Callable[[str], str | None], sids: Collection[str]) -> bool:
    wanted, at = ADD_FILE | WRITE_DAC | WRITE_OWNER, PureWindowsPath(folder)
    while True:
        rights = descriptor(str(at))
        if rights is not None:
            return may(rights, sids, wanted)
        if at == at.parent:
            return False  # no such drive
        wanted, at = ADD_FOLDER | WRITE_DAC | WRITE_OWNER, at.parent


def findings(children: Collection[str], known: Facts) -> Iterator[Finding]:
    """Every finding about these children's PC, the gravest first."""
    for child in sorted(children):
        yield from _of_child(child, known)
    if known.uac is False:
        yield Finding(
            "uac-off", "open", "User Account Control is switched off",
            "Switch it on (Control Panel, User Accounts, Change User Account Control settings) and start the PC again.",
        )  # fmt: skip
    elif known.uac_asks is False:
        yield Finding(
            "uac-silent", "weak", "Windows gives programs an administrator's rights without asking",
            "Set User Account Control to ask: a child at a guardian's open session can change anything without a word.",
        )  # fmt: skip
    if known.autologon:
        yield Finding(
            "autologon", "weak", f"{known.autologon} is logged in without a password when the PC starts",
            "Switch that off (netplwiz): whoever starts the PC is that person.",
        )  # fmt: skip
    if known.guest:
        yield Finding(
            "guest-on", "weak", "The guest account is switched on",
            "Switch it off: net user guest /active:no. It has no limits of its own.",
        )  # fmt: skip
    if known.encrypted is False:
        yield Finding(
            "disk-open", "weak", "The system's drive is not encrypted",
            "Switch on BitLocker or device encryption: a system started from a stick can change anything on it.",
        )  # fmt: skip
    if known.linux:
        yield Finding(
            "linux-inside", "note", "Windows Subsystem for Linux is switched on",
            "Programs in it are seen as one. Switch the feature off, or block wsl.exe and bash.exe in the children's programs.",
        )  # fmt: skip
    if known.fast_start:
        yield Finding(
            "fast-start", "note", "Fast start-up is switched on",
            "After “Shut down” Windows wakes up instead of starting: updates of Fairtime are in force after “Restart”.",
        )  # fmt: skip


def _of_child(child: str, known: Facts) -> Iterator[Finding]:
    if child in known.missing:
        yield Finding(
            "child-account-missing", "open", f"There is no account {child} on this PC",
            "Create it (Settings, Accounts, Family or Other users) or correct the policy.", child,
        )  # fmt: skip
        return
    if child in known.administrators:
        yield Finding(
            "child-administrator", "open", f"{child} is an administrator of this PC",
            "Make it a standard account (Settings, Accounts): an administrator can switch off any protection.", child,
        )  # fmt: skip
        return
    folders = known.writable.get(child, ())
    if folders:
        more = ", …" if len(folders) > _MOST else ""
        yield Finding(
            "path-writable", "weak", f"{child} may write in folders where every program looks for others: "
            f"{', '.join(folders[:_MOST])}{more}",
            "Take them out of the system's Path, or the right to write away (folder, Properties, Security).", child,
        )  # fmt: skip
