"""A stack of which some or all services are processes of this machine: which, what they need, what is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lcompose import host, preflight
from lcompose.engines import Engine, local_limits
from lcompose.engines.select import beside, choose, refuse_another
from lcompose.errors import ConfigError, Finding, MachineError, UsageError
from lcompose.modes import Modes, Selected
from lcompose.programs import (
    PYTHON_VERSIONS,
    Programs,
    fallbacks,
    processes_of,
    programs,
    refuse_fallbacks,
    runtime_of,
    selected,
    why_containers,
)
from lcompose.spec.bundle import Bundle
from lcompose.spec.program import Natively, Need
from lcompose.spec.project import Project, Service
from lcompose.spec.target import EngineFacts, TargetFacts
from lcompose.targets import Place, local, mixed, translate
from lcompose.workspace import Workspace

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Here:
    """How a stack is run on this machine: the engine, which services are processes, and what is to be said of it."""

    mode: Modes
    engine: Engine
    facts: EngineFacts
    processes: frozenset[str]
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A project in this machine's words, its documents, and what has uv fetch the programs.

    ``notes`` are what a person should know of it.
    """

    project: Project
    bundle: Bundle
    notes: tuple[str, ...]
    fetch: Callable[[Tell], None]


def runtime_here(workspace: Workspace) -> Here:
    """The runtimes that are taken: where no container engine answers, and none was asked for, processes are left.

    Raises: UsageError, MachineError.
    """
    found = _selected(workspace, {})
    try:
        engine, facts = _engine(found, workspace)
    except MachineError as error:
        if runtime_of(found) != "local" and workspace.settings.engine:
            raise replace(error, details=(*error.details, *why_containers(found))) from None
        found = _without(workspace, found, error)
        engine, facts = _engine(found, workspace)
    if workspace.settings.runtimes.strict:
        refuse_fallbacks(found)
    return Here(runtime_of(found), engine, facts, processes_of(found), fallbacks(found))


def _engine(found: Mapping[str, Selected], workspace: Workspace) -> tuple[Engine, EngineFacts]:
    """The engine of all services; what is left of processes that are to be containers now, it sees too."""
    env, names = workspace.env, processes_of(found)
    if names:
        here = choose("local", env)
    engine, facts = here if runtime_of(found) == "local" else choose(workspace.settings.engine, env)
    refuse_another(workspace.name, engine.name, env)
    return engine if engine.name == "local" else beside(engine, workspace.name, names, env), facts


def _selected(workspace: Workspace, problems: Mapping[str, str]) -> dict[str, Selected]:
    return selected(workspace.resolved, workspace.settings, problems)


def _without(workspace: Workspace, found: Mapping[str, Selected], error: MachineError) -> dict[str, Selected]:
    """What is taken where the engine of a runtime does not answer.

    Raises: the error itself, where nothing is set up for the other one either.
    """
    away = "local" if runtime_of(found) == "local" else "container"
    told = replace(error, details=(*error.details, *why_containers(found)))
    try:
        left = _selected(workspace, {away: error.what})
    except (MachineError, UsageError):
        raise told from None
    if runtime_of(left) == "local" and _programs(workspace).findings:
        raise told from None
    return left


def _programs(workspace: Workspace, names: Collection[str] | None = None, *, here: bool = False) -> Programs:
    """The programs of these services, or of all."""
    home = workspace.env.get("HOME", "/")
    python = preflight.python_for_uv(workspace.env, PYTHON_VERSIONS) if here else ""
    resolved = workspace.resolved
    services = tuple(one for one in resolved.project.services if names is None or one.name in names)
    own = replace(resolved, project=replace(resolved.project, services=services))
    return programs(own, workspace.settings, str(workspace.directory), home, python)


def described(workspace: Workspace, names: Collection[str] | None = None) -> TargetFacts:
    """What is rendered for where nobody asks this machine: these services, or all, are processes.

    Raises: ConfigError for what no process can be.
    """
    return TargetFacts("local", "run", natively=Natively(_checked(workspace, names).programs))


def _checked(workspace: Workspace, names: Collection[str] | None = None, *, here: bool = False) -> Programs:
    found = _programs(workspace, names, here=here)
    if found.findings:
        raise ConfigError(found.findings)
    return found


def prepared(workspace: Workspace, engine: Engine, place: Path) -> Ready:
    """The project as processes, when this machine has all that they need.

    Raises: ConfigError, UsageError, MachineError.
    """
    found = _checked(workspace, here=True)
    facts = TargetFacts("local", "run", natively=_natively(found, workspace))
    where = workspace.place(place)
    project = local.localised(workspace.resolved.project, facts, where)
    bundle = translate(workspace.resolved.project, facts, where)
    _refuse_missing(found, workspace, project.services, project.name, engine)
    notes = (*bundle.report, *_unenforced(project.services, workspace))
    return Ready(project, bundle, notes, _fetch(found, workspace))


def prepared_beside(workspace: Workspace, chosen: Here, facts: TargetFacts, where: Place) -> Ready:
    """The project with some services as processes, when this machine has all that these need.

    Raises: ConfigError, UsageError, MachineError.
    """
    found = _checked(workspace, chosen.processes, here=True)
    facts = replace(facts, natively=_natively(found, workspace))
    project = mixed.combined(workspace.resolved.project, facts, where)
    bundle = translate(workspace.resolved.project, facts, where)
    ours = [one for one in project.services if one.name in chosen.processes]
    _refuse_missing(found, workspace, ours, project.name, chosen.engine)
    notes = (*mixed.notes(workspace.resolved.project, facts), *_unenforced(ours, workspace))
    return Ready(project, bundle, notes, _fetch(found, workspace))


def _natively(found: Programs, workspace: Workspace) -> Natively:
    given = frozenset(name for name, value in workspace.secrets.reveal().items() if value)
    return Natively(found.programs, sys.executable, given)


def _refuse_missing(
    found: Programs, workspace: Workspace, services: Iterable[Service], project: str, engine: Engine
) -> None:
    preflight.here(_needs(found), workspace.env, _taken_ports(services, project, engine))


def _unenforced(services: Iterable[Service], workspace: Workspace) -> Iterator[str]:
    """Limits that nobody on this machine keeps processes to."""
    machine = local_limits.here(workspace.env)
    for service in services:
        for problem in local_limits.unenforced(service.limits, machine):
            yield f"{service.name}: the limit {problem}. {local_limits.FIX}"


def _needs(found: Programs) -> list[Need]:
    return [need for one in found.programs for need in one.needs]


def _fetch(found: Programs, workspace: Workspace) -> Callable[[Tell], None]:
    timeout = workspace.settings.pull_timeout
    return lambda tell: preflight.fetched(_needs(found), workspace.env, timeout, tell)


def _taken_ports(services: Iterable[Service], project: str, engine: Engine) -> Iterator[str]:
    running = [one for one in engine.containers(project) if one.state == "running"]
    held = {port for one in running for _, _, port in one.ports}
    own = {one.probe.socket for one in running if one.probe}
    for service in services:
        path = service.probe.socket if service.probe else ""
        if path and path not in own and host.socket_listens(Path(path)):
            fix = f"Stop it, or change services.{service.name}.local.socket."
            yield f"{service.name}: another program listens at {path}. {fix}"
        for port in service.ports:
            if port.published not in held and not host.port_is_free(port.bind, port.published):
                where = f"{port.bind}:{port.published}"
                yield f"{service.name}: another program has {where}. Stop it, or change services.{service.name}.ports."
