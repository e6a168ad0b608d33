"""On a machine with a GPU: it is found, a server is started on it, and it is shown that it works there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lcompose.machine import ThisMachine
from lcompose.probe import probe
from lcompose.spec.machine import Machine
from tests.conftest import QUICKSTART, Lcompose

# Small, quickly fetched, and there for every vendor.
SERVER, MODEL = "ollama", "qwen3:0.6b"
NAME = "lcompose-test-gpu"
LIMIT = 1800


@pytest.fixture(scope="module")
def machine() -> Machine:
    """This machine, or a skip with what stands in the way."""
    found = probe(ThisMachine())
    if not any(gpu.usable for gpu in found.gpus):
        why = "; ".join(f"{gpu.name or gpu.pci}: {gpu.problem}" for gpu in found.gpus) or "there is none"
        pytest.skip(f"no GPU here can be used: {why}")
    return found


@pytest.fixture
def folder(tmp_path: Path, lcompose: Lcompose, engine: str) -> Iterator[Path]:
    """A configuration, whose stack is taken down at the end."""
    folder = tmp_path / "stack"
    folder.mkdir()
    folder.joinpath("lightspeed-stack.yaml").write_bytes((QUICKSTART / "lightspeed-stack.yaml").read_bytes())
    yield folder
    lcompose("down", "-p", NAME, "--engine", engine, "--volumes", cwd=folder)


def test_every_usable_gpu_has_a_name_and_memory(machine: Machine) -> None:
    usable = [gpu for gpu in machine.gpus if gpu.usable]
    print(*usable, sep="\n")
    assert all(gpu.vendor and (gpu.memory or machine.wsl) for gpu in usable)


def test_the_doctor_sees_them(machine: Machine, lcompose: Lcompose, tmp_path: Path) -> None:
    said = json.loads(lcompose("doctor", "--json", cwd=tmp_path).out)
    print(json.dumps(said, indent=1))
    assert len([gpu for gpu in said["gpus"] if not gpu["problem"]]) == len([one for one in machine.gpus if one.usable])


def test_a_server_works_on_the_gpu_that_is_chosen(
    machine: Machine, folder: Path, lcompose: Lcompose, engine: str
) -> None:
    del machine
    named = ("-p", NAME, "--engine", engine)
    wanted = ("--profile", "gpu", "--gpu", "auto", "--inference", SERVER, "--model", MODEL)
    env = {"OPENAI_API_KEY": "none"}
    up = lcompose("up", *named, *wanted, cwd=folder, env=env, timeout=LIMIT)
    print(up.err)
    assert up.code == 0
    verified = lcompose("verify-gpu", *named, "--json", cwd=folder)
    print(verified.out)
    assert [one["state"] for one in json.loads(verified.out)["services"]] == ["gpu"]
