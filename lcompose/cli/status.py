"""``lcompose status``."""

from __future__ import annotations

from typing import Any

import click

from lcompose.cli.down import others
from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.engines.select import holding
from lcompose.gate import verdicts_now
from lcompose.lifecycle import observed_state
from lcompose.observe import snapshot
from lcompose.readiness import Verdict
from lcompose.spec.run import Container, Gated, GateSpec
from lcompose.workspace import project_name, wanted_engine

NOT_READY = 5


@click.command()
@shared_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Show what runs, and whether it is ready.

    Exits with 0 when every service is ready, and with 5 when one is not.
    """
    options = options_of(ctx, given)
    console = console_of(options)
    env = environment()
    name = project_name(options, env)
    engine = holding(name, wanted_engine(options, env), env)
    observed = snapshot(engine, name)
    services = {one.service: Gated(one.service, one.probe) for one in observed.containers}
    verdicts = verdicts_now(GateSpec(name, tuple(services.values())), engine, observed)
    ready = bool(verdicts) and all(verdict.state == "ready" for verdict in verdicts.values())
    rows = [_row(one, verdicts[one.service]) for one in observed.containers]
    if console.as_json:
        console.value({"project": name, "engine": engine.name, "ready": ready, "services": rows})
    elif rows:
        header = ("SERVICE", "STATE", "RESTARTS", "PORTS", "DETAIL")
        console.table(header, [[str(row[key.lower()]) for key in header] for row in rows])
    else:
        console.result(f"{name}: nothing runs on {engine.name}.{others(engine, name) or ' Start it: lcompose up'}")
    return 0 if ready else NOT_READY


def _row(one: Container, verdict: Verdict) -> dict[str, Any]:
    state = observed_state(one.state, ready=verdict.state == "ready")
    return {
        "service": one.service,
        "state": "failed" if verdict.state == "failed" else state,
        "restarts": one.restarts,
        "ports": ", ".join(f"{host}:{published}" for _, host, published in one.ports),
        "detail": verdict.reason,
        "container": one.id[:12],
        "image": one.image,
    }
