"""What is wrong with a family that has the right shape: contradictions, impossible figures, names that mean nobody.

Every problem is found in one go.  An *error* keeps the policy from being signed; a *remark* is worth a second look.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.core.problems import DAY_SECONDS, Problem, by_day, hours, near
from agent.core.sitechecks import SiteNames, name_servers, site_groups, site_rules
from agent.core.timewords import parse_clock, parse_duration
from agent.errors import PolicyError
from agent.model.policy import CatalogueEntry, Family, Limits, ProgramRule

MOST_WAITING = 3600
"""Seconds that a held program may wait."""
MOST_NOTICES = 8


def check(
    family: Family,
    catalogue: Mapping[str, list[CatalogueEntry]],
    accounts: Collection[str] | None = None,
    *,
    lists: Collection[str] | None = None,
    signed: bool = False,
) -> list[Problem]:
    """Every problem of a family, errors first.

    ``accounts`` and ``lists`` (groups of sites that lists bring): those of this PC, when it is known.  ``signed``: it was
    signed already, maybe by a version that did not look at sites: a name there that is none is then a remark.
    """
    found = [*_family(family), *_people(family, accounts), *_groups(family, catalogue), *_dates(family)]
    known = _Known(family, catalogue, lists, signed)
    found += [*site_groups(family.site_groups, known.sites), *name_servers(family.name_servers)]
    for child in family.children:
        found += _limits(child.limits, f"children.{child.name}.limits", known)
    for name, limits in family.profiles.items():
        found += _limits(limits, f"profiles.{name}", known)
    return sorted(found, key=lambda problem: not problem.error)


def locks_out(family: Family, signer: str, *, administrator: bool) -> Problem | None:
    """What is wrong when the account that signs would itself be limited by this policy; ``None`` when it would not."""
    children = {account: child.name for child in family.children for account in child.accounts}
    advice = "Sign it from a guardian's account, or correct the policy: whoever signs must be able to change it again."
    if signer in children:
        return Problem("children", f"You are signing as {signer}, which is {children[signer]}'s account", advice)
    named = {guardian.account for guardian in family.guardians} | set(family.unwatched)
    if family.others == "ignore" or administrator or signer in named:
        return None
    return Problem(
        "guardians",
        f"You are signing as {signer}, which this policy does not name: your own account would get the strictest limits",
        f"Name {signer} as a guardian's account, or add it to unwatched.",
    )


def refuse_errors(problems: Collection[Problem], name: str) -> None:
    """Raise ``PolicyError`` when there is an error among ``problems``; all of them are told."""
    errors = [problem for problem in problems if problem.error]
    if errors:
        first, rest = errors[0], len(errors) - 1
        more = f" ({rest} more: “fairtime policy check” shows all.)" if rest else ""
        raise PolicyError(first.title, first.advice + more, where=f"{name}, {first.where}")


class _Known:
    """What rules may name."""

    def __init__(
        self,
        family: Family,
        catalogue: Mapping[str, list[CatalogueEntry]],
        lists: Collection[str] | None,
        signed: bool,
    ) -> None:
        self.programs = {entry.id for entries in catalogue.values() for entry in entries}
        self.groups = set(catalogue) | set(family.groups)
        self.sites = SiteNames(frozenset(family.site_groups), None if lists is None else frozenset(lists), signed)


def _family(family: Family) -> Iterator[Problem]:
    try:
        ZoneInfo(family.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Problem(
            "zone", f"There is no time zone “{family.zone}”", "Write one such as Europe/Lisbon or Asia/Tokyo."
        )
    for where, text in (("reset", family.reset), ("summary.time", family.summary.time)):
        try:
            if parse_clock(text) == 24 * 60:
                yield Problem(where, "24:00 is no time to begin something", "Write 00:00.")
        except ValueError as error:
            yield Problem(where, str(error), "Write hours and minutes, such as 03:00.")


def _people(family: Family, accounts: Collection[str] | None) -> Iterator[Problem]:
    owner: dict[str, str] = {}
    names: set[str] = set()
    for child in family.children:
        where = f"children.{child.name}"
        if child.name in names:
            yield Problem(where, f"Two children are called {child.name}", "Give each a name of its own.")
        names.add(child.name)
        for account in child.accounts:
            if account in owner:
                yield Problem(
                    f"{where}.accounts",
                    f"The account {account} belongs to {owner[account]} already",
                    "Each account is one child's: make an account for every child.",
                )
            owner[account] = child.name
            if accounts is not None and account not in accounts:
                yield Problem(
                    f"{where}.accounts",
                    f"There is no account {account} on this PC",
                    near(account, accounts) + "Make the account first, or correct its name.",
                )
    for guardian in family.guardians:
        where = f"guardians.{guardian.name}"
        if guardian.account in owner:
            yield Problem(
                f"{where}.account",
                f"The account {guardian.account} is {owner[guardian.account]}'s; its guardian would be limited too",
                "Give the guardian an account that is no child's, or nobody could change this policy.",
            )
        elif accounts is not None and guardian.account not in accounts:
            yield Problem(
                f"{where}.account",
                f"There is no account {guardian.account} on this PC",
                near(guardian.account, accounts) + "Correct the name: a guardian must be able to log in here.",
            )
    for account in family.unwatched:
        if account in owner:
            yield Problem(
                "unwatched",
                f"The account {account} is {owner[account]}'s and cannot be left alone, too",
                "Take it off one of the two lists.",
            )
        elif accounts is not None and account not in accounts:
            yield Problem(
                "unwatched",
                f"There is no account {account} on this PC",
                near(account, accounts) + "Whoever makes an account of this name will have no limits.",
                error=False,
            )
    if len({guardian.name for guardian in family.guardians}) < len(family.guardians):
        yield Problem("guardians", "Two guardians have the same name", "Give each a name of its own.")


def _groups(family: Family, catalogue: Mapping[str, list[CatalogueEntry]]) -> Iterator[Problem]:
    programs = {entry.id for entries in catalogue.values() for entry in entries}
    for name, members in family.groups.items():
        for member in members:
            if member in family.groups and member != name:
                yield Problem(
                    f"groups.{name}",
                    f"The group {name} holds your group {member}",
                    "Name its programs instead: groups of groups are not read.",
                )
            elif member not in programs and member not in catalogue and member != name:
                yield Problem(
                    f"groups.{name}",
                    f"“{member}” is not in the catalogue, so only its file name is known",
                    near(member, programs | set(catalogue)) + "A file name can be limited, never allowed.",
                    error=False,
                )


def _dates(family: Family) -> Iterator[Problem]:
    names = {child.name for child in family.children}
    for number, dated in enumerate(family.exceptions, 1):
        where = f"exceptions[{number}]"
        if dated.profile not in family.profiles:
            yield Problem(
                where,
                f"There is no profile “{dated.profile}”",
                near(dated.profile, family.profiles) + f"Add [profiles.{dated.profile}].",
            )
        if dated.child is not None and dated.child not in names:
            yield Problem(where, f"There is no child “{dated.child}”", near(dated.child, names))
        dates = []
        for text in (dated.from_, dated.to or dated.from_):
            try:
                dates.append(dt.date.fromisoformat(text))
            except ValueError:
                yield Problem(where, f"There is no date {text}", "Write year-month-day, such as 2026-12-24.")
        if len(dates) == 2 and dates[0] > dates[1]:
            yield Problem(where, f"It ends ({dated.to}) before it begins ({dated.from_})", "Exchange the two dates.")


def _limits(limits: Limits, where: str, known: _Known) -> Iterator[Problem]:
    yield from by_day(limits.budget, f"{where}.budget")
    yield from hours(limits.windows, f"{where}.windows")
    yield from hours(limits.free, f"{where}.free")
    for key, most in (("week", 7), ("month", 31), ("save_up_to", 1), ("grace", 1), ("grant_ceiling", 1)):
        text = getattr(limits, key)
        if text is not None and parse_duration(text) > most * DAY_SECONDS:
            yield Problem(f"{where}.{key}", f"{text} is more than there is in {_days(most)}", "Write a shorter time.")
    if limits.answer_within is not None and parse_duration(limits.answer_within) > MOST_WAITING:
        yield Problem(
            f"{where}.answer_within",
            f"{limits.answer_within} is too long for a program to stand still",
            "Write at most 1h; the question itself stays open for a week.",
        )
    if limits.breaks is not None:
        after, rest = parse_duration(limits.breaks.after), parse_duration(limits.breaks.rest)
        if not 0 < after <= DAY_SECONDS or not 0 < rest <= DAY_SECONDS:
            yield Problem(f"{where}.breaks", "A break needs use before it and a rest", 'For instance after = "45m".')
    notices = limits.notices or []
    if len(notices) > MOST_NOTICES:
        yield Problem(f"{where}.notices", f"{len(notices)} notices are too many", f"At most {MOST_NOTICES}.")
    for text in notices:
        if not 0 < parse_duration(text) <= DAY_SECONDS:
            yield Problem(f"{where}.notices", f"A notice {text} before the end is none", "Write “15m”, “5m”, “1m”.")
    if limits.week is not None and limits.budget:
        most_a_day = max((parse_duration(text) for text in limits.budget.values()), default=0)
        if parse_duration(limits.week) < most_a_day:
            yield Problem(
                f"{where}.week", f"A week of {limits.week} is used up within one day", "Is that meant?", error=False
            )
    ids: set[str] = set()
    for number, rule in enumerate(limits.programs or (), 1):
        yield from _rule(rule, f"{where}.programs[{number}]", known)
        if rule.id is not None and rule.id in ids:
            yield Problem(f"{where}.programs[{number}]", f"Two rules have the id {rule.id}", "Give each its own.")
        ids.add(rule.id or "")
    if limits.sites is not None:
        yield from site_rules(limits.sites, f"{where}.sites", known.sites)


def _days(count: int) -> str:
    return "a day" if count == 1 else f"{count} days"


def _rule(rule: ProgramRule, where: str, known: _Known) -> Iterator[Problem]:
    kinds = ("program", "group", "sha256", "signer", "package", "path", "name")
    given = [kind for kind in kinds if getattr(rule, kind) is not None]
    if len(given) != 1:
        what = "names no program" if not given else f"names a program in {len(given)} ways ({', '.join(given)})"
        yield Problem(where, f"The rule {what}", f"Give exactly one of {', '.join(kinds)}.")
        return
    if rule.program is not None and rule.program not in known.programs:
        yield Problem(
            where,
            f"The catalogue has no program “{rule.program}”",
            near(rule.program, known.programs) + "Or name it by package, path or sha256.",
        )
    if rule.group is not None and rule.group not in known.groups:
        yield Problem(where, f"There is no group “{rule.group}”", near(rule.group, known.groups))
    if rule.name is not None and rule.action == "allow" and rule.budget is None and rule.week is None:
        yield Problem(
            where,
            f"A file name alone (“{rule.name}”) cannot allow a program: anything can be renamed",
            "Name it by program, package, path or sha256; or use the name to warn, ask, block or limit.",
        )
    if rule.path is not None and not (rule.path.startswith("/") or rule.path[1:3] == ":\\"):
        yield Problem(where, f"“{rule.path}” is not a full path", "Write it from the root on, such as /usr/bin/gimp.")
    yield from by_day(rule.budget, f"{where}.budget")
    yield from hours(rule.hours, f"{where}.hours")
    if rule.week is not None and parse_duration(rule.week) > 7 * DAY_SECONDS:
        yield Problem(f"{where}.week", f"{rule.week} is more than a week has", "Write a shorter time.")
