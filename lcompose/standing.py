"""How each service stands at this moment: one of the nine states, its health, and what drifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from lcompose.engines import Engine
from lcompose.lifecycle import Health, State, health_of, observed_state
from lcompose.observe import ask, busy, run_check
from lcompose.readiness import KILLED, Checked, Observation, Verdict, judge
from lcompose.spec.run import Answer, Container, Gated, GateSpec, ImageInfo, Memory, Observed

MOST_AT_ONCE = 32
PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One container (or a service without any): its state, why, and the parts that drifted."""

    service: str
    container: Container | None
    state: State
    health: Health
    verdict: Verdict
    drifted: tuple[str, ...] = ()


def standings(
    spec: GateSpec,
    engine: Engine,
    observed: Observed,
    memory: Memory,
    images: Mapping[str, ImageInfo],
    wall: float,
    stopped: frozenset[str] | None = None,
) -> list[Standing]:
    """Every service and each of its containers; each that runs is asked once, side by side.

    ``stopped`` are the services that we stopped ourselves, as far as that is known.
    """
    verdicts = verdicts_now(spec, engine, observed, wall)
    found = []
    for service in spec.services:
        verdict = verdicts[service.name]
        for one in observed.of(service.name) or (None,):
            state = _with_activity(state_of(one, verdict, stopped), service, one, engine)
            found.append(Standing(service.name, one, state, health_of(state), verdict, drift(one, memory, images)))
    return found


def _with_activity(state: State, service: Gated, one: Container | None, engine: Engine) -> State:
    """``serving`` and ``idle`` are claimed only where a metric tells."""
    if state != "ready" or not (service.gauge and service.probe and one):
        return state
    works = busy(engine, service.gauge, service.probe, one)
    return state if works is None else "serving" if works else "idle"


def state_of(one: Container | None, verdict: Verdict, stopped: frozenset[str] | None = None) -> State:
    """The state of a container whose service was judged; what was stopped is no error.

    ``stopped`` are the services that we stopped, if that is known: another that was killed is an error.
    """
    if one is None:
        return "offline"
    state = observed_state(one, verdict.state == "ready")
    if state == "offline" and one.exit_code == KILLED and stopped is not None and one.service not in stopped:
        return "error"
    if state == "warming" and verdict.state == "failed":
        return "error"
    return state


def drift(one: Container | None, memory: Memory, images: Mapping[str, ImageInfo]) -> tuple[str, ...]:
    """The parts of a container that are not as they were meant, or as its image is now."""
    if one is None:
        return ()
    remembered = dict(memory.of(one.service).parts)
    now = dict(one.parts)
    found = [name for name, digest in remembered.items() if now.get(name, digest) != digest]
    image = images.get(one.image)
    if image and one.image_id and image.id != one.image_id and "image" not in found:
        found.insert(0, "image")
    return tuple(found)


def verdicts_now(spec: GateSpec, engine: Engine, observed: Observed, wall: float) -> dict[str, Verdict]:
    """The verdict on each service at this moment."""
    pairs = [(service, one) for service in spec.services for one in observed.of(service.name) if one.state == "running"]
    with ThreadPoolExecutor(max(1, min(len(pairs), MOST_AT_ONCE))) as pool:
        asked = list(zip(pairs, pool.map(lambda pair: _ask_once(engine, *pair), pairs), strict=True))
    answers = {one.id: answer for (service, one), answer in asked if answer and service.probe}
    checked = {one.id: Checked(answer) for (service, one), answer in asked if answer and not service.probe}
    return {
        service.name: judge(
            Observation(service, observed.of(service.name), answers, checked, now=wall, stability=spec.stability)
        )
        for service in spec.services
    }


def _ask_once(engine: Engine, service: Gated, one: Container) -> Answer | None:
    if service.probe:
        return ask(engine, service.probe, one, PATIENCE)
    check = None if service.unchecked else service.check
    if check and check.command and one.health not in ("healthy", "unhealthy"):
        return run_check(engine, replace(check, timeout=min(check.timeout, PATIENCE)), one)
    return None


def spec_of_containers(project: str, observed: Observed, memory: Memory, stability: float) -> GateSpec:
    """What is known of a project without any file: from memory, and from the containers themselves."""
    names = dict.fromkeys([*(one.service for one in observed.containers if not one.oneoff), *memory.services])
    services = tuple(_remembered(name, observed.of(name), memory) for name in names if name)
    return GateSpec(project, services, stability=stability)


def _remembered(name: str, containers: Sequence[Container], memory: Memory) -> Gated:
    known = memory.of(name).gated
    one = containers[0] if containers else None
    if known:
        return known
    if one is None:
        return Gated(name)
    return Gated(name, one.probe, one.check, restart=one.restart, image=one.image, role="server" if one.probe else "")
