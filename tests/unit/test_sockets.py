"""Processes that listen on a socket that is a file: what is refused, where it lies, and how it is asked."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lcompose.engines.local_sockets import make_room
from lcompose.errors import EngineError, UsageError
from lcompose.observe import ask
from lcompose.programs import programs
from lcompose.spec.program import Natively
from lcompose.spec.project import Probe
from lcompose.spec.target import TargetFacts
from lcompose.targets import Place, translate
from lcompose.targets.local import localised
from lcompose.targets.sockets import callers
from lcompose.workspace import Options, Workspace, open_workspace
from tests.native import Native, native, wait_until
from tests.unit.given import LIGHTSPEED

LCORE = "services.lightspeed-stack.local"
TOLD = (f"{LCORE}.command=serve --uds {{socket}}", f"{LCORE}.socket=run/core.sock")
# Answers over HTTP at a socket.
SERVER = """
import http.server, socketserver, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"overall_status": "healthy"}')
    def log_message(self, *_): pass
    def address_string(self): return ""
class Server(socketserver.UnixStreamServer):
    def get_request(self): return self.socket.accept()[0], ("", 0)
Server(sys.argv[1], Answer).serve_forever()
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Native]:
    with native(tmp_path) as project:
        yield project


def workspace(folder: Path, *sets: str) -> Workspace:
    (folder / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (folder / "run.yaml").write_text("distro_name: a\nproviders: {}\n")
    options = Options(directory=str(folder), project_name="demo", sets=sets)
    return open_workspace(options, {"HOME": "/home/me"}, allow_missing=True, runtime="local")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("sets", "path", "what"),
    [
        (
            ("local.socket=x.sock",),
            "services.llama-stack.local.socket",
            "what lcompose starts by itself listens at a port: only a program that you name can listen on a socket",
        ),
        (
            ("local.socket=x.sock", "local.command=ogx --uds {socket}"),
            "services.llama-stack.local.socket",
            "lightspeed-stack can ask llama-stack at a port only",
        ),
        (
            (f"{LCORE}.socket=x.sock", f"{LCORE}.command=serve"),
            f"{LCORE}.socket",
            "nothing tells the program where it is to listen: write {socket} in its command, args or env",
        ),
        (TOLD, "", ""),
        ((TOLD[1], f"{LCORE}.command=serve", f"{LCORE}.args=--uds={{socket}}"), "", ""),
        ((TOLD[1], f"{LCORE}.command=serve", f"{LCORE}.env.PLACE={{socket}}"), "", ""),
    ],
)
def test_a_socket_is_for_a_program_that_is_told_and_that_no_service_asks(
    tmp_path: Path, sets: tuple[str, ...], path: str, what: str
) -> None:
    checkout = () if any(LCORE in one for one in sets) else (f"{LCORE}.workingDir=src",)
    found = workspace(tmp_path, *checkout, *sets)
    findings = programs(found.resolved, found.settings, str(tmp_path), "/home/me").findings
    assert [(one.path, one.what) for one in findings] == ([(path, what)] if what else [])


def test_what_is_a_container_asks_at_a_port_too(tmp_path: Path) -> None:
    project = workspace(tmp_path).resolved.project
    alone = replace(project, services=(project.service("llama-stack"),))
    assert list(callers("llama-stack", alone)) == ["lightspeed-stack.yaml"]
    assert list(callers("llama-stack", project)) == ["lightspeed-stack"]


# ---------------------------------------------------------------- where it lies


def facts_of(folder: Path, *sets: str) -> tuple[Natively, Place]:
    found = workspace(folder, *sets)
    made = programs(found.resolved, found.settings, str(folder), "/home/me")
    return Natively(made.programs), Place("/state/demo", {}, str(folder))


def test_its_path_is_in_the_projects_place_and_in_the_programs_words(tmp_path: Path) -> None:
    sets = (*TOLD, f"{LCORE}.env.PLACE=unix:{{socket}}")
    natively, place = facts_of(tmp_path, *sets)
    project = workspace(tmp_path, *sets).resolved.project
    facts = TargetFacts("local", "run", natively=natively)
    one = localised(project, facts, place).service("lightspeed-stack")
    assert one.command[:3] == ("serve", "--uds", "/state/demo/run/core.sock")
    assert one.probe == Probe(
        8080, "/readiness", field="overall_status", expected="healthy", socket="/state/demo/run/core.sock"
    )
    assert (one.ports, one.healthcheck) == ((), None)
    text = translate(project, facts, place).main.text
    assert ("PLACE: unix:/state/demo/run/core.sock" in text.replace('"', ""), "{socket}" in text) == (True, False)


