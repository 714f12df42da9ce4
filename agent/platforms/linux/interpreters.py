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
    protected too before the whole may count as protected (the rest of a Java class path).  ``own`` is True when the
    interpreter itself is the program (a shell at its prompt): its path and protection are then those of the executable.
    """

    name: str
    file: str = ""
    others: tuple[str, ...] = ()
    own: bool = False


_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ksh93", "mksh", "fish", "ash", "rbash"}
_PYTHON = re.compile(r"^(python|pypy)[\d.]*[dmtw]*$")
_VERSIONED = re.compile(r"^(perl|ruby|lua|luajit|node|nodejs|php|tclsh|wish|gjs|electron|mono|guile)[-\d.]*$")
_LOADER = re.compile(r"^(ld-linux.*\.so\.\d+|ld-musl-.*\.so\.\d+|ld-\d\.\d+\.so|ld64?\.so\.\d+)$")
_WINE = re.compile(r"^wine(64)?(-preloader)?(-stable|-staging|-development)?$")
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
}
_FILE_OPTION = {"php": {"-f", "--file"}, "guile": {"-s", "-e"}}
_SHELL_TAKES = {"-o", "+o", "-O", "+O", "--rcfile", "--init-file", "-C", "--init-command"}
_LOADER_TAKES = {"--library-path", "--inhibit-rpath", "--audit", "--preload", "--argv0", "--glibc-hwcaps-prepend",
                 "--glibc-hwcaps-mask"}  # fmt: skip
_JAVA_TAKES = {"--add-modules", "--add-opens", "--add-exports", "--add-reads", "--limit-modules", "--upgrade-module-path",
               "--patch-module", "-p", "--module-path", "--enable-native-access", "--source", "--describe-module"}  # fmt: skip


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
    versioned = _VERSIONED.match(name)
    if versioned:
        word = versioned.group(1)
        return "node" if word == "nodejs" else word
    return ""


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
    at = 0
    while at < len(args):
        word = args[at]
        if word == "-jar" and at + 1 < len(args):
            return Inner(_base(args[at + 1]), args[at + 1])
        if word in ("-m", "--module") and at + 1 < len(args):
            return Inner(args[at + 1])
        if word.startswith("--module="):
            return Inner(word.partition("=")[2])
        if word in ("-cp", "-classpath", "--class-path"):
            path = _class_path(args[at + 1] if at + 1 < len(args) else "")
            at += 2
        elif word.startswith("--class-path="):
            path = _class_path(word.partition("=")[2])
            at += 1
        elif word.startswith(("@", "-")):
            if word.startswith("@"):
                # The rest of the command line is in a file that may have changed since.
                return Inner(name)
            at += 2 if word in _JAVA_TAKES else 1
        elif word.endswith(".java"):
            return Inner(_base(word), word)
        else:
            return Inner(word, path[0] if path else "", tuple(path[1:]))
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
    at = 0
    while at < len(args) and args[at].startswith("-"):
        at += 2 if args[at] in _LOADER_TAKES else 1
    return Inner(_base(args[at]), args[at]) if at < len(args) else Inner(name, own=True)


def _wine(name: str, argv: list[str]) -> Inner:
    for word in argv:
        if _WINDOWS_PROGRAM.search(word):
            return Inner(re.split(r"[\\/]", word)[-1], word)
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
        at += 2 if word in takes else 1
    if at >= len(args) or args[at] in ("-", ""):
        return Inner(name)
    return Inner(_base(args[at]), args[at])


def _is_inline(kind: str, word: str, inline: set[str]) -> bool:
    if word in inline or word.partition("=")[0] in inline:
        return True
    # perl and ruby let one-letter options stand together: -lane 'code'.
    return (
        kind in ("perl", "ruby")
        and not word.startswith(("--", "-I", "-M", "-m", "-C", "-r"))
        and ("e" in word[1:] or (kind == "perl" and "E" in word[1:]))
    )
