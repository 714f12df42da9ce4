"""Pictures of a site that is not open, as a child's browsers show it: ``python -m tests.sites.photos FOLDER`` (by ``pictures``).

In namespaces of its own (``netlab.apart``): the real resolver with its page, the real firewall that sends a child there.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

if sys.platform != "linux":
    raise ImportError("namespaces are Linux's")

from agent.filter import nft
from agent.model.site import HostRule, SitePlan
from agent.platforms.linux.browsers import Audience, Browsers
from agent.platforms.linux.firewall import Firewall
from tests.resolving import lane, resolver
from tests.sites.browsing import Chromium, Firefox
from tests.sites.netlab import ANA, MIA, etc_of_its_own, sh

SITE = "http://games.example/"
LANGUAGES = {"": "en", "-rtl": "ar"}
_WORLD = """
ip link set lo up
ip link add out type veth peer name end; ip link set out up; ip link set end up; ip addr add 192.0.2.1/24 dev out
echo nameserver 192.0.2.53 >/mnt/r; echo 'hosts: files dns' >/mnt/n
mount --bind /mnt/r /etc/resolv.conf; mount --bind /mnt/n /etc/nsswitch.conf
"""


def main(folder: Path) -> None:
    etc_of_its_own()
    sh(_WORLD)
    plan = SitePlan(child="mia", hosts=(HostRule(host="games.example", action="block", rule="games"),), otherwise="ask")
    home = Path(tempfile.mkdtemp(dir="/mnt"))
    home.chmod(0o755)
    with resolver(lane(plan)) as one:
        served = one.served["mia"]
        way = nft.Way(uids=((MIA, MIA),), dns_port=served.dns_port, page_port=served.page_port)
        Firewall().put(nft.script([way], []))
        for end, language in LANGUAGES.items():
            with Chromium(MIA, home / f"c{end}", f"--accept-lang={language}") as chromium:
                (folder / f"site-chromium{end}.png").write_bytes(chromium.picture(SITE))
            with Firefox(MIA, home / f"f{end}", intl__accept_languages=language) as firefox:
                (folder / f"site-firefox{end}.png").write_bytes(firefox.picture(SITE))
        Browsers(lambda: [MIA, ANA]).put([Audience(plan, frozenset({MIA}))])
        with Chromium(MIA, home / "c-own") as chromium:
            (folder / "site-chromium-own.png").write_bytes(chromium.picture(SITE))
        with Firefox(MIA, home / "f-own") as firefox:
            (folder / "site-firefox-own.png").write_bytes(firefox.picture(SITE))
    print("{}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
