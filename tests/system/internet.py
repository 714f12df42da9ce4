"""The container's Internet: a cable, another network namespace, and the servers of ``away`` in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.away import DNS4, WEB4
from tests.system.box import Box, kill

_CABLE = f"""
set -e
ip netns add away
ip link add out type veth peer name in netns away
ip link set out up
ip -n away link set lo up
ip -n away link set in up
for a in 192.0.2.53/24 192.0.2.80/24 9.9.9.9/32; do ip -n away addr add $a dev in; done
for a in 2001:db8::53/64 2001:db8::80/64 2620:fe::fe/128; do ip -n away -6 addr add $a dev in nodad; done
ip addr add 192.0.2.1/24 dev out
ip -6 addr add 2001:db8::1/64 dev out nodad
ip route add default via 192.0.2.53
ip -6 route add default via 2001:db8::53
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=away \
    -keyout /root/away.key -out /root/away.crt 2>/dev/null
cat /root/away.key /root/away.crt > /root/away.pem
echo 'nameserver {DNS4}' > /etc/resolv.conf
"""


@contextmanager
def internet(box: Box) -> Iterator[None]:
    """Names are known and pages are there while this lasts."""
    box.write("/root/away.py", Path(__file__).with_name("away.py").read_text(encoding="utf-8"))
    box.run(_CABLE).check()
    servers = box.spawn("exec ip netns exec away python3 /root/away.py /root/away.pem")
    try:
        box.until(f"dig +short +time=1 +tries=1 @{DNS4} any.example | grep -q {WEB4}", within=30)
        yield
    finally:
        box.run("pkill -f '^python3 /root/away.py'; ip netns delete away; : > /etc/resolv.conf")
        kill(servers)
        servers.communicate()
