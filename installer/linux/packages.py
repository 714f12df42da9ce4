"""The .deb and the .rpm, with nfpm: one description for both, and no tool of either system is needed."""

from __future__ import annotations

import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if sys.platform != "linux":  # also tells the type checker, which then skips the rest elsewhere
    raise ImportError("these packages are made on Linux")

from installer.freeze import PROGRAM, ROOT
from installer.linux import scripts
from installer.linux.table import SHARE, Row, rows

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MAINTAINER = "The Fairtime authors <fairtime@localhost>"
SUMMARY = "screen-time limits for the family PC, fair and in the open"
DESCRIPTION = """Keeps to limits that a guardian has signed: hours, minutes, programs and
sites, for each child. The child always sees the time that is left and why,
is told before it ends, and has time to save. Everything stays on the PC.

After installing it: sudo fairtime setup
"""

_DEPENDS = {
    # python3 runs login-check, which PAM starts; the rest of Fairtime brings its own.
    "deb": ["libc6 (>= {glibc})", "systemd", "dbus", "passwd", "libpam-runtime", "libpam-modules", "python3 (>= 3.6)"],
    "rpm": ["glibc >= {glibc}", "systemd", "dbus", "pam", "shadow-utils", "python3 >= 3.6"],
}
_RECOMMENDS = {
    # libxcb is the one library of a desktop that is not brought: it must suit the X server's (PyInstaller's rule).
    "deb": [
        "libxcb1", "libpam-systemd", "nftables", "polkitd | policykit-1", "python3-gi", "gir1.2-ayatanaappindicator3-0.1", "xdg-utils",
    ],
    "rpm": ["libxcb", "nftables", "polkit", "python3-gobject", "libayatana-appindicator-gtk3", "xdg-utils"],
}  # fmt: skip

_OVERRIDES: dict[str, Any] = {
    "src": str(Path(__file__).with_name("lintian-overrides")),
    "dst": "/usr/share/lintian/overrides/fairtime",
    "packager": "deb",
    "file_info": {"mode": 0o644},
}
"""For the checker of Debian packages alone: nothing that works needs it, so it is in no list of own files."""

_NFPM = {
    "preinst": "preinstall",
    "postinst": "postinstall",
    "prerm": "preremove",
    "postrm": "postremove",
    "pre": "preinstall",
    "post": "postinstall",
    "preun": "preremove",
    "postun": "postremove",
}
"""Its names for the moments that both systems have."""


def write_changelogs(folder: Path, version: str, epoch: int) -> None:
    """Ours and Debian's, compressed, into ``folder``."""
    text = (ROOT / "CHANGELOG.md").read_bytes()
    (folder / "changelog.gz").write_bytes(gzip.compress(text, 9, mtime=epoch))
    day = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch))
    debian = f"fairtime ({version}) stable; urgency=medium\n\n  * See changelog.gz.\n\n -- {MAINTAINER}  {day}\n"
    (folder / "changelog.Debian.gz").write_bytes(gzip.compress(debian.encode(), 9, mtime=epoch))


def build(
    version: str,
    epoch: int,
    out: Path,
    *,
    program: Path = PROGRAM,
    share: Path = SHARE,
    kinds: tuple[str, ...] = ("deb", "rpm"),
) -> list[Path]:
    """Packages of ``program`` and of what was made in ``share`` into ``out``; the same bytes for the same contents,
    ``version`` and ``epoch`` (seconds)."""
    nfpm = shutil.which("nfpm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if nfpm is None:
        raise SystemExit("nfpm is missing, which make setup installs")
    made = []
    with tempfile.TemporaryDirectory(prefix="fairtime-packages-") as folder:
        work = Path(folder)
        table = rows(share)
        contents = [*_tree(program), *_files(table, work), _OVERRIDES]
        for kind in kinds:
            described = work / f"{kind}.yaml"
            told = _description(kind, version, epoch, contents, _scripts(kind, table, work))
            described.write_text(json.dumps(told, indent=1), encoding="utf-8")  # JSON is YAML
            target = out / _name(kind, version)
            target.unlink(missing_ok=True)
            done = subprocess.run(
                [nfpm, "package", "--config", str(described), "--packager", kind, "--target", str(target)],
                cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}, stdout=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(f"nfpm failed on the {kind}")
            made.append(target)
    return made


def _name(kind: str, version: str) -> str:
    machine = platform.machine()
    return {"deb": f"fairtime_{version}_{_architecture()}.deb", "rpm": f"fairtime-{version}-1.{machine}.rpm"}[kind]


def _architecture() -> str:
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def _tree(program: Path) -> list[dict[str, Any]]:
    """The program's files one by one: rights are ours to say, whatever the builder's umask was."""
    found: list[dict[str, Any]] = []
    for path in sorted(program.rglob("*")):
        place = f"/usr/lib/fairtime/{path.relative_to(program)}"
        if path.is_symlink():
            found.append({"src": os.readlink(path), "dst": place, "type": "symlink"})
        elif path.is_file():
            mode = 0o755 if path.parent == program else 0o644
            found.append({"src": str(path), "dst": place, "file_info": {"mode": mode}})
    return [*found, {"src": "../lib/fairtime/fairtime", "dst": "/usr/bin/fairtime", "type": "symlink"}]


def _files(table: tuple[Row, ...], work: Path) -> list[dict[str, Any]]:
    found = []
    for number, row in enumerate(table):
        filled = work / f"{number:02}-{Path(row.place).name}"
        filled.write_bytes(row.content())
        found.append({"src": str(filled), "dst": row.place, "file_info": {"mode": row.mode}})
    return found


def _scripts(kind: str, table: tuple[Row, ...], work: Path) -> dict[str, str]:
    """The scripts' files by moment."""
    written = {}
    for moment, call in {"deb": scripts.DEB, "rpm": scripts.RPM}[kind].items():
        path = work / f"{kind}-{moment}"
        path.write_text(scripts.script(call, table), encoding="utf-8")
        written[moment] = str(path)
    return written


def _description(
    kind: str, version: str, epoch: int, contents: list[dict[str, Any]], moments: dict[str, str]
) -> dict[str, Any]:
    """What nfpm reads."""
    glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.36").split()[-1]
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    told: dict[str, Any] = {
        "name": "fairtime",
        "arch": _architecture(),
        "platform": "linux",
        "version": version,
        "version_schema": "none",
        "section": "admin",
        "priority": "optional",
        "maintainer": MAINTAINER,
        # Debian's field begins with the summary (Policy, 5.6.13); rpm has one of its own for it.
        "description": f"{SUMMARY}\n{DESCRIPTION}" if kind == "deb" else DESCRIPTION,
        "license": "Apache-2.0",
        "mtime": when,
        "depends": [text.format(glibc=glibc) for text in _DEPENDS[kind]],
        "recommends": _RECOMMENDS[kind],
        "contents": [{**one, "file_info": {**one.get("file_info", {}), "mtime": when}} for one in contents],
        "scripts": {_NFPM[moment]: path for moment, path in moments.items() if moment in _NFPM},
    }
    if kind == "deb":
        told["deb"] = {"compression": "zstd"}
    else:
        told["release"] = "1"
        told["rpm"] = {
            "summary": SUMMARY,
            "compression": "zstd",
            "buildhost": "localhost",
            "packager": MAINTAINER,
            "scripts": {"posttrans": moments["posttrans"]},
        }
    return told
