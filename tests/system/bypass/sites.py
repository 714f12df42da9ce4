"""Ways to a site that is not open: other names, other servers, other programs, other spellings.

Each child here has a list of its own; ``away`` (the container's Internet) answers to every name, so that a page of it that is
seen is an attack that worked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.system.away import DNS4, DNS6, DOH4, WEB4, WEB6
from tests.system.box import Done
from tests.system.bypass.attack import Outcome, attack
from tests.system.bypass.lab import Lab, all_of
from tests.system.reach import PLACE

HERE = Path(__file__).parents[1]
SINK = "127.84.0.1"
ALLOW = """
windows = {}
budget = {}
unknown_programs = "allow"
sites = { mode = "allow-list", allow = ["school.example"] }
"""
BLOCK = """
windows = {}
budget = {}
unknown_programs = "allow"
sites = { mode = "block-list", block = ["game.example"] }
"""
SHUT = "http://game.example/"
_CHROMIUM = "timeout 40 chromium --headless --no-sandbox --disable-gpu --no-first-run --dump-dom --timeout=6000"


def seen(done: Done) -> Outcome:
    """Held when nothing of the site is there."""
    said = " ".join((done.out + " " + done.err).split())
    signs = (
        "ERR_BLOCKED_BY_ADMINISTRATOR",
        "allow you to view this site",
        "is not open",
        "is not on your list",
        "Connection refused",
    )
    sign = next((sign for sign in signs if sign in said), said[-90:])
    return Outcome("REACHED" not in done.out, f"exit {done.code} {sign}")


def lines(lab: Lab, user: str, tries: Iterable[str]) -> Outcome:
    """Shell lines that show the page to the parent, and must not to the child."""

    def one(line: str) -> Outcome:
        if "REACHED" not in lab.box.run(line, "ana").out:
            return Outcome(False, "the parent does not see the page either: this is no attack")
        return seen(lab.box.run(line, user))

    return all_of((line[:60], one(line)) for line in tries)


def browsed(lab: Lab, user: str, urls: Iterable[str], *options: str) -> Outcome:
    """Addresses in one Chromium each of the parent's, to whom they show the page, and of the child's, to whom they must not."""
    wanted = list(urls)
    lab.box.write(f"/{PLACE}/devtools.py", (HERE / "devtools.py").read_text(encoding="utf-8"))
    parent, child = (_shown(lab, account, wanted, options) for account in ("ana", user))

    def one(url: str) -> Outcome:
        if "REACHED" not in parent.get(url, ""):
            return Outcome(
                False, f"the parent does not see the page either: this is no attack; {parent.get(url, '')[-200:]}"
            )
        return seen(Done(0, child.get(url, "no word of it: REACHED is not ruled out"), ""))

    return all_of((url, one(url)) for url in wanted)


def _shown(lab: Lab, user: str, urls: list[str], options: tuple[str, ...]) -> dict[str, str]:
    done = lab.box.run(["python3", f"/{PLACE}/devtools.py", json.dumps(urls), *options], user, timeout=180).check()
    found: dict[str, str] = json.loads(done.out)
    return found


@attack("vpn", "a VPN: tunnels, WireGuard, names from a tunnel's own server", 25, kid=BLOCK, net=True)
def vpn(lab: Lab) -> Outcome:
    """A child's own tunnel needs rights that no child has; in a namespace of its own it leads nowhere.  Where names come from
    elsewhere, the browsers' own rules hold."""
    made = all_of(
        (line, Outcome(not (done := lab.box.run(line, "kid-vpn")).ok, f"exit {done.code}"))
        for line in (
            "/usr/sbin/ip tuntap add dev tun0 mode tun", "/usr/sbin/ip link add wg0 type wireguard",
            "/usr/sbin/ip route add 198.51.100.0/24 dev lo", "/usr/sbin/ip rule add from all lookup 99",
            "unshare -rn sh -c '/usr/sbin/ip tuntap add dev t mode tun && curl -s --max-time 3 http://192.0.2.80/'",
        )
    )  # fmt: skip
    through = lines(
        lab, "kid-vpn",
        [f'{_CHROMIUM} --host-resolver-rules="MAP * {WEB4}" {SHUT}', f'{_CHROMIUM} --host-resolver-rules="MAP game.example [{WEB6}]" {SHUT}'],
    )  # fmt: skip
    return all_of([("a tunnel", made), ("through it", through)])


