"""Walks a plan. Decides nothing: each verb has one function, each stage is done side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from lcompose import logs
from lcompose.engines import Creation, Engine
from lcompose.errors import EngineError, LcomposeError
from lcompose.host import end_running
from lcompose.lifecycle import may_follow, observed_state
from lcompose.observe import snapshot
from lcompose.spec.events import Event
from lcompose.spec.run import Container, Observed, Plan, Step
from lcompose.spec.secrets import Secrets

MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Context:
    """What the verbs work with."""

    engine: Engine
    project: str
    log_directory: Path
    secrets: Secrets
    creation: Creation | None = None


def execute(plan: Plan, context: Context) -> Iterator[Event]:
    """Does every step of a plan, and tells what happened.

    Raises: EngineError and MachineError as the engine's calls do; the rest is not done then.
    """
    for stage in plan.stages:
        observed = snapshot(context.engine, context.project)
        yield from _stage(stage, context, observed)


def _stage(stage: tuple[Step, ...], context: Context, observed: Observed) -> Iterator[Event]:
    told: SimpleQueue[Event | None] = SimpleQueue()

    def do(step: Step) -> None:
        VERBS[step.verb](step, context, observed, told.put)

    def do_all() -> None:
        try:
            with ThreadPoolExecutor(min(len(stage), MOST_AT_ONCE)) as pool:
                list(pool.map(do, stage))
        finally:
            told.put(None)

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(do_all)
        try:
            while (event := told.get()) is not None:
                yield event
            work.result()
        except BaseException:
            # Interrupted: what still runs would keep the pool, and so the person, waiting.
            end_running()
            raise


Tell = Callable[[Event], None]


def _create(step: Step, context: Context, observed: Observed, tell: Tell) -> None:
    assert context.creation is not None
    context.engine.create(
        context.creation,
        lambda line: tell(Event("detail", step.target, context.secrets.redact(line))),
    )


def _start(step: Step, context: Context, observed: Observed, tell: Tell) -> None:
    still = [one for one in observed.of(step.target) if one.state not in ("running", "restarting")]
    for container in still:
        state = observed_state(container.state, ready=False)
        if not may_follow(state, "starting"):
            what = f"{container.name} is {container.state}, and cannot be started"
            raise EngineError(what, context.project, "Wait a moment, or take it down: lcompose down")
        context.engine.start(container.id)
    if still:
        tell(Event("state", step.target, "starting"))


def _stop(step: Step, context: Context, observed: Observed, tell: Tell) -> None:
    container = _container(step, observed)
    if container is None:
        return
    try:
        context.engine.stop(container.id, container.stop_grace)
    except LcomposeError as error:
        # The others are still to be stopped; removing it ends it by force.
        tell(Event("step", container.service, f"could not be stopped: {error.what}"))
    else:
        tell(Event("state", container.service, "stopped"))


def _remove(step: Step, context: Context, observed: Observed, tell: Tell) -> None:
    container = _container(step, observed)
    if container:
        context.engine.remove([container.id])
        tell(Event("detail", container.service, "removed"))


def _keep_logs(step: Step, context: Context, observed: Observed, tell: Tell) -> None:
    container = _container(step, observed)
    if container and observed_state(container.state, ready=False) != "created":
        try:
            path = logs.keep(context.engine, container, context.log_directory, context.secrets)
        except LcomposeError as error:
            # A full disk must not stop a person from taking the stack down.
            tell(Event("step", container.service, f"its log is lost: {error.what}"))
        else:
            tell(Event("detail", container.service, f"log kept in {path}"))


def _remove_network(step: Step, context: Context, observed: Observed, tell: Tell) -> None:
    context.engine.remove_network(step.target)
    tell(Event("detail", step.target, "network removed"))


def _remove_volume(step: Step, context: Context, observed: Observed, tell: Tell) -> None:
    context.engine.remove_volume(step.target)
    tell(Event("step", step.target, "volume removed"))


def _pull(step: Step, context: Context, observed: Observed, tell: Tell) -> None:
    # The creation that follows pulls it; this says why that may take a while.
    tell(Event("step", step.target, "is not here and is pulled now; this may take a while"))


VERBS: Mapping[str, Callable[[Step, Context, Observed, Tell], None]] = {
    "pull": _pull,
    "create": _create,
    "start": _start,
    "stop": _stop,
    "remove": _remove,
    "keep-logs": _keep_logs,
    "remove-network": _remove_network,
    "remove-volume": _remove_volume,
}


def _container(step: Step, observed: Observed) -> Container | None:
    return next((one for one in observed.containers if one.id == step.target), None)
