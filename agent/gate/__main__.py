"""``python -m agent.gate SOCKET NAME [PLACE …]``: started by the service, of no use to anybody else."""

from __future__ import annotations

import sys

from agent.gate.process import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
