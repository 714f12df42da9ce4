"""Windows' lanes of sites: the firewall's text and what it leaves, whom the PC asks for names, and all of it together."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import resources
from agent.errors import HostError
from agent.model.site import HostRule, SiteLane, SitePlan
from agent.platforms.base import Resolver
from agent.platforms.windows import firewall, nrpt, powershell
from agent.platforms.windows.browserrules import POLICIES
from agent.platforms.windows.firewall import GROUP, RULES, Firewall
from agent.platforms.windows.hive import same
from agent.platforms.windows.nrpt import GROUP_POLICY, INTERFACES, RULE, TABLE, Names, NameServers
from agent.platforms.windows.sitelanes import SiteLanes
from agent.platforms.windows.values import Node, as_number, as_text, number, text, texts
from tests.hives import Memory

MIA, LEO = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002"
DOH = ("192.0.2.1", "2001:db8::/32", "198.51.100.0/24")


class Shell:
    """As much of Windows as our firewall scripts use: rules in the registry, by their names."""

    def __init__(self, machine: Memory) -> None:
        self.machine = machine
        self.scripts: list[str] = []
        self.broken = ""

    def __call__(self, script: str) -> str:
        self.scripts.append(script)
        if self.broken:
            raise HostError(self.broken, "try again")
        wanted = set(re.findall(r"New-NetFirewallRule -Name '([^']+)' (.*?) \| Out-Null", script))
        names = {name for name, _ in wanted}
        node = self.machine.node(RULES) or Node()
        for name, value in node.values.items():
            if as_text(value).startswith(f"-Group '{GROUP}'") and name not in names:
                self.machine.drop(RULES, name)
        for name, rule in wanted:
            if name not in node.values:
                self.machine.put(RULES, name, text(rule))
        return ""


class Pc:
    def __init__(self) -> None:
        self.users, self.machine = Memory(), Memory()
        self.machine.make("SOFTWARE")
        self.machine.put(RULES, "CoreNet-DNS-Out-UDP", text("v2.31|Action=Allow|"))
        for sid in (MIA, LEO):
            self.users.make(rf"{sid}\{POLICIES}")
        self.shell = Shell(self.machine)
        self.sids: dict[str, str] = {"mia": MIA, "leo": LEO}
        self.flushed = 0
        self.lanes = self.start()
        self.now = 0

    def start(self) -> SiteLanes:
        def flush() -> None:
            self.flushed += 1

        return SiteLanes(self.users, self.machine, self.sids.get, self.shell, flush)

    def put(self, *lanes: SiteLane) -> str:
        """What the host says is missing."""
        try:
            self.lanes.put(lanes)
        except HostError as error:
            assert error.advice
            return error.title
        return ""

    def look(self) -> bool:
        self.now += 3_001
        asked = self.lanes.look(self.now)
        if asked:
            self.lanes.mend(self.now)
        return asked

    def rules(self) -> dict[str, str]:
        node = self.machine.node(RULES)
        assert node is not None
        return {name: as_text(value) for name, value in node.values.items() if name.startswith("fairtime-")}


def lane(child: str = "mia", *accounts: str, otherwise: str = "allow") -> SiteLane:
    rule = HostRule(host="game.example", action="block", rule="a")
    plan = SitePlan(child=child, hosts=(rule,), otherwise=otherwise)  # type: ignore[arg-type]  # one of three words
    return SiteLane(plan=plan, accounts=accounts or (child,), dns_port=0, page_port=0)


FREE = SiteLane(
    plan=SitePlan(child="leo", otherwise="allow", safe_search=False, youtube="off"), accounts=("leo",), dns_port=0, page_port=0
)  # fmt: skip


@pytest.fixture
def pc() -> Pc:
    return Pc()


# ---- PowerShell ------------------------------------------------------------------------------------------------------


def test_a_script_that_came_to_its_end_says_so() -> None:
    assert powershell.understood("one\r\ntwo\r\nfairtime: done\r\n") == "one\ntwo"
    assert powershell.understood("fairtime: done\n") == ""


@pytest.mark.parametrize("said", ["", "\r\n", "one\r\n", "fairtime: done\nmore"])
def test_a_program_that_only_ended_well_did_nothing(said: str) -> None:
    """Wine's stub of powershell.exe ends with 0 and does nothing."""
    with pytest.raises(HostError, match="did not come to the end"):
        powershell.understood(said)


def test_what_windows_said_is_told() -> None:
    with pytest.raises(HostError, match="Access is denied"):
        powershell.understood("half\nfairtime: failed Access is denied.\n")


def test_a_pc_without_powershell_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMROOT", "/nowhere")
    with pytest.raises(HostError) as caught:
        powershell.run("1")
    assert caught.value.advice


