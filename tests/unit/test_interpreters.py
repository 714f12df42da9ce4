"""An interpreter is judged by what it runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.platforms.inside.interpreters import family, inner
from agent.platforms.inside.scripts import Inner

CASES = [
    # interpreter, command line, name, file
    ("python3.11", "python3 -u game.py --level 3", "game.py", "game.py"),
    ("python3.11", "python3 -X dev -W error /opt/x/main.py", "main.py", "/opt/x/main.py"),
    ("python3.11", "python3 -Ic pass", "python3.11", ""),
    ("python3.11", "python3 -c pass /opt/x/allowed.py", "python3.11", ""),
    ("python3.11", "python3 -m pygame.examples.aliens", "pygame.examples.aliens", ""),
    ("python3.11", "python3 -mturtledemo", "turtledemo", ""),
    ("python3.11", "python3", "python3.11", ""),
    ("python3.11", "python3 -", "python3.11", ""),
    ("pypy3", "pypy3 game.py", "game.py", "game.py"),
    ("perl", "perl -w frozen-bubble", "frozen-bubble", "frozen-bubble"),
    ("perl", "perl -I lib -e code allowed.pl", "perl", ""),
    ("perl", "perl -lane code allowed.pl", "perl", ""),
    ("perl5.36.0", "perl5.36.0 x.pl", "x.pl", "x.pl"),
    ("nodejs", "node --require hook.js app.js", "app.js", "app.js"),
    ("node", "node --eval=1 allowed.js", "node", ""),
    ("ruby3.1", "ruby -Ilib game.rb", "game.rb", "game.rb"),
    ("gjs", "gjs -m /usr/share/x/main.js", "main.js", "/usr/share/x/main.js"),
    ("java", "java -Xmx2G -jar /home/mia/TLauncher.jar", "TLauncher.jar", "/home/mia/TLauncher.jar"),
    ("java", "java -cp a.jar:b.jar net.minecraft.client.main.Main --user x", "net.minecraft.client.main.Main", "a.jar"),
    ("java", "java --class-path=a.jar Main", "Main", "a.jar"),
    ("java", "java --add-opens java.base/java.lang=ALL-UNNAMED -jar x.jar", "x.jar", "x.jar"),
    ("java", "java -p mods -m game/game.Main", "game/game.Main", ""),
    ("java", "java @args", "java", ""),
    ("java", "java Game.java", "Game.java", "Game.java"),
    ("ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2 --library-path /x /home/mia/game", "game", "/home/mia/game"),
    ("env", "env -u X A=1 /home/mia/game", "game", "/home/mia/game"),
    ("flatpak", "flatpak run --branch=stable org.supertuxproject.SuperTux -x", "org.supertuxproject.SuperTux", ""),
    ("flatpak", "flatpak run app/org.x.Y/x86_64/stable", "org.x.Y", ""),
    ("snap", "/snap/bin/minetest --x", "minetest", ""),
    ("snap", "snap run minetest", "minetest", ""),
    ("bash", "bash ./play.sh", "play.sh", "./play.sh"),
    ("bash", "bash --rcfile x -o errexit play.sh", "play.sh", "play.sh"),
    ("busybox", "busybox sh play.sh", "play.sh", "play.sh"),
    ("ld-2.31.so", "ld-2.31.so --preload /x.so /usr/games/chess", "chess", "/usr/games/chess"),
    ("ld.so", "/usr/bin/ld.so --argv0 chess -- ./game", "game", "./game"),
    ("libc.so", "ld-musl-x86_64.so.1 --library-path=/x ./game", "game", "./game"),
    ("ld-linux-aarch64.so.1", "ld.so --inhibit-rpath /x ./game", "game", "./game"),
    ("qemu-x86_64-static", "qemu-x86_64-static -L /x -cpu max ./game --level 2", "game", "./game"),
    ("box64", "box64 ./game", "game", "./game"),
    ("memcheck-amd64-linux", "valgrind --tool=memcheck ./game", "game", "./game"),
    ("dotnet", "dotnet game.dll", "game.dll", "game.dll"),
    ("dotnet", "dotnet exec --depsfile x.json game.dll", "game.dll", "game.dll"),
    ("deno", "deno run -A game.ts", "game.ts", "game.ts"),
    ("mono-sgen", "mono --debug game.exe", "game.exe", "game.exe"),
    ("love", "love game.love", "game.love", "game.love"),
    ("julia", "julia --project=. game.jl", "game.jl", "game.jl"),
    ("expect", "expect -f game.exp", "game.exp", "game.exp"),
    ("wine64-preloader", "wine64-preloader /usr/lib/wine/wine64 ./game.dat", "game.dat", "./game.dat"),
    ("wine64-preloader", "Z:\\home\\mia\\game.dat", "game.dat", "Z:\\home\\mia\\game.dat"),
]
THEMSELVES = [
    ("bash", "bash -i", "bash"),
    ("bash", "-bash", "bash"),
    ("dash", "sh -c game", "dash"),
    ("bash", "bash -lc game", "bash"),
    ("busybox", "busybox vi notes", "vi"),
    ("busybox", "/bin/ls -l", "ls"),
    ("snap", "snap list", "snap"),
    ("flatpak", "flatpak update", "flatpak"),
    ("env", "env", "env"),
    ("wine64-preloader", "wine64-preloader", "wine64-preloader"),
    ("ld-linux-x86-64.so.2", "ld.so --list", "ld-linux-x86-64.so.2"),
    ("qemu-x86_64", "qemu-x86_64 -version", "qemu-x86_64"),
    ("wine", "wine --version", "wine"),
]


@pytest.mark.parametrize(("program", "line", "name", "file"), CASES)
def test_is_judged_by_what_it_runs(program: str, line: str, name: str, file: str) -> None:
    found = inner(family(program), program, line.split())
    assert (found.name, found.file, found.own) == (name, file, False)


@pytest.mark.parametrize(("program", "line", "name"), THEMSELVES)
def test_is_the_program_itself(program: str, line: str, name: str) -> None:
    found = inner(family(program), program, line.split())
    assert found.own and found.name == name and not found.file


def test_the_whole_class_path_counts() -> None:
    found = inner("java", "java", ["java", "-cp", "/opt/a.jar:/home/mia/b.jar", "Main"])
    assert found == Inner("Main", "/opt/a.jar", ("/home/mia/b.jar",))


@pytest.mark.parametrize(
    ("program", "line", "others"),
    [
        ("ld-linux-x86-64.so.2", "ld.so --library-path /home/mia:/usr/lib --preload /x.so:libz.so ./game",
         ("/home/mia", "/usr/lib", "/x.so")),
        ("ld-linux-x86-64.so.2", "ld.so --preload=/x.so ./game", ("/x.so",)),
        ("java", "java -javaagent:/x.jar=opt -Xbootclasspath/a:/y.jar -jar game.jar", ("/x.jar", "/y.jar")),
        ("java", "java --patch-module java.base=/x --module-path /m -cp a.jar Main", ("/x", "/m")),
        ("perl", "perl -I/x -Mevil -I y /usr/games/frozen", ("/x", "evil", "y")),
        ("ruby", "ruby -revil game.rb", ("evil",)),
        ("node", "node --require ./x.js --import=./y.js game.js", ("./x.js", "./y.js")),
        ("php", "php -d auto_prepend_file=/x.php game.php", ("auto_prepend_file=/x.php",)),
        ("lua5.4", "lua -l evil game.lua", ("evil",)),
        ("gjs-console", "gjs-console -I /x game.js", ("/x",)),
        ("python3", "python3 -B game.py", ()),
    ],
)  # fmt: skip
def test_what_is_loaded_besides_counts_too(program: str, line: str, others: tuple[str, ...]) -> None:
    assert inner(family(program), program, line.split()).others == others


def test_windows_programs_are_named_by_their_file() -> None:
    found = inner("wine", "wine64-preloader", ["C:\\Games\\Doom\\DOOM.EXE", "-fast"])
    assert (found.name, found.file) == ("DOOM.EXE", "C:\\Games\\Doom\\DOOM.EXE")


@pytest.mark.parametrize(
    "name",
    [
        "firefox",
        "pythonista",
        "javac",
        "shutter",
        "nodemon",
        "winecfg-gui",
        "busyboxer",
        "qemu-system-x86_64",
        "lovely",
        "libc.so.6",
        "ld.so.conf",
        "rubygems",
        "",
    ],
)
def test_other_programs_are_no_interpreters(name: str) -> None:
    assert family(name) == ""


words = st.lists(
    st.one_of(st.text(max_size=8), st.sampled_from(["-c", "-m", "-e", "-jar", "-cp", "--", "-", "-o", "run", "@x"])),
    max_size=8,
)


@given(st.sampled_from(sorted({program for program, *_ in CASES})), words)
def test_any_command_line_has_an_answer(program: str, argv: list[str]) -> None:
    """A child writes the command line: it must neither crash the service nor name a file that is not in it."""
    found = inner(family(program), program, argv)
    assert found.name
    if found.file:
        assert any(found.file in word for word in argv)
