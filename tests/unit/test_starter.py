"""A stack's first files: each reads, fits its schema, and says what was wished; nothing is replaced unasked."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from lcompose.cli.init import command
from lcompose.errors import DriftError, UsageError
from lcompose.json_schema import json_schema
from lcompose.lightspeed.envrefs import references
from lcompose.load import parse, plain
from lcompose.settings import FILE, checked_layer
from lcompose.starter import DATABASES, MODES, PROVIDERS, Wish, starter, variables
from lcompose.workspace import Options, open_workspace

ALWAYS = [
    "lightspeed-stack.yaml",
    "lcompose.yaml",
    ".env.example",
    "lightspeed-stack.schema.json",
    "lcompose.schema.json",
]
EVERY = [
    Wish("my assistant", provider, mode, database) for provider in PROVIDERS for mode in MODES for database in DATABASES
]


@cache
def texts(wish: Wish) -> dict[str, str]:
    return {one.path: one.text for one in starter(wish)}


@cache
def tree(wish: Wish, name: str) -> Any:
    return plain(parse(texts(wish)[name].encode(), name))


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json_schema(name, "0.7"))


def label(wish: Wish) -> str:
    return f"{wish.provider}-{wish.mode}-{wish.database}"


@pytest.mark.parametrize("wish", EVERY, ids=label)
def test_every_file_reads_and_fits_its_schema(wish: Wish) -> None:
    for name, schema in (("lightspeed-stack.yaml", "lightspeed-stack"), ("lcompose.yaml", "lcompose")):
        validator(schema).validate(tree(wish, name))
    if "run.yaml" in texts(wish):
        validator("run").validate(tree(wish, "run.yaml"))


@pytest.mark.parametrize("wish", EVERY, ids=label)
def test_the_files_say_what_was_wished(wish: Wish) -> None:
    provider = PROVIDERS[wish.provider]
    found = tree(wish, "lightspeed-stack.yaml")
    assert found["name"] == "my assistant"
    assert found["inference"]["default_provider"] == wish.provider
    assert found["inference"]["default_model"] == provider.model
    assert list(found["database"]) == [wish.database]
    assert found["conversation_cache"]["type"] == wish.database
    assert ("use_as_library_client" in found["ogx"]) == (wish.mode == "library")
    assert ("url" in found["ogx"]) == (wish.mode == "server")


@pytest.mark.parametrize("wish", EVERY, ids=label)
def test_the_provider_stands_in_one_place(wish: Wish) -> None:
    provider = PROVIDERS[wish.provider]
    config = {one.name: one.value for one in provider.config}
    short = tree(wish, "lightspeed-stack.yaml")["inference"].get("providers")
    if "run.yaml" in texts(wish):
        assert short is None
        inference = tree(wish, "run.yaml")["providers"]["inference"]
        key = {provider.key_field: f"${{env.{provider.key}}}"} if provider.key else {}
        said = {**key, **config, "allowed_models": [provider.model]}
        assert inference == [{"provider_id": wish.provider, "provider_type": provider.type, "config": said}]
    else:
        key = {"api_key_env": provider.key} if provider.key else {}
        assert short == [{"type": wish.provider, **key, "allowed_models": [provider.model], "extra": config}]


def test_a_run_yaml_is_written_where_the_form_needs_one() -> None:
    assert "run.yaml" in texts(Wish("x", mode="server"))
    assert "run.yaml" not in texts(Wish("x", mode="library"))
    bedrock = Wish("x", "bedrock", "library")
    assert "run.yaml" in texts(bedrock)
    assert tree(bedrock, "lightspeed-stack.yaml")["ogx"]["library_client_config_path"] == "run.yaml"
    assert set(texts(Wish("x", mode="library"))) == set(ALWAYS)


def test_a_model_of_ones_own_is_in_every_place() -> None:
    server = Wish("x", model="my/model:1")
    assert tree(server, "lightspeed-stack.yaml")["inference"]["default_model"] == "my/model:1"
    assert tree(server, "run.yaml")["providers"]["inference"][0]["config"]["allowed_models"] == ["my/model:1"]
    assert "gpt-4o-mini" not in "".join(texts(server)[name] for name in ("lightspeed-stack.yaml", "run.yaml"))


@pytest.mark.parametrize("wish", EVERY, ids=label)
def test_every_variable_of_the_files_is_in_env_example(wish: Wish) -> None:
    trees = [tree(wish, name) for name in texts(wish) if name in ("lightspeed-stack.yaml", "run.yaml")]
    named = {one.name: one.required for found in trees for one in references(found)}
    key = PROVIDERS[wish.provider].key
    named |= {key: True} if key else {}
    listed = {one.name: one.required for one in variables(wish)}
    assert named.items() <= listed.items()
    lines = texts(wish)[".env.example"].splitlines()
    assert [name for name, required in listed.items() if required and f"{name}=" not in lines] == []
    assert [one.name for one in variables(wish) if not one.required and f"#{one.name}={one.default}" not in lines] == []


@pytest.mark.parametrize("wish", EVERY, ids=label)
def test_every_stack_is_right_and_resolves(wish: Wish, tmp_path: Path) -> None:
    for name, text in texts(wish).items():
        (tmp_path / name).write_text(text)
    env = {one.name: f"given-{one.name}" for one in variables(wish) if one.required}
    env |= {"AZURE_API_BASE": "https://x.openai.azure.com/openai/v1"} if wish.provider == "azure" else {}
    workspace = open_workspace(Options(directory=str(tmp_path), project_name="demo"), env, variables=True)
    services = [service.name for service in workspace.resolved.project.services]
    assert "lightspeed-stack" in services
    assert ("llama-stack" in services) == (wish.mode == "server")
    assert ("postgres" in services) == (wish.database == "postgres")


def test_an_editor_finds_the_schemas_that_lie_beside() -> None:
    found = texts(Wish("x"))
    for name in ("lightspeed-stack", "lcompose"):
        assert found[f"{name}.yaml"].startswith(f"# yaml-language-server: $schema={name}.schema.json\n")
        assert json.loads(found[f"{name}.schema.json"]) == json_schema(name, "0.7")


def test_what_is_commented_out_in_lcompose_yaml_is_right_too() -> None:
    lines = texts(Wish("x"))["lcompose.yaml"].splitlines()
    uncommented = [line.removeprefix("# ") if line.startswith(("# ", "#   ")) else line for line in lines]
    settings = [line for line in uncommented if ":" in line.split("#")[0] and not line[:1].isupper()]
    start = settings.index("version: 1")
    kept = [line for line in settings[start:] if not line.startswith(("dev:", "'"))]
    checked = checked_layer("lcompose.yaml", parse("\n".join(kept).encode(), "lcompose.yaml"), FILE)
    # How to do without containers is there to be found.
    assert checked.tree["runtime"] == "local"
    assert checked.tree["services"]["lightspeed-stack"]["local"] == {"workingDir": "./lightspeed-stack"}
    assert "gpu: cuda" in kept


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        (Wish("no: name"), "'no: name' is not a name for an assistant"),
        (Wish(""), "'' is not a name for an assistant"),
        (Wish("x", model="a b"), "'a b' is not the name of a model"),
        (Wish("x", model="a\n"), r"'a\n' is not the name of a model"),
    ],
)
def test_what_cannot_be_a_name_is_refused(wish: Wish, what: str) -> None:
    with pytest.raises(UsageError) as error:
        starter(wish)
    assert error.value.what == what
    assert error.value.fix


# --- the command ---


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(command, ["-C", str(folder), *args])


def test_init_writes_a_folder_and_says_what_to_do(tmp_path: Path) -> None:
    out = run(tmp_path, "my-assistant").stdout
    folder = tmp_path / "my-assistant"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*ALWAYS, "run.yaml"])
    assert 'name: "my-assistant"' in (folder / "lightspeed-stack.yaml").read_text()
    steps = [line.strip() for line in out.splitlines()[2:]]
    assert steps == [
        "cd my-assistant",
        "cp .env.example .env   and fill in OPENAI_API_KEY",
        "lcompose validate",
        "lcompose up",
    ]


def test_options_are_the_answers(tmp_path: Path) -> None:
    options = ["--provider", "ollama", "--mode", "library", "--database", "postgres", "--model", "qwen3:1.7b"]
    found = json.loads(run(tmp_path, "--json", "--name", "Our Helper", *options).stdout)
    assert found["variables"] == ["POSTGRES_PASSWORD"]
    assert found["files"] == ALWAYS
    read = plain(parse((tmp_path / "lightspeed-stack.yaml").read_bytes(), "x"))
    assert read["name"] == "Our Helper"
    assert read["inference"]["providers"][0]["allowed_models"] == ["qwen3:1.7b"]


def test_what_is_here_is_not_replaced_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "lcompose.yaml").write_text("mine")
    error = run(tmp_path).exception
    assert isinstance(error, DriftError)
    assert (error.where, error.exit_code) == (str(tmp_path / "lcompose.yaml"), 6)
    assert "--force" in error.fix
    assert [path.name for path in tmp_path.iterdir()] == ["lcompose.yaml"]
    assert run(tmp_path, "--force").exit_code == 0
    assert (tmp_path / "lcompose.yaml").read_text() != "mine"


def test_every_file_that_is_here_is_named(tmp_path: Path) -> None:
    run(tmp_path)
    error = run(tmp_path).exception
    assert isinstance(error, DriftError)
    assert len(error.details) == len(ALWAYS)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = run(tmp_path, "file").exception
    assert isinstance(error, UsageError)
    assert error.where == str(tmp_path / "file")


def at_a_terminal(folder: Path, answers: str, *args: str) -> str:
    """What a person sees who sits at a terminal and types the answers."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", "from lcompose.cli.init import command; command(prog_name='init')", *args]
    child = subprocess.Popen(argv, cwd=folder, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    os.close(theirs)
    os.write(ours, answers.encode())
    out, _ = child.communicate(timeout=20)
    os.close(ours)
    return out.decode()


def test_a_person_at_a_terminal_is_asked(tmp_path: Path) -> None:
    out = at_a_terminal(tmp_path, "vllm\n\nlibrary\n\n")
    assert "Ollama, with a model on this machine" in out
    read = plain(parse((tmp_path / "lightspeed-stack.yaml").read_bytes(), "x"))
    assert read["inference"]["providers"][0]["type"] == "vllm"
    assert read["inference"]["default_model"] == "Qwen/Qwen3-8B"
    assert list(read["database"]) == ["sqlite"]


def test_who_gives_an_option_is_asked_nothing(tmp_path: Path) -> None:
    out = at_a_terminal(tmp_path, "", "--provider", "watsonx")
    assert "Who serves the model" not in out
    assert "fill in WATSONX_API_KEY, WATSONX_PROJECT_ID" in out
