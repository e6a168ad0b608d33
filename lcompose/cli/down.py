"""``lcompose down``."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from lcompose import bundle as files
from lcompose import memory
from lcompose.cli.options import console_of, environment, file_options, options_of, shared_options
from lcompose.cli.stack import find_running
from lcompose.console import Console
from lcompose.engines import Engine
from lcompose.errors import MachineError, UsageError
from lcompose.execute import Context, execute
from lcompose.lifecycle import observed_state
from lcompose.logs import kept
from lcompose.observe import secrets_of, snapshot
from lcompose.plan import plan_down
from lcompose.spec.run import Memory, Observed

# Seconds to wait for another lcompose; what it does has a deadline itself.
LOCK_PATIENCE = 300


@click.command()
@shared_options
@file_options
@click.option("--volumes", is_flag=True, help="Also remove the volumes, with all data in them.")
@click.option("--no-wait-lock", is_flag=True, help="Fail at once (7) if another lcompose works on the project.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Stop the stack and remove it; its logs are kept.

    What depends on something is stopped before it, Lightspeed Core before Llama Stack, and each has
    its own time to end. This needs no configuration and no variables: everything is found by the
    project's name, whatever profile started it.
    """
    options = options_of(ctx, given)
    console = console_of(options)
    running = find_running(options, environment(), given["files"])
    files.project_directory(environment(), running.engine.endpoint(), running.name)
    patience = 0 if given["no_wait_lock"] else LOCK_PATIENCE
    told = f"{running.name}: waits for another lcompose"
    with files.locked(running.place, running.name, patience, lambda: console.note(told)):
        take_down(console, running.engine, running.name, running.place, volumes=given["volumes"])


def take_down(console: Console, engine: Engine, name: str, place: Path, *, volumes: bool) -> None:
    """Takes a project down, whatever state it is in; its lock is held by then.

    Raises: EngineError.
    """
    observed = snapshot(engine, name)
    found = engine.networks(name), engine.volumes(name) if volumes else (), engine.pods(name)
    plan = plan_down(observed, *found)
    context = Context(engine, name, place / "logs", secrets_of(engine, observed), observed)
    shown: dict[str, str] = {one.service: observed_state(one, ready=True) for one in observed.containers}
    for event in execute(plan, context):
        memory.tell(place, shown, event, time.time())
        console.event(event)
    files.forget_contents(place)
    _forget(place, observed)
    _say(console, engine, name, place / "logs", len(observed.containers), anything=bool(plan.steps))


def _forget(place: Path, observed: Observed) -> None:
    """Nothing is meant to run any more; a full disk must not make a failure of that."""
    if observed.containers:
        with suppress(MachineError, UsageError):
            memory.save(place, Memory())


def _say(console: Console, engine: Engine, name: str, logs: Path, count: int, *, anything: bool) -> None:
    if console.as_json:
        console.value({"down": name, "containers": count, "logs": str(logs)})
    elif anything:
        told = f" Its logs: {logs}" if kept(logs) else ""
        console.result(f"{name} is down.{told}")
    else:
        console.result(f"{name}: nothing to take down.{others(engine, name)}")


def others(engine: Engine, name: str) -> str:
    """A hint at the projects that do run: the name may just be another one."""
    found = [project for project in engine.projects() if project != name]
    return f" On {engine.name} there is: {', '.join(found)} (choose with -p)." if found else ""
