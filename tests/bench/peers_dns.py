"""The name servers beside which ours is measured, each with the same blocked names, and what asks them (dnsperf).

dnsmasq and unbound come from Debian's packages, unpacked into a cache folder where they are not installed: installing unbound
would start a server on this machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.bench.peers_install import Place, unpacked
from tests.lists import bound, read_to
from tests.resolving import Resolver, lane, plan

GROUP = "adult"
SEEDS = (
    "shop",
    "video",
    "news",
    "play",
    "photo",
    "live",
    "world",
    "data",
    "free",
    "best",
    "my",
    "the",
    "top",
    "net",
    "web",
)
ENDINGS = ("com", "net", "org", "de", "co.uk", "info", "ru", "com.br", "io", "fr")
PATIENCE = 120


def names(count: int) -> Iterator[str]:
    """Made-up names like those on lists: a third random, almost half below another's; always the same ones."""
    state = 1
    for number in range(count):
        state = state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 & (1 << 64) - 1
        rest = state >> 16
        ending = ENDINGS[rest % len(ENDINGS)]
        if number % 10 < 3:
            middle = f"{rest:x}"[-11:]
        else:
            middle = f"{SEEDS[rest % 15]}{SEEDS[rest // 15 % 15]}{number:x}"
        yield f"{SEEDS[rest // 225 % 15]}{number % 97}.{middle}.{ending}" if number % 20 < 9 else f"{middle}.{ending}"


def find(name: str, cache: Path, *packages: str) -> Place:
    """A program by name, from this machine or from Debian's packages."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    return Place(Path(found)) if found else unpacked(cache, name, *packages)


@contextlib.contextmanager
def running(command: list[str], port: int, ready: str) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A server, once it answers for the name ``ready``, and the seconds that this took."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(Path(command[0]))
    )
    try:
        wait_for(ready, port, lambda: process.poll() is None)
        yield process, time.perf_counter() - began
    finally:
        process.kill()
        process.wait()


def _environment(program: Path) -> dict[str, str]:
    """In which a program finds its libraries, also one that is unpacked and not installed."""
    folder = program.parents[1]
    libraries = {str(place.parent) for place in folder.rglob("*.so.*")} if "peers" in folder.parts else ()
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}


def wait_for(name: str, port: int, alive: Callable[[], bool]) -> None:
    """Until a server answers."""
    until = time.monotonic() + PATIENCE
    message = dns.message.make_query(name, "A")
    while time.monotonic() < until and alive():
        with contextlib.suppress(OSError, dns.exception.DNSException):
            dns.query.udp(message, "127.0.0.1", timeout=0.2, port=port)
            return
        time.sleep(0.01)
    raise RuntimeError(f"no answer at port {port}")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def everything(folder: Path, port: int) -> list[str]:
    """The server behind all of them, as words for unbound: any name has one address."""
    text = (
        f'server:\n do-daemonize: no\n username: ""\n chroot: ""\n directory: "{folder}"\n pidfile: ""\n use-syslog: no\n'
        f" interface: 127.0.0.1\n port: {port}\n num-threads: 1\n verbosity: 0\n do-ip6: no\n"
        ' local-zone: "." redirect\n local-data: ". 3600 IN A 192.0.2.1"\nremote-control:\n control-enable: no\n'
    )
    (folder / "everything.conf").write_text(text)
    return ["-d", "-c", str(folder / "everything.conf")]


def dnsmasq(folder: Path, blocked: Path, port: int, upstream: int) -> list[str]:
    conf = folder / "dnsmasq.conf"
    with blocked.open() as lines, conf.open("w") as out:
        out.write(f"port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nno-daemon\n")
        out.write(f"server=127.0.0.1#{upstream}\ncache-size=10000\nuser=root\npid-file=\nlocal-ttl=2\n")
        out.writelines(f"address=/{line.rstrip()}/127.84.0.1\n" for line in lines)
    return ["-k", "-C", str(conf)]


def unbound(folder: Path, blocked: Path, port: int, upstream: int) -> list[str]:
    conf = folder / "unbound.conf"
    with blocked.open() as lines, conf.open("w") as out:
        out.write(
            f'server:\n do-daemonize: no\n username: ""\n chroot: ""\n directory: "{folder}"\n pidfile: ""\n use-syslog: no\n'
            f" interface: 127.0.0.1\n port: {port}\n num-threads: 1\n verbosity: 0\n do-ip6: no\n do-not-query-localhost: no\n"
            " module-config: iterator\n"
        )
        out.writelines(f' local-zone: "{line.rstrip()}" always_nxdomain\n' for line in lines)
        out.write(
            f'forward-zone:\n name: "."\n forward-addr: 127.0.0.1@{upstream}\nremote-control:\n control-enable: no\n'
        )
    return ["-d", "-c", str(conf)]


def book(folder: Path, blocked: Path) -> Path:
    """The compiled list for ours."""
    read_to(blocked, folder / "names", "domains")
    bound(folder / "book", (folder / "names", {"": GROUP}))
    return folder / "book"


def ours(book: Path, upstream: int) -> tuple[Resolver, float]:
    """Our resolver, once it answers, and the seconds that this took."""
    from agent.model.site import GroupRule

    began = time.perf_counter()
    rules = plan(otherwise="allow", groups=(GroupRule(group=GROUP, action="block", rule="group:adult"),))
    resolver = Resolver(lane(rules), book=book, upstreams=(f"127.0.0.1:{upstream}",))
    resolver.ask("ready.example.org")
    return resolver, time.perf_counter() - began


def memory(pid: int) -> float:
    """MiB resident."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024  # type: ignore[index]  # every process has the line


class Flood:
    """dnsperf over a file of questions."""

    def __init__(self, dnsperf: Path, questions: Path) -> None:
        self._env = _environment(dnsperf)
        self._command = [str(dnsperf), "-f", "inet", "-s", "127.0.0.1", "-d", str(questions)]

    def rate(self, port: int, seconds: int) -> tuple[float, float]:
        """Questions answered in a second with a hundred out from eight clients, and the share that was lost."""
        out = self._run("-p", str(port), "-c", "8", "-q", "100", "-l", str(seconds))
        sent, lost = _number(r"Queries sent:\s+(\d+)", out), _number(r"Queries lost:\s+(\d+)", out)
        return _number(r"Queries per second:\s+([\d.]+)", out), lost / max(1.0, sent)

    def latency(self, port: int, seconds: int) -> tuple[float, float]:
        """Milliseconds at a thousand questions a second: half and ninety-nine of a hundred took no longer."""
        out = self._run("-p", str(port), "-c", "8", "-Q", "1000", "-l", str(seconds), "-v")
        times = sorted(float(found) for found in re.findall(r"^> \S+ \S+ \S+ ([\d.]+)$", out, re.M))
        return 1e3 * times[len(times) // 2], 1e3 * times[len(times) * 99 // 100]

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [*self._command, *words], capture_output=True, text=True, check=True, timeout=PATIENCE, env=self._env
        )
        return done.stdout


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1])
