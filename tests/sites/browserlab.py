"""The corpus, asked of the model and of a real browser with the policy that Fairtime writes: ``python -m tests.sites.browserlab``.

Runs in namespaces of its own (``netlab.apart``): the policy folders are empty ones of its own, and no name leads anywhere.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

if sys.platform != "linux":
    raise ImportError("policy folders of Linux")

from agent.core.hosts import is_address
from agent.core.sites import Ruling, SiteMatcher, parents
from agent.errors import PolicyError
from agent.model.site import HostRule, SitePlan
from agent.platforms.linux.browsers import Audience, Browsers
from tests.sites import corpus
from tests.sites.browsing import Chromium, Firefox
from tests.sites.netlab import ANA, MIA, etc_of_its_own, sh

NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND"
NO_ADDRESS = "no address to the browser"
"""What it cannot visit at all, such as a label that begins like an A-label and is none."""
TYPED = 25
"""So many addresses of a plan are also typed into Firefox; the rest is asked of its filter."""


def set_up(plan: SitePlan) -> Path:
    """The plan in force for mia; a home folder for browsers, which goes with the namespace."""
    home = Path(tempfile.mkdtemp(dir="/mnt"))
    home.chmod(0o755)
    Browsers(lambda: [MIA, ANA]).put([Audience(plan, frozenset({MIA}))])
    return home


def rulings(plan: SitePlan, urls: list[str]) -> list[Ruling | None]:
    """The model's; ``None`` where it sees no host."""
    matcher = SiteMatcher(plan)

    def one(url: str) -> Ruling | None:
        try:
            return matcher.ruling(matcher.decide(url).host)
        except PolicyError:
            return None

    return [one(url) for url in urls]


def hosts(plan: SitePlan, urls: list[str]) -> list[str]:
    matcher = SiteMatcher(plan)
    found = []
    for url in urls:
        try:
            found.append(matcher.decide(url).host)
        except PolicyError:
            found.append("")
    return found


def chromium(number: int) -> dict[str, object]:
    """Chromium and the model, ``number`` addresses of each plan."""
    wrong, counts = [], Counter[str]()
    for name, plan in corpus.plans():
        urls, home = corpus.cases(plan, number), set_up(plan)
        with Chromium(MIA, home / "mia", NOWHERE) as browser:
            verdicts = browser.verdicts(urls)
        for url, host, ruling, verdict in zip(urls, hosts(plan, urls), rulings(plan, urls), verdicts, strict=True):
            if verdict == "invalid":
                counts[NO_ADDRESS] += 1
                continue
            wanted = "open" if ruling is not None and ruling.action == "allow" else "closed"
            counts[f"{wanted}"] += 1
            if wanted == ("open" if verdict == "open" else "closed"):
                continue
            # Chromium has no pattern for all addresses: where unnamed hosts are open, so are they (docs/limits.md).
            if (
                verdict == "open"
                and plan.otherwise == "allow"
                and ruling is not None
                and not ruling.name
                and is_address(host)
            ):
                counts["bare addresses left to the other lanes"] += 1
                continue
            wrong.append([name, url, wanted, verdict])
    return {"wrong": wrong, "counts": counts}


def firefox(number: int) -> dict[str, object]:
    """Firefox and the model: it blocks what is blocked by name for good, and bare IPv4 addresses; the rest is the resolver's."""
    wrong, counts = [], Counter[str]()
    for name, plan in corpus.plans():
        urls, home = corpus.cases(plan, number), set_up(plan)
        with Firefox(MIA, home / "mia") as browser:
            verdicts = browser.verdicts(urls)
            typed = [url for url in urls if "@" not in url.partition("#")[0].partition("?")[0]][:TYPED]
            for url, verdict in zip(typed, browser.typed(typed), strict=True):
                if verdict != verdicts[urls.index(url)]:
                    wrong.append([name, url, verdicts[urls.index(url)], f"{verdict} when typed"])
        for url, host, ruling, verdict in zip(urls, hosts(plan, urls), rulings(plan, urls), verdicts, strict=True):
            if verdict == "invalid":
                counts[NO_ADDRESS] += 1
                continue
            wanted = _firefox_wants(plan, url, host, ruling)
            counts[wanted] += 1
            if verdict != wanted:
                wrong.append([name, url, wanted, verdict])
    return {"wrong": wrong, "counts": counts}


