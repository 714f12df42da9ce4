"""Runtimes that run a program of another kind: Java, Wine, emulators, the dynamic loader, launchers.  Pure."""

from __future__ import annotations

import re

from agent.platforms.inside.scripts import SHELLS, Inner, base, shell

WINE = re.compile(r"^wine(64)?(-preloader)?(-stable|-staging|-development)?$")
COMMANDS = {"deno": "run", "bun": "run", "dotnet": "exec"}
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_WINDOWS_PROGRAM = re.compile(r"\.(exe|msi|bat|cmd|com|scr)$", re.IGNORECASE)
_EMULATOR_TAKES = {"-L", "-cpu", "-g", "-s", "-E", "-U", "-0", "-R", "-B", "-d", "-D", "-p", "-r", "-seed", "-plugin",
                   "-dfilter", "-accel"}  # fmt: skip
_LOADER_TAKES = {"--inhibit-rpath", "--argv0", "--glibc-hwcaps-prepend", "--glibc-hwcaps-mask"}
_LOADER_LOADS = {"--library-path", "--audit", "--preload"}
_JAVA_TAKES = {"--add-modules", "--add-opens", "--add-exports", "--add-reads", "--limit-modules",
               "--enable-native-access", "--source", "--describe-module"}  # fmt: skip
_JAVA_LOADS = {"-p", "--module-path", "--upgrade-module-path", "--patch-module"}
_JAVA_LOADS_BY = re.compile(
    r"^(?:-javaagent:|-agentpath:|-agentlib:|-Xbootclasspath[/:][ap]?:?|--(?:patch|upgrade)-module(?:-path)?=|--module-path=)"
    r"(?P<what>[^=]*)"
)


def java(name: str, args: list[str]) -> Inner:
    path: list[str] = []
    others: list[str] = []
    at = 0
    while at < len(args):
        word = args[at]
        loads = _JAVA_LOADS_BY.match(word)
        value = args[at + 1] if at + 1 < len(args) else ""
        if word == "-jar" and value:
            return Inner(base(value), value, tuple(others))
        if word in ("-m", "--module") and value:
            return Inner(value)
        if word.startswith("--module="):
            return Inner(word.partition("=")[2])
        if word in ("-cp", "-classpath", "--class-path"):
            path = class_path(value)
            at += 2
        elif word.startswith("--class-path="):
            path = class_path(word.partition("=")[2])
            at += 1
        elif word in _JAVA_LOADS or loads:
            others += class_path(loads.group("what") if loads else value.rpartition("=")[2])
            at += 1 if loads else 2
        elif word.startswith(("@", "-")):
            if word.startswith("@"):
                # The rest of the command line is in a file that may have changed since.
                return Inner(name)
            at += 2 if word in _JAVA_TAKES else 1
        elif word.endswith(".java"):
            return Inner(base(word), word, tuple(others))
        else:
            return Inner(word, path[0] if path else "", (*path[1:], *others))
    return Inner(name)


def class_path(value: str) -> list[str]:
    return [entry for entry in value.split(":") if entry]


def busybox(name: str, argv: list[str]) -> Inner:
    first = base(argv[0]).lstrip("-") if argv else name
    rest = argv[1:]
    if first in ("busybox", "toybox"):
        if not rest:
            return Inner(name, own=True)
        first, rest = base(rest[0]), rest[1:]
    return shell(first, rest) if first in SHELLS else Inner(first, own=True)


def loader(name: str, args: list[str]) -> Inner:
    """``ld.so [options] program`` (ld.so(8)); what it loads besides counts too."""
    others: list[str] = []
    at = 0
    while at < len(args) and args[at].startswith("-"):
        word, equals, value = args[at].partition("=")
        if word == "--":
            at += 1
            break
        if word in _LOADER_LOADS:
            value = value if equals else "".join(args[at + 1 : at + 2])
            others += [part for part in re.split("[: ]", value) if "/" in part or word == "--library-path"]
        at += 2 if (word in _LOADER_LOADS or word in _LOADER_TAKES) and not equals else 1
    return Inner(base(args[at]), args[at], tuple(others)) if at < len(args) and args[at] else Inner(name, own=True)


def emulator(name: str, args: list[str]) -> Inner:
    at = 0
    while at < len(args) and args[at].startswith("-"):
        if args[at] == "--":
            at += 1
            break
        at += 2 if args[at] in _EMULATOR_TAKES and name.startswith("qemu-") else 1
    return Inner(base(args[at]), args[at]) if at < len(args) and args[at] else Inner(name, own=True)


def after_command(kind: str, args: list[str]) -> list[str]:
    """``deno run game.ts`` and ``dotnet game.dll``: the command's word is optional or not, the script follows."""
    for at, word in enumerate(args):
        if word == COMMANDS[kind]:
            return args[at + 1 :]
        if not word.startswith("-"):
            return args[at:]
    return args


def wine(name: str, argv: list[str]) -> Inner:
    """Wine puts the program's Windows path in place of its own command line; before that it is the first word given."""
    for word in argv:
        if _WINDOWS_PROGRAM.search(word) or _DRIVE.match(word):
            return Inner(re.split(r"[\\/]", word)[-1] or word, word)
    for word in argv[1:]:
        if not word.startswith("-") and not WINE.match(base(word)) and word:
            return Inner(re.split(r"[\\/]", word)[-1] or word, word)
    return Inner(name, own=True)


def env(name: str, args: list[str]) -> Inner:
    """``env`` becomes its command within microseconds and is judged again then; only a full path is certain before."""
    at = 0
    while at < len(args) and (args[at].startswith("-") or "=" in args[at]):
        at += 2 if args[at] in ("-u", "--unset", "-C", "--chdir") else 1
    if at < len(args) and args[at].startswith("/"):
        return Inner(base(args[at]), args[at])
    return Inner(name, own=True)


def flatpak(name: str, args: list[str]) -> Inner:
    words = [word for word in args if not word.startswith("-")]
    if len(words) >= 2 and words[0] == "run":
        return Inner(flatpak_id(words[1]) or name)
    return Inner(name, own=True)


def flatpak_id(reference: str) -> str:
    """``org.x.Y`` of ``app/org.x.Y/x86_64/stable`` or ``org.x.Y//stable``."""
    return reference.removeprefix("app/").split("/", 1)[0]


def snap(name: str, argv: list[str]) -> Inner:
    called = base(argv[0]) if argv else name
    if called != "snap":
        # /snap/bin/NAME is a link to /usr/bin/snap.
        return Inner(called)
    words = [word for word in argv[1:] if not word.startswith("-")]
    if len(words) >= 2 and words[0] == "run":
        return Inner(words[1])
    return Inner(name, own=True)
