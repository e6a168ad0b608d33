"""``lcompose logs``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from lcompose import logs
from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.cli.stack import find_running
from lcompose.console import Console
from lcompose.errors import UsageError
from lcompose.observe import secrets_of, snapshot
from lcompose.schema import suggestion
from lcompose.spec.run import Container


@click.command()
@shared_options
@click.argument("services", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come; Ctrl-C ends it.")
@click.option("--since", metavar="TIME", help="Only lines since then: 10m, 2h, or 2025-01-31T12:00:00Z.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines of each service.")
@click.option("--grep", metavar="PATTERN", help="Only lines with this regular expression in them.")
@click.option("--file", metavar="FILE", help="Somebody's compose file: the logs of its project.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Show what the services print, in the order of time.

    What was kept is shown with what the engine still has. When a service is down, the log of its
    last run is shown.
    """
    options = options_of(ctx, given)
    console = console_of(options)
    view = _view(given)
    running = find_running(options, environment(), [given["file"]] if given["file"] else ())
    name, engine, directory = running.name, running.engine, running.place / "logs"
    observed = snapshot(engine, name)
    console.redact = secrets_of(engine, observed).redact
    _refuse_unknown(view, observed.containers, directory)
    for problem in logs.say_missing(engine, observed.containers, directory):
        console.note(f"note: {problem}")
    if given["follow"]:
        batches = logs.followed(engine, name, view, directory)
    else:
        batches = logs.merged(engine, observed.containers, directory, view, console.redact)
    if not _print(console, batches):
        console.note(f"{name}: there are no logs{' like that' if view.since or view.grep else ''}.")


def _view(given: dict[str, Any]) -> logs.View:
    since = logs.since(given["since"], time.time()) if given["since"] is not None else ""
    return logs.View(given["services"], since, given["tail"], _pattern(given["grep"]))


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text is not None else None
    except re.error as error:
        fix = "Correct it; put a backslash before a character that is meant as it is."
        raise UsageError(f"{text!r} is no regular expression: {error}", "--grep", fix) from None


def _refuse_unknown(view: logs.View, containers: Iterable[Container], directory: Path) -> None:
    known = {one.service for one in containers} | {logs.service_of(path) for path in logs.kept(directory)}
    for service in view.services:
        if service not in known:
            raise UsageError(f"no service is called {service[:40]!r}", "", suggestion(service, sorted(known)))


def _print(console: Console, batches: Iterable[list[logs.Line]]) -> bool:
    """Prints lines, a batch at a time, and says whether there were any."""
    told = _as_json if console.as_json else _as_text
    any_line = False
    for lines in batches:
        if lines:
            any_line = True
            console.result("\n".join(map(told, lines)))
    return any_line


def _as_text(line: logs.Line) -> str:
    return f"{line.service} | {line.text}"


def _as_json(line: logs.Line) -> str:
    return json.dumps(line._asdict())
