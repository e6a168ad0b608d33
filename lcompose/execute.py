"""Walks a plan up to where the gate takes over. Decides nothing: each verb has one function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from lcompose import logs
from lcompose.engines import Creation, Engine
from lcompose.errors import LcomposeError, NotReadyError
from lcompose.host import SHORT_GRACE, end_running
from lcompose.spec.events import Event
from lcompose.spec.run import Container, Observed, Plan, Step
from lcompose.spec.secrets import Secrets

MOST_AT_ONCE = 16
# The gate starts services, each when what it needs is there.
LEFT_TO_THE_GATE = ("start",)


@dataclass(frozen=True, slots=True)
class Context:
    """What the verbs work with.

    ``users`` are the services of each image; ``pull_timeout`` is in seconds, for one image.
    """

    engine: Engine
    project: str
    log_directory: Path
    secrets: Secrets
    observed: Observed
    creation: Creation | None = None
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pull_timeout: float = 1800
    begun: float = field(default_factory=time.monotonic)


def execute(plan: Plan, context: Context, left: Callable[[], float] = lambda: float("inf")) -> Iterator[Event]:
    """Does every step of a plan but the starts, and tells what happened.

    ``left`` are the seconds until the deadline, which pulling does not count against.

    Raises: EngineError and MachineError as the engine's calls do, NotReadyError when time is up; the
    rest is not done then.
    """
    for stage in plan.stages:
        steps = tuple(step for step in stage if step.verb not in LEFT_TO_THE_GATE)
        if steps:
            yield from _stage(steps, context, left)


def _stage(stage: tuple[Step, ...], context: Context, left: Callable[[], float]) -> Iterator[Event]:
    told: SimpleQueue[Event | BaseException | None] = SimpleQueue()

    # A daemon: one that hangs must not keep the program from ending.
    Thread(target=lambda: _do_all(stage, context, told.put), daemon=True).start()
    try:
        while (event := told.get(timeout=_patience(stage, left))) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    except Empty:
        end_running(SHORT_GRACE)
        raise _out_of_time(stage, context) from None
    except BaseException:
        # Interrupted: what still runs would go on by itself.
        end_running()
        raise


def _do_all(stage: tuple[Step, ...], context: Context, tell: Callable[[Event | BaseException | None], None]) -> None:
    """Does the steps side by side; at the end tells None, or what went wrong."""
    try:
        _side_by_side(stage, lambda step: VERBS[step.verb](step, context, tell))
    except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
        tell(error)
    else:
        tell(None)


def _side_by_side(stage: tuple[Step, ...], do: Callable[[Step], None]) -> None:
    if len(stage) == 1:
        do(stage[0])
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(stage), MOST_AT_ONCE)) as pool:
        list(pool.map(do, stage))


def _patience(stage: tuple[Step, ...], left: Callable[[], float]) -> float | None:
    seconds = left()
    if seconds == float("inf") or stage[0].verb == "pull":
        return None
    return max(0.0, seconds)


def _out_of_time(stage: tuple[Step, ...], context: Context) -> NotReadyError:
    doing = f"{stage[0].verb} {stage[0].target}"
    fix = "Look whether the engine hangs; give it more time with --wait-timeout."
    return NotReadyError(f"the stack is not ready: time was up during: {doing}", context.project, fix)


Tell = Callable[[Event], None]


def _state(context: Context, service: str, state: str, cause: str = "") -> Event:
    return Event("state", service, state, time.monotonic() - context.begun, cause)


def _create(step: Step, context: Context, tell: Tell) -> None:
    assert context.creation is not None
    context.engine.create(
        context.creation,
        lambda line: tell(Event("detail", step.target, context.secrets.redact(line))),
    )


def _stop(step: Step, context: Context, tell: Tell) -> None:
    container = _container(step, context)
    if container is None:
        return
    tell(_state(context, container.service, "unloading", step.cause))
    try:
        context.engine.stop(container.id, container.stop_grace)
    except LcomposeError as error:
        # The others are still to be stopped; removing it ends it by force.
        tell(Event("step", container.service, f"could not be stopped: {error.what}"))
    else:
        tell(_state(context, container.service, "offline", "stopped"))


def _remove(step: Step, context: Context, tell: Tell) -> None:
    container = _container(step, context)
    if container:
        context.engine.remove([container.id])
        tell(Event("detail", container.service, "removed"))


def _keep_logs(step: Step, context: Context, tell: Tell) -> None:
    container = _container(step, context)
    if container and container.started:
        try:
            path = logs.collect(context.engine, container, context.log_directory, context.secrets)
        except LcomposeError as error:
            # A full disk must not stop a person from taking the stack down.
            tell(Event("step", container.service, f"its log is lost: {error.what}"))
        else:
            tell(Event("detail", container.service, f"log kept in {path}"))


def _remove_pod(step: Step, context: Context, tell: Tell) -> None:
    context.engine.remove_pod(step.target)
    tell(Event("detail", step.target, "pod removed"))


def _remove_network(step: Step, context: Context, tell: Tell) -> None:
    context.engine.remove_network(step.target)
    tell(Event("detail", step.target, "network removed"))


def _remove_volume(step: Step, context: Context, tell: Tell) -> None:
    context.engine.remove_volume(step.target)
    tell(Event("step", step.target, "volume removed"))


def _pull(step: Step, context: Context, tell: Tell) -> None:
    for service in context.users.get(step.target, ()):
        tell(_state(context, service, "pulling", f"{step.target} is not here; this may take a while"))
    context.engine.pull(
        step.target,
        context.pull_timeout,
        lambda line: tell(Event("detail", step.target, context.secrets.redact(line))),
    )


VERBS: Mapping[str, Callable[[Step, Context, Tell], None]] = {
    "pull": _pull,
    "create": _create,
    "stop": _stop,
    "remove": _remove,
    "keep-logs": _keep_logs,
    "remove-pod": _remove_pod,
    "remove-network": _remove_network,
    "remove-volume": _remove_volume,
}


def _container(step: Step, context: Context) -> Container | None:
    return next((one for one in context.observed.containers if one.id == step.target), None)
