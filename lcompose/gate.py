"""The gate: waits until every service is ready, or says which is not and why; always ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lcompose.engines import Engine
from lcompose.errors import LcomposeError, NotReadyError
from lcompose.logs import TIME
from lcompose.observe import PATIENCE, ask, snapshot
from lcompose.readiness import Observation, Verdict, judge
from lcompose.spec.events import Event
from lcompose.spec.run import Answer, Container, Gated, GateSpec, Observed
from lcompose.spec.secrets import Secrets

# Asking is cheap and looking is not: an inspection takes the engine 40 ms of a core.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.2
SLOWER = 1.25
LOOK_EVERY = 1.0
TELL_EVERY = 1.0
# Seconds that a question may take even when the deadline is near.
LEAST_PATIENCE = 1.0
LAST_LINES = 15
LONGEST_LINE = 300


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as the gate sees it, so that tests need not wait."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass
class _Progress:
    # By name: why it is ready, and how often it had been restarted by then.
    ready: dict[str, tuple[str, int]] = field(default_factory=dict)
    looked: float = -1e9
    told: float = 0.0
    observed: Observed = field(default_factory=Observed)


def wait_until_ready(spec: GateSpec, engine: Engine, clock: Clock, secrets: Secrets) -> Iterator[Event]:
    """Yields what changes until all services are ready.

    Raises: NotReadyError with a table of reasons when one failed or the deadline passed.
    """
    begun = clock.now()
    deadline = begun + spec.timeout
    progress = _Progress(told=begun)
    pause = FIRST_PAUSE
    while True:
        verdicts = _look(spec, engine, clock, progress, deadline)
        yield from _changes(verdicts, progress, clock.now() - begun)
        if any(verdict.state == "failed" for verdict in verdicts.values()):
            raise _not_ready(spec, engine, verdicts, progress, secrets, "a service failed")
        if len(progress.ready) == len(spec.services) and _all_still_run(spec, engine, clock, progress):
            return
        if clock.now() >= deadline:
            why = f"it was not ready within {spec.timeout:g} s"
            raise _not_ready(spec, engine, verdicts, progress, secrets, why)
        if clock.now() - progress.told >= TELL_EVERY:
            progress.told = clock.now()
            yield from _still_waiting(verdicts, clock.now() - begun)
        clock.sleep(max(0.0, min(pause, deadline - clock.now())))
        pause = min(pause * SLOWER, LONGEST_PAUSE)


def verdicts_now(spec: GateSpec, engine: Engine, observed: Observed, patience: float = PATIENCE) -> dict[str, Verdict]:
    """The verdict on each service at this moment; each has ``patience`` seconds to answer."""
    with ThreadPoolExecutor(max(1, len(spec.services))) as pool:
        found = pool.map(lambda service: _verdict(service, engine, observed, patience), spec.services)
        return {service.name: verdict for service, verdict in zip(spec.services, found, strict=True)}


def _look(spec: GateSpec, engine: Engine, clock: Clock, progress: _Progress, deadline: float) -> dict[str, Verdict]:
    if clock.now() - progress.looked >= LOOK_EVERY:
        _snapshot(spec, engine, clock, progress)
    left = tuple(service for service in spec.services if service.name not in progress.ready)
    patience = min(PATIENCE, max(LEAST_PATIENCE, deadline - clock.now()))
    verdicts = verdicts_now(GateSpec(spec.project, left), engine, progress.observed, patience)
    return verdicts | _no_longer_ready(spec, progress)


def _snapshot(spec: GateSpec, engine: Engine, clock: Clock, progress: _Progress) -> None:
    progress.observed = snapshot(engine, spec.project)
    progress.looked = clock.now()


def _all_still_run(spec: GateSpec, engine: Engine, clock: Clock, progress: _Progress) -> bool:
    """Whether what was ready runs at the very end too."""
    if clock.now() - progress.looked > FIRST_PAUSE:
        _snapshot(spec, engine, clock, progress)
    return not _no_longer_ready(spec, progress)


def _no_longer_ready(spec: GateSpec, progress: _Progress) -> dict[str, Verdict]:
    """A service that was ready may die, or be started again, while others are waited for."""
    found = {}
    for service in spec.services:
        if service.name in progress.ready:
            containers = progress.observed.of(service.name)
            verdict = judge(Observation(service, containers, Answer(ok=True)))
            if verdict.state == "ready" and _restarts(containers) > progress.ready[service.name][1]:
                verdict = Verdict("waiting", "it died, and was started again")
            if verdict.state != "ready":
                found[service.name] = verdict
    return found


def _restarts(containers: tuple[Container, ...]) -> int:
    return sum(one.restarts for one in containers)


def _verdict(service: Gated, engine: Engine, observed: Observed, patience: float) -> Verdict:
    containers = observed.of(service.name)
    answer = None
    if service.probe and containers and all(one.state == "running" for one in containers):
        answers = [ask(engine, service.probe, one, patience) for one in containers]
        answer = next((one for one in answers if not one.ok), answers[0])
    return judge(Observation(service, containers, answer))


def _changes(verdicts: dict[str, Verdict], progress: _Progress, at: float) -> Iterator[Event]:
    for name, verdict in verdicts.items():
        if verdict.state == "ready":
            progress.ready[name] = (verdict.reason, _restarts(progress.observed.of(name)))
            yield Event("state", name, "ready", at)
        elif progress.ready.pop(name, None):
            yield Event("state", name, f"no longer ready: {verdict.reason}", at)


def _still_waiting(verdicts: dict[str, Verdict], at: float) -> Iterator[Event]:
    for name, verdict in verdicts.items():
        if verdict.state == "waiting":
            yield Event("waiting", name, verdict.reason, at)


def _not_ready(
    spec: GateSpec,
    engine: Engine,
    verdicts: dict[str, Verdict],
    progress: _Progress,
    secrets: Secrets,
    why: str,
) -> NotReadyError:
    lines = ["SERVICE            STATE       EXIT  RESTARTS  REASON"]
    guilty: dict[str, list[tuple[str, Container]]] = {"failed": [], "waiting": [], "ready": []}
    for service in spec.services:
        verdict = verdicts.get(service.name) or Verdict("ready", progress.ready[service.name][0])
        containers = progress.observed.of(service.name)
        lines += [_row(service.name, one, verdict) for one in containers] or [f"{service.name:<19}absent"]
        guilty[verdict.state] += [(service.name, one) for one in containers]
    # One that only waits for the one that failed has nothing to say.
    for name, one in guilty["failed"] or guilty["waiting"]:
        lines += _last_words(name, one, engine)
    return NotReadyError(
        what=f"the stack is not ready: {why}",
        where=spec.project,
        fix="Read the lines above; 'lcompose logs' has all of them, 'lcompose down' takes the rest down.",
        details=tuple(secrets.redact("\n".join(lines)).splitlines()),
    )


def _row(name: str, one: Container, verdict: Verdict) -> str:
    code = "" if one.state == "running" else str(one.exit_code)
    return f"{name:<19}{one.state:<12}{code:<6}{one.restarts:<10}{verdict.reason}"


def _last_words(name: str, one: Container, engine: Engine) -> list[str]:
    try:
        text = engine.logs(one.id, LAST_LINES)
    except LcomposeError as error:
        text = error.what
    said = [line[:LONGEST_LINE] for text in text.splitlines() if (line := TIME.sub("", text).rstrip())][-LAST_LINES:]
    return [f"--- the last lines of {name}:", *(said or ["(it printed nothing)"])]
