"""Whether containers will run on another machine, as the engines' own variables and files say it without an engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ELSEWHERE = ("tcp:", "ssh:", "http:", "https:")
# The context that is this machine, unless DOCKER_HOST says otherwise.
USUAL = "default"


def is_elsewhere(env: Mapping[str, str]) -> bool:
    """Whether Docker or Podman is told to work on another machine.

    Docker's own order: DOCKER_HOST, DOCKER_CONTEXT, the current context of its settings. Podman's connections
    are all to other machines.
    """
    if env.get("CONTAINER_CONNECTION") or env.get("CONTAINER_HOST", "").startswith(ELSEWHERE):
        return True
    return (env.get("DOCKER_HOST") or _of_context(env)).startswith(ELSEWHERE)


def _of_context(env: Mapping[str, str]) -> str:
    """The address of Docker's context; empty where it is this machine, or where it cannot be read."""
    folder = Path(env.get("DOCKER_CONFIG") or f"{env.get('HOME', '/')}/.docker")
    name = env.get("DOCKER_CONTEXT") or _read(folder / "config.json", "currentContext") or USUAL
    if name == USUAL:
        return ""
    digest = hashlib.sha256(str(name).encode()).hexdigest()
    return str(_read(folder / "contexts" / "meta" / digest / "meta.json", "Endpoints", "docker", "Host") or "")


def _read(path: Path, *keys: str) -> Any:
    try:
        found: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found
