"""What the resident service may hold in memory.  Its budget is 36 MiB, measured by ``make bench``; each of these costs a
part of it and belongs in a job (``agent.service.jobs``), in a face, or nowhere."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "ssl": "1.3 MiB, through asyncio; the service speaks no TLS",
    "apscheduler": "2.7 MiB; the job calendar",
    "tzlocal": "0.4 MiB; with apscheduler",
    "email": "1.0 MiB; through importlib.metadata and whoever asks for its own version",
    "importlib.metadata": "0.5 MiB",
    "difflib": "0.2 MiB; only to guess what was meant",
    "tomllib": "0.1 MiB; a signed policy is JSON",
    "multiprocessing": "",
    "http": "",
    "urllib.request": "10 MiB",
    **({"psutil": "1.3 MiB; the scan reads /proc itself"} if sys.platform == "linux" else {}),
    "jinja2": "",
    "starlette": "",
    "PIL": "4 MiB; the tray",
    "pystray": "",
    "tkinter": "",
    "keyring": "6 MiB; the guardian's session",
    "cryptography": "7 MiB; the job verify",
    "securesystemslib": "11 MiB; the job verify",
    "tuf": "",
    "apprise": "48 MiB; a job",
    "marisa_trie": "the resolver, and the job that compiles lists",
    "idna": "1 MiB; the jobs that read what people wrote",
    "publicsuffixlist": "",
}
SCRIPT = """
import sys
from agent import platforms
from agent.cli import main
platforms.supervisor = lambda: sys.exit("ready to serve")
try:
    main(["service", "run"])
except SystemExit as error:
    assert error.code == "ready to serve", error.code
if sys.platform == "linux":
    import dbus_fast.aio
print(*(name for name, module in sys.modules.items() if module is not None))
"""


def test_the_service_holds_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "agent.service.loop" in loaded
    assert sorted(loaded & HEAVY.keys()) == []


def test_a_job_starts_with_what_it_needs_alone() -> None:
    """One is started for every policy and every yes: a second of a slow PC is what its parent waits."""
    script = (
        "import io, sys\nfrom agent.cli import main\nfrom agent.service import job\n"
        "job.import_module = lambda name: sys.exit('ready')\nsys.stdin = io.TextIOWrapper(io.BytesIO())\n"
        "try:\n    main(['job', 'verify'])\nexcept SystemExit as error:\n    assert error.code == 'ready', error.code\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "agent.service.job" in loaded
    assert sorted(loaded & {"asyncio", "agent.platforms", "agent.service.jobs", "agent.service.loop", *HEAVY}) == []
