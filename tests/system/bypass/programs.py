"""Starting what may not run.  mia's account: an allow-list, where a game is blocked as anything unknown is."""

from __future__ import annotations

import time

from tests.system.box import kill
from tests.system.bypass.attack import Outcome, attack
from tests.system.bypass.lab import GAMES, WATCHED, Lab, all_of

NAMES = (
    "bash", "sh", "ls", "firefox", "libreoffice", "soffice.bin", "python3", "gnome-shell", "systemd", "Xorg", "cat", "sleep",
    "nautilus", "code", "anki", "geogebra", "allowed-game", "fairtime", "(sd-pam)", "sshd",
)  # fmt: skip
"""Twenty names that a limit by name would let pass."""


def _line(id_: str, title: str, line: str, *rows: int, limit: str = "", stdin: str = "") -> None:
    """An attack that is one shell line of mia's."""

    def run(lab: Lab) -> Outcome:
        return lab.play(lab.mia, line, stdin=stdin)

    attack(id_, title, *rows, limit=limit)(run)


_line("plain", "start a blocked game", "$BAG/game")
_line("stubborn", "a blocked game that ignores every signal it can", "STUBBORN=1 $BAG/game", 4)
_line("static", "a statically linked game", "$BAG/game-static")
_line("hard-link", "a hard link to the game under another name", "ln $BAG/game ./notes && ./notes", 7)
_line("symlink", "a symlink with an allowed game's name", "ln -s $BAG/game ./allowed-game && ./allowed-game", 7)
_line("path-tricks", "the game by a path with .., //, /proc/self/cwd and a shell's PATH",
      f'cd $BAG; {GAMES}/../../..//$BAG/game; /proc/self/cwd/game; PATH=$BAG game')  # fmt: skip
_line("home-bin", "unpacked for one user: ~/.local/bin with a menu entry",
      "mkdir -p ~/.local/bin ~/.local/share/applications; cp $BAG/game ~/.local/bin/study; "
      "printf '[Desktop Entry]\\nType=Application\\nName=Study\\nExec=%s\\n' ~/.local/bin/study "
      ">~/.local/share/applications/org.gnome.Settings.desktop; ~/.local/bin/study", 10)  # fmt: skip
_line("tar-shm", "tar to /dev/shm and start there",
      "tar -C $BAG -cf - game | tar -C /dev/shm -xf - && mv /dev/shm/game /dev/shm/mia-notes && /dev/shm/mia-notes", 8)  # fmt: skip
_line("appimage", "an AppImage under another name",
      "cp $BAG/game-static ./homework; printf 'AI\\002' | dd of=./homework bs=1 seek=8 conv=notrunc status=none; ./homework",
      7, 10)  # fmt: skip
_line("userns", "unshare -Urm: root of a namespace of one's own", "unshare -Urm $BAG/game", 13)
_line("userns-bind", "a bind mount over an allowed game in a user namespace",
      f"unshare -Urm sh -c 'mount --bind $BAG/game {GAMES}/allowed-game && exec {GAMES}/allowed-game'", 8, 13)  # fmt: skip
_line("userns-bind-dir", "a bind mount over /usr/bin in a user namespace",
      "unshare -Urm sh -c 'mkdir b; cp $BAG/game-static b/ls; mount --bind b /usr/bin && exec /usr/bin/ls'", 8, 13)  # fmt: skip
_line("userns-overlay", "an overlay over /usr/local/games in a user namespace",
      f"unshare -Urm sh -c 'mkdir u w; cp $BAG/game u/allowed-game; "
      f"mount -t overlay o -o lowerdir={GAMES},upperdir=u,workdir=w {GAMES} && exec {GAMES}/allowed-game'", 8, 13)  # fmt: skip
_line("userns-tmpfs", "a new tmpfs in a user namespace, which no gate has seen",
      "unshare -Urm sh -c 'mount -t tmpfs t /mnt && cp $BAG/game-static /mnt/ls && exec /mnt/ls'", 8, 13)  # fmt: skip
_line("userns-chroot", "a root folder of one's own, with the game as /usr/bin/ls",
      "mkdir -p r/usr/bin && cp $BAG/game-static r/usr/bin/ls && mkdir -p r$HERE && unshare -Urm chroot r /usr/bin/ls & "
      "sleep 1; ls r$HERE; wait", 8, 13)  # fmt: skip
_line("userns-pid", "own process, network and IPC namespaces", "unshare -Urmpinf --mount-proc $BAG/game", 13)
_line("subuid", "another uid from /etc/subuid, so that the game is nobody's",
      "unshare --map-auto --map-root-user -m setpriv --reuid=1000 --clear-groups $BAG/game", 13, 15)  # fmt: skip
_line("bubblewrap", "a sandbox (bwrap) with the game in a tmpfs",
      "bwrap --ro-bind / / --tmpfs /opt --ro-bind $BAG/game /opt/ls --dev /dev --proc /proc --bind $HERE $HERE /opt/ls", 13)  # fmt: skip
