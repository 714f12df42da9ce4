"""What a guardian is told about a file that contradicts itself: every problem, where it is, what to do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from agent.core.checks import Problem, refuse_errors
from agent.core.family import build_policy, filled, parse
from agent.core.lines import line_of
from agent.errors import PolicyError
from agent.model.policy import Limits
from tests.core.scene import CATALOGUE, CHILD, HEAD, problems

LEO = '[[children]]\nname = "leo"\naccounts = ["leo"]\npreset = "teen"\n'
RUI = '[[guardians]]\nname = "rui"\naccount = "rui"\n'
MIA = "children.mia.limits"
SHORTER = "Write a shorter time."


@pytest.mark.parametrize(
    ("limits", "where", "title", "advice"),
    [
        ('budget = { mon = "25h" }', f"{MIA}.budget.mon", "25h is more than a day has", "A day has 24h."),
        ('week = "169h"', f"{MIA}.week", "169h is more than there is in 7 days", SHORTER),
        ('month = "745h"', f"{MIA}.month", "745h is more than there is in 31 days", SHORTER),
        ('save_up_to = "25h"', f"{MIA}.save_up_to", "25h is more than there is in a day", SHORTER),
        ('grace = "25h"', f"{MIA}.grace", "25h is more than there is in a day", SHORTER),
        ('grant_ceiling = "25h"', f"{MIA}.grant_ceiling", "25h is more than there is in a day", SHORTER),
        (
            'breaks = { after = "45m", rest = "0m" }',
            f"{MIA}.breaks",
            "A break needs use before it and a rest",
            'For instance after = "45m".',
        ),
        (
            'breaks = { after = "0m", rest = "5m" }',
            f"{MIA}.breaks",
            "A break needs use before it and a rest",
            'For instance after = "45m".',
        ),
        (
            'breaks = { after = "24h1s", rest = "5m" }',
            f"{MIA}.breaks",
            "A break needs use before it and a rest",
            'For instance after = "45m".',
        ),
        (
            'breaks = { after = "5m", rest = "24h1s" }',
            f"{MIA}.breaks",
            "A break needs use before it and a rest",
            'For instance after = "45m".',
        ),
        ("notices = " + str([f"{n}m" for n in range(1, 10)]), f"{MIA}.notices", "9 notices are too many", "At most 8."),
        ('notices = ["0m"]', f"{MIA}.notices", "A notice 0m before the end is none", "Write “15m”, “5m”, “1m”."),
        ('notices = ["24h1s"]', f"{MIA}.notices", "A notice 24h1s before the end is none", "Write “15m”, “5m”, “1m”."),
        (
            'windows = { mon = ["09:00-12:00", "11:00-13:00"] }',
            f"{MIA}.windows.mon",
            "09:00-12:00 and 11:00-13:00 overlap",
            "Make one of them, or let them end and begin apart.",
        ),
        (
            'free = { all = ["23:00-23:30", "22:00-02:00"] }',
            f"{MIA}.free.all",
            "22:00-02:00 and 23:00-23:30 overlap",
            "Make one of them, or let them end and begin apart.",
        ),
        (
            'windows = { mon = ["24:00-09:00"] }',
            f"{MIA}.windows.mon",
            "“24:00-09:00”: hours cannot begin at 24:00; write 00:00 on the next day",
            'Write hours such as "15:00-18:30".',
        ),
        (
            'programs = [{ action = "block" }]',
            f"{MIA}.programs[1]",
            "The rule names no program",
            "Give exactly one of program, group, sha256, signer, package, path, name.",
        ),
        (
            'programs = [{ program = "chess" }, { program = "chess", group = "games", name = "x" }]',
            f"{MIA}.programs[2]",
            "The rule names a program in 3 ways (program, group, name)",
            "Give exactly one of program, group, sha256, signer, package, path, name.",
        ),
        (
            'programs = [{ program = "ches" }]',
            f"{MIA}.programs[1]",
            "The catalogue has no program “ches”",
            "Did you mean “chess”? Or name it by package, path or sha256.",
        ),
        (
            'programs = [{ program = "zzzz" }]',
            f"{MIA}.programs[1]",
            "The catalogue has no program “zzzz”",
            "Or name it by package, path or sha256.",
        ),
        (
            'programs = [{ group = "gamez" }]',
            f"{MIA}.programs[1]",
            "There is no group “gamez”",
            "Did you mean “games”? ",
        ),
        (
            'programs = [{ name = "game" }]',
            f"{MIA}.programs[1]",
            "A file name alone (“game”) cannot allow a program: anything can be renamed",
            "Name it by program, package, path or sha256; or use the name to warn, ask, block or limit.",
        ),
        (
            'programs = [{ path = "bin/x" }]',
            f"{MIA}.programs[1]",
            "“bin/x” is not a full path",
            "Write it from the root on, such as /usr/bin/gimp.",
        ),
        (
            'programs = [{ program = "chess", budget = { all = "25h" } }]',
            f"{MIA}.programs[1].budget.all",
            "25h is more than a day has",
            "A day has 24h.",
        ),
        (
            'programs = [{ program = "chess", hours = { all = ["1x:00-12:00"] } }]'.replace("1x", "25"),
            f"{MIA}.programs[1].hours.all",
            "“25:00” is no time of a day: 00:00 is its start and 24:00 its end",
            'Write hours such as "15:00-18:30".',
        ),
        (
            'programs = [{ program = "chess", week = "169h" }]',
            f"{MIA}.programs[1].week",
            "169h is more than a week has",
            SHORTER,
        ),
        (
            'programs = [{ id = "a", program = "chess" }, { program = "racer" }, { id = "a", group = "games" }]',
            f"{MIA}.programs[3]",
            "Two rules have the id a",
            "Give each its own.",
        ),
    ],
)
def test_one_wrong_limit_is_one_error(limits: str, where: str, title: str, advice: str) -> None:
    assert problems(limits) == [(where, title, advice, True)]


@pytest.mark.parametrize(
    "limits",
    [
        "",
        'budget = { mon = "24h" }\nweek = "168h"\nmonth = "744h"\nsave_up_to = "24h"\ngrace = "24h"\ngrant_ceiling = "24h"',
        'breaks = { after = "24h", rest = "24h" }',
        'breaks = { after = "1s", rest = "1s" }',
        'notices = ["24h", "1s"]',
        "notices = " + str([f"{n}m" for n in range(1, 9)]),
        'windows = { mon = ["09:00-12:00", "12:00-13:00"], tue = ["11:00-12:30"] }',
        'windows = { mon = ["22:00-02:00", "21:00-22:00"] }',
        'budget = { all = "1h", mon = "2h" }\nweek = "2h"',
        'week = "1h"',
        'programs = [{ name = "x", action = "block" }, { name = "y", budget = { all = "1h" } }, { name = "z", week = "1h" }]',
        'programs = [{ path = "/x" }, { path = "C:\\\\x" }, { program = "chess", week = "168h" }, { group = "fun" }]',
        'programs = [{ id = "a", program = "chess" }, { id = "b", program = "racer" }, { program = "sums" }]',
    ],
)
def test_at_the_edge_all_is_well(limits: str) -> None:
    assert problems(limits, '[groups]\nfun = ["chess"]') == []


def test_a_week_that_one_day_uses_up_is_a_remark() -> None:
    assert problems('budget = { mon = "1h", tue = "3h" }\nweek = "2h"') == [
        (f"{MIA}.week", "A week of 2h is used up within one day", "Is that meant?", False)
    ]


def test_profiles_are_checked_like_children() -> None:
    found = problems(more='[profiles.p]\nweek = "169h"\nprograms = [{ group = "fun" }]\n[groups]\nfun = ["chess"]')
    assert found == [("profiles.p.week", "169h is more than there is in 7 days", SHORTER, True)]


@pytest.mark.parametrize(
    ("head", "where", "title", "advice"),
    [
        (
            HEAD.replace("Europe/Lisbon", "Europe/Lisboa"),
            "zone",
            "There is no time zone “Europe/Lisboa”",
            "Write one such as Europe/Lisbon or Asia/Tokyo.",
        ),
        (
            HEAD.replace("Europe/Lisbon", "../etc"),
            "zone",
            "There is no time zone “../etc”",
            "Write one such as Europe/Lisbon or Asia/Tokyo.",
        ),
        (HEAD.replace("03:00", "24:00"), "reset", "24:00 is no time to begin something", "Write 00:00."),
        (
            HEAD.replace("03:00", "03:60"),
            "reset",
            "“03:60” is no time of a day: 00:00 is its start and 24:00 its end",
            "Write hours and minutes, such as 03:00.",
        ),
        (
            'summary = { time = "24:00" }\n' + HEAD,
            "summary.time",
            "24:00 is no time to begin something",
            "Write 00:00.",
        ),
    ],
)
def test_the_familys_own_lines(head: str, where: str, title: str, advice: str) -> None:
    assert problems(head=head) == [(where, title, advice, True)]


def test_people() -> None:
    assert problems(more=LEO.replace("leo", "mia")) == [
        ("children.mia", "Two children are called mia", "Give each a name of its own.", True),
        (
            "children.mia.accounts",
            "The account mia belongs to mia already",
            "Each account is one child's: make an account for every child.",
            True,
        ),
    ]
    assert problems(more=LEO.replace('["leo"]', '["mia-school"]')) == [
        (
            "children.leo.accounts",
            "The account mia-school belongs to mia already",
            "Each account is one child's: make an account for every child.",
            True,
        )
    ]
    assert problems(head=HEAD.replace('account = "ana"', 'account = "mia"')) == [
        (
            "guardians.ana.account",
            "The account mia is mia's; its guardian would be limited too",
            "Give the guardian an account that is no child's, or nobody could change this policy.",
            True,
        )
    ]
    assert problems(head=HEAD + RUI.replace('name = "rui"', 'name = "ana"')) == [
        ("guardians", "Two guardians have the same name", "Give each a name of its own.", True)
    ]
    assert problems(head=HEAD + RUI, more=LEO) == []


def test_accounts_of_this_pc() -> None:
    assert problems(accounts=["ana", "mia", "mia-school"]) == []
    assert problems(accounts=["anna", "mya", "mia-school"]) == [
        (
            "children.mia.accounts",
            "There is no account mia on this PC",
            "Did you mean “mya”? Make the account first, or correct its name.",
            True,
        ),
        (
            "guardians.ana.account",
            "There is no account ana on this PC",
            "Did you mean “anna”? Correct the name: a guardian must be able to log in here.",
            True,
        ),
    ]
    assert [p[2] for p in problems(accounts=["mia", "mia-school"])] == [
        "Correct the name: a guardian must be able to log in here."
    ]


def test_groups() -> None:
    assert problems(more='[groups]\nfun = ["chess", "games"]\nmore = ["fun"]') == [
        (
            "groups.more",
            "The group more holds your group fun",
            "Name its programs instead: groups of groups are not read.",
            True,
        )
    ]
    assert problems(more='[groups]\nfun = ["chezz", "odd"]\ngames = ["games"]\nown = ["own"]') == [
        (
            "groups.fun",
            "“chezz” is not in the catalogue, so only its file name is known",
            "Did you mean “chess”? A file name can be limited, never allowed.",
            False,
        ),
        (
            "groups.fun",
            "“odd” is not in the catalogue, so only its file name is known",
            "A file name can be limited, never allowed.",
            False,
        ),
    ]


def dated(first: str, to: str = "", profile: str = "p", child: str = "") -> str:
    text = f'[[exceptions]]\nfrom = "{first}"\nprofile = "{profile}"\n'
    return text + (f'to = "{to}"\n' if to else "") + (f'child = "{child}"\n' if child else "")


PROFILE = "[profiles.p]\n"


def test_dates() -> None:
    assert problems(more=PROFILE + dated("2026-03-02", "2026-03-02", child="mia") + dated("2026-02-28")) == []
    assert problems(more=PROFILE + dated("2026-03-02", "2026-03-01")) == [
        ("exceptions[1]", "It ends (2026-03-01) before it begins (2026-03-02)", "Exchange the two dates.", True)
    ]
    assert problems(more=PROFILE + dated("2026-03-02") + dated("2026-02-30", "2026-03-01")) == [
        ("exceptions[2]", "There is no date 2026-02-30", "Write year-month-day, such as 2026-12-24.", True)
    ]
    assert problems(more=PROFILE + dated("2026-03-02", profile="q")) == [
        ("exceptions[1]", "There is no profile “q”", "Add [profiles.q].", True)
    ]
    assert problems(more="[profiles.holidays]\n" + dated("2026-03-02", profile="holiday")) == [
        (
            "exceptions[1]",
            "There is no profile “holiday”",
            "Did you mean “holidays”? Add [profiles.holiday].",
            True,
        )
    ]
    assert problems(more=PROFILE + dated("2026-03-02", child="mya")) == [
        ("exceptions[1]", "There is no child “mya”", "Did you mean “mia”? ", True)
    ]


def test_errors_come_before_remarks() -> None:
    found = problems('week = "169h"', '[groups]\nfun = ["odd"]')
    assert [p[3] for p in found] == [True, False]


def test_problems_in_words() -> None:
    assert str(Problem("a.b", "It is wrong", "Mend it.")) == "error: a.b: It is wrong\n  Mend it."
    assert str(Problem("a.b", "It is odd", error=False)) == "remark: a.b: It is odd"


def test_the_first_error_refuses_and_counts_the_others() -> None:
    remark = Problem("a", "odd", error=False)
    refuse_errors([remark], "family.toml")
    refuse_errors([], "family.toml")
    with pytest.raises(PolicyError) as caught:
        refuse_errors([remark, Problem("b", "first", "Mend it.")], "family.toml")
    assert str(caught.value) == "family.toml, b: first\n  Mend it."
    with pytest.raises(PolicyError) as caught:
        refuse_errors([Problem("b", "first", "Mend it."), Problem("c", "second"), Problem("d", "third")], "f")
    assert str(caught.value) == "f, b: first\n  Mend it. (2 more: “fairtime policy check” shows all.)"


# ---- the file itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" \n", "family.toml: The file is empty\n  Begin with “fairtime policy new”."),
        (
            "x" * (1024 * 1024 + 1),
            "family.toml: This file is far too big for a family\n  Check that it is the right file.",
        ),
        ("a = " + "[" * 20_000, "family.toml: The file is nested too deep\n  Check that it is the right file."),
        (
            HEAD + CHILD + "budget = { all = 45 }\n",
            "family.toml, line 12, children[1].limits.budget.all: Here stands a whole number instead of text in quotes\n"
            "  Write hours, minutes or seconds in quotes, such as “1h30m”, “45m” or “60s”.",
        ),
        (
            HEAD.replace("reset =", "rezet =") + CHILD,
            "family.toml, line 3, rezet: There is no setting called “rezet” here\n  Did you mean “reset”?",
        ),
        (
            HEAD + CHILD + "qqqqqq = 1\n",
            "family.toml, line 12, children[1].limits.qqqqqq: There is no setting called “qqqqqq” here\n"
            f"  Remove it. What may stand here: {', '.join(Limits.__struct_fields__)}.",
        ),
        (HEAD.replace('zone = "Europe/Lisbon"\n', "") + CHILD, "family.toml: “zone” is missing\n  Add zone = … there."),
        (
            HEAD + CHILD + LEO.replace('preset = "teen"\n', ""),
            "family.toml, line 12, children[2]: “preset” is missing\n  Add preset = … there.",
        ),
        (
            HEAD + CHILD + LEO + "windws = 3\n",
            "family.toml, line 16, children[2].windws: There is no setting called “windws” here\n"
            "  Remove it. What may stand here: name, accounts, preset, limits, summary_detail.",
        ),
        (
            HEAD + RUI + "ag = 3\n" + CHILD,
            "family.toml, line 10, guardians[2].ag: There is no setting called “ag” here\n"
            "  Remove it. What may stand here: name, account.",
        ),
    ],
)
def test_what_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    assert str(caught.value) == words


LENGTH = "Write hours, minutes or seconds in quotes, such as “1h30m”, “45m” or “60s”."
DAYS = "Write one of mon, tue, wed, thu, fri, sat, sun, schooldays, weekend, all."
PROGRAM = 'programs = [{ program = "chess" }, '


@pytest.mark.parametrize(
    ("limits", "key", "title", "advice"),
    [
        ('budget = { sat = "1h", all = "45" }', "budget.all", "This is not a length of time", LENGTH),
        ('notices = ["1m", "soon"]', "notices[2]", "This is not a length of time", LENGTH),
        ("week = 6", "week", "Here stands a whole number instead of text in quotes", LENGTH),
        ("week = 6.5", "week", "Here stands a number instead of text in quotes", LENGTH),
        ("week = true", "week", "Here stands true or false instead of text in quotes", LENGTH),
        ("week = 06:00:00", "week", "Here stands a time without quotes instead of text in quotes", LENGTH),
        ('budget = { mo = "45m" }', "budget.mo", "“mo” is no day here", f"Did you mean “mon”? {DAYS}"),
        ('budget = { xyz = "45m" }', "budget.xyz", "“xyz” is no day here", DAYS),
        (
            'windows = { all = "09:00-10:00" }',
            "windows.all",
            "Here stands text in quotes instead of a list in square brackets",
            "Put it in square brackets, with commas between the entries: [“…”, “…”].",
        ),
        (
            'windows = { mon = ["09:00-10:00"], all = ["09:00-10:00", "9-10"] }',
            "windows.all[2]",
            "This is not hours",
            "Write two times of day in quotes, such as “15:00-18:30”.",
        ),
        (
            'budget = "1h"',
            "budget",
            "Here stands text in quotes instead of a table in curly brackets",
            "Put it in curly brackets, such as { all = … }, or under a [heading] of its own.",
        ),
        (
            'learning_after = "yes"',
            "learning_after",
            "Here stands text in quotes instead of true or false",
            "Write true or false, without quotes.",
        ),
        ('mode = "stop"', "mode", "“stop” is not one of the choices here", "Write one of block, inform, warn."),
        (
            'sites = { mode = "ak" }',
            "sites.mode",
            "“ak” is not one of the choices here",
            "Did you mean “ask”? Write one of allow-list, ask, block-list.",
        ),
        (
            PROGRAM + '{ program = "x", action = "alow" }]',
            "programs[2].action",
            "“alow” is not one of the choices here",
            "Did you mean “allow”? Write one of allow, ask, block, inform, warn.",
        ),
        (
            PROGRAM + '{ sha256 = "zz" }]',
            "programs[2].sha256",
            "This is not a SHA-256",
            "Write its 64 digits and small letters in quotes; “sha256sum FILE” prints them.",
        ),
        (PROGRAM + '{ path = "" }]', "programs[2].path", "This is empty", "Write something there, or remove the line."),
        (
            PROGRAM + '{ name = "' + "x" * 81 + '" }]',
            "programs[2].name",
            "This is too long",
            "At most 80 letters.",
        ),
        (
            PROGRAM + "{ name = 3 }]",
            "programs[2].name",
            "Here stands a whole number instead of text in quotes",
            "Put it in quotes.",
        ),
        ('breaks = { after = "45m" }', "breaks", "“rest” is missing", "Add rest = … there."),
    ],
)
def test_a_mistake_in_words_that_help(limits: str, key: str, title: str, advice: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(HEAD + CHILD + limits + "\n", "f")
    assert (caught.value.where, caught.value.title, caught.value.advice) == (
        f"f, line 12, children[1].limits.{key}",
        title,
        advice,
    )


@pytest.mark.parametrize(
    ("text", "where", "title", "advice"),
    [
        ("retention_weeks = 0\n" + HEAD, "line 1, retention_weeks", "This number is out of range", "Write at least 1."),
        (
            "retention_weeks = 999\n" + HEAD,
            "line 1, retention_weeks",
            "This number is out of range",
            "Write at most 104.",
        ),
        (
            'retention_weeks = "8"\n' + HEAD,
            "line 1, retention_weeks",
            "Here stands text in quotes instead of a whole number",
            "Write it without quotes.",
        ),
        (
            HEAD.replace("format = 1", "format = 2"),
            "line 1, format",
            "“2” is not one of the choices here",
            "Write one of 1.",
        ),
        (
            HEAD.replace("03:00", "3 o'clock"),
            "line 3, reset",
            "This is not a time of day",
            "Write hours and minutes in quotes, such as “03:00”.",
        ),
        (
            'language = "Deutsch"\n' + HEAD,
            "line 1, language",
            "This is not a language",
            "Write its short name in quotes, such as “en” or “pt-BR”.",
        ),
        (
            HEAD + CHILD.replace('["mia", "mia-school"]', str([f"m{n}" for n in range(9)])),
            "line 9, children[1].accounts",
            "This is too long",
            "At most 8 entries.",
        ),
        (
            HEAD + '[groups]\nfun = ["chess"]\nodd = "x"\n',
            "line 9, groups.odd",
            *(
                "Here stands text in quotes instead of a list in square brackets",
                "Put it in square brackets, with commas between the entries: [“…”, “…”].",
            ),
        ),
        (
            HEAD + '[profiles.ok]\ngrace = "1m"\n[profiles.p]\ngrace = "2m"\nbudget = { all = "1" }\n',
            "line 11, profiles.p.budget.all",
            "This is not a length of time",
            LENGTH,
        ),
        (
            HEAD + 'budget = { all = "1h" }\n',
            "line 7, guardians[1].budget",
            "There is no setting called “budget” here",
            "It belongs under [children.limits] or in a profile.",
        ),
        (
            HEAD + CHILD + '[[exceptions]]\nfrom = 2026-03-02\nprofile = "p"\n',
            "line 13, exceptions[1].from",
            "Here stands a date without quotes instead of text in quotes",
            "Write year-month-day in quotes, such as “2026-12-24”.",
        ),
        (
            HEAD + CHILD + '[[exceptions]]\nfrom = "2.3.2026"\nprofile = "p"\n',
            "line 13, exceptions[1].from",
            "This is not a date",
            "Write year-month-day in quotes, such as “2026-12-24”.",
        ),
    ],
)
def test_a_mistake_elsewhere(text: str, where: str, title: str, advice: str) -> None:
    if "[[children]]" not in text:
        text += CHILD.replace("[children.limits]\n", "")
    with pytest.raises(PolicyError) as caught:
        parse(text, "f")
    assert (caught.value.where, caught.value.title, caught.value.advice) == (f"f, {where}", title, advice)


def test_what_is_not_toml() -> None:
    with pytest.raises(PolicyError) as caught:
        parse("format = 1\nzone = = 2\n", "mine.toml")
    assert caught.value.where == "mine.toml, line 2"
    assert caught.value.title.startswith("This is not TOML: Invalid value")
    assert caught.value.advice == "Look at quotes, brackets and equals signs there."
    with pytest.raises(PolicyError) as caught:
        parse("format = 1\nzone = ", "mine.toml")
    assert caught.value.where == "mine.toml, line 2"
    assert parse((HEAD + CHILD).ljust(1024 * 1024))


TEXT = """\
format = 1
[groups]
fun = ["chess"]
[[children]]
name = "mia"
[children.limits]
# budget = "comment"
budget = { all = "1h" }
"week" = "6h"
[[children.limits.programs]]
program = "chess"
[[children.limits.programs]]
program = "racer"
[[children]]
name = "leo"
[children.limits] # his
grace = "1m"
breaks.after = "45m"
[[children.limits.programs]]
program = "sums"
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (["format"], 1),
        (["groups"], 2),
        (["groups", "fun"], 3),
        (["children", 0], 4),
        (["children", 0, "name"], 5),
        (["children", 0, "limits"], 6),
        (["children", 0, "limits", "budget"], 8),
        (["children", 0, "limits", "budget", "all"], 8),
        (["children", 0, "limits", "week"], 9),
        (["children", 0, "limits", "programs", 0], 10),
        (["children", 0, "limits", "programs", 0, "program"], 11),
        (["children", 0, "limits", "programs", 1], 12),
        (["children", 0, "limits", "programs", 1, "program"], 13),
        (["children", 1], 14),
        (["children", 1, "name"], 15),
        (["children", 1, "limits"], 16),
        (["children", 1, "limits", "grace"], 17),
        (["children", 1, "limits", "breaks", "after"], 18),
        (["children", 1, "limits", "programs", 0], 19),
        (["children", 1, "limits", "programs", 0, "program"], 20),
        (["nothing"], None),
    ],
)
def test_the_line_of_a_key(path: list[str | int], line: int | None) -> None:
    assert line_of(TEXT, path) == line


