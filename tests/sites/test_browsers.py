"""Real Chromium and real Firefox with the rules that Fairtime writes, beside the model: no disagreement.

`make browsers` shows them ten thousand addresses, which takes minutes; ``make test`` a part of them.

Documented exceptions (docs/limits.md), each of which the lab tells from a disagreement: Chromium has no pattern for every bare
address; Firefox gets only what stands, and lets what is blocked below an open name through.  The resolver has those.
"""

from __future__ import annotations

import os
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("policy folders of Linux", allow_module_level=True)

from agent.core.sites import SiteMatcher
from agent.errors import PolicyError
from tests.sites import browsing, corpus, netlab

PLANS = len(list(corpus.plans()))
CASES = int(os.environ.get("FAIRTIME_ADDRESSES", "1500"))
why = netlab.unable() or browsing.unable()
pytestmark = [
    pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.skipif(bool(why), reason=why or "-"),
]  # fmt: skip


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_many_addresses_and_no_disagreement(browser: str) -> None:
    found = netlab.apart("tests.sites.browserlab", browser, str(CASES // PLANS), timeout=1100)
    counts = found["counts"]
    assert isinstance(counts, dict)
    print(browser, counts)
    assert found["wrong"] == []
    assert counts.get("no address to the browser", 0) < CASES / 100
    assert counts["open"] > CASES / 5
    assert counts["closed" if browser == "chromium" else "blocked"] > CASES / 5


def test_the_corpus_has_every_kind_of_ruling() -> None:
    actions = set()
    for _, plan in corpus.plans():
        matcher = SiteMatcher(plan)
        for url in corpus.cases(plan, 300):
            try:
                actions.add(matcher.decide(url).action)
            except PolicyError:
                actions.add("none")
    assert actions == {"allow", "ask", "block", "none"}


def test_lists_end_where_browsers_stop_reading() -> None:
    found = netlab.apart("tests.sites.browserlab", "limits")
    assert found["chromium"] == ["blocked"] * 3 + ["open"] * 4
    assert found["firefox"] == ["blocked"] * 5 + ["open"] * 2


def test_doors_around_the_rules_are_closed_and_the_parents_browser_is_free() -> None:
    found = netlab.apart("tests.sites.browserlab", "doors")
    closed = ["blocked"] * 4 + ["open"]
    for way in ("chromium", *(f"chromium, {one}" for one in ("incognito", "guest", "another folder", "proxy"))):
        assert found[way] == closed, way
    # A new name is for the resolver to decide, the blocked one and the bare address for the browser.
    assert found["firefox"] == ["blocked", "open", "open", "blocked", "open"]
    assert found["firefox, settings"] == [1, 5, "", 0, False, True]
    assert found["chromium, the parent"] == found["firefox, the parent"] == ["open"] * 5
    assert found["firefox, the parent's settings"] == [0, True]
