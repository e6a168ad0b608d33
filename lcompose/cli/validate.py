"""``lcompose validate``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import click

from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.cli.processes import processes, refuse_lacking, refuse_missing
from lcompose.console import finding_fields
from lcompose.errors import Finding
from lcompose.workspace import Workspace, open_workspace


@click.command()
@shared_options
@click.option("--allow-missing", is_flag=True, help="Only warn of files and variables that are not here.")
@click.option("--deep", is_flag=True, help="Also ask the images themselves, where they and an engine are here.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Say whether the configuration is right, and whether all it needs is here.

    All errors are told at once, each with its file, line and column. Where services are processes of
    this machine, --deep also looks whether their programs are here, and their ports free.
    """
    options = options_of(ctx, given)
    console = console_of(options)
    workspace = open_workspace(options, environment(), allow_missing=given["allow_missing"], variables=True, here=True)
    config = workspace.resolved.configuration
    found = processes(workspace, here=given["deep"])
    refuse_lacking(found)
    if given["deep"] and found.names:
        refuse_missing(workspace, found)
    warnings = [*workspace.warnings, *(_asked(workspace, found.names) if given["deep"] and not found.alone else ())]
    if options.json:
        console.value(
            {
                "valid": True,
                "generation": config.generation,
                "services": [service.name for service in workspace.resolved.project.services],
                "warnings": [finding_fields(found) for found in warnings],
            }
        )
        return
    console.warn(warnings)
    console.changes(workspace.resolved.project.changes)
    names = [service.name for service in workspace.resolved.project.services]
    beside = () if found.alone else found.names
    services = ", ".join(f"{name} (a process)" if name in beside else name for name in names)
    how = f"{services}, as processes" if found.alone else services
    console.result(f"The configuration is right (generation {config.generation}). It starts: {how}.")


def _asked(workspace: Workspace, processes: Collection[str]) -> list[Finding]:
    """What the images say that cannot be counted as an error; a process has none.

    Raises: ConfigError with what they refuse.
    """
    from lcompose.deep import ask, questions
    from lcompose.engines.select import choose
    from lcompose.errors import ConfigError, LcomposeError, Position

    try:
        engine, _ = choose(workspace.settings.engine, workspace.env)
    except LcomposeError as error:
        return [Finding(Position("--deep"), "", f"no image was asked: {error.what}", error.fix, "warning")]
    services = tuple(one for one in workspace.resolved.project.services if one.name not in processes)
    project, version = (
        replace(workspace.resolved.project, services=services),
        workspace.resolved.configuration.server_version,
    )
    known = {**workspace.env, **workspace.secrets.reveal()}
    found = [one for each in questions(project, version, known) for one in ask(engine, each, workspace.secrets)]
    if any(one.severity == "error" for one in found):
        raise ConfigError([*workspace.warnings, *found])
    return found
