"""The Start menu's entry and the one that starts the tray with each session, both with the AppUserModelID."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if sys.platform != "win32":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("agent.platforms.windows.shortcut is for Windows")

import pythoncom
from win32com.propsys import propsys, pscon
from win32com.shell import shell, shellcon

from agent.platforms.windows import com, winerrors
from agent.platforms.windows.appid import APP_ID
from agent.platforms.windows.paths import known

NAME = "Fairtime.lnk"


def places() -> tuple[Path, Path]:
    """All users' Start menu, and what starts with each session."""
    return known(shellcon.FOLDERID_CommonPrograms) / NAME, known(shellcon.FOLDERID_CommonStartup) / NAME


def make(program: Path, words: str, icon: Path) -> None:
    """Write both; as administrator.  ``OSError`` when they cannot be written."""
    for path in places():
        path.parent.mkdir(parents=True, exist_ok=True)
        with winerrors.told(), com.begun():
            _write(path, program, words, icon)


def _write(path: Path, program: Path, words: str, icon: Path) -> None:
    link: Any = pythoncom.CoCreateInstance(
        shell.CLSID_ShellLink, None, pythoncom.CLSCTX_INPROC_SERVER, shell.IID_IShellLink
    )
    link.SetPath(str(program))
    link.SetArguments(words)
    link.SetWorkingDirectory(str(program.parent))
    link.SetDescription("Fairtime: time left, and asking for more")
    link.SetIconLocation(str(icon), 0)
    store: Any = link.QueryInterface(propsys.IID_IPropertyStore)
    store.SetValue(pscon.PKEY_AppUserModel_ID, propsys.PROPVARIANTType(APP_ID))
    store.Commit()
    link.QueryInterface(pythoncom.IID_IPersistFile).Save(str(path), 0)


def forget() -> None:
    """Take both away."""
    for path in places():
        path.unlink(missing_ok=True)
