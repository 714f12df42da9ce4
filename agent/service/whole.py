"""Write a file that only the system may read: all of it or nothing, also across a power cut."""

from __future__ import annotations

import os
from pathlib import Path

from agent.service.ledger_files import sync_folder


def write(path: Path, data: bytes) -> None:
    """Write aside, sync, rename, sync the folder.  ``OSError`` leaves what was there."""
    aside = path.with_name(f".{path.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_folder(path.parent)
