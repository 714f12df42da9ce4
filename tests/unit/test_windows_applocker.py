"""AppLocker's text: its shape, what it denies to whom, and that it never denies more than the service would block."""

from __future__ import annotations

import fnmatch
import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.floor import denies, floor
from agent.errors import HostError
from agent.model.floor import Denial, ProgramFloor, Trait
from agent.model.policy import Action
from agent.model.program import ProgramId
from agent.platforms.windows import applocker, images, powershell
from agent.platforms.windows.applocker import EVERYONE, Known, Places, Written
from agent.platforms.windows.images import Image
from tests.core.scene import MONDAY
from tests.core.test_floor import PERMITS, PROGRAMS, SHA, WRITTEN, child, permit, program

SCHEMA = xmlschema.XMLSchema(Path(__file__).parents[1] / "windows" / "applocker.xsd")
MIA, ANA = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1000"
HASHED = Image("x.exe", 7, "b" * 64)
FULL = {
    "Racer Inc": ["O=RACER INC, L=X, S=Y, C=US"],
    "Sums Ltd": ["O=SUMS LTD, L=X, C=GB"],
    "Big Corp": ["O=BIG CORP, C=US"],
    "Moon Org": ["O=MOON ORG, C=DE"],
}
KNOWN = Known(images={SHA: HASHED}, publishers=FULL)
PROGRAM_FILES = "C:\\Program Files\\"


def made(
    programs: str = "", unknown: Action = "block", *permits: str, known: Known = KNOWN, before: str = ""
) -> Written:
    rules = child(programs, unknown)
    below = floor(rules, rules.plan(MONDAY), [permit(one) for one in permits])
    found = applocker.policy([(below, [MIA])], before, known=known)
    SCHEMA.validate(found.xml)
    return found


class Box:
    """As much of Windows as judges a policy: a denial comes first, and a collection with a rule denies what none allows."""

    def __init__(self, xml: str) -> None:
        self.root = Tree.fromstring(xml)

    def lets(self, sid: str, one: ProgramId, collection: str = "Exe") -> bool:
        rules = next(
            (c for c in self.root if c.get("Type") == collection and c.get("EnforcementMode") == "Enabled"), None
        )
        if rules is None or not list(rules):
            return True
        fitting = [rule for rule in rules if rule.get("UserOrGroupSid") in (sid, EVERYONE) and self._fits(rule, one)]
        return bool(fitting) and all(rule.get("Action") == "Allow" for rule in fitting)

    def _fits(self, rule: Tree.Element, one: ProgramId) -> bool:
        conditions, exceptions = rule.find("Conditions"), rule.find("Exceptions")
        assert conditions is not None
        inside = all(self._has(condition, one) for condition in conditions)
        return inside and not any(self._has(exception, one) for exception in exceptions or ())

    def _has(self, condition: Tree.Element, one: ProgramId) -> bool:
        match condition.tag:
            case "FilePathCondition":
                places = {"%WINDIR%": ["C:\\Windows"], "%OSDRIVE%": ["C:"]}
                places["%PROGRAMFILES%"] = ["C:\\Program Files", "C:\\Program Files (x86)"]
                path = condition.get("Path", "")
                variable = path[: path.find("%", 1) + 1] if path.startswith("%") else ""
                patterns = [p + path[len(variable) :] for p in places[variable]] if variable else [path]
                return any(fnmatch.fnmatchcase(one.path.casefold(), p.casefold().replace("[", "[[]")) for p in patterns)
            case "FilePublisherCondition":
                if one.package:
                    return self._of(condition, "anybody", one.package.partition(":")[2])
                return any(self._of(condition, name, one.product) for name in FULL.get(one.signer, ()))
            case _:
                data = condition[0].get("Data", "")
                return one.sha256 == SHA and data == "0x" + HASHED.sha256.upper()

    @staticmethod
    def _of(condition: Tree.Element, publisher: str, product: str) -> bool:
        return condition.get("PublisherName") in ("*", publisher) and condition.get("ProductName") in (
            "*", product, product.upper(),
        )  # fmt: skip


# ---- what it denies --------------------------------------------------------------------------------------------------


def test_a_child_may_not_start_what_lies_where_a_child_writes_and_everybody_else_may() -> None:
    box = Box(made().xml)
    assert not box.lets(MIA, program())
    assert not box.lets(MIA, program(), "Script")
    assert box.lets(MIA, program(folder=PROGRAM_FILES))
    assert box.lets(MIA, program("notepad.exe", "C:\\Windows\\System32\\"))
    assert box.lets(ANA, program()) and box.lets("S-1-5-18", program())


