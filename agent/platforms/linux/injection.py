"""Code that the environment puts into a program: libraries, modules and options that are loaded before its own.

A program that was started so is another program than the one on disk.  The environment is what the program was *given*
(/proc/PID/environ right after its start); code that already runs can rewrite it, so this stops what a command line can do,
not what a debugger can (``docs/limits.md``).  Pure but for ``safe``, which says whether a path is out of the account's hands.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_LIBRARIES = (b"LD_PRELOAD", b"LD_AUDIT", b"LD_LIBRARY_PATH")
_PATHS: dict[str, tuple[bytes, ...]] = {
    "python": (b"PYTHONPATH", b"PYTHONHOME"),
    "perl": (b"PERL5LIB",),
    "ruby": (b"RUBYLIB", b"GEM_PATH", b"GEM_HOME"),
    "node": (b"NODE_PATH",),
    "java": (b"CLASSPATH",),
    "php": (b"PHPRC", b"PHP_INI_SCAN_DIR"),
    "tclsh": (b"TCLLIBPATH",),
    "wish": (b"TCLLIBPATH",),
    "guile": (b"GUILE_LOAD_PATH", b"GUILE_LOAD_COMPILED_PATH"),
    "gjs": (b"GJS_PATH", b"GI_TYPELIB_PATH"),
    "shell": (b"BASH_ENV", b"ENV", b"ZDOTDIR"),
    "mono": (b"MONO_PATH",),
    "lua": (b"LUA_PATH", b"LUA_CPATH"),
    "luajit": (b"LUA_PATH", b"LUA_CPATH"),
}
_OPTIONS: dict[str, tuple[bytes, ...]] = {
    "perl": (b"PERL5OPT",),
    "ruby": (b"RUBYOPT",),
    "node": (b"NODE_OPTIONS",),
    "java": (b"JAVA_TOOL_OPTIONS", b"_JAVA_OPTIONS", b"JDK_JAVA_OPTIONS"),
    "lua": (b"LUA_INIT",),
    "luajit": (b"LUA_INIT",),
}
_HARMLESS = re.compile(
    rb"^(-D[\w.]+=[\w.-]*|-X(ms|mx|ss)\w+|-XX:[+-]\w+|--max[-_]old[-_]space[-_]size=\d+|-w|-W\d?|-U)$"
)
"""Options that load nothing; whatever is not on this list might."""


def injected(environ: bytes, kind: str, safe: Callable[[str], bool]) -> str:
    """The variable that brings foreign code into a program, empty when none does.

    ``kind`` is that of its interpreter (``interpreters.family``), empty for a program of its own.
    """
    options = _OPTIONS.get(kind, ())
    watched = _LIBRARIES + _PATHS.get(kind, ()) + options
    if not any(name in environ for name in watched):
        return ""  # the way of nearly every start
    for pair in environ.split(b"\0"):
        name, _, value = pair.partition(b"=")
        if name not in watched or not value:
            continue
        if name in options:
            if not all(_HARMLESS.match(word) for word in value.split()):
                return name.decode()
        elif not all(_is_safe(part, name, safe) for part in re.split(rb"[: ;]", value)):
            return name.decode()
    return ""


def _is_safe(part: bytes, name: bytes, safe: Callable[[str], bool]) -> bool:
    if b"/" not in part and name in (b"LD_PRELOAD", b"LD_AUDIT"):
        return True  # looked for where the system keeps its libraries, or in LD_LIBRARY_PATH (ld.so(8))
    # An empty entry and a relative one mean the folder that the program stands in.
    text = part.decode("utf-8", "surrogateescape")
    return text.startswith("/") and b"$" not in part and safe(text.partition("?")[0].rstrip("/") or "/")
