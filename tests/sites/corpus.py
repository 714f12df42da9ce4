"""Ten thousand addresses and a handful of plans, made up from a seed: the same for the model and for every lane.

Hosts come from few labels, so that rules, sub-names, look-alikes and strangers meet; each is then written in one of the ways
in which people, pages and mischief write an address.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from agent.model.site import GroupRule, HostRule, SiteAction, SitePlan

SEED = 20261125
LABELS = ("school", "game", "play", "news", "www", "m", "xn--bcher-kva", "a", "b-1", "museum", "cdn", "no_t")
ENDS = ("example", "net", "co.example", "org", "xn--p1ai", "example.org")
HELP = ("help.example", "line.help.org")
ADDRESSES = ("192.0.2.1", "198.51.100.77", "10.0.0.1", "127.0.0.1", "203.0.113.255", "2001:db8::1", "::1", "fe80::1")


def host(some: random.Random) -> str:
    return ".".join([*some.choices(LABELS, k=some.choice((1, 1, 2, 2, 3, 5))), some.choice(ENDS)])


def plans() -> Iterator[tuple[str, SitePlan]]:
    """Each with a name for people."""
    some = random.Random(SEED)
    actions: tuple[SiteAction, ...] = ("allow", "ask", "block")

    def rules(number: int, *weights: int) -> tuple[HostRule, ...]:
        found = [
            HostRule(host=host(some), action=some.choices(actions, weights)[0], rule=f"r{n}") for n in range(number)
        ]
        # Rules below rules, and two for one host.
        for rule in found[::3]:
            found.append(
                HostRule(
                    host=f"{some.choice(LABELS)}.{rule.host}", action=some.choices(actions, weights)[0], rule="below"
                )
            )
        found += [HostRule(host=rule.host, action=some.choice(actions), rule="twice") for rule in found[:5]]
        return tuple(found)

    few = {"games": GroupRule(group="games", action="block", rule="g")}
    yield "allow-list", SitePlan(child="mia", always=HELP, hosts=rules(40, 8, 1, 2), otherwise="block")
    yield "ask", SitePlan(child="mia", always=HELP, hosts=rules(40, 4, 2, 2), otherwise="ask")
    yield "block-list", SitePlan(child="leo", always=HELP, hosts=rules(60, 3, 1, 5), otherwise="allow", addresses=True)
    yield "block-list without addresses", SitePlan(
        child="leo", always=HELP, hosts=(*rules(60, 3, 1, 5), HostRule(host="198.51.100.77", action="allow", rule="nas")),
        groups=tuple(few.values()), otherwise="allow",
    )  # fmt: skip
    yield (
        "nine hundred rules",
        SitePlan(child="mia", always=HELP, hosts=rules(650, 5, 1, 3), otherwise="allow", addresses=True),
    )


def cases(plan: SitePlan, number: int) -> list[str]:
    """Addresses as they are typed, linked or tried."""
    some = random.Random(f"{SEED} {plan.child} {len(plan.hosts)} {plan.otherwise}")
    named = [*plan.always, *(rule.host for rule in plan.hosts)]
    return [_written(some, _about(some, named)) for _ in range(number)]


def _about(some: random.Random, named: list[str]) -> str:
    """A host that has something to do with the plan, or nothing."""
    one = some.choice(named)
    match some.randrange(10):
        case 0 | 1:
            return one
        case 2 | 3:
            return f"{some.choice(LABELS)}.{one}"
        case 4:
            return one.partition(".")[2] or one
        case 5:
            return some.choice(
                (
                    f"not{one}",
                    f"{one}.evil.example",
                    f"{one}-not.example",
                    f"x-{one}",
                    one.replace(".", "-") + ".example",
                )
            )
        case 6:
            return some.choice(ADDRESSES)
        case _:
            return host(some)


def _written(some: random.Random, name: str) -> str:
    text = f"[{name}]" if ":" in name else name
    match some.randrange(14):
        case 0:
            text = text.upper()
        case 1:
            text = "".join(some.choice((c.upper(), c)) for c in text)
        case 2 if ":" not in name:
            text += "."
        case 3 if ":" not in name:
            text = "".join(f"%{ord(c):02x}" if some.random() < 0.3 and c != "." else c for c in text)
        case 4:
            text = _number(some, text)
        case 5:
            text = text.replace("xn--bcher-kva", "bücher").replace("xn--p1ai", "рф")
        case 6 if ":" not in name:
            text = text.replace("a", "\uff41").replace("e", "\uff45", 1)  # full width
        case 7 if ":" not in name and "." in text:
            text = text.replace(".", "\u3002", 1)  # an ideographic full stop
        case _:
            pass
    port = some.choice(("", "", "", ":80", ":443", ":8080", ":81"))
    user = some.choice(("", "", "", "", "mia@", "mia:secret@", "school.example@", "school.example:80@"))
    rest = some.choice(
        ("/", "", "/a/b?q=school.example", "/?u=http://game.example/", "#x", "/%2e%2e/@help.example", "/a b", "?x=1")
    )
    scheme = some.choice(("http", "https"))
    return f"{scheme}://{user}{text}{port}{rest}"


def _number(some: random.Random, text: str) -> str:
    """An IPv4 address in another of its spellings."""
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdigit() for part in parts):
        return text
    numbers = [int(part) for part in parts]
    whole = sum(number << shift for number, shift in zip(numbers, (24, 16, 8, 0), strict=True))
    return some.choice((
        str(whole), hex(whole), f"0{whole:o}", ".".join(hex(number) for number in numbers), ".".join(f"0{number:o}" for number in numbers),
        f"{numbers[0]}.{whole & 0xFFFFFF}", f"{numbers[0]}.{numbers[1]}.{whole & 0xFFFF}", f"{text}.", f"[::ffff:{text}]",
    ))  # fmt: skip
