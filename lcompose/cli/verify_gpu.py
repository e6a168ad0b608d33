"""``lcompose verify-gpu``."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from lcompose import host
from lcompose.cli.options import console_of, environment, file_options, options_of, shared_options
from lcompose.cli.stack import find_running
from lcompose.errors import NotReadyError, UsageError
from lcompose.observe import secrets_of, snapshot
from lcompose.verify import fallen_back, refuse_fallback, verify

LIMIT = 60.0
SHOWN = {"gpu": "GPU", "cpu": "processor", "unknown": "not known"}


@click.command()
@shared_options
@file_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Say whether services that were promised a GPU really work on it.

    Asks the engine what it was told, looks which devices are in the container, and reads what the
    server says of itself. Exits with 5 if one works on the processor instead. 'lcompose up' does the
    same by itself.
    """
    host.limit(time.monotonic() + LIMIT)
    options = options_of(ctx, given)
    console = console_of(options)
    running = find_running(options, environment(), given["files"])
    console.redact = secrets_of(running.engine, snapshot(running.engine, running.name)).redact
    found = verify(running.engine, running.name)
    if not found:
        fix = "Start it with a GPU: lcompose up --profile gpu"
        raise UsageError(f"no running service of {running.name} was promised a GPU", "", fix)
    if console.as_json:
        console.value(console.redacted({"services": [asdict(one) for one in found]}))
        return NotReadyError.exit_code if fallen_back(found) else 0
    rows = [(one.service, one.vendor, SHOWN[one.state], console.redact(one.line or one.reason)) for one in found]
    console.table(("SERVICE", "PROMISED", "WORKS ON", "WHY"), rows)
    refuse_fallback(found)
    return 0
