"""``lcompose profiles``."""

from __future__ import annotations

from typing import Any

import click

from lcompose.cli.options import console_of, options_of, shared_options
from lcompose.profiles import built_in, read_profile
from lcompose.workspace import directory_of


@click.command()
@shared_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """List the profiles.

    A file of your own works as a profile too: --profile ./mine.yaml
    """
    options = options_of(ctx, given)
    console = console_of(options)
    found = [read_profile(name, directory_of(options)) for name in built_in()]
    if console.as_json:
        console.value([{"name": one.name, "extends": one.extends, "description": one.description} for one in found])
        return
    console.table(("PROFILE", "EXTENDS", "WHAT IT IS FOR"), [(one.name, one.extends, one.description) for one in found])
