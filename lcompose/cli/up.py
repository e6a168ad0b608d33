"""``lcompose up``."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lcompose import bundle as files
from lcompose import host
from lcompose.bring_up import Deadline, Job, bring_up, prepare, refuse_taken_ports
from lcompose.cli import Terminated
from lcompose.cli.down import take_down
from lcompose.cli.options import console_of, environment, file_options, options_of, shared_options
from lcompose.cli.stack import Stack, open_file, open_rendered, with_timeout
from lcompose.console import Console
from lcompose.errors import EngineError, LcomposeError, MachineError, NotReadyError, UsageError
from lcompose.gatespec import label_in
from lcompose.observe import snapshot
from lcompose.plan import describe
from lcompose.spec.labels import ACCELERATOR
from lcompose.spec.project import Service
from lcompose.spec.run import Container, Plan

# Seconds within which reading and looking must be done, where no other time was asked for.
FIRST_LIMIT = 300
TO_LOOK = 5.0


@click.command()
@shared_options
@file_options
@click.option("--dry-run", is_flag=True, help="Print what would be done, and touch nothing.")
@click.option("--attach", is_flag=True, help="Follow the logs; Ctrl-C takes the stack down.")
@click.option("--wait-timeout", type=click.IntRange(1), metavar="SECONDS", help="Time to become ready.")
@click.option("--no-wait-lock", is_flag=True, help="Fail at once (7) if another lcompose works on the project.")
@click.option("--rollback", is_flag=True, help="Take everything down again if it fails or is interrupted.")
@click.option("--timeline", metavar="FILE", help="Write a page (or FILE.json) that shows where the seconds went.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Start the stack, and wait until it is ready.

    Everything is created, then started in the order that it needs, side by side where it can be. It
    ends when all is ready, when something failed, or when its time is over; then it says why.

    \b
    lcompose up                        the stack of the lightspeed-stack.yaml here
    lcompose up -f compose.yaml        any compose file
    """
    begun = time.monotonic()
    options = options_of(ctx, given)
    console = console_of(options)
    # One deadline for everything: no program that is started here runs beyond it.
    host.limit(begun + (given["wait_timeout"] or FIRST_LIMIT))
    with _time_is_up(given["wait_timeout"] or FIRST_LIMIT):
        stack = _open(options, given)
    stack = with_timeout(stack, given["wait_timeout"])
    console.redact = stack.secrets.redact
    console.warn(stack.warnings)
    console.changes(stack.changes)
    if given["timeline"]:
        from lcompose import timeline

        timeline.check(Path(given["timeline"]))
    if given["dry_run"]:
        _dry_run(console, stack, begun)
        return 0
    _up(console, stack, begun, given)
    if given["attach"]:
        _attach(console, stack)
    return 0


def _open(options: Any, given: dict[str, Any]) -> Stack:
    env = environment()
    if given["files"]:
        return open_file(options, env, given["files"], given["compose_profiles"])
    if given["compose_profiles"]:
        fix = "Name the compose file with -f; the profiles of lcompose are chosen with --profile."
        raise UsageError("--compose-profile is for a compose file", "command line", fix)
    return open_rendered(options, env)


def _job(stack: Stack, begun: float, salt: str) -> Job:
    return Job(
        engine=stack.engine,
        facts=stack.facts,
        place=stack.place,
        sources=stack.sources,
        wanted=stack.wanted(salt),
        creation=stack.creation(salt, stack.wait_timeout),
        secrets=stack.secrets,
        deadline=Deadline(begun + stack.wait_timeout),
        begun=begun,
        pull_timeout=stack.pull_timeout,
        bundle=stack.bundle,
    )


def _dry_run(console: Console, stack: Stack, begun: float) -> None:
    salt = stack.place / "salt"
    job = _job(stack, begun, salt.read_text() if salt.exists() else "")
    prepare(job)
    names = {one.id: one.name for one in job.observed.containers}
    if console.as_json:
        steps = [{"verb": s.verb, "target": names.get(s.target, s.target), "cause": s.cause} for s in job.plan.steps]
        console.value({"plan": steps})
        return
    console.result("\n".join(describe(job.plan, names)) or "nothing to do")


def _up(console: Console, stack: Stack, begun: float, given: dict[str, Any]) -> None:
    place = files.project_directory(stack.env, stack.engine.endpoint(), stack.name)
    waiting = time.monotonic()
    patience = 0 if given["no_wait_lock"] else stack.wait_timeout
    with files.locked(place, stack.name, patience, lambda: console.note(f"{stack.name}: waits for another lcompose")):
        job = _job(stack, begun, files.salt_of(place))
        if stack.fetch:
            # As pulling does, it has a time of its own.
            host.limit(None)
            stack.fetch(console.note)
        job.deadline.restart_clock(waiting)
        with _failure(console, stack, job, rollback=given["rollback"]), _timeline(job, given["timeline"]):
            with _time_is_up(stack.wait_timeout):
                prepare(job)
            refuse_taken_ports(job)
            with _time_is_up(stack.wait_timeout):
                for event in bring_up(job):
                    console.event(event)
                _verify_accelerators(console, stack)
        for trouble in job.troubles:
            console.note(f"warning: {trouble}")
    _say_ready(console, stack, job)


