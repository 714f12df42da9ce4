"""What the descriptors say, read as text: nobody of the family writes where the system's rights read from."""

from __future__ import annotations

import re

import pytest

from agent.errors import StoreError
from agent.platforms.windows import descriptors
from agent.platforms.windows.pipenames import SERVICE, pipe_name, taken

FAMILY = {"IU", "BU", "AU", "WD", "AN", "BG", "SU"}
WRITES = 0x2 | 0x4 | 0x40 | 0x10000 | 0x40000 | 0x80000
"""Write data, append data or serve the pipe, delete a child, delete, change rights, change the owner (winnt.h)."""


def entries(sddl: str) -> list[tuple[str, str]]:
    """Rights and whose, of every entry that allows."""
    return [(found[1], found[2]) for found in re.finditer(r"\(A;[A-Z]*;([^;]*);;;([^)]*)\)", sddl)]


@pytest.mark.parametrize("sddl", [descriptors.STATE, descriptors.PROGRAM])
def test_folders_are_written_by_the_system_and_administrators_alone(sddl: str) -> None:
    assert sddl.startswith("O:BAG:SYD:PAI"), "owned by administrators, and nothing is inherited"
    for rights, whose in entries(sddl):
        if whose in {"SY", "BA"}:
            continue
        assert whose == "BU"
        assert int(rights, 16) & WRITES == 0
    assert {whose for _, whose in entries(descriptors.STATE)} == {"SY", "BA"}, "and the state is read by nobody else"


@pytest.mark.parametrize("sddl", [descriptors.PIPE, descriptors.own_pipe("S-1-5-21-1-2-3-1001")])
def test_the_family_calls_the_pipe_and_cannot_serve_it(sddl: str) -> None:
    assert "D:P(" in sddl
    family = [int(rights, 16) for rights, whose in entries(sddl) if whose in FAMILY]
    assert family == [descriptors.CLIENT_ACCESS]
    assert descriptors.CLIENT_ACCESS & 0x4 == 0, "FILE_CREATE_PIPE_INSTANCE"
    assert descriptors.CLIENT_ACCESS & 0x3 == 0x3, "and both read and write"
    assert descriptors.CLIENT_ACCESS & 0x20000, "READ_CONTROL: a caller must see the owner"


def test_the_service_is_seen_by_all_and_moved_by_none() -> None:
    for rights, whose in entries(descriptors.SERVICE):
        codes = set(re.findall("..", rights))
        if whose in FAMILY:
            assert not codes & {"RP", "WP", "DT", "DC", "SD", "WD", "WO"}, whose
            assert "LC" in codes
        else:
            assert "WP" in codes, "it can be stopped by somebody"


def test_the_services_name_is_one_that_no_child_can_take() -> None:
    assert SERVICE.startswith("\\\\.\\pipe\\ProtectedPrefix\\Administrators\\")
    assert pipe_name(SERVICE) == SERVICE


def test_a_trials_folder_has_a_pipe_of_its_own() -> None:
    one, other = pipe_name(r"C:\Users\Jürgen\Neuer Ordner\service.sock"), pipe_name(r"C:\Users\J\service.sock")
    assert one != other
    assert one == pipe_name(r"c:\users\jürgen\neuer ordner/service.sock"), "as Windows reads paths"
    assert one.isascii()
    assert len(one) < 256


def test_a_taken_name_says_by_whom_and_what_to_do() -> None:
    error = taken(SERVICE, "process 12 of mia")
    assert isinstance(error, StoreError)
    assert "process 12 of mia" in error.title
    assert error.advice