def test_words_are_quoted_and_what_could_be_another_quotation_mark_is_refused() -> None:
    assert powershell.quoted("it's") == "'it''s'"
    for words in ("it\u2019s", "two\nlines", "\0"):
        with pytest.raises(ValueError, match="not for a script"):
            powershell.quoted(words)


def test_a_script_is_sent_on_standard_input_and_cannot_take_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def run(command: list[str], **how: object) -> subprocess.CompletedProcess[bytes]:
        seen.update(how, command=command)
        return subprocess.CompletedProcess(command, 0, b"\xc3\xb6\r\nfairtime: done\r\n", b"")

    monkeypatch.setattr(subprocess, "run", run)
    assert powershell.run("Get-Date") == "ö"
    sent = seen["input"]
    assert isinstance(sent, bytes) and b"Get-Date" in sent and sent.isascii()
    assert seen["timeout"] == powershell.PATIENCE


# ---- the firewall's text ---------------------------------------------------------------------------------------------


def test_the_ways_around_are_closed_for_these_children_alone() -> None:
    made = firewall.script([LEO, MIA], DOH)
    rules = re.findall(r"New-NetFirewallRule .*", made)
    assert len(rules) == 4
    for rule in rules:
        assert f"-LocalUser 'D:(A;;CC;;;{MIA})(A;;CC;;;{LEO})'" in rule
        assert "-Direction Outbound -Action Block" in rule and "-Profile Any" in rule
    ports = {re.search(r"-Protocol (\w+) -RemotePort (\S+)", rule).groups() for rule in rules}  # type: ignore[union-attr]  # there is one in each
    assert ports == {("TCP", "53,853"), ("UDP", "53,853,784,8853"), ("TCP", "443"), ("UDP", "443")}
    (web,) = [rule for rule in rules if "-Protocol TCP -RemotePort 443" in rule]
    assert "-RemoteAddress '192.0.2.1','198.51.100.0/24','2001:db8::/32'" in web


def test_no_rule_closes_port_443_without_addresses() -> None:
    assert "443" not in firewall.script([MIA], [])


def test_no_text_removes_rules_without_naming_one() -> None:
    """Remove-NetFirewallRule that is told nothing removes every rule of the PC."""
    for made in (firewall.script([MIA], DOH), firewall.removal()):
        found = re.findall(r"Remove-NetFirewallRule.{0,12}", made)
        assert found and all(one.startswith("Remove-NetFirewallRule -Name $one") for one in found)
        assert "| Remove" not in made


def test_other_children_and_other_addresses_are_other_rules() -> None:
    assert firewall.script([], DOH) == firewall.removal()
    assert not set(firewall.names([MIA], DOH)) & set(firewall.names([MIA, LEO], DOH))
    assert set(firewall.names([MIA], DOH)) & set(firewall.names([MIA], ["192.0.2.9"])), "port 53 has no addresses"
    assert firewall.names([MIA, LEO], DOH) == firewall.names([LEO, MIA], reversed(DOH))  # type: ignore[arg-type]  # once is enough


def test_every_script_can_be_sent() -> None:
    for made in (firewall.script([MIA], resources.doh_addresses()), firewall.removal()):
        assert powershell.wrapped(made).isascii()


# ---- the firewall in force -------------------------------------------------------------------------------------------


def test_rules_are_put_once_and_taken_away_with_the_last_child(pc: Pc) -> None:
    assert pc.put(lane()) == nrpt.NOT_FILTERED
    assert len(pc.rules()) == 4
    pc.put(lane())
    assert len(pc.shell.scripts) == 1
    assert pc.put() == ""
    assert not pc.rules()
    assert pc.machine.value(RULES, "CoreNet-DNS-Out-UDP") is not None
    pc.put()
    assert len(pc.shell.scripts) == 2


def test_rules_of_a_service_that_ran_before_are_taken_away(pc: Pc) -> None:
    pc.put(lane())
    pc.lanes = pc.start()
    assert pc.put() == ""
    assert not pc.rules()


def test_a_pc_that_never_had_a_rule_never_starts_powershell(pc: Pc) -> None:
    pc.put()
    pc.put(FREE)
    assert not pc.shell.scripts


def test_a_powershell_that_does_nothing_is_not_believed(pc: Pc) -> None:
    wall = Firewall(pc.machine, lambda _: "")
    with pytest.raises(HostError, match="does not have them"):
        wall.put([MIA], DOH)
    assert wall.why and wall.troubles
    wall._run = pc.shell
    wall.put([MIA], DOH)
    assert not wall.why and not wall.troubles


