"""``lcompose ci``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from lcompose import __version__, host
from lcompose.bundle import unwritable, write_atomically
from lcompose.cli.options import console_of, environment, options_of
from lcompose.errors import DriftError
from lcompose.parity.legs import LEGS, named
from lcompose.parity.requests import FILE, variables_of
from lcompose.spec.text import EnvRef
from lcompose.workflow import Check, workflow
from lcompose.workspace import Options, Workspace, directory_of, open_workspace

OUTPUT = ".github/workflows/lightspeed.yml"
USUAL_LEGS = "container:docker,container:podman"


@click.group()
def command() -> None:
    """Have the configuration checked where your code is checked."""


@command.command("init")
@click.option("-o", "--output", metavar="FILE", help=f"The file to write.  [default: {OUTPUT} of the repository]")
@click.option(
    "--legs", metavar="LEG,LEG", default=USUAL_LEGS, show_default=True, help=f"What is compared, of {', '.join(LEGS)}."
)
@click.option("--package", metavar="NAME", help="What pip installs.  [default: this version of lcompose]")
@click.option("--name", metavar="NAME", default="lightspeed", show_default=True, help="What the workflow is called.")
@click.option("--force", is_flag=True, help="Replace a file that is here already.")
@click.option("-C", "directory", metavar="DIR", help="Work in this folder.")
@click.option("--json", "json", is_flag=True, default=None, help="Print JSON.")
@click.pass_context
def init(ctx: click.Context, /, **given: Any) -> None:
    """Write a workflow of GitHub Actions that validates the configuration, and compares its legs.

    Variables that the configuration needs are taken from the repository's secrets. No file that is
    here already is replaced.

    \b
    lcompose ci init
    lcompose ci init --legs container:docker,library
    """
    options = options_of(ctx, given)
    console = console_of(options)
    directory = directory_of(options)
    root = _repository(directory)
    path = host.file_named(directory, given["output"]) if given["output"] else root / OUTPUT
    legs = [leg.name for leg in named(given["legs"])]
    variables = _variables(options)
    place = Path(os.path.relpath(directory, root)).as_posix()
    package = given["package"] or _package(legs)
    text = workflow(Check(given["name"], legs, package, place, variables))
    _write(path, text, force=given["force"])
    if options.json:
        console.value({"file": str(path), "legs": legs, "secrets": variables})
        return
    console.result(f"Wrote {path}.")
    if variables:
        console.result(f"Give the repository these secrets: {', '.join(variables)}")


def _repository(directory: Path) -> Path:
    """The folder that GitHub looks for workflows in: that of the repository, else this one."""
    return next((one for one in (directory, *directory.parents) if host.exists(one / ".git")), directory)


def _package(legs: list[str]) -> str:
    extra = "[podman]" if "container:podman" in legs else ""
    return f"lcompose{extra}=={__version__}"


def _variables(options: Options) -> list[str]:
    """Variables that must be set for the configuration, and for a person's own requests."""
    workspace = open_workspace(options, environment(), allow_missing=True)
    return sorted({*_required(workspace), *_of_requests(workspace)})


def _required(workspace: Workspace) -> set[str]:
    services = workspace.resolved.project.services
    values = [value for service in services for _, value in service.environment]
    return {value.name for value in values if isinstance(value, EnvRef) and value.required}


def _of_requests(workspace: Workspace) -> set[str]:
    path = workspace.directory / FILE
    return variables_of(host.read_file(path, FILE, ""), FILE) if host.exists(path) else set()


def _write(path: Path, text: str, *, force: bool) -> None:
    if os.path.lexists(path) and not force:
        fix = "Name another one with --output. Or pass --force, and it is replaced."
        raise DriftError("this file is here already, and is left alone", str(path), fix)
    try:
        write_atomically(path, text, mode=0o644)
    except OSError as error:
        raise unwritable(error, path.parent, "Name another place with --output.") from error
