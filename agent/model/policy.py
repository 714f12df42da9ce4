"""The policy as a guardian writes it: ``family.toml``, and the same shape as the signed payload.

Durations are strings such as ``"1h30m"``, ``"45m"``, ``"60s"``; hours of the day are ``"HH:MM-HH:MM"`` (``24:00`` ends a
day; an end before its start runs over midnight).  Days are keys: ``mon`` … ``sun``, ``schooldays`` (mon–fri),
``weekend`` (sat, sun), ``all``; the most specific key wins (day, then schooldays/weekend, then all).

``Limits`` is a layer: a field that is absent (``None``) is taken from the layer below: profile in force → child → preset.
``core.family`` merges and checks; ``core.rules`` compiles this into numbers.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from agent.model.site import SiteAction, YouTube

FORMAT = 1
PAYLOAD_TYPE = "application/vnd.fairtime.policy+json;version=1"

Duration = Annotated[str, Meta(pattern=r"^(?=.)(\d{1,4}h)?(\d{1,5}m)?(\d{1,6}s)?$", description='such as "1h30m"')]
Hours = Annotated[str, Meta(pattern=r"^\d{2}:\d{2}-\d{2}:\d{2}$", description='such as "15:00-18:30"')]
TimeOfDay = Annotated[str, Meta(pattern=r"^\d{2}:\d{2}$", description='such as "03:00"')]
Name = Annotated[str, Meta(min_length=1, max_length=80)]
AccountName = Annotated[str, Meta(min_length=1, max_length=256, description="an account of the operating system")]
Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "schooldays", "weekend", "all"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Preset = Literal["early", "junior", "preteen", "teen", "older"]
Action = Literal["allow", "inform", "warn", "ask", "block"]
Ending = Literal["lock", "logout", "freeze"]
ByDay = dict[Day, Duration]
HoursByDay = dict[Day, list[Hours]]


class _Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Unknown keys are errors: a misspelt limit must not be a missing one."""


class ProgramRule(_Closed, frozen=True, kw_only=True):
    """What one program, or one group of them, may do.  Exactly one identity field is given.

    Precedence is by identity, most specific first: sha256, signer, package, path, group; ``program`` (a catalogue id)
    stands for the packages, signers and paths that the catalogue knows.  ``name`` (a bare file name) may warn, ask, block
    or limit, never allow: anything can be renamed.
    """

    id: Name | None = None
    program: Name | None = None
    group: Name | None = None
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    signer: Name | None = None
    package: Name | None = None
    path: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    name: Name | None = None
    action: Action = "allow"
    budget: ByDay | None = None
    week: Duration | None = None
    hours: HoursByDay | None = None
    counts: bool | None = None
    """False: time in this program does not count (learning); True: counts under ``count = "listed"``."""
    reason: Annotated[str, Meta(max_length=200)] | None = None


class SiteRule(_Closed, frozen=True, kw_only=True):
    """What one host and all below it, or one group of hosts, may do.  Exactly one of ``host`` and ``group`` is given.

    A group is one of the family's own (``site_groups``), or what a list brings: one that comes with Fairtime, or one that was
    handed in with ``fairtime lists``.  The most specific name decides, whoever wrote it; on a tie a rule of a host comes
    before an own group and that before a list, and block before ask before allow.
    """

    id: Name | None = None
    host: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    group: Name | None = None
    action: SiteAction = "allow"
    budget: ByDay | None = None
    """Minutes a day; then it is closed until the next."""
    hours: HoursByDay | None = None
    reason: Annotated[str, Meta(max_length=200)] | None = None


class SiteRules(_Closed, frozen=True, kw_only=True):
    """Which hosts a child may visit.  A host covers its sub-hosts; help lines are always allowed.

    What is absent is as the layer below says (the preset's, for one): ``allow = ["example.org"]`` alone opens one host more.
    Where no layer says it, ``mode`` is ``block-list`` and ``safe_search`` true.
    """

    mode: Literal["allow-list", "block-list", "ask"] | None = None
    """About what no rule names: it is closed, open, or opened by asking."""
    allow: list[Name] | None = None
    """Hosts to open; short for rules that say no more than that, as is ``block``."""
    block: list[Name] | None = None
    rules: list[SiteRule] | None = None
    safe_search: bool | None = None
    youtube: YouTube | None = None
    """YouTube's own restricted mode; where no layer says it, it is moderate with ``safe_search`` and off without."""


class Break(_Closed, frozen=True, kw_only=True):
    """After ``after`` of use without a rest, ``rest`` away from the screen."""

    after: Duration
    rest: Duration


