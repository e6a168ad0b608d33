"""``lcompose up``."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lcompose import bundle as files
from lcompose import host
from lcompose.cli import Terminated
from lcompose.cli.down import take_down
from lcompose.cli.options import console_of, environment, options_of, shared_options
from lcompose.console import Console
from lcompose.engines import Creation, Engine
from lcompose.engines.client import preload
from lcompose.engines.select import choose
from lcompose.errors import LcomposeError, MachineError, NotReadyError
from lcompose.execute import Context, execute
from lcompose.gate import Clock, wait_until_ready
from lcompose.observe import is_remote, snapshot
from lcompose.plan import describe, plan_up
from lcompose.spec.bundle import Bundle
from lcompose.spec.project import FileMount, Project, Service
from lcompose.spec.run import Gated, GateSpec, Observed, Plan
from lcompose.spec.target import EngineFacts, TargetFacts
from lcompose.targets import translate
from lcompose.workspace import Workspace, open_workspace, refuse_local


@click.command()
@shared_options
@click.option("--dry-run", is_flag=True, help="Print what would be done, and touch nothing.")
@click.option("--attach", is_flag=True, help="Follow the logs; Ctrl-C takes the stack down.")
@click.option("--wait-timeout", type=click.IntRange(1), metavar="SECONDS", help="Time to become ready.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Start the stack, and wait until it is ready.

    Everything is created, then started side by side. It is ready when Lightspeed Core says that it
    is healthy and Llama Stack answers.
    """
    options = options_of(ctx, given)
    console = console_of(options)
    begun = time.monotonic()
    workspace = open_workspace(options, environment(), variables=True)
    refuse_local(workspace.settings)
    console.redact = workspace.secrets.redact
    console.warn(workspace.warnings)
    console.changes(workspace.resolved.project.changes)
    preload()
    engine, facts = choose(workspace.settings.engine, workspace.env)
    bundle, place = _bundle(workspace, engine, facts)
    if given["dry_run"]:
        _print_plan(console, *_planned(workspace, engine, bundle))
        return 0
    spec = _gate_spec(workspace.resolved.project, given["wait_timeout"] or workspace.settings.wait_timeout)
    files.project_directory(workspace.env, engine.endpoint(), workspace.name)
    with _interruption(console, engine, workspace, attached=given["attach"]):
        with files.locked(place, workspace.name):
            plan, observed = _planned(workspace, engine, bundle)
            if not is_remote(engine):
                _refuse_taken_ports(workspace.resolved.project, observed)
            files.replace_private_bundle(bundle, place)
            _start(console, workspace, engine, bundle, place, plan)
            _wait(console, spec, engine, workspace)
        _say_ready(console, workspace, time.monotonic() - begun)
        if given["attach"]:
            _follow(console, engine, workspace)
    return 0


@contextmanager
def _interruption(console: Console, engine: Engine, workspace: Workspace, *, attached: bool) -> Iterator[None]:
    """What an interruption means: an attached stack goes down, any other goes on and that is said."""
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        if not attached:
            console.note("What was started goes on; 'lcompose down' takes it down.")
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        take_down(console, engine, workspace.name, workspace.env, volumes=False)


def _bundle(workspace: Workspace, engine: Engine, facts: EngineFacts) -> tuple[Bundle, Path]:
    """The documents for this machine, and the folder of ours that they lie in."""
    project = workspace.resolved.project
    if is_remote(engine):
        _refuse_mounts(project, engine.endpoint())
    place = files.project_path(workspace.env, engine.endpoint(), workspace.name)
    target = TargetFacts(
        facts.name,
        "inline" if facts.name == "docker" else "run",
        facts.version,
        facts.compose_version,
    )
    # Docker's file is the one that "render" prints, read from the person's folder: so their own
    # "docker compose up" finds the same hashes and recreates nothing.
    directory = workspace.directory if target.form == "inline" else place
    return translate(project, target, workspace.place(directory)), place


def _refuse_mounts(project: Project, endpoint: str) -> None:
    mounted = [m.source for s in project.services for m in s.mounts if isinstance(m, FileMount)]
    if mounted:
        what = "the engine is on another machine, where these files are not: " + ", ".join(mounted)
        raise MachineError(what, endpoint, "Use an engine on this machine, or put the files into the image.")


def _planned(workspace: Workspace, engine: Engine, bundle: Bundle) -> tuple[Plan, Observed]:
    """What is to be done, and what it is decided from."""
    project = workspace.resolved.project
    absent = engine.missing_images([service.image for service in project.services])
    _refuse_unpullable(project, absent)
    observed = snapshot(engine, workspace.name)
    return plan_up(project, dict(bundle.digests), observed, absent), observed


