"""Drives the legs of a comparison: each through lcompose's own commands, as a person would do it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from lcompose import host
from lcompose.engines import Engine
from lcompose.engines.select import connect
from lcompose.errors import LcomposeError, MachineError, UsageError
from lcompose.keeper.processes import marked
from lcompose.parity import Leg, Seen
from lcompose.parity.answers import seen as answer_seen
from lcompose.parity.asking import Address, ask, free_ports
from lcompose.parity.normal import Ground, normalised
from lcompose.parity.rendered import Rendered, comparable, rendered
from lcompose.parity.requests import LCORE, SERVER, Request, sent
from lcompose.settings import SERVICES

# Seconds. ``up`` has deadlines of its own; this is what it may take beyond them.
LOOK, STOP, BEYOND = 60.0, 180.0, 30.0
LACKING = "lacking"
AS_CONTAINERS = ("--for", "docker")
MOST_TOLD = 8

READY, STATE, LOGS, GONE = "ready", "state", "logs kept", "nothing left"
VARIABLES, DOCUMENTS = "files: variables", "files: documents"


@dataclass(frozen=True, slots=True)
class Course:
    """What is needed to drive a leg: its project, the options of its commands, and where it keeps its state.

    ``patience`` is the seconds that ``up`` may take, and ``request_patience`` an answer.
    """

    leg: Leg
    project: str
    directory: Path
    folder: Path
    options: tuple[str, ...]
    env: Mapping[str, str]
    variables: Mapping[str, str]
    wait_timeout: int
    patience: float
    request_patience: float
    files: Rendered = Rendered((), {}, {}, {})
    addresses: Mapping[str, Address] = field(default_factory=dict)
    ground: Ground = Ground()

    @property
    def is_local(self) -> bool:
        """Whether its services are processes of this machine."""
        return self.leg.engine == "local"


@dataclass(frozen=True, slots=True)
class Finished:
    """A command of lcompose that ended: its exit code, and the last JSON that it printed."""

    code: int
    value: Mapping[str, Any]
    said: str

    @property
    def error(self) -> Mapping[str, Any]:
        """What it says is wrong."""
        return self.value.get("error") or {}

    @property
    def told(self) -> str:
        """What is wrong, for people."""
        error = self.error
        return "\n".join([str(error.get("what") or f"exit code {self.code}: {self.said}"), *self.details])

    @property
    def details(self) -> list[str]:
        """What it says beside that: each finding, or each thing that is missing."""
        error = self.error
        found = [f"{_place(one)}{one['what']}" for one in error.get("findings") or ()]
        return [str(one) for one in (*(error.get("details") or ()), *found)][:MOST_TOLD]

    @property
    def fix(self) -> str:
        """What it says that is to be done."""
        fixes = (self.error.get("fix"), *(one.get("fix") for one in self.error.get("findings") or ()))
        return next((str(one) for one in fixes if one), "")


def _place(finding: Mapping[str, Any]) -> str:
    """Where a finding is, if that is a line of a file."""
    return f"{finding['file']}:{finding['line']}: " if finding.get("line") else ""


def problems(legs: Sequence[Leg], env: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What the machine lacks for each leg that cannot be run on it, and what to do about that."""
    facts = {name: connect(name, env).facts() for name in {leg.engine for leg in legs}}  # type: ignore[arg-type]
    return {
        leg.name: (facts[leg.engine].problem, facts[leg.engine].fix) for leg in legs if not facts[leg.engine].usable
    }