@attack(
    "web-proxy", "a web proxy, a proxy's address in the environment or on the command line", 26, kid=ALLOW, net=True
)
def web_proxy(lab: Lab) -> Outcome:
    """The web server answers to whole addresses, as a proxy does."""
    return lines(
        lab, "kid-web-proxy",
        [
            f"{_CHROMIUM} --proxy-server=http://{WEB4}:80 {SHUT}", f"http_proxy=http://{WEB4}:80 {_CHROMIUM} {SHUT}",
            f"{_CHROMIUM} --proxy-pac-url='data:,function FindProxyForURL(){{return \"PROXY {WEB4}:80\"}}' {SHUT}",
            "curl -s --max-time 5 -x http://proxy.example:80 http://game.example/",
            f"all_proxy=http://{WEB4}:80 http_proxy=http://proxy.example:80 curl -s --max-time 5 {SHUT}",
        ],
    )  # fmt: skip


@attack("other-resolver", "another name server, DNS over TLS and HTTPS, a browser's own", 27, kid=BLOCK, net=True)
def other_resolver(lab: Lab) -> Outcome:
    user = "kid-other-resolver"
    roads = (
        f"@{DNS4}", f"@{DNS4} +tcp", f"@{DNS6}", f"@{DNS6} +tcp", f"@{DOH4}", f"@{DNS4} +tls", f"@{DOH4} +https", f"@{DOH4} +https-post",
        f"@{DNS4} -p 853 +tcp", "@127.0.0.53", "@::1", f"@{DNS4} +subnet=192.0.2.0/24", f"-b 192.0.2.1 @{DNS4}",
    )  # fmt: skip
    told = []
    for road in roads:
        done = lab.box.run(f"dig +short +time=2 +tries=1 {road} game.example", user)
        told.append((road, Outcome(WEB4 not in done.out, " ".join(done.out.split())[:60])))
    state = f'{{"dns_over_https":{{"mode":"secure","templates":"https://{DOH4}/dns-query"}}}}'
    secure = f"mkdir -p d && echo '{state}' > 'd/Local State' && {_CHROMIUM} --user-data-dir=$PWD/d --ignore-certificate-errors {SHUT}"
    return all_of([*told, ("chromium", lines(lab, user, [secure]))])


@attack("hosts-file", "hosts file, resolver file, the C library's own variables", 28, kid=BLOCK, net=True)
def hosts_file(lab: Lab) -> Outcome:
    return lines(
        lab, "kid-hosts-file",
        [
            f"echo '{WEB4} game.example' >> /etc/hosts; curl -s --max-time 5 {SHUT}",
            f"echo 'nameserver {DOH4}' > /etc/resolv.conf; curl -s --max-time 5 {SHUT}",
            "echo 'play game.example' > a; HOSTALIASES=$PWD/a curl -s --max-time 5 -H 'Host: game.example' http://play/",
            "LOCALDOMAIN=example curl -s --max-time 5 http://game/",
            f"RES_OPTIONS='use-vc edns0 timeout:1' curl -s --max-time 5 {SHUT}",
            f"RESOLV_HOST_CONF=$PWD/a RESOLV_ADD_TRIM_DOMAINS=x curl -s --max-time 5 {SHUT}",
            f"unshare -rm sh -c \"echo 'nameserver {DOH4}' > r; mount --bind r /etc/resolv.conf; curl -s --max-time 5 {SHUT}\"",
        ],
    )  # fmt: skip


@attack(
    "circumvention", "a program made to get around filters", 29, kid=ALLOW.replace('"allow"', '"block"', 1), net=True
)
def circumvention(lab: Lab) -> Outcome:
    """It is a program that nobody allowed, and the hosts that it would ask are names that nobody opened."""
    user = "kid-circumvention"
    session = lab.enter(user)
    try:
        ran = lab.play(session, "cp $BAG/game tor && exec ./tor")
    finally:
        session.end()
    names = lab.box.run(
        "getent ahostsv4 bridges.torproject.org psiphon.ca snowflake.torproject.net | cut -d' ' -f1 | sort -u", user
    )
    return all_of([("the program", ran), ("its hosts", Outcome(WEB4 not in names.out, names.out.strip()))])


