"""``python -m agent.filter SOCKET``: started by the service or by systemd, of no use to anybody else."""

from __future__ import annotations

import sys


def main(words: list[str]) -> int:
    """As ``process.main``, with a megabyte less: msgspec takes ``typing_extensions`` where it is, and never needs it."""
    sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type]  # how Python is told that it is not there
    from agent.filter.process import main as run

    return run(words)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