_line("preload", "LD_PRELOAD into an allowed program", "LD_PRELOAD=$BAG/inside.so sleep 60")
_line("audit", "LD_AUDIT into an allowed program", "LD_AUDIT=$BAG/inside.so sleep 60")
_line("loader", "ld.so starts the game", "/lib64/ld-linux-x86-64.so.2 $BAG/game", 12)
_line("loader-preload", "ld.so --preload with an allowed program",
      "/lib64/ld-linux-x86-64.so.2 --preload $BAG/inside.so /usr/bin/sleep 60")  # fmt: skip
_line("fd", "the game by a descriptor: /proc/self/fd/3", "exec 3<$BAG/game; /proc/self/fd/3")
_line("sh-file", "a shell script given to sh", "sh $BAG/game.sh", 12)
_line("sh-shebang", "a shell script started by its first line", "$BAG/game.sh", 12)
_line("sh-source", "a shell script read by “.” in a shell", ". $BAG/game.sh", 12, limit="shell-words")
_line("sh-stdin", "a shell script on a shell's standard input", "sh <$BAG/game.sh", 12, limit="shell-words")
_line("python-file", "python3 FILE", "python3 $BAG/game.py", 12)
_line("python-c", "python3 -c", 'python3 -c "$(cat $BAG/game.py)"', 12)
_line("python-stdin", "python3 on standard input", "python3 <$BAG/game.py", 12)
_line("python-m", "python3 -m with PYTHONPATH", "PYTHONPATH=$BAG python3 -m game", 12)
_line("python-site", "python3 with a protected script and a sitecustomize of one's own",
      "mkdir s; cp $BAG/game.py s/sitecustomize.py; PYTHONPATH=$PWD/s python3 /usr/lib/python3.11/this.py", 12)  # fmt: skip
_line("perl", "perl FILE, perl -e", 'perl $BAG/game.pl; perl -e "$(cat $BAG/game.pl)"', 12)
_line("shebang", "a script whose first line names its interpreter", "$BAG/game.py; $BAG/game.pl", 12)
_line("busybox", "busybox applets: busybox sh FILE, a copy of busybox as ls",
      "busybox sh $BAG/game.sh; cp $(which busybox) ./ls; ./ls; ln -s ./ls sh; ./sh $BAG/game.sh", 12)  # fmt: skip
_line(
    "busybox-setsid",
    "busybox starts the game",
    "busybox setsid $BAG/game; busybox nice $BAG/game; busybox env $BAG/game",
    12,
)
_line("launchers", "env, nohup, nice, timeout, xargs, find, script start the game",
      "env $BAG/game & nohup $BAG/game & nice $BAG/game & timeout 60 $BAG/game & echo $BAG/game | xargs -n1 env & "
      "find $BAG/game -exec {} \\; & script -qc $BAG/game /dev/null & wait", 12)  # fmt: skip
_line("interpreter-copy", "a copy of python3 in the home folder runs the game",
      "cp /usr/bin/python3 ./notes; ./notes $BAG/game.py; cp /usr/bin/perl ./other; ./other $BAG/game.pl", 8, 12)  # fmt: skip
_line("user-unit", "a systemd user unit",
      "systemd-run --user --quiet --setenv=LIFE=$LIFE $BAG/game; mkdir -p ~/.config/systemd/user; printf "
      "'[Service]\\nEnvironment=LIFE=%s\\nExecStart=%s/game\\nRestart=always\\n' $LIFE $BAG >~/.config/systemd/user/g.service; "
      "systemctl --user daemon-reload; systemctl --user start g; sleep 3; systemctl --user stop g", 5)  # fmt: skip
_line("at", "at now", "echo LIFE=$LIFE $BAG/game | at now", 5)
_line("memfd", "memfd_create and fexecve (python -c)",
      "python3 -c 'import os; f=os.memfd_create(\"ls\"); os.write(f, open(os.environ[\"BAG\"]+\"/game-static\",\"rb\").read()); "
      "os.execve(f, [\"ls\"], os.environ)'")  # fmt: skip
_line("pkexec", "pkexec and sudo start the game", "pkexec $BAG/game </dev/null; sudo -n $BAG/game; sudo -S $BAG/game", 12, 17,
      stdin="mia-lab\n")  # fmt: skip


@attack("rename", "twenty well-known names for the game", 7)
def rename(lab: Lab) -> Outcome:
    tries = " ".join(f"'{name}'" for name in NAMES)
    return lab.play(lab.mia, f'for n in {tries}; do cp $BAG/game "./$n"; "./$n" 2 & done; wait')


@attack("folders", "copies in every folder a child can write", 8)
def folders(lab: Lab) -> Outcome:
    places = "/tmp /var/tmp /dev/shm $XDG_RUNTIME_DIR ~/.cache ~/Desktop /run/lock"
    line = f"for d in {places}; do mkdir -p $d; cp $BAG/game $d/mia-copy && $d/mia-copy 3 & done; wait; rm -f /tmp/mia-copy"
    return lab.play(lab.mia, line)


