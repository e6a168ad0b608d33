"""Reads the log of a native process, from its files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from lcompose.keeper.log import OURS, names, stamp

PIECE = 512 * 1024
# Seconds between two looks for more, and without a word to whoever reads.
PAUSE, QUIET = 0.03, 0.5
STAMP = len("2025-01-01T00:00:00.000000000Z")


def stream(folder: Path, since: str, tail: int | None) -> Iterator[bytes]:
    """What there is of a log, from a time or from one of the last lines on."""
    yield from _from(folder, *_begin(folder, since, tail), lambda: False)


def follow(folder: Path, since: str, tail: int | None, goes_on: Callable[[], bool]) -> Iterator[bytes]:
    """The same, and what comes until it does not go on; an empty piece now and then where nothing comes."""
    yield from _from(folder, *_begin(folder, since, tail), goes_on)


def _begin(folder: Path, since: str, tail: int | None) -> tuple[str, int]:
    """The file and the place in it where reading begins; both ways may be asked for, then the later counts."""
    places = [_since(folder, since.encode())] if since else []
    places += [_tail(folder, tail)] if tail is not None else []
    return max(places, default=("", 0))


def lost(lines: int, seconds: float) -> bytes:
    """The line that says at the end of a log that there was no room for all of it."""
    note = f"{lines} lines are lost here: there was no space left, or the log could not be written\n"
    return stamp(int(seconds * 1e9)) + OURS + note.encode()


def _from(folder: Path, name: str, place: int, goes_on: Callable[[], bool]) -> Iterator[bytes]:
    reader, heard = _Reader(folder, name, place), time.monotonic()
    try:
        while True:
            # Before the reading, so that nothing that was written until then is missed.
            alive = goes_on()
            piece = reader.read()
            if not piece and not alive:
                return
            if piece or time.monotonic() - heard >= QUIET:
                heard = time.monotonic()
                yield piece
            else:
                time.sleep(PAUSE)
    finally:
        reader.close()


class _Reader:
    """Reads the files of a log one after the other; a name is empty as long as there is none."""

    def __init__(self, folder: Path, name: str, place: int) -> None:
        self.folder, self.name, self.place = folder, name, place
        self.handle = -1

    def read(self) -> bytes:
        """What comes next; nothing where there is no more by now."""
        while True:
            later = next((one for one in names(str(self.folder)) if one > self.name), "")
            piece = self._piece()
            if piece:
                return piece
            if later:
                self._turn(later)
            elif self.handle >= 0 and os.fstat(self.handle).st_nlink == 0:
                self._turn("")  # somebody removed it; what comes now is in another one
            else:
                return b""

    def _piece(self) -> bytes:
        if self.handle < 0 and self.name:
            with suppress(OSError):
                self.handle = os.open(self.folder / self.name, os.O_RDONLY | os.O_CLOEXEC)
                os.lseek(self.handle, self.place, os.SEEK_SET)
        return _whole(self.handle) if self.handle >= 0 else b""

    def _turn(self, name: str) -> None:
        self.close()
        self.name, self.place = name, 0

    def close(self) -> None:
        """Lets go of the file."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def _whole(handle: int) -> bytes:
    """What comes next, up to the end of a line: another may just be written."""
    piece = os.read(handle, PIECE)
    whole = piece.rfind(b"\n") + 1
    if piece and not whole and len(piece) == PIECE:
        return piece  # a line longer than a piece
    os.lseek(handle, whole - len(piece), os.SEEK_CUR)
    return piece[:whole]


def _tail(folder: Path, count: int) -> tuple[str, int]:
    """Where the last lines begin."""
    there = names(str(folder))
    left = count
    for name in reversed(there):
        with suppress(OSError), (folder / name).open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                begin = max(0, end - PIECE)
                file.seek(begin)
                piece = file.read(end - begin)
                found = piece.count(b"\n")
                if found > left:
                    return name, begin + _after(piece, found - left)
                left, end = left - found, begin
    return (there[0], 0) if there else ("", 0)


def _after(piece: bytes, ends: int) -> int:
    """The place behind so many ends of lines."""
    place = 0
    for _ in range(ends):
        place = piece.index(b"\n", place) + 1
    return place


def _since(folder: Path, time: bytes) -> tuple[str, int]:
    """Where lines of that time or later begin: found from the end, where it nearly always is."""
    there = names(str(folder))
    for name in reversed(there):
        with suppress(OSError), (folder / name).open("rb") as file:
            begin = file.seek(0, os.SEEK_END)
            while begin > 0:
                begin = max(0, begin - PIECE)
                file.seek(begin)
                piece = file.read(PIECE)
                first = piece.find(b"\n") + 1 if begin else 0
                if begin and not first:
                    continue  # in the middle of a long line
                if first < len(piece) and piece[first : first + STAMP] < time:
                    return name, begin + _not_before(piece, first, time)
    return (there[0], 0) if there else ("", 0)


def _not_before(piece: bytes, place: int, time: bytes) -> int:
    """The place of the first line in a piece that is not before a time; the end of its last whole line else."""
    while place + STAMP <= len(piece) and piece[place : place + STAMP] < time:
        end = piece.find(b"\n", place)
        if end < 0:
            return place
        place = end + 1
    return place
