"""The installer for Windows as text: its script is one that NSIS takes without a warning, and a version is four numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from installer.build import build_for_windows
from installer.windows import packages


@pytest.mark.parametrize(("version", "numbers"), [("0.1.0", "0.1.0.0"), ("2", "2.0.0.0"), ("1.2.3.4+dirty", "1.2.3.4")])
def test_a_version_is_four_numbers(version: str, numbers: str) -> None:
    assert packages.four(version) == numbers


@pytest.mark.parametrize("version", ["", "1.2.3.4.5", "1.0rc1"])
def test_what_windows_cannot_number_is_refused(version: str) -> None:
    with pytest.raises(SystemExit, match="no version"):
        packages.four(version)


@pytest.mark.skipif(shutil.which("makensis") is None, reason="needs makensis (NSIS)")
def test_the_script_is_taken_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "fairtime.exe").write_bytes(b"MZ")
    packages.wrap(tmp_path / "program", tmp_path / "made.exe", "0.1.0", packages.TEST, 0)
    assert (tmp_path / "made.exe").read_bytes().startswith(b"MZ")
    again = tmp_path / "again.exe"
    packages.wrap(tmp_path / "program", again, "0.1.0", packages.TEST, 0)
    assert again.read_bytes() == (tmp_path / "made.exe").read_bytes()


def test_without_a_windows_python_nothing_is_built_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(packages, "_makensis", lambda: "makensis")
    monkeypatch.delenv("WINDOWS_LAB", raising=False)
    assert build_for_windows() == []
    assert "not built: this is no Windows, and WINDOWS_LAB names no" in capsys.readouterr().err


def test_tk_that_pyinstaller_left_out_is_seen(tmp_path: Path) -> None:
    report = tmp_path / "contents.json"
    report.write_text('{"programs": {"fairtime": ["agent.tray.app", "tkinter"]}}', encoding="utf-8")
    assert packages.opens_windows(report)
    report.write_text('{"programs": {"fairtime": ["agent.tray.app"]}}', encoding="utf-8")
    assert not packages.opens_windows(report)
