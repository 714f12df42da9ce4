"""``python -m agent``, and the console script ``fairtime``."""

from __future__ import annotations


def main() -> int:
    from agent.cli import main as cli

    return cli()


if __name__ == "__main__":
    raise SystemExit(main())
