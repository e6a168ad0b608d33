"""This machine as an engine: native processes, each with a keeper, that are told of as containers are."""

# ruff: noqa: ARG002  # not all that an engine is asked matters here

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lcompose import environments, host
from lcompose.engines import ComposeFile, Creation, EngineEvent, local_create, local_logs, local_sockets, local_store
from lcompose.engines import local_supervise as supervise
from lcompose.engines.local_limits import FIX, Enforcement, enforcement, here, unenforced
from lcompose.engines.local_store import ENDPOINT, PROCESSES, Kept, Spec, State
from lcompose.errors import EngineError, MachineError, UsageError
from lcompose.host import Finished
from lcompose.keeper import record
from lcompose.keeper.limits import Groups
from lcompose.keeper.log import names as log_names
from lcompose.spec.run import Container, Given, ImageInfo
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import EngineFacts, EngineName, version_of

# What every process gets of our own environment; all else is in its file, or passed on by name there.
ALWAYS = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")
# Seconds between two looks for events.
PAUSE = 0.02
NOT_FOUND = 127
# A process is given no device: it has all of its machine.
EVERYTHING = ("every device of this machine",)
BESIDE: tuple[EngineName, ...] = ("docker", "podman")
NO_IMAGES = "Use a container engine for this: --engine docker, or --engine podman."


def connect(env: Mapping[str, str]) -> Local:
    """This machine, for whoever has that environment."""
    return Local(env)


