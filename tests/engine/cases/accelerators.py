"""Services that were promised a GPU, and work on one or not; device nodes of this test stand in for a GPU's."""

from __future__ import annotations

import json
import os

import pytest

from tests.engine.case import Story
from tests.engine.stack import Stack

COMPOSE = """
services:
  works:
    image: ${IMAGE}
    command: [sh, -c, "echo 'ggml_cuda_init: found 1 ROCm devices:'; sleep 60"]
    init: true
    labels: {lcompose.accelerator: rocm}
    devices: ["NODES/kfd:/dev/kfd", "NODES/render:/dev/dri/renderD128"]
  gave-up:
    image: ${IMAGE}
    command: [sh, -c, "echo 'msg=inference compute id=0 library=cpu variant=avx2'; sleep 60"]
    init: true
    labels: {lcompose.accelerator: rocm}
    devices: ["NODES/kfd:/dev/kfd", "NODES/render:/dev/dri/renderD128"]
  half-given:
    image: ${IMAGE}
    command: [sh, -c, "echo 'found 1 ROCm devices'; sleep 60"]
    init: true
    labels: {lcompose.accelerator: rocm}
    devices: ["NODES/kfd:/dev/kfd"]
  left-out:
    image: ${IMAGE}
    command: sh -c "sleep 60"
    init: true
    labels: {lcompose.accelerator: cuda}
  silent:
    image: ${IMAGE}
    command: sh -c "sleep 60"
    init: true
    labels: {lcompose.accelerator: rocm}
    devices: ["NODES/kfd:/dev/kfd", "NODES/render:/dev/dri/renderD128"]
"""


def what_was_promised_a_gpu_and_works_on_the_processor_is_found(stack: Stack) -> None:
    if os.geteuid() != 0:
        pytest.skip("device nodes are made by root alone")
    for name in ("kfd", "render"):
        os.mknod(stack.folder / name, 0o20666, os.makedev(1, 3))
    stack.write(COMPOSE.replace("NODES", str(stack.folder)))
    up = stack.up()
    assert up.code == 5, up.said
    assert "gave-up, half-given, left-out were to work on a GPU" in up.err
    did = stack.run("verify-gpu", *stack.named, "--json")
    found = {one["service"]: (one["state"], one["reason"]) for one in json.loads(did.out)["services"]}
    assert did.code == 5
    assert found == {
        "works": ("gpu", "its server says so"),
        "gave-up": ("cpu", "its server says that it works on the processor"),
        "half-given": ("cpu", "no device of AMD (ROCm) is where it runs"),
        "left-out": ("cpu", "its engine was told of no device: what read the compose file left it out"),
        "silent": ("unknown", "the device is where it runs, and its server said nothing of it"),
    }
    told = stack.run("verify-gpu", *stack.named)
    assert told.code == 5 and "works on the processor" in told.err and "found 1 ROCm devices" in told.out
    stack.sweep()
    nothing = stack.run("verify-gpu", *stack.named)
    assert nothing.code == 2 and "was promised a GPU" in nothing.err


STORIES: tuple[Story, ...] = (what_was_promised_a_gpu_and_works_on_the_processor_is_found,)
