"""Times as guardians write them, verdicts as families read them, the agreement, and a first file."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from agent.clock import MINUTE
from agent.core.agreement import agreement
from agent.core.drafting import Change, diff, draft
from agent.core.explain import lines, program, sentence
from agent.core.fallback import fallback
from agent.core.family import parse
from agent.core.timewords import parse_clock, parse_duration, parse_hours, write_duration
from agent.model.policy import Child, Guardian, Policy, ProgramRule, SiteRule, SiteRules
from agent.model.verdict import Constraint, ProgramVerdict, Verdict
from tests.core.scene import CATALOGUE, HEAD, LISBON, MONDAY, clock, rules


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h30m", 5400), ("45m", 2700), ("60s", 60), ("1h1m1s", 3661), ("0m", 0), ("9999h", 35996400)]
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(0, "0m"), (5400, "1h30m"), (61, "1m1s"), (3601, "1h1s"), (60, "1m")])
def test_lengths_of_time_are_written_short(seconds: int, text: str) -> None:
    assert write_duration(seconds) == text


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (parse_duration, "soon", "“soon” is not a length of time such as “1h30m”, “45m” or “60s”"),
        (parse_clock, "9:00", "“9:00” is not a time of day such as “17:30”"),
        (parse_clock, "24:01", "“24:01” is no time of a day: 00:00 is its start and 24:00 its end"),
        (parse_clock, "23:60", "“23:60” is no time of a day: 00:00 is its start and 24:00 its end"),
        (parse_hours, "09:00", "“09:00” are not hours such as “15:00-18:30”"),
        (parse_hours, "24:00-09:00", "“24:00-09:00”: hours cannot begin at 24:00; write 00:00 on the next day"),
        (
            parse_hours,
            "09:00-09:00",
            "“09:00-09:00” begins and ends at the same minute; write 00:00-24:00 for a whole day",
        ),
    ],
)
def test_what_is_no_time_is_said_in_words(read, text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    assert str(caught.value) == words


def test_hours() -> None:
    assert parse_hours("15:00-18:30") == (900, 1110)
    assert parse_hours("22:00-02:00") == (1320, 120)
    assert parse_hours("00:00-24:00") == (0, 1440)
    assert parse_clock("23:59") == 1439


# ---- verdicts ----------------------------------------------------------------------------------------------------

DAY = Constraint(kind="day", rule="mia/day", left=10 * MINUTE, sentence="10 min left of today's 1 h.")


def verdict(remaining: int | None, binding: Constraint | None = DAY, **how: object) -> Verdict:
    return Verdict(child="mia", day="2026-03-02", remaining=remaining, binding=binding, **how)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (verdict(10 * MINUTE), "10 min left of today's 1 h."),
        (verdict(9 * MINUTE), "9 min left. 10 min left of today's 1 h."),
        (verdict(9 * MINUTE, None), "9 min left."),
        (verdict(0), "10 min left of today's 1 h."),
        (verdict(0, None), "Time is up."),
        (verdict(None), "No time limit right now."),
        (verdict(10 * MINUTE, stage="paused"), "Limits are resting: this time does not count."),
        (verdict(0, stage="paused"), "Limits are resting: this time does not count."),
        (
            verdict(10 * MINUTE, free_now=True),
            "10 min left. This hour does not count. 10 min left of today's 1 h.",
        ),
        (verdict(10 * MINUTE, None, free_now=True), "10 min left. This hour does not count."),
    ],
)
def test_a_verdict_in_one_sentence(what: Verdict, words: str) -> None:
    assert sentence(what) == words


def test_every_limit_in_lines() -> None:
    shut = Constraint(kind="window", rule="mia/windows", left=0, sentence="Outside.", again=clock("17:30"))
    unknown = Constraint(kind="lock", rule="grant/1", left=0, sentence="Paused.")
    later = Constraint(kind="week", rule="mia/week", left=5, sentence="Week.", again=clock("17:30"))
    what = verdict(0, shut, constraints=(shut, unknown, DAY, later))
    assert list(lines(what, LISBON)) == [
        "→ window  Outside. (again 17:30)  [mia/windows]",
        "  lock    Paused.  [grant/1]",
        "  day     10 min left of today's 1 h.  [mia/day]",
        "  week    Week.  [mia/week]",
    ]
    assert list(lines(verdict(None, None), LISBON)) == ["  nothing limits this child now"]


def test_a_program_in_one_line() -> None:
    what = ProgramVerdict(
        action="allow", rule="mia/chess", sentence="Chess is allowed.", program="chess", title="Chess"
    )
    assert program(what) == "Chess: allow. Chess is allowed. [rule mia/chess]"
    more = msgspec.structs.replace(what, left=20 * MINUTE, counts=False)
    assert program(more) == "Chess: allow. Chess is allowed. 20 min left today. It does not count. [rule mia/chess]"
    none = msgspec.structs.replace(what, left=0)
    assert program(none) == "Chess: allow. Chess is allowed. 0 s left today. [rule mia/chess]"


# ---- the agreement -----------------------------------------------------------------------------------------------

FULL = """
windows = { schooldays = ["15:00-18:00", "19:00-20:00"], sat = [] }
free = { sun = ["10:00-11:00"] }
budget = { mon = "45m", weekend = "1h30m" }
week = "6h"
month = "20h"
save_up_to = "30m"
breaks = { after = "45m", rest = "10m" }
notices = ["15m", "1m"]
grace = "60s"
ending = "logout"
unknown_programs = "ask"
programs = [
  { program = "chess", budget = { all = "20m" }, week = "2h", reason = "Think first." },
  { program = "sums", counts = false },
  { program = "racer", action = "block" },
  { group = "games", action = "inform" },
  { name = "talk", action = "warn" },
]
"""


def test_the_whole_agreement() -> None:
    two = HEAD + '[[guardians]]\nname = "rui"\naccount = "rui"\n'
    assert agreement(rules(FULL, head=two), "mia", MONDAY).splitlines() == [
        "mia's agreement with ana and rui",
        "",
        "When",
        "  - School days: 15:00 to 18:00 and 19:00 to 20:00.",
        "  - Saturdays: not at all.",
        "",
        "Hours that do not count",
        "  - Sundays: 10:00 to 11:00.",
        "",
        "How long",
        "  - Mondays: 45 min.",
        "  - The weekend: 1 h 30 min.",
        "  - In a week: 6 h.",
        "  - In a month: 20 h.",
        "  - You can save up to 30 min for the next day.",
        "  - After 45 min there is a break of 10 min.",
        "",
        "Programs",
        "  - Chess: may be used, 20 min today, 2 h a week. Think first.",
        "  - Sums: may be used, does not count.",
        "  - Racer: not now.",
        "  - games: may be used; a guardian sees it.",
        "  - talk: may be used; talk about it.",
        "  - Anything else: only after asking.",
        "",
        "When a program is new",
        "  - It stands still at its start and waits for ana and rui, 5 min at most. Fairtime asks for you.",
        "  - A yes is for this once, for today or from now on. It is for this very program, not for its name.",
        "  - A no holds for the day. You are told which it is, and you can talk about it.",
        "  - When nobody answers in time it is closed. The question stays open, and you can start it again.",
        "",
        "Sites",
        "  - Only what is named here is open. You can ask for any other site; a no holds for the day.",
        "  - Browsers that do not keep these rules are closed, unless a guardian allows one by name.",
        "  - Search engines leave out what is not for children.",
        "  - YouTube leaves out what is not for your age.",
        "",
        "When time is up",
        "  - You are told before: 15 min, 1 min.",
        "  - You have 1 min to save.",
        "  - Then you are logged out, so save first.",
        "",
        "What is recorded",
        "  - Minutes of use, which programs ran, which sites were used, and what was asked, given or not allowed.",
        "  - Of a site only its name. Never what you write, your screen, or full addresses of pages.",
        "  - It is kept for 8 weeks. You see all that your guardians see.",
        "",
        "Asking",
        "  - You can ask for more time, a program or a site in the Fairtime menu. A guardian sees it and answers.",
        "  - Help lines are always open. They are never blocked, counted or recorded.",
        "  - These limits end when you are 18.",
    ]


def test_an_agreement_about_almost_nothing() -> None:
    text = agreement(
        rules('mode = "inform"\nunknown_programs = "allow"\nsites = { safe_search = false }'), "mia", MONDAY
    )
    assert text.splitlines()[:16] == [
        "mia's agreement with ana",
        "",
        "When",
        "  - At any hour.",
        "",
        "How long",
        "  - There is no limit of minutes.",
        "",
        "Programs",
        "  - Anything else: may be used.",
        "",
        "Sites",
        "  - All sites are open, except what is named here.",
        "",
        "When time is up",
        "  - Nothing is closed. You keep to it yourself.",
    ]


def test_site_rules_in_the_agreement() -> None:
    text = agreement(
        rules(
            """
