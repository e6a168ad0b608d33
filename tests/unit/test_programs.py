"""How services are started as processes, what that needs, and what cannot be one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lcompose.errors import MachineError
from lcompose.lightspeed.packages import PACKAGES, packages
from lcompose.programs import (
    Programs,
    fallbacks,
    processes_of,
    programs,
    refuse_fallbacks,
    runtime_of,
    selected,
    uv_tool,
    why_containers,
)
from lcompose.spec.program import Need, Program
from lcompose.workspace import Options, Workspace, open_workspace
from tests.unit.given import LIGHTSPEED

CHECKOUT = "services.lightspeed-stack.local.workingDir=src/lcore"
UV = ("uv", "tool", "run", "--offline", "--python", ">=3.12,<3.14", "--from", "ogx==1.2.5", "--with", "mcp<2")
RUN = "distro_name: a\nproviders: {inference: [{provider_id: a, provider_type: 'remote::vllm', config: {}}]}\n"


def workspace(folder: Path, *sets: str, lightspeed: str = LIGHTSPEED, run: str = RUN, **more: str) -> Workspace:
    (folder / "lightspeed-stack.yaml").write_text(lightspeed)
    (folder / "run.yaml").write_text(run)
    options = Options(directory=str(folder), project_name="demo", sets=sets, **more)  # type: ignore[arg-type]
    return open_workspace(options, {"HOME": "/home/me"}, allow_missing=True, runtime="local")


def made(folder: Path, *sets: str, **more: str) -> Programs:
    found = workspace(folder, *sets, **more)
    return programs(found.resolved, found.settings, str(folder), "/home/me")


def server(folder: Path, *sets: str, **more: str) -> Program:
    return next(one for one in made(folder, *sets, **more).programs if one.service == "llama-stack")


def lcore(folder: Path, *sets: str, **more: str) -> Program:
    return next(one for one in made(folder, *sets, **more).programs if one.service == "lightspeed-stack")


def test_llama_stack_comes_through_uv(tmp_path: Path) -> None:
    found = server(tmp_path)
    assert found.argv == (*UV, "ogx", "run", "--insecure", "/app/run.yaml")
    assert [one.kind for one in found.needs] == ["program", "python", "packages"]
    fetching = (*UV[:3], *UV[4:])
    assert found.needs[2] == Need(
        "packages", "ogx==1.2.5", "llama-stack", "Mend what uv says, then try again.", fetching
    )


@pytest.mark.parametrize(
    ("version", "package", "start"),
    [
        ("1.2.5", "ogx==1.2.5", ("ogx", "run", "--insecure", "/app/run.yaml")),
        ("1.0.2", "ogx==1.0.2", ("ogx", "run", "/app/run.yaml")),
        ("0.6.0", "llama-stack==0.6.0", ("llama", "stack", "run", "/app/run.yaml")),
        ("1.2", "ogx==1.2.*", ("ogx", "run", "--insecure", "/app/run.yaml")),
    ],
)
def test_each_version_is_started_in_its_own_words(
    tmp_path: Path, version: str, package: str, start: tuple[str, ...]
) -> None:
    found = server(tmp_path, f"ogx_version={version}").argv
    assert (found[7], found[-len(start) :]) == (package, start)


def test_providers_bring_what_they_need() -> None:
    assert packages([]) == ("mcp<2",)
    assert packages(["inline::faiss", "remote::vllm", "inline::faiss"]) == (
        "mcp<2", "chardet", "faiss-cpu", "numpy", "pypdf",
    )  # fmt: skip
    assert uv_tool("ogx", (1, 2, 5), ["remote::bedrock"])[-4:] == ("--with", "mcp<2", "--with", "boto3")
    assert all(kind.startswith(("inline::", "remote::")) for kind in PACKAGES)


@pytest.mark.parametrize(
    ("sets", "argv"),
    [
        (["local.command=/opt/ogx"], ("/opt/ogx", "run", "--insecure", "/app/run.yaml")),
        (["local.command=uv run ogx"], ("uv", "run", "ogx", "run", "--insecure", "/app/run.yaml")),
        (["local.command=ogx", "local.args=run,--x,{config}"], ("ogx", "run", "--x", "/app/run.yaml")),
        # A person's own file is the one that lcompose made of it.
        (["local.command=ogx", "local.args=run,conf/run.yaml"], ("ogx", "run", "/app/run.yaml")),
        (["local.command=ogx", "local.args=run"], ("ogx", "run", "/app/run.yaml")),
        (["local.args=run,--x"], (*UV, "ogx", "run", "--x", "/app/run.yaml")),
    ],
)
def test_a_person_says_how_llama_stack_is_started(tmp_path: Path, sets: list[str], argv: tuple[str, ...]) -> None:
    assert server(tmp_path, *sets).argv == argv


def test_a_persons_words_on_a_process_are_taken(tmp_path: Path) -> None:
    sets = ("local.workingDir=here", "local.limits.memory=2g", "local.env.PLAIN=x", "local.command=ogx")
    found = server(tmp_path, *sets)
    assert (found.directory, found.limits.memory) == (f"{tmp_path}/here", "2g")
    assert [one.name for one in found.needs] == ["ogx", f"{tmp_path}/here"]
    assert dict(found.environment).keys() == {"PLAIN"}


def test_lightspeed_core_runs_from_a_checkout(tmp_path: Path) -> None:
    found = lcore(tmp_path, CHECKOUT)
    where = f"{tmp_path}/src/lcore"
    started = f"{where}/src/lightspeed_stack.py"
    document = "/app-root/lightspeed-stack.yaml"
    assert found.argv == ("uv", "run", "--offline", "--project", where, started, "-c", document)
    assert (found.directory, [one.kind for one in found.needs]) == (
        where, ["file", "program", "python", "packages", "folder"],
    )  # fmt: skip


def test_llama_stack_inside_lightspeed_core_brings_its_packages(tmp_path: Path) -> None:
    library = LIGHTSPEED.replace(
        'url: "http://localhost:8321"', "use_as_library_client: true, library_client_config_path: run.yaml"
    )
    run = RUN.replace("remote::vllm", "remote::bedrock")
    found = lcore(tmp_path, CHECKOUT, lightspeed=library, run=run).argv
    assert found[5:9] == ("--with", "mcp<2", "--with", "boto3")


def test_without_a_checkout_lightspeed_core_says_what_to_add(tmp_path: Path) -> None:
    (found,) = made(tmp_path).findings
    assert (
        found.what == "Lightspeed Core can be fetched as an image only: as a process it needs a checkout of its sources"
    )
    assert found.fix == "Write services.lightspeed-stack.local.workingDir in lcompose.yaml: the folder of the checkout."


@pytest.mark.parametrize(
    ("inference", "start", "needed"),
    [
        ("vllm", ("vllm", "serve", "Qwen/Qwen3-0.6B"), "vllm"),
        ("llamacpp", ("llama-server", "-hf"), "llama-server"),
        ("ollama", ("sh", "/lcompose/ollama.sh", "ollama", "serve"), "ollama"),
    ],
)
def test_an_inference_server_is_a_program_of_this_machine(
    tmp_path: Path, inference: str, start: tuple[str, ...], needed: str
) -> None:
    found = next(one for one in made(tmp_path, CHECKOUT, inference=inference).programs if one.service == "inference")
    assert found.argv[: len(start)] == start
    assert [one.name for one in found.needs] == [needed]


def test_a_server_that_is_an_image_only_points_to_the_program_that_is_the_same(tmp_path: Path) -> None:
    (found,) = made(tmp_path, CHECKOUT, inference="rhaiis", gpu="cuda").findings
    said = "rhaiis is an image only; as a program, vllm is the same server: --inference vllm"
    fix = "Say --inference vllm, or use containers: --runtime container."
    assert (found.path, found.what, found.fix) == ("services.inference.local", said, fix)
    inside = workspace(tmp_path, CHECKOUT, inference="rhaiis", gpu="cuda")
    chosen = selected(inside.resolved, inside.settings, {})["inference"]
    assert (chosen.mode, chosen.trace[0]) == ("container", f"local is out: inference cannot be run so: {said}")
    own = made(tmp_path, CHECKOUT, "services.inference.local.command=vllm serve", inference="rhaiis", gpu="cuda")
    assert own.findings == ()


def test_what_is_only_an_image_is_refused_with_the_way_out(tmp_path: Path) -> None:
    database = {"host": "localhost", "db": "a", "user": "b", "password": "${env.P}"}
    (found,) = made(tmp_path, CHECKOUT, lightspeed=f"{LIGHTSPEED}database: {{postgres: {database}}}\n").findings
    assert found.what == "postgres is an image, and lcompose knows no program that does the same"
    assert "companions.postgres: external" in found.fix


# ---------------------------------------------------------------- as containers, or as processes


def modes(folder: Path, *sets: str, problems: dict[str, str] | None = None, **more: str) -> dict[str, str]:
    (folder / "lightspeed-stack.yaml").write_text(more.pop("lightspeed", LIGHTSPEED))
    options = Options(directory=str(folder), project_name="demo", sets=sets, **more)  # type: ignore[arg-type]
    found = open_workspace(options, {"HOME": "/home/me"}, allow_missing=True)
    return {name: one.mode for name, one in selected(found.resolved, found.settings, problems or {}).items()}


@pytest.mark.parametrize(
    ("sets", "mode"),
    [
        ((), "container"),
        (("runtime=local",), "local"),
        (("runtimes.default=local",), "local"),
        (("runtimes.default=local", "runtime=container"), "container"),
        (("runtimes.allowed=local",), "local"),
        (("runtimes.disabled=container",), "local"),
        (("services.llama-stack.runtime=local", "services.lightspeed-stack.runtime=local"), "local"),
    ],
)
def test_settings_choose_the_runtime_of_a_stack(tmp_path: Path, sets: tuple[str, ...], mode: str) -> None:
    assert modes(tmp_path, *sets) == {"llama-stack": mode, "lightspeed-stack": mode}


def test_where_no_engine_answers_processes_are_what_is_left(tmp_path: Path) -> None:
    found = workspace(tmp_path)
    chosen = selected(found.resolved, replace(found.settings, runtime="container"), {"container": "Docker is away"})
    assert (runtime_of(chosen), why_containers(chosen)) == ("local", ())
    told = "run as processes, and not as containers: llama-stack, lightspeed-stack; container is out: Docker is away"
    assert [one.what for one in fallbacks(chosen)] == [told]
    with pytest.raises(MachineError, match="run as processes, and not as containers"):
        refuse_fallbacks(chosen)


def test_one_stack_may_be_run_in_both_ways(tmp_path: Path) -> None:
    found = workspace(tmp_path, "services.llama-stack.runtime=container", "services.lightspeed-stack.runtime=local")
    chosen = selected(found.resolved, found.settings, {})
    assert (runtime_of(chosen), processes_of(chosen)) == ("mixed", {"lightspeed-stack"})
    assert why_containers(chosen) == (
        "llama-stack is a container: container is taken: services.llama-stack.runtime in command line",
    )
