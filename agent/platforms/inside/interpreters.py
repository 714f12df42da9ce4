"""Judge an interpreter by what it runs: from the executable's name and its command line to the thing inside.

Pure: no file is looked at here.  A command line is the program's own word, true when it starts and forgeable later, so
callers read it once per program image (see ``processes``).
"""

from __future__ import annotations

import re
from dataclasses import replace

from agent.platforms.inside import runtimes, scripts
from agent.platforms.inside.scripts import Inner

_PYTHON = re.compile(r"^(python|pypy)[\d.]*[dmtw]*(-dbg)?$")
_VERSIONED = re.compile(
    r"^(perl|ruby|lua|luajit|node|nodejs|php|tclsh|wish|gjs|cjs|electron|mono|guile|expect|julia|racket|qjs|Rscript|octave"
    r"|octave-cli|swipl|ocaml|escript|elixir|groovy|love|qml|qmlscene)(-console)?(-sgen)?[-\d.]*$"
)
_LOADER = re.compile(
    r"^(ld-linux.*\.so\.\d+|ld-musl-.*\.so\.\d+|ld-\d+\.\d+\.so|ld64?\.so\.\d+|ld\.so|ld-uClibc.*\.so\.\d+"
    r"|libc\.musl-.*\.so\.\d+|libc\.so)$"
)
_EMULATOR = re.compile(
    r"^(qemu-(?!system|img|io|nbd|ga)[a-z0-9_]+(-static)?|box(32|64|86)|FEX(Interpreter|Bash)?|memcheck-.+|callgrind-.+"
    r"|cachegrind-.+|helgrind-.+|drd-.+|massif-.+|dhat-.+|lackey-.+|none-.+-linux|exp-bbv-.+)$"
)
"""What runs a program's instructions itself, so that no start of it is ever seen.  Valgrind's tools are such; debuggers and
tracers are not: they start a process, which is judged by itself."""


def family(name: str) -> str:
    """The kind of interpreter a file name stands for, or an empty string for a program of its own."""
    if name in scripts.SHELLS:
        return "shell"
    if _PYTHON.match(name):
        return "python"
    if name in ("java", "javaw"):
        return "java"
    if name in ("busybox", "toybox"):
        return "busybox"
    if name in ("env", "flatpak", "snap"):
        return name
    if _LOADER.match(name):
        return "loader"
    if runtimes.WINE.match(name):
        return "wine"
    if name in runtimes.COMMANDS:
        return name
    if _EMULATOR.match(name):
        return "emulator"
    versioned = _VERSIONED.match(name)
    return _ALSO.get(versioned.group(1), versioned.group(1)) if versioned else ""


_ALSO = {"nodejs": "node", "cjs": "gjs", "octave-cli": "octave"}


def inner(kind: str, name: str, argv: list[str]) -> Inner:
    """What ``argv`` makes an interpreter of that ``kind`` (from ``family``) run; ``name`` is the executable's."""
    found = _inner(kind, name, argv)
    return found if found.name else replace(found, name=name)


def _inner(kind: str, name: str, argv: list[str]) -> Inner:
    if kind == "shell":
        return scripts.shell(name, argv[1:])
    if kind == "python":
        return scripts.python(name, argv[1:])
    if kind == "java":
        return runtimes.java(name, argv[1:])
    if kind == "busybox":
        return runtimes.busybox(name, argv)
    if kind == "loader":
        return runtimes.loader(name, argv[1:])
    if kind == "wine":
        return runtimes.wine(name, argv)
    if kind == "env":
        return runtimes.env(name, argv[1:])
    if kind == "flatpak":
        return runtimes.flatpak(name, argv[1:])
    if kind == "snap":
        return runtimes.snap(name, argv)
    if kind == "emulator":
        return runtimes.emulator(name, argv[1:])
    if kind in runtimes.COMMANDS:
        return scripts.script(kind, name, runtimes.after_command(kind, argv[1:]))
    return scripts.script(kind, name, argv[1:])
