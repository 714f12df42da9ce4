"""Judge an interpreter by what it runs: from the executable's name and its command line to the thing inside.

Pure: no file is looked at here.  A command line is the program's own word, true when it starts and forgeable later, so
callers read it once per program image (see ``processes``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Inner:
    """What an interpreter runs.

    ``file`` is a path as given (perhaps relative), empty when there is none, as for ``python -c``.  ``others`` must be
    protected too before the whole may count as protected (the rest of a Java class path, libraries loaded by option).  ``own`` is True when the
    interpreter itself is the program (a shell at its prompt): its path and protection are then those of the executable.
    """

    name: str
    file: str = ""
    others: tuple[str, ...] = ()
    own: bool = False


_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ksh93", "mksh", "fish", "ash", "rbash"}
_PYTHON = re.compile(r"^(python|pypy)[\d.]*[dmtw]*(-dbg)?$")
_VERSIONED = re.compile(
    r"^(perl|ruby|lua|luajit|node|nodejs|php|tclsh|wish|gjs|cjs|electron|mono|guile|expect|julia|racket|qjs|Rscript|octave"
    r"|octave-cli|swipl|ocaml|escript|elixir|groovy|love|qml|qmlscene)(-console)?(-sgen)?[-\d.]*$"
)
_COMMANDS = {"deno": "run", "bun": "run", "dotnet": "exec"}
_LOADER = re.compile(
    r"^(ld-linux.*\.so\.\d+|ld-musl-.*\.so\.\d+|ld-\d+\.\d+\.so|ld64?\.so\.\d+|ld\.so|ld-uClibc.*\.so\.\d+"
    r"|libc\.musl-.*\.so\.\d+|libc\.so)$"
)
_WINE = re.compile(r"^wine(64)?(-preloader)?(-stable|-staging|-development)?$")
_EMULATOR = re.compile(
    r"^(qemu-(?!system|img|io|nbd|ga)[a-z0-9_]+(-static)?|box(32|64|86)|FEX(Interpreter|Bash)?|memcheck-.+|callgrind-.+"
    r"|cachegrind-.+|helgrind-.+|drd-.+|massif-.+|dhat-.+|lackey-.+|none-.+-linux|exp-bbv-.+)$"
)
"""What runs a program's instructions itself, so that no start of it is ever seen.  Valgrind's tools are such; debuggers and
tracers are not: they start a process, which is judged by itself."""
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_WINDOWS_PROGRAM = re.compile(r"\.(exe|msi|bat|cmd|com|scr)$", re.IGNORECASE)


# Options that take the next word as their value, so that it is not mistaken for the script.
_TAKES = {
    "perl": {"-I", "-C"},
    "ruby": {"-I", "-r", "-C", "-E", "--encoding"},
    "lua": {"-l"},
    "luajit": {"-l", "-j"},
    "node": {"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--env-file"},
    "php": {"-c", "-d", "-z", "-S", "-t"},
    "gjs": {"-I", "-C"},
    "guile": {"-L", "-C", "-l"},
    "mono": {"--config"},
    "tclsh": {"-encoding"},
    "expect": {"-c"},
    "julia": {"-L", "--load", "--project", "-J", "--sysimage", "-t", "-p"},
    "racket": {"-t", "-l", "-p", "-r", "-S", "-X"},
    "qjs": {"-I", "--include"},
    "swipl": {"-l", "-x", "-g", "-t", "-p"},
    "ocaml": {"-I", "-init"},
    "octave": {"-p", "--path"},
    "groovy": {"-cp", "--classpath"},
    "qml": {"-I", "-f", "-L"},
    "qmlscene": {"-I", "-L"},
    "deno": {"--config", "-c", "--import-map", "--preload"},
    "bun": {"-r", "--preload", "--cwd", "-c"},
    "dotnet": {"--additionalprobingpath", "--depsfile", "--runtimeconfig", "--fx-version", "--roll-forward"},
    "wish": {"-encoding", "-display", "-geometry", "-name", "-use"},
}
# Options after which the program is text on the command line.
_INLINE = {
    "perl": {"-e", "-E"},
    "ruby": {"-e"},
    "lua": {"-e"},
    "luajit": {"-e"},
    "node": {"-e", "--eval", "-p", "--print", "-pe"},
    "php": {"-r"},
    "gjs": {"-c", "--command"},
    "guile": {"-c"},
    "expect": {"-c"},
    "julia": {"-e", "-E", "--eval", "--print"},
    "racket": {"-e", "--eval"},
    "qjs": {"-e", "--eval"},
    "Rscript": {"-e"},
    "octave": {"--eval"},
    "swipl": {"-g"},
    "elixir": {"-e"},
    "groovy": {"-e"},
    "bun": {"-e", "--eval", "-p", "--print"},
}
_FILE_OPTION = {"php": {"-f", "--file"}, "guile": {"-s", "-e"}, "swipl": {"-s"}, "racket": {"-u"}, "expect": {"-f"}}
_ATTACHED = ("-I", "-r", "-M", "-m", "-l", "-L", "-d", "-c", "-C")
"""One-letter options of which some interpreter loads what is written onto them (-Ilib, -MModule)."""
_LOADS_BY = re.compile(
    r"^--?(require|import|loader|experimental-loader|preload|load|include|config|path|env-file)=(.*)$"
)
_EMULATOR_TAKES = {"-L", "-cpu", "-g", "-s", "-E", "-U", "-0", "-R", "-B", "-d", "-D", "-p", "-r", "-seed", "-plugin",
                   "-dfilter", "-accel"}  # fmt: skip
_SHELL_TAKES = {"-o", "+o", "-O", "+O", "--rcfile", "--init-file", "-C", "--init-command"}
_LOADER_TAKES = {"--inhibit-rpath", "--argv0", "--glibc-hwcaps-prepend", "--glibc-hwcaps-mask"}
_LOADER_LOADS = {"--library-path", "--audit", "--preload"}
_JAVA_TAKES = {"--add-modules", "--add-opens", "--add-exports", "--add-reads", "--limit-modules",
               "--enable-native-access", "--source", "--describe-module"}  # fmt: skip
_JAVA_LOADS = {"-p", "--module-path", "--upgrade-module-path", "--patch-module"}
_JAVA_LOADS_BY = re.compile(
    r"^(?:-javaagent:|-agentpath:|-agentlib:|-Xbootclasspath[/:][ap]?:?|--(?:patch|upgrade)-module(?:-path)?=|--module-path=)"
    r"(?P<what>[^=]*)"
)


def family(name: str) -> str:
    """The kind of interpreter a file name stands for, or an empty string for a program of its own."""
    if name in _SHELLS:
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
    if _WINE.match(name):
        return "wine"
    if name in _COMMANDS:
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
        return _shell(name, argv[1:])
    if kind == "python":
        return _python(name, argv[1:])
    if kind == "java":
        return _java(name, argv[1:])
    if kind == "busybox":
        return _busybox(name, argv)
    if kind == "loader":
        return _loader(name, argv[1:])
    if kind == "wine":
        return _wine(name, argv)
    if kind == "env":
        return _env(name, argv[1:])
    if kind == "flatpak":
        return _flatpak(name, argv[1:])
    if kind == "snap":
        return _snap(name, argv)
    if kind == "emulator":
        return _emulator(name, argv[1:])
    if kind in _COMMANDS:
        return _script(kind, name, _after_command(kind, argv[1:]))
    return _script(kind, name, argv[1:])


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or path


def _shell(name: str, args: list[str]) -> Inner:
    """A shell at its prompt or with ``-c`` is itself; what it starts in turn is judged by itself."""
    own = Inner(name, own=True)
    at = 0
    while at < len(args):
        word = args[at]
        if word in ("--", "-"):
            at += 1
            break
        if not word.startswith(("-", "+")) or word == "":
            break
        if word == "--command" or (not word.startswith("--") and set(word[1:]) & set("cs") and word[0] == "-"):
            return own
        at += 2 if word in _SHELL_TAKES else 1
    return Inner(_base(args[at]), args[at]) if at < len(args) and args[at] else own


def _python(name: str, args: list[str]) -> Inner:
    inline = Inner(name)
    at = 0
    while at < len(args):
        word = args[at]
        if word == "--":
            at += 1
            break
        if word == "-" or not word.startswith("-"):
            break
        if word.startswith("--"):
            at += 2 if word == "--check-hash-based-pycs" else 1
            continue
        for index, letter in enumerate(word[1:], 2):
            rest = word[index:]
            if letter == "c":
                return inline
            if letter == "m":
                module = rest or (args[at + 1] if at + 1 < len(args) else "")
                return Inner(module or name)
            if letter in "WX":
                at += 0 if rest else 1
                break
        at += 1
    if at >= len(args) or args[at] in ("-", ""):
        return inline
    return Inner(_base(args[at]), args[at])


def _java(name: str, args: list[str]) -> Inner:
    path: list[str] = []
    others: list[str] = []
    at = 0
    while at < len(args):
        word = args[at]
        loads = _JAVA_LOADS_BY.match(word)
        value = args[at + 1] if at + 1 < len(args) else ""
        if word == "-jar" and value:
            return Inner(_base(value), value, tuple(others))
        if word in ("-m", "--module") and value:
            return Inner(value)
        if word.startswith("--module="):
            return Inner(word.partition("=")[2])
        if word in ("-cp", "-classpath", "--class-path"):
            path = _class_path(value)
            at += 2
        elif word.startswith("--class-path="):
            path = _class_path(word.partition("=")[2])
            at += 1
        elif word in _JAVA_LOADS or loads:
            others += _class_path(loads.group("what") if loads else value.rpartition("=")[2])
            at += 1 if loads else 2
        elif word.startswith(("@", "-")):
            if word.startswith("@"):
                # The rest of the command line is in a file that may have changed since.
                return Inner(name)
            at += 2 if word in _JAVA_TAKES else 1
        elif word.endswith(".java"):
            return Inner(_base(word), word, tuple(others))
        else:
            return Inner(word, path[0] if path else "", (*path[1:], *others))
    return Inner(name)


def _class_path(value: str) -> list[str]:
    return [entry for entry in value.split(":") if entry]


def _busybox(name: str, argv: list[str]) -> Inner:
    first = _base(argv[0]).lstrip("-") if argv else name
    rest = argv[1:]
    if first in ("busybox", "toybox"):
        if not rest:
            return Inner(name, own=True)
        first, rest = _base(rest[0]), rest[1:]
    return _shell(first, rest) if first in _SHELLS else Inner(first, own=True)


def _loader(name: str, args: list[str]) -> Inner:
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
    return Inner(_base(args[at]), args[at], tuple(others)) if at < len(args) and args[at] else Inner(name, own=True)


def _emulator(name: str, args: list[str]) -> Inner:
    at = 0
    while at < len(args) and args[at].startswith("-"):
        if args[at] == "--":
            at += 1
            break
        at += 2 if args[at] in _EMULATOR_TAKES and name.startswith("qemu-") else 1
    return Inner(_base(args[at]), args[at]) if at < len(args) and args[at] else Inner(name, own=True)


def _after_command(kind: str, args: list[str]) -> list[str]:
    """``deno run game.ts`` and ``dotnet game.dll``: the command's word is optional or not, the script follows."""
    for at, word in enumerate(args):
        if word == _COMMANDS[kind]:
            return args[at + 1 :]
        if not word.startswith("-"):
            return args[at:]
    return args