def test_a_rule_that_somebody_changed_is_put_right_within_seconds_and_told(pc: Pc) -> None:
    pc.put(lane())
    pc.look()
    pc.lanes.take()
    name, rule = next(iter(pc.rules().items()))
    pc.machine.put(RULES, name, text(rule.replace("Block", "Allow")))
    assert pc.look()
    assert pc.rules()[name] == rule
    assert [(one.path, one.what, one.why) for one in pc.lanes.take()] == [("firewall rules", "changed", "")]
    pc.machine.drop(RULES, name)
    assert pc.look()
    assert name in pc.rules()


def test_rules_of_others_start_no_powershell(pc: Pc) -> None:
    pc.put(lane())
    pc.look()
    pc.machine.put(RULES, "Game", text("v2.31|Action=Allow|"))
    assert pc.look(), "something has changed there"
    assert not pc.look()
    assert len(pc.shell.scripts) == 1
    assert not pc.lanes.take()


def test_what_cannot_be_put_right_is_told_once_and_tried_each_minute(pc: Pc) -> None:
    pc.put(lane())
    pc.look()
    pc.shell.broken = "Windows says: no"
    pc.machine.drop(RULES, next(iter(pc.rules())))
    assert pc.look()
    assert [one.why for one in pc.lanes.take()] == ["Windows says: no"]
    assert pc.lanes.troubles
    for _ in range(25):
        pc.look()
    assert not pc.lanes.take()
    pc.shell.broken = ""
    for _ in range(25):
        pc.look()
    assert len(pc.rules()) == 4 and not pc.lanes.troubles


def test_a_firewall_that_is_off_is_named(pc: Pc) -> None:
    assert not list(pc.lanes.findings())
    pc.put(lane())
    pc.machine.put(rf"{firewall.POLICY}\PublicProfile", "EnableFirewall", number(0))
    pc.machine.put(rf"{firewall.POLICY}\StandardProfile", "EnableFirewall", number(1))
    (found,) = pc.lanes.findings()
    assert found.id == "firewall-off" and "PublicProfile" in found.title and "Standard" not in found.title


# ---- names -----------------------------------------------------------------------------------------------------------


def names(pc: Pc, *usual: str) -> Names:
    pc.machine.put(rf"{INTERFACES[0]}\{{1}}", "DhcpNameServer", text(" ".join(usual)))
    return pc.lanes.resolver(lambda: None)


def row(pc: Pc) -> Node | None:
    return pc.machine.node(rf"{TABLE}\{RULE}")


def test_it_stands_in_for_a_resolver(pc: Pc) -> None:
    found: Resolver = names(pc)
    assert found is pc.lanes.resolver(lambda: None)
    found.open()
    found.lists(Path("book"))
    found.answered(1, "refused")
    assert found.why == "" and found.served == ()


def test_the_familys_servers_are_asked_for_every_name_while_there_are_children(pc: Pc) -> None:
    before = pc.machine.node("SYSTEM")
    found = names(pc, "192.0.2.53")
    before = pc.machine.node("SYSTEM")
    found.serve([lane()], ("192.0.2.1", "[2001:db8::1]:53", "192.0.2.2:53"))
    made = row(pc)
    assert made is not None
    assert as_text(made.values["GenericDNSServers"]) == "192.0.2.1; 2001:db8::1; 192.0.2.2"
    assert made.values["Name"] == texts(["."]) and as_number(made.values["ConfigOptions"]) == 8
    assert pc.flushed == 1 and not found.troubles
    found.serve([], ("192.0.2.1",))
    assert same(pc.machine.node("SYSTEM"), before), "not even an empty table stays"
    assert pc.flushed == 2


def test_the_networks_own_servers_need_no_rule(pc: Pc) -> None:
    found = names(pc, "192.0.2.53", "192.0.2.54")
    found.serve([lane()], pc.lanes.name_servers())
    assert pc.lanes.name_servers() == ("192.0.2.53", "192.0.2.54")
    assert row(pc) is None


def test_a_table_that_was_there_stays_without_our_row(pc: Pc) -> None:
    pc.machine.put(rf"{TABLE}\{{theirs}}", "Name", texts([".corp.example"]))
    found = names(pc)
    before = pc.machine.node(TABLE)
    found.serve([lane()], ("192.0.2.1",))
    found.restore()
    assert same(pc.machine.node(TABLE), before)


def test_a_server_at_another_port_is_told_and_the_others_are_asked(pc: Pc) -> None:
    told: list[int] = []
    found = Names(pc.machine, tuple, lambda: None, lambda: told.append(1))
    found.serve([lane()], ("192.0.2.1:5353", "192.0.2.2"))
    assert [one.about for one in found.troubles] == ["192.0.2.1:5353"] and told == [1]
    made = row(pc)
    assert made is not None and as_text(made.values["GenericDNSServers"]) == "192.0.2.2"
    found.serve([lane()], ("192.0.2.1:5353",))
    assert row(pc) is None, "an empty rule would be none at all"