class Local:
    """Native processes of this machine."""

    name: EngineName = "local"

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        # What creations brought along, by process: values that are in no file.
        self._brought: dict[str, Mapping[str, str]] = {}

    def facts(self) -> EngineFacts:
        """See Engine."""
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            problem, fix = "processes of this machine can be run on Linux only", "Use a container engine."
            return EngineFacts("local", problem=problem, fix=fix)
        return EngineFacts("local", version_of(os.uname().release))

    def endpoint(self) -> str:
        """See Engine."""
        return ENDPOINT

    # ------------------------------------------------------------ images: there are none

    def images(self, references: Sequence[str]) -> dict[str, ImageInfo]:
        """See Engine."""
        return {}

    def pull(self, reference: str, timeout: float, on_line: Callable[[str], None]) -> None:
        """See Engine."""
        raise MachineError(f"the local runtime has no images, so {reference} is not fetched", "", NO_IMAGES)

    def run_once(
        self,
        image: str,
        argv: Sequence[str],
        *,
        entrypoint: str,
        mounts: Sequence[tuple[str, str]],
        environment: Mapping[str, str],
        timeout: float,
    ) -> Finished:
        """See Engine."""
        raise MachineError(f"the local runtime has no images, so {image} cannot be run", "", NO_IMAGES)

    # ------------------------------------------------------------ making and removing

    def read(self, compose: ComposeFile) -> dict[str, Any]:
        """See Engine."""
        return local_create.read(compose.files[0])

    def create(self, creation: Creation, on_line: Callable[[str], None]) -> None:
        """See Engine."""
        compose = creation.compose
        made = local_create.create(
            self._env,
            compose.project,
            compose.files[0],
            creation.services,
            lambda old: supervise.stop(old, old.spec.stop_grace),
            on_line,
        )
        for one in made:
            self._brought[one.spec.id] = compose.env
            for problem in unenforced(one.spec.limits, here(self._env)):
                on_line(f"{one.spec.service}: the limit {problem}")

    def unenforced(self, project: str) -> tuple[str, ...]:
        """The limits of a project's processes that nobody here holds them to, a sentence each; and what to do."""
        found = [
            f"{one.spec.service}: the limit {problem}"
            for one in self._all(project)
            for problem in unenforced(one.spec.limits, here(self._env))
        ]
        return (*found, FIX) if found else ()

    def remove(self, containers: Sequence[str]) -> None:
        """See Engine."""
        for container in containers:
            one = self._find(container)
            supervise.stop(one, 0)
            Groups([(folder, {}) for folder, _ in self._limits(one).groups]).remove()
            if one.spec.socket:
                local_sockets.forget(one.spec.socket)
            local_store.remove(one)

    # ------------------------------------------------------------ looking

    def containers(self, project: str) -> tuple[Container, ...]:
        """See Engine."""
        return tuple(container_of(one, local_store.look(one)) for one in self._all(project))

    def projects(self) -> list[str]:
        """See Engine."""
        return [project for project in local_store.projects(self._env) if self._all(project)]

    def beside(self, project: str) -> list[EngineName]:
        """The engines that have other services of a project as containers."""
        found = {one.spec.beside for one in self._all(project)}
        return [name for name in BESIDE if name in found]

    def kept_beside(self, project: str) -> str:
        """The engine that had others while the project's volumes were made, if there are such."""
        return local_store.kept_beside(self._env, project) if self.volumes(project) else ""

    def called_in(self, container: str) -> str:
        """The project whose containers call a process, or nothing where none does."""
        spec = self._find(container).spec
        return spec.project if spec.called else ""

    def accelerators(self, project: str) -> tuple[Given, ...]:
        """See Engine."""
        promised = (one for one in self._all(project) if one.spec.accelerator and local_store.look(one).is_up)
        return tuple(_given(one.spec) for one in promised)

    def environment(self, container: str) -> dict[str, str]:
        """See Engine."""
        one = self._find(container)
        return supervise.environment(one, local_store.look(one)) or self._variables(one)

    def events(self, project: str) -> Iterator[EngineEvent]:
        """See Engine."""
        return (event for event in self.looks(project) if event)

    def looks(self, project: str) -> Iterator[EngineEvent | None]:
        """The same, and None after each look that showed nothing more."""
        folder = local_store.folder_of_project(self._env, project) / PROCESSES
        for line in _new_lines(folder / record.EVENTS):
            with suppress(ValueError, TypeError):
                yield EngineEvent(**json.loads(line)) if line else None

    # ------------------------------------------------------------ starting and stopping

    def start(self, container: str) -> None:
        """See Engine."""
        self.start_called(container, ())

    def start_called(self, container: str, addresses: Sequence[str]) -> None:
        """The same; containers, if any call the process, reach it at these addresses of this machine too."""
        one = self._find(container)
        if one.spec.socket and not local_store.look(one).is_up:
            local_sockets.make_room(one.spec.service, one.spec.socket)
        env = self._variables(one)
        secret = [name for name in one.spec.inherit if name in env and _is_secret(name, env[name])]
        missing = "; ".join(unenforced(one.spec.limits, here(self._env)))
        argv, programs = environments.directly(one.spec.command, self._env)
        if programs:
            env = {**env, "PATH": f"{programs}:{env.get('PATH', '')}"}
            one = replace(one, spec=replace(one.spec, command=argv))
        supervise.start(one, env, secret, self._limits(one), missing, addresses if one.spec.called else ())

    def stop(self, container: str, grace: int) -> None:
        """See Engine."""
        supervise.stop(self._find(container), grace)

    def execute(self, container: str, argv: Sequence[str], timeout: float) -> Finished:
        """See Engine."""
        one = self._find(container)
        env = supervise.environment(one, local_store.look(one))
        if not env:
            return Finished(1, "", f"{one.spec.service} does not run")
        try:
            return host.run(list(argv), timeout=timeout, env=env, cwd=one.spec.directory, grace=host.SHORT_GRACE)
        except MachineError:
            # As engines say it.
            return Finished(NOT_FOUND, "", f'exec: "{argv[0]}": executable file not found in $PATH')

    def begin(self, container: str, argv: Sequence[str]) -> None:
        """See Engine."""
        supervise.begin(self._find(container), list(argv))

    # ------------------------------------------------------------ logs

    def logs(self, container: str, tail: int | None = None) -> str:
        """See Engine."""
        return b"".join(self.stream(container, tail=tail)).decode(errors="replace").rstrip("\n")

    def stream(
        self, container: str, *, since: str = "", tail: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        """See Engine."""
        one = self._find(container)
        if follow:
            yield from local_logs.follow(one.log, since, tail, lambda: local_store.look(one).is_up)
        else:
            yield from local_logs.stream(one.log, since, tail)
        state = local_store.look(one)
        if state.lost and not state.is_up:
            yield local_logs.lost(state.lost, state.finished)

    # ------------------------------------------------------------ what containers have beside themselves

    def networks(self, project: str) -> list[str]:
        """See Engine."""
        return []

    def host_addresses(self, project: str) -> list[str]:
        """See Engine."""
        return []

    def remove_network(self, name: str) -> None:
        """See Engine."""

    def pods(self, project: str) -> list[str]:
        """See Engine."""
        return []

    def remove_pod(self, name: str) -> None:
        """See Engine."""

    def volumes(self, project: str) -> list[str]:
        """See Engine."""
        return [name for name, _ in local_store.volumes(self._env, project)]

    def remove_volume(self, name: str) -> None:
        """See Engine."""
        for project in local_store.projects(self._env):
            for known, path in local_store.volumes(self._env, project):
                if known == name:
                    _remove_folder(path)
                    return
        raise EngineError(f"no such volume: {name[:80]}", "", "Look at what 'lcompose status' says.")

    # ------------------------------------------------------------ ours

    def _find(self, container: str) -> Kept:
        return local_store.find(self._env, container)

    def _all(self, project: str) -> list[Kept]:
        return local_store.all_of(self._env, project)

    def _limits(self, one: Kept) -> Enforcement:
        return enforcement(one.spec.limits, one.spec.id, here(self._env))

    def _variables(self, one: Kept) -> dict[str, str]:
        """What a process is started with: a little of our own, what is passed on by name, and its file's words."""
        given = {**self._env, **self._brought.get(one.spec.id, {})}
        defaults = dict(one.spec.defaults)
        names = [
            name for name in (*ALWAYS, *one.spec.inherit) if name in given and (given[name] or name not in defaults)
        ]
        return {**defaults, **{name: given[name] for name in names}, **dict(one.spec.environment)}


def container_of(one: Kept, state: State) -> Container:
    """A process in the words for containers."""
    spec = one.spec
    return Container(
        id=spec.id,
        name=spec.name,
        service=spec.service,
        state=state.state,
        exit_code=state.exit_code,
        restarts=state.restarts,
        oom_killed=state.oom_killed,
        error=state.error,
        digest=spec.digest,
        after=spec.after,
        stop_grace=spec.stop_grace,
        ports=tuple((port, bind, port) for bind, port in spec.ports),
        probe=spec.probe,
        created=spec.created,
        started=state.started,
        finished=state.finished,
        restart=spec.restart,
        most_restarts=spec.most_restarts,
        check=spec.check,
        parts=_parts(one),
        pid=state.pid[0],
        runtime="local",
        log="".join(str(one.log / name) for name in log_names(str(one.log))[-1:]),
    )


def _given(spec: Spec) -> Given:
    return Given(spec.id, spec.name, spec.service, spec.accelerator, EVERYTHING)


def _parts(one: Kept) -> tuple[tuple[str, str], ...]:
    """What tells that a process is not made as another one was; values of variables are not in it."""
    spec = one.spec
    variables = sorted({*spec.inherit, *(name for name, _ in spec.environment)})
    found = {"command": [spec.command, spec.directory], "variables": variables, "ports": spec.ports}
    return tuple(
        (name, blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()) for name, value in found.items()
    )


def _is_secret(name: str, value: str) -> bool:
    return Secrets({name: value}).redact(value) != value


def _remove_folder(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        what = f"a volume cannot be removed: {error.strerror or error}"
        raise UsageError(what, str(path), "Stop what uses it, and check its permissions.") from error


def _new_lines(path: Path) -> Iterator[str]:
    """The lines that are added to a file from now on; it may not be there yet, and may begin anew.

    An empty one stands for a look that showed none.
    """
    place = _size(path)
    rest = b""
    while True:
        size = _size(path)
        place = 0 if size < place else place
        if size > place:
            with suppress(OSError), path.open("rb") as stream:
                stream.seek(place)
                found = stream.read()
                place += len(found)
                *lines, rest = (rest + found).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        else:
            time.sleep(PAUSE)
            yield ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
