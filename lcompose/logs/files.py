"""Where kept logs lie: a folder for each service, a file for each container and time, a record beside them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lcompose.errors import UsageError
from lcompose.logs.cursor import Cursor
from lcompose.logs.lines import OURS, Line, read_lines

# A service of somebody else's file may have capitals and dots; none leads out of the folder.
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
FILE = re.compile(r"(?P<time>\d{8}T\d{6}Z)-(?P<id>[A-Za-z0-9]{1,12})\.log")
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
LATEST = "latest.log"
KEPT_CONTAINERS = 5  # of each container's name, so of each replica
MOST_FILES = 10  # of one container
MOST_BYTES = 50 * 1024 * 1024  # in a file
PIECE = 256 * 1024
VERSION = 1
GOES_ON = OURS + b"goes on from "


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one container's log.

    ``file`` is the one that is written now; of it, ``size`` bytes are whole lines up to ``cursor``.
    ``open`` says that the container may print more; ``looked`` is when it was last asked, in
    seconds since 1970.
    """

    id: str
    name: str = ""
    file: str = ""
    size: int = 0
    cursor: Cursor = field(default_factory=Cursor)
    open: bool = True
    looked: float = 0.0

    def text(self) -> str:
        """The record as it is written."""
        cursor = {"time": self.cursor.time.decode(), "equal": self.cursor.equal, "late": self.cursor.late}
        rest = {name: getattr(self, name) for name in ("id", "name", "file", "size", "open", "looked")}
        return json.dumps({"version": VERSION, **rest, "cursor": cursor})


def record_of(text: str) -> Record | None:
    """A record as it was written; None where it is damaged, or of another version."""
    try:
        found: dict[str, Any] = json.loads(text)
        if found.pop("version") != VERSION:
            return None
        cursor = found.pop("cursor")
        return Record(**found, cursor=Cursor(cursor["time"].encode(), int(cursor["equal"]), int(cursor["late"])))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def folder_of(directory: Path, service: str) -> Path:
    """The folder of a service's logs.

    Raises: UsageError when its name cannot be one of a folder.
    """
    if not SERVICE.fullmatch(service):
        fix = "Use 1 to 200 of letters, digits, '.', '_' and '-', starting with a letter or digit."
        raise UsageError(f"no log is kept of a service called {service[:40]!r}", "", fix)
    return directory / service


def short(container: str) -> str:
    """A container's id in the name of a file."""
    return re.sub(r"[^A-Za-z0-9]", "", container)[:12] or "0"


def record_path(folder: Path, container: str) -> Path:
    """Where a container's record is."""
    return folder / f".{short(container)}.json"


def file_name(seconds: float, container: str) -> str:
    """The name of a log that begins at that time."""
    return f"{datetime.fromtimestamp(seconds, UTC):{TIME_FORMAT}}-{short(container)}.log"


def next_name(before: str, seconds: float, container: str) -> str:
    """The name of the file after that one: later by name, too."""
    match = FILE.fullmatch(before)
    earlier = datetime.strptime(match["time"], TIME_FORMAT).replace(tzinfo=UTC).timestamp() if match else 0.0
    return file_name(max(seconds, earlier + 1), container)


def kept(directory: Path) -> list[Path]:
    """Kept logs, oldest first."""
    return sorted((path for folder in _folders(directory) for path in _logs(folder)), key=lambda path: path.name)


def files_of(folder: Path, container: str) -> list[Path]:
    """The files of one container, oldest first."""
    return [path for path in _logs(folder) if path.stem.endswith(f"-{short(container)}")]


def service_of(path: Path) -> str:
    """Whose log a kept file is."""
    return path.parent.name


def read_kept(path: Path) -> Iterator[Line]:
    """The lines of a kept file."""
    for lines in read_lines(service_of(path), read_pieces(path)):
        yield from lines


def read_pieces(path: Path, size: int | None = None) -> Iterator[bytes]:
    """The first bytes of a file, or all of it, as pieces of whole lines; one that is not there has none."""
    left = size if size is not None else float("inf")
    rest = b""
    with suppress(FileNotFoundError), path.open("rb") as stream:
        while left > 0 and (piece := stream.read(int(min(left, PIECE)))):
            left -= len(piece)
            ready, end, rest = (rest + piece).rpartition(b"\n")
            yield _without_heading(path, ready + end)
    yield rest


def _without_heading(path: Path, lines: bytes) -> bytes:
    """Lines without the one that says which file they go on from, unless that one is not there any more."""
    if not lines.startswith(GOES_ON):
        return lines
    heading, _, rest = lines.partition(b"\n")
    before = heading.removeprefix(GOES_ON).decode(errors="replace")
    if FILE.fullmatch(before) and (path.parent / before).exists():
        return rest
    return OURS + b"earlier lines were put away: of one container, the newest files are kept\n" + rest


def records(directory: Path) -> Iterator[tuple[Path, Record]]:
    """The folder and the record of each container that anything is remembered of."""
    for folder in _folders(directory):
        for path in sorted(folder.glob(".*.json")):
            record = read_record(path)
            if record:
                yield folder, record


def read_record(path: Path) -> Record | None:
    """The record at a path, if there is a good one."""
    try:
        return record_of(path.read_text())
    except OSError:
        return None


def last_run(folder: Path) -> list[str]:
    """The ids of the containers of a service's last run: the newest, and those that were there beside it."""
    began = {path.stem.rpartition("-")[2]: path.name for path in reversed(_logs(folder))}
    if not began:
        return []
    newest = max(began, key=lambda one: began[one])
    since = datetime.strptime(began[newest][:16], TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    found = {one: read_record(record_path(folder, one)) for one in sorted(began, key=lambda one: began[one])}
    names = {record.name: one for one, record in found.items() if record and record.looked >= since}
    return sorted({newest, *names.values()}, key=lambda one: began[one])


def forget_old(folder: Path, name: str) -> None:
    """Removes what is kept of earlier containers of that name, but for the last few before a new one."""
    found = [read_record(path) for path in folder.glob(".*.json")]
    own = [(files_of(folder, one.id), one.id) for one in found if one and one.name == name]
    for paths, container in sorted(own)[: 1 - KEPT_CONTAINERS]:
        for path in [*paths, record_path(folder, container)]:
            path.unlink(missing_ok=True)


def point_latest(folder: Path, name: str) -> None:
    """Lets latest.log be that file; a reader finds the old one or the new one."""
    temporary = folder / f".{LATEST}.{os.urandom(4).hex()}"
    temporary.symlink_to(name)
    temporary.replace(folder / LATEST)


def _folders(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if path.is_dir() and SERVICE.fullmatch(path.name))


def _logs(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [folder / name for name in names if FILE.fullmatch(name)]
