"""``lcompose logs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lcompose import bundle as files
from lcompose import logs
from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.console import Console
from lcompose.engines.select import holding
from lcompose.errors import UsageError
from lcompose.observe import secrets_of, snapshot
from lcompose.schema import suggestion
from lcompose.workspace import project_name, wanted_engine


@click.command()
@shared_options
@click.argument("services", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come; Ctrl-C ends it.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines of each service.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Show what the services print.

    When the stack is down, the logs that were kept of it are shown.
    """
    options = options_of(ctx, given)
    console = console_of(options)
    env = environment()
    name = project_name(options, env)
    engine = holding(name, wanted_engine(options, env), env)
    observed = snapshot(engine, name)
    console.redact = secrets_of(engine, observed).redact
    chosen = [one for one in observed.containers if not given["services"] or one.service in given["services"]]
    directory = files.project_path(env, engine.endpoint(), name) / "logs"
    _refuse_unknown(given["services"], {one.service for one in observed.containers}, directory)
    if given["follow"] and chosen:
        for line in logs.followed(engine, chosen, given["tail"]):
            _print(console, line)
        return
    lines = logs.merged(engine, chosen, given["tail"]) if chosen else _kept(directory, given)
    if not lines:
        console.note(f"{name}: there are no logs.")
    for line in lines:
        _print(console, line)


def _kept(directory: Path, given: dict[str, Any]) -> list[logs.Line]:
    """What was kept of each service's last run."""
    newest = {logs.service_of(path): path for path in logs.kept(directory)}
    found: list[logs.Line] = []
    for service, path in newest.items():
        if not given["services"] or service in given["services"]:
            lines = logs.read_kept(path)
            found += lines if given["tail"] is None else lines[len(lines) - min(given["tail"], len(lines)) :]
    return sorted(found, key=lambda line: line.time)


def _refuse_unknown(asked: tuple[str, ...], running: set[str], directory: Path) -> None:
    known = running | {logs.service_of(path) for path in logs.kept(directory)}
    for service in asked:
        if service not in known:
            raise UsageError(f"no service is called {service[:40]!r}", "", suggestion(service, sorted(known)))


def _print(console: Console, line: logs.Line) -> None:
    if console.as_json:
        import json

        fields = {"time": line.time, "service": line.service, "text": console.redact(line.text)}
        console.result(json.dumps(fields))
    else:
        console.log_line(line.service, line.text)
