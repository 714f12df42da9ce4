"""``python -m agent.filter SOCKET``: started by the service or by systemd, of no use to anybody else."""

from __future__ import annotations

import sys

from agent.filter.process import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