def test_a_preset_lies_under_what_the_file_says() -> None:
    family = parse(HEAD + CHILD + 'grace = "1m"\n')
    presets: Mapping[str, Limits] = {"junior": Limits(grace="9m", week="5h"), "teen": Limits(week="1h")}
    (child,) = filled(family, presets).children
    assert child.limits == Limits(grace="1m", week="5h")
    assert child.name == "mia"
    with pytest.raises(PolicyError) as caught:
        filled(family, {})
    assert str(caught.value) == "There is no preset “junior”\n  Reinstall Fairtime: its presets are missing."


def test_a_policy_carries_all_it_was_given() -> None:
    family = parse(HEAD + CHILD)
    presets = {"junior": Limits(week="5h")}
    policy = build_policy(
        family,
        CATALOGUE,
        presets,
        policy_id="p",
        version=7,
        issued="2026-01-01T00:00:00Z",
        expires="2027-01-01T00:00:00Z",
        devices=("d1",),
        prev_sha256="ab",
    )
    assert msgspec.to_builtins(policy) | {"family": None, "catalogue": None} == {
        "policy_id": "p",
        "version": 7,
        "issued": "2026-01-01T00:00:00Z",
        "expires": "2027-01-01T00:00:00Z",
        "devices": ["d1"],
        "prev_sha256": "ab",
        "family": None,
        "catalogue": None,
    }
    assert policy.family == filled(family, presets)
    assert policy.catalogue == CATALOGUE
