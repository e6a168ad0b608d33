"""What podman-compose gets wrong in a compose file, said so that it gets it right; or refused.

Pure: from podman-compose's own reading of the file to what must be read after it. Each trap is one
function from a service to an edit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcompose.engines.podman_edits import Edit, joined, replace_in, set_in
from lcompose.engines.podman_files import files_of
from lcompose.engines.podman_refused import OTHER_PROVIDER, refused_words
from lcompose.engines.podman_spelling import respelled
from lcompose.errors import ConfigError, Finding, Position, UsageError
from lcompose.gatespec import seconds
from lcompose.spec import labels

NOTHING = Edit()
# Without these, podman-compose leaves a pod behind, and lets a service that names no network join
# another one than Compose does, or none in which names are known.
PROJECT_SETTINGS = {"in_pod": False, "default_net_behavior_compat": True}
POD_ARGS = ("--infra=false", "--share=")
SHARED = ("network_mode", "ipc", "pid")
RESTARTS = {"none": "no", "on-failure": "on-failure", "any": "always"}
GPU_DRIVERS = (None, "", "nvidia")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file is read in: its project and name, the folder for files of ours, variables, words as spelled."""

    project: str
    file: str
    folder: Path
    env: Mapping[str, str]
    spelled: Mapping[tuple[str, ...], str]


def override(reading: Mapping[str, Any], around: Surroundings) -> Edit:
    """All that must be read after a file, so that podman-compose does what it says.

    Raises: ConfigError with everything that podman-compose would leave out in silence.
    """
    refused = [finding for name, service in _services(reading) for finding in _refused(name, service, around.file)]
    if refused:
        raise ConfigError(refused)
    per_service = [trap(name, service) for name, service in _services(reading) for trap in TRAPS]
    beside = [files_of(name, service, reading, around.folder, around.env) for name, service in _services(reading)]
    spelled = [respelled(name, service, around.spelled) for name, service in _services(reading)]
    return joined([_project(reading, around.project), *per_service, *spelled, *beside])


def refuse_unread(reading: Mapping[str, Any], file: str) -> None:
    """Stops before a file is judged by a reading in which podman-compose left parts unresolved.

    Raises: UsageError.
    """
    for name, service in _services(reading):
        if "extends" in service:
            what = f"podman-compose does not say what {name} becomes with 'extends'"
            raise UsageError(what, f"{file}: services.{name}.extends", f"Write the service out, or {OTHER_PROVIDER}")


