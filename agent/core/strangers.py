"""Accounts that the policy does not name: they get the strictest limits, so that a new account is no way out.

An account is a stranger when it is no child's, no guardian's, no administrator's and not on the list of those to leave
alone (``unwatched``).  ``others = "ignore"`` leaves all of them alone.  Administrators are no strangers: nothing holds them,
and limits that seem to would only lock a family out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import msgspec

from agent.core.fallback import fallback
from agent.core.rules import Rules, compile_policy
from agent.model.policy import CatalogueEntry, Family

MOST = 16
"""Strangers that are limited at once; making an account takes an administrator."""


def strangers(family: Family, standard: Collection[str]) -> tuple[str, ...]:
    """Those of the PC's standard accounts that are strangers, in the order of their names."""
    if family.others == "ignore" or not family.children:
        return ()
    named = {account for child in family.children for account in child.accounts}
    named.update(guardian.account for guardian in family.guardians)
    return tuple(sorted(set(standard) - named - set(family.unwatched)))[:MOST]


def with_strangers(rules: Rules, names: Collection[str], catalogue: Mapping[str, list[CatalogueEntry]]) -> Rules:
    """The rules with a child of its own for each stranger, called after its account."""
    family = rules.policy.family
    strict = fallback(sorted(names), (), catalogue, family.zone)
    if strict is None:
        return rules
    children = [
        msgspec.structs.replace(child, name=f"{child.name} (account)" if child.name in rules.children else child.name)
        for child in strict.family.children
    ]
    strict_family = msgspec.structs.replace(strict.family, reset=family.reset, children=children)
    more = compile_policy(msgspec.structs.replace(strict, family=strict_family))
    return dataclasses.replace(
        rules, children={**rules.children, **more.children}, accounts={**rules.accounts, **more.accounts}
    )
