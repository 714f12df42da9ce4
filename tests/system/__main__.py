"""``make system``: boots a Debian 12 PC in a container and runs the system tests and the bypass suite in it.

Arguments are pytest's, so that one file can be run alone: ``python -m tests.system tests/system/test_box.py``.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "FAIRTIME_SYSTEM_TESTS"
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

    os.chdir(ROOT)
    code = int(pytest.main(["-p", "no:randomly", "-p", "no:cacheprovider", *(words or ["tests/system"])]))
    report = ROOT / "tests" / "system" / "bypass"
    if not words and report.is_dir():
        from tests.system.bypass.report import conclude

        return conclude() or code
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
