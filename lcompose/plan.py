"""From what there is and what is wanted to a Plan: printable steps, each with its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lcompose.spec.run import Container, Gated, GateSpec, ImageInfo, Memory, Observed, Plan, Step

RUNNING = ("running", "restarting", "paused", "starting", "stopping")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a project is to be.

    ``digests`` tell of each service all that it is made of, and ``inputs`` of what it reads beside that, such
    as a file: a name and a digest each. ``images`` are those that the engine has; ``sweep`` says that
    containers of other services are removed.
    """

    spec: GateSpec
    digests: Mapping[str, str]
    images: Mapping[str, ImageInfo] = field(default_factory=dict)
    sweep: bool = True
    inputs: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def plan_up(wanted: Wanted, observed: Observed, memory: Memory) -> Plan:
    """What takes a project to its wanted state; empty when there is nothing to do.

    Dependents are stopped before what they depend on is replaced, and a log is kept before it is lost.
    Starting comes last, in the order that the gate allows.
    """
    services = wanted.spec.services
    causes = {one.name: _cause(one, wanted, observed, memory) for one in services}
    gone = _gone(wanted, observed, causes)
    # One of several that goes holds up nobody who depends on them.
    stopped = [*_with_dependents([one for one in gone if gone[one] != MORE], observed)]
    stopped += [one for one in gone if one not in stopped]
    unsure = [one for name, cause in causes.items() if cause in UNSURE for one in observed.of(name) if one not in gone]
    left = Observed(tuple(one for one in observed.containers if gone.get(one) != MORE))
    return _plan(
        [Step("keep-logs", one.id, f"{one.service} may be replaced") for one in [*gone, *unsure]],
        *(
            [Step("stop", one.id, gone.get(one) or f"{one.service} {FOR_ANOTHER}") for one in wave if _may_run(one)]
            for wave in stop_order(stopped)
        ),
        _keep_again([one for one in stopped if one in gone or one in unsure]),
        [Step("remove", one.id, cause) for one, cause in gone.items()],
        [Step("pull", image, "not on this machine") for image in _absent(wanted)],
        _create(wanted.spec.project, causes),
        _starts(services, left, done_ids(wanted.spec, observed, memory), causes, stopped),
    )


NEW, CHANGED, IMAGE, UNKNOWN = "new", "its configuration changed", "its image changed", "to see whether it changed"
FEWER, PULLED = "not as many containers as wanted", "its image is always pulled"
MORE, FOR_ANOTHER = "more containers than wanted", "depends on what is replaced"
ONE_INPUT, SOME_INPUTS = " was changed", " were changed"
# What the engine's creation may remove or replace by itself.
UNSURE = (UNKNOWN, FEWER, PULLED)


def _cause(service: Gated, wanted: Wanted, observed: Observed, memory: Memory) -> str:
    """Why a service must go through the engine's creation; nothing when it need not."""
    found, remembered = observed.of(service.name), memory.of(service.name)
    if not found:
        return NEW if service.replicas else ""
    if any(one.id not in remembered.containers for one in found):
        return UNKNOWN
    if remembered.digest != wanted.digests.get(service.name):
        return CHANGED
    if edited := _edited(wanted.inputs.get(service.name, ()), remembered.inputs):
        return " and ".join(edited) + (SOME_INPUTS if edited[1:] else ONE_INPUT)
    image = wanted.images.get(service.image)
    if image and any(one.image_id and one.image_id != image.id for one in found):
        return IMAGE
    if len(found) != service.replicas:
        return FEWER
    return PULLED if service.pull_policy == "always" else ""


def _edited(inputs: Iterable[tuple[str, str]], remembered: Iterable[tuple[str, str]]) -> list[str]:
    before = dict(remembered)
    return [name for name, digest in inputs if before.get(name, digest) != digest]


def _replaces(cause: str) -> bool:
    return cause in (CHANGED, IMAGE) or cause.endswith((ONE_INPUT, SOME_INPUTS))


def done_ids(spec: GateSpec, observed: Observed, memory: Memory) -> frozenset[str]:
    """The one-shots that did their job, and are not to be run again.

    One that nobody remembers counts if the file says that it is one; a server that was stopped may
    have ended with 0 too.
    """
    adopted = {one.service for service in spec.services for one in service.depends if one.condition == "completed"}
    found = set()
    for service in spec.services:
        known = memory.of(service.name)
        one_shot = service.role == "oneshot" or service.name in adopted
        for one in observed.of(service.name):
            ended = one.state in ("exited", "stopped") and one.exit_code == 0 and one.started > 0
            if ended and (one.id in known.done or (one_shot and one.id not in known.containers)):
                found.add(one.id)
    return frozenset(found)


