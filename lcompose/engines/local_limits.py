"""Who holds a native process to its limits here: groups of the kernel, systemd, or nobody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lcompose import host
from lcompose.engines.local_store import size
from lcompose.spec.project import Limits

PERIOD = 100_000  # microseconds, as engines have it
NAMES = ("memory", "cpus", "pids")
CONTROLLERS = {"memory": "memory", "cpus": "cpu", "pids": "pids"}
SUBTREE, OURS = "cgroup.subtree_control", "lcompose"
NOBODY = "nothing on this machine enforces it for this user"
FIX = "Run this below systemd (systemctl --user), or as root, or leave the limit out."


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How limits are kept: what stands before the command, and groups with what is written into each.

    ``missing`` are the limits that nobody enforces.
    """

    before: tuple[str, ...] = ()
    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is on a machine to enforce limits with; ``root`` stands before every path."""

    env: Mapping[str, str]
    uid: int
    root: Path = Path("/")

    def at(self, path: str) -> Path:
        """A path on that machine."""
        return self.root / path.lstrip("/")


def here(env: Mapping[str, str]) -> Surroundings:
    """This machine, for this user."""
    return Surroundings(env, os.geteuid())


def wanted(limits: Limits) -> dict[str, str]:
    """The limits that are set, by name."""
    found = {"memory": limits.memory, "cpus": limits.cpus, "pids": str(limits.pids or "")}
    return {name: value for name, value in found.items() if value}


def enforcement(limits: Limits, name: str, machine: Surroundings) -> Enforcement:
    """Who enforces each limit of a process of that name; the first way that knows any is taken."""
    asked = wanted(limits)
    if not asked:
        return Enforcement()
    for way in (_systemd, _unified, _separate):
        if found := way(asked, name, machine):
            return replace(found, missing=tuple(one for one in asked if one in found.missing))
    return Enforcement(missing=tuple(asked))


def unenforced(limits: Limits, machine: Surroundings) -> tuple[str, ...]:
    """A sentence for each limit that nobody keeps."""
    asked = wanted(limits)
    return tuple(f"{one} {asked[one]}: {NOBODY}" for one in enforcement(limits, "any", machine).missing)


# ---------------------------------------------------------------- systemd


def _systemd(asked: Mapping[str, str], name: str, machine: Surroundings) -> Enforcement | None:
    if not machine.at("/run/systemd/system").is_dir() or not host.find_program("systemd-run", machine.env.get("PATH")):
        return None
    given = _controllers_of_manager(machine)
    kept = [one for one in asked if CONTROLLERS[one] in given]
    if not kept:
        return None
    whose = () if machine.uid == 0 else ("--user",)
    properties = [part for one in kept for part in ("-p", _property(one, asked[one]))]
    before = ("systemd-run", *whose, "--scope", "--quiet", "--collect", *properties, "--")
    return Enforcement(before, missing=tuple(one for one in asked if one not in kept))


def _controllers_of_manager(machine: Surroundings) -> list[str]:
    """What the systemd that we can reach may hand on."""
    if machine.uid == 0:
        return list(CONTROLLERS.values())
    runtime = machine.env.get("XDG_RUNTIME_DIR") or f"/run/user/{machine.uid}"
    if not host.exists(machine.at(f"{runtime}/systemd/private")):
        return []
    user = f"/sys/fs/cgroup/user.slice/user-{machine.uid}.slice/user@{machine.uid}.service"
    return _words(machine.at(user) / "cgroup.controllers")


def _property(limit: str, value: str) -> str:
    if limit == "cpus":
        return f"CPUQuota={float(value) * 100:g}%"
    return f"MemoryMax={int(size(value))}" if limit == "memory" else f"TasksMax={value}"


# ---------------------------------------------------------------- groups of the kernel


def _unified(asked: Mapping[str, str], name: str, machine: Surroundings) -> Enforcement | None:
    """Version 2: a group that hands its controllers on to a child, and that we may write to."""
    top = machine.at("/sys/fs/cgroup")
    own = next((line[3:] for line in _lines(machine.at("/proc/self/cgroup")) if line.startswith("0::")), "/")
    for group in (top / own.lstrip("/"), *(top / own.lstrip("/")).parents):
        if not group.is_relative_to(top):
            return None
        given = _words(group / SUBTREE)
        kept = [one for one in asked if CONTROLLERS[one] in given]
        if kept and _writable(group):
            files = tuple(pair for one in kept for pair in _second(one, asked[one]))
            missing = tuple(one for one in asked if one not in kept)
            return Enforcement(groups=((str(group / f"{OURS}-{name}"), files),), missing=missing)
    return None


def _separate(asked: Mapping[str, str], name: str, machine: Surroundings) -> Enforcement | None:
    """Version 1: a tree for each controller, which only root may write to; below the group that we are in."""
    parents = {one: _own_group(CONTROLLERS[one], machine) for one in asked}
    kept = [one for one in asked if _writable(parents[one])]
    if not kept:
        return None
    groups = tuple((str(parents[one] / f"{OURS}-{name}"), _first(one, asked[one])) for one in kept)
    return Enforcement(groups=groups, missing=tuple(one for one in asked if one not in kept))


def _own_group(controller: str, machine: Surroundings) -> Path:
    top = machine.at("/sys/fs/cgroup") / controller
    for line in _lines(machine.at("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            # In a container, what is mounted begins at its own group already.
            return top / path.lstrip("/") if host.exists(top / path.lstrip("/")) else top
    return top


def _writable(group: Path) -> bool:
    return os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK)


def _second(limit: str, value: str) -> tuple[tuple[str, str], ...]:
    if limit == "cpus":
        return (("cpu.max", f"{_quota(value)} {PERIOD}"),)
    return (("memory.max", str(int(size(value)))),) if limit == "memory" else (("pids.max", value),)


def _first(limit: str, value: str) -> tuple[tuple[str, str], ...]:
    if limit == "cpus":
        return (("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", str(_quota(value))))
    return (("memory.limit_in_bytes", str(int(size(value)))),) if limit == "memory" else (("pids.max", value),)


def _quota(cpus: str) -> int:
    return max(1000, int(float(cpus) * PERIOD))


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
