"""What ``lcompose up`` makes of a stack that is ready, and was to work on a GPU."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from lcompose.cli.up import _verify_accelerators
from lcompose.console import Console
from lcompose.engines.fake import FakeEngine
from lcompose.errors import NotReadyError
from lcompose.host import Finished
from lcompose.spec.project import AcceleratorRequest, Project, Service
from lcompose.spec.run import Given

ON_GPU = Service("inference", "image", accelerator=AcceleratorRequest("cuda"))
GIVEN = Given("id", "demo-inference-1", "inference", "cuda", ("nvidia: all",))
NODES = [Finished(0, "/dev/nvidia0\n/dev/nvidiactl\n", "")]


def stack(engine: FakeEngine, *services: Service) -> Any:
    """The part of a stack that is looked at."""
    return SimpleNamespace(project=Project("demo", services), engine=engine, name="demo", reading={})


def of_file(engine: FakeEngine, labels: object) -> Any:
    """The same of somebody's compose file, whose service has these labels."""
    reading = {"services": {"web": {}, "inference": {"labels": labels}}}
    return SimpleNamespace(project=None, engine=engine, name="demo", reading=reading)


def said_of(printed: str) -> str:
    """What a person is told of a server that prints this."""
    told = io.StringIO()
    engine = FakeEngine(given=[GIVEN], inside={"id": NODES}, printed={"id": f"2025-01-01T00:00:00Z {printed}\n"})
    _verify_accelerators(Console(err=told), stack(engine, ON_GPU))
    return told.getvalue()


def test_a_server_on_its_gpu_is_told_in_a_line() -> None:
    assert said_of("Automatically detected platform cuda.") == "  inference: works on the GPU\n"


def test_what_nobody_knows_is_not_called_right() -> None:
    assert said_of("Uvicorn running").startswith("  inference: may work on the GPU: ")


def test_a_server_on_the_processor_fails_what_is_ready() -> None:
    with pytest.raises(NotReadyError) as caught:
        said_of("Automatically detected platform cpu.")
    assert caught.value.exit_code == 5


def test_without_a_gpu_the_engine_is_not_asked() -> None:
    engine = FakeEngine()
    _verify_accelerators(Console(), stack(engine, Service("web", "image")))
    assert engine.calls == []


@pytest.mark.parametrize("labels", [{"lcompose.accelerator": "cuda"}, ["lcompose.accelerator=cuda"]])
def test_a_file_that_was_rendered_for_a_gpu_is_held_to_it(labels: object) -> None:
    printed = {"id": "2025-01-01T00:00:00Z Automatically detected platform cpu.\n"}
    engine = FakeEngine(given=[GIVEN], inside={"id": NODES}, printed=printed)
    with pytest.raises(NotReadyError):
        _verify_accelerators(Console(), of_file(engine, labels))


def test_of_a_file_without_a_gpu_the_engine_is_not_asked() -> None:
    engine = FakeEngine()
    _verify_accelerators(Console(), of_file(engine, {"other": "x"}))
    assert engine.calls == []