def prepared(course: Course, taken: Collection[int] = ()) -> Course:
    """The same with free ports of its own, none of them among ``taken``, and with what its files say.

    Raises: UsageError, MachineError as its own command refuses it.
    """
    # Which port a service has of its own is said where it is a container.
    first = _files(course, *AS_CONTAINERS)
    inside = {name: port for name, (port, _) in first.probes.items() if name in SERVICES}
    opened = [name for name in inside if course.is_local or name in (LCORE, SERVER) or first.published[name]]
    outside = dict(zip(opened, free_ports(len(opened), taken), strict=True))
    settings = [f"services.{name}.ports={port}:{inside[name]}" for name, port in outside.items()]
    options = (*course.options, *(part for one in settings for part in ("--set", one)))
    placed = replace(course, options=options)
    files = _files(placed)
    if files.natively:
        _look_for_programs(placed)
    ports = {name: (port, *filter(None, [outside.get(name)])) for name, port in inside.items()}
    ground = replace(course.ground, project=course.project, ports=ports, services=files.services)
    return replace(
        placed,
        files=files,
        addresses={name: Address(port, first.probes[name][1]) for name, port in outside.items()},
        ground=replace(ground, volumes=files.volumes, files=files.files),
    )


def _files(course: Course, *more: str) -> Rendered:
    folder = course.folder / "rendered"
    shutil.rmtree(folder, ignore_errors=True)
    done = _lcompose(course, "render", *course.options, *more, "-o", str(folder), timeout=LOOK)
    if done.code:
        raise _refusal(course.leg, done)
    return rendered(done.value["documents"], course.variables)


def _look_for_programs(course: Course) -> None:
    """Whether all is here that processes need, before anything is started.

    Raises: UsageError, MachineError.
    """
    done = _lcompose(course, "up", *course.options, "--dry-run", timeout=LOOK)
    if done.code:
        raise _refusal(course.leg, done)


def _refusal(leg: Leg, done: Finished) -> LcomposeError:
    """The error of a leg's own command, with the leg's name."""
    kind = MachineError if done.code == MachineError.exit_code else UsageError
    what = done.told.splitlines()[0]
    return kind(what, f"leg {leg.name}", done.fix or "Leave it out of --legs.", tuple(done.details))


# ---------------------------------------------------------------- one leg


@dataclass(frozen=True, slots=True)
class Told:
    """How a leg tells what it does, and takes secrets out of what it saw; ``texts`` says that words count too."""

    note: Callable[[str], None]
    clean: Callable[[Any], Any]
    stop: Event
    texts: bool = False


def drive(course: Course, requests: Sequence[Request], told: Told) -> dict[str, Seen]:
    """Starts a leg, asks it, and takes it down whatever happens; what it was seen to do."""
    found: dict[str, Seen] = _of_files(course, told)
    if told.stop.is_set():
        return found
    told.note(f"{course.leg.name}: starts as {course.project}")
    try:
        found[READY] = _timed(lambda: _up(course))
        if not found[READY].problem:
            told.note(f"{course.leg.name}: is ready after {found[READY].seconds:.1f} s")
            found[STATE] = _timed(lambda: _state(course))
            found |= {one.name: _timed(partial(_asked, course, one, told)) for one in requests}
    finally:
        found[GONE] = _timed(lambda: _down(course, told))
    found[LOGS] = _timed(lambda: _logs(course))
    told.note(f"{course.leg.name}: is down")
    return {name: _clean(one, told) for name, one in found.items()}


def _timed(look: Callable[[], Seen]) -> Seen:
    begun = time.monotonic()
    try:
        seen = look()
    except LcomposeError as error:
        seen = Seen(problem=error.what)
    return replace(seen, seconds=time.monotonic() - begun)


def _clean(seen: Seen, told: Told) -> Seen:
    return replace(seen, value=told.clean(seen.value), problem=told.clean(seen.problem))


def _of_files(course: Course, told: Told) -> dict[str, Seen]:
    """The derived files; secrets are taken out before anything else, which might write them in another way."""
    ground = course.ground
    variables = told.clean(comparable(course.files.environment, anywhere=ground.anywhere))
    documents = told.clean(course.files.documents)
    return {
        VARIABLES: Seen(normalised(variables, ground, volatile=())),
        DOCUMENTS: Seen(normalised(documents, ground, volatile=())),
    }


