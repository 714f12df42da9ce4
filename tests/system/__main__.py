"""``make system``: boots Debian 12 PCs in containers and runs the system tests and the bypass suite in them.

Arguments are pytest's, and make it one PC: ``python -m tests.system tests/system/test_box.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "FAIRTIME_SYSTEM_TESTS"
IMAGE = "--image"
"""The only argument: make the PC's disk, and no more."""
TOOLS = ("debootstrap", "systemd-nspawn", "nsenter", "unshare", "mkfs.ext4", "mount", "gcc")


def why_not() -> str:
    """Why the container cannot be booted here; empty when it can."""
    if sys.platform != "linux":
        return "it boots a Linux container, and this is no Linux"
    if os.geteuid() != 0:
        return "it boots a container and marks file systems, which needs root: sudo make system"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if missing:
        return f"these tools are missing: {', '.join(missing)} (see installer/linux/system-packages.txt)"
    if not os.path.exists("/dev/loop-control"):
        return "the kernel offers no loop devices (modprobe loop), which keep the container's disk apart from this one"
    return ""


def main(words: list[str]) -> int:
    why = why_not()
    if why:
        print(f"make system cannot run here: {why}", file=sys.stderr)
        return 1
    if not words:
        return _everything()
    if INSIDE not in os.environ:
        # Mounts that nobody else sees, and processes that all end with this one, however it ends.
        os.environ[INSIDE] = "1"
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        os.execvp(
            "unshare",
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
             "sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-m", "tests.system", *words],
        )  # fmt: skip
    import pytest

    from tests.system import image

    image.ready()  # before any test's time runs
    if words == [IMAGE]:
        return 0
    os.chdir(ROOT)
    return int(pytest.main(["-p", "no:randomly", "-p", "no:cacheprovider", *words]))


def _everything() -> int:
    from tests.system import lanes
    from tests.system.bypass import report

    os.environ["PATH"] += ":/usr/sbin:/sbin"
    report.forget()
    command = [sys.executable, "-m", "tests.system"]
    # Once for all of them: what keeps it from being made is seen at once, and no lane tries again.
    if subprocess.run([*command, IMAGE], check=False).returncode:
        return 1
    code = lanes.run(command)
    return report.conclude() or code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
