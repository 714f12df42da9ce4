"""Findings about a browser without rules for sites: told while a child whose rules close sites may start it, and who may."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agent.core import browsers
from agent.model.program import ProgramId
from agent.platforms.base import Finding, Host
from agent.service.engine import Engine
from agent.service.questions import Questions

_PACKAGES = ("flatpak:", "snap:")


def told(findings: Iterable[Finding], host: Host, questions: Questions) -> tuple[Finding, ...]:
    """``findings`` without those about a program that no such child may start; what cannot be identified is told."""
    found = []
    for finding in findings:
        program = _program(host, finding.program) if finding.program else None
        if program is not None:
            names = [name for name in questions.engine.rules.children if _may_start(questions, name, program)]
            if not names:
                continue
            finding = replace(finding, title=f"{finding.title}, and {' and '.join(names)} may use it")
        found.append(finding)
    return tuple(found)


def _program(host: Host, name: str) -> ProgramId | None:
    if name.startswith(_PACKAGES):
        return ProgramId(name=name.partition(":")[2], package=name, protected=True, application=True)
    process = host.identify(name)
    return process.program if process is not None else None


def _may_start(questions: Questions, name: str, program: ProgramId) -> bool:
    """Now, or at another hour of the day."""
    engine: Engine = questions.engine
    rules, day = engine.rules.children[name], engine.today(name)
    if not browsers.closes(rules.plan(day).sites):
        return False
    if engine.matchers.of(rules, day).match(program).verdict.action != "block":
        return True
    child = engine.children.get(name)
    return child is not None and child.moment is not None and questions.why(child, program).action != "block"