def test_a_group_policy_that_overrules_ours_is_told(pc: Pc) -> None:
    pc.machine.put(rf"{GROUP_POLICY}\{{x}}", "Name", texts(["."]))
    found = names(pc)
    found.serve([lane()], ("192.0.2.1",))
    assert ["group policy" in one.text for one in found.troubles] == [True]
    pc.machine.remove(GROUP_POLICY)
    found.look(3_000)
    assert not found.troubles


def test_a_row_that_somebody_changed_is_put_right(pc: Pc) -> None:
    found = names(pc)
    found.serve([lane()], ("192.0.2.1",))
    pc.machine.put(rf"{TABLE}\{RULE}", "GenericDNSServers", text("203.0.113.1"))
    pc.look()
    made = row(pc)
    assert made is not None and as_text(made.values["GenericDNSServers"]) == "192.0.2.1"


def test_a_registry_that_refuses_is_told(pc: Pc) -> None:
    found = names(pc)
    pc.machine.refuse.add("SYSTEM")
    found.serve([lane()], ("192.0.2.1",))
    assert ["cannot be set" in one.text for one in found.troubles] == [True]


def test_what_somebody_typed_comes_before_what_the_network_said(pc: Pc) -> None:
    pc.machine.put(rf"{INTERFACES[0]}\{{1}}", "DhcpNameServer", text("192.0.2.53"))
    pc.machine.put(rf"{INTERFACES[0]}\{{1}}", "NameServer", text("192.0.2.1,192.0.2.2"))
    pc.machine.put(rf"{INTERFACES[0]}\{{2}}", "DhcpNameServer", text("192.0.2.3 nonsense"))
    pc.machine.put(rf"{INTERFACES[1]}\{{1}}", "NameServer", text("2001:db8::1"))
    assert NameServers(pc.machine)() == ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")


# ---- all together ----------------------------------------------------------------------------------------------------


def test_each_child_has_its_own_rules_and_everybody_else_none(pc: Pc) -> None:
    assert pc.put(lane("mia"), FREE) == nrpt.NOT_FILTERED
    assert pc.users.there(rf"{MIA}\{POLICIES}\Google\Chrome")
    assert not pc.users.there(rf"{LEO}\{POLICIES}\Google\Chrome"), "a plan that closes nothing leaves browsers alone"
    assert all(MIA in rule and LEO not in rule for rule in pc.rules().values())


def test_an_account_that_appears_later_gets_its_rules(pc: Pc) -> None:
    del pc.sids["leo"]
    pc.put(lane("leo"))
    assert not pc.users.there(rf"{LEO}\{POLICIES}\Google")
    pc.sids["leo"] = LEO
    pc.lanes.refresh()
    assert pc.users.there(rf"{LEO}\{POLICIES}\Google\Chrome")


def test_what_fails_in_one_lane_holds_up_no_other(pc: Pc) -> None:
    pc.shell.broken = "Windows says: no"
    assert pc.put(lane()) == "Windows says: no"
    assert pc.users.there(rf"{MIA}\{POLICIES}\Google\Chrome")
    assert pc.lanes.troubles


def test_closing_the_service_leaves_everything_in_force(pc: Pc) -> None:
    pc.put(lane())
    pc.lanes.close()
    assert pc.rules() and pc.users.there(rf"{MIA}\{POLICIES}\Google\Chrome")


def test_taking_fairtime_away_puts_back_every_setting_also_of_who_is_not_logged_in(pc: Pc) -> None:
    users, machine = pc.users.node(""), pc.machine.node("")
    pc.put(lane("mia"), lane("leo"))
    names(pc)
    pc.machine.remove(INTERFACES[0])
    pc.lanes.resolver(lambda: None).serve([lane()], ("192.0.2.1",))
    away = pc.users._root.keys.pop(LEO.casefold())

    @contextlib.contextmanager
    def load(sid: str) -> Iterator[bool]:
        assert sid == LEO
        pc.users._root.keys[LEO.casefold()] = away
        yield True

    pc.start().restore(load)
    assert same(pc.users.node(""), users)
    pc.machine.remove(r"SYSTEM\CurrentControlSet\Services\Tcpip")
    assert same(pc.machine.node(""), machine)


def test_what_cannot_be_put_back_is_named(pc: Pc) -> None:
    pc.put(lane("leo"))
    del pc.users._root.keys[LEO.casefold()]

    @contextlib.contextmanager
    def load(sid: str) -> Iterator[bool]:
        yield False

    with pytest.raises(HostError, match=LEO):
        pc.lanes.restore(load)
