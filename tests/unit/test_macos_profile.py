"""The configuration profile: what is in it for each browser, and when it counts as installed."""

from __future__ import annotations

import plistlib
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("writes files with POSIX modes", allow_module_level=True)

from agent.errors import HostError
from agent.model.site import GroupRule, HostRule, SiteLane, SitePlan
from agent.platforms.macos import profiles
from agent.platforms.macos.commands import Told
from agent.platforms.macos.profile import DNS, DOMAINS, FIREFOX, RESTRICTIONS, SAFARI, EncryptedDns, profile, standing
from agent.platforms.macos.profiles import SHOW, SiteProfiles
from tests.contract.mac_double import MacDouble, recorded

BLOCK_LIST = SitePlan(
    child="mia", hosts=(HostRule(host="game.example", action="block", rule="games"),), otherwise="allow"
)
ALLOW_LIST = SitePlan(
    child="mia",
    always=("help.example",),
    hosts=(HostRule(host="school.example", action="allow", rule="school"),),
    otherwise="block",
)


def payloads(plan: SitePlan, dns: EncryptedDns | None = None) -> dict[str, dict[str, Any]]:
    whole = plistlib.loads(profile("mia", plan, dns=dns).data)
    return {one["PayloadType"]: one for one in whole["PayloadContent"]}


def test_a_profile_is_for_one_account_and_a_person_must_allow_its_removal() -> None:
    whole = plistlib.loads(profile("mia", BLOCK_LIST).data)
    assert whole["PayloadScope"] == "User" and whole["PayloadRemovalDisallowed"] is True
    assert whole["PayloadType"] == "Configuration" and whole["PayloadIdentifier"] == "org.fairtime.sites.mia"
    parts = whole["PayloadContent"]
    assert {one["PayloadType"] for one in parts} == {*DOMAINS, FIREFOX, SAFARI, RESTRICTIONS}
    for key in ("PayloadUUID", "PayloadIdentifier"):
        assert len({one[key] for one in (*parts, whole)}) == len(parts) + 1


def test_the_same_rules_make_the_same_file_and_others_another() -> None:
    assert profile("mia", BLOCK_LIST) == profile("mia", BLOCK_LIST)
    assert profile("mia", BLOCK_LIST).uuid != profile("mia", ALLOW_LIST).uuid
    assert profile("mia", BLOCK_LIST).uuid != profile("tom", BLOCK_LIST).uuid


def test_browsers_get_the_rules_of_every_other_system() -> None:
    found = payloads(BLOCK_LIST)
    for domain in DOMAINS:
        assert "game.example" in found[domain]["URLBlocklist"] and found[domain]["DnsOverHttpsMode"] == "off"
    assert found["com.microsoft.Edge"]["InPrivateModeAvailability"] == 1
    assert found[FIREFOX]["EnterprisePoliciesEnabled"] is True
    assert "*://*.game.example/*" in found[FIREFOX]["WebsiteFilter"]["Block"]
    assert found[RESTRICTIONS]["allowCloudPrivateRelay"] is False


def test_safari_has_the_allow_list_and_nothing_else() -> None:
    rules = payloads(ALLOW_LIST)[SAFARI]
    assert rules["restrictWeb"] and rules["allowListEnabled"] and rules["whitelistEnabled"]
    assert {one["address"] for one in rules["siteAllowList"]} == {
        "https://help.example", "http://help.example", "https://school.example", "http://school.example",
    }  # fmt: skip
    assert rules["siteAllowList"] == rules["siteWhitelist"]


def test_safari_has_the_block_list_besides_apples_filter() -> None:
    rules = payloads(BLOCK_LIST)[SAFARI]
    assert rules["useContentFilter"] and not rules["allowListEnabled"]
    assert rules["filterDenyList"] == ["https://game.example", "http://game.example"] == rules["filterBlacklist"]


def test_what_closes_nothing_restricts_nothing() -> None:
    assert payloads(SitePlan(child="mia", otherwise="allow", safe_search=False))[SAFARI]["restrictWeb"] is False


