"""Figures of the site lists: what it takes to read and compile one, and to look names up in the book.

``rows()`` gives the rows of ``make bench``; run as a program it prints them.  The names are made up: nearly half have a label
below the registered one, a third is random; the peer is a Python set of the same names, walked in the same way.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from agent.model.sitelist import NAMES_A_TRIE, Bound, Reading, Source, ToBind, ToRead
from tests.bench.rows import Row, line, row

ROOT = Path(__file__).resolve().parents[2]
SYLLABLES = [
    "ba",
    "ko",
    "net",
    "shop",
    "play",
    "max",
    "lu",
    "tri",
    "zen",
    "ora",
    "mi",
    "top",
    "vid",
    "fun",
    "car",
    "bet",
    "win",
    "pix",
    "go",
    "ly",
]
ENDINGS = ["com", "net", "org", "de", "io", "xyz", "ru", "top", "info", "co.uk", "fr", "site"]
ASKED = 100_000
ROUNDS = 5

# In a process of its own: its memory is the book's and nobody else's.
WALK = """
import json, sys, time
from pathlib import Path
from agent.filter.lists.book import Book
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
def best(look, hosts, rounds):
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for host in hosts:
            look(host)
        found.append((time.perf_counter() - began) / len(hosts) * 1e6)
    return min(found)
hosts = Path(sys.argv[2]).read_text().split()
before = rss()
began = time.perf_counter()
book = Book.open(Path(sys.argv[1]))
loaded = time.perf_counter() - began
listed = sum(bool(book.covering(host)) for host in hosts)
grown = rss() - before
walk = best(book.covering, hosts, int(sys.argv[3]))
registrable = best(book.registrable, hosts, 2)
names = set(Path(sys.argv[4]).read_text().split("\\n")[1:])
def plain(host):
    found = []
    while host:
        if host in names:
            found.append((host, 1))
        host = host.partition(".")[2]
    return found
print(json.dumps([loaded, grown, listed, walk, registrable, best(plain, hosts, int(sys.argv[3]))]))
"""


def names(count: int) -> Iterator[str]:
    """Made-up names, the same each time."""
    luck = random.Random(5)
    for number in range(count):
        label = "".join(luck.choices(SYLLABLES, k=luck.randint(2, 4)))
        label += f"{luck.getrandbits(40):x}" if luck.random() < 0.3 else str(number)
        below = f"{luck.choice(('www', 'ads', 'm', 'cdn'))}{luck.randrange(100)}." if luck.random() < 0.45 else ""
        yield f"{below}{label}.{luck.choice(ENDINGS)}"


def rows() -> Iterator[Row]:
    for millions in (1, 5):
        with tempfile.TemporaryDirectory(prefix="fairtime-bench-") as folder:
            yield from _rows(Path(folder), millions)


def _rows(folder: Path, millions: int) -> Iterator[Row]:
    count, words = millions * 1_000_000, f"{millions} M names"
    source, asked = folder / "hosts.txt", []
    luck = random.Random(7)
    with source.open("w") as file:
        for name in names(count):
            file.write(f"0.0.0.0 {name}\n")
            if luck.random() < ASKED / 2 / count:
                asked += [f"www.{name}", f"x{luck.getrandbits(30)}.{name.partition('.')[2]}x.com"]
    luck.shuffle(asked)
    (folder / "asked").write_text("\n".join(asked))
    with ExitStack() as stack:
        read = _open(stack, folder / "names")
        reading, took, most = _job("list", msgspec.json.encode(ToRead(path=str(source), out=read)), (read,))
        assert msgspec.json.decode(reading, type=Reading).names == count
        yield row(f"lists: a list of {words}, read by its job", took, "s", None)
        yield row(f"lists: memory of that job, {words}", most, "MiB", 128)
        book = _open(stack, folder / "book")
        scratch = [_open(stack, folder / f"scratch{n}") for n in range(-(-count // NAMES_A_TRIE))]
        request = ToBind(sources=(Source(names=read, groups={"": "games"}),), scratch=tuple(scratch), out=book)
        bound, took, most = _job("book", msgspec.json.encode(request), (read, book, *scratch))
        found = msgspec.json.decode(bound, type=Bound)
        assert found.names > count * 0.99
        yield row(f"lists: {words} compiled by its job", took, "s", None)
        yield row(f"lists: memory of that job, {words}", most, "MiB", 384)
        yield row(f"lists: the book of {words}", found.bytes / 2**20, "MiB on disk", None)
    done = subprocess.run(
        [sys.executable, "-c", WALK, folder / "book", folder / "asked", str(ROUNDS), folder / "names"],
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    loaded, grown, listed, walk, registrable, plain = json.loads(done.stdout)
    assert abs(listed - len(asked) / 2) < len(asked) / 100
    yield row(f"lists: a book of {words} opened and its sum checked", loaded, "s", 0.5)
    yield row(f"lists: memory it adds to a process, all of it in use, {words}", grown, "MiB", 15 * millions)
    yield row(f"lists: a walk through {words}, half of them listed", walk, "µs", 2.0, "Python set", plain)
    if millions == 1:
        yield row("lists: the registrable name of a host", registrable, "µs", None)


def _open(stack: ExitStack, path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor


def _job(name: str, request: bytes, files: tuple[int, ...]) -> tuple[bytes, float, float]:
    """A job's answer, the seconds that it took, and the most memory that it held (MiB)."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as answer:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "job", name],
            stdin=subprocess.PIPE,
            stdout=answer,
            pass_fds=files,
            cwd=ROOT,
        )
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        answer.seek(0)
        return answer.read(), time.perf_counter() - began, usage.ru_maxrss / 1024


if __name__ == "__main__":
    from tests.bench.run import line

    for one in rows():
        print(line(one), flush=True)
