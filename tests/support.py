"""README's table of what works where: what each system's host can offer, and the test that shows it.

``python -m tests.support`` prints it; with ``--write`` it goes into README.md.  A host says in its ``abilities.py`` which
capabilities no PC of its kind has (a plain ``False``); without that module there is no host.  What may be there counts as run
only where a test of ``SHOWN`` runs it: on Linux here, for Windows under Wine.  Nothing runs macOS.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.cli.abilities import ABILITIES
from agent.platforms.base import Capability

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- support: python -m tests.support --write -->", "<!-- /support -->"
SYSTEMS = {"linux": "Linux", "windows": "Windows", "macos": "macOS"}
RUN = {"linux": "run here", "windows": "run under Wine"}
TYPED, NOT = "typed and contract-tested only", "not there"
SHOWN: Mapping[str, Mapping[Capability, str]] = {
    "linux": {
        Capability.SCAN: "tests/contract/test_host_linux.py::TestLinuxHostByScan",
        Capability.START_EVENTS: "tests/contract/test_host_linux.py::TestLinuxHost",
        Capability.EXEC_GATE: "tests/system/test_gate.py::test_a_denied_program_never_runs_and_a_guardian_is_left_alone",
        Capability.SESSIONS: "tests/system/test_endings.py::test_a_greeter_is_no_session_of_a_child",
        Capability.LOGIN: "tests/system/test_endings.py::test_without_time_a_login_is_refused_with_the_reason",
        Capability.LOCK: "tests/system/test_endings.py::test_a_lock_that_is_undone_is_done_again_and_loses_nothing",
        Capability.LOGOUT: "tests/system/test_endings.py::test_nothing_goes_on_after_a_log_out",
        Capability.FREEZE: "tests/system/test_endings.py::test_a_freeze_stops_everything_charges_nothing_and_thaws_with_a_grant",
        Capability.HOLD: "tests/unit/test_linux_holding.py::test_its_own_account_cannot_let_it_go_on",
        Capability.SITES_DNS: "tests/system/test_sites.py::test_every_server_gives_a_child_the_childs_own_answers",
        Capability.SITES_BROWSER: "tests/system/test_sites.py::test_chromium",
        Capability.SELF_DEFENCE: "tests/system/test_defend.py::test_own_files_come_back",
    },
    "windows": {
        Capability.SCAN: "tests/windows/test_processes.py::test_the_table_has_watched_accounts_only",
        Capability.START_EVENTS: "tests/windows/test_processes.py::test_windows_tells_whom_a_program_starts",
        Capability.HOLD: "tests/windows/test_processes.py::test_what_is_held_stands_still_and_goes_on",
        Capability.SITES_BROWSER: "tests/windows/test_registry.py::test_a_childs_rules_are_written_and_read_back",
    },
    "macos": {},
}
"""Input devices and sound cards are in no container: what reads them on Linux is held against folders made like theirs."""


def offered(system: str) -> frozenset[Capability] | None:
    """What a PC of this system can have; ``None`` where there is no host."""
    folder = ROOT / "agent" / "platforms" / system
    path = folder / "abilities.py"
    if not path.exists():
        if (folder / "host.py").exists():
            raise SystemExit(f"{folder} has a host whose abilities are not in {path.name}: nothing can be said of it")
        return None
    said: dict[Capability, bool] = {}
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match call:
            case ast.Call(args=[ast.Attribute(value=ast.Name(id="Capability"), attr=name), present, *_]):
                said[Capability[name]] = not (isinstance(present, ast.Constant) and present.value is False)
    if missing := set(Capability) - said.keys():
        raise SystemExit(f"{path} says nothing of {sorted(missing)}")
    return frozenset(capability for capability, there in said.items() if there)


def state(system: str, capability: Capability) -> str:
    """One of the four words."""
    found = offered(system)
    if found is None or capability not in found:
        return NOT
    return RUN[system] if capability in SHOWN[system] else TYPED


def table() -> str:
    """In Markdown."""
    rows = [["", *SYSTEMS.values()], ["---"] * (len(SYSTEMS) + 1)]
    rows += [[ABILITIES[one], *(state(system, one) for system in SYSTEMS)] for one in Capability]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)


def put(text: str) -> str:
    """A README with the table of today in it."""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise SystemExit(f"{README.name} has no place for the table: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(words: list[str]) -> int:
    if words == ["--write"]:
        README.write_text(put(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
