"""What a command works on: the stack that is rendered here, or somebody's compose file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lcompose import bundle as files
from lcompose import digests
from lcompose.cli import native
from lcompose.cli.named import compose_file, project_of
from lcompose.engines import ComposeFile, Creation, Engine
from lcompose.engines.local_store import ENDPOINT as LOCAL_ENDPOINT
from lcompose.engines.local_store import VOLUMES
from lcompose.engines.select import choose
from lcompose.errors import Finding, MachineError, Position, UsageError
from lcompose.gatespec import spec_of_project, spec_of_reading, with_overlay
from lcompose.observe import is_remote
from lcompose.overlay.merging import together
from lcompose.overlay.ours import said_of
from lcompose.plan import Wanted
from lcompose.sources import Sources
from lcompose.spec.bundle import Bundle
from lcompose.spec.project import Change, FileMount, Project
from lcompose.spec.run import GateSpec
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import EngineFacts, EngineName, Form, found_here
from lcompose.targets import translate
from lcompose.workspace import (
    SETTINGS_FILE,
    Options,
    Workspace,
    open_workspace,
    project_name,
    wanted_engine,
)

WAIT_TIMEOUT = 300
PULL_TIMEOUT = 1800


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that ``up`` needs, read and decided; nothing has been changed by then.

    ``sources`` tell where it can be changed; ``bundle`` is written to ``place`` first; ``sweep`` says that
    containers that are no part of it are removed.
    """

    name: str
    engine: Engine
    facts: EngineFacts
    place: Path
    spec: GateSpec
    compose: ComposeFile
    secrets: Secrets
    env: Mapping[str, str]
    wait_timeout: float
    pull_timeout: float
    sources: Sources
    digests: Callable[[str], dict[str, str]]
    inputs: Callable[[str], Mapping[str, tuple[tuple[str, str], ...]]] = field(default=lambda _: {})
    project: Project | None = None
    bundle: Bundle | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = ()
    fetch: Callable[[Callable[[str], None]], None] | None = None

    def creation(self, salt: str, timeout: float) -> Creation:
        """What the engine needs to create it."""
        bundle = self.bundle
        return Creation(
            compose=self.compose,
            services=tuple(service.name for service in self.spec.services if service.replicas),
            inherited=dict(bundle.inherited) if bundle else {},
            timeout=timeout,
            salt=salt,
            ours=bundle is not None,
            reading=self.reading,
            state=self.place,
        )

    def wanted(self, salt: str) -> Wanted:
        """What a plan is made of, without the images."""
        return Wanted(self.spec, self.digests(salt), sweep=self.bundle is not None, inputs=self.inputs(salt))


# ---------------------------------------------------------------- the rendered stack


def open_rendered(options: Options, env: Mapping[str, str]) -> Stack:
    """The stack of the configuration in the person's folder, for the engine that is here.

    Raises: as open_workspace and choose do; UsageError, MachineError.
    """
    workspace = open_workspace(options, env, variables=True, here=True, looks=True)
    chosen = native.runtime_here(workspace)
    if chosen.processes != set(workspace.processes):
        kinds = workspace.kinds(chosen.processes)
        workspace = open_workspace(options, env, variables=True, here=True, looks=True, processes=kinds)
    workspace = replace(workspace, warnings=(*workspace.warnings, *chosen.warnings))
    engine, facts = chosen.engine, chosen.facts
    place = files.project_path(workspace.env, engine.endpoint(), workspace.name)
    if chosen.mode == "local":
        return _processes(workspace, chosen, place)
    if chosen.mode == "mixed":
        return _mixed(workspace, chosen, place)
    form = _form(facts, workspace.resolved.project)
    # Docker's file is the one that "render" prints, read from the person's folder: so their own
    # "docker compose up" finds the same hashes and recreates nothing. What names files beside it is
    # read from where these lie.
    directory = place if form == "folder" else workspace.directory
    bundle = _bundle(workspace, engine, facts, form, workspace.directory if form == "inline" else place)
    project = workspace.resolved.project
    stack = _stack(workspace, engine, facts, place, project, bundle, directory)
    return _with_overlay(stack, bundle, workspace) if project.compose else stack


def _processes(workspace: Workspace, chosen: native.Here, place: Path) -> Stack:
    """The same as processes of this machine, which must have all that they need.

    Raises: ConfigError, UsageError, MachineError.
    """
    try:
        ready = native.prepared(workspace, chosen.engine, place)
    except MachineError as error:
        # Why it is no container is part of what is wrong.
        told = (one.what for one in chosen.warnings)
        raise replace(error, details=(*error.details, *told)) from None
    stack = _stack(workspace, chosen.engine, chosen.facts, place, ready.project, ready.bundle, place)
    return _with_ready(stack, ready)


