"""Logs that an engine's command line glued together: the pieces of one line, with a time before each.

Docker writes a line of more than 16 KiB in pieces, Podman one of more than 8 KiB and any that a
program wrote in two goes. Without times they stand behind each other, which is what is made here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")
DAY = len("2025-01-01T")
# A line of more pieces is cut: a program that never ends one must not fill our memory.
MOST_PIECES = 64
LONGEST = 2 * 1024 * 1024


def unglued(pieces: Iterator[bytes], now: Callable[[], bytes]) -> Iterator[bytes]:
    """The same log without times in the middle of a line; ``now`` tells the time as a line would."""
    rest = b""
    for piece in pieces:
        rest += piece
        if b"\n" not in piece and len(rest) <= LONGEST:
            yield b""
            continue
        ready, end, rest = rest.rpartition(b"\n")
        if len(rest) > LONGEST:
            more, rest = _cut(rest)
            ready, end = ready + end + more, b"\n"
        yield _lines(ready, now) + end
    yield _lines(rest, now)


def _cut(line: bytes) -> tuple[bytes, bytes]:
    """The first pieces of a line without an end, and what follows: where ``_joined`` would cut it too."""
    starts = [match.start() for match in STAMP.finditer(line)]
    at = starts[MOST_PIECES] if len(starts) > MOST_PIECES else len(line)
    return line[:at], line[at:]


def _lines(lines: bytes, now: Callable[[], bytes]) -> bytes:
    # Counting what every line has in it is fast, and most logs are done with it.
    if not lines or lines.count(lines[:DAY]) == lines.count(b"\n") + 1:
        return lines
    found = lines.split(b"\n")
    times = [match[0] if (match := STAMP.match(line)) else b"" for line in found]
    latest = [*times[1:], now()]
    return b"\n".join(_joined(*one) for one in zip(found, times, latest, strict=True))


def _joined(line: bytes, time: bytes, latest: bytes) -> bytes:
    """A line without the engine's times inside it.

    A program may print times too; of these hardly any lies between that of its line and of the next.
    """
    starts = [
        match.start() for match in STAMP.finditer(line, len(time)) if time and time <= match[0] and match[0] <= latest
    ]
    parts = [line[begin:end] for begin, end in zip([0, *starts], [*starts, None], strict=True)]
    return b"\n".join(
        b"".join([group[0], *(part[len(time) :] for part in group[1:])])
        for group in (parts[begin : begin + MOST_PIECES] for begin in range(0, len(parts), MOST_PIECES))
    )
