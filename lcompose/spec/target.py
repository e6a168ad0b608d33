"""What a generated document is for: facts of a target, described or probed on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from lcompose.spec.machine import Machine
from lcompose.spec.program import Natively

EngineName = Literal["docker", "podman", "local"]
Form = Literal["inline", "folder", "run"]
Reader = Literal["docker-compose", "podman-compose"]


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What the renderer may rely on where the document will be read.

    ``target`` names what is generated for. ``form`` says how documents travel: inside the one file,
    as files beside it, or as files that only lcompose itself runs. ``reader`` is the program that reads
    them, and ``compose_version`` its version. ``machine`` is where it will run, if that is known. ``natively``
    has the programs of the services that are no containers; for a container engine, of some of them.
    """

    target: str = "docker"
    form: Form = "inline"
    engine_version: tuple[int, ...] = (26, 1)
    compose_version: tuple[int, ...] = (2, 26)
    reader: Reader = "docker-compose"
    rootless: bool = False
    oci_runtime: str = ""
    machine: Machine | None = None
    natively: Natively | None = None


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


# What is described by a name that is not, or not only, a target's.
USUAL = {
    "podman": TargetFacts("podman", engine_version=(4, 3), compose_version=(1, 4), reader="podman-compose"),
    # docker-compose over Podman's socket, which takes a wish for GPUs since 5.4.
    "podman-socket": TargetFacts("podman", engine_version=(5, 4), compose_version=(2, 30)),
}


def described(name: str, form: Form, engine: tuple[int, ...] = (), compose: tuple[int, ...] = ()) -> TargetFacts:
    """A usual machine with that target, or one with these versions of the engine and of what reads files for it.

    What is rendered for it must not depend on who renders.
    """
    usual = replace(USUAL.get(name) or TargetFacts(name), form=form)
    return replace(
        usual,
        engine_version=engine or usual.engine_version,
        compose_version=compose or usual.compose_version,
    )


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
