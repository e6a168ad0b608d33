"""Takes what containers printed into files that outlive them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lcompose.engines import Engine
from lcompose.errors import EngineError, LcomposeError
from lcompose.logs.book import Book, opened
from lcompose.logs.cursor import beyond, lost
from lcompose.logs.files import folder_of, records
from lcompose.logs.lines import whole_lines
from lcompose.spec.run import Container
from lcompose.spec.secrets import Secrets

# States in which a container may print something.
ALIVE = ("running", "restarting", "paused", "stopping", "removing")
SIDE_BY_SIDE = 8
GONE = ("no such container", "marked for removal")


def collect(engine: Engine, container: Container, directory: Path, secrets: Secrets, *, last: bool = True) -> Path:
    """Adds what a container has printed since the last time to its file, secrets left out.

    Where lines are missing that the engine does not have any more, a line in the file says so.
    ``last`` says that we may remove the container now: then nobody else did when it is gone.

    Raises: EngineError when it cannot be read, MachineError when it cannot be written, UsageError
    when its service has no name for a folder.
    """
    folder = folder_of(directory, container.service)
    with opened(folder, container.id, container.name, container.created) as book:
        goes_on = container.state in ALIVE and not last
        try:
            half = _read(engine, container.id, book, secrets)
        except EngineError as error:
            if not is_gone(error):
                raise
            _say_gone(book)
            return book.path
        if half and not goes_on:
            book.leave(half)
        book.record = replace(book.record, open=goes_on)
        return book.path


def _read(engine: Engine, container: str, book: Book, secrets: Secrets) -> bytes:
    """Adds the lines that are new; gives back the begin of one that has no end yet."""
    pieces = whole_lines(engine.stream(container, since=book.cursor.since), secrets.redact)
    for lines in beyond(pieces, book.cursor):
        if lines.endswith(b"\n"):
            book.append(lines)
        elif lines:
            return lines
    return b""


def is_gone(error: LcomposeError) -> bool:
    """Whether an engine says that it does not have the container."""
    return any(words in error.what.lower() for words in GONE)


def _say_gone(book: Book) -> None:
    if book.record.open:
        time = book.cursor.time.decode()
        begin = f"after {time}" if time else "from its first line on"
        book.append(lost(f"{begin}, the container was removed by something else than lcompose"))
        book.record = replace(book.record, open=False)


def collect_all(engine: Engine, containers: Iterable[Container], directory: Path, secrets: Secrets) -> list[str]:
    """Does so for several containers side by side, and says of which that were here before nothing more can come.

    Gives back a line for each that could not be kept.
    """
    from concurrent.futures import ThreadPoolExecutor

    def problem(container: Container) -> str:
        try:
            collect(engine, container, directory, secrets, last=False)
        except LcomposeError as error:
            return f"the log of {container.service[:60]} could not be kept: {error.what}"
        return ""

    present = list(containers)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        problems = [line for line in pool.map(problem, present) if line]
    return [*problems, *say_missing(engine, present, directory)]


def say_missing(engine: Engine, containers: Iterable[Container], directory: Path) -> list[str]:
    """Says in the logs of containers that went away behind our back that lines are lost.

    Gives back a line for each where that could not be said.
    """
    present = {one.id for one in containers}
    problems: list[str] = []
    for folder, record in records(directory):
        if record.open and record.id not in present and not _has(engine, record.id):
            try:
                with opened(folder, record.id, record.name, 0.0) as book:
                    _say_gone(book)
            except LcomposeError as error:
                problems.append(error.what)
    return problems


def _has(engine: Engine, container: str) -> bool:
    """Whether an engine has a container; in doubt it has."""
    try:
        # To its end: an engine's command line says first what is wrong, and then fails.
        deque(engine.stream(container, tail=1), maxlen=0)
    except LcomposeError as error:
        return not is_gone(error)
    return True
