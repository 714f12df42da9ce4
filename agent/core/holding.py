"""Programs that wait for an answer: they stand still from their start, until a guardian says yes or no, or time is over.

What is held is told by the host, not remembered here, so that nothing that the host holds is ever forgotten: whatever may
run is released, whatever may not is stopped.  The ladder keeps only since when each one waits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from agent.clock import SECOND, Millis
from agent.core.saying import say
from agent.core.telling import notice, once, stop
from agent.model.policy import Family
from agent.model.program import Process, ProgramId
from agent.model.site import Said
from agent.model.verdict import AskFor, Effect, Held, Hold, ProgramVerdict, Release, StopProgram

MOST_HELD = 5
"""Programs of one child that may wait at a time; the next is stopped: a child can start programs without end."""
WITHOUT_SESSION = 10 * SECOND
"""What waits for an answer goes when its account has logged out for so long (a login begins before its session shows)."""


def identity_of(program: ProgramId) -> str:
    """What a permission for this program can rest on: package, place or hash; empty where nothing tells it from others.

    Code that an interpreter got from its command line or standard input has no place of its own: a permission for the
    interpreter's package would be one for any code.
    """
    if program.interpreter and not program.path:
        return ""
    if program.package:
        return program.package
    if program.protected and program.path:
        return f"path:{program.path}"
    if program.sha256:
        return f"sha256:{program.sha256}"
    return ""


def hash_to_come(program: ProgramId) -> bool:
    """Whether the host may still find out its hash: that of a large file takes a moment."""
    return bool(program.path) and not program.protected and not program.sha256


def no_room(title: str, program: ProgramId, within: Millis, waiting: int) -> Said | None:
    """Why a program that must be asked for is closed at once instead of held; ``None`` when it is held.

    ``waiting``: how many of the child's programs wait already.
    """
    if not identity_of(program) and not hash_to_come(program):
        return Said("Nothing tells {title} from other programs, so nobody can be asked for it.", (("title", title),))
    if not within:
        return Said("{title} is new here, so it was closed.", (("title", title),))
    if waiting >= MOST_HELD:
        places = (("number", str(waiting)), ("title", title))
        return Said("{number} programs wait for an answer already. Start {title} again after that.", places)
    return None


def question(child: str, guardians: str | Said, verdict: ProgramVerdict, program: ProgramId, within: Millis) -> AskFor:
    """The question to the guardians, and what the child is told."""
    places = (("title", verdict.title), ("by", guardians))
    said = Said("{title} is new here. {by} has been asked. Start it again after a yes.", places)
    if within:
        text = Said("{title} is new here. {by} has been asked. It waits for the answer, {time} at most.")
        said = Said(text.text, (*places, ("time", within // SECOND)))
    return AskFor(
        child=child,
        program=verdict.program,
        title=verdict.title,
        rule=verdict.rule,
        identity=identity_of(program),
        place=program.path,
        sentence=say(said),
        said=said,
    )


def asked_guardians(family: Family) -> str | Said:
    """Who is asked, in words: the one guardian's name, else “A guardian”."""
    names = [guardian.name for guardian in family.guardians]
    return names[0] if len(names) == 1 else Said("A guardian")


@dataclass(slots=True)
class Waiting:
    """One child's waiting programs, through one tick."""

    child: str
    boot: Millis
    within: Millis
    """How long an answer is waited for."""
    guardians: str | Said
    """Who is asked, in words."""
    seated: Collection[str]
    """Accounts that have a session."""
    present: frozenset[tuple[int, int]]
    """What the host holds now."""
    held: dict[tuple[int, int], Held]
    """Since when; renewed by this tick."""

    def ask(
        self, program: ProgramId, verdict: ProgramVerdict, processes: Iterable[Process], told: set[str]
    ) -> list[Effect]:
        """Hold what must be asked for, ask once it is known, and stop what nobody answered for in time."""
        effects: list[Effect] = []
        for process in processes:
            key = once(process)
            one = self.held.get(process.key)
            if one is None:
                why = no_room(verdict.title, program, self.within, len(self.held))
                if why is not None:
                    effects += self._closed(process, program, verdict, why, told)
                    continue
                one = self.held[process.key] = Held(pid=process.pid, started=process.started, since=self.boot)
            waited = self.boot - one.since
            if not 0 <= waited < self.within:
                text = Said(
                    "Nobody has answered for {time}, so {title} was closed. "
                    "The question stays open; you can start it again.",
                    (("time", self.within // SECOND), ("title", verdict.title)),
                )
                effects += [notice(self.child, "blocked", verdict, text), self._stop(process, verdict, say(text))]
                del self.held[process.key]
            elif process.account not in self.seated and waited >= WITHOUT_SESSION:
                effects.append(self._stop(process, verdict, "Its session has ended."))
                del self.held[process.key]
            else:
                if process.key not in self.present:
                    effects.append(
                        Hold(
                            child=self.child,
                            pid=process.pid,
                            started=process.started,
                            program=verdict.program,
                            rule=verdict.rule,
                        )
                    )
                if key not in told and identity_of(program):
                    told.add(key)
                    effects.append(question(self.child, self.guardians, verdict, program, self.within))
        return effects

    def _closed(
        self, process: Process, program: ProgramId, verdict: ProgramVerdict, why: Said, told: set[str]
    ) -> list[Effect]:
        end = self._stop(process, verdict, say(why))
        if once(process) in told:
            return [end]
        told.add(once(process))
        if not self.within and identity_of(program):
            return [question(self.child, self.guardians, verdict, program, 0), end]
        return [notice(self.child, "blocked", verdict, why), end]

    def settle(
        self, running: Mapping[ProgramId, tuple[Process, ...]], verdicts: Mapping[ProgramId, ProgramVerdict]
    ) -> list[Effect]:
        """Let go on what the host holds and may run; forget what is gone or was stopped."""
        effects: list[Effect] = []
        waiting: set[tuple[int, int]] = set()
        for program, processes in running.items():
            verdict = verdicts.get(program)
            action = "allow" if verdict is None else verdict.action
            for process in processes:
                if action == "ask":
                    waiting.add(process.key)
                elif action != "block" and process.key in self.present:
                    effects.append(Release(child=self.child, pid=process.pid, started=process.started))
        self.held = {key: one for key, one in self.held.items() if key in waiting}
        return effects

    def _stop(self, process: Process, verdict: ProgramVerdict, text: str) -> StopProgram:
        return stop(self.child, process, verdict, text, at_once=True)
