"""What is made of a reader's answer: a tree, or one line that says why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lcompose.engines import ComposeFile
from lcompose.engines.podman_read import read, telling_line
from lcompose.errors import ConfigError, LcomposeError, UsageError
from tests.unit.test_podman_provider import program

TRACEBACK = """Traceback (most recent call last):
  File "/somewhere/podman_compose.py", line 313, in resolve
    raise ValueError(
"""
SYSTEMD = 'time="2025" level=error msg="unable to get systemd connection to add healthchecks"'


def answered(
    folder: Path,
    *,
    out: str = "",
    err: str = "",
    code: int = 0,
    kind: str = "podman-compose",
    text: str = "services: {}",
) -> dict[str, Any]:
    """What is read when the reader says this."""
    (folder / "out").write_text(out)
    (folder / "err").write_text(err)
    path = program(folder, kind, f"cat {folder}/out; cat {folder}/err >&2; exit {code}")
    (folder / "compose.yaml").write_text(text)
    env = {"PODMAN_COMPOSE_PROVIDER": path, "PATH": "/usr/bin:/bin"}
    return read(ComposeFile("demo", (folder / "compose.yaml",), folder, env))


def why_not(folder: Path, said: str, **more: Any) -> LcomposeError:
    """The error when the reader fails with these words."""
    with pytest.raises((UsageError, ConfigError)) as caught:
        answered(folder, err=said, code=1, **more)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_reading_is_a_tree(tmp_path: Path) -> None:
    assert answered(tmp_path, out="services: {web: {command: [a$b]}}") == {"services": {"web": {"command": ["a$b"]}}}


def test_docker_composes_dollars_are_single_again(tmp_path: Path) -> None:
    found = answered(tmp_path, out="services: {web: {command: [a$$b]}}", kind="docker-compose")
    assert found == {"services": {"web": {"command": ["a$b"]}}}


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    error = why_not(tmp_path, f"{TRACEBACK}ValueError: required variable KEY is missing a value: a key\n")
    assert error.what == "required variable KEY is missing a value: a key"
    assert error.fix == "Set KEY in the environment or in .env."


def test_a_file_that_is_not_yaml_has_a_place(tmp_path: Path) -> None:
    error = why_not(tmp_path, f"{TRACEBACK}yaml.parser.ParserError: while parsing", text="services:\n  a: [b\n")
    assert isinstance(error, ConfigError)
    assert error.findings[0].where.line == 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (f"{TRACEBACK}RuntimeError: missing networks: x", "podman-compose cannot read it: missing networks: x"),
        (f"{TRACEBACK}KeyError: 'x'", "podman-compose cannot read it: KeyError: 'x'"),
        ("", "podman-compose cannot read it: it said nothing"),
    ],
)
def test_any_other_reason_is_one_line(said: str, expected: str, tmp_path: Path) -> None:
    assert why_not(tmp_path, said).what == expected


def test_a_file_that_is_not_there_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    env = {"PODMAN_COMPOSE_PROVIDER": program(tmp_path, "podman-compose")}
    with pytest.raises(UsageError, match="the compose file is not there"):
        read(ComposeFile("demo", (tmp_path / "no.yaml",), tmp_path, env))


@pytest.mark.parametrize("text", ["include: [a.yaml]\n", "services: {}\ninclude: [{path: b.yaml}]\n"])
def test_includes_are_refused_since_their_paths_would_be_wrong(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="included file"):
        answered(tmp_path, out="services: {}", text=text)


def test_a_folder_that_podman_compose_would_not_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").touch()
    env = {"PODMAN_COMPOSE_PROVIDER": program(tmp_path, "podman-compose")}
    with pytest.raises(UsageError, match="from its own folder"):
        read(ComposeFile("demo", (tmp_path / "compose.yaml",), tmp_path.parent, env))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (f"Error: no such image\n{SYSTEMD}\n", "no such image"),
        ("Error: a\nCNI plug-in is old\nfailed to connect to syslog: x", "a"),
        ("WARNING:podman_compose:unused networks: x\nsomething", "something"),
        ("ERROR:podman_compose:Build command failed", "Build command failed"),
    ],
)
def test_noise_is_never_the_reason(said: str, expected: str) -> None:
    assert telling_line(said) == expected