def _gone(wanted: Wanted, observed: Observed, causes: Mapping[str, str]) -> dict[Container, str]:
    """What is removed by us, and why: what is no longer part, what is replaced, and surplus replicas."""
    names = {service.name for service in wanted.spec.services}
    orphans = [one for one in observed.containers if wanted.sweep and one.service not in names and not one.oneoff]
    found = {one: f"{one.service} is no longer part of the project" for one in orphans}
    for service in wanted.spec.services:
        if _replaces(causes[service.name]):
            found |= dict.fromkeys(observed.of(service.name), causes[service.name])
        else:
            found |= dict.fromkeys(_surplus(service, observed), MORE)
    return found


def _surplus(service: Gated, observed: Observed) -> list[Container]:
    """Replicas beyond those that are wanted; not every engine's compose takes them away."""
    found = sorted(observed.of(service.name), key=lambda one: (len(one.name), one.name))
    return found[service.replicas :]


def _with_dependents(gone: Sequence[Container], observed: Observed) -> list[Container]:
    """Those that go, and all that must be stopped before them."""
    names = {one.service for one in gone}
    return [
        one
        for one in observed.containers
        if not one.oneoff and (one.service in names or names & _below(one.service, observed.containers))
    ]


def _absent(wanted: Wanted) -> list[str]:
    """Images to fetch beforehand; those that are built, and those never fetched, are not."""
    names = [
        service.image
        for service in wanted.spec.services
        if service.image and not service.built and service.pull_policy != "never" and service.replicas
    ]
    return [name for name in dict.fromkeys(names) if name not in wanted.images]


def _create(project: str, causes: Mapping[str, str]) -> list[Step]:
    told = ", ".join(f"{name}: {cause}" for name, cause in causes.items() if cause)
    return [Step("create", project, told)] if told else []


def _starts(
    services: Sequence[Gated],
    observed: Observed,
    done: frozenset[str],
    causes: Mapping[str, str],
    stopped: Sequence[Container],
) -> list[Step]:
    steps = []
    for service in (one for one in services if one.replicas):
        found, cause = observed.of(service.name), causes[service.name]
        idle = [one for one in found if one.state != "running" and one.id not in done]
        if _replaces(cause) or len(found) < service.replicas:
            steps.append(Step("start", service.name, cause))
        elif idle:
            steps.append(Step("start", service.name, f"it is {idle[0].state}"))
        elif any(one in stopped for one in found):
            steps.append(Step("start", service.name, "it was stopped for what it depends on"))
    return steps


def plan_down(observed: Observed, networks: Sequence[str], volumes: Sequence[str], pods: Sequence[str] = ()) -> Plan:
    """What takes a project away: logs first, dependents before what they depend on."""
    keep = [Step("keep-logs", one.id, f"{one.service}'s log is removed with it") for one in observed.containers]
    stops = [
        [Step("stop", one.id, f"{one.service} is {one.state}") for one in wave if _may_run(one)]
        for wave in stop_order(observed.containers)
    ]
    remove = [Step("remove", one.id, f"{one.service} is taken down") for one in observed.containers]
    return _plan(
        keep,
        *stops,
        _keep_again(observed.containers),
        remove,
        [Step("remove-pod", name, "nothing is in it any more") for name in pods],
        [Step("remove-network", name, "nothing uses it any more") for name in networks],
        [Step("remove-volume", name, "asked for with --volumes") for name in volumes],
    )


def _keep_again(containers: Iterable[Container]) -> list[Step]:
    """Once more after the end: what a service says while it stops is often the reason."""
    return [Step("keep-logs", one.id, f"{one.service} has ended") for one in containers if _may_run(one)]


def stop_order(containers: Iterable[Container]) -> list[list[Container]]:
    """Waves of containers: one that depends on others is in an earlier wave than they are.

    Those of a circle are in one wave: nothing can be said about their order.
    """
    left = list(containers)
    below = {one.service: _below(one.service, left) for one in left}
    waves = []
    while left:
        wave = [
            one
            for one in left
            if all(other.service in below[one.service] for other in left if one.service in below[other.service])
        ]
        waves.append(wave)
        left = [one for one in left if one not in wave]
    return waves


def _below(service: str, containers: Sequence[Container]) -> set[str]:
    """All that a service depends on, by however many steps."""
    found: set[str] = set()
    unseen = {service}
    while unseen:
        direct = {name for one in containers if one.service in unseen for name in one.after}
        unseen = direct - found
        found |= direct
    return found


def describe(plan: Plan, names: Mapping[str, str]) -> list[str]:
    """The plan as lines for people; ``names`` are what ids are called."""
    return [f"{step.verb:<15}{names.get(step.target, step.target)}   ({step.cause})" for step in plan.steps]


def _plan(*stages: Sequence[Step]) -> Plan:
    return Plan(tuple(tuple(stage) for stage in stages if stage))


def _may_run(container: Container) -> bool:
    return container.state in RUNNING
