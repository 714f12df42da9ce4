"""A service that finds what nobody gave in its ledger does not believe it, says so, and keeps what was truly given."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator

import pytest

from agent.cli import trial
from agent.errors import TrustError
from agent.ipc.answers import Done, Status
from agent.ipc.protocol import GetStatus, Give, Prove, Release
from agent.service.audit import verify_file
from tests.service.test_service import Household

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the service runs on Linux today")


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    made = Household(tmp_path_factory.mktemp("h"))
    yield made
    made.close()


def status(home: Household) -> Status:
    found = home.client.call(GetStatus())
    assert isinstance(found, Status)
    return found


def edit(home: Household, *statements: str) -> None:
    home.kill()
    ledger = sqlite3.connect(home.folder / "state" / "ledger.db")
    for statement in statements:
        ledger.execute(statement)
    ledger.commit()
    ledger.close()
    home.start()


def test_a_permission_written_into_the_ledger_is_none(home: Household) -> None:
    home.start()
    home.client.call(Prove(pin=trial.PIN))
    arcade = str(home.programs["arcade"])
    true = home.client.call(Give(child="you", kind="program", subject=arcade, lasting="good", note="Yours."))
    more = home.client.call(Give(child="you", kind="time", seconds=600))
    assert isinstance(true, Done)
    assert isinstance(more, Done)
    edit(
        home,
        f"UPDATE given SET seconds = 36000 WHERE id = '{more.id}'",
        "INSERT INTO given (id, child, kind, seconds, subject, day, given, until, by, via, note) "
        "VALUES ('false', 'you', 'pause', 0, '', '', 1, NULL, 'A guardian', 'tray', '')",
    )
    found = status(home)
    assert [grant.id for grant in found.children[0].grants] == [true.id]
    assert found.children[0].grants[0].subject.startswith("sha256:")
    assert any("no guardian gave" in note for note in found.notes)
    log = (home.folder / "state" / "audit.log").read_text()
    assert log.count('"grant-refused"') == 2
    assert verify_file(home.folder / "state" / "audit.log").ok
    edit(home)
    assert not any("no guardian gave" in note for note in status(home).notes), "told of once"
    home.client.call(Prove(pin=trial.PIN))
    home.client.call(Release(grant=true.id))
    assert not status(home).children[0].grants


def test_without_its_key_a_pc_gives_nothing_and_takes_nothing_away(home: Household) -> None:
    home.start()
    home.client.call(Prove(pin=trial.PIN))
    home.client.call(Give(child="you", kind="time", seconds=600))
    (home.folder / "state" / "device.key").unlink()
    with pytest.raises(TrustError, match="no key of its own"):
        home.client.call(Give(child="you", kind="time", seconds=600))
    edit(home)
    assert len(status(home).children[0].grants) == 1, "checking needs no secret"
