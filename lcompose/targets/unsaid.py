"""What a process cannot have, though its service asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from lcompose.spec.project import FileMount, Project, Service

Unsaid = tuple[Callable[[Service], Any], str]
UNSAID: tuple[Unsaid, ...] = (
    (lambda one: one.hardening.read_only, "it may write wherever you may: read_only is for containers"),
    (lambda one: one.hardening.drop_capabilities, "it has what you may do: drop_capabilities is for containers"),
    (lambda one: one.hardening.no_new_privileges, "no_new_privileges is for containers"),
    (lambda one: one.hardening.tmpfs, "tmpfs is for containers: it writes to this machine's folders"),
    (lambda one: one.shm_size, "it has this machine's shared memory: shm_size is for containers"),
    (lambda one: one.accelerator, "it sees the GPUs of this machine: nothing is reserved"),
    (lambda one: one.pull_policy != "missing", "there is no image: imagePullPolicy is for containers"),
    (lambda one: len(one.ports) > 1, "it listens once: of several ports the first counts"),
    (lambda one: not one.ports and one.probe, "it can be reached on 127.0.0.1 though it is not published"),
)


def unsaid(project: Project) -> tuple[str, ...]:
    """A line for each thing that processes cannot have."""
    return tuple(line for one in project.services for line in _unsaid(one, project))


def _unsaid(service: Service, project: Project) -> Iterator[str]:
    for holds, line in UNSAID:
        if holds(service):
            yield f"{service.name}: {line}"
    known = json.dumps([service.environment, service.command, [one.tree for one in project.documents]], default=str)
    for mount in service.mounts:
        if isinstance(mount, FileMount) and mount.target not in known and mount.source != mount.target:
            yield f"{service.name}: what a container has at {mount.target} is at {mount.source} only"
