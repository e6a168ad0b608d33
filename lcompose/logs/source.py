"""One container's log as it is shown: what was kept of it, then what its engine has beyond that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lcompose.engines import Engine
from lcompose.errors import EngineError
from lcompose.logs.collect import is_gone
from lcompose.logs.cursor import Cursor, beyond
from lcompose.logs.files import files_of, folder_of, read_pieces, read_record, record_path
from lcompose.logs.lines import OURS, Line, Redact, read_lines, whole_lines
from lcompose.spec.run import Container

# More lines than asked for: what comes first at an engine's own tail may be half a line.
MORE = 50
MOST_AT_ONCE = 5000


@dataclass
class Source:
    """A container's log, which goes on where it was left.

    ``directory`` is that of kept logs, if there is one. ``half`` is a line without an end that was
    shown already. ``error`` says why nothing can be read.
    """

    engine: Engine
    container: Container
    directory: Path | None
    redact: Redact
    cursor: Cursor = Cursor()
    half: bytes = b""
    error: EngineError | None = None

    def lines(self, *, follow: bool = False) -> Iterator[list[Line]]:
        """The lines beyond those that it gave already, in batches; empty ones where nothing came."""
        return read_lines(self.container.service, self._told(follow=follow))

    def kept(self) -> Iterator[list[Line]]:
        """What was kept of it, if that is known for sure."""
        service = self.container.service
        folder = folder_of(self.directory, service) if self.directory else None
        record = read_record(record_path(folder, self.container.id)) if folder else None
        if folder is None or record is None or not record.cursor.time:
            return
        for path in files_of(folder, self.container.id):
            size = record.size if path.name == record.file else None
            yield from read_lines(service, read_pieces(path, size))
            if size is not None:
                self.cursor = record.cursor
                return

    def last(self, count: int) -> list[Line] | None:
        """The last lines by the engine's own counting; None where that may miss some, or be too many."""
        if count > MOST_AT_ONCE:
            return None
        pieces = whole_lines(self.engine.stream(self.container.id, tail=count + MORE), self.redact)
        data = b"".join(pieces)
        cursor = Cursor().after(data)
        found = [line for lines in read_lines(self.container.service, [data]) for line in lines]
        # All lines of the latest time must be among them, so that going on shows none again.
        if len(found) <= count or not data.endswith(b"\n") or data.startswith(cursor.time):
            return None
        self.cursor = cursor
        return found[len(found) - count :]

    def _told(self, *, follow: bool) -> Iterator[bytes]:
        """What is new; a line of ours where nothing can be read."""
        try:
            yield from self._new(follow=follow)
        except EngineError as error:
            if not is_gone(error):
                self.error = error
                yield OURS + f"this log cannot be read: {error.what}\n".encode()

    def _new(self, *, follow: bool) -> Iterator[bytes]:
        stream = self.engine.stream(self.container.id, since=self.cursor.since, follow=follow)
        for lines in beyond(whole_lines(stream, self.redact), self.cursor):
            if lines and not lines.endswith(b"\n"):
                # It may be without an end only because the reading ended; so it is asked for once more.
                if not follow and lines != self.half:
                    self.half = lines
                    yield lines
                return
            self.cursor = self.cursor.after(lines) if lines else self.cursor
            yield self._without_half(lines)

    def _without_half(self, lines: bytes) -> bytes:
        """Lines without the first, where that was shown before it had its end."""
        half = self.half
        if lines:
            self.half = b""
        return lines.removeprefix(half + b"\n") if half else lines