def _with_ready(stack: Stack, ready: native.Ready) -> Stack:
    notes = [Finding(Position("runtime"), "local", line, "", "warning") for line in ready.notes]
    return replace(stack, warnings=(*stack.warnings, *notes), fetch=ready.fetch)


def _mixed(workspace: Workspace, chosen: native.Here, place: Path) -> Stack:
    """The same with some services as processes of this machine, and the others as containers on it.

    Raises: ConfigError, UsageError, MachineError.
    """
    engine, facts, project = chosen.engine, chosen.facts, workspace.resolved.project
    if is_remote(engine):
        names = ", ".join(sorted(chosen.processes))
        what = f"the engine is on another machine, and these are processes of this one: {names}"
        raise MachineError(what, engine.endpoint(), "Use an engine on this machine, or one runtime: --runtime local.")
    form = _form(facts, project)
    documents = workspace.directory if form == "inline" else place
    volumes = files.project_path(workspace.env, LOCAL_ENDPOINT, project.name) / VOLUMES
    where = replace(workspace.place(documents), processes=str(place), volumes=str(volumes))
    ready = native.prepared_beside(workspace, chosen, found_here(facts, form, workspace.machine), where)
    directory = place if form == "folder" else workspace.directory
    stack = _with_ready(_stack(workspace, engine, facts, place, ready.project, ready.bundle, directory), ready)
    return _with_overlay(stack, ready.bundle, workspace) if project.compose else stack


def _stack(
    workspace: Workspace,
    engine: Engine,
    facts: EngineFacts,
    place: Path,
    project: Project,
    bundle: Bundle,
    directory: Path,
) -> Stack:
    revealed = workspace.secrets.reveal()
    return Stack(
        name=project.name,
        engine=engine,
        facts=facts,
        place=place,
        spec=spec_of_project(project, workspace.settings.wait_timeout),
        compose=ComposeFile(project.name, (place / bundle.main.path,), directory, revealed),
        secrets=workspace.secrets,
        env=workspace.env,
        wait_timeout=workspace.settings.wait_timeout,
        pull_timeout=workspace.settings.pull_timeout,
        sources=Sources(str(workspace.directory), project, workspace.resolved.companions.kinds, overlay=SETTINGS_FILE),
        digests=lambda salt: digests.of_bundle(bundle, revealed, salt),
        project=project,
        bundle=bundle,
        warnings=workspace.warnings,
        changes=project.changes,
    )


def _with_overlay(stack: Stack, bundle: Bundle, workspace: Workspace) -> Stack:
    """The same with what a person's own words of Compose make of it, as the engine's own compose reads them.

    Raises: UsageError, ConfigError.
    """
    from lcompose.cli import overlaid

    words = together(workspace.resolved.project.compose)
    said = said_of(workspace.resolved.project.compose)
    reading = overlaid.read(stack.engine, stack.compose, bundle, stack.place)
    theirs = {**reading, "services": {name: one for name, one in reading["services"].items() if name in said}}
    _refuse_elsewhere(stack.engine, overlaid.mounted_files(theirs))
    more = overlaid.beside(theirs, stack.facts.name, stack.compose, stack.place)
    bundle = replace(bundle, documents=(*bundle.documents, *more))
    named = frozenset(
        str(one["environment"]) for one in (words.get("secrets") or {}).values() if "environment" in (one or {})
    )
    return replace(
        stack,
        spec=with_overlay(stack.spec, said, reading, SETTINGS_FILE),
        compose=replace(stack.compose, files=(*stack.compose.files, *overlaid.compose_files(more, stack.place))),
        secrets=Secrets(
            {**_values(theirs), **workspace.secrets.reveal()},
            hidden=named | set(workspace.resolved.lifted),
            kept=workspace.resolved.kept,
        ),
        bundle=bundle,
        sources=replace(stack.sources, said=said),
        digests=lambda salt: overlaid.joined(stack.digests(salt), digests.of_reading(theirs, salt)),
        inputs=lambda salt: overlaid.inputs(theirs, workspace.directory, stack.compose.env, salt),
    )


def _bundle(workspace: Workspace, engine: Engine, facts: EngineFacts, form: Form, directory: Path) -> Bundle:
    """The documents for this machine, whose paths start from a directory."""
    project = workspace.resolved.project
    mounted = [m.source for s in project.services for m in s.mounts if isinstance(m, FileMount)]
    _refuse_elsewhere(engine, mounted)
    machine = None if is_remote(engine) else workspace.machine
    bundle = translate(project, found_here(facts, form, machine), workspace.place(directory))
    _refuse_elsewhere(engine, [one.path for one in bundle.documents if one is not bundle.main])
    return bundle