@attack("private-window", "incognito, guest, another profile, another folder", 30, kid=ALLOW, net=True)
def private_window(lab: Lab) -> Outcome:
    user = "kid-private-window"
    ways = (
        "--incognito",
        "--profile-directory=Other",
        "--user-data-dir=$HOME/other",
        "--bwsi",
        "--disable-policy",
        "--no-policy",
    )
    return lines(lab, user, (f'{_CHROMIUM} {way} --host-resolver-rules="MAP * {WEB4}" {SHUT}' for way in ways))


@attack(
    "other-browser",
    "a browser that takes no rules",
    31,
    kid=ALLOW + 'programs = [{ path = "/usr/bin/midori", action = "allow" }]\n',
    net=True,
)
def other_browser(lab: Lab) -> Outcome:
    """It does not start, unless a guardian's rule names it; then ``fairtime doctor`` does."""
    browsers = ("/usr/bin/falkon", "/usr/bin/epiphany-browser", "/usr/bin/midori")
    try:
        for path in browsers:
            lab.box.run(f"cp /bin/echo {path}").check()
        ran = {path: "STARTED" in lab.box.run(f"{path} STARTED", "kid-other-browser").out for path in browsers}
        found = json.loads(lab.box.run(["fairtime", "doctor", "--json"]).check().out)["findings"]
    finally:
        lab.box.run(f"rm -f {' '.join(browsers)}").check()
    told = [one["advice"] for one in found if one["id"] == "browser-uncovered"]
    named = [path for path in browsers if any(path in words for words in told)]
    return Outcome(
        [path for path, it_ran in ran.items() if it_ran] == named == ["/usr/bin/midori"],
        f"ran {ran}, doctor: {told}"[:150],
    )


@attack("any-program", "a page in a program that is no browser", 32, kid=BLOCK, net=True)
def any_program(lab: Lab) -> Outcome:
    fetch = "import urllib.request as u; print(u.urlopen({!r}, timeout=5).read().decode())"
    get = "GET / HTTP/1.0\\r\\nHost: game.example\\r\\n\\r\\n"
    return lines(
        lab, "kid-any-program",
        [
            f"python3 -c \"{fetch.format(SHUT)}\"", f"printf '{get}' | busybox nc game.example 80", f"busybox wget -qO- {SHUT}",
            f"perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(\"game.example:80\"); print $s \"{get}\"; print <$s>'",
            f"bash -c 'exec 3<>/dev/tcp/game.example/80; printf \"{get}\" >&3; cat <&3'",
            f"curl -s --max-time 5 --doh-url https://{DOH4}/dns-query --insecure --doh-insecure {SHUT}",
            f"curl -s --max-time 5 -6 {SHUT}",
        ],
    )  # fmt: skip


@attack("translated", "through a translator, a cache, an archive", 33, kid=ALLOW, net=True)
def translated(lab: Lab) -> Outcome:
    hosts = (
        "game-example.translate.goog", "translate.google.com", "webcache.googleusercontent.com", "web.archive.org", "archive.ph",
        "game.example.cdn.example", "r.jina.ai", "12ft.io",
    )  # fmt: skip
    return lines(lab, "kid-translated", (f"curl -s --max-time 5 http://{host}/" for host in hosts))


@attack("spelling", "addresses, ports, dots, case, user names, look-alikes", 34, kid=ALLOW, net=True)
def spelling(lab: Lab) -> Outcome:
    whole = sum(int(part) << shift for part, shift in zip(WEB4.split("."), (24, 16, 8, 0), strict=True))
    urls = (
        f"http://{WEB4}/", f"http://{whole}/", f"http://{whole:#x}/", "http://0300.0.2.80/", f"http://[::ffff:{WEB4}]/", f"http://[{WEB6}]/",
        "http://GAME.example/", "http://game.example./", "http://game.example:80/", "http://school.example@game.example/",
        "http://notschool.example/", "http://school.example.game.example/", "http://ga%6de.example/", "http://game%2eexample/",
        "http://school.example:80@game.example/", "http://xn--schol-jua.example/", "http://schооl.example/", "http://192.0.592/",
    )  # fmt: skip
    return all_of(
        [
            ("chromium", browsed(lab, "kid-spelling", urls, f"--host-resolver-rules=MAP *.example {WEB4}")),
            ("names", lines(lab, "kid-spelling", (f"curl -s --max-time 5 '{url}'" for url in urls if "example" in url))),
        ]
    )  # fmt: skip
