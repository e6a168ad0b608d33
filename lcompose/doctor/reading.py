"""What engines and their files say, read into facts; whatever is not as expected is not known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from lcompose.doctor.facts import EngineInfo, Holder, Logins
from lcompose.spec.target import EngineName

# Docker's own name of its registry, in files with logins.
HUB = ("index.docker.io", "docker.io", "registry-1.docker.io")
PUBLISHED = re.compile(r"(?P<bind>\S*):(?P<first>\d+)(?:-(?P<last>\d+))?->\S+/tcp")


def engine_info(name: EngineName, printed: str) -> EngineInfo | None:
    """What ``info`` printed as JSON; None where it is none."""
    tree = _tree(printed)
    return _READERS[name](tree) if tree else None


def _docker(tree: Mapping[str, Any]) -> EngineInfo | None:
    if not tree.get("ServerVersion"):
        return None
    security = _texts(tree.get("SecurityOptions"))
    devices = tree.get("DiscoveredDevices")
    folders = tree.get("CDISpecDirs")
    return EngineInfo(
        version=str(tree["ServerVersion"]),
        rootless=any("rootless" in one for one in security),
        storage=str(tree.get("Driver") or ""),
        root=str(tree.get("DockerRootDir") or ""),
        cgroup=str(tree.get("CgroupVersion") or ""),
        cgroup_driver=str(tree.get("CgroupDriver") or ""),
        oci_runtime=str(tree.get("DefaultRuntime") or ""),
        runtimes=tuple(sorted(_map(tree.get("Runtimes")))),
        cdi_folders=None if folders is None else _texts(folders),
        devices=None if devices is None else tuple(str(_map(one).get("ID", "")) for one in devices),
        security=security,
        system=str(tree.get("OperatingSystem") or ""),
        memory=_whole(tree.get("MemTotal")),
        limits_memory=bool(tree.get("MemoryLimit", True)),
        clock=_seconds(tree.get("SystemTime")),
    )


def _podman(tree: Mapping[str, Any]) -> EngineInfo | None:
    host, store, version = (_map(tree.get(key)) for key in ("host", "store", "version"))
    if not host:
        return None
    security = _map(host.get("security"))
    controllers = host.get("cgroupControllers")
    distribution = _map(host.get("distribution"))
    return EngineInfo(
        version=str(version.get("Version") or ""),
        rootless=bool(security["rootless"]) if "rootless" in security else None,
        storage=str(store.get("graphDriverName") or ""),
        root=str(store.get("graphRoot") or ""),
        cgroup=str(host.get("cgroupVersion") or "").removeprefix("v"),
        cgroup_driver=str(host.get("cgroupManager") or ""),
        oci_runtime=str(_map(host.get("ociRuntime")).get("name") or ""),
        security=("selinux",) if security.get("selinuxEnabled") else (),
        system=" ".join(str(distribution.get(key) or "") for key in ("distribution", "version")).strip(),
        memory=_whole(host.get("memTotal")),
        limits_memory=controllers is None or "memory" in _texts(controllers),
    )


_READERS: Mapping[EngineName, Callable[[Mapping[str, Any]], EngineInfo | None]] = {"docker": _docker, "podman": _podman}

# How ``ps`` is to print its containers: Docker has a form of its own, Podman's templates differ by version.
PS_FORMS: Mapping[EngineName, str] = {
    "docker": '{{.Names}}\t{{.Label "com.docker.compose.project"}}\t{{.Ports}}',
    "podman": "json",
}


def published(engine: EngineName, printed: str) -> dict[int, Holder]:
    """The containers that publish ports, by port, as ``ps`` printed them."""
    return {port: holder for holder, ports in _PUBLISHED[engine](printed) for port in ports}


def _docker_ports(printed: str) -> Iterator[tuple[Holder, Iterable[int]]]:
    for line in printed.splitlines():
        name, project, ports, *_ = [*line.split("\t"), "", ""]
        for match in PUBLISHED.finditer(ports):
            yield Holder(name, project, "docker"), range(int(match["first"]), int(match["last"] or match["first"]) + 1)


def _podman_ports(printed: str) -> Iterator[tuple[Holder, Iterable[int]]]:
    for one in map(_map, _list(printed)):
        name = next(iter(_texts(one.get("Names"))), "")
        project = str(_map(one.get("Labels")).get("com.docker.compose.project", ""))
        for port in map(_map, one.get("Ports") or ()):
            first = _whole(port.get("host_port"))
            if first and "tcp" in str(port.get("protocol") or "tcp"):
                yield Holder(name, project, "podman"), range(first, first + max(1, _whole(port.get("range"))))


_PUBLISHED: Mapping[EngineName, Callable[[str], Iterator[tuple[Holder, Iterable[int]]]]] = {
    "docker": _docker_ports,
    "podman": _podman_ports,
}


def logins(texts: Iterable[str | None], installed: Callable[[str], bool]) -> Logins:
    """The registries of files with logins, the ones that come first above the others. No value is kept."""
    registries: set[str] = set()
    helpers: dict[str, str] = {}
    for tree in map(_tree, texts):
        registries |= {_registry(name) for name in _map(tree.get("auths"))}
        named = {_registry(name): str(helper) for name, helper in _map(tree.get("credHelpers")).items()}
        if tree.get("credsStore"):
            named["*"] = str(tree["credsStore"])
        helpers = {**{name: f"docker-credential-{helper}" for name, helper in named.items()}, **helpers}
    missing = frozenset(helper for helper in helpers.values() if not installed(helper))
    return Logins(frozenset(registries), helpers, missing)


def _registry(name: str) -> str:
    """The registry that a login is for: files write it as a URL, or with a repository behind it."""
    host = name.removeprefix("https://").removeprefix("http://").split("/")[0]
    return "docker.io" if host in HUB else host


def groups(text: str) -> dict[int, str]:
    """The names of groups by their number, from /etc/group."""
    fields = [line.split(":") for line in text.splitlines()]
    return {int(one[2]): one[0] for one in fields if len(one) > 2 and one[2].isdecimal()}


def _tree(text: str | None) -> Mapping[str, Any]:
    return _map(_json(text))


def _list(text: str) -> list[Any]:
    found = _json(text)
    return found if isinstance(found, list) else []


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _seconds(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except ValueError:
        return None
