"""``lcompose status``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from lcompose import host, memory
from lcompose.cli.down import others
from lcompose.cli.options import console_of, environment, file_options, options_of, shared_options
from lcompose.cli.stack import find_running
from lcompose.gatespec import STABILITY
from lcompose.logs.files import LATEST
from lcompose.observe import secrets_of, snapshot
from lcompose.spec.run import Container
from lcompose.standing import Standing, spec_of_containers, standings

NOT_READY = 5
FINE = ("ready", "done")
# Of the runtime something is said only where it is not that of most.
TABLE = ("SERVICE", "RUNTIME", "STATE", "HEALTH", "RESTARTS", "PORTS", "DETAIL")


@click.command()
@shared_options
@file_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Show what runs, and whether it is ready.

    Exits with 0 when every service is ready or did its job, and with 5 when one is not. What is not
    known, because nobody was there to see it, is not claimed.
    """
    options = options_of(ctx, given)
    console = console_of(options)
    running = find_running(options, environment(), given["files"])
    name, engine = running.name, running.engine
    remembered = memory.load(running.place)
    observed = snapshot(engine, name)
    console.redact = secrets_of(engine, observed).redact
    spec = spec_of_containers(name, observed, remembered, STABILITY)
    images = engine.images([one.image for one in observed.containers if one.image])
    last = {one.service: one.after for one in memory.history(running.place)}
    stopped = frozenset(name for name, state in last.items() if state in ("offline", "unloading"))
    found = standings(spec, engine, observed, remembered, images, time.time(), stopped)
    ready = bool(found) and all(one.verdict.state in FINE for one in found)
    rows = [_row(one, running.place / "logs") for one in found]
    if console.as_json:
        console.value(console.redacted({"project": name, "engine": engine.name, "ready": ready, "services": rows}))
    elif rows:
        header = [name for name in TABLE if name != "RUNTIME" or any(row["runtime"] == "local" for row in rows)]
        console.table(header, [[console.redact(str(row[key.lower()])) for key in header] for row in rows])
    else:
        where = "as processes" if engine.name == "local" else f"on {engine.name}"
        console.result(f"{name}: nothing runs {where}.{others(engine, name) or ' Start it: lcompose up'}")
    return 0 if ready else NOT_READY


def _row(one: Standing, logs: Path) -> dict[str, Any]:
    container = one.container
    log = logs / one.service / LATEST
    detail = one.verdict.reason
    if one.drifted:
        detail = f"drifted ({', '.join(one.drifted)}; 'lcompose up' mends it): {detail}"
    return {
        "service": one.service,
        "runtime": container.runtime if container else "",
        "state": one.state,
        "health": one.health,
        "restarts": container.restarts if container else 0,
        "ports": _ports(container) if container else "",
        "detail": detail,
        "drifted": list(one.drifted),
        "exit_code": container.exit_code if container and container.state != "running" else None,
        "error": container.error if container else "",
        "container": container.id[:12] if container else "",
        "name": container.name if container else "",
        "pid": container.pid if container else 0,
        "image": container.image if container else "",
        "image_id": container.image_id if container else "",
        "started_at": container.started if container else 0,
        "finished_at": container.finished if container else 0,
        "log": container.log if container and container.log else str(log) if host.exists(log) else "",
    }


def _ports(container: Container) -> str:
    at_socket = [f"unix:{container.probe.socket}"] if container.probe and container.probe.socket else []
    return ", ".join([*(f"{address}:{port}" for _, address, port in container.ports), *at_socket])
