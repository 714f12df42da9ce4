"""The Linux desk without a desktop: every absence has a name and none is an error."""

from __future__ import annotations

import importlib.machinery
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the Linux desk runs on Linux")

if sys.platform == "linux":
    from agent.platforms.linux import desk as module
    from agent.platforms.linux.desk import LinuxDesk, borrow_gi


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A session with nothing in it."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "GDK_SCALE", "XDG_CURRENT_DESKTOP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/no-bus")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_without_a_display_there_is_no_tray(bare: Path) -> None:
    assert not LinuxDesk().tray_available()
    assert "no display" in LinuxDesk().why_no_tray()


def test_a_wayland_gnome_without_its_extension_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "ubuntu:GNOME")
    why = LinuxDesk().why_no_tray()
    assert "GNOME" in why
    assert "extension" in why


def test_another_desktop_without_a_tray_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert "no tray" in LinuxDesk().why_no_tray()


def test_scale(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LinuxDesk().scale() == 1.0
    monkeypatch.setenv("GDK_SCALE", "2")
    assert LinuxDesk().scale() == 2.0


@pytest.mark.parametrize(
    ("said", "languages"),
    [
        ({}, ()),
        ({"LANG": "fr_FR.UTF-8"}, ("fr_FR.UTF-8",)),
        ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "ar_EG.UTF-8"}, ("ar_EG.UTF-8",)),
        ({"LC_MESSAGES": "ar_EG.UTF-8", "LC_ALL": "ja_JP.UTF-8"}, ("ja_JP.UTF-8",)),
        ({"LANG": "pt_BR.UTF-8", "LANGUAGE": "pt_BR::es"}, ("pt_BR", "es", "pt_BR.UTF-8")),
        ({"LANG": "C.UTF-8", "LANGUAGE": "fr"}, ()),
    ],
)
def test_languages(said: dict[str, str], languages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, said.get(name, ""))
    assert LinuxDesk().languages() == languages


def test_one_tray_a_session(bare: Path) -> None:
    first = LinuxDesk()
    assert first.claim()
    program = "from agent.platforms.linux.desk import LinuxDesk; print(LinuxDesk().claim())"
    second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert second.stdout.strip() == "False"
    assert (bare / "fairtime").stat().st_mode & 0o777 == 0o700


def test_gi_of_another_python_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gi").mkdir()
    (tmp_path / "gi" / "__init__.py").touch()
    (tmp_path / "gi" / "_gi.cpython-36m-x86_64-linux-gnu.so").touch()
    monkeypatch.delitem(sys.modules, "gi", raising=False)
    monkeypatch.setattr(module, "DISTRIBUTION_PACKAGES", (str(tmp_path),))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    assert "another Python" in borrow_gi()
    assert "gi" not in sys.modules


def test_gi_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gi", raising=False)
    monkeypatch.setattr(module, "DISTRIBUTION_PACKAGES", (str(tmp_path),))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    assert "python3-gi" in borrow_gi()


def test_gi_that_cannot_be_loaded_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gi"
    package.mkdir()
    (package / "__init__.py").write_text("import no_such_module_at_all")
    (package / f"_gi{importlib.machinery.EXTENSION_SUFFIXES[0]}").touch()
    monkeypatch.delitem(sys.modules, "gi", raising=False)
    monkeypatch.setattr(module, "DISTRIBUTION_PACKAGES", (str(tmp_path),))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    assert "cannot be loaded" in borrow_gi()
    assert "gi" not in sys.modules


class GiWithout:
    """PyGObject where no description of AppIndicator is installed."""

    @staticmethod
    def require_version(name: str, version: str) -> None:
        raise ValueError(f"Namespace {name} not available for version {version}")


@pytest.mark.parametrize("xembed", [True, False])
def test_gtk_without_appindicator_serves_only_where_its_own_icon_is_seen(
    bare: Path, monkeypatch: pytest.MonkeyPatch, xembed: bool
) -> None:
    monkeypatch.setitem(sys.modules, "gi", GiWithout)  # type: ignore[arg-type]  # as much of it as is asked
    monkeypatch.setattr(module, "_xembed_tray", lambda: xembed)
    why = LinuxDesk().prepare()
    assert (why == "") is xembed
    assert xembed or "apt install gir1.2-ayatanaappindicator3-0.1" in why


def test_a_page_opens_with_xdg_open(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = bare / "week.html"
    page.write_text("<h1>x</h1>")
    programs = bare / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    assert not LinuxDesk().open_page(page)
    opener = programs / "xdg-open"
    opener.write_text("#!/bin/sh\nexit 3\n")
    opener.chmod(0o755)
    assert not LinuxDesk().open_page(page)
    opener.write_text(f'#!/bin/sh\necho "$1" > {bare}/opened\n')
    assert LinuxDesk().open_page(page)
    assert (bare / "opened").read_text().strip().endswith("week.html")