def _verify_accelerators(console: Console, stack: Stack) -> None:
    """Where a GPU was asked for, here or when a file was rendered, what is ready must work on it.

    Raises: NotReadyError.
    """
    rendered = stack.project.services if stack.project else ()
    read = (stack.reading.get("services") or {}).values()
    if not any([service.accelerator for service in rendered] + [label_in(one, ACCELERATOR) for one in read]):
        return
    from lcompose.verify import refuse_fallback, verify

    found = verify(stack.engine, stack.name)
    refuse_fallback(found)
    for one in found:
        where = "works on the GPU" if one.state == "gpu" else f"may work on the GPU: {one.reason}"
        console.note(f"  {one.service}: {where}")


@contextmanager
def _time_is_up(timeout: float) -> Iterator[None]:
    """An engine that hangs until the deadline is a stack that is not ready, whatever was asked of it."""
    try:
        yield
    except (EngineError, MachineError) as error:
        if host.left() > host.SHORT_GRACE:
            raise
        what = f"the stack is not ready: it was not ready within {timeout:g} s"
        raise NotReadyError(what, error.where, error.fix, (*error.details, error.what)) from error


@contextmanager
def _timeline(job: Job, file: str | None) -> Iterator[None]:
    """Writes where the seconds went, however it ended."""
    try:
        yield
    finally:
        if file:
            from lcompose import timeline

            seconds = time.monotonic() - job.begun
            timeline.write(Path(file), job.spec.project, timeline.spans(job.events, seconds), seconds)


@contextmanager
def _failure(console: Console, stack: Stack, job: Job, *, rollback: bool) -> Iterator[None]:
    """After a failure or an interruption: what is left is said, or taken down if that was asked for."""
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _left(console, stack, rollback=rollback)
        raise
    except LcomposeError:
        if rollback and job.plan.steps:
            _left(console, stack, rollback=True)
        raise


def _left(console: Console, stack: Stack, *, rollback: bool) -> None:
    host.end_running()
    if rollback:
        host.limit(None)
        take_down(console, stack.engine, stack.name, stack.place, volumes=False)
        return
    host.limit(time.monotonic() + TO_LOOK)
    try:
        found = snapshot(stack.engine, stack.name).containers
    except LcomposeError as error:
        console.note(f"What is left cannot be told: {error.what}")
        return
    if found:
        told = ", ".join(f"{one.name} ({one.state})" for one in found)
        console.note(f"What is left: {told}. 'lcompose down' takes it down.")
    else:
        console.note("Nothing was left behind.")


def _attach(console: Console, stack: Stack) -> None:
    from lcompose.logs import followed

    host.limit(None)
    console.note("Following the logs; Ctrl-C takes the stack down.")
    try:
        for lines in followed(stack.engine, stack.name, directory=stack.place / "logs"):
            for line in lines:
                console.log_line(line.service, line.text)
    except (KeyboardInterrupt, Terminated):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with files.locked(stack.place, stack.name, stack.wait_timeout):
        take_down(console, stack.engine, stack.name, stack.place, volumes=False)


# ---------------------------------------------------------------- saying that it is ready


def _say_ready(console: Console, stack: Stack, job: Job) -> None:
    seconds = time.monotonic() - job.begun
    addresses = _addresses(stack, job)
    idle = job.plan == Plan()
    if console.as_json:
        value = {"ready": True, "seconds": round(seconds, 2), "addresses": addresses, "nothing_to_do": idle}
        console.value(value)
        return
    if idle:
        console.result(f"{stack.name} is ready; there was nothing to do ({seconds:.1f} s).")
    else:
        console.result(f"{stack.name} is ready after {seconds:.1f} s.")
    width = max([16, *map(len, addresses)]) + 2
    for name, address in addresses.items():
        if address:
            console.result(f"  {name:<{width}}{address}")
    lcore = addresses.get("lightspeed-stack") if stack.project else ""
    if lcore and "://" in lcore:
        body = '{"query": "What is OpenShift?"}'
        console.result(f"Try: curl {lcore}/v1/query -H 'Content-Type: application/json' -d '{body}'")


def _addresses(stack: Stack, job: Job) -> dict[str, str]:
    """Where each service is called from this machine, or nothing."""
    said = stack.sources.said
    own = stack.project.services if stack.project else ()
    # A person's own words may have it publish something else.
    ours = {service.name: address_of(service) for service in own if "ports" not in said.get(service.name, {})}
    found = {one.name: job.observed.of(one.name) for one in job.spec.services if one.name not in ours}
    return {**ours, **{name: _published(containers[0]) if containers else "" for name, containers in found.items()}}


def _published(one: Container) -> str:
    return ", ".join(f"{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}" for _, host, port in one.ports)  # noqa: S104


def address_of(service: Service) -> str:
    """Where a service is called from this machine, or nothing when it is not published."""
    if service.probe and service.probe.socket:
        return f"unix:{service.probe.socket}"
    if not service.ports or service.probe is None:
        return ""
    port = service.ports[0]
    shown = "127.0.0.1" if port.bind in ("0.0.0.0", "::") else port.bind  # noqa: S104
    return f"{service.probe.scheme}://{f'[{shown}]' if ':' in shown else shown}:{port.published}"
