"""``lcompose down``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from lcompose import bundle as files
from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.console import Console
from lcompose.engines import Engine
from lcompose.engines.select import holding
from lcompose.execute import Context, execute
from lcompose.logs import kept
from lcompose.observe import secrets_of, snapshot
from lcompose.plan import plan_down
from lcompose.workspace import project_name, wanted_engine


@click.command()
@shared_options
@click.option("--volumes", is_flag=True, help="Also remove the volumes, with all data in them.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Stop the stack and remove it; its logs are kept.

    Lightspeed Core is stopped before Llama Stack. This needs no configuration and no variables:
    everything is found by the project's name.
    """
    options = options_of(ctx, given)
    env = environment()
    name = project_name(options, env)
    engine = holding(name, wanted_engine(options, env), env)
    take_down(console_of(options), engine, name, env, volumes=given["volumes"])


def take_down(console: Console, engine: Engine, name: str, env: Mapping[str, str], *, volumes: bool) -> None:
    """Takes a project down, whatever state it is in.

    Raises: LockedError, EngineError.
    """
    place = files.project_directory(env, engine.endpoint(), name)
    with files.locked(place, name):
        observed = snapshot(engine, name)
        plan = plan_down(observed, engine.networks(name), engine.volumes(name) if volumes else ())
        secrets = secrets_of(engine, observed)
        for event in execute(plan, Context(engine, name, place / "logs", secrets)):
            console.event(event)
    if console.as_json:
        console.value({"down": name, "containers": len(observed.containers), "logs": str(place / "logs")})
    elif plan.steps:
        told = f" Its logs: {place / 'logs'}" if kept(place / "logs") else ""
        console.result(f"{name} is down.{told}")
    else:
        console.result(f"{name}: nothing to take down.{others(engine, name)}")


def others(engine: Engine, name: str) -> str:
    """A hint at the projects that do run: the name may just be another one."""
    found = [project for project in engine.projects() if project != name]
    return f" On {engine.name} there is: {', '.join(found)} (choose with -p)." if found else ""
