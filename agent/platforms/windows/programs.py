"""Programs that Windows itself denies: each child's floor put into AppLocker's local policy, kept there, and taken out again.

Done by Windows PowerShell, which takes some seconds, so only when the text is another one.  The Application Identity service
must run for AppLocker to close anything; how it was set before is kept and put back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from agent.clock import MINUTE, Millis
from agent.errors import HostError
from agent.model.floor import ProgramFloor
from agent.model.snapshot import Mended
from agent.platforms.base import Finding
from agent.platforms.windows import applocker
from agent.platforms.windows.applocker import COLLECTIONS, OURS, Known, Places
from agent.platforms.windows.hive import Hive
from agent.platforms.windows.keeping import Keeping
from agent.platforms.windows.powershell import Run, block
from agent.platforms.windows.values import as_number, as_text

VERIFY_EVERY: Millis = MINUTE
NAME = "AppLocker rules"
POLICY = r"SOFTWARE\Policies\Microsoft\Windows\SrpV2"
"""Where Windows has the policy in force: a key for each collection, in it one for each rule."""
SERVICE = r"SYSTEM\CurrentControlSet\Services\AppIDSvc"
_AUTO = 2
_STARTS = {2: "auto", 3: "demand", 4: "disabled"}
_READ = "Import-Module AppLocker\nGet-AppLockerPolicy -Local -Xml"
_ADVICE = "Until then a program that may not run is stopped right after it has started."
_SHOWN = 3


def script(xml: str, start: str) -> str:
    """Puts a policy in force in the place of the local one, and sets how Application Identity starts (words of sc.exe)."""
    lines = [
        "Import-Module AppLocker",
        f"$xml = {block(xml)}",
        "$policy = [Microsoft.Security.ApplicationId.PolicyManagement.PolicyModel.AppLockerPolicy]::FromXml($xml)",
        "Set-AppLockerPolicy -PolicyObject $policy",
        # Set-Service may not: the service is protected.
        f"& sc.exe config AppIDSvc start= {start} | Out-Null",
        "if ($LASTEXITCODE) { throw 'Application Identity (AppIDSvc) cannot be set' }",
    ]
    if start == _STARTS[_AUTO]:
        lines.append("Start-Service AppIDSvc")
    return "\n".join([*lines, "Get-AppLockerPolicy -Local -Xml"])


class Programs:
    """``put``, ``mend`` and ``restore`` in any thread, one at a time; ``look`` on the loop.

    ``known`` tells what this PC knows of programs that rules name, ``places`` where nobody but administrators writes.
    """

    def __init__(
        self,
        machine: Hive,
        run: Run,
        sid_of: Callable[[str], str | None],
        known: Callable[[Collection[ProgramFloor]], Known],
        places: Callable[[], Places],
    ) -> None:
        self._machine = machine
        self._run = run
        self._sid_of = sid_of
        self._known = known
        self._places = places
        self._keeping = Keeping(machine, machine, "Programs")
        self._lock = threading.Lock()
        self._floors: tuple[ProgramFloor, ...] = ()
        self._made: tuple[object, ...] | None = None
        """What the policy in force was made of."""
        self._ids: frozenset[str] = frozenset()
        self._verified: Millis = 0
        self._mended: list[Mended] = []
        self._why = ""
        self.left: tuple[str, ...] = ()
        """Rules that only hold right after the start, in words."""

    @property
    def why(self) -> str:
        """Why nothing is denied before it starts; empty when something is."""
        return self._why or ("" if self._ids else "No rule blocks a program in every case, so Windows denies none.")

    @property
    def troubles(self) -> tuple[str, ...]:
        return (f"{self._why}. {_ADVICE}",) if self._why else ()

    def put(self, floors: Sequence[ProgramFloor]) -> None:
        """Deny what these do, and nothing else.  ``HostError`` when that cannot be."""
        with self._lock:
            self._floors = tuple(floors)
            self._follow()

    def refresh(self) -> None:
        """Accounts changed, or more is known of programs: the same floors again.  What cannot be done is in ``troubles``."""
        with self._lock:
            if self._floors:
                try:
                    self._follow()
                except HostError:
                    return  # ``troubles`` tell it, and it is tried again in a minute

    def look(self, now: Millis) -> bool:
        """Whether it is time to ``mend``; ``now`` in boot milliseconds."""
        if not self._floors or now - self._verified < VERIFY_EVERY:
            return False
        self._verified = now
        return True

    def mend(self, now: Millis) -> None:
        """Compare what Windows has with what should be, and put it right."""
        del now
        with self._lock:
            try:
                if self._why:
                    self._follow()
                elif self._ids and not self._in_force():
                    self._made = None
                    self._follow()
                    self._mended.append(Mended(path=NAME, what="changed"))
            except HostError as error:
                self._mended.append(Mended(path=NAME, what="changed", why=error.title))

    def restore(self) -> None:
        """No rule of ours, and Application Identity as it was.  ``HostError`` when that cannot be."""
        with self._lock:
            self._floors = ()
            self._follow()

    def take(self) -> tuple[Mended, ...]:
        """What was put right, or could not be, since the last call."""
        found, self._mended = tuple(self._mended), []
        return found

    def findings(self) -> tuple[Finding, ...]:
        """What Windows cannot be told to deny."""
        if not self.left:
            return ()
        shown = "; ".join(self.left[:_SHOWN]) + ("; …" if len(self.left) > _SHOWN else "")
        return (
            Finding(
                "programs-after-start", "note", "Some programs are stopped right after their start instead of before it",
                f"Windows cannot be told of: {shown}.",
            ),
        )  # fmt: skip

    # ---- putting in force ----------------------------------------------------------------------------------------

    def _follow(self) -> None:
        wanted = [(floor, frozenset(filter(None, map(self._sid_of, floor.accounts)))) for floor in self._floors]
        wanted = [(floor, sids) for floor, sids in wanted if sids and (floor.denials or floor.others)]
        known, places = self._known(self._floors), self._places()
        made = (tuple(wanted), known, places)
        if made == self._made and not self._why:
            return
        try:
            if wanted or self._has_ours():
                self._write(wanted, known, places)
            else:
                self._ids, self.left = frozenset(), ()
        except (HostError, OSError) as error:
            self._made = None
            self._why = (
                error.title if isinstance(error, HostError) else f"The registry cannot be read: {error.strerror}"
            )
            raise HostError(self._why, _ADVICE) from error
        self._made, self._why = made, ""

    def _write(self, wanted: Collection[tuple[ProgramFloor, Collection[str]]], known: Known, places: Places) -> None:
        written = applocker.policy(wanted, self._run(_READ), places, known)
        if written.ids:
            self._keeping.keep(SERVICE, ["Start"], [])
            start = _STARTS[_AUTO]
        else:
            kept = self._keeping.of(SERVICE)
            before = as_number(kept.values.get("Start")) if kept is not None else None
            start = _STARTS.get(before or 0, "demand")
        said = self._run(script(written.xml, start))
        missing = [id_ for id_ in written.ids if id_.casefold() not in said.casefold()]
        if missing or (not written.ids and applocker.has_ours(said)):
            raise HostError("Windows took AppLocker's rules and does not have them", _ADVICE)
        if not written.ids:
            self._keeping.forget(SERVICE)
        self._ids, self.left = written.ids, written.left

    # ---- what is in force ----------------------------------------------------------------------------------------

    def _in_force(self) -> bool:
        """Whether the policy in force has each of our rules, and its service is to run."""
        have = {name.strip("{}").casefold() for one in COLLECTIONS for name in self._machine.names(rf"{POLICY}\{one}")}
        start = as_number(self._machine.value(SERVICE, "Start"))
        return {id_.casefold() for id_ in self._ids} <= have and start == _AUTO

    def _has_ours(self) -> bool:
        """Whether Windows has a rule of ours, maybe from a service that ran before."""
        for one in COLLECTIONS:
            node = self._machine.node(rf"{POLICY}\{one}")
            for rule in node.keys.values() if node is not None else ():
                if any(f'Name="{OURS}' in as_text(value) for value in rule.values.values()):
                    return True
        return self._keeping.of(SERVICE) is not None
