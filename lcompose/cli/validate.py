"""``lcompose validate``."""

from __future__ import annotations

from typing import Any

import click

from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.console import finding_fields
from lcompose.workspace import open_workspace


@click.command()
@shared_options
@click.option("--allow-missing", is_flag=True, help="Only warn of files and variables that are not here.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Say whether the configuration is right, and whether all it needs is here.

    All errors are told at once, each with its file, line and column.
    """
    options = options_of(ctx, given)
    console = console_of(options)
    workspace = open_workspace(options, environment(), allow_missing=given["allow_missing"], variables=True)
    config = workspace.resolved.configuration
    if options.json:
        console.value(
            {
                "valid": True,
                "generation": config.generation,
                "services": [service.name for service in workspace.resolved.project.services],
                "warnings": [finding_fields(found) for found in workspace.warnings],
            }
        )
        return
    console.warn(workspace.warnings)
    console.changes(workspace.resolved.project.changes)
    services = ", ".join(service.name for service in workspace.resolved.project.services)
    console.result(f"The configuration is right (generation {config.generation}). It starts: {services}.")
