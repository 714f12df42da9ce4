"""Everything that ``make package`` leaves in ``dist/``, in order: the program, its papers, its packages."""

from __future__ import annotations

import sys
from pathlib import Path

from installer import contents, freeze, licences, manual, sbom

DIST = freeze.ROOT / "dist"
SHARE = freeze.ROOT / "build" / "share"


def build(*, again: bool) -> list[Path]:
    """The files that were made, besides the program's folder.  Unless ``again``, a folder of this very source is taken."""
    epoch = freeze.epoch()
    if again or not freeze.fresh():
        freeze.freeze()
    inside = contents.read()
    for name in inside.unknown:
        print(f"of unknown origin, and named so on the licences page: {name}", file=sys.stderr)
    manual.write(SHARE, epoch)
    papers = {"licences.html": licences.page(inside), "fairtime.cdx.json": sbom.document(inside, epoch)}
    for name, text in {**papers, "copyright": licences.copyright_file(inside)}.items():
        (SHARE / name).write_text(text, encoding="utf-8")
    made = []
    for name in papers:
        (DIST / name).write_bytes((SHARE / name).read_bytes())
        made.append(DIST / name)
    if sys.platform == "linux":
        from installer.linux import packages

        packages.write_changelogs(SHARE, inside.version, epoch)
        made += packages.build(inside.version, epoch, DIST)
    return made


def build_for_windows() -> list[Path]:
    """Windows' installer, a test build elsewhere; none where it cannot be made, and the reason is told."""
    from installer.windows import packages

    why = packages.why_not()
    if why:
        print(f"The installer for Windows was not built: {why}.", file=sys.stderr)
        return []
    return [packages.build(contents.read().version, freeze.epoch(), DIST, SHARE)]
