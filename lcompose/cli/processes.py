"""Which services are processes of this machine, and what they need: for whoever looks before 'up' does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lcompose import preflight
from lcompose.errors import ConfigError, Finding
from lcompose.gatespec import spec_of_project
from lcompose.programs import PYTHON_VERSIONS, Programs, programs, selected
from lcompose.spec.program import Natively, Need
from lcompose.spec.project import Project
from lcompose.spec.run import GateSpec
from lcompose.spec.target import TargetFacts
from lcompose.targets.local import localised
from lcompose.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Processes:
    """The services that are processes, what each needs, and what the configuration lacks for that."""

    names: tuple[str, ...]
    alone: bool
    found: Programs

    @property
    def needs(self) -> tuple[Need, ...]:
        """All that must be here."""
        return tuple(need for one in self.found.programs for need in one.needs)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is lacking."""
        return self.found.findings


def processes(workspace: Workspace, problems: Mapping[str, str] | None = None, *, here: bool = False) -> Processes:
    """The services that are run as processes; ``problems`` say of a runtime why it cannot be had here.

    With ``here`` the Python is one of this machine, where uv has to be told which.

    Raises: UsageError, MachineError where a service can be run in no way.
    """
    chosen = selected(workspace.resolved, workspace.settings, problems or {})
    names = tuple(name for name, one in chosen.items() if one.mode == "local")
    return Processes(names, len(names) == len(chosen), _programs(workspace, names, here=here))


def _programs(workspace: Workspace, names: Iterable[str], *, here: bool) -> Programs:
    """The programs of some services: of the others, only an image need be known."""
    resolved = workspace.resolved
    kept = tuple(one for one in resolved.project.services if one.name in names)
    own = replace(resolved, project=replace(resolved.project, services=kept))
    python = preflight.python_for_uv(workspace.env, PYTHON_VERSIONS) if here else ""
    return programs(own, workspace.settings, str(workspace.directory), workspace.env.get("HOME", "/"), python)


def project_of(workspace: Workspace, found: Processes) -> Project:
    """The project as processes: the ports are those that they listen on.

    Raises: UsageError.
    """
    facts = TargetFacts("local", "run", natively=Natively(found.found.programs))
    return localised(workspace.resolved.project, facts, workspace.place(workspace.directory))


def spec_of(workspace: Workspace, found: Processes) -> GateSpec:
    """What must be ready of them.

    Raises: UsageError.
    """
    return spec_of_project(project_of(workspace, found), workspace.settings.wait_timeout)


def refuse_lacking(found: Processes) -> None:
    """Stops where the configuration says too little for processes.

    Raises: ConfigError.
    """
    if found.findings:
        raise ConfigError(found.findings)


def refuse_missing(workspace: Workspace, found: Processes) -> None:
    """Stops where this machine lacks what they need; nothing is fetched or made.

    Raises: MachineError, UsageError.
    """
    if found.alone:
        # What looks at nothing must not wait for the engines' modules.
        from lcompose import bundle
        from lcompose.cli import native
        from lcompose.engines.select import choose

        engine, _ = choose("local", workspace.env)
        native.prepared(workspace, engine, bundle.project_path(workspace.env, engine.endpoint(), workspace.name))
        return
    preflight.here(found.needs, workspace.env)
