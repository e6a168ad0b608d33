"""What a Project becomes: one module a target, found by listing this folder.

A target is a pure function from a Project to a Bundle of documents, and a report of what it
cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from lcompose.spec.bundle import Bundle
from lcompose.spec.project import Project
from lcompose.spec.target import TargetFacts


@dataclass(frozen=True, slots=True)
class Place:
    """Where the documents will lie: paths of the host are written relative to ``directory``.

    ``digests`` has the digest of each file of the host that is mounted. ``home`` is the person's folder,
    which the paths in their own words of Compose start from; without one it is ``directory``.
    ``processes`` is where the documents of processes lie, if elsewhere, and ``volumes`` where their volumes do.
    """

    directory: str
    digests: Mapping[str, str]
    home: str = ""
    processes: str = ""
    volumes: str = ""


# The target that has no containers.
LOCAL = "local"
# Modules that targets share, and that are none.
SHARED = {"words", "devices", "mixed", "sockets", "unsaid"}

Translate: TypeAlias = Callable[[Project, TargetFacts, Place], Bundle]


def names() -> tuple[str, ...]:
    """Every target."""
    found = {path.stem for path in Path(__file__).parent.glob("[a-z]*.py")}
    return tuple(sorted(found - SHARED))


def translate(project: Project, facts: TargetFacts, place: Place) -> Bundle:
    """The documents of a project for a target.

    Raises: UsageError for what the target would drop in silence.
    """
    both = facts.natively is not None and facts.target != LOCAL
    module = import_module(f"{__name__}.{'mixed' if both else facts.target}")
    bundle: Bundle = module.translate(project, facts, place)
    return bundle
