"""What must be on this machine before a process is started: looked for together, and fetched by uv."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

import pytest

from lcompose.errors import MachineError
from lcompose.preflight import fetched, here
from lcompose.spec.program import Need
from tests.unit.test_environments import environment

PACKAGES = Need("packages", "ogx==1", "llama-stack", "Mend it.", ("uv", "tool", "run", "--from", "ogx==1"))
PYTHON = Need("python", "3.12", "llama-stack", "Install Python 3.12.")
PROGRAM = Need("program", "uv", "llama-stack", "Install uv.")


def machine(folder: Path, script: str = "") -> dict[str, str]:
    """An environment whose uv is a script, that notes what it was asked."""
    tools = folder / "bin"
    tools.mkdir()
    if script:
        uv = tools / "uv"
        uv.write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\n{script}\n')
        uv.chmod(0o755)
    return {"PATH": f"{tools}:/usr/bin:/bin"}


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text().splitlines()


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    needs = (
        PROGRAM,
        PYTHON,
        Need("folder", f"{tmp_path}/gone", "lightspeed-stack", "Clone it."),
        Need("file", f"{tmp_path}/bin", "lightspeed-stack", "Correct it."),
        Need("program", "sh", "inference", "Install sh."),
    )
    with pytest.raises(MachineError) as caught:
        here((*needs, PROGRAM), machine(tmp_path), ["web: another program has 127.0.0.1:80. Stop it."])
    assert caught.value.details == (
        "llama-stack: the program uv is not installed. Install uv.",
        f"lightspeed-stack: there is no folder {tmp_path}/gone. Clone it.",
        f"lightspeed-stack: there is no {tmp_path}/bin. Correct it.",
        "web: another program has 127.0.0.1:80. Stop it.",
    )


def test_where_all_is_here_nothing_is_said(tmp_path: Path) -> None:
    here((PROGRAM, PYTHON, PACKAGES, Need("folder", str(tmp_path), "a", "")), machine(tmp_path, "exit 0"))


@pytest.mark.parametrize("name", ["UV_PYTHON_DOWNLOADS=never", "UV_OFFLINE=1"])
def test_a_python_that_may_not_be_fetched_must_be_here(tmp_path: Path, name: str) -> None:
    variable, _, value = name.partition("=")
    env = machine(tmp_path, "exit 2")
    here((PYTHON,), env)
    with pytest.raises(MachineError) as caught:
        here((PYTHON,), {**env, variable: value})
    assert caught.value.details == (
        "There is no Python 3.12 that uv finds, and it may fetch none. Install Python 3.12.",
    )


def test_what_is_here_is_not_fetched(tmp_path: Path) -> None:
    told: list[str] = []
    fetched((PYTHON, PACKAGES), machine(tmp_path, "exit 0"), 5, told.append)
    assert told == []
    assert asked(tmp_path) == [
        "python find --no-python-downloads >=3.12",
        "tool run --offline --from ogx==1 python -c import sys; print(sys.prefix)",
    ]


def test_what_is_not_here_is_fetched_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    env = machine(tmp_path, 'case "$*" in *find*|*--offline*) exit 1;; esac')
    fetched((PYTHON, PACKAGES), env, 5, told.append)
    assert told == ["uv fetches Python 3.12", "llama-stack: uv fetches ogx==1"]
    assert asked(tmp_path)[1::2] == [
        "python install 3.12",
        "tool run --compile-bytecode --from ogx==1 python -c import sys; print(sys.prefix)",
    ]


def test_what_cannot_be_fetched_is_told_in_uvs_words(tmp_path: Path) -> None:
    env = machine(tmp_path, 'case "$*" in *--compile*) echo "error: no such host" >&2; exit 2;; *--off*) exit 1;; esac')
    with pytest.raises(MachineError) as caught:
        fetched((PACKAGES,), env, 5, lambda _: None)
    assert (caught.value.what, caught.value.details) == (
        "ogx==1 cannot be fetched for llama-stack",
        ("error: no such host",),
    )


def test_an_environment_that_uv_has_made_is_not_asked_for_again(tmp_path: Path) -> None:
    made = environment(tmp_path, "a")
    env = machine(tmp_path, f"echo {made}") | {"XDG_STATE_HOME": str(tmp_path)}
    fetched((PYTHON, PACKAGES), env, 5, lambda _: None)
    before = asked(tmp_path)
    fetched((PYTHON, PACKAGES), env, 5, lambda _: None)
    assert asked(tmp_path) == before
    rmtree(made)
    fetched((PYTHON, PACKAGES), env, 5, lambda _: None)
    assert asked(tmp_path) == before * 2
