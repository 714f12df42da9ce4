"""A network of its own for one test run: ``python -m tests.sites.netlab NAME`` runs ``NAME`` of this module in new namespaces.

Nothing in here touches the machine's own firewall or leaves it: the process has its own network and mount namespace, with a
second host (``away``) behind a pair of virtual cables that answers on every port that matters.  What was found is printed as
one JSON document.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

if sys.platform != "linux":
    raise ImportError("namespaces are Linux's")

from agent.filter import nft
from agent.platforms.linux.firewall import Firewall

MIA, MIA_CONTAINER, LEO, ANA = 31001, 131001, 31002, 31003
AWAY4, AWAY6, DOH4, DOH6 = "192.0.2.53", "2001:db8::53", "192.0.2.54", "2001:db8::54"
PORTS = {MIA: (5301, 5401), LEO: (5302, 5402)}
WAYS = (
    nft.Way(uids=((MIA, MIA), (131000, 131999)), dns_port=5301, page_port=5401),
    nft.Way(uids=((LEO, LEO),), dns_port=5302, page_port=5402),
)
DOH = (DOH4, DOH6)
PATIENCE = 1.0


def unable() -> str:
    """Why this machine cannot make such a network; empty when it can."""
    if os.geteuid() != 0:
        return "namespaces and firewalls need root"
    for program in ("unshare", "ip", "nft"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            return f"{program} is not installed (make desktop-packages)"
    return ""


def run(name: str) -> dict[str, object]:
    """Run a function of this module in namespaces of its own; what it returned."""
    return apart("tests.sites.netlab", name)


def apart(module: str, *words: str, timeout: float = 120) -> dict[str, object]:
    """Run ``python -m MODULE WORDS`` in namespaces of its own, where nothing outlives it; the JSON of its last line."""
    done = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--propagation", "private",
         sys.executable, "-m", module, *words],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def sh(line: str) -> None:
    subprocess.run(["sh", "-ec", line], check=True)


def etc_of_its_own() -> None:
    """A copy of /etc in memory for this namespace alone, in which no browser has rules; /mnt is free for more.  (Debian's
    Firefox does not make the folder from which it takes rules, so nothing could be mounted there.)"""
    sh("mount -t tmpfs none /mnt; cp -a /etc /mnt/etc; mount --bind /mnt/etc /etc; rm -rf /etc/chromium /etc/firefox")


# ---- the world -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def world() -> Iterator[None]:
    """Two hosts.  Whoever is asked answers with its name: ``away:PORT`` or ``here:PORT``."""
    sh("mount -t tmpfs none /run; ip link set lo up; ip netns add away")
    sh(
        "ip link add out type veth peer name in netns away; ip link set out up; ip -n away link set lo up; "
        "ip -n away link set in up; sysctl -qw net.ipv6.conf.out.accept_dad=0; ip netns exec away sysctl -qw net.ipv6.conf.in.accept_dad=0; "
        "ip addr add 192.0.2.1/24 dev out; ip -6 addr add 2001:db8::1/64 dev out nodad; "
        "for a in 53 54; do ip -n away addr add 192.0.2.$a/24 dev in; ip -n away -6 addr add 2001:db8::$a/64 dev in nodad; done; "
        "ip -n away -6 addr add fe80::53/64 dev in nodad"
    )
    away = subprocess.Popen(
        ["ip", "netns", "exec", "away", sys.executable, "-m", "tests.sites.netlab", "serve_away"],
        stdout=subprocess.PIPE,
    )
    assert away.stdout is not None
    assert away.stdout.readline() == b"ready\n"
    serve("here", [port for ports in PORTS.values() for port in ports], ("127.0.0.1", "::1"))
    serve("stub", [53], ("127.0.0.53",))
    try:
        yield
    finally:
        away.kill()
        away.wait()


def serve_away() -> None:
    serve("away", [53, 80, 443, 784, 853, 8853, 8080], (AWAY4, AWAY6, *DOH))
    serve("away", [53], ("fe80::53%in",))
    print("ready", flush=True)
    threading.Event().wait()


def serve(name: str, ports: list[int], addresses: tuple[str, ...]) -> None:
    """Answer on these, TCP and UDP, in threads that end with the process."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in ports:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                one = socket.socket(family, kind)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind(_where(address, port))
                work = _datagrams if kind == socket.SOCK_DGRAM else _streams
                threading.Thread(target=work, args=(one, f"{name}:{port}".encode()), daemon=True).start()


def _datagrams(one: socket.socket, answer: bytes) -> None:
    while True:
        _, who = one.recvfrom(512)
        one.sendto(answer, who)


def _streams(one: socket.socket, answer: bytes) -> None:
    one.listen(16)
    while True:
        line, _ = one.accept()
        threading.Thread(target=_stream, args=(line, answer), daemon=True).start()


def _stream(line: socket.socket, answer: bytes) -> None:
    with line, contextlib.suppress(ConnectionError):
        while line.recv(64):
            line.sendall(answer)


def ask(uid: int, kind: str, address: str, port: int, source: int = 0) -> str:
    """Who answers ``uid`` there: ``away:53`` and so on, ``refused``, or ``nothing``.  ``source``: the port it is asked from."""
    out, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.write(end, _ask(kind, address, port, source).encode())
        finally:
            os._exit(0)
    os.close(end)
    with os.fdopen(out, "rb") as told:
        said = told.read().decode()
    os.waitpid(pid, 0)
    return said


