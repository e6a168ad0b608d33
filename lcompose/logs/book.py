"""One container's kept log, held for writing: only whole lines count, and each of them once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lcompose.errors import MachineError
from lcompose.logs import files
from lcompose.logs.cursor import Cursor
from lcompose.logs.files import GOES_ON, Record, files_of, record_of, record_path
from lcompose.logs.lines import STAMP

FIX = "Make space there, or set XDG_STATE_HOME to a folder that you may write."


@dataclass
class Book:
    """A container's log while it is written.

    ``half`` is a line without an end that the file ends with: it is written anew when the rest of
    it comes, and does not count until then.
    """

    folder: Path
    record: Record
    half: bytes = b""
    clean: bool = False

    @property
    def path(self) -> Path:
        """The file that is written now."""
        return self.folder / self.record.file

    @property
    def cursor(self) -> Cursor:
        """How far it goes."""
        return self.record.cursor

    def append(self, lines: bytes) -> None:
        """Adds whole lines.

        Raises: OSError.
        """
        cursor = self.cursor.after(lines)
        half, self.half = self.half, b""
        # Of a line that was cut within its time nothing is lost: it comes again.
        if _stamp(half) and _stamp(half) != _stamp(lines):
            lines = half + b"\n" + lines
        if self.record.size and self.record.size + len(lines) > files.MOST_BYTES:
            self._turn()
        self._write(lines)
        self.record = replace(self.record, size=self.record.size + len(lines), cursor=cursor)

    def leave(self, half: bytes) -> None:
        """Lets the file end with a line that has no end yet.

        Raises: OSError.
        """
        self._write(half)
        self.half = half

    def _write(self, data: bytes) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if not self.clean:
                os.ftruncate(handle, self.record.size)
                self.clean = True
            place = self.record.size
            while data:
                written = os.pwrite(handle, data, place)
                place, data = place + written, data[written:]
        finally:
            os.close(handle)

    def _turn(self) -> None:
        """Goes on in a new file; of too many, the oldest is removed."""
        before, container = self.record.file, self.record.id
        self.record = replace(self.record, file=files.next_name(before, time.time(), container), size=0)
        heading = GOES_ON + before.encode() + b"\n"
        self._write(heading)
        self.record = replace(self.record, size=len(heading))
        files.point_latest(self.folder, self.record.file)
        for path in files_of(self.folder, container)[: -files.MOST_FILES]:
            path.unlink(missing_ok=True)


def _stamp(line: bytes) -> bytes:
    match = STAMP.match(line)
    return match[0] if match else b""


@contextmanager
def opened(folder: Path, container: str, name: str, created: float) -> Iterator[Book]:
    """Holds a container's log, and remembers at the end how far it is.

    Another process that wants it waits. What is there after a crash or on a full disk is counted
    anew.

    Raises: MachineError when it cannot be written.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(record_path(folder, container), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            book = _found(folder, container, name, created, os.read(handle, 64 * 1024).decode(errors="replace"))
            try:
                yield book
            finally:
                text = replace(book.record, looked=time.time()).text().encode()
                os.pwrite(handle, text, 0)
                os.ftruncate(handle, len(text))
        finally:
            os.close(handle)
    except OSError as error:
        raise MachineError(f"a log cannot be kept: {error.strerror or error}", str(folder), FIX) from error


def _found(folder: Path, container: str, name: str, created: float, text: str) -> Book:
    there = files_of(folder, container)
    if not there:
        return _new(folder, Record(container, name, files.file_name(created or time.time(), container)))
    record = record_of(text)
    path = there[-1]
    if record is None or record.file != path.name or record.size > path.stat().st_size:
        # The newest file may have nothing but its heading yet.
        before = [_counted(path.parent, Record(container, name, path.name)).cursor for path in there[-2:-1]]
        record = Record(container, name, path.name, cursor=before[0] if before else Cursor())
    return _counted(folder, record)


def _new(folder: Path, record: Record) -> Book:
    (folder / record.file).touch(mode=0o600)
    files.point_latest(folder, record.file)
    book = Book(folder, record)
    files.forget_old(folder, record.name)
    return book


def _counted(folder: Path, record: Record) -> Book:
    """The log with the lines that were written and not remembered: somebody was killed in between."""
    size, cursor, rest = record.size, record.cursor, b""
    with (folder / record.file).open("rb") as stream:
        stream.seek(size)
        while piece := stream.read(files.PIECE):
            ready, end, rest = (rest + piece).rpartition(b"\n")
            size += len(ready + end)
            cursor = cursor.after((ready + end) if not ready.startswith(GOES_ON) else ready.partition(b"\n")[2] + end)
    return Book(folder, replace(record, size=size, cursor=cursor), half=rest)
