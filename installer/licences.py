"""The licences page: everything inside the packages with its version and licence, and the texts; and Debian's copyright file."""

from __future__ import annotations

from html import escape

from installer.contents import Contents, Part
from installer.freeze import ROOT

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}"
    "tr+tr td{border-top:1px solid #ddd}pre{white-space:pre-wrap;font-size:12px;background:#f6f6f6;padding:1rem}"
)
_REPLACE = (
    "pystray, python-xlib and python-bidi are under the LGPL: you may put other versions of them in the place of these. They lie "
    "there as files of their own, /usr/lib/fairtime/_internal/pystray, Xlib and bidi, and the tray uses what lies there. "
    "The service puts its own files right again, so tell it of yours: sudo systemctl stop fairtime; exchange them; "
    "sudo dpkg-reconfigure fairtime. (With an rpm: remove /var/lib/fairtime/own/manifest, after which no file is put right.)"
)


def page(contents: Contents) -> str:
    """One HTML page that needs nothing else."""
    rows = "".join(
        f'<tr><td><a href="#{_id(part)}">{escape(part.name)}</a></td><td>{escape(part.version)}</td>'
        f"<td>{escape(part.licence)}</td></tr>"
        for part in contents.parts
    )
    nobodys = "".join(f"<li>{escape(name)}</li>" for name in contents.unknown)
    texts = "".join(
        f'<h3 id="{_id(part)}">{escape(part.name)} {escape(part.version)}</h3>'
        + (
            "".join(f"<pre>{escape(text.strip())}</pre>" for text in part.texts)
            or "<p>It brings no text of its own.</p>"
        )
        for part in contents.parts
    )
    own = escape((ROOT / "LICENSE").read_text(encoding="utf-8").strip())
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Licences of Fairtime</title>'
        f"<style>{_STYLE}</style></head><body><h1>Licences</h1>"
        f"<p>Fairtime {escape(contents.version)} is free software under the Apache License 2.0. "
        f"It is made with the work of others, all of it free software, too:</p>"
        f"<table><tr><th>Part</th><th>Version</th><th>Licence</th></tr>{rows}</table><p>{escape(_REPLACE)}</p>"
        + (f"<p>Of unknown origin:</p><ul>{nobodys}</ul>" if nobodys else "")
        + f"<h2>Fairtime</h2><pre>{own}</pre><h2>The others</h2>{texts}</body></html>\n"
    )


def copyright_file(contents: Contents) -> str:
    """``/usr/share/doc/fairtime/copyright``: in short, with the way to the page."""
    inside = "".join(f" {part.name} {part.version}: {part.licence}\n" for part in contents.parts)
    return (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: Fairtime\n"
        "Comment: The program's folder holds these parts besides our own; their texts are in licences.html beside this file.\n"
        f"{inside}\n"
        "Files: *\nCopyright: 2026 The Fairtime authors\nLicense: Apache-2.0\n"
        " On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n\n"
        "Files: /usr/lib/fairtime/_internal/pystray/*\nCopyright: Moses Palmér\nLicense: LGPL-3\n"
        " On Debian systems the text is in /usr/share/common-licenses/LGPL-3.\n\n"
        "Files: /usr/lib/fairtime/_internal/Xlib/*\nCopyright: The python-xlib authors\nLicense: LGPL-2.1+\n"
        " On Debian systems the text is in /usr/share/common-licenses/LGPL-2.1.\n\n"
        "Files: /usr/lib/fairtime/_internal/bidi/*\nCopyright: Meir Kriheli and the python-bidi authors\nLicense: LGPL-3+\n"
        " On Debian systems the text is in /usr/share/common-licenses/LGPL-3.\n"
    )


def _id(part: Part) -> str:
    return escape(part.name.replace(" ", "-"), quote=True)
