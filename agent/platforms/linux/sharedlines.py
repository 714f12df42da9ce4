"""Our lines in a file that is somebody else's: whether they are all there, together, and how to put them back.

Ours are the lines of the spare copy that name Fairtime; they lie together, and PAM counts them when it jumps
(``success=2``), so that nothing may come between.
"""

from __future__ import annotations

MARK = b"fairtime"


def within(text: bytes, spare: bytes) -> bool:
    """Whether our lines stand in ``text`` as they do in ``spare``."""
    ours, lines = block(spare)[1], text.splitlines()
    return bool(ours) and any(lines[at : at + len(ours)] == ours for at in range(len(lines) - len(ours) + 1))


def put_back(text: bytes, spare: bytes) -> bytes | None:
    """``text`` with our lines after the line that they followed, or before the one they preceded.

    ``None`` when neither is there exactly once: a guess would change who may log in.
    """
    at, ours = block(spare)
    if not ours:
        return None
    lines, whole = text.splitlines(), spare.splitlines()
    theirs = [line for line in lines if MARK not in line]
    if theirs == [line for line in whole if MARK not in line]:
        return spare
    before = next((line for line in reversed(whole[:at]) if _counts(line)), None)
    after = next((line for line in whole[at + len(ours) :] if _counts(line)), None)
    if before is not None and theirs.count(before) == 1:
        place = theirs.index(before) + 1
    elif after is not None and theirs.count(after) == 1:
        place = theirs.index(after)
    else:
        return None
    return b"\n".join([*theirs[:place], *ours, *theirs[place:]]) + b"\n"


def block(spare: bytes) -> tuple[int, list[bytes]]:
    """Where our lines begin, and the lines; none when they do not lie together."""
    lines = spare.splitlines()
    places = [at for at, line in enumerate(lines) if MARK in line]
    if not places or places != list(range(places[0], places[-1] + 1)):
        return 0, []
    return places[0], [lines[at] for at in places]


def _counts(line: bytes) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(b"#")