def _form(facts: EngineFacts, project: Project) -> Form:
    """One file for Docker, unless a secret is in a document that nobody else may read."""
    if facts.name != "docker":
        return "run"
    return "folder" if any(derived.secret_at for derived in project.documents) else "inline"


def _refuse_elsewhere(engine: Engine, mounted: Sequence[str]) -> None:
    """Stops before an engine on another machine is to mount files of this one.

    Raises: MachineError.
    """
    if mounted and is_remote(engine):
        what = "the engine is on another machine, where these files are not: " + ", ".join(dict.fromkeys(mounted))
        raise MachineError(what, engine.endpoint(), "Use an engine on this machine, or put the files into the image.")


# ---------------------------------------------------------------- somebody's compose file


def open_file(options: Options, env: Mapping[str, str], named: Sequence[str], profiles: Sequence[str]) -> Stack:
    """A compose file, as the engine's own compose reads it.

    Raises: UsageError, ConfigError, MachineError.
    """
    _refuse_settings(options)
    compose = compose_file(options, env, named, profiles)
    engine, facts = choose(wanted_engine(options, env), env)
    reading = engine.read(compose)
    shown = ", ".join(named)
    timeout = _timeout(env)
    return Stack(
        name=compose.project,
        engine=engine,
        facts=facts,
        place=files.project_path(env, engine.endpoint(), compose.project),
        spec=spec_of_reading(compose.project, reading, shown, timeout),
        compose=compose,
        secrets=Secrets({**_values(reading), **compose.env}),
        env=env,
        wait_timeout=timeout,
        pull_timeout=PULL_TIMEOUT,
        sources=Sources(shown),
        digests=lambda salt: digests.of_reading(reading, salt),
        reading=reading,
    )


# Options that say something of a rendered stack; a compose file says it itself.
OF_RENDERED = {
    "profiles": "--profile",
    "sets": "--set",
    "images": "--image",
    "gpu": "--gpu",
    "gpu_ids": "--gpu-ids",
    "inference": "--inference",
    "model": "--model",
    "runtime": "--runtime",
    "strict_runtime": "--strict-runtime",
}


def _refuse_settings(options: Options) -> None:
    """Stops before an option is ignored without a word.

    Raises: UsageError.
    """
    for name, option in OF_RENDERED.items():
        if getattr(options, name):
            more = " Compose's own profiles are chosen with --compose-profile." if name == "profiles" else ""
            fix = f"Leave it out, or change the compose file.{more}"
            raise UsageError(f"{option} says nothing of a compose file", "command line", fix)


def _timeout(env: Mapping[str, str]) -> float:
    said = env.get("LCOMPOSE_WAIT_TIMEOUT", "")
    if said and not (said.isdecimal() and int(said)):
        raise UsageError(f"{said[:40]!r} is no number of seconds", "LCOMPOSE_WAIT_TIMEOUT", "Write such as 300.")
    return float(said or WAIT_TIMEOUT)


def _values(reading: Mapping[str, Any]) -> dict[str, str]:
    """The variables of all services: those that are secret must not show in what they print."""
    found: dict[str, str] = {}
    for service in (reading.get("services") or {}).values():
        given = (service or {}).get("environment") or {}
        pairs = given.items() if isinstance(given, Mapping) else [str(one).partition("=")[::2] for one in given]
        found |= {str(name): str(value) for name, value in pairs if value is not None}
    return found


# ---------------------------------------------------------------- whatever runs


@dataclass(frozen=True, slots=True)
class Running:
    """A project that is there, or was: found by its name alone."""

    name: str
    engine: Engine
    place: Path


def find_running(options: Options, env: Mapping[str, str], named: Sequence[str] = ()) -> Running:
    """The project that is meant, by its compose files if any are named, on the engine that has it.

    Raises: UsageError, MachineError.
    """
    from lcompose.engines.select import holding

    name = project_of(options, env, named) if named else project_name(options, env)
    runtime = "" if named else options.runtime or env.get("LCOMPOSE_RUNTIME", "")
    wanted: EngineName | None = "local" if runtime == "local" else wanted_engine(options, env)
    engine = holding(name, wanted, env, processes=runtime != "container" and not named, mixed=not named)
    return Running(name, engine, files.project_path(env, engine.endpoint(), name))


def with_timeout(stack: Stack, asked: float | None) -> Stack:
    """The same, with the time to become ready that was asked for."""
    timeout = asked or stack.wait_timeout
    return replace(stack, wait_timeout=timeout, spec=replace(stack.spec, timeout=timeout))