class Limits(_Closed, frozen=True, kw_only=True):
    """A layer of limits; ``None`` means: as the layer below says.  An empty dict means: no such limit."""

    windows: HoursByDay | None = None
    free: HoursByDay | None = None
    """Hours in which use is allowed and does not count."""
    budget: ByDay | None = None
    week: Duration | None = None
    month: Duration | None = None
    save_up_to: Duration | None = None
    """Unused minutes of a day carry over to the next, at most this much."""
    breaks: Break | None = None
    count: Literal["all", "listed"] | None = None
    learning_after: bool | None = None
    """When the minutes are used up, programs that do not count stay usable and only the others are stopped."""
    mode: Literal["inform", "warn", "block"] | None = None
    """What happens at time-up: only tell, tell again and again, or end the session."""
    ending: Ending | None = None
    notices: list[Duration] | None = None
    grace: Duration | None = None
    grant_ceiling: Duration | None = None
    """The most extra time that grants may add on one day."""
    unknown_programs: Action | None = None
    answer_within: Duration | None = None
    """How long a program that must be asked for stands still for a guardian's answer before it is closed (5m when absent;
    "0s": it is closed at once, and asked for)."""
    programs: list[ProgramRule] | None = None
    sites: SiteRules | None = None


class Child(_Closed, frozen=True, kw_only=True):
    name: Name
    accounts: Annotated[list[AccountName], Meta(min_length=1, max_length=8)]
    preset: Preset
    limits: Limits = Limits()
    summary_detail: Literal["programs", "groups", "totals"] | None = None
    """What the summary shows, for guardian and child alike; the preset's choice when absent."""


class Guardian(_Closed, frozen=True, kw_only=True):
    name: Name
    account: AccountName


class DatedProfile(_Closed, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A profile in force on a date or a run of dates (both included), for one child or for all."""

    from_: Date
    to: Date | None = None
    profile: Name
    child: Name | None = None


class Summary(_Closed, frozen=True, kw_only=True):
    day: Weekday = "sunday"
    time: TimeOfDay = "18:00"


class Family(_Closed, frozen=True, kw_only=True):
    """The whole of ``family.toml``."""

    format: Literal[1]
    zone: Name
    """IANA name, for example ``Europe/Lisbon``; dates and hours are reckoned here, never in the PC's zone."""
    reset: TimeOfDay = "03:00"
    language: Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")] = "en"
    guardians: Annotated[list[Guardian], Meta(min_length=1, max_length=8)]
    children: Annotated[list[Child], Meta(min_length=1, max_length=16)]
    others: Literal["strict", "ignore"] = "strict"
    """What standard accounts get that are nobody's here: the strictest limits, or none."""
    unwatched: Annotated[list[AccountName], Meta(max_length=64)] = []
    """Accounts to leave alone: a grown-up's second account, a guest's."""
    groups: dict[Name, list[Name]] = {}
    """Own groups: a name and the catalogue ids, catalogue groups or program names in it."""
    site_groups: dict[Name, list[Name]] = {}
    """Own groups of sites: a name and the hosts in it; what has no dot is the group of a list."""
    name_servers: Annotated[list[Name], Meta(max_length=8)] = []
    """Whom the children's resolver asks (``192.0.2.1``, ``192.0.2.1:5353``, ``[2001:db8::1]:53``); empty: those of the PC."""
    profiles: dict[Name, Limits] = {}
    exceptions: list[DatedProfile] = []
    summary: Summary = Summary()
    retention_weeks: Annotated[int, Meta(ge=1, le=104)] = 8


class Policy(_Closed, frozen=True, kw_only=True):
    """The signed payload: a family with its presets filled in, and what makes it this one and no other."""

    schema: Literal["fairtime-policy/1"] = "fairtime-policy/1"
    policy_id: Name
    version: Annotated[int, Meta(ge=1, le=2**53)]
    devices: list[Name] = []
    """Machines it is for; empty: any that trusts its keys."""
    issued: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
    not_before: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")] | None = None
    expires: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")] | None = None
    prev_sha256: str | None = None
    family: Family
    catalogue: dict[Name, list[CatalogueEntry]] = {}
    """The catalogue entries that the rules name, so that a signed policy means the same on every machine."""


class CatalogueEntry(_Closed, frozen=True, kw_only=True):
    """One well-known desktop program: who it is on each system."""

    id: Name
    name: Name
    group: Literal["browsers", "games", "chat", "video", "music", "school", "creation", "system"]
    site_rules: bool | None = None
    """A browser: whether it keeps the rules for sites that Fairtime writes for it."""
    linux: LinuxIdentity | None = None
    windows: WindowsIdentity | None = None
    macos: MacIdentity | None = None


class LinuxIdentity(_Closed, frozen=True, kw_only=True):
    desktop: list[Name] = []
    """Desktop file ids."""
    package: list[Name] = []
    flatpak: list[Name] = []
    snap: list[Name] = []
    binary: list[Name] = []
    """File names of its executables; evidence for limits, never for an allow."""
    without_rules: list[Name] = []
    """Flatpaks and snaps of a browser that do not see the rules for sites."""


class WindowsIdentity(_Closed, frozen=True, kw_only=True):
    publisher: Name | None = None
    product: Name | None = None
    appx: Name | None = None
    binary: list[Name] = []


class MacIdentity(_Closed, frozen=True, kw_only=True):
    bundle: Name | None = None
    team: Name | None = None
    binary: list[Name] = []


def schema() -> dict[str, object]:
    """JSON schema of ``family.toml`` (the copy in ``policies/`` is generated from this)."""
    return msgspec.json.schema(Family)
