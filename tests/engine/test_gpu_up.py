"""``up --profile gpu`` from its beginning to its end: the real Llama Stack before stand-ins for servers of models.

The stand-ins go by the names of the real programs, so what is rendered is started as it is; they listen where
these do, are not healthy before they are, and print what these print of the device that they work on.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lcompose.machine import ThisMachine
from lcompose.probe import probe
from tests.conftest import QUICKSTART, Lcompose, Ran, free_port, image_options
from tests.engine.test_main_job import left_behind, query

# With the model that each serves where nobody names one.
SERVERS = {"vllm": "Qwen/Qwen3-0.6B", "ollama": "qwen3:0.6b", "llamacpp": "Qwen/Qwen3-0.6B-GGUF:Q8_0"}
SERVICES = ["inference", "lightspeed-stack", "llama-stack"]
# The same place by two ways: a person asks for it, or takes it where there is no GPU.
PROCESSOR = ("--gpu", "none")
OPTIONAL = ("--set", "accelerator.optional=true")
WAYS = {"vllm": OPTIONAL, "ollama": PROCESSOR, "llamacpp": PROCESSOR}
MISSING = "there is no GPU of NVIDIA (CUDA) here that can be used"
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
REFUSED = {
    "no GPU": (4, ()),
    "no image": (2, ("--gpu", "none", "--inference", "rhaiis")),
}
REASONS = {
    "no GPU": (MISSING, "--gpu none"),
    "no image": ("rhaiis has no image for the processor", "--inference llamacpp or ollama or vllm"),
}


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

    def asked(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What Llama Stack answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.server}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def called(self, model: str) -> list[str]:
        """The tools that a model calls when it is offered one."""
        said = [{"role": "user", "content": "Look it up."}]
        answer = self.asked("/v1/chat/completions", {"model": model, "messages": said, "tools": [TOOL]})
        return [call["function"]["name"] for call in answer["choices"][0]["message"]["tool_calls"]]


@pytest.fixture
def new_stack(
    engine: str, built: Callable[[str], dict[str, str]], lcompose: Lcompose, tmp_path: Path
) -> Callable[[str], Stack]:
    """Makes the quickstart with stand-ins, in a folder and a project of its own."""
    images = built(engine)
    options = (*image_options(images), "--image", f"inference={images['inference']}")

    def make(name: str) -> Stack:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "lightspeed-stack.yaml").write_bytes((QUICKSTART / "lightspeed-stack.yaml").read_bytes())
        project = f"test-gpu-{name}-{os.getpid()}-{free_port()}"
        return Stack(engine, project, folder, options, lcompose, free_port(), free_port())

    return make


@pytest.fixture
def without_gpu() -> None:
    """Skips where there is a GPU: what these tests say of its absence is not so."""
    if any(gpu.usable for gpu in probe(ThisMachine()).gpus):
        pytest.skip("this machine has a GPU")


def _on_the_processor(stack: Stack, server: str) -> None:
    up = stack.up("--inference", server, *WAYS[server])
    assert up.code == 0, up.err
    assert (f"{MISSING}: the processor is used" in up.err) == (WAYS[server] == OPTIONAL), up.err
    assert stack.states() == dict.fromkeys(SERVICES, "ready")
    assert query(stack.lcore, "Who answers?")["response"] == "mock: Who answers?"
    model = f"{server}/{SERVERS[server]}"
    assert [one["id"] for one in stack.asked("/v1/models")["data"]] == [model]
    assert stack.called(model) == ["look_up"]
    down = stack.run("down", "--volumes")
    assert down.code == 0, down.err
    assert left_behind(stack.engine, stack.project) == {"containers": [], "networks": [], "volumes": []}


def _tried(stack: Stack, server: str) -> None:
    try:
        _on_the_processor(stack, server)
    except BaseException:
        stack.run("down", "--volumes")
        raise


def test_each_server_starts_on_the_processor_and_answers(new_stack: Callable[[str], Stack], without_gpu: None) -> None:
    stacks = {server: new_stack(server) for server in SERVERS}
    with ThreadPoolExecutor(len(SERVERS)) as pool:
        verdicts = [pool.submit(_tried, stack, server) for server, stack in stacks.items()]
    for verdict in verdicts:
        verdict.result()


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_is_refused_with_a_way_out(
    new_stack: Callable[[str], Stack], why: str, without_gpu: None
) -> None:
    code, options = REFUSED[why]
    up = new_stack("refused").up(*options)
    assert (up.code, [text for text in REASONS[why] if text not in up.err]) == (code, []), up.err
