"""Starts the tray's windows: each a short-lived process, so that Tk's memory and main loop stay out of the tray.

Both ways, one JSON object a line: what to show goes to the window's standard input, what the person did comes from its
standard output.  Nothing secret is ever an argument, which any process of the PC could read.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

import msgspec

from agent.bundle import bundled

NO_TOOLKIT = 3
"""Exit code of a window process whose Python has no tkinter, or that has no display."""

Sheet = Mapping[str, Any]
"""What a window is given or gives back: one JSON object."""
OnDone = Callable[[Sheet | None, int], None]
"""What the person did (``None``: nothing, or closed it) and the exit code.  Called from the window's own thread."""


def command(kind: str) -> list[str]:
    """The command line of a window process."""
    if bundled():
        return [sys.executable, "dialog", kind]
    return [sys.executable, "-m", "agent.tray.dialogs", kind]


class Window:
    """One window process.  ``on_sheet`` gets each line the window writes, ``on_end`` its exit code, both from a thread."""

    def __init__(
        self,
        kind: str,
        sheet: Sheet,
        *,
        on_sheet: Callable[[Sheet], None],
        on_end: Callable[[int], None],
        argv: list[str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            argv or command(kind), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=False
        )
        self._on_sheet = on_sheet
        self._on_end = on_end
        self._writing = threading.Lock()
        self.send(sheet)
        threading.Thread(target=self._listen, name=f"fairtime-window-{kind}", daemon=True).start()

    @property
    def open(self) -> bool:
        return self._process.poll() is None

    def send(self, sheet: Sheet) -> bool:
        """Show something else; False when the window is gone."""
        pipe = self._pipe(self._process.stdin)
        try:
            with self._writing:
                pipe.write(msgspec.json.encode(sheet) + b"\n")
                pipe.flush()
        except (OSError, ValueError):  # ValueError: the pipe was closed by ``close``
            return False
        return True

    def close(self) -> None:
        """Ask the window to close; it does at the end of its input."""
        try:
            with self._writing:
                self._pipe(self._process.stdin).close()
        except OSError:
            self._process.terminate()  # It broke the pipe and may hang.

    def _listen(self) -> None:
        pipe = self._pipe(self._process.stdout)
        with pipe:
            for line in pipe:
                if line.strip():
                    self._on_sheet(msgspec.json.decode(line, type=dict[str, Any]))
        code = self._process.wait()
        self.close()
        self._on_end(code)

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # Popen was told to make both
        return pipe


def ask(kind: str, sheet: Sheet, on_done: OnDone, *, argv: list[str] | None = None) -> Window:
    """Open a dialog; ``on_done`` is called once, when it is answered or closed."""
    answers: list[Sheet] = []
    return Window(
        kind,
        sheet,
        on_sheet=answers.append,
        on_end=lambda code: on_done(answers[-1] if answers else None, code),
        argv=argv,
    )
