"""The nine states of a service, and which may follow which.

Commanded and observed state are separate. What lcompose itself is about to do is checked against
the table; what is observed is always accepted, and told.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from lcompose.spec.run import Container

State: TypeAlias = Literal[
    "offline", "pulling", "starting", "warming", "ready", "serving", "idle", "unloading", "error"
]
Health: TypeAlias = Literal["healthy", "unhealthy", "unknown"]

EDGES: dict[State, tuple[State, ...]] = {
    "offline": ("pulling", "starting"),
    "pulling": ("starting", "error", "offline"),
    "starting": ("warming", "error", "offline"),
    "warming": ("ready", "error", "offline", "idle"),
    "ready": ("serving", "idle", "unloading", "error"),
    "serving": ("ready", "idle", "error"),
    "idle": ("serving", "unloading", "ready"),
    "unloading": ("offline", "error"),
    "error": ("offline", "pulling", "starting"),
}
# A person may take down whatever there is: these are commanded from every state.
FORCED: tuple[State, ...] = ("unloading", "offline")

# 128 + SIGTERM and 128 + SIGKILL: what is left of a service that was told to end.
STOPPED_CODES = (0, 137, 143)

_HEALTH: dict[State, Health] = {
    "ready": "healthy",
    "serving": "healthy",
    "idle": "healthy",
    "error": "unhealthy",
}
_UP = ("running",)
_STARTING = ("restarting", "starting")
_UNLOADING = ("stopping", "removing")
_ENDED = ("exited", "stopped", "dead")


def may_follow(before: State, after: State) -> bool:
    """Whether a command may take a service from one state to the other."""
    return after in FORCED or after in EDGES[before]


def observed_state(container: Container, ready: bool | None = None) -> State:
    """One of the nine states, from what an engine says of a container.

    ``ready`` is the verdict of whoever asked the service, None when nobody did. An end that may have
    been asked for is ``offline``: whether it was is for the caller to know.
    """
    if container.state in _UP:
        return "ready" if ready else "warming"
    if container.state in _STARTING:
        return "starting"
    if container.state in _UNLOADING:
        return "unloading"
    if container.error or (container.state in _ENDED and not _ended_cleanly(container)):
        return "error"
    return "offline"


def _ended_cleanly(container: Container) -> bool:
    return container.exit_code in STOPPED_CODES and not container.oom_killed and container.state != "dead"


def health_of(state: State) -> Health:
    """What a state says of a service's health; what is not known is ``unknown``."""
    return _HEALTH.get(state, "unknown")
