"""Finding a program by the name a parent types."""

from __future__ import annotations

import pytest

from agent.core.catalogue import as_installed, known_as
from agent.core.programs import Matcher
from agent.model.policy import CatalogueEntry, LinuxIdentity, WindowsIdentity
from agent.model.program import ProgramId
from agent.resources import load_catalogue
from tests.core.scene import MONDAY, mia


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("chess", "chess"),
        ("CHESS", "chess"),
        ("Racer", "racer"),
        ("gchess", "chess"),
        ("Chess.EXE", "chess"),
        ("gnome-chess", None),
        ("", None),
        ("nothing", None),
    ],
)
def test_by_id_name_or_file_name(name: str, entry: str | None) -> None:
    found = known_as(mia(), name)
    assert (found.id if found else None) == entry


def test_an_id_comes_before_another_ones_file_name() -> None:
    child = mia()
    one = CatalogueEntry(id="one", name="One", group="games", linux=LinuxIdentity(binary=["two", "three"]))
    two = CatalogueEntry(id="two", name="Two", group="games", windows=WindowsIdentity(binary=["three"]))
    child.catalogue = {"one": one, "two": two}
    assert known_as(child, "two") == two
    assert known_as(child, "three") == one


def test_as_it_would_be_installed() -> None:
    firm = {"protected": True, "application": True}
    entry = CatalogueEntry(
        id="x", name="X", group="games", linux=LinuxIdentity(snap=["s"], flatpak=["f"], binary=["b"])
    )
    assert as_installed(entry) == ProgramId(name="b", package="flatpak:f", **firm)
    bare = CatalogueEntry(id="x", name="X", group="games", linux=LinuxIdentity(snap=["s"]))
    assert as_installed(bare) == ProgramId(name="x", package="snap:s", **firm)
    other = CatalogueEntry(id="x", name="X", group="games", windows=WindowsIdentity(binary=["x.exe"]))
    assert as_installed(other) == ProgramId(name="x.exe", package="", **firm)


def test_every_program_of_the_catalogue_for_linux_is_known_again_as_installed() -> None:
    child = mia('unknown_programs = "block"')
    child.catalogue = {entry.id: entry for group in load_catalogue().values() for entry in group}
    matcher = Matcher(child, child.plan(MONDAY))
    for entry in child.catalogue.values():
        assert known_as(child, entry.id) == entry
        if entry.linux is not None:
            match = matcher.match(as_installed(entry))
            assert match.verdict.title == entry.name, entry.id
