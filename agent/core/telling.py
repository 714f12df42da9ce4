"""What is said to a child, and what is done about one program: a notice, an end to one of its processes."""

from __future__ import annotations

from agent.core.saying import say
from agent.model.program import Process
from agent.model.site import Said
from agent.model.verdict import AskFor, NoticeKind, Notify, ProgramVerdict, StopProgram


def notice(
    child: str, kind: NoticeKind, about: ProgramVerdict | AskFor, said: Said | str, left: int | None = None
) -> Notify:
    """Words for the child: a sentence, or what a guardian wrote; ``left`` is milliseconds."""
    return tell(child, kind, about.title, said, left=left, rule=about.rule, program=about.program)


def tell(
    child: str,
    kind: NoticeKind,
    headed: Said | str,
    said: Said | str,
    *,
    left: int | None = None,
    rule: str = "",
    program: str = "",
) -> Notify:
    """A notice; what is not ``Said`` is a name, or somebody's own words, and is the same in every language."""
    return Notify(
        child=child,
        kind=kind,
        title=text_of(headed),
        text=text_of(said),
        left=left,
        rule=rule,
        program=program,
        headed=headed if isinstance(headed, Said) else None,
        said=said if isinstance(said, Said) else None,
    )


def text_of(said: Said | str) -> str:
    """The sentence in English."""
    return say(said) if isinstance(said, Said) else said


def stop(child: str, process: Process, verdict: ProgramVerdict, text: str, *, at_once: bool) -> StopProgram:
    """Stop this process and its tree; ``text`` says why."""
    return StopProgram(
        child=child,
        pid=process.pid,
        started=process.started,
        program=verdict.program,
        title=verdict.title,
        rule=verdict.rule,
        sentence=text,
        at_once=at_once,
    )


def once(process: Process) -> str:
    """The key in ``Ladder.told`` of what is told once of a process."""
    return f"{process.pid}/{process.started}"
