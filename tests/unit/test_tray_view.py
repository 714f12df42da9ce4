"""The tray's view: what each state shows, and what must hold for every state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.ipc.answers import ChildState, ProgramUse, SiteTime, Status
from agent.model.grant import Grant, Request
from agent.model.verdict import Constraint, ConstraintKind, Notify, Stage, Verdict
from agent.tray.face import LONGEST_LABEL, Face, Kind, clipped, duration, face
from agent.tray.menu import ACTS, GUARDED, Act, Row
from agent.tray.news import news, notice, question
from agent.tray.view import view


def state(
    left: int | None = 42 * 60,
    *,
    stage: Stage = "open",
    binding: ConstraintKind | None = "day",
    free: bool = False,
    budget: int | None = 90 * 60,
    **more: object,
) -> ChildState:
    limit = None
    if binding is not None:
        limit = Constraint(kind=binding, rule=f"mia/{binding}", left=(left or 0) * 1000, sentence="Because we agreed.")
    verdict = Verdict(
        child="mia",
        day="2026-03-02",
        remaining=None if left is None else left * 1000,
        binding=limit,
        stage=stage,
        free_now=free,
    )
    base = ChildState(
        child="mia",
        verdict=verdict,
        seconds_left=left,
        sentence="42 minutes of today's time are left.",
        budget_today=budget,
    )
    return replace(base, **more)


def child_status(child: ChildState, **more: object) -> Status:
    return replace(Status(role="child", protection="protected", policy="in force", children=(child,)), **more)


def every(rows: tuple[Row, ...]) -> Iterator[Row]:
    for row in rows:
        yield row
        yield from every(row.rows)


def labels(status: Status | None) -> list[str]:
    return [row.label for row in every(view(status).rows)]


@pytest.mark.parametrize(
    ("child", "kind", "minutes"),
    [
        (state(42 * 60), "ok", 42),
        (state(41 * 60 + 1), "ok", 42),
        (state(15 * 60), "soon", 15),
        (state(15 * 60 + 1), "ok", 16),
        (state(5 * 60), "last", 5),
        (state(1), "last", 1),
        (state(0), "up", 0),
        (state(0, stage="up"), "up", 0),
        (state(0, stage="up", binding="break"), "rest", 0),
        (state(0, stage="grace"), "last", 0),
        (state(600, stage="paused"), "paused", None),
        (state(None, binding=None, free=True), "free", None),
        (state(3000, binding="window", free=True), "free", 50),
        (state(None, binding=None), "unlimited", None),
    ],
)
def test_each_state_has_its_own_sign(child: ChildState, kind: Kind, minutes: int | None) -> None:
    shown = face(child)
    assert (shown.kind, shown.minutes) == (kind, minutes)


def test_ring_is_the_part_of_the_day_that_is_left() -> None:
    assert face(state(45 * 60, budget=90 * 60)).sixtieths == 30
    granted = state(60 * 60, budget=90 * 60)
    granted = replace(granted, verdict=replace(granted.verdict, granted_today=30 * 60_000))
    assert face(granted).sixtieths == 30


def test_without_a_service_it_says_that_time_is_still_kept() -> None:
    shown = view(None)
    assert shown.face == Face("away")
    assert "still keeps the time" in shown.tooltip
    assert [row.act.name for row in shown.rows if row.act] == ["help"]


def test_childs_menu_has_every_row_of_the_plan() -> None:
    said = labels(child_status(state()))
    for row in (
        "42 minutes left",
        "Today's programs",
        "What is allowed",
        "Ask for more time",
        "15 minutes",
        "Ask for a site…",
        "My week",
        "What is recorded about me",
        "Get help",
        "Guardian (PIN)",
        "+15 minutes",
        "+30 minutes",
        "+60 minutes",
        "Pause limits for 30 minutes",
        "Lock now, for an hour",
        "Requests",
        "Limits…",
        "Summary",
    ):
        assert row in said


def test_guardian_reaches_more_time_in_three_clicks() -> None:
    (guardian,) = (row for row in view(child_status(state())).rows if row.label == "Guardian (PIN)")
    assert guardian.rows[0].act == Act("time", "mia", 900)


def test_guardians_account_sees_every_child_and_who_asks() -> None:
    asking = state(
        requests=(
            Request(id="r1", child="mia", kind="time", seconds=900, text="the level is nearly done", asked=1),
            Request(id="r0", child="mia", kind="time", seconds=900, asked=0, state="refused"),
        )
    )
    leo = replace(state(0, stage="up"), child="leo")
    shown = view(Status(role="guardian", protection="protected", policy="in force", children=(asking, leo)))
    assert shown.face == Face("family", 1)
    first, second = shown.rows[:2]
    assert first.label.startswith("mia: 42 minutes left · 1 request")
    assert second.label == "leo: Time is up"
    acts = [row.act for row in every(first.rows) if row.act]
    assert Act("grant", "mia", 900, "r1") in acts
    assert Act("refuse", "mia", 0, "r1") in acts
    assert all(act.subject != "r0" for act in acts)


def test_a_pause_or_lock_that_holds_can_be_ended_and_not_begun_again() -> None:
    old = Grant(id="g1", child="mia", kind="pause", given=1, by="ana")
    new = Grant(id="g2", child="mia", kind="pause", given=2, by="ana")
    paused = [row.act for row in every(view(child_status(state(stage="paused", grants=(old, new)))).rows) if row.act]
    assert Act("release", "mia", subject="g2") in paused
    assert not any(act.name == "pause" for act in paused)
    lock = Grant(id="g3", child="mia", kind="lock", given=3, by="ana")
    locked = [row.act for row in every(view(child_status(state(0, binding="lock", grants=(lock,)))).rows) if row.act]
    assert Act("release", "mia", subject="g3") in locked


def test_flaws_are_shown_to_the_child_too() -> None:
    shown = view(child_status(state(), protection="partly protected", notes=("mia is an administrator.",)))
    assert shown.face.flaw
    assert "⚠ Partly protected" in [row.label for row in shown.rows]
    assert "mia is an administrator." in [row.label for row in every(shown.rows)]


def test_an_expired_policy_is_said() -> None:
    shown = view(child_status(state(), policy="expired"))
    assert shown.face.flaw
    assert any("out of date" in row.label for row in every(shown.rows))


def test_an_account_without_limits_is_told_so() -> None:
    shown = view(Status(role="nobody", protection="protected", policy="in force"))
    assert shown.face.kind == "warning"
    assert "does not look after this account" in shown.tooltip


def test_programs_show_use_what_is_left_and_what_does_not_count() -> None:
    used = (
        ProgramUse(program="chess", title="Chess", seconds=720, left=1080),
        ProgramUse(program="paint", title="Tux Paint", seconds=60, counts=False),
    )
    said = labels(child_status(state(programs=used)))
    assert "Chess: 12 minutes · 18 minutes left" in said
    assert "Tux Paint: 1 minute · does not count" in said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 minutes"), (0, "0 minutes"), (1, "1 minute"), (60, "1 minute"), (5940, "99 minutes"), (7200, "2 h")]
    + [(7260, "2 h 1 min")],
)
def test_durations_are_rounded_up_as_the_numeral_is(seconds: int, words: str) -> None:
    assert duration(seconds) == words


def test_notice_words() -> None:
    last = notice(Notify(child="mia", kind="time", title="1 minute left", text="Save.", left=60_000))
    assert (last.urgent, last.countdown) == (True, True)
    first = notice(Notify(child="mia", kind="time", title="15 minutes left", text="", left=900_000))
    assert (first.urgent, first.countdown) == (False, False)
    assert notice(Notify(child="mia", kind="grace", title="", text="", left=60_000)).title == "Save your work now"


@given(st.text(), st.integers(min_value=2, max_value=90))
def test_a_label_is_one_line_that_fits(text: str, most: int) -> None:
    label = clipped(text, most)
    assert len(label) <= most
    assert "\n" not in label


kinds: st.SearchStrategy[ConstraintKind | None] = st.sampled_from(["window", "day", "break", "lock", "program", None])
stages: st.SearchStrategy[Stage] = st.sampled_from(["open", "grace", "up", "paused"])
children = st.builds(
    state,
    st.none() | st.integers(-10, 100_000),
    stage=stages,
    binding=kinds,
    free=st.booleans(),
    budget=st.none() | st.integers(0, 90_000),
    sentence=st.text(max_size=200),
    allowed=st.lists(st.text(max_size=90), max_size=30).map(tuple),
)
statuses = st.builds(
    Status,
    role=st.sampled_from(["child", "guardian", "administrator", "nobody"]),
    protection=st.sampled_from(["protected", "partly protected", "not protected"]),
    policy=st.sampled_from(["in force", "expired", "last known good", "none"]),
    notes=st.lists(st.text(max_size=90), max_size=3).map(tuple),
    children=st.lists(children, max_size=3).map(tuple),
)


@given(st.none() | statuses)
def test_every_state_can_be_shown(status: Status | None) -> None:
    shown = view(status)
    assert shown.headline
    assert shown.tooltip
    assert 0 <= shown.face.sixtieths <= 60
    assert any(row.act == Act("help") for row in every(shown.rows)), "help is always in reach"
    for row in every(shown.rows):
        assert len(row.label) <= LONGEST_LABEL + 40
        assert row.act is None or row.act.name in ACTS
        assert not (row.act and row.rows)


@given(children)
def test_what_needs_a_pin_stands_only_below_guardian_in_a_childs_menu(child: ChildState) -> None:
    for row in view(child_status(child)).rows:
        if row.label != "Guardian (PIN)":
            assert not any(inner.act and inner.act.name in GUARDED for inner in every((row,)))


# ---- programs that wait for an answer ----------------------------------------------------------------------------

WAITING = Request(
    id="r9", child="mia", kind="program", subject="chess", identity="sha256:ab", place="/home/mia/chess", asked=0
)


def test_a_child_sees_what_waits() -> None:
    assert "chess waits for a guardian's answer" in labels(child_status(state(requests=(WAITING,))))
    answered = replace(WAITING, state="granted")
    assert "chess waits for a guardian's answer" not in labels(child_status(state(requests=(answered,))))


def test_a_guardian_answers_once_today_for_good_or_no() -> None:
    status = Status(role="guardian", protection="protected", policy="in force", children=(state(requests=(WAITING,)),))
    shown = view(status)
    assert shown.face.minutes == 1, "the badge"
    acts = {row.label: row.act for row in every(shown.rows) if row.act and row.act.subject == "r9"}
    assert acts == {
        "Yes, until it is closed": Act("grant", "mia", 0, "r9", "once"),
        "Yes, for today": Act("grant", "mia", 0, "r9", "today"),
        "Yes, from now on": Act("grant", "mia", 0, "r9", "good"),
        "Not today": Act("refuse", "mia", 0, "r9"),
    }
    assert "/home/mia/chess" in [row.label for row in every(shown.rows)]


def test_a_guardian_opens_a_site_for_a_while_today_or_for_good() -> None:
    wanted = Request(id="r8", child="mia", kind="site", subject="other.example", asked=0)
    status = Status(role="guardian", protection="protected", policy="in force", children=(state(requests=(wanted,)),))
    acts = {row.label: row.act for row in every(view(status).rows) if row.act and row.act.subject == "r8"}
    assert acts == {
        "Yes, for an hour": Act("grant", "mia", 3600, "r8"),
        "Yes, for today": Act("grant", "mia", 0, "r8", "today"),
        "Yes, from now on": Act("grant", "mia", 0, "r8", "good"),
        "Not today": Act("refuse", "mia", 0, "r8"),
    }


def test_a_child_sees_what_is_left_of_sites_with_minutes() -> None:
    sites = (SiteTime(title="films.example", seconds=600, left=1200), SiteTime(title="videos", seconds=1800, left=0))
    said = labels(child_status(state(sites=sites)))
    for line in (
        "Today's sites",
        "films.example: 10 minutes · 20 minutes left",
        "videos: 30 minutes · used up for today",
    ):
        assert line in said
    assert "Today's sites" not in labels(child_status(state()))


def test_sites_that_were_opened_can_be_shut_again() -> None:
    given = (
        Grant(id="g1", child="mia", kind="site", subject="other.example", title="other.example", given=0, by="Ana"),
    )
    shown = list(every(view(child_status(state(grants=given))).rows))
    assert "Sites you answered for" in [row.label for row in shown]
    assert "other.example: from now on" in [row.label for row in shown]
    assert Act("release", "mia", subject="g1") in [row.act for row in shown]


def test_a_no_to_a_site_can_be_withdrawn() -> None:
    given = (
        Grant(
            id="g2", child="mia", kind="site-refusal", subject="g.example", title="g.example", given=0, until=9, by="A"
        ),
    )
    shown = list(every(view(child_status(state(grants=given))).rows))
    assert "Sites you answered for" in [row.label for row in shown]
    assert "Programs you answered for" not in [row.label for row in shown]
    (row,) = (row for row in shown if row.label == "g.example: not today")
    assert row.rows == (Row("Withdraw", Act("release", "mia", subject="g2")),)


def test_each_request_is_told_once_to_a_guardian_and_never_to_a_child() -> None:
    status = Status(role="guardian", protection="protected", policy="in force", children=(state(requests=(WAITING,)),))
    assert news(status, frozenset()) == (WAITING,)
    assert news(status, frozenset({"r9"})) == ()
    assert news(child_status(state(requests=(WAITING,))), frozenset()) == ()
    assert news(None, frozenset()) == ()
    said = question(WAITING)
    assert (said.title, said.text, said.urgent) == ("mia asks", "chess", True)


def test_answers_for_good_can_be_withdrawn() -> None:
    given = (
        Grant(id="g1", child="mia", kind="program", subject="deb:chess", title="chess", given=0, by="Ana"),
        Grant(id="g2", child="mia", kind="refusal", subject="deb:doom", title="doom", given=0, until=9, by="Ana"),
        Grant(id="g3", child="mia", kind="program", subject="deb:go", title="go", given=0, once=True, by="Ana"),
        Grant(id="g4", child="mia", kind="program", subject="deb:ur", title="ur", given=0, until=9, by="Ana"),
    )
    said = labels(child_status(state(grants=given)))
    for line in ("chess: from now on", "doom: not today", "go: until it is closed", "ur: for a while"):
        assert line in said
    acts = [row.act for row in every(view(child_status(state(grants=given))).rows) if row.act]
    assert Act("release", "mia", subject="g1") in acts
