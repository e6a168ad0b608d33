"""Logs: one merged stream of a running project, and files that outlive its containers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lcompose.bundle import write_private
from lcompose.engines import Engine
from lcompose.errors import LcomposeError, MachineError
from lcompose.host import end_running
from lcompose.spec.run import Container
from lcompose.spec.secrets import Secrets

TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\S+) ?")
KEPT_CONTAINERS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a service printed; ``time`` is as the engine says it, in UTC."""

    time: str
    service: str
    text: str


def merged(engine: Engine, containers: Iterable[Container], tail: int | None) -> list[Line]:
    """The lines of several containers in the order of their times."""
    found = [line for one in containers for line in _lines(one.service, engine.logs(one.id, tail))]
    return sorted(found, key=lambda line: line.time)


def followed(engine: Engine, containers: Iterable[Container], tail: int | None) -> Iterator[Line]:
    """Lines as they come, until every container has ended or the iterator is closed.

    Raises: EngineError, MachineError when one cannot be followed.
    """
    from queue import SimpleQueue
    from threading import Thread

    told: SimpleQueue[Line | LcomposeError | None] = SimpleQueue()
    threads = [
        Thread(target=_read, args=(one.service, engine.follow(one.id, tail), told.put), daemon=True)
        for one in containers
    ]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            line = told.get()
            if isinstance(line, LcomposeError):
                raise line
            if line is None:
                running -= 1
            else:
                yield line
    finally:
        end_running()


def _read(service: str, source: Iterator[str], tell: Callable[[Line | LcomposeError | None], None]) -> None:
    """Tells every line, and at the end None or what went wrong."""
    try:
        for text in source:
            tell(_line(service, text))
    except LcomposeError as error:
        tell(error)
    else:
        tell(None)


def keep(engine: Engine, container: Container, directory: Path, secrets: Secrets) -> Path:
    """Writes what a container has printed to a file of its own, secrets left out.

    Raises: EngineError when it cannot be read, MachineError when it cannot be written.
    """
    path = directory / f"{container.service}-{container.id[:12]}.log"
    text = engine.logs(container.id)
    try:
        # What was kept earlier is not given up for nothing.
        if text or not path.exists():
            write_private(path, secrets.redact(text) + "\n")
        _forget_old(directory, container.service)
    except OSError as error:
        fix = "Make space there, or set XDG_STATE_HOME to a folder that you may write."
        raise MachineError(f"a log cannot be kept: {error.strerror or error}", str(path), fix) from error
    return path


def kept(directory: Path) -> list[Path]:
    """Kept logs, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(directory.glob("*.log"), key=_modified)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # somebody else, or the thread beside this one, has just removed it


def service_of(path: Path) -> str:
    """Whose log a kept file is."""
    return path.stem.rsplit("-", 1)[0]


def read_kept(path: Path) -> list[Line]:
    """The lines of a kept log."""
    return _lines(service_of(path), path.read_text(errors="replace"))


def _forget_old(directory: Path, service: str) -> None:
    own = [path for path in kept(directory) if service_of(path) == service]
    for path in own[:-KEPT_CONTAINERS]:
        path.unlink(missing_ok=True)


def _lines(service: str, text: str) -> list[Line]:
    """Lines with their times; one that has none, such as a progress bar's, goes with the one before it."""
    found: list[Line] = []
    for one in text.splitlines():
        if one.strip():
            line = _line(service, one)
            found.append(line if line.time or not found else replace(line, time=found[-1].time))
    return found


def _line(service: str, text: str) -> Line:
    match = TIME.match(text)
    return Line(match[1] if match else "", service, text[match.end() :] if match else text)
