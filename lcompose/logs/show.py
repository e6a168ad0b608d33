"""The logs of a project as one stream: what is kept and what its engine has, in the order of their times."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread

from lcompose.engines import Engine
from lcompose.errors import EngineError, LcomposeError
from lcompose.logs.files import files_of, folder_of, last_run, read_pieces
from lcompose.logs.lines import Line, Redact, read_lines
from lcompose.logs.source import Source
from lcompose.spec.run import Container

Batches = Iterator[list[Line]]
TIME_OF = itemgetter(0)
# Batches that are read ahead of each container: that many are in memory, and no more.
AHEAD = 2


@dataclass(frozen=True, slots=True)
class View:
    """Which lines are wanted: of some services, since a time, only the last of each, those with a pattern."""

    services: tuple[str, ...] = ()
    since: str = ""
    tail: int | None = None
    grep: re.Pattern[str] | None = None

    def has(self, service: str) -> bool:
        """Whether lines of the service are wanted."""
        return not self.services or service in self.services

    def of(self, lines: list[Line]) -> list[Line]:
        """Those of the lines that are wanted; which are the last is not known yet."""
        if self.since:
            lines = [line for line in lines if line.time >= self.since]
        if self.grep:
            found = self.grep.search
            lines = [line for line in lines if found(line.text)]
        return lines


def merged(
    engine: Engine, containers: Iterable[Container], directory: Path | None, view: View, redact: Redact
) -> Batches:
    """Lines in the order of their times, in batches: of each service's containers, or else of its last run.

    Raises: EngineError when no container's log can be read.
    """
    sources = [Source(engine, one, directory, redact) for one in containers if view.has(one.service)]
    yield from opening(sources, directory, view)
    errors = [source.error for source in sources if source.error]
    if errors and len(errors) == len(sources):
        raise errors[0]


def opening(sources: Sequence[Source], directory: Path | None, view: View) -> Batches:
    """What there is now; afterwards every source knows how far it is."""
    services: dict[str, list[Batches]] = {}
    for source in sources:
        services.setdefault(source.container.service, []).append(_Ahead(_of_source(source, view)).batches())
    for service in left_behind(directory, {source.container.service for source in sources}, view):
        assert directory is not None
        services[service] = [_of_files(folder_of(directory, service), view)]
    return in_order([_last(in_order(found), view.tail) for found in services.values()])


def left_behind(directory: Path | None, present: set[str], view: View) -> list[str]:
    """Services that are wanted, have no container, and have logs that were kept."""
    if directory is None or not directory.is_dir():
        return []
    names = sorted(path.name for path in directory.iterdir() if path.is_dir())
    return [name for name in names if name not in present and view.has(name) and last_run(directory / name)]


def _of_source(source: Source, view: View) -> Batches:
    if view.tail is not None and not view.since and not view.grep:
        found = _quickly(source, view.tail)
        if found is not None:
            yield found
            return
    for reading in (source.kept(), source.lines()):
        for lines in reading:
            yield view.of(lines)


def _quickly(source: Source, tail: int) -> list[Line] | None:
    try:
        return source.last(tail)
    except EngineError:
        return None  # which is told when all of it is read


def _of_files(folder: Path, view: View) -> Batches:
    """What was kept of a service's last run."""
    readings = []
    for container in last_run(folder):
        pieces = (piece for path in files_of(folder, container) for piece in read_pieces(path))
        readings.append(view.of(lines) for lines in read_lines(folder.name, pieces))
    return in_order(readings)


def _last(batches: Batches, count: int | None) -> Batches:
    """Only the last lines, where that is asked for."""
    if count is None:
        yield from batches
        return
    found: deque[Line] = deque(maxlen=count)
    for lines in batches:
        found.extend(lines)
    yield list(found)


def in_order(readings: Sequence[Batches]) -> Batches:
    """Several readings as one, by time; in each, lines of the same time stay as they are.

    Whole batches are sorted as far as every reading has come: a million lines take 0.6 s so, and
    2 s one by one.
    """
    if len(readings) == 1:
        yield from readings[0]
        return
    heads = {number: _next(reading) for number, reading in enumerate(readings)}
    heads = {number: head for number, head in heads.items() if head}
    while heads:
        until = min(head[-1].time for head in heads.values())
        batch: list[Line] = []
        for number, head in list(heads.items()):
            ready = bisect_right(head, until, key=TIME_OF)
            batch += head[:ready]
            heads[number] = head[ready:] or _next(readings[number])
        heads = {number: head for number, head in heads.items() if head}
        batch.sort(key=TIME_OF)
        yield batch


def _next(reading: Batches) -> list[Line]:
    """The next lines of a reading by time; none at its end."""
    lines = next((lines for lines in reading if lines), [])
    return sorted(lines, key=TIME_OF)


class _Ahead:
    """Makes batches ready on a thread while others are used."""

    def __init__(self, reading: Batches) -> None:
        self.reading = reading
        self.made: Queue[list[Line] | LcomposeError | None] = Queue(AHEAD)
        self.stop = Event()

    def batches(self) -> Batches:
        thread = Thread(target=self._make, daemon=True)
        thread.start()
        try:
            while (lines := self.made.get()) is not None:
                if isinstance(lines, LcomposeError):
                    raise lines
                yield lines
        finally:
            self.stop.set()
            thread.join(timeout=2)

    def _make(self) -> None:
        try:
            for lines in self.reading:
                self._put(lines)
                if self.stop.is_set():
                    return
        except LcomposeError as error:
            self._put(error)
        finally:
            self._put(None)

    def _put(self, thing: list[Line] | LcomposeError | None) -> None:
        while not self.stop.is_set():
            with suppress(Full):
                self.made.put(thing, timeout=0.2)
                return