def _refuse_unpullable(project: Project, absent: Iterable[str]) -> None:
    for service in project.services:
        if service.image in absent and (service.pull_policy == "never" or service.image.startswith("localhost/")):
            what = f"the image {service.image} of {service.name} is not here, and is not pulled"
            fix = f"Build or load it, or name another: --image {service.name}=IMAGE"
            raise MachineError(what, "", fix)


def _print_plan(console: Console, plan: Plan, observed: Observed) -> None:
    names = {one.id: one.name for one in observed.containers}
    if console.as_json:
        steps = [{"verb": s.verb, "target": names.get(s.target, s.target), "cause": s.cause} for s in plan.steps]
        console.value({"plan": steps})
        return
    console.result("\n".join(describe(plan, names)) or "nothing to do")


def _refuse_taken_ports(project: Project, observed: Observed) -> None:
    for service in project.services:
        held = {port[2] for one in observed.of(service.name) if one.state == "running" for port in one.ports}
        for port in service.ports:
            if port.published not in held and not host.port_is_free(port.bind, port.published):
                what = f"port {port.published} on {port.bind}, for {service.name}, is taken by another program"
                fix = (
                    f"Stop that program, or take another port: "
                    f"--set services.{service.name}.ports={_next_port(port.published)}:{port.target}"
                )
                raise MachineError(what, "", fix)


def _next_port(port: int) -> int:
    return port + 10000 if port < 50000 else port - 10000


def _start(console: Console, workspace: Workspace, engine: Engine, bundle: Bundle, place: Path, plan: Plan) -> None:
    project = workspace.resolved.project
    creation = Creation(
        project=project.name,
        file=place / bundle.main.path,
        directory=workspace.directory,
        env={**workspace.secrets.reveal()},
        services=tuple(service.name for service in project.services),
        inherited=dict(bundle.inherited),
        timeout=workspace.settings.pull_timeout,
        salt=files.salt_of(place),
    )
    context = Context(engine, project.name, place / "logs", workspace.secrets, creation)
    for event in execute(plan, context):
        console.event(event)


def _gate_spec(project: Project, timeout: float) -> GateSpec:
    return GateSpec(project.name, tuple(Gated(one.name, one.probe) for one in project.services), timeout)


def _wait(console: Console, spec: GateSpec, engine: Engine, workspace: Workspace) -> None:
    try:
        for event in wait_until_ready(spec, engine, Clock(time.monotonic, time.sleep), workspace.secrets):
            console.event(event)
    except NotReadyError:
        try:
            place = files.project_path(workspace.env, engine.endpoint(), workspace.name)
            _keep_all(engine, workspace, place / "logs")
        except LcomposeError as error:
            console.note(f"note: the logs could not be kept: {error.what}")
        raise


def _keep_all(engine: Engine, workspace: Workspace, directory: Path) -> None:
    from lcompose import logs

    for container in snapshot(engine, workspace.name).containers:
        logs.keep(engine, container, directory, workspace.secrets)


def _say_ready(console: Console, workspace: Workspace, seconds: float) -> None:
    addresses = {service.name: address_of(service) for service in workspace.resolved.project.services}
    if console.as_json:
        console.value({"ready": True, "seconds": round(seconds, 2), "addresses": addresses})
        return
    console.result(f"{workspace.name} is ready after {seconds:.1f} s.")
    for name, address in addresses.items():
        if address:
            console.result(f"  {name:<18}{address}")
    lcore = addresses.get("lightspeed-stack")
    if lcore:
        body = '{"query": "What is OpenShift?"}'
        console.result(f"Try: curl {lcore}/v1/query -H 'Content-Type: application/json' -d '{body}'")


def address_of(service: Service) -> str:
    """Where a service is called from this machine, or nothing when it is not published."""
    if not service.ports or service.probe is None:
        return ""
    port = service.ports[0]
    shown = "127.0.0.1" if port.bind in ("0.0.0.0", "::") else port.bind  # noqa: S104
    return f"{service.probe.scheme}://{f'[{shown}]' if ':' in shown else shown}:{port.published}"


def _follow(console: Console, engine: Engine, workspace: Workspace) -> None:
    from lcompose.logs import followed

    console.note("Following the logs; Ctrl-C takes the stack down.")
    for line in followed(engine, snapshot(engine, workspace.name).containers, None):
        console.log_line(line.service, line.text)
    take_down(console, engine, workspace.name, workspace.env, volumes=False)
