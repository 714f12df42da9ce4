"""Shells, Python and the interpreters that take a script: what a command line makes them run.  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inner:
    """What an interpreter runs.

    ``file`` is a path as given (perhaps relative), empty when there is none, as for ``python -c``.  ``others`` must be
    protected too before the whole may count as protected (the rest of a Java class path, libraries loaded by option).
    ``own`` is True when the interpreter itself is the program (a shell at its prompt): its path and protection are then
    those of the executable.
    """

    name: str
    file: str = ""
    others: tuple[str, ...] = ()
    own: bool = False


SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ksh93", "mksh", "fish", "ash", "rbash"}
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
_SHELL_TAKES = {"-o", "+o", "-O", "+O", "--rcfile", "--init-file", "-C", "--init-command"}


def shell(name: str, args: list[str]) -> Inner:
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
    return Inner(base(args[at]), args[at]) if at < len(args) and args[at] else own


def python(name: str, args: list[str]) -> Inner:
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
    return Inner(base(args[at]), args[at])


def script(kind: str, name: str, args: list[str]) -> Inner:
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
    return Inner(base(args[at]), args[at], tuple(other for other in others if other))


def _is_inline(kind: str, word: str, inline: set[str]) -> bool:
    if word in inline or word.partition("=")[0] in inline:
        return True
    # perl and ruby let one-letter options stand together: -lane 'code'.
    return (
        kind in ("perl", "ruby")
        and not word.startswith(("--", "-I", "-M", "-m", "-C", "-r"))
        and ("e" in word[1:] or (kind == "perl" and "E" in word[1:]))
    )


def base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or path
