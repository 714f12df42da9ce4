"""The policy as an agreement in plain language: what a child may read, sign with a guardian, and hold them to."""

from __future__ import annotations

import datetime as dt

from agent.clock import SECOND
from agent.core.rules import Plan, Rules
from agent.core.siteagreement import site_sentences
from agent.core.timewords import duration_words, parse_duration
from agent.model.policy import ByDay, HoursByDay

_DAYS = {
    "mon": "Mondays",
    "tue": "Tuesdays",
    "wed": "Wednesdays",
    "thu": "Thursdays",
    "fri": "Fridays",
    "sat": "Saturdays",
    "sun": "Sundays",
    "schooldays": "school days",
    "weekend": "the weekend",
    "all": "every day",
}
_ENDINGS = {
    "lock": "the screen locks; your programs stay as they are",
    "logout": "you are logged out, so save first",
    "freeze": "everything stands still, and goes on when there is time again",
}


def agreement(rules: Rules, child: str, date: dt.date) -> str:
    """The agreement of one child, as it stands on a date."""
    one = rules.children[child]
    plan, limits = one.plan(date), one.child.limits
    guardians = " and ".join(guardian.name for guardian in rules.policy.family.guardians)
    out = [f"{child}'s agreement with {guardians}", ""]
    out += ["When", *_lines(_hours(limits.windows) or ["At any hour."])]
    if limits.free:
        out += ["", "Hours that do not count", *_lines(_hours(limits.free))]
    out += ["", "How long", *_lines(_budgets(plan, limits.budget))]
    out += ["", "Programs", *_lines(_programs(plan))]
    asking = _asking(plan, guardians)
    if asking:
        out += ["", "When a program is new", *_lines(asking)]
    out += ["", "Sites", *_lines(site_sentences(one, plan, _DAYS))]
    out += ["", "When time is up", *_lines(_end(plan))]
    out += [
        "",
        "What is recorded",
        *_lines(
            [
                "Minutes of use, which programs ran, which sites were used, and what was asked, given or not allowed.",
                "Of a site only its name. Never what you write, your screen, or full addresses of pages.",
                f"It is kept for {rules.policy.family.retention_weeks} weeks. You see all that your guardians see.",
            ]
        ),
        "",
        "Asking",
        *_lines(
            [
                "You can ask for more time, a program or a site in the Fairtime menu. A guardian sees it and answers.",
                "Help lines are always open. They are never blocked, counted or recorded.",
                "These limits end when you are 18.",
            ]
        ),
    ]
    return "\n".join(out)


def _lines(sentences: list[str]) -> list[str]:
    return [f"  - {sentence}" for sentence in sentences]


def _hours(table: HoursByDay | None) -> list[str]:
    found = []
    for day, hours in (table or {}).items():
        on = _DAYS[day][0].upper() + _DAYS[day][1:]
        found.append(f"{on}: {' and '.join(h.replace('-', ' to ') for h in hours) or 'not at all'}.")
    return found


def _budgets(plan: Plan, budget: ByDay | None) -> list[str]:
    found = [
        f"{_DAYS[day][0].upper() + _DAYS[day][1:]}: {duration_words(parse_duration(text) * SECOND)}."
        for day, text in (budget or {}).items()
    ]
    if plan.week is not None:
        found.append(f"In a week: {duration_words(plan.week)}.")
    if plan.month is not None:
        found.append(f"In a month: {duration_words(plan.month)}.")
    if plan.save_up_to:
        found.append(f"You can save up to {duration_words(plan.save_up_to)} for the next day.")
    if plan.break_after is not None:
        found.append(f"After {duration_words(plan.break_after)} there is a break of {duration_words(plan.break_rest)}.")
    return found or ["There is no limit of minutes."]


def _programs(plan: Plan) -> list[str]:
    words = {
        "allow": "may be used",
        "inform": "may be used; a guardian sees it",
        "warn": "may be used; talk about it",
        "ask": "only after asking",
        "block": "not now",
    }
    found = []
    for limit in plan.programs:
        more = f", {duration_words(limit.budget)} today" if limit.budget is not None else ""
        more += f", {duration_words(limit.week)} a week" if limit.week is not None else ""
        more += ", does not count" if limit.counts is False else ""
        why = f" {limit.source.reason}" if limit.source.reason else ""
        found.append(f"{limit.title}: {words[limit.action]}{more}.{why}")
    found.append(f"Anything else: {words[plan.unknown]}.")
    return found


def _asking(plan: Plan, guardians: str) -> list[str]:
    """What happens with a program that must be asked for; nothing where none must."""
    if plan.unknown != "ask" and not any(limit.action == "ask" for limit in plan.programs):
        return []
    wait = duration_words(plan.answer_within)
    found = [
        f"It stands still at its start and waits for {guardians}, {wait} at most. Fairtime asks for you."
        if plan.answer_within
        else f"It is closed at once. The question goes to {guardians}; start it again after a yes.",
        "A yes is for this once, for today or from now on. It is for this very program, not for its name.",
        "A no holds for the day. You are told which it is, and you can talk about it.",
    ]
    if plan.answer_within:
        found.append("When nobody answers in time it is closed. The question stays open, and you can start it again.")
    return found


def _end(plan: Plan) -> list[str]:
    notices = ", ".join(duration_words(millis) for millis in plan.notices)
    found = [f"You are told before: {notices}."] if notices else []
    if plan.mode != "block":
        return [*found, "Nothing is closed. You keep to it yourself."]
    if plan.grace:
        found.append(f"You have {duration_words(plan.grace)} to save.")
    return [*found, f"Then {_ENDINGS[plan.ending]}."]
