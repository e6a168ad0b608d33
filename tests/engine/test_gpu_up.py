"""``up --profile gpu`` from its beginning to its end: the real Llama Stack before stand-ins for servers of models.

The stand-ins go by the names of the real programs, so what is rendered is started as it is; they listen where
these do, are not healthy before they are, and print what these print of the device that they work on.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import QUICKSTART, Lcompose, Ran, free_port, image_options
from tests.engine.test_main_job import left_behind, query

# With the model that each serves where nobody names one.
SERVERS = {"vllm": "Qwen/Qwen3-0.6B", "ollama": "qwen3:0.6b", "llamacpp": "Qwen/Qwen3-0.6B-GGUF:Q8_0"}
SERVICES = ["inference", "lightspeed-stack", "llama-stack"]


@dataclass(frozen=True)
class Stack:
    """A person's folder, and what is the same in every command on it."""

    engine: str
    project: str
    folder: Path
    images: tuple[str, ...]
    lcompose: Lcompose
    lcore: int
    server: int

    def up(self, *more: str) -> Ran:
        """``up --profile gpu`` as a person says it."""
        ports = (f"services.lightspeed-stack.ports={self.lcore}:8080", f"services.llama-stack.ports={self.server}:8321")
        sets = [part for one in ports for part in ("--set", one)]
        return self.run("up", "--profile", "gpu", *self.images, *sets, "--wait-timeout", "120", *more)

    def run(self, command: str, *more: str) -> Ran:
        """A command on the project."""
        return self.lcompose(command, "-p", self.project, "--engine", self.engine, *more, cwd=self.folder)

    def states(self) -> dict[str, str]:
        """The services and how they stand."""
        rows = json.loads(self.run("status", "--json").out)["services"]
        return {row["service"]: row["state"] for row in rows}

    def models(self) -> list[str]:
        """The models of Llama Stack."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server}/v1/models", timeout=10) as answer:
            return [one["id"] for one in json.load(answer)["data"]]


@pytest.fixture
def stack(engine: str, built: Callable[[str], dict[str, str]], lcompose: Lcompose, tmp_path: Path) -> Iterator[Stack]:
    """The quickstart, with stand-ins; it is taken down whatever happens."""
    images = built(engine)
    options = (*image_options(images), "--image", f"inference={images['inference']}")
    (tmp_path / "lightspeed-stack.yaml").write_text((QUICKSTART / "lightspeed-stack.yaml").read_text())
    port = free_port()
    made = Stack(engine, f"test-gpu-{os.getpid()}-{port}", tmp_path, options, lcompose, port, free_port())
    yield made
    made.run("down", "--volumes")


@pytest.mark.parametrize("server", SERVERS)
def test_each_server_starts_on_the_processor_and_answers(stack: Stack, server: str) -> None:
    up = stack.up("--gpu", "none", "--inference", server)
    assert up.code == 0, up.err
    assert stack.states() == dict.fromkeys(SERVICES, "ready")
    assert query(stack.lcore, "Who answers?")["response"] == "mock: Who answers?"
    assert stack.models() == [f"{server}/{SERVERS[server]}"]
    down = stack.run("down", "--volumes")
    assert down.code == 0, down.err
    assert left_behind(stack.engine, stack.project) == {"containers": [], "networks": [], "volumes": []}
