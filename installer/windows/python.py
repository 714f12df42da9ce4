"""Which Windows Python there is: this one, or one under Wine for developers' checks.

``WINDOWS_LAB`` names that one's folder, and ``WINDOWS_PYTHON`` the command that runs it (else ``windows-lab/python`` in a
folder beside the checkout).
"""

from __future__ import annotations

import os
import sys

from installer.freeze import ROOT


def command() -> list[str]:
    """What runs a Windows Python; empty when there is none."""
    if sys.platform == "win32":
        return [sys.executable]
    named = os.environ.get("WINDOWS_PYTHON")
    found = [named] if named else [str(path) for path in sorted(ROOT.parent.glob("*/windows-lab/python"))]
    return found[:1]


def why_not() -> str:
    """Why nothing runs here; empty when it does."""
    if sys.platform == "win32":
        return ""
    if not os.environ.get("WINDOWS_LAB"):
        return "this is no Windows, and WINDOWS_LAB names no Windows Python under Wine"
    if not command():
        return "WINDOWS_PYTHON does not say how the Windows Python in WINDOWS_LAB is run"
    return ""
