"""The scripts that run on a PC when a package comes, changes or goes: the shell parts of this folder, put together.

Each script holds all of the parts, because the package's own files are not there before it comes nor after it went.  The
moments are Debian Policy's chapter 6 and rpm's scriptlets: at an upgrade the new files lie there before the old version's
last word (``postrm upgrade``, ``%post``), which is when the service hands over; the list of own files is made at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from installer.linux.table import Row

HERE = Path(__file__).parent
PARTS = ("own.sh", "settings.sh", "package.sh")

DEB = {
    "preinst": """case $1 in
    install) check yes; make_way yes ;;
    upgrade) check no; make_way no ;;
    *) ;;
esac
""",
    "postinst": """case $1 in
    configure) settle; begin ;;
    abort-upgrade | abort-remove | abort-deconfigure) rm -f -- "$state/removed"; settle; begin ;;
    *) ;;
esac
""",
    "prerm": """case $1 in
    remove) leave ;;
    *) ;;
esac
""",
    "postrm": """case $1 in
    remove) undo_all ;;
    purge) forget ;;
    upgrade) start_or_hand_over || true ;;
    abort-install) abandon ;;
    *) ;;
esac
""",
}
"""By the names of dpkg.  What is not named (another package is in the way, say) asks for nothing."""

RPM = {
    "pre": 'if [ "$1" = 1 ]; then check yes; make_way yes; else check no; make_way no; fi\n',
    "post": 'if [ "$1" != 1 ]; then start_or_hand_over || true; fi\n',
    "posttrans": "settle; begin\n",
    "preun": 'if [ "$1" = 0 ]; then leave; fi\n',
    "postun": 'if [ "$1" = 0 ]; then undo_all; fi\n',
}
"""``$1`` is how many versions are there afterwards.  An old version's files go after ``%post``, so that what lies there is
listed in ``%posttrans``."""


def script(call: str, rows: Iterable[Row]) -> str:
    """A whole script that ends with ``call``."""
    files = "".join(f"{row.place}\t{row.mode:o}\n" for row in rows)
    parts = [(HERE / name).read_text(encoding="utf-8") for name in PARTS]
    listing = f"files() {{\n    cat <<'END'\n{files}END\n}}\n"
    return "#!/bin/sh\nset -eu\n" + "\n".join([*parts, listing, call])
