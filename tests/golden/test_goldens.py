"""What is rendered for every profile and target: compared, parsed, and shown to the engines."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcompose.profiles import built_in
from lcompose.spec.target import Form, described
from lcompose.targets import translate
from lcompose.workspace import Options, open_workspace
from tests.conftest import succeed

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One golden: the folder of inputs, the options, and what it is rendered for."""

    name: str
    inputs: str
    profiles: tuple[str, ...] = ("dev",)
    gpu: str = ""
    target: str = "docker"
    form: Form = "inline"
    env: tuple[tuple[str, str], ...] = ()


CASES = (
    Case("base", "server", ("base",)),
    Case("dev", "server"),
    Case("prod", "server", ("prod",)),
    Case("gpu-cuda", "server", ("gpu",)),
    Case("gpu-rocm", "server", ("gpu",), gpu="rocm"),
    Case("prod-gpu", "server", ("prod", "gpu")),
    Case("dev-folder", "server", form="folder"),
    Case("dev-podman", "server", target="podman", form="folder"),
    Case("prod-podman", "server", ("prod",), target="podman", form="folder"),
    Case("gpu-cuda-podman", "server", ("gpu",), target="podman", form="folder"),
    Case("own-profile", "server", ("prod", "./mine.yaml")),
    Case("generation-0.6", "generation-0.6"),
    Case("remote", "remote", env=(("INFERENCE_HOST", "stack.example.com"),)),
    Case("settings", "settings"),
    Case("tls", "tls"),
)


def rendered(case: Case) -> dict[str, str]:
    """Every document of a case, by path."""
    directory = HERE / case.inputs
    options = Options(directory=str(directory), project_name="golden", profiles=case.profiles, gpu=case.gpu)
    workspace = open_workspace(options, dict(case.env), allow_missing=False)
    facts = described(case.target, case.form)
    # Below the inputs, so that paths to mounted files do not depend on where the checkout is.
    place = workspace.place(workspace.directory / "deploy")
    return {one.path: one.text for one in translate(workspace.resolved.project, facts, place).documents}


def golden_path(case: Case, path: str) -> Path:
    """Where the expected text of a document is."""
    return HERE / "expected" / case.name / path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rendering_gives_the_golden(case: Case, request: pytest.FixtureRequest) -> None:
    documents = rendered(case)
    for path, text in documents.items():
        golden = golden_path(case, path)
        if request.config.getoption("--update"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(text)
        assert golden.read_text() == text
    found = {str(p.relative_to(golden_path(case, ""))) for p in golden_path(case, "").rglob("*") if p.is_file()}
    assert found == set(documents)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_golden_follows_the_compose_schema(case: Case) -> None:
    from compose_spec import ComposeSpecification

    tree = yaml.safe_load(golden_path(case, "compose.yaml").read_text())
    ComposeSpecification.model_validate(tree)


@pytest.mark.docker
@pytest.mark.parametrize("case", [case for case in CASES if case.target == "docker"], ids=lambda case: case.name)
def test_docker_compose_reads_the_golden_as_it_is_meant(case: Case, docker: str) -> None:
    path = golden_path(case, "compose.yaml")
    variables = dict.fromkeys(required_variables(path), "value")
    argv = [docker, "compose", "--file", str(path), "config", "--format", "json"]
    printed = succeed(argv, timeout=60, cwd=HERE, env={**os.environ, **variables})
    read = json.loads(printed)
    written = yaml.safe_load(path.read_text())
    assert set(read["services"]) == set(written["services"])
    for name, config in (written.get("configs") or {}).items():
        # "config" prints what could be read again, so a dollar is doubled there too.
        assert read["configs"][name]["content"] == config["content"]
    for name, service in written["services"].items():
        assert read["services"][name]["command"] == service["command"]
        ports = [(port["host_ip"], port["published"], port["target"]) for port in service.get("ports", [])]
        assert [(p["host_ip"], p["published"], p["target"]) for p in read["services"][name].get("ports", [])] == ports


@pytest.mark.podman
@pytest.mark.parametrize("case", [case for case in CASES if case.target == "podman"], ids=lambda case: case.name)
def test_podman_compose_reads_the_golden(case: Case, podman: str) -> None:
    from lcompose.engines.podman_provider import provider

    program = provider(os.environ).program
    assert program
    path = golden_path(case, "compose.yaml")
    variables = dict.fromkeys(required_variables(path), "value")
    argv = [program, "--file", str(path), "config"]
    printed = succeed(argv, timeout=60, cwd=HERE, env={**os.environ, **variables})
    assert set(yaml.safe_load(printed)["services"]) == set(yaml.safe_load(path.read_text())["services"])


def required_variables(path: Path) -> list[str]:
    """The variables that a compose file refuses to go without."""
    import re

    return re.findall(r"\$\{([A-Z0-9_]+):\?", path.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_derived_documents_say_what_the_services_need(case: Case) -> None:
    for tree in derived_documents(case):
        if "service" in tree:
            assert tree["service"]["host"] == "0.0.0.0"
            assert not {"runtime", "container", "local"} & set(tree)
            section = tree.get("ogx") or tree["llama_stack"]
            assert "localhost" not in section["url"]
        else:
            assert tree["server"]["host"] == "0.0.0.0"


def derived_documents(case: Case) -> list[dict[str, Any]]:
    """The documents that LCORE and Llama Stack are going to read."""
    folder = golden_path(case, "")
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    texts = [config["content"].replace("$$", "$") for config in (compose.get("configs") or {}).values()]
    texts += [
        value.replace("$$", "$")
        for service in compose["services"].values()
        for name, value in service.get("environment", {}).items()
        if name.startswith("LCOMPOSE_DOCUMENT")
    ]
    texts += [path.read_text() for path in folder.rglob("*.yaml") if path.name != "compose.yaml"]
    assert texts
    return [yaml.safe_load(text) for text in texts]


def services(case_name: str) -> dict[str, Any]:
    """The services of a golden."""
    tree = yaml.safe_load((HERE / "expected" / case_name / "compose.yaml").read_text())
    found: dict[str, Any] = tree["services"]
    return found


def test_every_built_in_profile_has_a_golden() -> None:
    assert set(built_in()) <= {name for case in CASES for name in case.profiles}


def test_every_port_of_every_golden_is_on_loopback_unless_asked_otherwise() -> None:
    for case in CASES:
        if case.name == "settings":
            continue
        for service in services(case.name).values():
            assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", []))


def test_prod_publishes_lightspeed_core_alone_and_hardens_both() -> None:
    found = services("prod")
    assert "ports" in found["lightspeed-stack"]
    assert "ports" not in found["llama-stack"]
    for service in found.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "on-failure:3"
        assert service["mem_limit"]
        assert service["pids_limit"]


def test_cuda_asks_for_the_nvidia_driver_and_rocm_never_does() -> None:
    cuda, rocm = services("gpu-cuda")["inference"], services("gpu-rocm")["inference"]
    assert cuda["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    ]
    assert "deploy" not in rocm
    assert rocm["devices"] == ["/dev/kfd", "/dev/dri"]


def test_a_remote_llama_stack_is_not_rendered() -> None:
    assert set(services("remote")) == {"lightspeed-stack"}


def test_profiles_add_up_whatever_their_order() -> None:
    assert services("prod-gpu")["llama-stack"]["read_only"] is True
    assert "inference" in services("prod-gpu")