@pytest.mark.parametrize(
    ("said", "meant"), [("/run/core.sock", "/run/core.sock"), ("~/core.sock", "/home/me/core.sock")]
)
def test_a_path_of_ones_own_is_taken_as_it_is(tmp_path: Path, said: str, meant: str) -> None:
    natively, place = facts_of(tmp_path, TOLD[0], f"{LCORE}.socket={said}")
    project = workspace(tmp_path, TOLD[0], f"{LCORE}.socket={said}").resolved.project
    one = localised(project, TargetFacts("local", "run", natively=natively), place).service("lightspeed-stack")
    assert one.probe and one.probe.socket == meant


@pytest.mark.parametrize(("length", "fits"), [(107, True), (108, False)])
def test_a_path_that_is_too_long_for_the_kernel_is_refused(tmp_path: Path, length: int, *, fits: bool) -> None:
    said = f"/{'s' * (length - 1)}"
    natively, place = facts_of(tmp_path, TOLD[0], f"{LCORE}.socket={said}")
    project = workspace(tmp_path, TOLD[0], f"{LCORE}.socket={said}").resolved.project
    facts = TargetFacts("local", "run", natively=natively)
    if fits:
        assert localised(project, facts, place).service("lightspeed-stack").probe
        return
    with pytest.raises(UsageError, match="108 bytes long, and the kernel takes 107") as caught:
        localised(project, facts, place)
    assert caught.value.where == f"{LCORE}.socket"


# ---------------------------------------------------------------- how it is started and asked


def server(here: Native, path: Path, **more: object) -> str:
    (here.folder / "server.py").write_text(SERVER)
    probe = {"port": 1, "path": "/", "field": "overall_status", "expected": "healthy", "socket": str(path)}
    command = [sys.executable, str(here.folder / "server.py"), str(path)]
    return here.create({"web": {"command": command, "probe": probe, **more}})["web"].id


def test_it_is_asked_at_its_socket(here: Native) -> None:
    path = here.folder / "run" / "a.sock"
    container = server(here, path)
    probe = here.of(container).probe
    assert probe
    here.engine.start(container)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    wait_until(lambda: ask(here.engine, probe, here.of(container)).ok)
    assert ask(here.engine, probe, here.of(container)).detail == "overall_status: healthy"
    here.engine.stop(container, 1)
    assert ask(here.engine, probe, here.of(container)).detail == f"nobody answers at {path} yet"
    # What it leaves is in nobody's way, and gone with it.
    here.engine.start(container)
    wait_until(lambda: ask(here.engine, probe, here.of(container)).ok)
    here.engine.start(container)
    here.engine.remove([container])
    assert not path.exists()


def test_started_again_by_its_policy_it_finds_its_place_free(here: Native) -> None:
    path = here.folder / "a.sock"
    container = server(here, path, restart="always")
    here.engine.start(container)
    probe = here.of(container).probe
    assert probe
    wait_until(lambda: ask(here.engine, probe, here.of(container)).ok)
    os.kill(here.state(container).pid[0], signal.SIGKILL)
    wait_until(lambda: here.of(container).restarts == 1)
    wait_until(lambda: ask(here.engine, probe, here.of(container)).ok)
    assert here.of(container).restarts == 1


def test_who_listens_there_already_is_not_pushed_aside(here: Native) -> None:
    path = here.folder / "a.sock"
    container = server(here, path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(EngineError, match="web cannot listen there: another program does"):
            here.engine.start(container)
    assert path.exists()
    # Nobody listens any more.
    here.engine.start(container)
    probe = here.of(container).probe
    assert probe
    wait_until(lambda: ask(here.engine, probe, here.of(container)).ok)


def test_a_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("mine")
    with pytest.raises(EngineError, match="a file that is no socket is in the way"):
        make_room("web", path)
    assert path.read_text() == "mine"
    with pytest.raises(EngineError, match="File exists"):
        make_room("web", path / "below.sock")
