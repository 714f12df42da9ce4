"""What guardians allowed for good, as rules for the family file: the signed file is where lasting things belong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from agent.core.drafting import rule_lines
from agent.core.siterules import host_of
from agent.ipc.answers import Status
from agent.ipc.client import Client
from agent.ipc.protocol import GetStatus
from agent.model.grant import Grant
from agent.model.policy import Family, SiteRules


def given_for_good(child: str | None) -> list[Grant]:
    """The permissions for programs and sites that end only when they are withdrawn."""
    with closing(Client()) as client:
        status = client.call(GetStatus(child=child))
    assert isinstance(status, Status)
    return [
        grant
        for state in status.children
        for grant in state.grants
        if grant.kind in ("program", "site") and grant.until is None and not grant.once
    ]


def missing(grants: Sequence[Grant], family: Family) -> list[Grant]:
    """Those that no rule of the family file stands for."""
    known: dict[str, set[str]] = {}
    for child in family.children:
        rules = child.limits.programs or []
        known[child.name] = {
            f"{kind}:{value}" if kind != "package" else value
            for rule in rules
            for kind, value in (
                ("sha256", rule.sha256),
                ("path", rule.path),
                ("program", rule.program),
                ("package", rule.package),
            )
            if value
        }
        sites = child.limits.sites or SiteRules()
        known[child.name] |= {host_of(name) or "" for name in sites.allow or ()}
        known[child.name] |= {host_of(rule.host) or "" for rule in sites.rules or () if rule.host is not None}
    return [grant for grant in grants if grant.subject not in known.get(grant.child, set())]


def text(grants: Sequence[Grant]) -> str:
    """The lines, child by child."""
    out: list[str] = []
    for child in dict.fromkeys(grant.child for grant in grants):
        out += [
            f"# For {child}: put these below the [[children]] table of that name, sign it, then withdraw the grants",
            "",
        ]
        taken: set[str] = set()
        for grant in grants:
            if grant.child == child and grant.kind == "program":
                out += [f"# allowed by {grant.by}; withdraw with: fairtime release {grant.id}"]
                out += [*rule_lines(grant.subject, grant.title, taken), ""]
        sites = [grant for grant in grants if grant.child == child and grant.kind == "site"]
        if sites:
            out += [
                f"# {grant.subject}: allowed by {grant.by}; withdraw with: fairtime release {grant.id}"
                for grant in sites
            ]
            out += [
                "[children.limits.sites]",
                "allow = [" + ", ".join(f'"{grant.subject}"' for grant in sites) + "]",
                "",
            ]
    return "\n".join(out).rstrip() or "Nothing is allowed for good outside of the policy."
