"""``lcompose render``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.errors import UsageError
from lcompose.programs import processes_of, selected
from lcompose.schema import suggestion
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.project import Change
from lcompose.spec.target import USUAL, Form, TargetFacts, described, found_here, version_of
from lcompose.targets import names, translate
from lcompose.workspace import Options, Workspace, open_workspace

HERE, LOCAL = "here", "local"
VERSION = r"\d{1,4}(?:\.\d{1,4}){0,2}"
VERSIONS = re.compile(rf"({VERSION})(?:/({VERSION}))?")


def _offered() -> list[str]:
    return sorted({*names(), *USUAL, HERE})


@click.command()
@shared_options
@click.option("-o", "--output", metavar="DIR", help="Write a folder of files instead of one file to stdout.")
@click.option(
    "--for",
    "wanted",
    metavar="TARGET[:ENGINE[/COMPOSE]]|here",
    help="Render for a target (docker, podman, podman-socket …), for versions of it (docker:28.3/2.33), or for what"
    " this machine has. Default: the engine's, else docker.",
    shell_complete=lambda _ctx, _parameter, begun: [name for name in _offered() if name.startswith(begun)],
)
@click.option("--allow-missing", is_flag=True, help="Go on although files to be mounted are not here.")
@click.option("--force", is_flag=True, help="Replace generated files that somebody edited.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Write the compose file, and what goes with it.

    \b
    lcompose render > compose.yaml           one file for Docker, everything inside
    lcompose render | docker compose -f - up
    lcompose render -o deploy                a folder, for Docker
    lcompose render -o deploy --engine podman
    lcompose render --for docker:28.3/2.33   for that Docker Engine, and that version of Compose
    lcompose render -o deploy --for podman-socket:5.4    for docker-compose over Podman's socket
    """
    options = options_of(ctx, given)
    console = console_of(options)
    env = environment()
    workspace = _workspace(options, env, given["wanted"] or "", allow_missing=given["allow_missing"])
    output = given["output"]
    place = Path(output).absolute() if output else Path.cwd()
    facts = _facts(workspace, folder=bool(output), wanted=given["wanted"] or "")
    bundle = translate(workspace.resolved.project, facts, workspace.place(place))
    console.warn(workspace.warnings)
    changes = _changes(workspace, facts, place)
    console.changes(changes)
    for line in bundle.report:
        console.note(f"note: {line}")
    if output:
        bundle = _with_env_example(bundle, workspace)
        _write(bundle, place, force=given["force"])
        console.note(f"wrote {', '.join(document.path for document in bundle.documents)} in {output}")
    if options.json:
        console.value(_as_json(bundle, changes))
    elif not output:
        console.result(bundle.main.text)


def _workspace(options: Options, env: Mapping[str, str], wanted: str, *, allow_missing: bool) -> Workspace:
    """What is rendered, resolved for the services that are going to be processes."""
    runtime = _runtime(wanted)
    open_it = partial(open_workspace, options, env, allow_missing=allow_missing, looks=wanted == HERE)
    workspace = open_it(runtime=runtime)
    if runtime:
        return workspace
    processes = processes_of(selected(workspace.resolved, workspace.settings, {}))
    return workspace if processes == set(workspace.processes) else open_it(processes=workspace.kinds(processes))


def _runtime(wanted: str) -> str:
    """The runtime that a target is of; that of the settings where none is named."""
    if wanted in ("", HERE):
        return ""
    return LOCAL if wanted == LOCAL else "container"


def _changes(workspace: Workspace, facts: TargetFacts, place: Path) -> tuple[Change, ...]:
    project = workspace.resolved.project
    if facts.natively is None:
        return project.changes
    from lcompose.targets import local, mixed

    translated = local.localised if facts.target == LOCAL else mixed.combined
    return translated(project, facts, workspace.place(place)).changes


def _facts(workspace: Workspace, *, folder: bool, wanted: str) -> TargetFacts:
    form: Form = "folder" if folder else "inline"
    names = workspace.processes
    if not names:
        return _facts_of_engine(workspace, form, wanted)
    from lcompose.cli.native import described as as_processes

    found = as_processes(workspace, names)
    if len(names) == len(workspace.resolved.project.services):
        return found
    if not folder:
        from lcompose.targets.mixed import AS_CONTAINER

        what = f"these are processes, and no part of a compose file: {', '.join(names)}"
        instead = AS_CONTAINER.format(names[0])
        fix = f"Render to a folder: lcompose render -o DIR. Or run it as a container: {instead}"
        raise UsageError(what, "runtime", fix)
    return replace(_facts_of_engine(workspace, form, wanted), natively=found.natively)


def _facts_of_engine(workspace: Workspace, form: Form, wanted: str) -> TargetFacts:
    if wanted == HERE:
        from lcompose.engines.select import choose
        from lcompose.observe import is_remote

        engine, found = choose(workspace.settings.engine, workspace.env)
        return found_here(found, form, None if is_remote(engine) else workspace.machine)
    target, colon, versions = (wanted or workspace.settings.engine or "docker").partition(":")
    if target not in _offered():
        raise UsageError(f"no target is called {target[:40]!r}", "--for", suggestion(target, _offered()))
    match = VERSIONS.fullmatch(versions)
    if colon and (target == HERE or not match):
        what = f"{versions[:40]!r} is no version of an engine"
        raise UsageError(what, "--for", "Write it as in docker:28.3, or with its compose's as in docker:28.3/2.33.")
    engine_version, compose_version = (version_of(one or "") for one in (match.groups() if match else ("", "")))
    return described(target, form, engine_version, compose_version)


def _with_env_example(bundle: Bundle, workspace: Workspace) -> Bundle:
    from lcompose.spec.text import EnvRef
    from lcompose.templates import fill

    found = {
        value.name: value
        for service in workspace.resolved.project.services
        for _, value in service.environment
        if isinstance(value, EnvRef)
    }
    text = fill("env.example.j2", variables=sorted(found.values(), key=lambda one: (not one.required, one.name)))
    return replace(bundle, documents=(*bundle.documents, Document(".env.example", text)))


def _write(bundle: Bundle, place: Path, *, force: bool) -> None:
    from lcompose.bundle import write_bundle

    write_bundle(bundle, place, force=force)


def _as_json(bundle: Bundle, changes: Iterable[Change]) -> dict[str, Any]:
    return {
        "documents": {document.path: document.text for document in bundle.documents if not document.private},
        "report": list(bundle.report),
        "changes": [
            {
                "document": change.document,
                "path": change.path,
                "before": change.before,
                "after": change.after,
                "reason": change.reason,
            }
            for change in changes
        ],
    }
