"""Learning which programs a child uses, and the rules that a guardian may make of it.

While it lasts nothing is blocked or asked for only because it is unknown; what the policy blocks stays blocked.  What was
learned is a proposal: a guardian reads it, changes it, signs it.  What a child could exchange under its name is marked and
left commented out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from agent.clock import Millis
from agent.core.drafting import rule_lines
from agent.core.holding import identity_of
from agent.core.timewords import duration_words, when
from agent.model.program import ProgramId
from agent.model.site import Said

MOST_LEARNED = 400
"""Different programs that are kept of one child; it can start new ones without end."""
LONGEST = 28 * 86_400
"""Seconds that learning may last."""
SHORTEST = 60
Doubt = Literal["", "writable", "script", "name"]
_DOUBTS: dict[Doubt, str] = {
    "writable": "lies where the child can write: look at it before you allow it",
    "script": "a script: look at what it does before you allow it",
    "name": "known by its name alone, which proves nothing: it cannot be allowed",
}


class Learned(Struct, kw_only=True):
    """One program, as it was used while learning."""

    identity: str
    """``core.holding.identity_of``; empty for what has only a name."""
    title: str
    path: str = ""
    program: str = ""
    """Its id in the catalogue, where evidence that the child cannot change says so."""
    group: str = ""
    doubt: Doubt = ""
    ruled: bool = False
    """The policy has a rule for it already."""
    starts: int = 0
    days: int = 0
    last_day: str = ""
    millis: Millis = 0
    """How long it ran while the PC was in use."""


class Learning(Struct, kw_only=True):
    """What was learned of one child.  Times are trusted wall milliseconds."""

    child: str
    since: Millis
    until: Millis
    by: str
    programs: dict[str, Learned] = {}
    left_out: int = 0
    """Starts of programs beyond ``MOST_LEARNED``."""
    system: int = 0
    """Starts of the system's own parts, which need no rule."""
    over: bool = False

    def entry(self, program: ProgramId, day: str) -> Learned | None:
        """The entry for a program, made at its first start; ``None`` when there is no room for another."""
        key = identity_of(program) or f"name:{program.name}"
        found = self.programs.get(key)
        if found is None:
            if len(self.programs) >= MOST_LEARNED:
                return None
            found = self.programs[key] = Learned(
                identity=identity_of(program), title=program.name, path=program.path, doubt=doubt(program)
            )
        if found.last_day != day:
            found.last_day = day
            found.days += 1
        return found


def doubt(program: ProgramId) -> Doubt:
    """Why a guardian should look twice at a program before allowing it."""
    if not identity_of(program):
        return "name"
    if program.package or program.protected:
        return ""
    return "script" if program.interpreter else "writable"


def said(learning: Learning, zone: ZoneInfo) -> Said:
    """What the child is told while it lasts."""
    end = dt.datetime.fromtimestamp(learning.until / 1000, zone)
    return Said(
        "Fairtime is learning which programs you use. It stops {when}. "
        "Nothing new is closed meanwhile, and you can read the list.",
        (("when", when(end.weekday(), f"{end:%H:%M}")),),
    )


def listing(learning: Learning, zone: ZoneInfo) -> str:
    """What was learned so far, most used first: the same for guardian and child."""
    since = dt.datetime.fromtimestamp(learning.since / 1000, zone)
    end = dt.datetime.fromtimestamp(learning.until / 1000, zone)
    state = "over since" if learning.over else "until"
    out = [
        f"{learning.child}: learning from {since:%Y-%m-%d %H:%M}, {state} {end:%Y-%m-%d %H:%M}; begun by {learning.by}."
    ]
    out += [f"  {one.title}: {_used(one)}{f'; {_DOUBTS[one.doubt]}' if one.doubt else ''}" for one in _order(learning)]
    if not learning.programs:
        out.append("  Nothing was started yet.")
    if learning.left_out:
        out.append(f"  and {learning.left_out} starts of other programs, for which there was no room.")
    out.append(f"  {learning.system} starts of the system's own parts, which need no rule.")
    return "\n".join(out)


def propose(learning: Learning, titles: dict[str, str] | None = None) -> str:
    """Rules for the family file: grouped, most used first, with counts; doubtful ones commented out.

    ``titles``: names of catalogue groups for people.
    """
    named = titles or {}
    out = [
        f"# For {learning.child}: what was used while Fairtime was learning.  Read it, delete what you do not want to allow,",
        "# put the rest below the [[children]] table of that name, then check and sign the file.",
    ]
    chosen = [one for one in _order(learning) if not one.ruled]
    taken: set[str] = set()
    sure = [one for one in chosen if not one.doubt]
    for group in dict.fromkeys(one.group for one in sure):
        out += ["", f"# {named.get(group, group) or 'other programs'}"]
        for one in sure:
            if one.group == group:
                out += [f"# {_line(one.title)}: {_used(one)}"]
                out += rule_lines(f"program:{one.program}" if one.program else one.identity, one.title, taken)
    doubtful = [one for one in chosen if one.doubt]
    if doubtful:
        out += ["", "# Look at these first; they are commented out."]
    for one in doubtful:
        out += [f"# {_line(one.title)}: {_used(one)}; {_line(one.path) or 'no file'}", f"# {_DOUBTS[one.doubt]}"]
        if one.identity:
            out += [f"#: {line}" for line in rule_lines(one.identity, one.title, taken)]
    ruled = sum(one.ruled for one in learning.programs.values())
    if ruled:
        out += ["", f"# {ruled} more have a rule in the policy already."]
    if learning.left_out:
        out += ["", f"# {learning.left_out} starts of other programs were left out: there was no room for them."]
    if not chosen:
        out += ["", "# Nothing was used that needs a rule."]
    return "\n".join(out)


def _order(learning: Learning) -> Iterable[Learned]:
    return sorted(learning.programs.values(), key=lambda one: (-one.millis, -one.starts, one.title))


def _used(one: Learned) -> str:
    starts = f"{one.starts} start{'s' if one.starts != 1 else ''}"
    days = f"{one.days} day{'s' if one.days != 1 else ''}"
    return f"{starts} on {days}, {duration_words(one.millis)}"


def _line(text: str) -> str:
    """One line of a comment, whatever a file is called."""
    return "".join(c if c.isprintable() else " " for c in text)
