"""Which file goes where on a Linux PC: ``files.txt``, which ``install.sh`` reads too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from installer.freeze import ROOT

TABLE = Path(__file__).with_name("files.txt")
PREFIX = "/usr"
SHARE = ROOT / "build" / "share"
_BINARY = (".png", ".gz")


@dataclass(frozen=True, slots=True)
class Row:
    """A file: ``source`` in the checkout, ``place`` on the PC, ``mode`` as four bits of three."""

    source: Path
    place: str
    mode: int

    def content(self) -> bytes:
        """What lies at ``place``: in texts the prefix is filled in, as ``filled`` of own.sh does."""
        data = self.source.read_bytes()
        return data if self.place.endswith(_BINARY) else data.replace(b"@prefix@", PREFIX.encode())


def rows(share: Path = SHARE) -> tuple[Row, ...]:
    """The table, with what was made in ``share``.  ``SystemExit`` with the file that is missing."""
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        source, place, mode = line.split()
        made = source.removeprefix("build/share/")
        row = Row(share / made if made != source else ROOT / source, place.replace("@prefix@", PREFIX, 1), int(mode, 8))
        if not row.source.is_file():
            raise SystemExit(f"A part of the packages is missing: {row.source}")
        found.append(row)
    return tuple(found)
