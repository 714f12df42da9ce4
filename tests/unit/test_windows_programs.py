"""AppLocker's policy in force: put, looked after, taken away again; and what its events say."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from xml.etree import ElementTree as Tree

import pytest

from agent.errors import HostError
from agent.model.floor import Denial, ProgramFloor, Trait
from agent.platforms.windows import appevents, applocker, programs
from agent.platforms.windows.appevents import denied, unfolded
from agent.platforms.windows.applocker import Known, Places
from agent.platforms.windows.hive import same
from agent.platforms.windows.keeping import OURS
from agent.platforms.windows.programs import POLICY, SERVICE, Programs, script
from agent.platforms.windows.values import as_number, number, text
from tests.hives import Memory

MIA = "S-1-5-21-1-2-3-1001"
GAME = Trait(kind="name", value="game.exe")


def floor(*traits: Trait) -> ProgramFloor:
    return ProgramFloor(child="mia", accounts=("mia",), denials=(Denial(rule="mia/x", traits=traits or (GAME,)),))


NOTHING = ProgramFloor(child="mia", accounts=("mia",))


class Windows:
    """As much of Windows as our scripts use: the policy, its mirror in the registry, and the service's start."""

    def __init__(self) -> None:
        self.machine = Memory()
        self.machine.make("SOFTWARE")
        self.machine.put(SERVICE, "Start", number(3))
        self.xml = '<AppLockerPolicy Version="1" />'
        self.scripts: list[str] = []
        self.broken = ""
        self.deaf = False

    def __call__(self, said: str) -> str:
        self.scripts.append(said)
        if self.broken:
            raise HostError(self.broken, "again")
        start = re.search(r"AppIDSvc start= (\w+)", said)
        if start is not None and not self.deaf:
            lines = re.findall(r"^'(.*)'[,)]", said, re.M)
            self.xml = "\n".join(line.replace("''", "'") for line in lines)
            self.machine.put(SERVICE, "Start", number({"auto": 2, "demand": 3, "disabled": 4}[start[1]]))
            self.machine.remove(POLICY)
            for collection in Tree.fromstring(self.xml):
                for rule in collection:
                    key = rf"{POLICY}\{collection.get('Type')}\{rule.get('Id')}"
                    self.machine.put(key, "Value", text(Tree.tostring(rule, encoding="unicode")))
        return self.xml

    @property
    def writes(self) -> int:
        return sum("Set-AppLockerPolicy" in one for one in self.scripts)


class Pc:
    def __init__(self) -> None:
        self.windows = Windows()
        self.sids = {"mia": MIA}
        self.known = Known()
        self.now = 0
        self.programs = self.start()

    def start(self) -> Programs:
        def known(_: Collection[ProgramFloor]) -> Known:
            return self.known

        return Programs(self.windows.machine, self.windows, self.sids.get, known, Places)

    def minute(self) -> None:
        self.now += 60_001
        if self.programs.look(self.now):
            self.programs.mend(self.now)

    def told(self) -> Sequence[tuple[str, str]]:
        return [(one.what, one.why) for one in self.programs.take()]


@pytest.fixture
def pc() -> Pc:
    return Pc()


def test_what_is_denied_is_put_once_and_its_service_started(pc: Pc) -> None:
    assert pc.programs.why
    pc.programs.put([floor()])
    pc.programs.put([floor()])
    pc.programs.refresh()
    assert pc.windows.writes == 1 and MIA in pc.windows.xml
    assert as_number(pc.windows.machine.value(SERVICE, "Start")) == 2
    assert "Start-Service AppIDSvc" in pc.windows.scripts[-1]
    assert not pc.programs.why and not pc.programs.troubles


def test_nothing_to_deny_starts_no_powershell(pc: Pc) -> None:
    pc.programs.put([NOTHING])
    pc.programs.put([])
    pc.programs.restore()
    assert not pc.windows.scripts
    assert "no program" not in pc.programs.why.lower() and pc.programs.why


def test_an_account_that_is_not_there_is_left_out(pc: Pc) -> None:
    pc.sids.clear()
    pc.programs.put([floor()])
    assert not pc.windows.scripts
    pc.sids["mia"] = MIA
    pc.programs.refresh()
    assert MIA in pc.windows.xml


def test_what_becomes_known_of_a_program_is_written(pc: Pc) -> None:
    pc.programs.put([floor(Trait(kind="signer", value="Sums Ltd"))])
    assert [one.id for one in pc.programs.findings()] == ["programs-after-start"]
    pc.known = Known(publishers={"Sums Ltd": ("O=SUMS LTD, C=GB",)})
    pc.programs.refresh()
    assert "O=SUMS LTD, C=GB" in pc.windows.xml and not pc.programs.findings()


def test_taking_away_leaves_everything_as_it_was(pc: Pc) -> None:
    before, xml = pc.windows.machine.node(""), pc.windows.xml
    pc.programs.put([floor()])
    pc.programs = pc.start()  # after a restart, maybe of another version
    pc.programs.restore()
    assert applocker.without(pc.windows.xml) == applocker.without(xml)
    assert not applocker.has_ours(pc.windows.xml)
    pc.windows.machine.remove(POLICY)
    pc.windows.machine.remove(POLICY.rpartition("\\")[0])
    assert as_number(pc.windows.machine.value(SERVICE, "Start")) == 3
    assert not pc.windows.machine.there(OURS)
    after = pc.windows.machine.node("SYSTEM")
    assert before is not None and same(after, before.keys["SYSTEM"])


