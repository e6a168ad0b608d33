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

    ``reader`` is the program that reads compose files for it; ``rootless`` and ``oci_runtime`` are told
    where it says so by itself.
    """

    name: EngineName
    version: tuple[int, ...] = ()
    compose_version: tuple[int, ...] = ()
    problem: str = ""
    fix: str = ""
    reader: Reader = "docker-compose"
    rootless: bool = False
    oci_runtime: str = ""

    @property
    def usable(self) -> bool:
        """Whether commands may be given to it."""
        return not self.problem


def described(target: str, form: Form) -> TargetFacts:
    """A usual machine with that target: what is rendered for it must not depend on who renders."""
    if target == "podman":
        return TargetFacts(target, form, (4, 3), (1, 4), "podman-compose")
    return TargetFacts(target, form)


def found_here(facts: EngineFacts, form: Form, machine: Machine | None) -> TargetFacts:
    """This machine's engine; None where the engine is on another machine."""
    return TargetFacts(
        target=facts.name,
        form=form,
        engine_version=facts.version,
        compose_version=facts.compose_version,
        reader=facts.reader,
        rootless=facts.rootless,
        oci_runtime=facts.oci_runtime,
        machine=machine,
    )


def version_of(text: str) -> tuple[int, ...]:
    """The first three numbers of a text that tells a version: ``v1.2.3-rc1`` is (1, 2, 3)."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
