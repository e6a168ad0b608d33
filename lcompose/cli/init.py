"""``lcompose init``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from lcompose.bundle import unwritable, write_atomically
from lcompose.cli.options import console_of, options_of
from lcompose.errors import DriftError
from lcompose.names import name_from_directory
from lcompose.spec.bundle import Document
from lcompose.starter import DATABASES, MODES, PROVIDERS, Wish, starter, variables
from lcompose.workspace import directory_of

ANSWERS = ("name", "provider", "model", "mode", "database")


@click.command()
@click.argument("folder", metavar="[DIR]", default="")
@click.option("--provider", type=click.Choice(list(PROVIDERS)), help="Who serves the model.  [default: openai]")
@click.option(
    "--model", metavar="NAME", help="The model, as its provider calls it.  [default: the provider's usual one]"
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    help="Llama Stack in a container of its own, or inside Lightspeed Core.  [default: server]",
)
@click.option("--database", type=click.Choice(DATABASES), help="Where things are kept.  [default: sqlite]")
@click.option("--name", metavar="NAME", help="What the assistant is called.  [default: the folder's name]")
@click.option("--force", is_flag=True, help="Replace files that are here already.")
@click.option("-C", "directory", metavar="DIR", help="Work in this folder.")
@click.option("--json", "json", is_flag=True, default=None, help="Print JSON, and ask nothing.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Write a configuration to start from, with a comment on each line.

    In a terminal, and without options, it asks a few questions. Otherwise the options say what is
    wanted, and the rest has a default. No file that is here already is replaced.

    \b
    lcompose init my-assistant
    lcompose init --provider ollama --model llama3.2:3b
    lcompose init --mode library --database postgres
    """
    options = options_of(ctx, given)
    console = console_of(options)
    directory = Path(os.path.normpath(directory_of(options) / given["folder"]))
    # Other commands have this option too, so it is read already.
    answers = {**given, "model": options.model or None}
    told = {name: answers[name] for name in ANSWERS if answers[name] is not None}
    asking = not told and not options.json and sys.stdin.isatty()
    wish = Wish(**{"name": name_from_directory(directory.name), **(_asked() if asking else {}), **told})
    documents = starter(wish)
    _refuse_present(documents, directory, force=given["force"])
    _write(documents, directory)
    wanted = [one.name for one in variables(wish) if one.required]
    if options.json:
        console.value(
            {"directory": str(directory), "files": [one.path for one in documents], "variables": wanted},
        )
        return
    console.result(_what_now(documents, directory, given["folder"], wanted))


def _asked() -> dict[str, str]:
    """The answers of a person who sits at the terminal."""
    for one in PROVIDERS.values():
        click.echo(f"  {one.name:<9} {one.title}", err=True)
    provider = _question("Who serves the model", list(PROVIDERS), "openai")
    model = click.prompt("Which model", default=PROVIDERS[provider].model, err=True)
    mode = _question(
        "Llama Stack in a container of its own (server), or inside Lightspeed Core (library)", MODES, "server"
    )
    database = _question("Where things are kept", DATABASES, "sqlite")
    return {"provider": provider, "model": model, "mode": mode, "database": database}


def _question(text: str, choices: Sequence[str], default: str) -> str:
    answer: str = click.prompt(text, type=click.Choice(choices), default=default, err=True)
    return answer


def _refuse_present(documents: Iterable[Document], directory: Path, *, force: bool) -> None:
    present = [directory / one.path for one in documents if os.path.lexists(directory / one.path)]
    if present and not force:
        others = tuple(f"{path} is here already" for path in present[1:])
        fix = "Name another folder: lcompose init DIR. Or pass --force, and it is replaced."
        raise DriftError("this file is here already, and is left alone", str(present[0]), fix, others)


def _write(documents: Iterable[Document], directory: Path) -> None:
    try:
        for one in documents:
            write_atomically(directory / one.path, one.text, mode=0o644)
    except OSError as error:
        raise unwritable(error, directory, "Name another folder: lcompose init DIR.") from error


def _what_now(documents: Iterable[Document], directory: Path, folder: str, wanted: Sequence[str]) -> str:
    fill_in = f"   and fill in {', '.join(wanted)}" if wanted else ""
    steps = [f"cd {folder}"] if folder else []
    steps += [f"cp .env.example .env{fill_in}", "lcompose validate", "lcompose up"]
    return "\n".join(
        [
            f"Wrote {', '.join(one.path for one in documents)} in {directory}.",
            "What to do now:",
            *(f"  {step}" for step in steps),
        ]
    )
