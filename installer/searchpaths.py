"""Where a library says that its own libraries lie (ELF: DT_RUNPATH, DT_RPATH; ld.so(8)).

A Python built by hand names the builder's folder.  On a family's PC that folder may be anybody's to make, and a service of root
would load what lies there.  The program's folder is searched by LD_LIBRARY_PATH, which PyInstaller sets, or by ``$ORIGIN``.
"""

from __future__ import annotations

import struct
from pathlib import Path

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 5, 15, 29
_ENTRY = struct.Struct("<qQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")


def forget_foreign(path: Path) -> bool:
    """Take a search path out of the ELF file that names folders outside of the program; whether there was one.

    ``SystemExit`` where it names both (nothing is half of an answer here).  Other files than ELF of 64 bits, the lowest byte
    first, which is what is built for, are left alone.
    """
    data = bytearray(path.read_bytes())
    if data[:6] != b"\x7fELF\x02\x01":
        return False
    (headers,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [_SEGMENT.unpack_from(data, headers + number * size) for number in range(count)]
    dynamic = next(((one[2], one[5]) for one in segments if one[0] == _PT_DYNAMIC), None)
    if dynamic is None:
        return False
    begin, length = dynamic
    entries = list(_ENTRY.iter_unpack(bytes(data[begin : begin + length])))
    table = _offset(next(value for tag, value in entries if tag == _DT_STRTAB), segments)
    kept = [(tag, value) for tag, value in entries if not _foreign(path, tag, data, table + value)]
    if len(kept) == len(entries):
        return False
    # The list ends with the first DT_NULL: the others move up, as chrpath(1) does it.
    kept += [(_DT_NULL, 0)] * (len(entries) - len(kept))
    data[begin : begin + length] = b"".join(_ENTRY.pack(*entry) for entry in kept)
    path.write_bytes(data)
    return True


def _foreign(path: Path, tag: int, data: bytearray, at: int) -> bool:
    if tag not in (_DT_RPATH, _DT_RUNPATH):
        return False
    said = data[at : data.index(0, at)].decode("utf-8", "surrogateescape")
    inside = [one.startswith(("$ORIGIN", "${ORIGIN}")) for one in said.split(":")]
    if any(inside) and not all(inside):
        raise SystemExit(f"{path.name} looks for libraries inside and outside of the program: {said}")
    return not all(inside)


def _offset(address: int, segments: list[tuple[int, ...]]) -> int:
    """Where in the file lies what is at ``address`` in memory."""
    for kind, _, offset, start, _, size, _, _ in segments:
        if kind == _PT_LOAD and start <= address < start + size:
            return address - start + offset
    raise SystemExit("an ELF file without its table of names")