def test_the_last_denial_that_goes_takes_the_service_with_it(pc: Pc) -> None:
    pc.windows.machine.put(SERVICE, "Start", number(4))
    pc.programs.put([floor()])
    pc.programs.put([NOTHING])
    assert as_number(pc.windows.machine.value(SERVICE, "Start")) == 4
    assert not applocker.has_ours(pc.windows.xml)


def test_a_windows_that_only_says_yes_is_not_believed(pc: Pc) -> None:
    pc.windows.deaf = True
    with pytest.raises(HostError, match="does not have them"):
        pc.programs.put([floor()])
    assert pc.programs.troubles and "does not have them" in pc.programs.why
    pc.windows.deaf = False
    pc.minute()
    assert MIA in pc.windows.xml and not pc.programs.troubles


def test_rules_that_go_missing_are_put_back_within_a_minute_and_told(pc: Pc) -> None:
    pc.programs.put([floor()])
    pc.minute()
    assert pc.windows.writes == 1 and not pc.told()
    pc.windows.machine.remove(rf"{POLICY}\Exe")
    pc.minute()
    assert pc.windows.writes == 2 and pc.told() == [("changed", "")]
    pc.windows.machine.put(SERVICE, "Start", number(4))
    pc.minute()
    assert as_number(pc.windows.machine.value(SERVICE, "Start")) == 2 and pc.told() == [("changed", "")]


def test_what_cannot_be_put_right_is_told_and_tried_again(pc: Pc) -> None:
    pc.programs.put([floor()])
    pc.windows.machine.remove(rf"{POLICY}\Exe")
    pc.windows.broken = "Windows says: no"
    pc.minute()
    assert pc.told() == [("changed", "Windows says: no")] and pc.programs.troubles
    pc.windows.broken = ""
    pc.minute()
    assert not pc.programs.troubles


def test_a_policy_that_makes_no_sense_is_left_alone(pc: Pc) -> None:
    pc.windows.xml = "<broken"
    with pytest.raises(HostError, match="understood"):
        pc.programs.put([floor()])
    assert pc.windows.writes == 0


def test_the_script_says_all_and_in_ascii() -> None:
    made = script(applocker.policy([(floor(Trait(kind="name", value="schön.exe")), [MIA])]).xml, "auto")
    assert made.isascii() and "sc.exe config AppIDSvc start= auto" in made
    assert "Start-Service" not in script("<AppLockerPolicy/>", "demand")
    assert made.splitlines()[-1] == "Get-AppLockerPolicy -Local -Xml", "what Windows has then is read back"
    assert programs.NAME


# ---- events ----------------------------------------------------------------------------------------------------------

VARIABLES = {"%OSDRIVE%": "C:", "%WINDIR%": r"C:\Windows", "%PROGRAMFILES%": r"C:\Program Files"}


def event(
    number: int = 8004, sid: str = MIA, path: str = r"%OSDRIVE%\USERS\MIA\GAME.EXE", pid: str = "5312", rule: str = "-"
) -> str:
    return f"""<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>
    <Provider Name='Microsoft-Windows-AppLocker' Guid='{{cbda4dbf-8d5d-4f69-9578-be14aa540d22}}'/><EventID>{number}</EventID>
    <Channel>Microsoft-Windows-AppLocker/EXE and DLL</Channel></System><UserData>
    <RuleAndFileData xmlns='http://schemas.microsoft.com/schemas/event/Microsoft.Windows/1.0.0.0'>
    <PolicyName>EXE</PolicyName><RuleId>{{00000000-0000-0000-0000-000000000000}}</RuleId><RuleName>{rule}</RuleName>
    <TargetUser>{sid}</TargetUser><TargetProcessId>{pid}</TargetProcessId><FilePath>{path}</FilePath><Fqbn>-</Fqbn>
    </RuleAndFileData></UserData></Event>"""


def test_an_event_tells_who_wanted_to_start_what() -> None:
    found = denied(event(rule="Fairtime: mia/x"), VARIABLES)
    assert found == appevents.Denied(MIA, r"C:\USERS\MIA\GAME.EXE", 5312, "Fairtime: mia/x")
    assert denied(event(8007), VARIABLES) == appevents.Denied(MIA, r"C:\USERS\MIA\GAME.EXE", 5312, "")


@pytest.mark.parametrize(
    "said",
    [
        event(8002), event(sid=""), event(path=""), event(pid="x"), event(pid="²"), "", "<Event/>", "no xml",
        "<!DOCTYPE x []>" + event(), event(path="x" * 70_000),
    ],
)  # fmt: skip
def test_what_is_no_denial_or_makes_no_sense_is_none(said: str) -> None:
    assert denied(said, VARIABLES) is None


def test_applockers_names_for_places_are_filled_in() -> None:
    assert unfolded(r"%windir%\Temp\x.exe", VARIABLES) == r"C:\Windows\Temp\x.exe"
    assert unfolded(r"D:\x.exe", VARIABLES) == r"D:\x.exe"
    assert unfolded(r"%REMOVABLE%\x.exe", VARIABLES) == r"%REMOVABLE%\x.exe"
