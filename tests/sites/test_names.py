"""The corpus of the browsers, asked of the real resolver: what the model opens is answered, what it closes has our own address."""

from __future__ import annotations

import random
import sys
from collections import Counter

import dns.message
import pytest

if sys.platform != "linux":
    pytest.skip("the resolver is for Linux", allow_module_level=True)

from agent.core.hosts import is_address
from agent.core.sites import SiteMatcher
from agent.errors import PolicyError
from agent.model.site import SINK, SitePlan
from tests.dns_servers import Sender, good, server
from tests.resolving import addresses, lane, resolver
from tests.sites import corpus

ELSEWHERE = "192.0.2.80"
EACH = 10_000 // len(list(corpus.plans()))


def every_name(message: dns.message.Message, send: Sender, _stream: bool) -> None:
    send(good(message, (message.question[0].name.to_text(), 300, "A", ELSEWHERE)))


def asked(plan: SitePlan) -> list[tuple[str, str]]:
    """``(host as a program may write it, the model's action)``; a bare address is no question, and what has no dot is the
    home network's and leads nowhere."""
    matcher, some, found = SiteMatcher(plan), random.Random(corpus.SEED), []
    for url in corpus.cases(plan, EACH):
        try:
            verdict = matcher.decide(url)
        except PolicyError:
            continue
        if "." in verdict.host and not is_address(verdict.host):
            name = "".join(some.choice((letter, letter.upper())) for letter in verdict.host)
            found.append((name, verdict.action))
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "plan"), list(corpus.plans()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_resolver_and_the_model_agree(name: str, plan: SitePlan) -> None:
    counts, wrong = Counter[str](), []
    with server(every_name) as elsewhere, resolver(lane(plan), upstreams=(elsewhere.address,)) as one:
        for host, action in asked(plan):
            told = addresses(one.ask(host, child=plan.child))
            counts[action] += 1
            if told != [ELSEWHERE if action == "allow" else SINK]:
                wrong.append((host, action, told))
    print(name, dict(counts))
    assert wrong == []
    assert sum(counts.values()) > EACH * 0.85
