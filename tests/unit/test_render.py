"""What ``render --for`` describes: a usual machine, one with other versions, or a name that there is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from lcompose.cli.render import command
from lcompose.errors import LcomposeError, MachineError, UsageError
from lcompose.spec.target import Form, TargetFacts, described
from tests.unit.given import LIGHTSPEED, RUN

PODMAN, DOCKER = "podman-compose", "docker-compose"


@pytest.mark.parametrize("form", ["inline", "folder"])
@pytest.mark.parametrize(
    ("name", "versions", "target", "engine", "compose", "reader"),
    [
        ("docker", (), "docker", (26, 1), (2, 26), DOCKER),
        ("docker", ((28, 3), (2, 33)), "docker", (28, 3), (2, 33), DOCKER),
        ("docker", ((28, 3), ()), "docker", (28, 3), (2, 26), DOCKER),
        ("podman", (), "podman", (4, 3), (1, 4), PODMAN),
        ("podman", ((5, 4),), "podman", (5, 4), (1, 4), PODMAN),
        ("podman-socket", (), "podman", (5, 4), (2, 30), DOCKER),
        ("podman-socket", ((5, 3), (2, 40)), "podman", (5, 3), (2, 40), DOCKER),
        # A target that brings no words of its own.
        ("other", (), "other", (26, 1), (2, 26), DOCKER),
    ],
)
def test_a_target_is_described_without_a_look_at_any_machine(
    form: Form, name: str, versions: Any, target: str, engine: Any, compose: Any, reader: Any
) -> None:
    assert described(name, form, *versions) == TargetFacts(target, form, engine, compose, reader)


def rendered(folder: Path, *args: str) -> Result:
    """``lcompose render`` of a stack with a GPU, in a folder."""
    (folder / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (folder / "run.yaml").write_text(RUN)
    options = ["-C", str(folder), "--profile", "gpu", "--allow-missing", *args]
    return CliRunner().invoke(command, options, standalone_mode=False)


def gpu_words(folder: Path, *args: str) -> dict[str, Any]:
    """What the inference service says of its GPU."""
    result = rendered(folder, *args, "-o", str(folder / "out"))
    assert result.exception is None
    service = yaml.safe_load((folder / "out" / "compose.yaml").read_text())["services"]["inference"]
    return {name: service[name] for name in ("deploy", "gpus", "devices", "security_opt") if name in service}


def reserved(**wish: Any) -> dict[str, Any]:
    """A reservation of devices."""
    return {"deploy": {"resources": {"reservations": {"devices": [{**wish, "capabilities": ["gpu"]}]}}}}


LABELS = {"security_opt": ["label=disable"]}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("docker", reserved(driver="nvidia", count="all")),
        ("docker:28.3", reserved(driver="nvidia", count="all")),
        ("docker:28.3.2/2.29.7", reserved(driver="nvidia", count="all")),
        ("docker:25/2.30", {"gpus": [{"driver": "nvidia", "count": "all"}]}),
        ("podman", {"devices": ["nvidia.com/gpu=all"]} | LABELS),
        ("podman:5.4/1.6", {"devices": ["nvidia.com/gpu=all"]} | LABELS),
        ("podman-socket", reserved(driver="cdi", device_ids=["nvidia.com/gpu=all"]) | LABELS),
    ],
)
def test_versions_decide_how_a_gpu_is_asked_for(tmp_path: Path, wanted: str, expected: dict[str, Any]) -> None:
    assert gpu_words(tmp_path, "--for", wanted) == expected


def test_ids_stand_in_the_file_as_they_were_said(tmp_path: Path) -> None:
    wish = {"driver": "nvidia", "device_ids": ["1", "GPU-x"]}
    assert gpu_words(tmp_path, "--gpu-ids", "1,GPU-x", "--for", "docker:28/2.30") == {"gpus": [wish]}


@pytest.mark.parametrize(
    ("args", "kind", "code", "what"),
    [
        (("--for", "dockr"), UsageError, 2, "no target is called 'dockr'"),
        (("--for", "dockr:28"), UsageError, 2, "no target is called 'dockr'"),
        (("--for", "docker:new"), UsageError, 2, "'new' is no version of an engine"),
        (("--for", "docker:28.3/"), UsageError, 2, "'28.3/' is no version of an engine"),
        (("--for", "docker:"), UsageError, 2, "'' is no version of an engine"),
        (("--for", "here:28"), UsageError, 2, "'28' is no version of an engine"),
        (("--for", "podman:4.0"), MachineError, 4, "since 4.1"),
        (("--for", "podman-socket:5.3"), MachineError, 4, "would run without a GPU"),
        (("--gpu", "auto"), UsageError, 2, "only a look at the machine can tell"),
        (("--gpu", "rocm", "--gpu-ids", "0"), UsageError, 2, "only a look at the machine can tell"),
    ],
)
def test_what_cannot_be_described_is_refused_with_a_way_out(
    tmp_path: Path, args: tuple[str, ...], kind: type[LcomposeError], code: int, what: str
) -> None:
    error = rendered(tmp_path, *args, "-o", str(tmp_path / "out")).exception
    assert isinstance(error, kind)
    assert (error.exit_code, bool(error.fix)) == (code, True)
    assert what in error.what
    assert not (tmp_path / "out").exists()


def test_names_and_versions_are_in_the_help() -> None:
    said = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert all(one in said for one in ("podman-socket", "docker:28.3/2.33", "or for what this machine has"))
