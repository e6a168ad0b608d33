"""Checks of the container engines."""

from __future__ import annotations

from collections.abc import Iterator

from lcompose.doctor.capabilities import shown
from lcompose.doctor.facts import Diagnosis, EngineSeen, Facts, State

TITLES = {"docker": "Docker", "podman": "Podman"}
READERS = {"docker": "Docker Compose", "podman-compose": "podman-compose", "podman-socket": "Docker Compose"}
NEARER = {
    "docker": "unset DOCKER_HOST DOCKER_CONTEXT; docker context use default",
    "podman": "unset CONTAINER_HOST CONTAINER_CONNECTION",
}
RESTARTS = {"docker": "sudo systemctl restart docker", "podman": "podman --log-level=debug info"}
# Seconds by which two clocks may differ.
SKEW = 60


def some_engine(facts: Facts) -> Iterator[Diagnosis]:
    """Which engine commands use, or that there is none."""
    if not facts.needs_engine:
        yield _needed_by_nobody(facts)
    elif facts.engine:
        what = f"lcompose uses {TITLES[facts.engine.name]}"
        yield Diagnosis("engine.used", "ok", facts.engine.name, what)
    elif any(one.installed for one in facts.engines):
        # What is wrong with it stands beside this.
        return
    else:
        what = "there is no container engine on this machine"
        yield Diagnosis("engine.used", "error", facts.wanted or "engine", what, "Install Docker Engine, or Podman.")


def _needed_by_nobody(facts: Facts) -> Diagnosis:
    if facts.stack and facts.stack.is_left:
        what = "no container engine can be used here, so 'up' runs all services as processes"
        fix = "Ask for it, and this is no warning: --runtime local. Or install Docker Engine, or Podman."
        return Diagnosis("engine.used", "warning", "processes", what, fix)
    what = "no container engine is needed: all services are processes of this machine"
    return Diagnosis("engine.used", "ok", "processes", what)


def answers(facts: Facts) -> Iterator[Diagnosis]:
    """Whether each engine is installed, and answers."""
    for one in facts.engines:
        yield _answer(one, facts)


def _answer(one: EngineSeen, facts: Facts) -> Diagnosis:
    title = TITLES[one.name]
    if not one.installed:
        state: State = "error" if facts.needs_engine and facts.wanted == one.name else "ok"
        needless = facts.engine or not facts.needs_engine
        what = f"{title} is not installed" + (", and not needed" if needless else "")
        return Diagnosis("engine.answers", state, one.name, what, f"Install {title}." if state == "error" else "")
    if one.silent:
        what = f"{title} hangs: it does not answer in time"
        return Diagnosis("engine.answers", _weight(one, facts), one.name, what, RESTARTS[one.name])
    if one.problem:
        return Diagnosis("engine.answers", _weight(one, facts), one.name, one.problem, one.fix)
    what = f"{title} {shown(one.version)} answers, with {READERS[one.way]} {shown(one.compose_version)}"
    return Diagnosis("engine.answers", "ok", one.name, what)


def _weight(one: EngineSeen, facts: Facts) -> State:
    """What is wrong with an engine is an error only where it is needed, and no other one is there to be used."""
    needed = facts.needs_engine and (not facts.engine or facts.wanted == one.name)
    return "error" if needed else "warning"


def properties(facts: Facts) -> Iterator[Diagnosis]:
    """How an engine is set up: who it runs as, where it keeps what, and how it limits containers."""
    for one in facts.engines:
        if one.usable and one.info:
            info = one.info
            who = {True: "rootless", False: "as root", None: "as nobody says whom"}[info.rootless]
            limits = f"cgroup {info.cgroup or '?'} by {info.cgroup_driver or '?'}"
            parts = [who, f"storage {info.storage or '?'}", limits, info.oci_runtime, info.system]
            yield Diagnosis("engine.properties", "ok", one.name, ", ".join(part for part in parts if part))
        elif one.usable:
            what = "it does not tell how it is set up"
            yield Diagnosis("engine.properties", "unknown", one.name, what, f"{one.name} info")


def elsewhere(facts: Facts) -> Iterator[Diagnosis]:
    """Whether what is found on this machine says anything of an engine's containers."""
    for one in facts.engines:
        if one.installed and one.remote:
            what = f"it is on another machine ({one.endpoint}): this machine's ports, files and GPUs say nothing of it"
            yield Diagnosis("engine.remote", "warning", one.name, what, NEARER[one.name])
        elif one.usable and not one.here:
            what = "it runs in a virtual machine of its own: this machine's GPUs and disks say nothing of it"
            yield Diagnosis("engine.remote", "warning", one.name, what, "docker context use default")


def limits(facts: Facts) -> Iterator[Diagnosis]:
    """Whether the engine keeps to the memory that services are limited to."""
    one = facts.engine
    if one and one.info and facts.stack and facts.stack.limits and not one.info.limits_memory:
        what = "it cannot limit memory here, so the limits of the services do nothing"
        yield Diagnosis("engine.limits", "warning", one.name, what, "Boot with cgroup v2 and its memory controller.")


def health(facts: Facts) -> Iterator[Diagnosis]:
    """Who runs health checks."""
    one = facts.engine
    if one and one.name == "podman" and not facts.systemd:
        what = "without systemd Podman runs no health checks; lcompose up runs them by itself"
        yield Diagnosis("engine.health", "ok", one.name, what)


def clocks(facts: Facts) -> Iterator[Diagnosis]:
    """Whether the clocks go right: certificates and logs depend on them."""
    for one in facts.engines:
        said = one.info.clock if one.info else None
        if one.usable and said is not None and facts.clock and abs(said - facts.clock) > SKEW:
            what = f"its clock differs from this machine's by {abs(said - facts.clock):.0f} s; times in logs are wrong"
            yield Diagnosis("engine.clock", "warning", one.name, what, "sudo chronyc makestep")
