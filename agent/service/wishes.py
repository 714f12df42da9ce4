"""What a guardian wishes, as the grant that does it; or why it cannot be."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from agent.clock import SECOND, Millis
from agent.core.constraints import takeable
from agent.core.holding import identity_of
from agent.core.programanswers import no_subject
from agent.core.schedule import day_bounds
from agent.core.siterules import asked_for
from agent.core.timewords import duration_words
from agent.errors import NotFound, Refused
from agent.model.grant import Grant, Lasting
from agent.model.site import Said
from agent.service.ledger_book import fit
from agent.service.loop import Loop
from agent.service.store import Store

LONGEST_GRANT = 24 * 3600
SHORTEST_LOCK = 60


@dataclass(frozen=True, slots=True)
class Wish:
    """What a guardian gives, by a command or as the answer to a request."""

    child: str
    kind: str
    seconds: int
    subject: str
    note: str
    lasting: Lasting | None = None
    identity: str = ""
    """What the program ``subject`` is known by, when that was pinned before."""


@dataclass(slots=True)
class Wishes:
    """Makes grants of wishes; ``wall`` is trusted time."""

    loop: Loop
    store: Store
    wall: Callable[[], Millis]

    def grant(self, wish: Wish, by: str, via: str) -> Grant:
        """The grant, as the ledger will keep it, of the guardian ``by``.  Raises ``Refused`` and ``NotFound``."""
        return fit(self._as_wished(wish, by, via))

    def _as_wished(self, wish: Wish, by: str, via: str) -> Grant:
        child, kind, seconds, subject, lasting = wish.child, wish.kind, wish.seconds, wish.subject, wish.lasting
        at = self.wall()
        base = Grant(id=secrets.token_hex(6), child=child, kind="time", given=at, by=by, via=via, note=wish.note)
        if kind == "time":
            if seconds == 0:
                raise Refused("How many minutes?", "Give more (30) or fewer (-30).")
            self._within_ceiling(child, seconds)
            seconds = max(seconds, -self._takeable(child, -seconds)) if seconds < 0 else seconds
            return replace(base, seconds=seconds, day=self.loop.engine.today(child).isoformat())
        if kind == "lock":
            # Without a time a lock lasts until it is released: "lock now" means until a guardian says otherwise.
            until = at + max(SHORTEST_LOCK, seconds) * SECOND if seconds > 0 else None
            return replace(base, kind="lock", until=until)
        if kind == "refusal":
            about, title = wish.identity, subject
            if not about:
                about, title = no_subject(self._known_by(child, subject), subject), _title(subject)
            return replace(base, kind="refusal", subject=about, title=title, until=self._end_of_day(child))
        if kind == "site-refusal":
            host = _site(subject)
            return replace(base, kind="site-refusal", subject=host, title=host, until=self._end_of_day(child))
        if kind == "program" and lasting is not None:
            until = self._end_of_day(child) if lasting == "today" else None
            known = wish.identity or self._program(child, subject)
            title = _title(subject)
            return replace(base, kind="program", subject=known, title=title, until=until, once=lasting == "once")
        if kind == "site" and lasting is not None:
            if lasting == "once":
                raise Refused("A site cannot be allowed once", "Say a time such as 1h, today or good.")
            until = self._end_of_day(child) if lasting == "today" else None
            return replace(base, kind="site", subject=_site(subject), title=_site(subject), until=until)
        if not 0 < seconds <= LONGEST_GRANT:
            raise Refused("For how long?", "Say a time of at most 24 hours.")
        until = at + seconds * SECOND
        if kind == "pause":
            return replace(base, kind="pause", until=until)
        if kind == "site":
            return replace(base, kind="site", subject=_site(subject), title=_site(subject), until=until)
        if lasting is not None:
            raise Refused("This is not allowed once, for today or for good", "Say a time, such as 1h.")
        known = wish.identity or self._program(child, subject)
        return replace(base, kind="program", subject=known, title=_title(subject), until=until)

    def how_long(self, grant: Grant) -> Said:
        """For how long a yes holds, in words."""
        if grant.once:
            return Said("until it is closed")
        if grant.until is None:
            return Said("from now on")
        return Said("for today") if grant.until == self._end_of_day(grant.child) else Said("for a while")

    def _end_of_day(self, child: str) -> Millis:
        rules = self.loop.engine.rules
        return day_bounds(self.loop.engine.today(child), rules.zone, rules.reset)[1]

    def _within_ceiling(self, child: str, seconds: int) -> None:
        day = self.loop.engine.today(child)
        ceiling = self.loop.engine.rules.children[child].plan(day).grant_ceiling
        given = sum(
            g.seconds for g in self.store.grants(child, day=day.isoformat(), at=self.wall()) if g.kind == "time"
        )
        if seconds > 0 and ceiling is not None and (given + seconds) * SECOND > ceiling:
            raise Refused(
                f"The policy lets guardians add at most {duration_words(ceiling)} a day",
                "Change grant_ceiling in the policy if that is too little.",
            )

    def _takeable(self, name: str, seconds: int) -> int:
        """As many of these seconds as there are to take away today."""
        child = self.loop.engine.children.get(name)
        if child is None or child.moment is None:  # before the first tick nobody knows
            return seconds
        left = takeable(child.rules, child.moment, child.usage, self.loop.engine.grants_of(name))
        if left == 0:
            raise Refused(
                f"{name} has no minutes left today", "Nothing was taken away. “fairtime lock” closes the screen."
            )
        return seconds if left is None else min(seconds, -(-left // SECOND))

    def _program(self, child: str, subject: str) -> str:
        """What a permission for ``subject`` rests on: something that cannot be renamed."""
        if not subject:
            raise Refused("Which program?", "Name its path, its command or its name in the catalogue.")
        rules = self.loop.engine.rules.children[child]
        if subject in rules.catalogue:
            return f"program:{subject}"
        known = self.loop.remembered.get((child, subject))
        path = known.path if known is not None else subject
        found = self.loop.host.identify(path)
        program = found.program if found is not None else known
        if program is None:
            raise NotFound(f"There is no program “{subject}” here", "Give the path of its file.")
        identity = identity_of(program)
        if identity:
            return identity
        raise Refused(f"“{subject}” cannot be told from others of its name", "Give the path of its file.")

    def _known_by(self, child: str, subject: str) -> str:
        """The same; empty when nothing here is meant by it, or nothing tells it from others."""
        try:
            return self._program(child, subject)
        except (NotFound, Refused):
            return ""


def _site(subject: str) -> str:
    """The host that a guardian means."""
    host = asked_for(subject)
    if host is None:
        raise Refused(
            f"“{subject}” is no host name" if subject else "Which site?", "Name its host, such as example.org."
        )
    return host


def _title(subject: str) -> str:
    """What people call the program that was named by a path, a command or a word."""
    return subject.rstrip("/").rpartition("/")[2] or subject
