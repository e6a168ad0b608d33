"""Real engines read the words that ask for a GPU, and where there is none they refuse: never a container without it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lcompose.emit import yaml_text
from lcompose.engines import ComposeFile, Creation
from lcompose.engines.select import connect
from lcompose.errors import EngineError
from lcompose.machine import ThisMachine
from lcompose.probe import probe
from lcompose.spec.machine import DeviceNode, Machine
from lcompose.spec.project import AcceleratorRequest, Project, Service
from lcompose.spec.run import Container
from lcompose.spec.target import EngineFacts, TargetFacts, found_here
from lcompose.targets import Place, devices, translate
from lcompose.vendors import Vendor
from tests.conftest import clean_environment, free_port
from tests.engine.images import variables

WAITS = ("sleep", "60")
# What an engine says when it is to give what is not there.
REFUSALS = {
    ("docker", "cuda"): 'could not select device driver "nvidia" with capabilities: [[gpu]]',
    ("docker", "rocm"): 'error gathering device information while adding custom device "/dev/kfd"',
    ("docker", "xpu"): "bind source path does not exist: /dev/dri/by-path",
    ("podman", "cuda"): "unresolvable CDI devices nvidia.com/gpu=",
    ("podman", "rocm"): "stat /dev/kfd: no such file or directory",
    ("podman", "xpu"): "bind source path does not exist: /dev/dri/by-path",
}


@dataclass(frozen=True)
class Stack:
    """A project of one service on an engine."""

    engine: str
    project: str
    folder: Path

    @property
    def facts(self) -> EngineFacts:
        """What the engine is."""
        return connect(self.engine, clean_environment()).facts()  # type: ignore[arg-type]

    def create(self, text: str) -> Sequence[Container]:
        """Creates it of a compose file."""
        (self.folder / "compose.yaml").write_text(text)
        compose = ComposeFile(self.project, (self.folder / "compose.yaml",), self.folder, clean_environment())
        client = connect(self.engine, compose.env)  # type: ignore[arg-type]
        client.read(compose)
        client.create(Creation(compose, ("web",), {}, 60, state=self.folder), lambda line: None)
        return client.containers(self.project)

    def start(self, containers: Sequence[Container]) -> None:
        """Starts its containers."""
        for one in containers:
            connect(self.engine, clean_environment()).start(one.id)  # type: ignore[arg-type]

    def said(self, *argv: str) -> str:
        """What the engine says."""
        done = subprocess.run([self.engine, *argv], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip()


@contextmanager
def project(engine: str, folder: Path) -> Iterator[Stack]:
    """A project that is taken away whatever happens."""
    made = Stack(engine, f"g2-{os.getpid()}-{free_port()}", folder)
    try:
        yield made
    finally:
        label = f"label=com.docker.compose.project={made.project}"
        for listed, removed in ((("ps", "--all"), ("rm", "--force")), (("network", "ls"), ("network", "rm"))):
            ids = made.said(*listed, "--quiet", "--filter", label).split()
            if ids:
                made.said(*removed, *ids)


@pytest.fixture
def stack(engine: str, tmp_path: Path) -> Iterator[Stack]:
    """A project on each engine in turn."""
    with project(engine, tmp_path) as made:
        yield made


def rendered(stack: Stack, wish: AcceleratorRequest) -> str:
    """A compose file as it is for the engine that is here, on a machine that is only described."""
    service = Service("web", variables(stack.engine)["IMAGE"], command=WAITS, accelerator=wish)
    facts = found_here(stack.facts, "folder", None)
    return translate(Project(stack.project, (service,)), facts, Place(str(stack.folder), {})).main.text


@pytest.mark.parametrize(
    "wish",
    [
        AcceleratorRequest("cuda"),
        AcceleratorRequest("cuda", 2),
        AcceleratorRequest("cuda", ids=("0", "MIG-c7384736-a75d-5afc-978f-d2f1294409fd")),
        AcceleratorRequest("rocm"),
        AcceleratorRequest("xpu"),
    ],
    ids=str,
)
def test_a_gpu_that_is_not_there_stops_the_container(stack: Stack, wish: AcceleratorRequest) -> None:
    if probe(ThisMachine()).of(wish.vendor):
        pytest.skip("this machine has one")
    with pytest.raises(EngineError) as caught:
        stack.start(stack.create(rendered(stack, wish)))
    assert REFUSALS[stack.engine, wish.vendor] in caught.value.what


@pytest.mark.docker
def test_docker_keeps_what_it_is_asked_for(docker: str, tmp_path: Path) -> None:
    with project(docker, tmp_path) as stack:
        [web] = stack.create(rendered(stack, AcceleratorRequest("cuda", ids=("0", "GPU-x"))))
        # What Compose prints of a file is no proof: it may print a GPU, and leave it out.
        form = "{{range .HostConfig.DeviceRequests}}{{.Driver}} {{.DeviceIDs}}{{end}}"
        assert stack.said("inspect", "--format", form, web.id) == "nvidia [0 GPU-x]"


def with_words(stack: Stack, words: dict[str, Any]) -> str:
    """A compose file of a service that says these."""
    service = {"image": variables(stack.engine)["IMAGE"], "command": list(WAITS), "stop_signal": "SIGKILL", **words}
    return yaml_text({"name": stack.project, "services": {"web": service}})


def test_device_nodes_come_with_the_group_that_may_open_them(stack: Stack) -> None:
    # A container has no such node of its own; no image has a group of this number, nor any name for it.
    node = DeviceNode("/dev/kmsg", 54321, 0o660)
    vendor = Vendor("other", "Other", nodes=(node.path,), groups_of=("/dev/km*",))
    facts = TargetFacts(stack.engine, machine=Machine(nodes=(node,)))
    words = devices.FORMS["nodes"](vendor, AcceleratorRequest("other"), facts)
    [web] = stack.create(with_words(stack, words))
    stack.start([web])
    assert "54321" in stack.said("exec", web.id, "id", "-G").split()
    assert stack.said("exec", web.id, "stat", "-c", "%F", node.path) == "character special file"
