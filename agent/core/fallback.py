"""The policy that is in force when there is none to be believed: restrictive, but usable, and open about it.

Every standard account is treated as a child's: an hour a day between 8 and 20, school programs without asking, all
else asked for; sites for learning and help lines are open.  Administrators are guardians and are never limited, so nobody is locked out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.model.policy import CatalogueEntry, Child, Family, Guardian, Limits, Policy, ProgramRule, SiteRule, SiteRules

POLICY_ID = "fallback"


def fallback(
    standard: Sequence[str],
    administrators: Sequence[str],
    catalogue: Mapping[str, list[CatalogueEntry]],
    zone: str = "UTC",
) -> Policy | None:
    """The policy for these accounts; ``None`` when no standard account is there to be limited."""
    if not standard:
        return None
    limits = Limits(
        windows={"all": ["08:00-20:00"]},
        budget={"all": "1h"},
        count="all",
        mode="block",
        ending="lock",
        notices=["15m", "5m", "1m"],
        grace="60s",
        grant_ceiling="4h",
        unknown_programs="ask",
        programs=[
            ProgramRule(group="school", action="allow", counts=False),
            ProgramRule(group="system", action="allow"),
            ProgramRule(group="browsers", action="allow"),
        ],
        sites=SiteRules(mode="allow-list", rules=[SiteRule(group="learning")], youtube="strict"),
    )
    guardians = [Guardian(name=name, account=name) for name in administrators[:8]] or [
        Guardian(name="administrator", account="root")
    ]
    return Policy(
        policy_id=POLICY_ID,
        version=1,
        issued="2026-01-01T00:00:00Z",
        family=Family(
            format=1,
            zone=zone,
            guardians=guardians,
            children=[Child(name=name, accounts=[name], preset="junior", limits=limits) for name in standard[:16]],
        ),
        catalogue=dict(catalogue),
    )
