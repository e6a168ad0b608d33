"""From what is wanted to a stack that is ready: pull, plan, execute, gate, and remember what was meant."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lcompose import bundle as files
from lcompose import host, logs, memory
from lcompose.engines import Creation, Engine
from lcompose.errors import ConfigError, LcomposeError, MachineError, NotReadyError, known_lines
from lcompose.execute import Context, execute
from lcompose.gate import Gate, Passed
from lcompose.gatespec import refuse_impossible, with_images
from lcompose.lifecycle import observed_state
from lcompose.observe import is_remote, snapshot
from lcompose.plan import Wanted, done_ids, plan_up
from lcompose.sources import Sources
from lcompose.spec.bundle import Bundle
from lcompose.spec.events import Event
from lcompose.spec.run import Container, GateSpec, ImageInfo, Memory, Observed, Plan, Remembered
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import EngineFacts
from lcompose.work import Threads

if TYPE_CHECKING:
    from threading import Thread

# Seconds that are left for what is written after a failure: many, or few when the deadline has passed.
AFTERMATH = 10.0
LATE_AFTERMATH = 0.25
# Seconds in which an engine has taken what it is to begin.
SOON = 2.0


@dataclass
class Deadline:
    """One moment for everything; what has a time of its own, such as a pull, moves it."""

    at: float

    def left(self) -> float:
        """Seconds until then."""
        return self.at - time.monotonic()

    def restart_clock(self, since: float) -> None:
        """Does not count what has passed since then."""
        self.at += time.monotonic() - since
        host.limit(self.at)


@dataclass
class Job:
    """One ``up``: what it works with, and what it has found out so far.

    ``events`` are all that was told, ``troubles`` what went wrong beside that.
    """

    engine: Engine
    facts: EngineFacts
    place: Path
    sources: Sources
    wanted: Wanted
    creation: Creation
    secrets: Secrets
    deadline: Deadline
    begun: float
    pull_timeout: float
    bundle: Bundle | None = None
    memory: Memory = field(default_factory=Memory)
    observed: Observed = field(default_factory=Observed)
    plan: Plan = field(default_factory=Plan)
    passed: Passed | None = None
    shown: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def spec(self) -> GateSpec:
        """What must be ready."""
        return self.wanted.spec


def prepare(job: Job) -> None:
    """Looks at what there is, and plans.

    Raises: ConfigError for what can never work; MachineError for an image that cannot be had here.
    """
    job.memory = memory.load(job.place)
    images = _images(job)
    _refuse_unpullable(job, images)
    job.observed = snapshot(job.engine, job.spec.project)
    job.wanted = replace(job.wanted, spec=with_images(job.spec, images), images=images)
    _refuse_impossible(job)
    job.plan = plan_up(job.wanted, job.observed, job.memory)
    job.shown = {one.service: observed_state(one, ready=True) for one in job.observed.containers}


def _refuse_impossible(job: Job) -> None:
    try:
        refuse_impossible(job.spec, job.sources.file, job.wanted.images)
    except ConfigError as error:
        raise ConfigError(job.sources.placed(error.findings)) from None


def _images(job: Job) -> dict[str, ImageInfo]:
    return job.engine.images([service.image for service in job.spec.services if service.image])


def _refuse_unpullable(job: Job, images: Mapping[str, ImageInfo]) -> None:
    for service in job.spec.services:
        local = service.pull_policy == "never" or service.image.startswith("localhost/")
        if service.image and service.image not in images and not service.built and local and service.replicas:
            what = f"the image {service.image} of {service.name} is not here, and is not pulled"
            fix = f"Build or load it, or name another: {job.sources.another_image(service.name)}"
            raise MachineError(what, "", fix)


def refuse_taken_ports(job: Job) -> None:
    """Stops before anything is made whose port another program has.

    Raises: MachineError.
    """
    from lcompose.listeners import holder_of
    from lcompose.machine import ThisMachine

    starting = {step.target for step in job.plan.steps if step.verb == "start"}
    for service in job.spec.services if not is_remote(job.engine) else ():
        held = {port[2] for one in job.observed.containers if one.state == "running" for port in one.ports}
        for bind, port, protocol in service.ports if service.name in starting else ():
            if protocol == "tcp" and port not in held and not host.port_is_free(bind, port):
                holder, freeing = _container_at(job, port) or (holder_of(ThisMachine(), bind, port), "Stop it")
                what = f"port {port} on {bind}, for {service.name}, is taken by {holder}"
                fix = f"{freeing}, or {job.sources.another_port(service.name, bind, port)}"
                raise MachineError(what, "", fix)


def _container_at(job: Job, port: int) -> tuple[str, str] | None:
    """The container of another project of ours that has a port, and how it is freed."""
    with suppress(LcomposeError):
        for project in job.engine.projects():
            for one in job.engine.containers(project):
                if one.state == "running" and any(published == port for _, _, published in one.ports):
                    kind = "process" if job.engine.name == "local" else "container"
                    freeing = f"Take it down (lcompose down -p {project})"
                    return f"the {kind} {one.name} of the project {project}", freeing
    return None


def bring_up(job: Job) -> Iterator[Event]:
    """Does what is planned, and waits until all is ready; the history is written as it happens.

    Raises: NotReadyError, EngineError, MachineError, ConfigError.
    """
    try:
        for event in _steps(job):
            job.events.append(event)
            memory.tell(job.place, job.shown, event, time.time())
            yield event
    except NotReadyError as error:
        from lcompose.failures import known_of

        error.known = known_of(error)
        raise replace(error, details=(*error.details, *_aftermath(job, error))) from None


def _steps(job: Job) -> Iterator[Event]:
    yield from _pulled(job)
    rest = Plan(tuple(stage for stage in job.plan.stages if stage[0].verb != "pull"))
    if any(step.verb != "start" for step in rest.steps):
        if job.bundle:
            files.replace_private_bundle(job.bundle, job.place)
        yield from _made(job, rest)
        job.observed = snapshot(job.engine, job.spec.project)
        _remember_made(job)
    yield from _gated(job)
    _remember_done(job)


def _made(job: Job, plan: Plan) -> Iterator[Event]:
    """Creates; where that means building or fetching, it has the time that pulls have."""
    if not _is_slow(job):
        yield from execute(plan, _context(job), job.deadline.left)
        return
    since = time.monotonic()
    host.limit(None)
    yield from execute(plan, _context(job))
    job.deadline.restart_clock(since)


def _is_slow(job: Job) -> bool:
    here = job.wanted.images
    return any(one.pull_policy == "always" or (one.built and one.image not in here) for one in job.spec.services)


def _pulled(job: Job) -> Iterator[Event]:
    """Fetches what is missing, in a time of its own; only then is it known what can never work."""
    stages = tuple(stage for stage in job.plan.stages if stage[0].verb == "pull")
    if stages:
        since = time.monotonic()
        host.limit(None)
        yield from execute(Plan(stages), _context(job))
        job.deadline.restart_clock(since)
        job.observed = snapshot(job.engine, job.spec.project)
        images = _images(job)
        job.wanted = replace(job.wanted, spec=with_images(job.spec, images), images=images)
        _refuse_impossible(job)
        # What runs of an image that has just come may be of an older one.
        job.plan = Plan((*stages, *plan_up(job.wanted, job.observed, job.memory).stages))


def _context(job: Job) -> Context:
    users: dict[str, tuple[str, ...]] = {}
    for service in job.spec.services:
        users[service.image] = (*users.get(service.image, ()), service.name)
    return Context(
        job.engine,
        job.spec.project,
        job.place / "logs",
        job.secrets,
        job.observed,
        _creation(job),
        users,
        job.pull_timeout,
        job.begun,
    )


def _creation(job: Job) -> Creation:
    return replace(job.creation, timeout=job.pull_timeout if _is_slow(job) else max(1.0, job.deadline.left()))


def _gated(job: Job) -> Iterator[Event]:
    gate = Gate(
        job.spec,
        job.engine,
        Threads(),
        job.secrets,
        deadline=job.deadline.at,
        done=done_ids(job.spec, job.observed, job.memory),
        begun=job.begun,
        observed=job.observed,
        aside=lambda observed: logs.collect_all(job.engine, _begun(observed), job.place / "logs", job.secrets),
    )
    try:
        yield from gate.run()
        job.passed = gate.passed
        if any(step.verb == "start" for step in job.plan.steps):
            beginning = _begin_afterwards(job, gate.watch.observed)
            # Else nobody could say later that it is missing what somebody took away meanwhile.
            job.troubles += logs.collect_all(job.engine, _begun(gate.watch.observed), job.place / "logs", job.secrets)
            for thread in beginning:
                thread.join(SOON)
    finally:
        job.observed = gate.watch.observed
        # Whoever still follows events or asks is of no use any more, and none of them has anything to lose.
        host.end_running(0)
        if not job.passed:
            with suppress(LcomposeError):
                _remember_shots(job, gate.ended_well())


def _begin_afterwards(job: Job, observed: Observed) -> list[Thread]:
    """Begins what services do once all is ready."""
    from threading import Thread

    def begin(container: str, argv: tuple[str, ...]) -> None:
        # Where it cannot be done, only a later start is slower.
        with suppress(LcomposeError):
            job.engine.begin(container, argv)

    started = {step.target for step in job.plan.steps if step.verb == "start"}
    services = [one for one in job.spec.services if one.afterwards and one.name in started]
    pairs = [(one.id, service.afterwards) for service in services for one in observed.of(service.name)]
    threads = [Thread(target=begin, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    return threads


def _begun(observed: Observed) -> list[Container]:
    return [one for one in observed.containers if one.started]


# ---------------------------------------------------------------- remembering


def _remember_made(job: Job) -> None:
    """What is there now is what was meant, whether it gets ready or not."""
    # Before what we made counts as ours: of that, a one-shot is done only when we saw it.
    done = done_ids(job.spec, job.observed, job.memory)
    found = {}
    for service in job.spec.services:
        made = job.observed.of(service.name)
        found[service.name] = Remembered(
            digest=job.wanted.digests.get(service.name, ""),
            containers=tuple(one.id for one in made),
            done=tuple(one.id for one in made if one.id in done),
            gated=replace(service, afterwards=()),
            inputs=job.wanted.inputs.get(service.name, ()),
        )
    job.memory = Memory({**_others(job), **found})
    _save(job)


def _save(job: Job) -> None:
    """Where there is no space for it, a stack that is ready is ready all the same."""
    try:
        memory.save(job.place, job.memory, job.secrets.redact)
    except LcomposeError as error:
        job.troubles.append(f"what was started cannot be remembered: {error.what} ({error.where})")


def _others(job: Job) -> dict[str, Remembered]:
    """What is remembered of services that this command is not about, as long as they have a container."""
    names = {service.name for service in job.spec.services}
    return {name: known for name, known in job.memory.services.items() if name not in names and job.observed.of(name)}


def _remember_shots(job: Job, done: tuple[str, ...]) -> None:
    """A one-shot that did its job is not run again because another service failed."""
    found = dict(job.memory.services)
    for name, known in job.memory.services.items():
        more = [one for one in known.containers if one in done and one not in known.done]
        found[name] = replace(known, done=(*known.done, *more))
    if found != dict(job.memory.services):
        job.memory = Memory(found)
        _save(job)


def _remember_done(job: Job) -> None:
    """Which one-shots did their job, so that the next ``up`` leaves them alone; and what drift is told by.

    Only now: Podman adds variables to a container when it starts.
    """
    assert job.passed is not None
    found = {}
    for service in job.spec.services:
        made = job.passed.observed.of(service.name)
        done = tuple(one.id for one in made if one.id in job.passed.done)
        known = job.memory.of(service.name)
        parts = known.parts or (made[0].parts if made else ())
        inputs = known.inputs or job.wanted.inputs.get(service.name, ())
        gated = replace(service, afterwards=())
        found[service.name] = replace(known, done=done, parts=parts, gated=gated, inputs=inputs)
    found = {**_others(job), **found}
    if found != dict(job.memory.services):
        job.memory = Memory(found)
        _save(job)


# ---------------------------------------------------------------- after a failure


def _aftermath(job: Job, error: NotReadyError) -> list[str]:
    """Keeps the logs and writes the archive for a bug report, as far as there is time; says where it is."""
    from threading import Thread

    told: list[str] = []
    late = job.deadline.left() <= 0
    thread = Thread(target=lambda: told.extend(_kept(job, error, late=late)), daemon=True)
    thread.start()
    thread.join(LATE_AFTERMATH if late else AFTERMATH)
    if not told:
        host.end_running(host.SHORT_GRACE)
    return told


def _kept(job: Job, error: NotReadyError, *, late: bool) -> list[str]:
    from lcompose.archive import state_of, versions_of, write

    # Where the deadline has passed, this was done shortly before.
    problems = [] if late else logs.collect_all(job.engine, _begun(job.observed), job.place / "logs", job.secrets)
    documents = job.bundle.documents if job.bundle else ()
    written = {document.path: document.text for document in documents}
    if job.creation.reading:
        from lcompose.emit import yaml_text

        written["compose.yaml"] = yaml_text(dict(job.creation.reading))
    try:
        path = write(
            job.place,
            report="\n".join([*error.details, error.what, *known_lines(error)]),
            states=[state_of(one) for one in job.observed.containers],
            files=written,
            versions=versions_of(job.facts),
            secrets=job.secrets,
        )
    except LcomposeError as problem:
        return [*problems, f"no archive for a bug report: {problem.what}"]
    return [*problems, f"everything for a bug report, without secrets: {path}"]
