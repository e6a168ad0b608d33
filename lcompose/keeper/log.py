"""The log of one process: each line with its time, as engines write it, in files of a limited size."""

from __future__ import annotations

import os
import time
from contextlib import suppress

ENDING = ".log"
# A line without an end is cut here, so that no program fills our memory with one.
LONGEST = 1024 * 1024
OURS = b"lcompose: "


def stamp(nanoseconds: int) -> bytes:
    """A moment as engines write it, in UTC and with nine digits."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z ".encode()


def names(folder: str) -> list[str]:
    """The files of a log, oldest first."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(ENDING) and name[0].isdecimal())
    except OSError:
        return []


class Lines:
    """Makes whole lines of what comes through one stream."""

    def __init__(self) -> None:
        self.rest = b""

    def stamped(self, piece: bytes, mark: bytes) -> bytes:
        """The lines that end in a piece, each behind a time."""
        lines, end, rest = piece.rpartition(b"\n")
        if end:
            lines, self.rest = self.rest + lines, rest
        elif len(self.rest) + len(piece) > LONGEST:
            lines, self.rest = self.rest + piece, b""
        else:
            self.rest += piece
            return b""
        return mark + lines.replace(b"\n", b"\n" + mark) + b"\n"

    def last(self, mark: bytes) -> bytes:
        """What stands at the end of all without an end of its own."""
        rest, self.rest = self.rest, b""
        return mark + rest + b"\n" if rest else b""


def _fitting(lines: bytes, most: int) -> tuple[bytes, bytes]:
    """The lines at the beginning that go into one file, at least one, and the rest."""
    if len(lines) <= most:
        return lines, b""
    end = lines.rfind(b"\n", 0, most) + 1 or lines.find(b"\n") + 1
    return lines[:end], lines[end:]


class Log:
    """Writes lines; where that cannot be, it counts them, and says so when it can again. Never raises."""

    def __init__(self, folder: str, most_bytes: int, most_files: int) -> None:
        self.folder, self.most_bytes, self.most_files = folder, most_bytes, most_files
        self.lost = 0
        self._why = ""
        self._handle = -1
        self._size = 0
        self._number = 0

    def write(self, lines: bytes) -> None:
        """Adds whole lines."""
        while lines:
            part, lines = _fitting(lines, self.most_bytes)
            try:
                self._ready(len(part))
                self._say_lost()
                self._add(part)
            except OSError as error:
                self._why = error.strerror or "it cannot be written"
                self.lost += part.count(b"\n")

    def close(self) -> None:
        """Tells what is still to be told, and lets go of the file."""
        with suppress(OSError):
            self._ready(0)
            self._say_lost()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _say_lost(self) -> None:
        if self.lost:
            note = f"{self.lost} lines are lost here: {self._why}\n"
            self._write(stamp(time.time_ns()) + OURS + note.encode())
            self.lost = 0

    def _add(self, lines: bytes) -> None:
        """Writes what there is room for, up to the end of a line, and counts the rest."""
        missing = self._write(lines, partly=True)
        if missing:
            self.lost += missing.count(b"\n")

    def _write(self, data: bytes, *, partly: bool = False) -> bytes:
        """Writes all of it, or lines of it, or nothing; gives back what is missing.

        Raises: OSError when nothing can be written.
        """
        before, left = self._size, data
        try:
            while left:
                left = left[os.write(self._handle, left) :]
        except OSError as error:
            written = data[: len(data) - len(left)]
            whole = written.rfind(b"\n") + 1 if partly else 0
            os.ftruncate(self._handle, before + whole)
            self._size = before + whole
            self._why = error.strerror or "it cannot be written"
            if not whole:
                raise
            return data[whole:]
        self._size += len(data)
        return b""

    def _ready(self, more: int) -> None:
        """Has a file open that is there, and has room."""
        gone = self._handle >= 0 and os.fstat(self._handle).st_nlink == 0
        if gone:
            os.close(self._handle)
            self._handle = -1
        if self._handle < 0:
            self._open(names(self.folder)[-1:] or [f"{1:08d}{ENDING}"])
            if gone:
                self._write(stamp(time.time_ns()) + OURS + b"earlier lines are gone: somebody removed this log\n")
        if self._size and self._size + more > self.most_bytes:
            self._turn()

    def _open(self, name: list[str]) -> None:
        # Only the folder itself: where all of it was removed, nothing must come back.
        with suppress(FileExistsError):
            os.mkdir(self.folder, 0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._handle = os.open(os.path.join(self.folder, name[0]), flags, 0o600)
        self._number = int(name[0].removesuffix(ENDING))
        self._size = os.fstat(self._handle).st_size

    def _turn(self) -> None:
        """Goes on in the next file; of too many, the oldest is removed."""
        handle, self._handle = self._handle, -1
        os.close(handle)
        self._open([f"{self._number + 1:08d}{ENDING}"])
        for name in names(self.folder)[: -self.most_files]:
            with suppress(OSError):
                os.unlink(os.path.join(self.folder, name))
