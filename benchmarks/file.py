"""A compose file for a measurement, and the commands on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import Bench, Timed, quietly
from tests.images.build import base_for

# Services that know no signals would take their ten seconds to stop, whoever stops them.
QUICK = {"init": True, "stop_grace_period": "1s"}


@dataclass(frozen=True)
class File:
    """A compose file: every service runs Python's base image."""

    bench: Bench
    project: str
    engine: str = "docker"

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.bench.scratch / f"{self.project}.yaml"

    @property
    def compose(self) -> tuple[str, ...]:
        """The engine's own compose, told of the file."""
        program = ("docker", "compose") if self.engine == "docker" else (podman_compose(self.bench),)
        return (*program, "--file", str(self.path), "--project-name", self.project)

    @property
    def named(self) -> tuple[str, ...]:
        """How lcompose is told of it."""
        return ("-f", str(self.path), "-p", self.project, "--engine", self.engine)

    def write(self, services: dict[str, dict[str, Any]]) -> None:
        """Writes it. JSON is YAML."""
        image = base_for(self.engine)
        self.path.write_text(json.dumps({"services": {name: {"image": image, **s} for name, s in services.items()}}))

    def up(self, *options: str, codes: tuple[int, ...] = (0,)) -> Timed:
        """``lcompose up``, timed."""
        return self.bench.run(self.bench.lcompose, "up", *self.named, *options, codes=codes)

    def down(self) -> None:
        """Takes it down, whoever started it."""
        quietly(self.bench.lcompose, "down", *self.named, "--volumes", env=self.bench.environment())


def podman_compose(bench: Bench) -> str:
    """podman-compose, as it is installed with lcompose."""
    return str(Path(bench.lcompose).with_name("podman-compose"))


@contextmanager
def project(bench: Bench, name: str, services: dict[str, dict[str, Any]], engine: str = "docker") -> Iterator[File]:
    """A compose file whose project is taken down in the end."""
    file = File(bench, f"lcompose-bench-{name}", engine)
    file.write(services)
    file.down()
    try:
        yield file
    finally:
        file.down()
