"""Sites on a real PC: what curl, dig, Chromium and Firefox of a child reach, and that a parent's reach everything.

``away`` is the Internet: its name servers know every name and its web server answers to every name, so that what a child does
not see is closed by Fairtime alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.away import DNS4, DNS6, DOH4, DOH6, WEB4
from tests.system.box import Box
from tests.system.internet import internet
from tests.system.reach import PLACE

SINK = "127.84.0.1"
OPEN, SHUT, BELOW, NEW = "school.example", "game.example", "game.school.example", "new.example"
FAMILY = """
format = 1
zone = "UTC"

[[guardians]]
name = "ana"
account = "ana"

[[children]]
name = "mia"
accounts = ["mia"]
preset = "older"

[children.limits]
windows = {}
budget = {}
unknown_programs = "allow"
sites = { mode = "allow-list", allow = ["school.example"], block = ["game.school.example", "game.example"] }

[[children]]
name = "leo"
accounts = ["leo"]
preset = "older"

[children.limits]
windows = {}
budget = {}
unknown_programs = "allow"
sites = { mode = "block-list", block = ["game.example"] }
"""


@pytest.fixture(scope="module")
def pc(box: Box) -> Iterator[Box]:
    """The PC on its Internet, with both children's sites in force."""
    with internet(box):
        box.fairtime.policy(FAMILY)
        box.until("nft list table inet fairtime", within=20)
        yield box


def dig(box: Box, user: str, name: str, *options: str) -> str:
    """The addresses that dig is told; empty for none, ``refused`` when it was not let through, ``nothing`` when nobody said a word."""
    done = box.run(["dig", "+short", "+time=3", "+tries=2", *options, name], user)
    said = done.out + done.err
    if done.ok and "communications error" not in said:
        return done.out.strip()
    return "nothing" if "timed out" in said and "refused" not in said else "refused"


ROADS = {
    "UDP": (f"@{DNS4}",), "TCP": (f"@{DNS4}", "+tcp"), "IPv6": (f"@{DNS6}",), "IPv6, TCP": (f"@{DNS6}", "+tcp"),
    "the PC's own": (), "loopback": ("@127.0.0.53",),
}  # fmt: skip
SECRET = {
    "DoT": (f"@{DNS4}", "+tls"), "DoT, IPv6": (f"@{DNS6}", "+tls"), "DoH": (f"@{DOH4}", "+https"), "DoH, IPv6": (f"@{DOH6}", "+https"),
    "DoH by POST": (f"@{DOH4}", "+https-post"),
}  # fmt: skip


@pytest.mark.parametrize("road", ROADS)
def test_every_server_gives_a_child_the_childs_own_answers(pc: Box, road: str) -> None:
    words = ROADS[road]
    assert dig(pc, "mia", OPEN, *words) == WEB4
    assert {dig(pc, "mia", name, *words) for name in (SHUT, BELOW, NEW)} == {SINK}
    assert dig(pc, "leo", SHUT, *words) == SINK
    assert dig(pc, "leo", NEW, *words) == WEB4
    if road != "loopback":
        assert {dig(pc, "ana", name, *words) for name in (OPEN, SHUT, BELOW, NEW)} == {WEB4}


@pytest.mark.parametrize("road", SECRET)
def test_encrypted_questions_of_a_child_are_refused_and_a_parents_are_answered(pc: Box, road: str) -> None:
    words = SECRET[road]
    assert dig(pc, "ana", SHUT, *words) in (WEB4, "refused") if "DoH" in road else dig(pc, "ana", SHUT, *words) == WEB4
    assert dig(pc, "mia", SHUT, *words) == dig(pc, "leo", SHUT, *words) == "refused"


def curl(box: Box, user: str, url: str, *options: str) -> str:
    """``REACHED``, ``page`` (ours), or how it was closed."""
    done = box.run(["curl", "--silent", "--insecure", "--max-time", "5", "--noproxy", "*", *options, url], user)
    if "REACHED" in done.out:
        return "reached"
    return "page" if done.ok and done.out else f"exit {done.code}"


def test_curl_of_a_child_reaches_what_is_open_and_finds_the_page_that_says_why(pc: Box) -> None:
    for scheme in ("http", "https"):
        assert curl(pc, "mia", f"{scheme}://{OPEN}/") == "reached"
        assert curl(pc, "leo", f"{scheme}://{NEW}/") == "reached"
        assert {curl(pc, "ana", f"{scheme}://{name}/") for name in (OPEN, SHUT, NEW)} == {"reached"}
    assert curl(pc, "mia", f"http://{NEW}/") == curl(pc, "leo", f"http://{SHUT}/") == "page"
    assert curl(pc, "mia", f"https://{NEW}/") == "exit 7"  # refused at once
    assert pc.run(["curl", "-s", f"http://{NEW}/"], "mia").out.count(NEW)


