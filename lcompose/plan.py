"""From what there is and what is wanted to a Plan: printable steps, each with its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lcompose.spec.project import Project
from lcompose.spec.run import Container, Observed, Plan, Step


def plan_up(project: Project, digests: Mapping[str, str], observed: Observed, absent: Sequence[str]) -> Plan:
    """What takes a project to its wanted state: pull, create, then start all side by side.

    ``digests`` are the wanted ones by service; ``absent`` are images that must be pulled.
    """
    wanted = [service.name for service in project.services]
    orphans = [one for one in observed.containers if one.service not in wanted]
    causes = {name: _create_cause(name, digests, observed) for name in wanted}
    create = [Step("create", project.name, _summary(causes))]
    pull = [Step("pull", image, "not on this machine") for image in absent]
    # All of them: the engine also replaces what changed in ways that no label tells, such as a
    # variable's value, and what it replaced does not run. Starting what runs does nothing.
    start = [Step("start", name, causes[name] or _start_cause(observed.of(name))) for name in wanted]
    # Whatever is replaced loses its log, and which ones the engine replaces is not known before.
    keep = [Step("keep-logs", one.id, f"{one.service} may be replaced") for one in observed.containers]
    stop = [Step("stop", one.id, f"{one.service} is {one.state}") for one in orphans if _may_run(one)]
    remove = [Step("remove", one.id, f"{one.service} is no longer part of the project") for one in orphans]
    return _plan(keep, stop, remove, pull, create, start)


def plan_down(observed: Observed, networks: Sequence[str], volumes: Sequence[str]) -> Plan:
    """What takes a project away: logs first, dependents before what they depend on."""
    keep = [Step("keep-logs", one.id, f"{one.service}'s log is removed with it") for one in observed.containers]
    stops = [
        [Step("stop", one.id, f"{one.service} is {one.state}") for one in wave if _may_run(one)]
        for wave in stop_order(observed.containers)
    ]
    # Once more after the end: what a service says while it stops is often the reason.
    again = [Step("keep-logs", one.id, f"{one.service} has ended") for one in observed.containers if _may_run(one)]
    remove = [Step("remove", one.id, f"{one.service} is taken down") for one in observed.containers]
    return _plan(
        keep,
        *stops,
        again,
        remove,
        [Step("remove-network", name, "nothing uses it any more") for name in networks],
        [Step("remove-volume", name, "asked for with --volumes") for name in volumes],
    )


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


def _create_cause(name: str, digests: Mapping[str, str], observed: Observed) -> str:
    containers = observed.of(name)
    if not containers:
        return "new"
    if any(one.digest != digests.get(name) for one in containers):
        return "its configuration changed"
    return ""


def _summary(causes: Mapping[str, str]) -> str:
    told = [f"{name}: {cause}" for name, cause in causes.items() if cause]
    return ", ".join(told) or "to see whether anything else changed"


def _start_cause(containers: Sequence[Container]) -> str:
    runs = bool(containers) and all(one.state == "running" for one in containers)
    return "if the engine replaces it" if runs else "not running"


def _may_run(container: Container) -> bool:
    return container.state in ("running", "restarting", "paused", "starting", "stopping")
