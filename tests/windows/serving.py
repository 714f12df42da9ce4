"""The real service on a computer in memory, as a service of Windows: ``python serving.py STATE PIPE``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a service is started in Windows' own folder

from agent.platforms import supervised  # what it is imported by is above
from agent.platforms.base import Supervisor
from agent.platforms.fake import FakeHost
from agent.service.app import Settings, serve


def main(state: str, pipe: str) -> int:
    def begin(supervisor: Supervisor) -> int:
        return serve(Settings(Path(state), Path(pipe)), FakeHost(), supervisor)

    return supervised(begin)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