def _firefox_wants(plan: SitePlan, url: str, host: str, ruling: Ruling | None) -> str:
    if ruling is None:
        return "invalid"  # the browser sees a host where the model sees none
    if ruling.action == "allow":
        return "open"
    if is_address(host):
        open_ = plan.addresses and plan.otherwise == "allow"
        return "open" if "[" in url or open_ else "blocked"  # no pattern for IPv6, nor for IPv4 written as such
    if ruling.action != "block" or not ruling.name:
        return "open"  # left to the resolver
    # Any exception wins over any block: below an open name nothing is blocked.
    matcher = SiteMatcher(plan)
    above = [name for name in parents(host) if len(name) < len(ruling.name)]
    named = {rule.host for rule in plan.hosts}
    return (
        "open"
        if any(name in named and matcher.action(name) != "block" for name in above) and _shut_above(plan, host, ruling)
        else "blocked"
    )


def _shut_above(plan: SitePlan, host: str, ruling: Ruling) -> bool:
    """Whether an open name above it is itself below a blocked one, so that it is an exception."""
    matcher = SiteMatcher(plan)
    named = {rule.host for rule in plan.hosts}
    above = [name for name in parents(host) if len(name) < len(ruling.name) and name in named]
    return any(
        matcher.action(name) != "block"
        and any(up in named and matcher.action(up) == "block" for up in list(parents(name))[1:])
        for name in above
    )


def limits() -> dict[str, object]:
    """The last rule that has room in a list is obeyed."""
    rules = tuple(HostRule(host=f"g{number}.example", action="block", rule="r") for number in range(1200))
    plan = SitePlan(child="mia", hosts=rules, otherwise="allow", addresses=True)
    urls = [f"http://g{number}.example/" for number in (0, 500, 996, 997, 999, 1000, 1199)]
    home = set_up(plan)
    with Chromium(MIA, home / "mia", NOWHERE) as one:
        chromium_ = one.verdicts(urls)
    with Firefox(MIA, home / "mia") as two:
        firefox_ = two.verdicts(urls)
    return {"chromium": chromium_, "firefox": firefox_}


def doors() -> dict[str, object]:
    """Ways around a browser's rules, and the parent's browser beside it."""
    plan = SitePlan(
        child="mia", hosts=(HostRule(host="school.example", action="allow", rule="r"),
                            HostRule(host="game.example", action="block", rule="b")), otherwise="block",
    )  # fmt: skip
    home = set_up(plan)
    urls = [
        "http://game.example/",
        "https://new.example/",
        "view-source:http://game.example/",
        "http://192.0.2.1/",
        "http://school.example/",
    ]
    found: dict[str, object] = {}
    with Chromium(MIA, home / "mia", NOWHERE) as one:
        found["chromium"] = one.verdicts(urls)
    for name, option in (("incognito", "--incognito"), ("guest", "--guest"), ("another folder", f"--user-data-dir={home}/mia/other"),
                         ("proxy", "--proxy-server=127.0.0.1:9")):  # fmt: skip
        with Chromium(MIA, home / "mia", NOWHERE, option) as one:
            found[f"chromium, {name}"] = one.verdicts(urls)
    with Chromium(ANA, home / "ana", NOWHERE) as one:
        found["chromium, the parent"] = one.verdicts(urls)
    with Firefox(
        MIA, home / "mia", network__trr__mode=3, network__dns__forceResolve="127.0.0.1", network__proxy__type=1
    ) as two:
        found["firefox"] = two.verdicts(urls)
        found["firefox, settings"] = two.inside(
            "const p = Services.prefs; return [Services.policies.status, p.getIntPref('network.trr.mode'),"
            " p.getStringPref('network.dns.forceResolve'), p.getIntPref('network.proxy.type'),"
            " Services.policies.isAllowed('privatebrowsing'), p.prefIsLocked('devtools.chrome.enabled')]"
        )
    with Firefox(ANA, home / "ana") as two:
        found["firefox, the parent"] = two.verdicts(urls)
        found["firefox, the parent's settings"] = two.inside(
            "return [Services.policies.status, Services.policies.isAllowed('privatebrowsing')]"
        )
    return found


if __name__ == "__main__":
    etc_of_its_own()
    sh("ip link set lo up")
    wanted, *more = sys.argv[1:]
    work = {"chromium": chromium, "firefox": firefox, "limits": limits, "doors": doors}[wanted]
    print(json.dumps(work(*map(int, more))), flush=True)  # type: ignore[operator]  # each takes the numbers that it is given
