"""``python -m agent``, and the console script ``fairtime``."""

from __future__ import annotations

import sys


def main() -> int:
    if sys.platform == "linux" and sys.argv[1:2] == ["gate"]:
        # Hidden, and before anything else is imported: the frozen executable has no ``-m agent.gate``.
        from agent.gate.process import main as gate

        return gate(sys.argv[2:])
    from agent.cli import main as cli

    return cli()


if __name__ == "__main__":
    raise SystemExit(main())
