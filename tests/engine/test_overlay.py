"""``compose:`` on real engines: an MCP server between ours, a proxy in front, and both sides wait for each other."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Lcompose, Model, clean_environment, free_port, image_options, succeed
from tests.engine.images import variables
from tests.engine.test_main_job import folder, left_behind, ports, project
from tests.engine.test_rendered_files_start import wait_until_healthy

__all__ = ["folder", "project"]

# The page is a file of the person's folder, the answer a config: whoever serves both has found all.
SETTINGS = """
version: 1
compose:
  services:
    mcp:
      image: {image}
      command: [python3, -m, http.server, "3000", --directory, /www]
      volumes: ["./site:/www:ro"]
      environment: {{MY_TOKEN: , LEVEL: "${{LEVEL:-info}}"}}
      configs: [{{source: motd, target: /motd}}]
      secrets: [password]
      healthcheck:
        test: test "$$(cat /motd /run/secrets/password)" = "hello from a variable"
        interval: 1s
        start_interval: 1s
        start_period: 5s
      stop_grace_period: 1s
    llama-stack:
      depends_on: {{mcp: {{condition: service_healthy}}}}
      environment: [ADDED=by hand]
      pids_limit: !override 500
    unwanted: !reset null
    proxy:
      image: {image}
      command: [python3, /proxy.py]
      volumes:
      - {{type: bind, source: proxy.py, target: /proxy.py, read_only: true}}
      depends_on: [lightspeed-stack]
      ports: ["127.0.0.1:${{FRONT}}:80"]
      stop_grace_period: 1s
      x-lcompose: {{probe: {{port: 80, path: /liveness}}}}
  configs: {{motd: {{content: "hello "}}}}
  secrets: {{password: {{environment: SPOKEN}}}}
"""
# In a profile, so that both are merged. Compose's own waiting takes the end of a job for a failure, so that
# one is for lcompose alone.
PROFILE = """
description: A job that must be done first.
extends: dev
compose:
  services:
    prepared:
      image: {image}
      command: [cat, /site/page.html]
      volumes: ["./site:/site:ro"]
      x-lcompose: {{role: oneshot}}
    unwanted: {{image: nowhere.example/gone:1}}
    mcp:
      depends_on: {{prepared: {{condition: service_completed_successfully}}}}
"""
PROXY = """
import http.server, urllib.request

class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with urllib.request.urlopen("http://lightspeed-stack:8080" + self.path) as answer:
            body = answer.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", 80), Proxy).serve_forever()
"""


@pytest.fixture
def front(folder: Path) -> int:
    """The person's folder has more in it; the port of the proxy."""
    (folder / "site").mkdir()
    (folder / "site" / "page.html").write_text("a page")
    (folder / "proxy.py").write_text(PROXY)
    return free_port()


def answer(port: int, path: str) -> bytes:
    """What the proxy answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        found: bytes = response.read()
    return found


def inspected(engine: str, project: str, service: str) -> dict[str, Any]:
    """The container of a service, as its engine describes it."""
    labels = [f"label=com.docker.compose.{key}={value}" for key, value in (("project", project), ("service", service))]
    filters = [part for label in labels for part in ("--filter", label)]
    ids = subprocess.run([engine, "ps", "-aq", *filters], capture_output=True, text=True, check=True).stdout.split()
    done = subprocess.run([engine, "inspect", *ids], capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)
    return dict(found)


def test_further_services_start_before_and_after_ours(
    engine: str, project: str, folder: Path, front: int, images: list[str], model: Model, lcompose: Lcompose
) -> None:
    (folder / "lcompose.yaml").write_text(SETTINGS.format(image=variables(engine)["IMAGE"]))
    options, _, _ = ports()
    (folder / "mine.yaml").write_text(PROFILE.format(image=variables(engine)["IMAGE"]))
    arguments = ["-p", project, "--engine", engine, "--profile", "./mine.yaml", *images, *options]
    env = {**model.variables(engine), "FRONT": str(front), "SPOKEN": "from a variable", "MY_TOKEN": "very-secret"}
    planned = lcompose("up", "--dry-run", *arguments, cwd=folder, env=env)
    assert planned.code == 0, planned.err
    up = lcompose("up", "--wait-timeout", "60", *arguments, cwd=folder, env=env)
    assert up.code == 0, up.err + up.out
    assert "very-secret" not in up.out + up.err
    assert f"127.0.0.1:{front}" in up.out
    assert b"alive" in answer(front, "/liveness")
    began = {
        name: inspected(engine, project, name)["State"]["StartedAt"] for name in ("prepared", "mcp", "llama-stack")
    }
    assert list(began) == sorted(began, key=lambda name: began[name])
    variables_of = {
        name: dict(pair.split("=", 1) for pair in inspected(engine, project, name)["Config"]["Env"])
        for name in ("mcp", "llama-stack")
    }
    assert (variables_of["mcp"]["MY_TOKEN"], variables_of["mcp"]["LEVEL"]) == ("very-secret", "info")
    assert variables_of["llama-stack"]["ADDED"] == "by hand"
    status = lcompose("status", "-p", project, "--engine", engine, cwd=folder)
    assert status.code == 0 and "proxy" in status.out, status.out
    again = lcompose("up", *arguments, cwd=folder, env=env)
    assert "there was nothing to do" in again.out, again.out
    before = {name: inspected(engine, project, name)["Id"] for name in ("proxy", "mcp", "lightspeed-stack")}
    # As an editor does it: another file takes its place, which a running container never sees.
    (folder / "proxy.py").replace(folder / "proxy.old")
    (folder / "proxy.py").write_text(PROXY.replace("+ self.path", '+ self.path + "?edited"'))
    edited = lcompose("up", *arguments, cwd=folder, env=env)
    assert edited.code == 0 and "./proxy.py was changed" in edited.out + edited.err, edited.out + edited.err
    after = {name: inspected(engine, project, name)["Id"] for name in before}
    assert {name for name in before if before[name] != after[name]} == {"proxy"}
    assert b"alive" in answer(front, "/liveness")
    down = lcompose("down", "-p", project, "--engine", engine, "--volumes", cwd=folder)
    assert down.code == 0, down.err
    assert left_behind(engine, project) == {"containers": [], "networks": [], "volumes": []}


@pytest.mark.docker
def test_the_one_file_with_further_services_starts_through_a_pipe(
    docker: str,
    folder: Path,
    front: int,
    built: Callable[[str], dict[str, str]],
    model: Model,
    lcompose: Lcompose,
    name: str,
) -> None:
    (folder / "lcompose.yaml").write_text(SETTINGS.format(image=variables(docker)["IMAGE"]))
    options, lcore, _ = ports()
    arguments = ["-p", name, *image_options(built(docker)), *options]
    env = {**model.variables(docker), "FRONT": str(front), "SPOKEN": "from a variable"}
    rendered = lcompose("render", *arguments, cwd=folder, env=env)
    assert rendered.code == 0, rendered.err
    argv = [docker, "compose", "-f", "-", "up", "--detach", "--wait", "--wait-timeout", "60"]
    succeed(argv, timeout=90, cwd=folder, env=clean_environment(**env), stdin=rendered.out)
    wait_until_healthy(lcore)
    assert b"alive" in answer(front, "/liveness")


@pytest.fixture
def name(lcompose: Lcompose, tmp_path: Path) -> Iterator[str]:
    """A project name that is taken down whatever happens."""
    chosen = f"test-overlay-{os.getpid()}-{free_port()}"
    yield chosen
    lcompose("down", "-p", chosen, "--engine", "docker", "--volumes", cwd=tmp_path)