def _ask(kind: str, address: str, port: int, source: int) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as one:
        one.settimeout(PATIENCE)
        # Its end leaves nothing of a connection, so that the next may come from the same port.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            one.bind(("", source))
            one.connect(_where(address, port))
            return _said(one)
        except (ConnectionError, PermissionError):
            return "refused"
        except TimeoutError:
            return "nothing"
        except OSError as error:
            return f"{error.strerror}"


def _said(one: socket.socket) -> str:
    try:
        one.send(b"?")
        return one.recv(64).decode()
    except (ConnectionError, PermissionError):
        return "refused"


def _where(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    host, _, link = address.partition("%")
    return (host, port, 0, socket.if_nametoindex(link) if link else 0) if ":" in host else (host, port)


# ---- what is tried ---------------------------------------------------------------------------------------------------

ROADS = [
    (kind, address, port)
    for kind in ("udp", "tcp")
    for address in (AWAY4, AWAY6)
    for port in (53, 853, 784, 8853, 443, 8080)
] + [(kind, address, 443) for kind in ("udp", "tcp") for address in DOH]
NEAR = [(kind, address, 53) for kind in ("udp", "tcp") for address in ("127.0.0.53", "fe80::53%out")]
PAGES = [("tcp", "127.84.0.1", 80), ("tcp", "127.84.0.1", 443), ("udp", "127.84.0.1", 443)]
SISTERS = [
    (kind, address, port) for kind in ("udp", "tcp") for address in ("127.0.0.1", "::1") for port in (5301, 5302)
]


def roads() -> dict[str, object]:
    """Every road, for every account, with the firewall in force."""
    with world():
        Firewall().put(nft.script(WAYS, DOH))
        every = [*ROADS, *NEAR, *PAGES, *SISTERS]
        return {
            name: {f"{kind} {address} {port}": ask(uid, kind, address, port) for kind, address, port in every}
            for name, uid in {"mia": MIA, "container": MIA_CONTAINER, "leo": LEO, "ana": ANA}.items()
        }


def keeping() -> dict[str, object]:
    """What a firewall notices and mends, and what it leaves alone."""
    found: dict[str, object] = {}
    one = Firewall()
    sh("nft 'table ip others { chain mine { tcp dport 99 accept; }; }'")
    one.put(nft.script(WAYS, DOH))
    found["quiet"] = [one.look(1), one.look(4_001)]
    for number, deed in enumerate((
        "nft delete table inet fairtime", "nft flush table inet fairtime", "nft flush ruleset",
        "nft insert rule inet fairtime doors accept", "nft add element inet fairtime doh4 '{ 198.51.100.1 }'",
        "nft 'delete element inet fairtime doh4 { 192.0.2.54 }'",
    )):  # fmt: skip
        sh(deed)
        asked = one.look(10_000 * (number + 1))
        one.mend(0)
        found[deed] = [asked, [m.what for m in one.take()], one.look(10_000 * (number + 1) + 4_000)]
    sh("nft 'table ip others { chain mine { tcp dport 99 accept; }; }'")
    found["others' change"] = [one.look(70_000), one.mend(0), len(one.take())]
    found["every minute"] = one.look(140_000)
    before = _others()
    one.put(nft.removal())
    found["others' table"] = [before == _others(), "fairtime" in _tables(), one.look(200_000)]
    return found


def stale() -> dict[str, object]:
    """Questions that were on their way before the rules were."""
    with world(), contextlib.ExitStack() as ends:
        Firewall().put(nft.script(WAYS[1:], DOH))  # from now on the kernel remembers connections
        held = {}
        os.setresuid(MIA, MIA, 0)
        for kind, number in (("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM)):
            held[kind] = ends.enter_context(socket.socket(socket.AF_INET, number))
            held[kind].settimeout(PATIENCE)
            held[kind].connect((AWAY4, 53))
        os.setresuid(0, 0, 0)
        before = {kind: _said(one) for kind, one in held.items()}
        Firewall().put(nft.script(WAYS, DOH))
        return {"before": before, "after": {kind: _said(one) for kind, one in held.items()}}


def same_port() -> dict[str, object]:
    """Questions of several accounts from one port, one after the other: the kernel has the one before in mind."""
    who = {"ana": ANA, "mia": MIA, "leo": LEO}
    turns = ("ana", "mia", "leo", "mia", "ana")
    with world():
        Firewall().put(nft.script(WAYS, DOH))
        return {
            f"{kind} {address}": [ask(who[name], kind, address, 53, source) for name in turns]
            for source, (kind, address) in enumerate(
                ((kind, address) for kind in ("udp", "tcp") for address in (AWAY4, AWAY6, "127.0.0.53")), 40_001
            )
        }


def wrong() -> dict[str, object]:
    """What nft refuses changes nothing."""
    from agent.errors import HostError

    one = Firewall()
    one.put(nft.script(WAYS, DOH))
    before = _tables()
    try:
        one.put(f"{nft.script(WAYS, DOH)}\ntable inet fairtime {{ chain names {{ what is this; }}; }}\n")
    except HostError as error:
        said = [error.title, error.advice]
    return {"same": before == _tables(), "said": said, "why": one.why}


def _tables() -> str:
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def _others() -> str:
    return subprocess.run(["nft", "list", "table", "ip", "others"], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    every: tuple[Callable[[], object], ...] = (roads, keeping, stale, same_port, wrong, serve_away)
    print(json.dumps({work.__name__: work for work in every}[sys.argv[1]]()), flush=True)
