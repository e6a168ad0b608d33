"""Logs: one merged stream of a running project, and files that outlive its containers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lcompose.bundle import write_private
from lcompose.engines import Engine
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
    """Lines as they come, until every container has ended or the iterator is closed."""
    from queue import Queue
    from threading import Thread

    queue: Queue[Line | None] = Queue()
    followers = [(one.service, engine.follow(one.id, tail)) for one in containers]

    def read(service: str, source: Iterator[str]) -> None:
        for text in source:
            queue.put(_line(service, text))
        queue.put(None)

    threads = [Thread(target=read, args=pair, daemon=True) for pair in followers]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            line = queue.get()
            if line is None:
                running -= 1
            else:
                yield line
    finally:
        end_running()


def keep(engine: Engine, container: Container, directory: Path, secrets: Secrets) -> Path:
    """Writes what a container has printed to a file of its own, secrets left out."""
    path = directory / f"{container.service}-{container.id[:12]}.log"
    write_private(path, secrets.redact(engine.logs(container.id)) + "\n")
    _forget_old(directory, container.service)
    return path


def kept(directory: Path) -> list[Path]:
    """Kept logs, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(directory.glob("*.log"), key=lambda path: path.stat().st_mtime)


def read_kept(path: Path) -> list[Line]:
    """The lines of a kept log."""
    service = path.stem.rsplit("-", 1)[0]
    return _lines(service, path.read_text(errors="replace"))


def _forget_old(directory: Path, service: str) -> None:
    own = [path for path in kept(directory) if path.stem.rsplit("-", 1)[0] == service]
    for path in own[:-KEPT_CONTAINERS]:
        path.unlink(missing_ok=True)


def _lines(service: str, text: str) -> list[Line]:
    return [_line(service, one) for one in text.splitlines() if one.strip()]


def _line(service: str, text: str) -> Line:
    match = TIME.match(text)
    return Line(match[1] if match else "", service, text[match.end() :] if match else text)