def _up(course: Course) -> Seen:
    limit = ("--wait-timeout", str(course.wait_timeout))
    done = _lcompose(course, "up", *course.options, *limit, timeout=course.patience)
    if done.code:
        return Seen(problem=done.told, told=LACKING if done.code == MachineError.exit_code else "")
    return Seen({"ready": done.value.get("ready")})


def _state(course: Course) -> Seen:
    done = _lcompose(course, "status", *course.leg.options, timeout=LOOK)
    return Seen({row["service"]: row["state"] for row in done.value.get("services") or ()})


def _asked(course: Course, request: Request, told: Told) -> Seen:
    address = course.addresses.get(request.service)
    if request.service not in course.files.services:
        return Seen(absent=f"there is no {request.service} of its own")
    if address is None:
        return Seen(problem=f"no port of {request.service} is open on this machine")
    if told.stop.is_set():
        return Seen(absent="interrupted")
    headers, body = sent(request)
    reply = ask(address, request.method, request.path, headers, body, course.request_patience)
    return answer_seen(reply, request, course.ground, told.clean, texts=told.texts)


def _down(course: Course, told: Told) -> Seen:
    """Takes it down; once more where an interruption ended the command itself."""
    engine = connect(course.leg.engine, course.env)  # type: ignore[arg-type]
    # Processes have no label that an engine could be asked for: what belongs together is known until it is down.
    ids = [one.id for one in connect("local", course.env).containers(course.project)]
    done = _taken_down(course)
    if done.code and told.stop.is_set():
        done = _taken_down(course)
    processes = [str(pid) for one in ids for pid, _ in marked(one)]
    left = [*left_behind(engine, course.project), *(f"process {pid}" for pid in processes)]
    if done.code or left:
        what = done.told if done.code else f"it left behind: {', '.join(left)}"
        return Seen(problem="\n".join([what, *_ways(course, processes)]))
    return Seen({})


def _ways(course: Course, processes: Sequence[str]) -> Iterator[str]:
    """How a person removes what is left: what was remembered of the leg is gone by then."""
    if not course.is_local:
        yield f"lcompose down --volumes -p {course.project} {' '.join(course.leg.options)}"
    if processes:
        yield f"kill -9 {' '.join(processes)}"


def _taken_down(course: Course) -> Finished:
    return _lcompose(course, "down", *course.leg.options, "--volumes", timeout=STOP)


def left_behind(engine: Engine, project: str) -> list[str]:
    """What an engine still has of a leg.

    Raises: LcomposeError.
    """
    containers = [one.name for one in engine.containers(project)]
    return [*containers, *engine.networks(project), *engine.volumes(project)]


def _logs(course: Course) -> Seen:
    """Whose logs were kept when all was over."""
    done = _lcompose(course, "logs", *course.leg.options, "--tail", "1", timeout=LOOK)
    lines = [json.loads(line) for line in done.said.splitlines() if line.startswith("{")]
    kept = sorted({line["service"] for line in lines})
    missing = [name for name in course.files.services if name not in kept]
    return Seen(problem=f"nothing is kept of: {', '.join(missing)}") if missing else Seen(kept)


def keep(course: Course, folder: Path) -> None:
    """Copies the logs and the failure archives of a leg.

    Raises: OSError.
    """
    for place in (course.folder / "state" / "lcompose").glob(f"*/{course.project}"):
        for name in ("logs", "failures"):
            if (place / name).is_dir():
                shutil.copytree(place / name, folder / course.project / name, dirs_exist_ok=True)


def _lcompose(course: Course, verb: str, *arguments: str, timeout: float) -> Finished:
    """One command of lcompose, to its end.

    Raises: EngineError when it takes too long.
    """
    # -P: what lies in a person's folder is not imported, whatever it is called.
    argv = [sys.executable, "-P", "-m", "lcompose", verb, "-p", course.project, "--json", *arguments]
    done = host.run(argv, timeout=timeout, env=course.env, cwd=str(course.directory))
    return Finished(done.code, _last_value(done.out), done.out if verb == "logs" else done.said)


def _last_value(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}
