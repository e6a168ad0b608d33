"""The workflow that ``lcompose ci init`` writes: it is one, asks for little, and replaces nothing unasked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from lcompose import __version__
from lcompose.cli.ci import OUTPUT, command
from lcompose.errors import DriftError, UsageError
from lcompose.workflow import Check, workflow
from tests.conftest import QUICKSTART

LEGS = ["container:docker", "container:podman", "library"]


def tree(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def steps(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tree(text)["jobs"]["parity"]["steps"]
    return found


CHECKS = [
    Check("lightspeed", LEGS, f"lcompose=={__version__}"),
    Check("a: b # c", LEGS[:2], "lcompose[podman]>=1.0", "stacks/my assistant", ("OPENAI_API_KEY", "TOKEN")),
    Check("on", LEGS, "git+https://example.com/x@main", ".", ("A",)),
    Check('quotes " and \n lines', LEGS, "./dist/lcompose-1.0-py3-none-any.whl"),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.package)
def test_it_is_a_workflow_by_the_schema_of_workflows(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "w.yml"
    path.write_text(workflow(check))
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree(path.read_text())["name"] == check.name


def test_the_schema_would_tell_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "w.yml"
    path.write_text(workflow(CHECKS[0]).replace("timeout-minutes:", "timeout-hours:"))
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 1


def test_it_may_read_and_nothing_else_and_ends_in_time() -> None:
    found = tree(workflow(CHECKS[0]))
    assert found["permissions"] == {"contents": "read"}
    assert found["concurrency"] == {
        "group": "lightspeed-${{ github.workflow }}-${{ github.ref }}",
        "cancel-in-progress": True,
    }
    assert list(found["jobs"]) == ["parity"]
    assert found["jobs"]["parity"]["timeout-minutes"] == 70
    assert "permissions" not in found["jobs"]["parity"]
    assert steps(workflow(CHECKS[0]))[0]["with"] == {"persist-credentials": False}


def test_every_action_has_its_major_version() -> None:
    used = [step["uses"] for step in steps(workflow(CHECKS[0])) if "uses" in step]
    assert used == ["actions/checkout@v4", "actions/setup-python@v5", "actions/upload-artifact@v4"]


def test_it_installs_validates_compares_and_keeps_what_explains_a_failure() -> None:
    runs = [step["run"] for step in steps(workflow(CHECKS[1])) if "run" in step]
    assert runs == [
        "python -m pip install 'lcompose[podman]>=1.0'",
        "lcompose validate",
        "lcompose parity --legs container:docker,container:podman "
        '--junit "$RUNNER_TEMP/lcompose/junit.xml" --artifacts "$RUNNER_TEMP/lcompose/legs"',
    ]
    last = steps(workflow(CHECKS[1]))[-1]
    assert last["if"] == "failure()"
    assert last["with"]["path"] == "${{ runner.temp }}/lcompose"
    job = tree(workflow(CHECKS[1]))["jobs"]["parity"]
    assert job["defaults"]["run"]["working-directory"] == "stacks/my assistant"
    assert job["env"] == {"OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}", "TOKEN": "${{ secrets.TOKEN }}"}


def test_uv_is_installed_too_where_a_leg_is_processes() -> None:
    runs = [
        step["run"] for step in steps(workflow(Check("x", ["container:docker", "local"], "lcompose"))) if "run" in step
    ]
    assert runs[0] == "python -m pip install lcompose uv"


def test_there_is_no_env_where_no_variable_is_needed() -> None:
    assert "env" not in tree(workflow(CHECKS[0]))["jobs"]["parity"]


@pytest.mark.parametrize(
    "check",
    [
        Check("x", LEGS, "lcompose", "${{ github.event.issue.title }}"),
        Check("x", LEGS, "lcompose", "/etc"),
        Check("x", LEGS, "lcompose; curl example.com"),
        Check("x", LEGS, "lcompose'\n        env: x"),
        Check("x", LEGS, "${{ secrets.A }}"),
        Check("x", LEGS, "--index-url=x"),
        Check("x", LEGS, "lcompose", ".", ("GITHUB_TOKEN_2",)),
    ],
)
def test_what_would_mean_something_else_in_a_workflow_is_refused(check: Check) -> None:
    with pytest.raises(UsageError) as error:
        workflow(check)
    assert error.value.fix


# --- the command ---


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(command, ["init", "-C", str(folder), *args])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a stack in a folder of its own."""
    (tmp_path / ".git").mkdir()
    stack = tmp_path / "stack"
    stack.mkdir()
    (stack / "lightspeed-stack.yaml").write_text((QUICKSTART / "lightspeed-stack.yaml").read_text())
    return stack


def test_it_is_written_where_github_looks_for_it(repository: Path) -> None:
    found = run(repository, "--json")
    path = repository.parent / OUTPUT
    assert json.loads(found.stdout) == {
        "file": str(path),
        "legs": ["container:docker", "container:podman"],
        "secrets": ["OPENAI_API_KEY"],
    }
    job = tree(path.read_text())["jobs"]["parity"]
    assert job["defaults"]["run"]["working-directory"] == "stack"
    assert job["steps"][2]["run"] == f"python -m pip install 'lcompose[podman]=={__version__}'"


def test_variables_of_ones_own_requests_are_secrets_too(repository: Path) -> None:
    (repository / "parity.yaml").write_text("- {name: a, path: /, headers: {Authorization: 'Bearer ${LS_TOKEN}'}}\n")
    out = run(repository, "--output", "w.yml").stdout
    assert "Give the repository these secrets: LS_TOKEN, OPENAI_API_KEY" in out
    assert (repository / "w.yml").exists()


def test_a_file_that_is_here_is_left_alone_unless_that_is_forced(repository: Path) -> None:
    path = repository / "w.yml"
    path.write_text("mine\n")
    error = run(repository, "-o", "w.yml").exception
    assert isinstance(error, DriftError)
    assert (error.where, path.read_text()) == (str(path), "mine\n")
    assert run(repository, "-o", "w.yml", "--force").exception is None
    assert path.read_text().startswith("# Checks the Lightspeed configuration")


def test_a_link_that_leads_nowhere_is_here_too(repository: Path) -> None:
    (repository / "w.yml").symlink_to(repository / "gone")
    assert isinstance(run(repository, "-o", "w.yml").exception, DriftError)


def test_a_leg_that_does_not_exist_is_refused_before_anything_is_written(repository: Path) -> None:
    assert isinstance(run(repository, "--legs", "container:docker,qemu").exception, UsageError)
    assert not (repository.parent / ".github").exists()