def test_minutes_are_no_reason_for_a_new_profile() -> None:
    def plan(action: Any) -> SitePlan:
        return SitePlan(
            child="mia", otherwise="allow", watched=("video", "funny"),
            hosts=(HostRule(host="video.example", action=action, rule="video", reason="used up"),),
            groups=(GroupRule(group="funny", action=action, rule="funny"),),
        )  # fmt: skip

    assert {rule.action for rule in (*standing(plan("block")).hosts, *standing(plan("block")).groups)} == {"allow"}
    blocked, opened = payloads(plan("block")), payloads(plan("allow"))
    assert "video.example" not in blocked["com.google.Chrome"]["URLBlocklist"]
    assert blocked["com.google.Chrome"]["URLBlocklist"] == opened["com.google.Chrome"]["URLBlocklist"]


@pytest.mark.parametrize(
    ("dns", "key"),
    [
        (EncryptedDns("HTTPS", "https://dns.example/q", ("192.0.2.1",)), "ServerURL"),
        (EncryptedDns("TLS", "dns.example"), "ServerName"),
    ],
)
def test_a_name_server_is_told_as_macos_takes_it(dns: EncryptedDns, key: str) -> None:
    assert DNS not in payloads(BLOCK_LIST)
    told = payloads(BLOCK_LIST, dns)[DNS]
    assert told["ProhibitDisablement"] is True
    assert told["DNSSettings"]["DNSProtocol"] == dns.protocol and told["DNSSettings"][key] == dns.server
    assert told["DNSSettings"].get("ServerAddresses", []) == list(dns.addresses)


LANE = SiteLane(plan=BLOCK_LIST, accounts=("mia",), dns_port=0, page_port=0)


def test_it_counts_when_the_very_profile_is_installed(tmp_path: Path) -> None:
    double = MacDouble()
    double.said[SHOW] = Told(0, plistlib.dumps({}))
    lanes = SiteProfiles(double, tmp_path)
    with pytest.raises(HostError, match="names of sites"):
        lanes.put((LANE,))
    assert "not installed for mia" in lanes.browsers_why
    one = profile("mia", BLOCK_LIST)
    assert (tmp_path / "mia.mobileconfig").read_bytes() == one.data
    told = recorded("profiles.plist")
    double.said[SHOW] = Told(0, told.replace(b"@uuid@", one.uuid.encode()))
    assert lanes.due(60_000)
    lanes.look(60_000)
    assert lanes.browsers_why == ""
    double.said[SHOW] = Told(0, told.replace(b"@uuid@", profile("mia", ALLOW_LIST).uuid.encode()))
    lanes.look(120_000)
    assert "not installed for mia" in lanes.browsers_why, "an older one does not hold the rules of today"


def test_without_children_nothing_is_asked_or_claimed(tmp_path: Path) -> None:
    double = MacDouble()
    lanes = SiteProfiles(double, tmp_path)
    lanes.put(())
    assert lanes.browsers_why and not lanes.due(10**9) and double.asked == [] and list(tmp_path.iterdir()) == []


def test_profiles_that_cannot_be_asked_for_are_no_protection(tmp_path: Path) -> None:
    double = MacDouble()
    double.said[SHOW] = Told(1, b"profiles: this command requires root privileges")
    lanes = SiteProfiles(double, tmp_path)
    with pytest.raises(HostError):
        lanes.put((LANE,))
    assert "no property list" in lanes.browsers_why


def test_an_odd_name_stays_in_the_folder(tmp_path: Path) -> None:
    double = MacDouble()
    double.said[SHOW] = Told(0, plistlib.dumps({}))
    lane = SiteLane(plan=BLOCK_LIST, accounts=("../Mädchen name",), dns_port=0, page_port=0)
    with pytest.raises(HostError):
        SiteProfiles(double, tmp_path / "profiles").put((lane,))
    assert [path.parent.name for path in tmp_path.rglob("*.mobileconfig")] == ["profiles"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be written"):
        SiteProfiles(MacDouble(), tmp_path / "file" / "below").put((LANE,))
    assert profiles.FOLDER.is_absolute()
