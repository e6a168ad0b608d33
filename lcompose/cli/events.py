"""``lcompose events``."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.console import Console
from lcompose.errors import UsageError
from lcompose.host import end_running
from lcompose.memory import history
from lcompose.spec.events import Transition
from lcompose.transitions import Transitions
from lcompose.work import Threads

# Seconds that services have to answer where nobody follows.
PATIENCE = 3.0
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
AGO = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")


@click.command()
@shared_options
@click.option("-f", "--file", "file", metavar="FILE", help="The compose file whose project is meant.")
@click.option("--no-follow", is_flag=True, help="Print what is known, and end.")
@click.option("--since", metavar="TIME", help="Of what was kept, only the part since then: 10m, or 2025-01-31T12:00.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Show how services went from state to state, and why.

    First comes what earlier commands kept of it; then it goes on as things happen, until Ctrl-C.
    """
    from lcompose.cli.stack import find_running

    options = options_of(ctx, given)
    console = console_of(options)
    since = moment(given["since"], time.time()) if given["since"] else 0.0
    running = find_running(options, environment(), [given["file"]] if given["file"] else ())
    kept = history(running.place)
    for one in kept:
        if one.time >= since:
            _print(console, one)
    watched = Transitions(running.engine, running.name, running.place, Threads())
    source = watched.settle(PATIENCE) if given["no_follow"] else watched.follow(console.note)
    try:
        for one in source:
            kept.append(one)
            _print(console, one)
    finally:
        end_running()
    if not kept:
        console.note(f"{running.name}: nothing is known to have happened.")


def moment(text: str, now: float) -> float:
    """The time that is meant, in seconds since 1970: some time ago, or a date.

    Raises: UsageError.
    """
    if AGO.fullmatch(text):
        return now - sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        fix = "Write how long ago (30s, 10m, 1h30m, 2d) or a time (2025-01-31T12:00:00)."
        raise UsageError(f"{text[:40]!r} is no time", "--since", fix) from None


def _print(console: Console, one: Transition) -> None:
    when = datetime.fromtimestamp(one.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if console.as_json:
        console.result(json.dumps({**asdict(one), "time": when}))
        return
    cause = f"  {' '.join(one.cause.split())}" if one.cause else ""
    console.result(f"{when}  {one.service}  {one.before} -> {one.after}{cause}")
