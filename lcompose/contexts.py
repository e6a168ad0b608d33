"""Whether containers will run on another machine, as the engines' own variables and files say it without an engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lcompose.spec.target import EngineName

ELSEWHERE = ("tcp:", "ssh:", "http:", "https:")
# The context that is this machine, unless DOCKER_HOST says otherwise.
USUAL = "default"
# Podman's settings; of two that say the same thing, the later counts.
SETTINGS = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")


def is_elsewhere(env: Mapping[str, str], engine: EngineName | None = None) -> bool:
    """Whether an engine is told to work on another machine; either of both, where none is named."""
    return any(is_far(address(one, env)) for one in ([engine] if engine else ENGINES))


def is_far(address: str) -> bool:
    """Whether an engine's address leads to another machine."""
    return address.startswith(ELSEWHERE)


def address(engine: EngineName, env: Mapping[str, str]) -> str:
    """Where an engine is told to be; empty for its usual place, and where its files cannot be read."""
    return ENGINES[engine](env) if engine in ENGINES else ""


def _docker(env: Mapping[str, str]) -> str:
    """Docker's own order: DOCKER_HOST, DOCKER_CONTEXT, the current context of its settings."""
    if env.get("DOCKER_HOST"):
        return env["DOCKER_HOST"]
    folder = Path(env.get("DOCKER_CONFIG") or f"{env.get('HOME', '/')}/.docker")
    name = env.get("DOCKER_CONTEXT") or _at(_json(folder / "config.json"), "currentContext") or USUAL
    if name == USUAL:
        return ""
    digest = hashlib.sha256(str(name).encode()).hexdigest()
    return _word(_json(folder / "contexts" / "meta" / digest / "meta.json"), "Endpoints", "docker", "Host")


def _podman(env: Mapping[str, str]) -> str:
    """Podman works here unless it is told so: its default connection is only for the one that is told "remote"."""
    if env.get("CONTAINER_HOST"):
        return env["CONTAINER_HOST"]
    home = Path(env.get("XDG_CONFIG_HOME") or f"{env.get('HOME', '/')}/.config") / "containers"
    settings = [_toml(path) for path in _settings(env, home)]
    name = env.get("CONTAINER_CONNECTION")
    if not name and not _last(settings, "engine", "remote"):
        return ""
    # Podman 5 keeps connections in a file of their own, and still reads those in its settings.
    kept = _at(_json(Path(env.get("PODMAN_CONNECTIONS_CONF") or home / "podman-connections.json")), "Connection")
    name = str(name or _at(kept, "Default") or _last(settings, "engine", "active_service"))
    found = _word(kept, "Connections", name, "URI")
    return found or str(_last(settings, "engine", "service_destinations", name, "uri") or "")


ENGINES: Mapping[EngineName, Callable[[Mapping[str, str]], str]] = {"docker": _docker, "podman": _podman}


def _settings(env: Mapping[str, str], home: Path) -> list[Path]:
    if env.get("CONTAINERS_CONF"):
        usual = [Path(env["CONTAINERS_CONF"])]
    else:
        files = [*map(Path, SETTINGS), home / "containers.conf"]
        usual = [one for file in files for one in (file, *sorted(Path(f"{file}.d").glob("*.conf")))]
    return [*usual, *([Path(env["CONTAINERS_CONF_OVERRIDE"])] if env.get("CONTAINERS_CONF_OVERRIDE") else [])]


def _last(trees: Iterable[Any], *keys: str) -> Any:
    found = [value for tree in trees if (value := _at(tree, *keys)) is not None]
    return found[-1] if found else None


def _word(tree: Any, *keys: str) -> str:
    return str(_at(tree, *keys) or "")


def _at(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _json(path: Path) -> Any:
    return _read(path, json.loads)


def _toml(path: Path) -> Any:
    import tomllib

    return _read(path, tomllib.loads)


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
