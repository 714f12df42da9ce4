"""Site lists on a real PC, under the unit's own limits: a guardian hands in what her account can read, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from tests.system.box import Box, Done
from tests.system.fairtime import FAMILY, PIN


def lists(box: Box, *words: str, user: str = "ana") -> Done:
    return box.run(["fairtime", "lists", *words], user, stdin=PIN + "\n")


def document(box: Box) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lists(box, "show", "--json").check().out)
    return found


def test_a_guardian_hands_in_what_she_can_read(box: Box) -> None:
    box.fairtime.policy(FAMILY.read_text(encoding="utf-8"))
    box.write("/home/ana/games.txt", "".join(f"0.0.0.0 n{i}.example\n" for i in range(1000)), owner="ana", mode=0o600)
    box.write("/root/roots.txt", "secret.example\n", mode=0o600)
    box.run("ln -sf /root/roots.txt /home/ana/link.txt && ln -sf /etc/shadow /home/ana/shadow.txt").check()
    try:
        assert lists(box, "add", "games", "/home/ana/games.txt").check().out == "games has 1,000 hosts from now on.\n"
        for path in ("/root/roots.txt", "/home/ana/link.txt", "/home/ana/shadow.txt", "/var/lib/fairtime/ledger.db"):
            refused = lists(box, "add", "roots", path)
            assert not refused.ok
            assert "The list cannot be read: Permission denied" in refused.err
        assert list(document(box)["lists"]) == ["games"]
        box.run("stat -c %a:%U /var/lib/fairtime/lists | grep -qx 700:root").check()
        # Root reads what root can; a child nothing at all, and not with the PIN.
        assert lists(box, "add", "roots", "/root/roots.txt", user="root").ok
        with box.session("leo", "x11") as session:
            refused = session.run("fairtime lists show", timeout=30)
            assert not refused.ok
            assert "This is for guardians" in refused.err
            for words in ("add mine /home/ana/games.txt", "remove games"):
                assert not session.run(f"fairtime lists {words} </dev/null", timeout=30).ok
        assert list(document(box)["lists"]) == ["games", "roots"]
        box.write("/home/ana/games.txt", "n1.example\n", owner="ana", mode=0o600)
        assert "fairtime lists accept games" in lists(box, "update", "games").check().out
        assert sum(document(box)["lists"]["games"]["now"]["groups"].values()) == 1000
        assert lists(box, "accept", "games").check().out == "games has 1 host from now on.\n"
        assert "accept-list" in box.run("fairtime audit show").out
    finally:
        for name in ("games", "roots"):
            lists(box, "remove", name)


def test_a_million_hosts_fit_into_the_units_memory(box: Box) -> None:
    box.run(
        'awk \'BEGIN { for (i = 0; i < 1000000; i++) print "0.0.0.0 h" i ".s" i % 977 ".example" }\' > /home/ana/many.txt'
        " && chown ana: /home/ana/many.txt"
    ).check()
    try:
        before = box.fairtime.pid
        told = lists(box, "add", "many", "/home/ana/many.txt").check().out
        assert "many has 1,000,000 hosts" in told or "goes on" in told
        box.until("fairtime lists show | grep -q '^many: 1,000,000 hosts'", within=240)
        assert box.fairtime.pid == before, "the service lived through it"
    finally:
        lists(box, "remove", "many")
        box.run("rm -f /home/ana/many.txt").check()
