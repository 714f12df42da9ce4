"""The resolver's command line, for whoever starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from agent import bundle

_CODE = "import sys; sys.path.insert(0, sys.argv[1]); from agent.filter.__main__ import main; raise SystemExit(main(sys.argv[2:]))"


def command(socket: int) -> list[str]:
    """For a resolver on this open socket: a program of its own in a bundle, else isolated Python and one folder."""
    if bundle.bundled():
        return [bundle.program("fairtime-resolver"), str(socket)]
    return [sys.executable, "-I", "-B", "-c", _CODE, str(Path(__file__).resolve().parents[2]), str(socket)]
