"""What a generated document is for: facts of a target, described or probed on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lcompose.spec.machine import Machine

EngineName = Literal["docker", "podman", "local"]
Form = Literal["inline", "folder", "run"]
Reader = Literal["docker-compose", "podman-compose"]


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What the renderer may rely on where the document will be read.

    ``target`` names what is generated for. ``form`` says how documents travel: inside the one file,
    as files beside it, or as files that only lcompose itself runs. ``reader`` is the program that reads
    them, and ``compose_version`` its version. ``machine`` is where it will run, if that is known.
    """

    target: str = "docker"
    form: Form = "inline"
    engine_version: tuple[int, ...] = (26, 1)
    compose_version: tuple[int, ...] = (2, 26)
    reader: Reader = "docker-compose"
    rootless: bool = False
    oci_runtime: str = ""
    machine: Machine | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What a probe found of one engine; empty versions mean that it does not answer.

    ``reader`` is the program that reads compose files for it.
    """

    name: EngineName
    version: tuple[int, ...] = ()
    compose_version: tuple[int, ...] = ()
    problem: str = ""
    fix: str = ""
    reader: Reader = "docker-compose"

    @property
    def usable(self) -> bool:
        """Whether commands may be given to it."""
        return not self.problem


def version_of(text: str) -> tuple[int, ...]:
    """The first three numbers of a text that tells a version: ``v1.2.3-rc1`` is (1, 2, 3)."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
