"""What is configured in a folder, for the doctor: read as far as it goes, with what is wrong as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lcompose import host, preflight
from lcompose.cli.processes import Processes, processes, spec_of
from lcompose.cli.stack import open_file, open_rendered
from lcompose.doctor.facts import NeedSeen, StackSeen
from lcompose.doctor.sizes import limit
from lcompose.errors import ConfigError, Finding, LcomposeError, Position
from lcompose.gatespec import spec_of_project
from lcompose.lightspeed.config import unset_variable
from lcompose.lightspeed.envrefs import references
from lcompose.lightspeed.model_memory import estimate
from lcompose.spec.program import Need
from lcompose.spec.project import FileMount
from lcompose.spec.run import GateSpec
from lcompose.spec.target import EngineName
from lcompose.workspace import CONFIG_FILE, Options, Workspace, directory_of, open_workspace

NAMES_CONFIG = "LIGHTSPEED_STACK_CONFIG_PATH"


@dataclass(frozen=True, slots=True)
class Looked:
    """What is configured, the engine that it asks for, and what must be ready of it, if that is known."""

    stack: StackSeen
    engine: EngineName | None = None
    spec: GateSpec | None = None
    workspace: Workspace | None = None


def configured(options: Options, env: Mapping[str, str], files: Sequence[str]) -> Looked | None:
    """What the folder has for lcompose; None where there is nothing, or a compose file is meant instead."""
    asked = options.config or env.get(NAMES_CONFIG, "")
    if files or not (asked or host.exists(directory_of(options) / CONFIG_FILE)):
        return None
    name = asked or CONFIG_FILE
    problems = _problems(lambda: open_workspace(options, env, variables=True, here=True), name)
    try:
        workspace = open_workspace(options, env, allow_missing=True, here=True)
    except LcomposeError:
        return Looked(StackSeen(name, problems=problems))
    return Looked(
        _of_workspace(name, workspace, problems),
        workspace.settings.engine,
        spec_of_project(workspace.resolved.project, workspace.settings.wait_timeout),
        workspace,
    )


def as_processes(looked: Looked, away: str) -> Looked:
    """The same where services are processes; ``away`` says why there can be no container, if that is so.

    As 'up' does, processes are taken where no container can be had only if all is set up for them.
    """
    if looked.workspace is None:
        return looked
    try:
        asked = processes(looked.workspace, here=True)
        falls = away and not asked.alone and not looked.workspace.settings.runtimes.strict
        left = processes(looked.workspace, {"container": away}, here=True) if falls else asked
        taken = asked if left.findings else left
        return _taken(looked, looked.workspace, taken, is_left=taken is not asked) if taken.names else looked
    except LcomposeError as error:
        return looked if away else replace(looked, stack=_refused(looked.stack, error))


def _refused(stack: StackSeen, error: LcomposeError) -> StackSeen:
    return replace(stack, refused=_finding(error, stack.file))


def _taken(looked: Looked, workspace: Workspace, found: Processes, *, is_left: bool) -> Looked:
    problems = (*looked.stack.problems, *found.findings)
    stack = replace(
        looked.stack,
        problems=problems,
        processes=found.names,
        needs=_seen(found.needs, workspace.env),
        in_containers=not found.alone,
        is_left=is_left,
    )
    if not found.alone or found.findings:
        return replace(looked, stack=stack)
    try:
        return replace(looked, stack=stack, spec=spec_of(workspace, found))
    except LcomposeError as error:
        return replace(looked, stack=_refused(stack, error))


def _seen(needs: Iterable[Need], env: Mapping[str, str]) -> tuple[NeedSeen, ...]:
    """What is here of it; what several services need is told once."""
    together: dict[tuple[str, str], NeedSeen] = {}
    for need in needs:
        key = (need.kind, need.name)
        known = together.get(key)
        if known is None:
            together[key] = NeedSeen((need.service,), need.kind, need.name, preflight.look(need, env), need.fix)
        elif need.service not in known.services:
            together[key] = replace(known, services=(*known.services, need.service))
    return tuple(together.values())


def expected(files: Sequence[str]) -> StackSeen:
    """Compose files that nobody has read yet."""
    return StackSeen(", ".join(files), proxies=None, read=False)


def open_stack(
    options: Options, env: Mapping[str, str], files: Sequence[str], profiles: Sequence[str], stack: StackSeen
) -> tuple[StackSeen, GateSpec | None]:
    """The stack as ``up`` would open it for an engine, and why that cannot be."""
    stack = replace(stack, read=True)
    try:
        opened = open_file(options, env, files, profiles) if files else open_rendered(options, env)
    except ConfigError as error:
        return replace(stack, problems=_errors(error.findings)), None
    except LcomposeError as error:
        return replace(stack, refused=_finding(error, stack.file)), None
    if files:
        limits = sum(_limit(one or {}) for one in (opened.reading.get("services") or {}).values())
        stack = replace(stack, project=opened.name, limits=limits)
    return stack, opened.spec


def _limit(service: Mapping[str, Any]) -> int:
    deploy = ((service.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    return limit(str(service.get("mem_limit") or deploy.get("memory") or ""))


def _problems(read: Callable[[], object], name: str) -> tuple[Finding, ...]:
    try:
        read()
    except ConfigError as error:
        return _errors(error.findings)
    except LcomposeError as error:
        return (_finding(error, name),)
    return ()


def _errors(found: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(one for one in found if one.severity == "error")


def _finding(error: LcomposeError, name: str) -> Finding:
    return Finding(Position(error.where or name), "", error.what, error.fix)


def _of_workspace(name: str, workspace: Workspace, problems: Sequence[Finding]) -> StackSeen:
    resolved, settings = workspace.resolved, workspace.settings
    read = [one.name for tree in resolved.configuration.trees for one in references(tree)]
    variables = sorted({*read, *resolved.project.variables})
    # Variables without a value are told by their names; what is left is wrong with the files.
    words = {unset_variable(one, Position(name), "").what: one for one in variables}
    unset = tuple(sorted({words[one.what] for one in problems if one.what in words}))
    services = resolved.project.services
    mounts = [one.source for service in services for one in service.mounts if isinstance(one, FileMount)]
    models = resolved.companions.models
    rest = tuple(one for one in problems if one.what not in words)
    left = {(one.where, one.path) for one in problems}
    return StackSeen(
        name,
        workspace.name,
        problems=rest,
        warnings=tuple(one for one in workspace.warnings if (one.where, one.path) not in left),
        variables=tuple(variables),
        unset=unset,
        files=tuple(dict.fromkeys(mounts)),
        gpu=settings.gpu,
        gpu_is_optional=settings.gpu_is_optional,
        limits=sum(limit(service.limits.memory) for service in services),
        model=", ".join(model for model, _ in models),
        model_size=sum(estimate(*one) or 0 for one in models),
        proxies=settings.proxies,
    )
