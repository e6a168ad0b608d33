"""Native processes as they are kept on the disk: what each is to be, and how it is."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcompose.bundle import STATE_FIX, project_path, unwritable, write_private
from lcompose.errors import EngineError
from lcompose.keeper import WAS_KILLED, processes, record
from lcompose.keeper.guard import KILLED, UP
from lcompose.names import NAME
from lcompose.spec.labels import ACCELERATOR
from lcompose.spec.project import Healthcheck, Limits, Probe

ENDPOINT = "local"
PROCESSES, VOLUMES, BESIDE = "processes", "volumes", "beside"
ID = re.compile(r"[0-9a-f]{32}")
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
DEFAULT_LOG_SIZE, DEFAULT_LOG_FILES = "50m", 4
UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
# Seconds in which what was killed is gone.
GONE_WITHIN = 5.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What one process is to be; of variables in ``inherit`` only the names are known.

    ``defaults`` are for those of them that are not set, or empty.

    ``created`` is in seconds since 1970, ``log_size`` in bytes. ``beside`` is the engine that has the other
    services as containers, if any are, and ``called`` says that these call it. ``accelerator`` is the vendor of the
    GPUs that it was promised.
    """

    id: str
    project: str
    service: str
    command: tuple[str, ...]
    directory: str
    created: float = 0.0
    environment: tuple[tuple[str, str], ...] = ()
    inherit: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    check: Healthcheck | None = None
    probe: Probe | None = None
    after: tuple[str, ...] = ()
    restart: str = "no"
    most_restarts: int = 0
    stop_grace: int = 10
    limits: Limits = Limits()
    digest: str = ""
    log_size: int = 0
    log_files: int = DEFAULT_LOG_FILES
    beside: str = ""
    called: bool = False
    accelerator: str = ""

    @property
    def socket(self) -> Path | None:
        """The file that it listens at, if it does."""
        return Path(self.probe.socket) if self.probe and self.probe.socket else None

    @property
    def name(self) -> str:
        """What it is called, as an engine would call a container."""
        return f"{self.project}-{self.service}-1"


@dataclass(frozen=True, slots=True)
class State:
    """How one process is; processes are numbers with their moments of birth, times in seconds since 1970."""

    state: str = "created"
    pid: processes.Process = (0, 0)
    keeper: processes.Process = (0, 0)
    guard: processes.Process = (0, 0)
    exit_code: int = 0
    restarts: int = 0
    started: float = 0.0
    finished: float = 0.0
    error: str = ""
    oom_killed: bool = False
    stopped: bool = False
    lost: int = 0
    unenforced: str = ""

    @property
    def is_up(self) -> bool:
        """Whether it runs, or is to be started again."""
        return self.state in UP


@dataclass(frozen=True, slots=True)
class Kept:
    """One process: the folder that it is kept in, and what it is to be."""

    folder: Path
    spec: Spec

    @property
    def log(self) -> Path:
        """The folder of its log."""
        return self.folder / record.LOG


def folder_of_project(env: Mapping[str, str], project: str) -> Path:
    """The folder of a project's state."""
    return project_path(env, ENDPOINT, project)


def all_of(env: Mapping[str, str], project: str) -> list[Kept]:
    """The processes of a project, by name."""
    if not NAME.fullmatch(project):
        return []
    found = [one for path in _entries(folder_of_project(env, project) / PROCESSES) if (one := _kept(path))]
    return sorted(found, key=lambda one: one.spec.name)


def find(env: Mapping[str, str], container: str) -> Kept:
    """The process of that id.

    Raises: EngineError when there is none.
    """
    for project in projects(env) if ID.fullmatch(container) else ():
        if one := _kept(folder_of_project(env, project) / PROCESSES / container):
            return one
    raise EngineError(f"no such container: {container[:40]}", "", "Look at what 'lcompose status' says.")