def _services(reading: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, service in (reading.get("services") or {}).items():
        yield name, service or {}


def _refused(name: str, service: Mapping[str, Any], file: str) -> Iterator[Finding]:
    for path, what in [*refused_words(service), *_refused_devices(service)]:
        yield Finding(Position(file), f"services.{name}.{path}", what, f"Take it out, or {OTHER_PROVIDER}")


def _project(reading: Mapping[str, Any], project: str) -> Edit:
    said = reading.get("x-podman") or {}
    # A pod that the person wants is labelled, so that it can be found and taken down.
    label = {"pod_args": [*POD_ARGS, f"--label={labels.PROJECT}={project}"]} if said.get("in_pod") else {}
    wanted = {name: value for name, value in {**PROJECT_SETTINGS, **label}.items() if name not in said}
    return Edit(adds={"x-podman": wanted} if wanted else {})


def _order(name: str, service: Mapping[str, Any]) -> Edit:
    """No depends_on: its --requires starts a finished one-shot again when its dependent starts.

    What our own stopping must know of it goes onto labels.
    """
    said = service.get("depends_on") or {}
    linked = [str(one).split(":")[0] for one in service.get("links") or ()]
    shared = [str(service.get(key) or "") for key in SHARED]
    sharing = [one.removeprefix("service:").strip() for one in shared if one.startswith("service:")]
    after = list(dict.fromkeys([*said, *linked, *sharing]))
    # Who shares a network is made after whose it is; "up --no-deps" keeps --requires away from it.
    first = {"depends_on": {one: {"condition": "service_started"} for one in sharing}} if sharing else {}
    label = {"labels": {labels.AFTER: ",".join(after)}} if after else {}
    resets = (("services", name, "depends_on"),) if "depends_on" in service else ()
    return Edit(resets, {"services": {name: {**first, **label}}}) if first or label or resets else NOTHING


def _grace(name: str, service: Mapping[str, Any]) -> Edit:
    """The time that it has to end: podman-compose does not tell Podman of it."""
    if "stop_grace_period" not in service:
        return NOTHING
    return set_in(name, "labels", {labels.GRACE: str(math.ceil(seconds(service["stop_grace_period"], 10)))})


def _scale(name: str, service: Mapping[str, Any]) -> Edit:
    """``deploy.replicas`` counts only in Swarm's words; a count may be text."""
    said = service.get("scale", (service.get("deploy") or {}).get("replicas"))
    if said is None or service.get("scale") == int(said):
        return NOTHING
    return replace_in(name, "scale", int(said)) if "scale" in service else set_in(name, "scale", int(said))


def _restart(name: str, service: Mapping[str, Any]) -> Edit:
    """``deploy.restart_policy``, which podman-compose leaves out."""
    policy = (service.get("deploy") or {}).get("restart_policy")
    if not policy or service.get("restart") is not None:
        return NOTHING
    condition = RESTARTS.get(policy.get("condition") or "none", "no")
    attempts = policy.get("max_attempts")
    return set_in(name, "restart", f"{condition}:{attempts}" if attempts and condition == "on-failure" else condition)


def _health(name: str, service: Mapping[str, Any]) -> Edit:
    """Podman 4 has no ``start_interval`` and refuses the container; lcompose keeps to it by itself."""
    if "start_interval" not in (service.get("healthcheck") or {}):
        return NOTHING
    return Edit((("services", name, "healthcheck", "start_interval"),))


def _hosts(name: str, service: Mapping[str, Any]) -> Edit:
    """Host names as a mapping, or with ``=``."""
    said = service.get("extra_hosts") or []
    pairs = said.items() if isinstance(said, Mapping) else [_pair(str(one)) for one in said]
    wanted = [f"{host}:{address.strip('[]')}" for host, address in pairs]
    return NOTHING if wanted == said else replace_in(name, "extra_hosts", wanted)


def _pair(text: str) -> tuple[str, str]:
    separator = "=" if "=" in text else ":"
    host, _, address = text.partition(separator)
    return host, address


def _devices(name: str, service: Mapping[str, Any]) -> Edit:
    """Device nodes as mappings."""
    said = service.get("devices") or []
    wanted = [_device(one) if isinstance(one, Mapping) else one for one in said]
    return NOTHING if wanted == said else replace_in(name, "devices", wanted)


def _device(one: Mapping[str, Any]) -> str:
    parts = [one.get("source"), one.get("target") or one.get("source"), one.get("permissions")]
    return ":".join(str(part) for part in parts if part)


def _logging(name: str, service: Mapping[str, Any]) -> Edit:
    """Docker's ``local`` is a file that is rotated, and so is Podman's own."""
    local = (service.get("logging") or {}).get("driver") == "local"
    return set_in(name, "logging", {"driver": "k8s-file"}) if local else NOTHING


def _pull(name: str, service: Mapping[str, Any]) -> Edit:
    """An older word that Podman does not know."""
    return set_in(name, "pull_policy", "missing") if service.get("pull_policy") == "if_not_present" else NOTHING


def _gpus(name: str, service: Mapping[str, Any]) -> Edit:
    """GPUs: a count in text stops podman-compose, and without a driver it leaves them out."""
    said = _requests(service)
    wanted = [_gpu(one) for one in said if one.get("driver") in GPU_DRIVERS]
    named = [str(device) for one in said if one.get("driver") == "cdi" for device in one.get("device_ids") or ()]
    edits = [set_in(name, "devices", named)] if named else []
    if wanted and wanted != said:
        path = ("deploy", "resources", "reservations", "devices")
        there = _at(service, path) is not None
        tree = {"deploy": {"resources": {"reservations": {"devices": wanted}}}}
        edits.append(Edit((("services", name, *path),) if there else (), {"services": {name: tree}}))
    return joined(edits)


def _requests(service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    asked = service.get("gpus") or []
    short = [{"count": -1}] if asked == "all" else asked
    return [
        *(_at(service, ("deploy", "resources", "reservations", "devices")) or ()),
        *({"capabilities": ["gpu"], **one} for one in short),
    ]


def _gpu(one: Mapping[str, Any]) -> dict[str, Any]:
    device_ids, count = one.get("device_ids"), one.get("count", "all")
    which = {"device_ids": device_ids} if device_ids else {"count": "all" if count in ("all", -1, "-1") else int(count)}
    return {"driver": "nvidia", **which, "capabilities": list(one.get("capabilities") or ["gpu"])}


def _refused_devices(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in _requests(service):
        driver, wanted = one.get("driver"), one.get("capabilities") or []
        if driver != "cdi" and (driver not in GPU_DRIVERS or "gpu" not in wanted):
            asked = f"a device of the driver {driver!r}" if driver else f"a device that can do {', '.join(wanted)}"
            yield "deploy.resources.reservations.devices", f"podman-compose leaves {asked} out"


def _at(tree: Any, path: Sequence[str]) -> Any:
    for step in path:
        tree = (tree or {}).get(step)
    return tree


TRAPS: tuple[Callable[[str, Mapping[str, Any]], Edit], ...] = (
    _order,
    _grace,
    _scale,
    _restart,
    _health,
    _hosts,
    _devices,
    _logging,
    _pull,
    _gpus,
)


def without_start_intervals(reading: Mapping[str, Any]) -> Edit:
    """All that docker-compose needs to speak to Podman, whose API has no ``start_interval``."""
    return joined(_health(name, service) for name, service in _services(reading))