@pytest.mark.parametrize("folder", ["Temp", "Tasks", "tracing", r"System32\spool\drivers\color", r"debug\WIA"])
def test_folders_of_windows_that_a_child_may_write_are_not_the_machines(folder: str) -> None:
    box = Box(made('{ signer = "Sums Ltd" }').xml)
    assert not box.lets(MIA, program("x.exe", f"C:\\Windows\\{folder}\\"))
    assert box.lets(ANA, program("x.exe", f"C:\\Windows\\{folder}\\"))
    assert box.lets(MIA, program("x.exe", f"C:\\Windows\\{folder}\\", signer="Sums Ltd")), (
        "what is allowed is, everywhere"
    )


def test_where_an_administrator_installed_programs_elsewhere_they_may_start() -> None:
    rules = child()
    below = floor(rules, rules.plan(MONDAY), [])
    found = applocker.policy([(below, [MIA])], places=Places(others=("D:\\Choco",)))
    SCHEMA.validate(found.xml)
    assert Box(found.xml).lets(MIA, program("x.exe", "D:\\Choco\\bin\\"))
    assert not Box(found.xml).lets(MIA, program("x.exe", "D:\\"))


def test_what_is_allowed_by_more_than_a_name_may_start_from_anywhere() -> None:
    box = Box(made(f'{{ program = "sums" }}, {{ sha256 = "{SHA}" }}, {{ signer = "Racer Inc" }}').xml)
    assert box.lets(MIA, program("renamed.exe", signer="Sums Ltd", product="Sums"))
    assert box.lets(MIA, program("y.exe", sha256=SHA))
    assert box.lets(MIA, program("y.exe", signer="Racer Inc"))


def test_a_blocked_program_is_denied_under_its_name_and_by_its_signature_wherever_it_lies() -> None:
    box = Box(made('{ program = "sums", action = "block" }', "allow").xml)
    assert not box.lets(MIA, program("SUMS.exe", PROGRAM_FILES))
    assert not box.lets(MIA, program("renamed.exe", signer="Sums Ltd", product="Sums"))
    assert box.lets(MIA, program("renamed.exe", signer="Sums Ltd", product="More"))
    assert box.lets(ANA, program("sums.exe", PROGRAM_FILES))
    assert box.lets(MIA, program())


def test_a_browser_without_rules_is_denied_where_sites_are_closed() -> None:
    for sites, starts in (("allow-list", False), ("block-list", True)):
        rules = child("", "allow", sites)  # type: ignore[arg-type]  # both are modes
        found = applocker.policy([(floor(rules, rules.plan(MONDAY), ()), [MIA])], "", known=KNOWN)
        SCHEMA.validate(found.xml)
        box = Box(found.xml)
        for folder in (PROGRAM_FILES, "D:\\"):
            assert box.lets(MIA, program("moon.exe", folder)) is starts
            assert box.lets(MIA, program("blaze.exe", folder)) and box.lets(ANA, program("moon.exe", folder))
        assert box.lets(MIA, program("moon.exe", package="appx:Moon.App"), "Appx") is starts


def test_an_app_of_the_shop_is_denied_and_all_others_may_start() -> None:
    box = Box(made('{ program = "craft", action = "block" }', "allow").xml)
    assert not box.lets(MIA, program(package="appx:Big.Craft"), "Appx")
    assert box.lets(MIA, program(package="appx:Other"), "Appx")
    assert box.lets(ANA, program(package="appx:Big.Craft"), "Appx")


def test_a_path_is_written_with_applockers_own_names_for_places() -> None:
    places = (
        "c:\\windows\\notes.exe",
        "C:\\Program Files (x86)\\Games\\",
        "C:\\Games\\",
        "D:\\a.exe",
        r"\\nas\x\y.exe",
    )
    rules = ", ".join(f"{{ path = '{place}', action = 'block' }}" for place in places)
    root = Tree.fromstring(made(rules, "allow").xml)
    deny = {rule[0][0].get("Path") for rule in root[0] if rule.get("Action") == "Deny"}
    assert deny == {
        r"%WINDIR%\notes.exe", r"%PROGRAMFILES%\Games\*", r"%OSDRIVE%\Games\*", r"D:\a.exe", r"\\nas\x\y.exe",
    }  # fmt: skip


