"""What is said and done about one program: a notice to its child, an end to one of its processes."""

from __future__ import annotations

from agent.model.program import Process
from agent.model.verdict import AskFor, NoticeKind, Notify, ProgramVerdict, StopProgram


def notice(child: str, kind: NoticeKind, about: ProgramVerdict | AskFor, text: str, left: int | None = None) -> Notify:
    """Words for the child; ``left`` is milliseconds."""
    return Notify(
        child=child, kind=kind, title=about.title, text=text, left=left, rule=about.rule, program=about.program
    )


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