@attack("stick", "a USB stick that is plugged in while the service runs", 9)
def stick(lab: Lab) -> Outcome:
    # What the desktop's disk service does for whoever sits at the PC; a stick is a file system that was not there before.
    lab.box.run(
        "mkdir -p /media/mia/STICK && mount -t tmpfs -o nosuid,nodev,uid=mia stick /media/mia/STICK && "
        "cp /home/mia/bag/game /media/mia/STICK/ && chmod 755 /media/mia/STICK/game"
    ).check()
    try:
        return lab.play(lab.mia, "/media/mia/STICK/game; cp /media/mia/STICK/game ./copied; ./copied")
    finally:
        lab.box.run("umount -l /media/mia/STICK")


@attack("detach", "setsid, double fork, a daemon that detaches again and again", 4)
def detach(lab: Lab) -> Outcome:
    line = "setsid -f $BAG/game; (setsid sh -c '( STUBBORN=1 $BAG/game & ) & exit' &); while :; do setsid -f $BAG/game 5; sleep 0.2; done"
    return lab.play(lab.mia, line)


@attack("re-exec", "an allowed program becomes the game after it has been judged (/proc/self/exe, exec)", 12)
def re_exec(lab: Lab) -> Outcome:
    return lab.play(
        lab.mia, "sh -c 'sleep 2; exec $BAG/game' & bash -c 'sleep 1; cp $BAG/game x; exec -a /usr/bin/ls ./x' & wait"
    )


@attack("swap", "swap the file between the look and the start, five hundred times", 7)
def swap(lab: Lab) -> Outcome:
    line = (
        f"(i=0; while [ $i -lt 500 ]; do ln -sfn {GAMES}/allowed-game s; ln -sfn $BAG/game s; i=$((i+1)); done) & "
        "i=0; while [ $i -lt 200 ]; do LIFE=$LIFE.any ./s 0 2>/dev/null; i=$((i+1)); done; wait; "
        f"ln -sfn {GAMES}/allowed-game s; ln -sfn $BAG/game s; ./s"
    )
    return lab.play(lab.mia, line)


@attack("signals", "SIGSTOP and kill at the service and its gate, nice −20 for the game", 4, 5)
def signals(lab: Lab) -> Outcome:
    before = lab.box.fairtime.pid
    line = (
        "for p in $(pgrep -f 'fairtime'); do kill -STOP $p; kill -9 $p; done; renice -n 19 $(pgrep -f fairtime); "
        "nice -n -20 $BAG/game"
    )
    outcome = lab.play(lab.mia, line)
    after = lab.box.fairtime.pid
    return Outcome(
        outcome.held and before == after, f"service {'the same' if before == after else 'another'}; {outcome.evidence}"
    )


@attack("race", "two hundred copies at once, each with a new name", 4, 7)
def race(lab: Lab) -> Outcome:
    """Each writes a life of its own: how many lived, and the longest of them."""
    life = lab.life("mia")
    line = f"cd {life.rpartition('/')[0]}; i=0; while [ $i -lt 200 ]; do cp ~/bag/game-static ./n$i; LIFE={life}.$i ./n$i 60 & i=$((i+1)); done; wait"
    door = lab.mia.spawn(line)
    time.sleep(10)
    lives = [
        lab.played(f"{life}.{n}")
        for n in lab.box.run(f"cd {life.rpartition('/')[0]}; ls | sed -n 's/^life.//p'").out.split()
    ]
    alive = lab.box.run("pgrep -u mia '^n[0-9]+$' | wc -l").out.strip()
    lab.box.run("pkill -9 -u mia '^n[0-9]+$'")
    kill(door)
    door.communicate()
    words = f"{len(lives)} of 200 ran, the longest {max(lives, default=0):.2f} s; {alive} alive after 10 s"
    return Outcome(alive == "0" and max(lives, default=0) < WATCHED, words)


@attack("blocked-by-package", "block-list: a packaged game by its menu name, a shell and a symlink", 7)
def blocked_by_package(lab: Lab) -> Outcome:
    """leo's account: everything may run except what is named; the group games knows Debian's package."""
    tries = ("/usr/games/sl", "exec /usr/games/sl", "ln -s /usr/games/sl ./x && ./x", "setsid -w /usr/games/sl")
    found = []
    for line in tries:
        done = lab.leo.run(f"TERM=dumb timeout 4 sh -c '{line}'", timeout=6)
        found.append((line, Outcome(done.code not in (0, 124), f"exit {done.code} {done.err.strip()[:60]}")))
    return all_of(found)


@attack("blocked-copy", "block-list: a copy of a blocked game under another name", 7, 8, limit="block-list-copies")
def blocked_copy(lab: Lab) -> Outcome:
    done = lab.leo.run("cp /usr/games/sl ~/notes && TERM=dumb timeout 4 ~/notes", timeout=6)
    return Outcome(done.code not in (0, 124), f"exit {done.code} {done.err.strip()[:60]}")