def test_what_is_no_path_or_name_of_windows_is_left_out() -> None:
    rules = "{ path = '/usr/bin/x', action = 'block' }, { name = 'a*b', action = 'block' }"
    assert not made(rules, "allow").ids


def test_nothing_to_deny_configures_nothing() -> None:
    found = made(unknown="ask")
    assert not found.ids and not applocker.has_ours(found.xml)
    assert {one.get("EnforcementMode") for one in Tree.fromstring(found.xml)} == {"NotConfigured"}


# ---- what cannot be written ------------------------------------------------------------------------------------------


def test_a_file_that_is_allowed_and_was_never_seen_keeps_the_denial_out_and_is_told() -> None:
    found = made(f'{{ sha256 = "{SHA}" }}', known=Known())
    assert not found.ids
    assert len(found.left) == 1 and "mia/unknown-programs" in found.left[0]


def test_a_signer_whose_certificate_was_never_seen_is_told() -> None:
    found = made('{ signer = "Sums Ltd", action = "block" }', "allow", known=Known())
    assert not found.ids and "Sums Ltd" in found.left[0]


def test_a_denial_by_hash_gives_way_to_a_permission() -> None:
    """A hash rule of AppLocker's takes no exceptions."""
    rule = f'{{ sha256 = "{SHA}", action = "block" }}'
    box = Box(made(rule, "allow").xml)
    assert not box.lets(MIA, program(sha256=SHA))
    given = made(rule, "allow", "path:C:\\Program Files\\x.exe")
    assert not given.ids and given.left


@settings(max_examples=150)
@given(
    st.lists(WRITTEN, max_size=5), st.sampled_from(["block", "ask", "allow"]), st.lists(PERMITS, max_size=2),
    st.lists(PROGRAMS, min_size=1, max_size=12), st.sampled_from([KNOWN, Known()]),
)  # fmt: skip
def test_it_never_denies_more_than_the_floor_and_never_anything_to_anybody_else(
    written: list[str], unknown: Action, permits: Sequence[str], programs: list[ProgramId], known: Known
) -> None:
    rules = child(", ".join(written), unknown)
    below = floor(rules, rules.plan(MONDAY), [permit(one) for one in permits])
    found = applocker.policy([(below, [MIA])], known=known)
    SCHEMA.validate(found.xml)
    box = Box(found.xml)
    for one in programs:
        collection = "Appx" if one.package else "Exe"
        assert box.lets(ANA, one, collection)
        if not box.lets(MIA, one, collection):
            assert denies(below, one), one
        elif one.name == "x.exe" and not (one.signer or one.package or found.left):
            assert not denies(below, one), "nothing about this one needs to be guessed"


# ---- others' rules, and taking ours away -----------------------------------------------------------------------------

THEIRS = """
<AppLockerPolicy Version="1">
  <RuleCollection Type="Exe" EnforcementMode="{mode}">
    <FilePathRule Id="921cc481-6e17-4653-8f75-050b80acca20" Name="Program Files sch&#246;n" Description=""
        UserOrGroupSid="S-1-1-0" Action="Allow">
      <Conditions><FilePathCondition Path="%PROGRAMFILES%\\*"/></Conditions>
    </FilePathRule>
  </RuleCollection>
  <RuleCollection Type="Dll" EnforcementMode="NotConfigured"/>
</AppLockerPolicy>"""


def same(one: str, other: str) -> bool:
    def rows(text: str) -> Iterator[object]:
        for collection in Tree.fromstring(text):
            if list(collection) or collection.get("EnforcementMode") != "NotConfigured":
                yield Tree.canonicalize(Tree.tostring(collection), strip_text=True)

    return list(rows(one)) == list(rows(other))


def test_rules_of_others_that_close_stay_as_strict_as_they_were() -> None:
    before = THEIRS.format(mode="Enabled")
    found = made(before=before)
    box = Box(found.xml)
    assert not box.lets(ANA, program()), "our rule for everybody would open their list"
    assert box.lets(ANA, program(folder=PROGRAM_FILES))
    assert not box.lets(MIA, program())
    assert same(applocker.without(found.xml), before)


def test_rules_of_others_that_only_count_are_not_made_to_close() -> None:
    before = THEIRS.format(mode="AuditOnly")
    found = made(before=before)
    assert [one for one in found.left if "only count" in one]
    assert Tree.fromstring(found.xml)[0].get("EnforcementMode") == "AuditOnly"
    assert not Box(found.xml).lets(MIA, program(), "Script"), "another collection is free for ours"
    assert same(applocker.without(found.xml), before)