def _wine(name: str, argv: list[str]) -> Inner:
    """Wine puts the program's Windows path in place of its own command line; before that it is the first word given."""
    for word in argv:
        if _WINDOWS_PROGRAM.search(word) or _DRIVE.match(word):
            return Inner(re.split(r"[\\/]", word)[-1] or word, word)
    for word in argv[1:]:
        if not word.startswith("-") and not _WINE.match(_base(word)) and word:
            return Inner(re.split(r"[\\/]", word)[-1] or word, word)
    return Inner(name, own=True)


def _env(name: str, args: list[str]) -> Inner:
    """``env`` becomes its command within microseconds and is judged again then; only a full path is certain before."""
    at = 0
    while at < len(args) and (args[at].startswith("-") or "=" in args[at]):
        at += 2 if args[at] in ("-u", "--unset", "-C", "--chdir") else 1
    if at < len(args) and args[at].startswith("/"):
        return Inner(_base(args[at]), args[at])
    return Inner(name, own=True)


def _flatpak(name: str, args: list[str]) -> Inner:
    words = [word for word in args if not word.startswith("-")]
    if len(words) >= 2 and words[0] == "run":
        return Inner(flatpak_id(words[1]) or name)
    return Inner(name, own=True)


def flatpak_id(reference: str) -> str:
    """``org.x.Y`` of ``app/org.x.Y/x86_64/stable`` or ``org.x.Y//stable``."""
    return reference.removeprefix("app/").split("/", 1)[0]