def projects(env: Mapping[str, str]) -> list[str]:
    """The names of all projects that have any state here."""
    return [path.name for path in _entries(folder_of_project(env, "any").parent) if NAME.fullmatch(path.name)]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _kept(folder: Path) -> Kept | None:
    try:
        tree = json.loads((folder / record.SPEC).read_text())
        return Kept(folder, spec_of(tree["tree"], tree["id"], tree["project"], tree["service"], tree["created"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # none of ours, or one that is just being made or removed


# ---------------------------------------------------------------- what it is to be


def spec_of(tree: Mapping[str, Any], container: str, project: str, service: str, created: float) -> Spec:
    """A service of a process file.

    Raises: KeyError, ValueError, TypeError, AttributeError where it says something else.
    """
    policy, _, most = str(tree.get("restart") or "no").partition(":")
    log = tree.get("log") or {}
    return Spec(
        id=container,
        project=project,
        service=service,
        created=created,
        command=_command(tree["command"]),
        directory=str(tree["directory"]),
        environment=tuple((str(name), str(value)) for name, value in (tree.get("environment") or {}).items()),
        inherit=tuple(str(name) for name in tree.get("inherit") or ()),
        defaults=tuple((str(name), str(value)) for name, value in (tree.get("defaults") or {}).items()),
        ports=tuple((str(bind), int(port)) for bind, port in tree.get("ports") or ()),
        check=_check(tree.get("healthcheck")),
        probe=Probe(**tree["probe"]) if tree.get("probe") else None,
        after=tuple(str(name) for name in tree.get("after") or ()),
        restart=policy,
        most_restarts=int(most or 0),
        stop_grace=int(tree.get("stop_grace", 10)),
        limits=Limits(**{name: _limit(value) for name, value in (tree.get("limits") or {}).items()}),
        digest=str(tree.get("digest") or ""),
        log_size=int(size(str(log.get("max_size") or DEFAULT_LOG_SIZE))),
        log_files=max(1, int(log.get("max_file") or DEFAULT_LOG_FILES)),
        beside=str(tree.get("beside") or ""),
        called=bool(tree.get("called")),
        accelerator=str((tree.get("labels") or {}).get(ACCELERATOR) or ""),
    )


def _command(found: Any) -> tuple[str, ...]:
    command = tuple(str(part) for part in found)
    if isinstance(found, str) or not command:
        raise ValueError("command")
    return command


def _check(found: Mapping[str, Any] | None) -> Healthcheck | None:
    test = tuple(str(part) for part in (found or {}).get("test") or ())
    if not found or not test or test[0] == "NONE":
        return None
    times = {name: float(value) for name, value in found.items() if name not in ("test", "retries")}
    return Healthcheck(command=test, retries=int(found.get("retries", 3)), **times)


def _limit(value: Any) -> Any:
    return value if isinstance(value, int) else str(value)


def size(text: str) -> float:
    """Bytes that a text such as ``2g`` means.

    Raises: ValueError.
    """
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return float(match[1]) * UNITS[match[2].lower() or "b"]


# ---------------------------------------------------------------- how it is


def look(one: Kept) -> State:
    """How a process is now; where nobody keeps it any more, that is found out and written down."""
    state = _read(one)
    if not state.is_up or record.is_held(str(one.folder)):
        return state
    state = _read(one)  # it may have ended in between
    return _settled(one) if state.is_up else state


def _read(one: Kept) -> State:
    found = record.read(str(one.folder))
    known: Mapping[str, Any] = {name: value for name, value in found.items() if name in State.__slots__}
    pairs = {name: (int(known[name][0]), int(known[name][1])) for name in ("pid", "keeper", "guard")}
    return State(**{**known, **pairs})


def _settled(one: Kept) -> State:
    """Both its keeper and the guard were killed: the kernel ended the process itself, and we the rest."""
    try:
        handle = record.hold(str(one.folder))
    except OSError:
        return _read(one)
    if handle < 0:
        return _read(one)
    try:
        if _read(one).is_up:
            end_left_over(one)
            fields = {"state": "exited", "pid": [0, 0], "exit_code": KILLED, "error": WAS_KILLED}
            record.Record(str(one.folder)).change(**fields, finished=time.time())
            record.tell(str(one.folder), one.spec.id, one.spec.service, "die", KILLED)
        return _read(one)
    finally:
        release(handle)


def release(handle: int) -> None:
    """Lets go of a process that was held."""
    import os

    os.close(handle)


def end_left_over(one: Kept) -> bool:
    """Kills whatever has the mark of a process that nobody keeps; says whether nothing is left."""
    until = time.monotonic() + GONE_WITHIN
    while found := processes.marked(one.spec.id):
        for process in found:
            processes.send(process, signal.SIGKILL)
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


# ---------------------------------------------------------------- making and removing


def make(env: Mapping[str, str], spec: Spec, tree: Mapping[str, Any]) -> Kept:
    """Writes down a new process; it counts once all of it is there.

    Raises: UsageError, MachineError.
    """
    folder = folder_of_project(env, spec.project) / PROCESSES / spec.id
    about = {"id": spec.id, "project": spec.project, "service": spec.service, "created": spec.created, "tree": tree}
    try:
        (folder / record.LOG).mkdir(parents=True, mode=0o700)
        record.make(str(folder))
        write_private(folder / record.SPEC, json.dumps(about))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise unwritable(error, folder, STATE_FIX) from error
    record.tell(str(folder), spec.id, spec.service, "create")
    return Kept(folder, spec)


def remove(one: Kept) -> None:
    """Removes what is kept of a process that does not run.

    Raises: EngineError.
    """
    # First what makes it one, so that nobody finds half of it.
    with suppress(OSError):
        (one.folder / record.SPEC).unlink(missing_ok=True)
    shutil.rmtree(one.folder, ignore_errors=True)
    if one.folder.exists():
        raise EngineError("what is kept of a process cannot be removed", str(one.folder), "Remove this folder.")
    record.tell(str(one.folder), one.spec.id, one.spec.service, "destroy")


def volumes(env: Mapping[str, str], project: str) -> Iterator[tuple[str, Path]]:
    """The folders that are volumes of a project, and what each is called."""
    for path in _entries(folder_of_project(env, project) / VOLUMES) if NAME.fullmatch(project) else ():
        if path.is_dir() and not path.is_symlink() and SERVICE.fullmatch(path.name):
            yield f"{project}_{path.name}", path


def kept_beside(env: Mapping[str, str], project: str) -> str:
    """The engine that had containers of the project when its volumes were made, or nothing."""
    try:
        return (folder_of_project(env, project) / BESIDE).read_text()
    except OSError:
        return ""


def make_volumes(env: Mapping[str, str], project: str, names: Sequence[str], beside: str = "") -> None:
    """Makes the folders of these volumes; what is in one stays. ``beside`` is the engine that has containers.

    Raises: UsageError, MachineError.
    """
    folder = folder_of_project(env, project) / VOLUMES
    try:
        for name in names:
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        if names:
            write_private(folder.parent / BESIDE, beside)
    except OSError as error:
        raise unwritable(error, folder, STATE_FIX) from error
