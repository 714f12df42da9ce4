"""The browsers' lane on Windows: each child's rules in that child's own hive, where the child may read and not write.

A hive is loaded while its account is logged in.  Rules are written as soon as it is (looked for every two seconds) and stay in
it; of somebody who is not logged in they are those of the last time, and new before a browser has started.  A hive is never
loaded from here: a logon at that moment would get a profile for one day instead of its own.

Looked at every two seconds by the keys' stamps, read every minute, put right from what should be there.  What another
program had set under the same names is kept and put back (``keeping``).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from agent.clock import MINUTE, SECOND, Millis
from agent.errors import HostError
from agent.model.site import SitePlan
from agent.model.snapshot import Mended
from agent.platforms.base import Finding
from agent.platforms.windows.browserrules import KEYS, NAMES, POLICIES, rules
from agent.platforms.windows.hive import Hive, replace, same
from agent.platforms.windows.keeping import Keeping
from agent.platforms.windows.values import Node, found

LOOK_EVERY: Millis = 2 * SECOND
VERIFY_EVERY: Millis = MINUTE
RIGHTS = "O:BAG:SYD:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;{sid})"
"""Of a key with a child's rules: the system and administrators write, the child reads, nobody else has it."""
_ADVICE = "Until then browsers go by the rules from before."
_MACHINE = r"SOFTWARE\Policies"

Stamps = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Audience:
    """One child's plan and the SIDs of the accounts that it is for."""

    plan: SitePlan
    sids: frozenset[str]
    few: Mapping[str, Collection[str]] = field(default_factory=dict)
    """``SiteLane.few``."""


