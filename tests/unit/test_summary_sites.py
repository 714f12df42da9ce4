"""What the week says of sites: hosts and minutes, what was not open, and no more than the chosen detail."""

from __future__ import annotations

import msgspec
import pytest

from agent.clock import MINUTE
from agent.model.grant import Grant, GrantKind, Request
from agent.model.record import LedgerEvent
from agent.model.usage import Charge
from agent.summary import html, text
from agent.summary.facts import ChildFacts, WeekFacts
from agent.summary.weekly import ChildWeek, weekly

DAY = "2026-03-03"


def charge(kind: str, key: str, minutes: int, day: str = DAY) -> Charge:
    return Charge(child="mia", day=day, hour=15, kind=kind, key=key, millis=minutes * MINUTE)  # type: ignore[arg-type]  # kinds of the model, as they come


def shut(host: str, count: int, kind: str = "site-blocked") -> LedgerEvent:
    return LedgerEvent(at=0, day=DAY, child="mia", kind=kind, subject=host, count=count)  # type: ignore[arg-type]  # kinds of the model, as they come


def facts(detail: str = "programs") -> WeekFacts:
    child = ChildFacts(
        child="mia",
        detail=detail,
        budgets=(None,) * 7,
        rows=(
            charge("total", "", 60),
            charge("site", "sums.example", 20),
            charge("site", "sums.example", 5, "2026-03-04"),
            charge("site", "films.example", 31),
            charge("site", "old.example", 9, "2026-02-24"),
            charge("site-rule", "videos", 31),
        ),
        events=(shut("bad.example", 3), shut("bad.example", 2), shut("new.example", 1), shut("chess", 4, "blocked")),
        grants=(Grant(id="g", child="mia", kind="site", subject="other.example", given=1772500000000, by="ana"),),
        requests=(
            Request(id="r", child="mia", kind="site", subject="other.example", asked=1772500000000, state="granted"),
        ),
    )
    return WeekFacts(first="2026-03-02", today="2026-03-06", zone="UTC", children=(child,))


def week(detail: str = "programs") -> ChildWeek:
    (child,) = weekly(facts(detail)).children
    return child


def test_hosts_by_minutes_and_what_was_not_open() -> None:
    child = week()
    assert [(part.title, part.seconds) for part in child.sites] == [("films.example", 1860), ("sums.example", 1500)]
    assert [(part.title, part.seconds) for part in child.site_limits] == [("videos", 1860)]
    assert [(line.text, line.count) for line in child.blocked_sites] == [
        ("bad.example was asked for and is not open.", 5),
        ("new.example was asked for and is not open.", 1),
    ]
    assert [line.text for line in child.blocked] == ["chess was started but not allowed."]
    assert child.total == 3600, "minutes on sites are no time of their own"


@pytest.mark.parametrize(("kind", "subject"), [("site-refusal", "other.example"), ("refusal", "deb:doom")])
def test_a_no_is_called_one(kind: GrantKind, subject: str) -> None:
    no = Grant(
        id="g", child="mia", kind=kind, subject=subject, title="Doom", given=1772500000000, by="ana", note="Tea."
    )
    (given,) = facts().children
    whole = msgspec.structs.replace(facts(), children=(msgspec.structs.replace(given, grants=(no,)),))
    (child,) = weekly(whole).children
    assert [line.text for line in child.grants] == ["ana said no to Doom for the day (“Tea.”)."]


@pytest.mark.parametrize(("detail", "limits"), [("groups", ["videos"]), ("totals", [])])
def test_less_detail_names_no_host(detail: str, limits: list[str]) -> None:
    child = week(detail)
    assert child.sites == ()
    assert [part.title for part in child.site_limits] == limits
    assert [(line.text, line.count) for line in child.blocked_sites] == [("Sites were asked for that are not open.", 6)]
    assert "example" not in msgspec.json.encode(msgspec.structs.replace(child, grants=(), requests=())).decode()


def test_both_pages_show_the_same_rows() -> None:
    page, lines = html.render(weekly(facts())), text.render(weekly(facts()))
    for fact in ("films.example", "sums.example", "videos", "bad.example was asked for and is not open."):
        assert fact in page
        assert fact in lines
    assert "old.example" not in page
    assert "Help lines are never recorded." in page
    assert "Sites with minutes of their own" in lines
