"""``lcompose render``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.errors import UsageError
from lcompose.schema import suggestion
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.target import Form, TargetFacts, described, found_here
from lcompose.targets import names, translate
from lcompose.workspace import Workspace, open_workspace, refuse_local


@click.command()
@shared_options
@click.option("-o", "--output", metavar="DIR", help="Write a folder of files instead of one file to stdout.")
@click.option(
    "--for",
    "wanted",
    metavar="TARGET|here",
    help="Render for a target (docker, podman …), or for what this machine has. Default: the engine's, else docker.",
    shell_complete=lambda _ctx, _parameter, begun: [name for name in (*names(), "here") if name.startswith(begun)],
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
    """
    options = options_of(ctx, given)
    console = console_of(options)
    env = environment()
    looks = given["wanted"] == "here"
    workspace = open_workspace(options, env, allow_missing=given["allow_missing"], looks=looks)
    refuse_local(workspace.settings)
    output = given["output"]
    place = Path(output).absolute() if output else Path.cwd()
    facts = _facts(workspace, folder=bool(output), wanted=given["wanted"] or "")
    bundle = translate(workspace.resolved.project, facts, workspace.place(place))
    console.warn(workspace.warnings)
    console.changes(workspace.resolved.project.changes)
    for line in bundle.report:
        console.note(f"note: {line}")
    if output:
        bundle = _with_env_example(bundle, workspace)
        _write(bundle, place, force=given["force"])
        console.note(f"wrote {', '.join(document.path for document in bundle.documents)} in {output}")
    if options.json:
        console.value(_as_json(bundle, workspace))
    elif not output:
        console.result(bundle.main.text)


def _facts(workspace: Workspace, *, folder: bool, wanted: str) -> TargetFacts:
    form: Form = "folder" if folder else "inline"
    if wanted == "here":
        from lcompose.engines.select import choose

        _, found = choose(workspace.settings.engine, workspace.env)
        return found_here(found, form, workspace.machine)
    target = wanted or workspace.settings.engine or "docker"
    if target not in names():
        raise UsageError(f"no target is called {target[:40]!r}", "--for", suggestion(target, [*names(), "here"]))
    return described(target, form)


def _with_env_example(bundle: Bundle, workspace: Workspace) -> Bundle:
    from dataclasses import replace

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


def _as_json(bundle: Bundle, workspace: Workspace) -> dict[str, Any]:
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
            for change in workspace.resolved.project.changes
        ],
    }
