"""How far a container's log is known, so that nothing of it is read twice and nothing is missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from lcompose.logs.lines import OURS, STAMP, rows

# Nanoseconds: Podman leaves out what was printed at just the time that it is asked for.
BACK = 1_000_000
SECONDS, DIGITS = len("2025-01-01T00:00:00"), 9


@dataclass(frozen=True, slots=True)
class Cursor:
    """The latest time that is known, and how many lines there are from its first line on.

    ``equal`` are lines of just that time; ``late`` those that the engine wrote after it with an
    earlier one: two streams, or a clock that was set back.
    """

    time: bytes = b""
    equal: int = 0
    late: int = 0

    @property
    def since(self) -> str:
        """From when on the engine must be asked so that the first known line is in the answer."""
        if not self.time:
            return ""
        text = self.time.decode()
        whole, offset = text[:SECONDS], text[SECONDS + 1 + DIGITS :]
        rest = int(text[SECONDS + 1 : SECONDS + 1 + DIGITS]) - BACK
        if rest < 0:
            whole = (datetime.fromisoformat(whole) - timedelta(seconds=1)).isoformat()
        return f"{whole}.{rest % 10**DIGITS:0{DIGITS}}{offset}"

    def after(self, lines: bytes) -> Cursor:
        """The cursor when these whole lines are known too."""
        if lines.startswith(OURS):
            # Some are lost here, so nothing counts that was before.
            return Cursor().after(lines.partition(b"\n")[2])
        latest = STAMP.match(max(lines.split(b"\n")))
        if latest is None or latest[0] <= self.time:
            return self._counted(_times(lines)) if lines else self
        # Nearly always only the last line is left to be counted.
        first = 0 if lines.startswith(latest[0]) else lines.index(b"\n" + latest[0]) + 1
        return Cursor(latest[0])._counted(_times(lines[first:]))

    def _counted(self, times: list[bytes]) -> Cursor:
        latest = max(times, default=b"")
        if latest > self.time:
            first = times.index(latest)
            return Cursor(latest)._counted(times[first:])
        equal = times.count(self.time)
        return Cursor(self.time, self.equal + equal, self.late + len(times) - equal)


def _times(lines: bytes) -> list[bytes]:
    return [match[0] for line in lines.split(b"\n") if (match := STAMP.match(line))]


def beyond(pieces: Iterable[bytes], cursor: Cursor) -> Iterator[bytes]:
    """What of these whole lines is not known yet; a line of ours says so where some are lost.

    They must come from an engine that was asked for what came since ``cursor.since``.
    """
    skipping = _Skipping(cursor)
    for piece in pieces:
        yield skipping.rest(piece) if skipping.goes_on else piece
    if skipping.goes_on and not skipping.found:
        yield lost(f"after {cursor.time.decode()}, the engine does not have them any more")


def lost(where: str) -> bytes:
    """The line that says that lines are missing."""
    return OURS + f"lines are lost here: {where}\n".encode()


class _Skipping:
    """Leaves out the lines that a cursor knows, and says when what it knows is not there."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.goes_on = bool(cursor.time)
        self.found = False
        self._equal, self._late = cursor.equal, cursor.late

    def rest(self, piece: bytes) -> bytes:
        begin = 0
        for line in rows(piece):
            if not self._is_known(line):
                self.goes_on = False
                return piece[begin:] if self.found else self._said(line) + piece[begin:]
            begin += len(line)
        return b""

    def _is_known(self, line: bytes) -> bool:
        match = STAMP.match(line)
        if match is None:
            return True  # the engine's own words
        time = match[0]
        if time == self.cursor.time:
            self.found = True
            self._equal -= 1
            return self._equal >= 0
        if time > self.cursor.time:
            return False
        if not self.found:
            return True  # before the cursor
        self._late -= 1
        return self._late >= 0

    def _said(self, line: bytes) -> bytes:
        first = STAMP.match(line)
        until = first[0].decode() if first else "now"
        return lost(f"between {self.cursor.time.decode()} and {until}, the engine does not have them any more")