def _snap(name: str, argv: list[str]) -> Inner:
    called = _base(argv[0]) if argv else name
    if called != "snap":
        # /snap/bin/NAME is a link to /usr/bin/snap.
        return Inner(called)
    words = [word for word in argv[1:] if not word.startswith("-")]
    if len(words) >= 2 and words[0] == "run":
        return Inner(words[1])
    return Inner(name, own=True)


def _script(kind: str, name: str, args: list[str]) -> Inner:
    takes, inline = _TAKES.get(kind, set()), _INLINE.get(kind, set())
    files = _FILE_OPTION.get(kind, set())
    others: list[str] = []
    at = 0
    while at < len(args):
        word = args[at]
        if word == "--":
            at += 1
            break
        if word in files and at + 1 < len(args):
            at += 1
            break
        if word == "-" or not word.startswith("-"):
            break
        if _is_inline(kind, word, inline):
            return Inner(name)
        loads = _LOADS_BY.match(word)
        if word in takes:
            others += args[at + 1 : at + 2]
        elif loads:
            others.append(loads.group(2))
        elif len(word) > 2 and word.startswith(_ATTACHED) and not word.startswith("--"):
            others.append(word[2:])
        at += 2 if word in takes else 1
    if at >= len(args) or args[at] in ("-", ""):
        return Inner(name)
    return Inner(_base(args[at]), args[at], tuple(other for other in others if other))


def _is_inline(kind: str, word: str, inline: set[str]) -> bool:
    if word in inline or word.partition("=")[0] in inline:
        return True
    # perl and ruby let one-letter options stand together: -lane 'code'.
    return (
        kind in ("perl", "ruby")
        and not word.startswith(("--", "-I", "-M", "-m", "-C", "-r"))
        and ("e" in word[1:] or (kind == "perl" and "E" in word[1:]))
    )
