"""What 'status' tells of each service, of a process as of a container."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lcompose.cli.status import _row, command
from lcompose.readiness import Verdict
from lcompose.standing import Standing
from tests.native import PROJECT, Native, native, wait_until
from tests.unit.given import container

# What a person is told of each service; the keys stay as they are.
KEYS = (
    *("service", "runtime", "state", "health", "restarts", "ports", "detail", "drifted", "exit_code", "error"),
    *("container", "name", "pid", "image", "image_id", "started_at", "finished_at", "log"),
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Native]:
    with native(tmp_path) as project:
        yield project


def status(here: Native, *words: str) -> str:
    done = CliRunner().invoke(command, ["-C", str(here.folder), "-p", PROJECT, *words], env=here.env)
    return done.output


def rows(here: Native) -> dict[str, dict[str, Any]]:
    return {row["service"]: row for row in json.loads(status(here, "--json"))["services"]}


def test_of_a_process_all_is_told_that_is_told_of_a_container(here: Native) -> None:
    container = here.started("echo up; exec sleep 1000")
    row = rows(here)["web"]
    assert tuple(row) == KEYS
    assert (row["runtime"], row["name"], row["pid"]) == ("local", "demo-web-1", here.state(container).pid[0])
    assert (row["started_at"], row["finished_at"], row["exit_code"]) == (here.state(container).started, 0, None)
    here.engine.stop(container, 1)
    row = rows(here)["web"]
    assert (row["pid"], row["exit_code"], row["finished_at"]) == (0, 143, here.state(container).finished)


def test_the_file_that_a_process_prints_into_is_named(here: Native) -> None:
    container = here.started("echo up; exec sleep 1000")
    wait_until(lambda: here.said(container))
    assert Path(rows(here)["web"]["log"]).read_text().endswith(" up\n")


def test_a_log_that_was_kept_of_a_container_is_named(tmp_path: Path) -> None:
    standing = Standing("web", container("web", "exited"), "offline", "unknown", Verdict("done", ""))
    assert _row(standing, tmp_path)["log"] == ""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "latest.log").write_text("up")
    assert _row(standing, tmp_path)["log"] == f"{tmp_path}/web/latest.log"


def test_what_cannot_be_started_has_its_error(here: Native) -> None:
    here.create({"web": {"command": ["/no/such/program"]}})
    with pytest.raises(Exception, match="is not there"):
        here.engine.start(here.all()["web"].id)
    row = rows(here)["web"]
    assert (row["state"], row["exit_code"], row["error"]) == ("error", 127, "the program /no/such/program is not there")


def test_the_table_says_local_where_there_are_processes(here: Native) -> None:
    here.started("exec sleep 1000")
    header, line = status(here).splitlines()
    assert (header.split()[:3], line.split()[:2]) == (["SERVICE", "RUNTIME", "STATE"], ["web", "local"])


def test_where_nothing_runs_that_is_said_in_words(here: Native) -> None:
    assert status(here, "--runtime", "local").startswith("demo: nothing runs as processes.")


def test_of_a_container_the_same_is_told(tmp_path: Path) -> None:
    one = container("web", pid=7, started=1.0, ports=((80, "127.0.0.1", 8080),))
    row = _row(Standing("web", one, "ready", "healthy", Verdict("ready", "HTTP 200")), tmp_path)
    assert tuple(row) == KEYS
    assert (row["runtime"], row["pid"], row["ports"]) == ("container", 7, "127.0.0.1:8080")
