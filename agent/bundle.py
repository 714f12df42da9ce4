"""The programs of a bundle (build.spec): they lie beside each other in one folder, and there is no ``python -m`` in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def bundled() -> bool:
    """Whether this process is a program of a bundle."""
    return bool(getattr(sys, "frozen", False))


def program(name: str) -> str:
    """The path of the bundle's program ``name``, beside this one."""
    here = Path(sys.executable)
    return str(here.with_name(name + here.suffix))


def give_back_environment() -> None:
    """What this program starts sees the environment that it was started with itself.

    PyInstaller's start-up points ``LD_LIBRARY_PATH`` at the bundle's libraries and keeps the former value beside it.  A browser
    or ``nft`` that inherited this would load libraries that were made for another system.  The start-up's own marks (``_PYI_…``)
    go, too: by them a program of the bundle takes itself for a part of this process, and looks for no libraries of its own
    (PyInstaller's manual, “Using sys.executable to spawn subprocesses that outlive the application process”).
    """
    if not bundled() or sys.platform == "win32":
        return
    for mark in [name for name in os.environ if name.startswith("_PYI_")]:
        del os.environ[mark]
    former = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if former is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = former


def version() -> str:
    """Fairtime's version: a bundle has it in a file, other installations in their package's data."""
    inside: str | None = getattr(sys, "_MEIPASS", None)
    if inside is not None:
        return (Path(inside) / "version").read_text(encoding="ascii")
    from importlib import metadata  # a megabyte that the service does not need

    return metadata.version("fairtime")
