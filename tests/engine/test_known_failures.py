"""What a service says before it dies is explained: to people under the error, and to machines in it."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.stack import Stack, new_stack

DIES = """
    services:
      vllm:
        image: $IMAGE
        command: [sh, -c, "echo 'ValueError: Free memory on device cuda:0 (7.34/15.49 GiB) on startup is less than
          desired GPU memory utilization (0.8, 12.39 GiB).'; for i in $$(seq 60); do echo line $$i; done; exit 1"]
      other: {image: $IMAGE, command: sleep 60, init: true}
"""
REFUSED = """
    services:
      web: {image: $IMAGE, command: /no/such/program}
"""
CAUSE = "too little of the GPU's memory is free (7.34/15.49 GiB); other programs have the rest"


@pytest.fixture
def stack(docker: str, tmp_path: Path) -> Iterator[Stack]:
    """A stack that is taken away whatever happens."""
    made = new_stack(docker, tmp_path)
    yield made
    made.sweep()


@pytest.mark.docker
def test_what_a_service_printed_long_before_its_last_lines_is_explained(stack: Stack) -> None:
    stack.write(DIES)
    did = stack.up()
    assert did.code == 5
    assert f"  known: vllm: {CAUSE}\n     do: End what uses the GPU" in did.err
    assert "Free memory on device" not in did.err
    [archive] = stack.state.rglob("failures/*.tar.gz")
    with tarfile.open(archive) as tar:
        [report] = (one for one in tar.getnames() if one.endswith("report.txt"))
        stream = tar.extractfile(report)
        assert stream and CAUSE in stream.read().decode()


@pytest.mark.docker
def test_machines_are_told_which_failure_it_is_and_in_which_line(stack: Stack) -> None:
    stack.write(DIES)
    [known] = json.loads(stack.up("--json").out)["error"]["known"]
    assert (known["id"], known["service"], known["cause"]) == ("gpu-memory-in-use", "vllm", CAUSE)
    assert known["line"].startswith("ValueError: Free memory on device cuda:0") and known["fix"]


@pytest.mark.docker
def test_what_the_engine_refuses_is_explained_and_annotated(stack: Stack) -> None:
    stack.write(REFUSED)
    did = stack.up(GITHUB_ACTIONS="true", GITHUB_WORKSPACE=os.fspath(stack.folder))
    cause = "web: the image of web has no program /no/such/program"
    assert did.code == 5
    assert f"  known: {cause}\n" in did.err
    assert f"%0A{cause}%0A" in did.err


@pytest.mark.docker
def test_an_image_that_cannot_be_pulled_is_explained(stack: Stack) -> None:
    stack.write("services: {web: {image: 'no-such-registry.invalid/web:1'}}")
    did = stack.up("--json")
    assert (did.code, [one["id"] for one in json.loads(did.out)["error"]["known"]]) == (1, ["registry-name-unknown"])
