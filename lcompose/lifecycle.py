"""The states that lcompose takes a service through, and which may follow which.

Commanded and observed state are separate: what is observed is always accepted; only what lcompose
itself is about to do is checked against this table.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

State: TypeAlias = Literal["absent", "created", "starting", "ready", "failed", "stopping", "stopped"]

EDGES: dict[State, tuple[State, ...]] = {
    "absent": ("created",),
    "created": ("starting", "absent"),
    "starting": ("ready", "failed", "stopping"),
    "ready": ("failed", "stopping"),
    "failed": ("starting", "stopping", "stopped", "absent"),
    "stopping": ("stopped", "failed"),
    "stopped": ("starting", "absent"),
}


def may_follow(before: State, after: State) -> bool:
    """Whether a command may take a service from one state to the other."""
    return after in EDGES[before]


def observed_state(engine_state: str, *, ready: bool) -> State:
    """An engine's word for a container's state, in ours."""
    if engine_state == "running":
        return "ready" if ready else "starting"
    return _OBSERVED.get(engine_state, "failed")


_OBSERVED: dict[str, State] = {
    "created": "created",
    "configured": "created",
    "initialized": "created",
    "restarting": "starting",
    "paused": "stopped",
    "exited": "stopped",
    "stopped": "stopped",
    "stopping": "stopping",
    "removing": "stopping",
    "dead": "failed",
}