def test_new_rules_take_the_place_of_the_old_ones() -> None:
    first = made('{ program = "sums", action = "block" }', "allow")
    second = made('{ program = "chess", action = "block" }', "allow", before=first.xml)
    assert second.xml == made('{ program = "chess", action = "block" }', "allow").xml
    assert applocker.without(second.xml) == applocker.without("")
    assert applocker.has_ours(second.xml) and not applocker.has_ours(applocker.without(second.xml))


def test_the_same_rules_are_the_same_text() -> None:
    assert made().xml == made(before=made().xml).xml


@pytest.mark.parametrize("text", ["<a/>", "no xml", "<AppLockerPolicy", "\0"])
def test_a_policy_that_makes_no_sense_is_left_alone(text: str) -> None:
    with pytest.raises(HostError):
        applocker.policy((), text)


def test_every_text_goes_through_a_script_as_it_is() -> None:
    odd = ProgramFloor(
        child="mïa", accounts=("mia",),
        denials=(Denial(rule="mïa/“it's”", traits=(Trait(kind="name", value="schön 'x'.exe"),)),),
    )  # fmt: skip
    found = applocker.policy([(odd, [MIA])])
    SCHEMA.validate(found.xml)
    assert powershell.wrapped(powershell.block(found.xml)).isascii()
    assert "schön 'x'.exe" in (Tree.fromstring(found.xml)[0][1][0][0].get("Path") or "")


# ---- the hash of an executable ---------------------------------------------------------------------------------------


def pe(magic: int = 0x20B, directories: int = 16, signature: bytes = b"", length: int = 1024) -> bytearray:
    data = bytearray(b"\x5a" * length)
    data[:2] = b"MZ"
    struct.pack_into("<I", data, 0x3C, 0x80)
    data[0x80:0x84] = b"PE\0\0"
    optional = 0x80 + 24
    struct.pack_into("<H", data, optional, magic)
    table = optional + (96 if magic == 0x10B else 112)
    struct.pack_into("<I", data, table - 4, directories)
    if directories > 4:
        struct.pack_into("<II", data, table + 32, length if signature else 0, len(signature))
    return data + signature


@pytest.mark.parametrize("magic", [0x10B, 0x20B])
def test_signing_changes_nothing(magic: int) -> None:
    plain = images.pe_hash(bytes(pe(magic)))
    assert len(plain) == 64
    signed = pe(magic, signature=b"signature")
    struct.pack_into("<I", signed, 0x80 + 24 + 64, 12345)  # the checksum
    assert images.pe_hash(bytes(signed)) == plain
    other = pe(magic)
    other[900] ^= 1
    assert images.pe_hash(bytes(other)) != plain


def test_a_file_is_filled_up_to_where_a_signature_would_begin() -> None:
    assert images.pe_hash(bytes(pe(length=1021))) == images.pe_hash(bytes(pe(length=1021) + b"\0\0\0"))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"MZ", b"#!/bin/sh\n", bytes(pe())[:100], bytes(pe(magic=7)), b"MZ" + b"\xff" * 100,
        bytes(pe(signature=b"x" * 8))[:-4],
    ],
)  # fmt: skip
def test_what_is_no_image_has_no_such_hash(data: bytes) -> None:
    assert images.pe_hash(data) == ""


def test_a_script_is_known_by_its_whole_content(tmp_path: Path) -> None:
    script = tmp_path / "a.ps1"
    script.write_bytes(b"Get-Date")
    flat = hashlib.sha256(b"Get-Date").hexdigest()
    assert images.image(script) == (flat, Image("a.ps1", 8, flat))
    empty = tmp_path / "empty"
    empty.touch()
    assert images.image(empty) is None
    with pytest.raises(OSError, match="nothing"):
        images.image(tmp_path / "nothing")


def test_an_executable_is_known_by_its_image(tmp_path: Path) -> None:
    program_ = tmp_path / "a.exe"
    program_.write_bytes(bytes(pe(signature=b"x" * 16)))
    found = images.image(program_)
    assert found is not None
    assert found == (
        hashlib.sha256(bytes(pe(signature=b"x" * 16))).hexdigest(),
        Image("a.exe", 1040, images.pe_hash(bytes(pe()))),
    )
