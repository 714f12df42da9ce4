"""The packages put the same files in place as the installation script, the same bytes each time; and what lies beside them."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("packages for Linux", allow_module_level=True)

from installer import licences, manual, sbom, searchpaths
from installer.contents import Contents, Part
from installer.linux import packages, scripts, table

INSTALLER = Path(__file__).resolve().parents[2] / "installer/linux"
EPOCH = 1_767_225_600
PARTS = (
    Part("CPython", "3.11.9", "PSF-2.0", "python-itself", ("the text <of> Python",)),
    Part("pystray", "0.19.5", "LGPL-3.0-only", "python", ("the LGPL",), ("six",)),
    Part("six", "1.17.0", "MIT License", "python"),
    Part("libx11-6", "2:1.8.4-2", "see its text", "system", ("X11",)),
)
CONTENTS = Contents("0.1.0", PARTS, ("/opt/lib/libodd.so.1",))


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make package`` makes besides the program."""
    folder = tmp_path_factory.mktemp("share")
    manual.write(folder, EPOCH)
    packages.write_changelogs(folder, "0.1.0", EPOCH)
    (folder / "licences.html").write_text(licences.page(CONTENTS), encoding="utf-8")
    (folder / "copyright").write_text(licences.copyright_file(CONTENTS), encoding="utf-8")
    (folder / "fairtime.cdx.json").write_text(sbom.document(CONTENTS, EPOCH), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program as PyInstaller leaves it, with awkward names in it and rights that nobody should keep."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "_internal/deep").mkdir(parents=True)
    for name in ("fairtime", "fairtime-service"):
        (folder / name).write_text("#!/bin/sh\necho here\n")
        (folder / name).chmod(0o777)
    (folder / "_internal/a b").write_text("x")
    (folder / "_internal/a link").symlink_to("a b")
    (folder / "_internal/deep/ünder").write_bytes(bytes(range(256)))
    (folder / "_internal/deep/ünder").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def built(share: Path, program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = packages.build("0.1.0", EPOCH, tmp_path_factory.mktemp("dist"), program=program, share=share)
    return {path.suffix[1:]: path for path in made}


def tool(name: str, where: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed ({where})")
    return found


def said(*words: str, **more: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **more})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(root: Path) -> dict[str, tuple[int, str]]:
    """Every file and link below ``root``: rights, and content or target."""
    found = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = (0, os.readlink(path))
        elif path.is_file():
            found[name] = (stat.S_IMODE(path.stat().st_mode), hashlib.sha256(path.read_bytes()).hexdigest())
    return found


# ---- one list -------------------------------------------------------------------------------------------------------


def test_every_piece_of_the_installer_is_in_the_list(share: Path) -> None:
    rows = table.rows(share)
    places = [row.place for row in rows]
    assert len(set(places)) == len(places)
    listed = {row.source for row in rows}
    kinds = (".service", ".socket", ".slice", ".desktop", ".rules", ".conf", ".xml")
    there = {p for p in INSTALLER.rglob("*") if p.is_file() and (p.suffix in kinds or p.parent.name == "pam-configs")}
    assert there - listed == set()
    assert {
        p for p in (INSTALLER.parents[1] / "assets/icons").glob("fairtime*") if p.suffix in (".png", ".svg")
    } <= listed


def test_a_part_that_is_missing_ends_the_build(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"missing: .*fairtime\.1\.gz"):
        table.rows(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="install.sh puts files of root in place")
def test_package_and_script_put_the_same_files_in_place(
    built: dict[str, Path], program: Path, share: Path, tmp_path: Path
) -> None:
    tool("dpkg-deb", "dpkg")
    # The script reads what was made in its own checkout, so it gets one with ``share`` in it.
    checkout = tmp_path / "checkout"
    root = INSTALLER.parents[1]
    for name in ("installer", "assets", "docs"):
        shutil.copytree(root / name, checkout / name)
    (checkout / "agent/platforms/linux").mkdir(parents=True)
    shutil.copy2(root / "agent/platforms/linux/logincheck.py", checkout / "agent/platforms/linux/")
    shutil.copytree(share, checkout / "build/share")
    by_script, by_package = tmp_path / "script", tmp_path / "package"
    (by_script / "etc").mkdir(parents=True)
    (by_script / "etc/group").write_text("root:x:0:\n")
    said("sh", str(checkout / "installer/linux/install.sh"), "--root", str(by_script), "--program", str(program))
    shutil.rmtree(by_script / "var")
    for path in (by_script / "etc").glob("g*"):
        path.unlink()  # the group, which the package's own script makes
    said("dpkg-deb", "--extract", str(built["deb"]), str(by_package))
    (by_package / "usr/share/lintian/overrides/fairtime").unlink()  # of use to Debian's checker alone
    ours = {name: what for name, what in files(by_package).items() if "lib/fairtime/" not in name}
    theirs = {name: what for name, what in files(by_script).items() if "lib/fairtime/" not in name}
    assert ours == theirs
    # Of the program the package says the rights, the script keeps those of the folder.
    contents = {name: what[1] for name, what in files(by_package).items()}
    assert contents == {name: what[1] for name, what in files(by_script).items()}


def test_the_programs_rights_are_the_packages_to_say(built: dict[str, Path], tmp_path: Path) -> None:
    tool("dpkg-deb", "dpkg")
    said("dpkg-deb", "--extract", str(built["deb"]), str(tmp_path))
    lib = tmp_path / "usr/lib/fairtime"
    assert stat.S_IMODE((lib / "fairtime").stat().st_mode) == 0o755
    assert stat.S_IMODE((lib / "_internal/deep/ünder").stat().st_mode) == 0o644
    assert os.readlink(lib / "_internal/a link") == "a b"
    owners = {line.split()[1] for line in said("dpkg-deb", "--contents", str(built["deb"])).splitlines()}
    assert owners == {"root/root"}


def test_the_deb_is_the_same_again(built: dict[str, Path], program: Path, share: Path, tmp_path: Path) -> None:
    os.utime(program / "fairtime")
    (again,) = packages.build("0.1.0", EPOCH, tmp_path, program=program, share=share, kinds=("deb",))
    assert again.read_bytes() == built["deb"].read_bytes()


def test_lintian_finds_nothing(built: dict[str, Path], tmp_path: Path) -> None:
    """Of the program's own files this package has stand-ins; what is said of the real ones is overridden, each with its reason."""
    words = [tool("lintian", "lintian"), "--allow-root", "--fail-on", "none", "--tag-display-limit", "0"]
    found = [
        line for line in said(*words, str(built["deb"]), TMPDIR=str(tmp_path)).splitlines() if line[:2] in ("E:", "W:")
    ]
    assert found == []


def test_the_rpm_says_what_it_brings(built: dict[str, Path], share: Path, tmp_path: Path) -> None:
    tool("rpm", "make desktop-packages")
    listed = said("rpm", "--query", "--list", "--package", str(built["rpm"]), HOME=str(tmp_path)).splitlines()
    assert {row.place for row in table.rows(share)} <= set(listed)
    assert "/usr/lib/fairtime/fairtime-service" in listed
    assert "/usr" not in listed  # folders of the system's own are not ours
    for moment in ("pre", "post", "preun", "postun", "posttrans"):
        assert moment in scripts.RPM
    shown = said("rpm", "--query", "--scripts", "--package", str(built["rpm"]), HOME=str(tmp_path))
    for call in scripts.RPM.values():
        assert call.strip() in shown


@pytest.mark.skipif(os.geteuid() != 0, reason="rpm --root puts files of root in place")
def test_the_rpm_comes_and_goes_in_a_folder(built: dict[str, Path], share: Path, tmp_path: Path) -> None:
    tool("rpm", "make desktop-packages")
    root = tmp_path / "pc"
    root.mkdir()
    words = ("rpm", "--root", str(root), "--nodeps", "--noscripts")
    said(*words, "--install", "--force-debian", str(built["rpm"]))
    for row in table.rows(share):
        path = root / row.place.lstrip("/")
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (row.content(), row.mode)
    said(*words, "--erase", "--force-debian", "fairtime")
    assert not [path for path in files(root) if "fairtime" in path]


# ---- the program's libraries ----------------------------------------------------------------------------------------


def test_no_library_is_looked_for_in_the_builders_folder(tmp_path: Path) -> None:
    """What the dynamic linker itself finds, before and after."""
    gcc = tool("gcc", "make system-packages")
    builder, inside = tmp_path / "builder", tmp_path / "inside"
    builder.mkdir()
    inside.mkdir()
    (tmp_path / "empty.c").write_text("int here(void) { return 1; }\n")
    for folder in (builder, inside):
        said(gcc, "-shared", "-fPIC", "-o", str(folder / "libneeded.so"), str(tmp_path / "empty.c"))
    needs = (gcc, "-shared", "-fPIC", "-Wl,--no-as-needed", f"-L{builder}", str(tmp_path / "empty.c"), "-lneeded", "-o")
    for name, path in (
        ("runpath", f"--enable-new-dtags,-rpath,{builder}"),
        ("rpath", f"--disable-new-dtags,-rpath,{builder}"),
    ):
        library = inside / f"{name}.so"
        said(*needs, str(library), f"-Wl,{path}")
        assert loads(library)
        assert searchpaths.forget_foreign(library)
        assert not loads(library)
        assert not searchpaths.forget_foreign(library)
    own = inside / "own.so"
    said(*needs, str(own), "-Wl,-rpath,$ORIGIN")
    assert not searchpaths.forget_foreign(own)
    assert loads(own)
    said(*needs, str(own), f"-Wl,-rpath,$ORIGIN:{builder}")
    with pytest.raises(SystemExit, match=r"own\.so looks for libraries inside and outside"):
        searchpaths.forget_foreign(own)
    assert not searchpaths.forget_foreign(tmp_path / "empty.c")


def loads(library: Path) -> bool:
    words = [sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", str(library)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "libneeded.so: cannot open shared object file" in done.stderr
    return done.returncode == 0


# ---- scripts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [*scripts.DEB, *scripts.RPM])
def test_each_script_is_sound(moment: str, share: Path, tmp_path: Path) -> None:
    path = tmp_path / moment
    path.write_text(scripts.script({**scripts.DEB, **scripts.RPM}[moment], table.rows(share)), encoding="utf-8")
    said("sh", "-n", str(path))
    done = subprocess.run(
        [tool("shellcheck", "make desktop-packages"), "--severity=warning", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


# ---- manual and completions -----------------------------------------------------------------------------------------


def test_the_manual_names_every_command_and_nothing_inner() -> None:
    page = manual.page(EPOCH).replace("\\-", "-")
    for command in ("trial", "setup", "status", "grant", "policy", "summary", "doctor", "audit", "lists"):
        assert f"fairtime {command}" in page
    for inner in ("resolver", "dialog", "fairtime job"):
        assert inner not in page
    assert "--answers" in page
    assert ".SH NAME\nfairtime - " in page
    assert page == manual.page(EPOCH).replace("\\-", "-")


def test_every_option_has_its_words() -> None:
    def mute(parser: argparse.ArgumentParser, path: str) -> Iterator[str]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, deeper in action.choices.items():
                    yield from mute(deeper, f"{path} {name}")
            elif action.option_strings and not action.help:
                yield f"{path} {action.option_strings[-1]}"

    assert list(mute(manual._for_people(), "fairtime")) == []


def test_the_manuals_examples_are_understood() -> None:
    for line, _ in manual._EXAMPLES:
        assert manual.parser().parse_args(line.split()[1:]).run


def test_the_manual_can_be_read(tmp_path: Path) -> None:
    tool("groff", "groff-base")
    path = tmp_path / "fairtime.1"
    path.write_text(manual.page(EPOCH), encoding="utf-8")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-z", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered", "not_offered"),
    [
        (["gr"], {"grant", "grants"}, set()),
        ([""], {"status", "setup"}, {"job", "resolver", "dialog"}),
        (["policy", "si"], {"sign"}, set()),
        (["setup", "--an"], {"--answers"}, set()),
    ],
)
def test_bash_completes(typed: list[str], offered: set[str], not_offered: set[str], share: Path) -> None:
    tool("bash", "bash")
    words = " ".join(f"'{word}'" for word in ["fairtime", *typed])
    lines = (
        f"source {share}/fairtime.bash; COMP_WORDS=({words}); COMP_CWORD={len(typed)}; "
        f"_shtab_fairtime fairtime '{typed[-1]}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    found = {word.strip() for word in said("bash", "-c", lines).splitlines()}
    assert offered <= found
    assert not (not_offered & found)


# ---- papers ---------------------------------------------------------------------------------------------------------


def test_the_bill_of_materials_is_valid_and_the_same_again() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = sbom.document(CONTENTS, EPOCH)
    assert text == sbom.document(CONTENTS, EPOCH)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    told = json.loads(text)
    assert {one["name"] for one in told["components"]} == {part.name for part in PARTS}
    assert told["metadata"]["component"]["version"] == "0.1.0"
    needs = {one["ref"]: one.get("dependsOn", []) for one in told["dependencies"]}
    assert needs["python:pystray@0.19.5"] == ["python:six@1.17.0"]
    assert sbom.document(Contents("0.2.0", PARTS, ()), EPOCH) != text


def test_the_licences_page_has_every_part_its_text_and_what_is_unknown() -> None:
    page = licences.page(CONTENTS)
    for part in PARTS:
        assert part.name in page and part.version in page
    assert "the text &lt;of&gt; Python" in page
    assert "/opt/lib/libodd.so.1" in page
    assert "Apache License" in page


def test_the_description_for_software_centres_is_valid(share: Path, tmp_path: Path) -> None:
    """Both at their places: the one names the other."""
    for row in table.rows(share):
        if row.place.startswith(("/usr/share/metainfo/", "/usr/share/applications/")):
            path = tmp_path / row.place.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(row.content())
    said(tool("appstreamcli", "make desktop-packages"), "validate-tree", "--no-net", str(tmp_path))


@pytest.mark.parametrize("name", ["org.fairtime.Fairtime.desktop", "fairtime-tray.desktop"])
def test_desktop_files_are_valid(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text((INSTALLER / name).read_text(encoding="utf-8").replace("@prefix@", "/usr"), encoding="utf-8")
    said(tool("desktop-file-validate", "make desktop-packages"), str(path))