class Browsers:
    """``users`` is ``HKEY_USERS``, ``machine`` is ``HKEY_LOCAL_MACHINE``.  ``put`` and ``mend`` in any thread, one at a time;
    ``look`` on the loop."""

    def __init__(self, users: Hive, machine: Hive) -> None:
        self._users = users
        self._machine = machine
        self._keeping = Keeping(machine, users, "Browsers")
        self._lock = threading.Lock()
        self._wanted: dict[str, dict[str, Node]] = {}
        """SID → browser's key → what belongs there."""
        self._loaded: frozenset[str] = frozenset()
        self._owed: frozenset[str] = frozenset()
        """SIDs whose hives have something of ours, are not loaded, and are to be as before."""
        self._stamps: dict[str, Stamps] = {}
        self._rights: dict[str, str] = {}
        self._settled: set[str] = set()
        """Keys that were as they should be, so that a difference is somebody else's doing."""
        self._looked: Millis | None = None
        self._verified: Millis = 0
        self._mended: list[Mended] = []
        self.troubles: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """What is missing for browsers to keep rules; empty when nothing is."""
        return " ".join(self.troubles)

    @property
    def waiting(self) -> tuple[str, ...]:
        """SIDs of children who are not logged in and have the rules of the last time."""
        return tuple(sorted(self._wanted.keys() - self._loaded))

    def put(self, audiences: Collection[Audience]) -> None:
        """Make these the rules, at once.  ``HostError`` when some could not be written; the others are."""
        with self._lock:
            self._wanted = {sid: rules(one.plan, one.few) for one in audiences for sid in one.sids}
            self._settled.clear()
            self._work()
            if self.troubles:
                raise HostError(self.troubles[0], _ADVICE)

    def look(self, now: Millis) -> bool:
        """Whether something asks for ``mend``; ``now`` in boot milliseconds.  Microseconds, at most once in two seconds."""
        if self._looked is not None and now - self._looked < LOOK_EVERY:
            return False
        self._looked = now
        if not self._wanted and not self._owed:
            return False
        if now - self._verified >= VERIFY_EVERY:
            self._verified = now
            return True
        try:
            if self._here(self._wanted) != self._loaded or self._here(self._owed):
                return True
            return any(self._stamp(sid, key) != known for (sid, key), known in self._marked())
        except OSError:
            return True  # ``mend`` meets it again, and says what it is

    def mend(self, now: Millis) -> None:
        """Compare what is there with what should be, and put it right.  Milliseconds."""
        del now
        with self._lock:
            self._work()

    def restore(self) -> None:
        """Everything as it was before, where the hives are loaded; the rest when they next are."""
        with self._lock:
            self._wanted = {}
            self._work()

    def left(self) -> tuple[str, ...]:
        """SIDs of accounts that have rules of ours in their hives though they should have none."""
        sids = {path.partition("\\")[0] for path in self._keeping.all()}
        return tuple(sorted(sids - self._wanted.keys()))

    def take(self) -> tuple[Mended, ...]:
        """What was put right, or could not be, since the last call."""
        taken, self._mended = tuple(self._mended), []
        return taken

    def findings(self) -> Iterator[Finding]:
        """Other programs' rules that weaken ours, stand back for them, or cannot be put back."""
        if not self._wanted:
            return
        for key, kind in KEYS.items():
            theirs = self._machine.node(rf"{_MACHINE}\{key}")
            ours = next(iter(self._wanted.values()))[key]
            both = sorted(name for name in (*ours.values, *ours.keys) if theirs and _has(theirs, name))
            if both:
                yield Finding(
                    "browser-policy-twice", "weak",
                    f"The whole PC's rules for {NAMES[kind]} set {', '.join(both)}, as Fairtime does for the children",
                    f"A browser obeys the PC's before a child's. Take them out of HKEY_LOCAL_MACHINE\\{_MACHINE}\\{key}.",
                )  # fmt: skip
        for path in self._keeping.all():
            before = self._keeping.of(path)
            kind_ = next((kind for key, kind in KEYS.items() if path.endswith(f"\\{POLICIES}\\{key}")), None)
            if kind_ is not None and before is not None and before.foreign:
                yield Finding(
                    "browser-policy-replaced", "note",
                    f"Another program's rules for {NAMES[kind_]} stand back for Fairtime's: {', '.join(before.foreign)}",
                    "They are kept, and come back when Fairtime no longer filters sites for that child.",
                )  # fmt: skip
        for path in sorted(self._keeping.damaged):
            yield Finding(
                "browser-policy-lost", "note", f"What stood in {path} before Fairtime is not known any more",
                "When Fairtime is taken away, that key is emptied instead of put back.",
            )  # fmt: skip

    # ---- putting right -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Everything, in every loaded hive; what cannot be done is in ``troubles``."""
        troubles = []
        stamps: dict[str, Stamps] = {}
        try:
            loaded = self._here(self._wanted)
            gone = [path for path in self._keeping.all() if path.partition("\\")[0] not in self._wanted]
        except OSError as error:
            self.troubles = (f"The registry cannot be read: {_reason(error)}.",)
            return
        for sid in sorted(loaded):
            for key, node in self._wanted[sid].items():
                path = _path(sid, key)
                try:
                    self._apply(sid, path, node)
                    stamps[path] = self._stamp(sid, key)
                except OSError as error:
                    text = (
                        f"The rules for {NAMES[KEYS[key]]} in HKEY_USERS\\{path} cannot be written: {_reason(error)}."
                    )
                    troubles.append(text)
                    if path in self._settled and text not in self.troubles:
                        self._mended.append(Mended(path=f"HKEY_USERS\\{path}", what="changed", why=_reason(error)))
                    self._settled.discard(path)
        owed = set()
        for path in gone:
            sid = path.partition("\\")[0]
            try:
                if self._users.there(sid):
                    self._keeping.restore(path)
                else:
                    owed.add(sid)
            except OSError as error:
                troubles.append(f"What stood in HKEY_USERS\\{path} cannot be put back: {_reason(error)}.")
        self._loaded, self._owed, self._stamps, self.troubles = loaded, frozenset(owed), stamps, tuple(troubles)

    def _apply(self, sid: str, path: str, node: Node) -> None:
        self._keeping.keep(path, node.values, node.keys)
        what = ""
        have = self._users.node(path)
        if have is None:
            what = "removed"
            self._users.make(path)
            have = Node()
        for name, value in node.values.items():
            if found(have.values, name) != value:
                what = what or "changed"
                self._users.put(path, name, value)
        for name, below in node.keys.items():
            if not same(found(have.keys, name), below):
                what = what or "changed"
                replace(self._users, rf"{path}\{name}", below)
        if path not in self._rights or self._users.rights(path) != self._rights[path]:
            what = what or ("given other rights" if path in self._rights else "")
            self._users.give(path, RIGHTS.format(sid=sid))
            self._rights[path] = self._users.rights(path)
        if what and path in self._settled:
            self._mended.append(Mended(path=f"HKEY_USERS\\{path}", what=what))
        self._settled.add(path)

    # ---- looking -------------------------------------------------------------------------------------------------

    def _here(self, sids: Collection[str]) -> frozenset[str]:
        return frozenset(sid for sid in sids if self._users.there(sid))

    def _marked(self) -> Iterator[tuple[tuple[str, str], Stamps]]:
        for sid in self._loaded:
            for key in self._wanted.get(sid, ()):
                yield (sid, key), self._stamps.get(_path(sid, key), ())

    def _stamp(self, sid: str, key: str) -> Stamps:
        path = _path(sid, key)
        return (self._users.stamp(path), *(self._users.stamp(one) for one in _below(path, self._wanted[sid][key])))


def _path(sid: str, key: str) -> str:
    return rf"{sid}\{POLICIES}\{key}"


def _below(path: str, node: Node) -> Iterator[str]:
    for name, one in node.keys.items():
        at = rf"{path}\{name}"
        yield at
        yield from _below(at, one)


def _has(node: Node, name: str) -> bool:
    return found(node.values, name) is not None or found(node.keys, name) is not None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
