"""What each way of reading a compose file can do: data with the oldest versions, and one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lcompose.doctor.facts import EngineInfo, EngineSeen, Facts, Way

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a capability needs: the oldest engine and compose, and ``also`` what of CONDITIONS must be so."""

    engine: Version = ()
    compose: Version = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capability:
    """Something that a stack may use, and what it needs by each way; a way that is left out never has it."""

    title: str
    ways: Mapping[Way, Needs] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an engine can do something; None is not known. ``why`` is what it lacks."""

    can: bool | None
    why: str = ""


YES = Needs()

CAPABILITIES: Mapping[str, Capability] = {
    "inline_configs": Capability(
        "configs inside the file",
        {"docker": Needs(compose=(2, 23, 1)), "podman-socket": Needs(compose=(2, 23, 1))},
    ),
    "start_interval": Capability(
        "start_interval of health checks",
        # Podman takes the words and does nothing, or podman-compose makes an option of them that it refuses.
        {"docker": Needs((25,), (2, 20, 2))},
    ),
    "health_checks": Capability(
        "health checks by the engine",
        {
            "docker": YES,
            "podman-compose": Needs(also=("systemd",)),
            "podman-socket": Needs(also=("systemd",)),
        },
    ),
    "service_healthy": Capability(
        "waiting for service_healthy",
        {
            "docker": YES,
            "podman-compose": Needs((4, 6), also=("systemd",)),
            "podman-socket": Needs(also=("systemd",)),
        },
    ),
    "wait_timeout": Capability(
        "a deadline over all of up --wait",
        {"docker": Needs(compose=(2, 30)), "podman-socket": Needs(compose=(2, 30))},
    ),
    "reservation": Capability(
        "GPUs by driver in a reservation",
        # Over its socket, Podman leaves out every driver but CDI's.
        {"docker": YES, "podman-compose": Needs(compose=(1, 2))},
    ),
    "gpus_list": Capability("gpus: as a list", {"docker": Needs(compose=(2, 30))}),
    "gpus_all": Capability("gpus: all", {"docker": Needs(compose=(2, 33))}),
    "cdi": Capability(
        "CDI switched on",
        {"docker": Needs((25,), also=("cdi",)), "podman-compose": Needs((4, 1)), "podman-socket": Needs((4, 1))},
    ),
    "cdi_names": Capability(
        "CDI names in devices:",
        {
            "docker": Needs((25,), (2, 30), ("cdi",)),
            "podman-compose": Needs((4, 1)),
            "podman-socket": Needs((5, 4), (2, 30)),
        },
    ),
    "driver_cdi": Capability(
        "driver: cdi in a reservation",
        {"docker": Needs((25,), also=("cdi",)), "podman-socket": Needs((5, 4))},
    ),
    "device_nodes": Capability(
        "device nodes in devices:", {"docker": YES, "podman-compose": YES, "podman-socket": YES}
    ),
    "keep_groups": Capability(
        "group_add: keep-groups",
        {"podman-compose": Needs(also=("crun",)), "podman-socket": Needs(also=("crun",))},
    ),
    "ipc": Capability("ipc:", {"docker": YES, "podman-compose": Needs(compose=(1, 6, 1)), "podman-socket": YES}),
    "discovered_devices": Capability("telling which CDI devices it found", {"docker": Needs((28, 2))}),
}

# Whether something is so, None where nobody says; and what to say where it is not.
CONDITIONS: Mapping[str, tuple[Callable[[EngineInfo, Facts], bool | None], str]] = {
    "cdi": (lambda info, _: None if info.cdi_folders is None else bool(info.cdi_folders), "CDI is switched off"),
    "systemd": (lambda _, facts: facts.systemd, "no systemd runs here"),
    "crun": (lambda info, _: info.oci_runtime == "crun" if info.oci_runtime else None, "needs crun"),
}


def capabilities(engine: EngineSeen, facts: Facts) -> dict[str, Verdict]:
    """What an engine can do, by the names of CAPABILITIES."""
    return {name: _verdict(one.ways.get(engine.way), engine, facts) for name, one in CAPABILITIES.items()}


def _verdict(needs: Needs | None, engine: EngineSeen, facts: Facts) -> Verdict:
    if needs is None:
        return Verdict(can=False, why=NEVER[engine.way])
    program = {"docker": "Docker", "podman": "Podman"}[engine.name]
    reader = "podman-compose" if engine.way == "podman-compose" else "Compose"
    pairs = ((program, engine.version, needs.engine), (reader, engine.compose_version, needs.compose))
    for title, has, wanted in pairs:
        if wanted and not has:
            return Verdict(can=None, why=f"the version of {title} is not known")
        if has < wanted:
            return Verdict(can=False, why=f"needs {title} {shown(wanted)}")
    return _conditions(needs, engine, facts)


NEVER: Mapping[Way, str] = {
    "docker": "not with Docker",
    "podman-compose": "not with podman-compose",
    "podman-socket": "not over Podman's socket",
}


def _conditions(needs: Needs, engine: EngineSeen, facts: Facts) -> Verdict:
    for name in needs.also:
        holds, why = CONDITIONS[name]
        found = holds(engine.info or EngineInfo(), facts)
        if not found:
            return Verdict(found, why if found is False else "the engine does not say")
    return Verdict(can=True)


def shown(version: Version) -> str:
    """A version as people write it."""
    return ".".join(str(part) for part in version) or "?"
