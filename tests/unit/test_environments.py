"""Environments of uv's that are remembered: what is in one is started without uv."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

import pytest

from lcompose.environments import directly, known, remember

WHICH = ("uv", "tool", "run", "--python", ">=3.12", "--from", "ogx==1", "--with", "mcp<2")
COMMAND = ("uv", "tool", "run", "--offline", *WHICH[3:], "ogx", "run", "--insecure", "run.yaml")


def environment(folder: Path, name: str, *programs: str) -> Path:
    """Makes one below a folder, as uv's cache has it."""
    made = folder / "cache" / "archive-v0" / name
    for program in ("python", *programs):
        path = made / "bin" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return made


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": "/home/me"}


def test_a_program_of_a_known_environment_is_started_without_uv(tmp_path: Path, env: dict[str, str]) -> None:
    made = environment(tmp_path, "a", "ogx")
    remember(WHICH, env, str(made))
    assert directly(COMMAND, env) == ((f"{made}/bin/ogx", "run", "--insecure", "run.yaml"), f"{made}/bin")


def test_an_unknown_one_is_left_to_uv(env: dict[str, str]) -> None:
    assert directly(COMMAND, env) == (COMMAND, "")


def test_one_that_is_gone_is_left_to_uv(tmp_path: Path, env: dict[str, str]) -> None:
    made = environment(tmp_path, "a", "ogx")
    remember(WHICH, env, str(made))
    rmtree(made)
    assert (directly(COMMAND, env), known(WHICH, env)) == ((COMMAND, ""), "")


def test_a_program_that_is_not_in_it_is_left_to_uv(tmp_path: Path, env: dict[str, str]) -> None:
    remember(WHICH, env, str(environment(tmp_path, "a")))
    assert directly(COMMAND, env) == (COMMAND, "")


@pytest.mark.parametrize(
    "command",
    [
        ("/opt/serve", "run.yaml"),
        ("uv", "run", "--offline", "--project", "/lcore", "src/lightspeed_stack.py"),
        ("uv", "tool", "run", "--offline", "--isolated", "--from", "ogx==1", "ogx"),
        ("uv", "tool", "run", "--offline", *WHICH[3:]),
        ("uv", "tool", "run", "--from"),
        ("uv",),
        (),
    ],
)
def test_other_commands_are_left_as_they_are(tmp_path: Path, env: dict[str, str], command: tuple[str, ...]) -> None:
    remember(WHICH, env, str(environment(tmp_path, "a", "ogx")))
    assert directly(command, env) == (command, "")


@pytest.mark.parametrize(
    "name",
    ["UV_CACHE_DIR=/other", "UV_PYTHON=3.13", "UV_INDEX_URL=https://me:secret@index.example/simple", "HOME=/you"],
)
def test_another_cache_python_index_or_home_is_another_environment(
    tmp_path: Path, env: dict[str, str], name: str
) -> None:
    variable, _, value = name.partition("=")
    other = {**env, variable: value}
    remember(WHICH, other, str(environment(tmp_path, "a", "ogx")))
    assert (known(WHICH, env), known(WHICH, other)) == ("", str(tmp_path / "cache/archive-v0/a"))
    assert [one for one in tmp_path.rglob("state/**/*") if one.is_file() and "secret" in one.read_text()] == []


def test_other_words_are_another_environment(tmp_path: Path, env: dict[str, str]) -> None:
    remember(WHICH, env, str(environment(tmp_path, "a", "ogx")))
    assert known((*WHICH, "--with", "numpy"), env) == ""


def test_what_may_be_changed_in_place_is_not_remembered(tmp_path: Path, env: dict[str, str]) -> None:
    tool = environment(tmp_path, "a").parent.rename(tmp_path / "tools") / "a"
    remember(WHICH, env, str(tool))
    assert known(WHICH, env) == ""


def test_where_nothing_can_be_written_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {"XDG_STATE_HOME": str(tmp_path / "file")}
    remember(WHICH, env, str(environment(tmp_path, "a", "ogx")))
    assert known(WHICH, env) == ""
