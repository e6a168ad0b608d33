"""A stack as processes of this machine: whether it is one, what it needs, and what is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lcompose import host, preflight
from lcompose.engines import Engine
from lcompose.engines.select import choose
from lcompose.errors import ConfigError, Finding, MachineError, UsageError
from lcompose.modes import Mode, Selected
from lcompose.programs import PYTHON_VERSIONS, Programs, fallbacks, one_runtime, programs, refuse_fallbacks, selected
from lcompose.spec.bundle import Bundle
from lcompose.spec.program import Natively
from lcompose.spec.project import Project
from lcompose.spec.target import EngineFacts, TargetFacts
from lcompose.targets import translate
from lcompose.targets.local import localised
from lcompose.workspace import Workspace

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Here:
    """How a stack is run on this machine: the runtime, the engine, and what is to be said of the choice."""

    mode: Mode
    engine: Engine
    facts: EngineFacts
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A project in this machine's words, its documents, and what has uv fetch the programs."""

    project: Project
    bundle: Bundle
    fetch: Callable[[Tell], None]


def runtime_here(workspace: Workspace) -> Here:
    """The runtime that is taken: where no container engine answers, and none was asked for, processes are left.

    Raises: UsageError, MachineError.
    """
    found = _selected(workspace, {})
    mode = one_runtime(found)
    try:
        engine, facts = _engine(mode, workspace)
    except MachineError as error:
        if mode == "container" and workspace.settings.engine:
            raise
        found = _without(workspace, mode, error)
        mode = one_runtime(found)
        engine, facts = _engine(mode, workspace)
    if workspace.settings.runtimes.strict:
        refuse_fallbacks(found)
    return Here(mode, engine, facts, fallbacks(found))


def _engine(mode: Mode, workspace: Workspace) -> tuple[Engine, EngineFacts]:
    return choose("local" if mode == "local" else workspace.settings.engine, workspace.env)


def _selected(workspace: Workspace, problems: Mapping[str, str]) -> dict[str, Selected]:
    return selected(workspace.resolved, workspace.settings, problems)


def _without(workspace: Workspace, mode: Mode, error: MachineError) -> dict[str, Selected]:
    """What is taken where the engine of a runtime does not answer.

    Raises: the error itself, where nothing is set up for the other one either.
    """
    try:
        found = _selected(workspace, {mode: error.what})
        other = one_runtime(found)
    except (MachineError, UsageError):
        raise error from None
    if other == "local" and _programs(workspace).findings:
        raise error from None
    return found


def _programs(workspace: Workspace, *, here: bool = False) -> Programs:
    home = workspace.env.get("HOME", "/")
    python = preflight.python_for_uv(workspace.env, PYTHON_VERSIONS) if here else ""
    return programs(workspace.resolved, workspace.settings, str(workspace.directory), home, python)


def described(workspace: Workspace) -> TargetFacts:
    """What is rendered for where nobody asks this machine.

    Raises: ConfigError for what no process can be.
    """
    return TargetFacts("local", "run", natively=Natively(_checked(workspace).programs))


def _checked(workspace: Workspace, *, here: bool = False) -> Programs:
    found = _programs(workspace, here=here)
    if found.findings:
        raise ConfigError(found.findings)
    return found


def prepared(workspace: Workspace, engine: Engine, place: Path) -> Ready:
    """The project as processes, when this machine has all that they need.

    Raises: ConfigError, UsageError, MachineError.
    """
    found = _checked(workspace, here=True)
    given = frozenset(name for name, value in workspace.secrets.reveal().items() if value)
    facts = TargetFacts("local", "run", natively=Natively(found.programs, sys.executable, given))
    where = workspace.place(place)
    project = localised(workspace.resolved.project, facts, where)
    bundle = translate(workspace.resolved.project, facts, where)
    needs = [need for one in found.programs for need in one.needs]
    preflight.here(needs, workspace.env, _taken_ports(project, engine))
    timeout = workspace.settings.pull_timeout
    return Ready(project, bundle, lambda tell: preflight.fetched(needs, workspace.env, timeout, tell))


def _taken_ports(project: Project, engine: Engine) -> Iterator[str]:
    running = [one for one in engine.containers(project.name) if one.state == "running"]
    held = {port for one in running for _, _, port in one.ports}
    for service in project.services:
        for port in service.ports:
            if port.published not in held and not host.port_is_free(port.bind, port.published):
                where = f"{port.bind}:{port.published}"
                yield f"{service.name}: another program has {where}. Stop it, or change services.{service.name}.ports."
