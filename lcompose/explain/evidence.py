"""What explanations are made of, and what they are drawn from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.derive import LIGHTSPEED_FILE, RUN_FILE
from lcompose.lightspeed.draft import Step
from lcompose.load import Node, Path, locate, lookup
from lcompose.merge import Layer
from lcompose.resolve import Resolved
from lcompose.settings import Settings
from lcompose.spec.project import DocumentMount, Service

Steps: TypeAlias = tuple[str, ...]
Tree: TypeAlias = Mapping[str, Any]

OURS = "lcompose"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Cause:
    """Who set a value, where, and why; ``below`` is what lower layers say.

    ``layer`` is one of settings, a document, ``lcompose``, or ``default`` where nobody set it.
    """

    layer: str
    where: str
    reason: str
    below: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """One value of the stack, and its cause; ``word`` is what settings call the field, where they do.

    ``written`` is what stands in the compose file for it, None if nothing does. One that is not
    ``listed`` is another name for one that is.
    """

    service: str
    field: str
    word: str
    value: str
    cause: Cause
    written: Any = None
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """What explanations are drawn from.

    ``layers`` are the layers of settings, lowest first; ``documents`` what they were read from, by the
    layer's name; ``variables`` the names that the environment or .env has. ``file`` is the compose file
    that is rendered, ``ours`` the same without a person's own words of Compose, and ``processes`` what the
    process file has of each service that is run so. ``named_by`` is the layer that gave the project its name.
    """

    resolved: Resolved
    settings: Settings
    layers: Sequence[Layer] = ()
    documents: Mapping[str, Node] = field(default_factory=dict)
    variables: frozenset[str] = frozenset()
    file: Tree = field(default_factory=dict)
    ours: Tree = field(default_factory=dict)
    processes: Mapping[str, Tree] = field(default_factory=dict)
    named_by: Cause | None = None

    def is_set(self, name: str) -> str:
        """Whether a variable has a value, for people."""
        return "it is set" if name in self.variables else "it is not set"


def document(config: Configuration, name: str) -> Node:
    """One of the person's two documents."""
    return config.run if name == RUN_FILE else config.lightspeed


def documents_of(service: Service) -> tuple[str, ...]:
    """The two documents, those first that the service reads."""
    read = [mount.document for mount in service.mounts if isinstance(mount, DocumentMount)]
    names = (LIGHTSPEED_FILE, RUN_FILE)
    return tuple(sorted(names, key=lambda name: name not in read))


def is_made(resolved: Resolved) -> bool:
    """Whether run.yaml is made of lightspeed-stack.yaml, and nobody wrote it."""
    config = resolved.configuration
    return bool(resolved.run_steps) and config.run.where.file == config.lightspeed.where.file


def step_at(resolved: Resolved, path: Path) -> Step | None:
    """The step that put there what stands at a path of a run.yaml that is made."""
    if not is_made(resolved):
        return None
    fitting = [one for one in resolved.run_steps if path[: len(one.path)] == one.path]
    return max(fitting, key=lambda one: len(one.path), default=None)


def source_of(resolved: Resolved, name: str, path: Path) -> tuple[str, str]:
    """The layer and the place of what a document says at a path, or of the nearest thing above it."""
    config = resolved.configuration
    step = step_at(resolved, path) if name == RUN_FILE else None
    if step and not step.source:
        return OURS, step.reason
    if step:
        return config.lightspeed.where.file, str(locate(config.lightspeed, step.source))
    node = document(config, name)
    # It was renamed: the person's file has it under its older name.
    if path[:1] == ("ogx",) and not lookup(node, ("ogx",)):
        path = (config.section, *path[1:])
    return node.where.file, str(_place(node, path))


def _place(node: Node, path: Path) -> Any:
    gone = node.keys.get(str(path[0])) if path and not lookup(node, path[:1]) else None
    return gone or locate(node, path)


def steps_of(path: str) -> Path:
    """The steps of a path as ``dotted`` writes it."""
    return tuple(int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)(?!\])|\[(\d+)\]", path))
