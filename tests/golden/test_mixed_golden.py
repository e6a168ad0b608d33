"""What is rendered where the model is served by a process and all else are containers, for each engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lcompose.cli.native import described as as_processes
from lcompose.engines.local_store import spec_of
from lcompose.spec.target import described
from lcompose.targets import Place, translate
from lcompose.workspace import Options, open_workspace

HERE = Path(__file__).parent
SETTINGS = ("inference=vllm", "model=Qwen/Qwen3-0.6B", "services.inference.runtime=local")
HOSTS = {"docker": "host.docker.internal", "podman": "host.containers.internal"}
ENGINES = pytest.mark.parametrize("engine", sorted(HOSTS))


def expected(engine: str) -> Path:
    return HERE / "expected" / f"dev-mixed-{engine}"


def rendered(engine: str) -> dict[str, str]:
    options = Options(directory=str(HERE / "server"), project_name="golden", sets=SETTINGS)
    workspace = open_workspace(options, {})
    facts = replace(described(engine, "folder"), natively=as_processes(workspace, workspace.processes).natively)
    # Paths of processes are absolute, and those of the golden are nobody's.
    place = Place("/state/golden", {}, "/home/me/stack")
    return {one.path: one.text for one in translate(workspace.resolved.project, facts, place).documents}


@ENGINES
def test_rendering_gives_the_golden(engine: str, request: pytest.FixtureRequest) -> None:
    documents = rendered(engine)
    for path, text in documents.items():
        golden = expected(engine) / path
        if request.config.getoption("--update"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(text)
        assert golden.read_text() == text
    found = {str(one.relative_to(expected(engine))) for one in expected(engine).rglob("*") if one.is_file()}
    assert found == set(documents)


@ENGINES
def test_each_reader_reads_its_own_half(engine: str) -> None:
    from compose_spec import ComposeSpecification

    compose = yaml.safe_load((expected(engine) / "compose.yaml").read_text())
    ComposeSpecification.model_validate(compose)
    processes = yaml.safe_load((expected(engine) / "processes.yaml").read_text())
    assert list(compose["services"]) == ["llama-stack", "lightspeed-stack"]
    (spec,) = [spec_of(tree, "0" * 32, "golden", name, 0) for name, tree in processes["services"].items()]
    assert (spec.service, spec.ports, spec.called, spec.beside) == ("inference", (("127.0.0.1", 8000),), True, engine)
    assert spec.command[:2] == ("vllm", "serve")


@ENGINES
def test_llama_stack_calls_the_model_on_this_machine_and_nothing_else(engine: str) -> None:
    (url,) = [
        one["config"]["base_url"]
        for one in yaml.safe_load((expected(engine) / "llama-stack" / "run.yaml").read_text())["providers"]["inference"]
        if one["provider_type"] == "remote::vllm"
    ]
    assert url == f"http://{HOSTS[engine]}:8000/v1"
    named = [path.name for path in expected(engine).rglob("*.yaml") if HOSTS[engine] in path.read_text()]
    assert sorted(named) == (["compose.yaml", "run.yaml"] if engine == "docker" else ["run.yaml"])