# ---- browsers --------------------------------------------------------------------------------------------------------

LAB = Path(__file__).parent


def chromium(box: Box, user: str, urls: list[str]) -> dict[str, str]:
    box.write(f"/{PLACE}/devtools.py", (LAB / "devtools.py").read_text(encoding="utf-8"))
    done = box.run(["python3", f"/{PLACE}/devtools.py", json.dumps(urls)], user, timeout=120).check()
    found: dict[str, str] = json.loads(done.out)
    return {url: _chromium_said(text) for url, text in found.items()}


def _chromium_said(text: str) -> str:
    if "REACHED" in text:
        return "reached"
    if "ERR_BLOCKED_BY_ADMINISTRATOR" in text or "allow you to view this site" in text:
        return "blocked"
    return "page" if "Fairtime" in text else f"else: {text[-300:]}"


def test_chromium(pc: Box) -> None:
    urls = {name: f"http://{name}/" for name in (OPEN, SHUT, NEW, BELOW, WEB4)}
    mia, leo, ana = (chromium(pc, user, list(urls.values())) for user in ("mia", "leo", "ana"))
    assert set(ana.values()) == {"reached"}
    assert mia[urls[OPEN]] == "reached"
    assert {mia[urls[name]] for name in (SHUT, BELOW, NEW, WEB4)} == {"blocked"}
    assert leo[urls[NEW]] == "reached"
    assert leo[urls[SHUT]] == "blocked"


def test_chromium_as_anybody_starts_it(pc: Box) -> None:
    """Without its debugging pipe, which steers the others."""
    line = f"timeout 40 chromium --headless --no-sandbox --disable-gpu --no-first-run --dump-dom --timeout=8000 http://{SHUT}/"
    for user, seen in (("ana", "reached"), ("mia", "blocked")):
        done = pc.run(line, user)
        assert _chromium_said(done.out + done.err) == seen


def firefox(box: Box, user: str, urls: list[str]) -> dict[str, str]:
    box.write(f"/{PLACE}/marionette.py", (LAB / "marionette.py").read_text(encoding="utf-8"))
    done = box.run(["python3", f"/{PLACE}/marionette.py", *urls], user, timeout=120).check()
    found: dict[str, str] = json.loads(done.out.splitlines()[-1])
    return found


def test_firefox(pc: Box) -> None:
    urls = {name: f"http://{name}/" for name in (OPEN, SHUT, NEW, BELOW, WEB4)}
    mia, leo, ana = (firefox(pc, user, list(urls.values())) for user in ("mia", "leo", "ana"))
    assert set(ana.values()) == {"reached"}
    assert mia[urls[OPEN]] == "reached"
    # What is blocked for both children is in Firefox's own rules; the rest is the resolver's, whose page says why.
    assert mia[urls[SHUT]] == leo[urls[SHUT]] == "blocked"
    assert mia[urls[NEW]] == "page"
    assert mia[urls[BELOW]] == "page"
    assert mia[urls[WEB4]] == "blocked"
    assert leo[urls[NEW]] == "reached"


# ---- what somebody does to it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "deed",
    [
        "nft delete table inet fairtime", "nft flush table inet fairtime", "nft flush ruleset",
        "rm -r /etc/chromium/policies", "chmod 777 /etc/chromium/policies/managed",
        "mv /etc/chromium/policies/managed /etc/chromium/policies/x && ln -s x /etc/chromium/policies/managed",
        "echo '{' > /etc/firefox/policies/policies.json", "rm -r /etc/firefox",
    ],
)  # fmt: skip
def test_what_an_administrator_breaks_is_whole_again_within_five_seconds(pc: Box, deed: str) -> None:
    state = (
        "nft -s list table inet fairtime; cat /etc/chromium/policies/managed/zz-* /etc/firefox/policies/policies.json; "
        "stat -c '%a %U %F' /etc/chromium/policies/managed /etc/firefox/policies"
    )
    before = pc.run(state).check().out
    pc.run(deed).check()
    pc.write("/root/was", before)
    pc.until(f"({state}) 2>&1 | cmp -s - /root/was", within=6)
    assert dig(pc, "mia", SHUT, f"@{DNS4}") == SINK


def test_other_tables_are_left_alone(pc: Box) -> None:
    pc.run("nft 'table ip mine { chain a { tcp dport 99 drop; }; }'").check()
    pc.run("nft flush table inet fairtime").check()
    pc.until("nft list table inet fairtime | grep -q redirect", within=6)
    assert "tcp dport 99 drop" in pc.run("nft list table ip mine").check().out
    pc.run("nft delete table ip mine").check()