sites.mode = "ask"
sites.youtube = "off"
sites.allow = ["Sums.example", "bücher.example"]
sites.block = ["bad.example"]
sites.rules = [
  { host = "chess.example", budget = { all = "30m" }, hours = { schooldays = ["15:00-16:00", "18:00-19:00"], sat = [] } },
  { group = "videos", action = "ask", reason = "Together." },
  { group = "games", action = "block" },
]
""",
            more='[site_groups]\nvideos = ["a.example", "b.example", "films"]',
        ),
        "mia",
        MONDAY,
    )
    start = text.splitlines().index("Sites")
    assert text.splitlines()[start + 1 : start + 9] == [
        "  - A site that is not named here opens when you ask for it and a guardian says yes. A no holds for the day.",
        "  - Open: Sums.example, bücher.example.",
        "  - Closed: bad.example.",
        "  - chess.example: open, 30 min today, school days 15:00 to 16:00 and 18:00 to 19:00; Saturdays not.",
        "  - videos (a.example, b.example, films): only after asking. Together.",
        "  - games: closed.",
        "  - Browsers that do not keep these rules are closed, unless a guardian allows one by name.",
        "  - Search engines leave out what is not for children.",
    ]
    assert text.splitlines()[start + 9] == ""


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("lock", "Then the screen locks; your programs stay as they are."),
        ("logout", "Then you are logged out, so save first."),
        ("freeze", "Then everything stands still, and goes on when there is time again."),
    ],
)
def test_each_ending_in_words(ending: str, words: str) -> None:
    assert f"  - {words}" in agreement(rules(f'ending = "{ending}"'), "mia", MONDAY).splitlines()


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("mon", "Mondays"),
        ("tue", "Tuesdays"),
        ("wed", "Wednesdays"),
        ("thu", "Thursdays"),
        ("fri", "Fridays"),
        ("sat", "Saturdays"),
        ("sun", "Sundays"),
        ("schooldays", "School days"),
        ("weekend", "The weekend"),
        ("all", "Every day"),
    ],
)
def test_each_day_in_words(day: str, words: str) -> None:
    assert f"  - {words}: 1 h." in agreement(rules(f'budget = {{ {day} = "1h" }}'), "mia", MONDAY).splitlines()


# ---- a first file, and what changed ------------------------------------------------------------------------------


def test_a_draft_says_what_it_was_given() -> None:
    family = parse(draft("teen", 'mi"a\n\\', "mia", "ana", "ana-account", "Asia/Tokyo"))
    assert family.children == [Child(name='mi"a \\', accounts=["mia"], preset="teen")]
    assert family.guardians == [Guardian(name="ana", account="ana-account")]
    assert (family.zone, family.reset, family.retention_weeks) == ("Asia/Tokyo", "03:00", 8)
    assert (family.summary.day, family.summary.time) == ("sunday", "18:00")


def test_what_changed_path_by_path() -> None:
    def policy(limits: str, more: str = "") -> Policy:
        return rules(limits, more=more).policy

    before = policy('grace = "1m"\nprograms = [{ program = "chess" }, { id = "x", name = "x", action = "block" }]')
    after = policy('budget = { all = "1h" }\nprograms = [{ program = "chess", action = "ask" }, { group = "games" }]')
    assert [str(change) for change in diff(before, after)] == [
        'children[mia].limits.budget.all: (nothing) → "1h"',
        'children[mia].limits.grace: "1m" → (nothing)',
        'children[mia].limits.programs[chess].action: (nothing) → "ask"',
        'children[mia].limits.programs[games].group: (nothing) → "games"',
        'children[mia].limits.programs[x].action: "block" → (nothing)',
        'children[mia].limits.programs[x].id: "x" → (nothing)',
        'children[mia].limits.programs[x].name: "x" → (nothing)',
    ]
    assert diff(before, after)[1] == Change("children[mia].limits.grace", '"1m"', "")
    dated = '[profiles.p]\ngrace = "1m"\n[[exceptions]]\nfrom = "2026-03-02"\nprofile = "p"\n'
    assert [change.where for change in diff(policy(""), policy("", dated))] == [
        "exceptions[1].from",
        "exceptions[1].profile",
        "profiles.p.grace",
    ]
    lists = policy('notices = ["5m", "1m"]')
    assert [str(c) for c in diff(policy(""), lists)] == ['children[mia].limits.notices: (nothing) → ["5m","1m"]']


# ---- without a policy --------------------------------------------------------------------------------------------


def test_without_a_policy_every_standard_account_is_limited_and_administrators_are_not() -> None:
    found = fallback(["mia", "leo"], ["root", "ana"], CATALOGUE, "Europe/Lisbon")
    assert found is not None
    assert (found.policy_id, found.version, found.issued) == ("fallback", 1, "2026-01-01T00:00:00Z")
    assert found.catalogue == CATALOGUE
    family = found.family
    assert (family.format, family.zone) == (1, "Europe/Lisbon")
    assert family.guardians == [Guardian(name="root", account="root"), Guardian(name="ana", account="ana")]
    assert [(c.name, c.accounts, c.preset) for c in family.children] == [
        ("mia", ["mia"], "junior"),
        ("leo", ["leo"], "junior"),
    ]
    limits = family.children[0].limits
    assert family.children[1].limits == limits
    assert (limits.windows, limits.budget) == ({"all": ["08:00-20:00"]}, {"all": "1h"})
    assert (limits.count, limits.mode, limits.ending) == ("all", "block", "lock")
    assert (limits.notices, limits.grace, limits.grant_ceiling) == (["15m", "5m", "1m"], "60s", "4h")
    assert limits.unknown_programs == "ask"
    assert limits.programs == [
        ProgramRule(group="school", action="allow", counts=False),
        ProgramRule(group="system", action="allow"),
        ProgramRule(group="browsers", action="allow"),
    ]
    assert limits.sites == SiteRules(mode="allow-list", rules=[SiteRule(group="learning")], youtube="strict")


def test_without_a_policy_or_a_standard_account_there_is_nobody_to_limit() -> None:
    assert fallback([], ["root"], CATALOGUE) is None
    many = [f"c{n}" for n in range(20)]
    found = fallback(many, many, CATALOGUE)
    assert found is not None
    assert found.family.zone == "UTC"
    assert (len(found.family.children), len(found.family.guardians)) == (16, 8)
    alone = fallback(["mia"], [], CATALOGUE)
    assert alone is not None
    assert alone.family.guardians == [Guardian(name="administrator", account="root")]


def test_an_agreement_is_of_its_date() -> None:
    dated = '[profiles.p]\nbudget = { all = "3h" }\nweek = "9h"\n[[exceptions]]\nfrom = "2026-03-03"\nprofile = "p"\n'
    compiled = rules('week = "6h"', more=dated)
    assert "  - In a week: 9 h." in agreement(compiled, "mia", MONDAY + dt.timedelta(days=1)).splitlines()
    assert "  - In a week: 6 h." in agreement(compiled, "mia", MONDAY).splitlines()
