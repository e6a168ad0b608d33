"""Containers and processes in one stack: the real Llama Stack in a container, and what it calls, or who calls it,
as a process of this machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MOCK_LLM, QUICKSTART, SECRET, Lcompose, Model, Ran, free_port, lcompose_child
from tests.engine.test_main_job import left_behind, query

# An inference server, at the address and port that it is told like vLLM.
SERVER = f"""
import sys
from http.server import ThreadingHTTPServer
sys.path.insert(0, {str(MOCK_LLM.parent)!r})
from mock_llm import Handler
port = int(sys.argv[sys.argv.index("--port") + 1])
print("the model is loaded", flush=True)
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
# In the place of Lightspeed Core: a query is a question to Llama Stack, at the address of its document.
LCORE = """
import json, sys, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import yaml
tree = yaml.safe_load(open(sys.argv[-1]))
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        with urllib.request.urlopen(tree["ogx"]["url"] + "/v1/health", timeout=5) as reply:
            self.told({"overall_status": "healthy" if reply.status == 200 else "unhealthy"})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with urllib.request.urlopen(tree["ogx"]["url"] + "/v1/models", timeout=5) as reply:
            models = [one["id"] for one in json.load(reply)["data"]]
        self.told({"response": f"{asked['query']} {models[0]}"})
    def told(self, body):
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(body).encode())
    def log_message(self, *_): pass
ThreadingHTTPServer((tree["service"]["host"], tree["service"]["port"]), Answer).serve_forever()
"""
INFERENCE = """
inference: vllm
model: mock-model
tool_call_parser: hermes
services:
  lightspeed-stack: {{ports: ["{lcore}:8080"]}}
  llama-stack: {{ports: ["{server}:8321"]}}
  inference:
    runtime: local
    ports: ["{inference}:8000"]
    local: {{command: "{python} {folder}/server.py"}}
"""

CALLER = """
profiles: [prod]
services:
  lightspeed-stack:
    runtime: local
    ports: ["{lcore}:8080"]
    local: {{command: {command}}}
"""


class Mixed:
    """A person's folder with a stack of both, on an engine."""

    def __init__(self, engine: str, folder: Path, lcompose: Lcompose, state: Path, images: list[str]) -> None:
        self.engine, self.folder, self._lcompose, self.state, self.images = engine, folder, lcompose, state, images
        self.project = f"mixed-{engine}-{os.getpid()}-{free_port()}"
        self.lcore, self.server, self.inference = free_port(), free_port(), free_port()
        (folder / "lightspeed-stack.yaml").write_text((QUICKSTART / "lightspeed-stack.yaml").read_text())
        (folder / "server.py").write_text(SERVER)
        (folder / "lcore.py").write_text(LCORE)
        ports = {"lcore": self.lcore, "server": self.server, "inference": self.inference}
        self.settings = INFERENCE.format(python=sys.executable, folder=folder, **ports)
        (folder / "lcompose.yaml").write_text(self.settings)

    def run(self, command: str, *words: str, cwd: Path | None = None) -> Ran:
        images = self.images if command == "up" else []
        common = ("-p", self.project, "--engine", self.engine)
        return self._lcompose(command, *words, *common, *images, cwd=cwd or self.folder)

    def child(self, *words: str) -> subprocess.Popen[str]:
        common = ("-p", self.project, "--engine", self.engine, *self.images)
        return lcompose_child("up", *common, *words, cwd=self.folder, state=self.state, env={})

    def states(self) -> dict[str, str]:
        found = json.loads(self.run("status", "--json").out)["services"]
        return {row["service"]: row["state"] for row in found}

    def left(self) -> dict[str, list[str]]:
        """What there is of it on either side."""
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        ours = [line for line in running.splitlines() if f"{self.folder}/" in line and "lcompose up" not in line]
        volumes = [str(one) for one in self.state.glob(f"lcompose/*/{self.project}/volumes/*")]
        found = {**left_behind(self.engine, self.project), "processes": ours, "folders": volumes}
        return {kind: one for kind, one in found.items() if one}

    def posted(self, text: str) -> str:
        return str(query(self.lcore, text)["response"])


@pytest.fixture
def mixed(engine: str, lcompose: Lcompose, tmp_path: Path, state: Path, images: list[str]) -> Iterator[Mixed]:
    folder = tmp_path / "stack"
    folder.mkdir()
    made = Mixed(engine, folder, lcompose, state, images)
    yield made
    assert made.run("down", "--volumes").code == 0
    assert made.left() == {}


def test_a_model_of_this_machine_answers_containers_and_all_goes_away(mixed: Mixed, tmp_path: Path) -> None:
    up = mixed.run("up")
    assert (up.code, f"http://127.0.0.1:{mixed.inference}" in up.out) == (0, True), up.err
    assert mixed.posted("Is anybody there?") == "mock: Is anybody there?"
    assert mixed.states() == dict.fromkeys(("inference", "lightspeed-stack", "llama-stack"), "ready")
    assert "there was nothing to do" in mixed.run("up").out
    assert "the model is loaded" in mixed.run("logs", "inference").out
    assert "llama-stack | " in mixed.run("logs", "llama-stack", "--tail", "3").out
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    down = mixed.run("down", cwd=elsewhere)
    order = [down.err.index(f"{name}: offline: stopped") for name in ("lightspeed-stack", "llama-stack", "inference")]
    assert (down.code, order) == (0, sorted(order)), down.err
    assert sorted(mixed.left()) == ["folders", "volumes"]
    assert "the model is loaded" in mixed.run("logs", "inference", cwd=elsewhere).out
    assert mixed.run("down", "--volumes", cwd=elsewhere).code == 0
    assert mixed.left() == {}


def test_nobody_but_containers_of_this_machine_reaches_the_process(mixed: Mixed) -> None:
    assert mixed.run("up").code == 0
    found = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=True).stdout.splitlines()
    listening = {
        line.split()[3].rpartition(":")[0] for line in found if line.split()[3].endswith(f":{mixed.inference}")
    }
    bridges = subprocess.run(["ip", "-br", "-4", "addr"], capture_output=True, text=True, check=True).stdout
    bridge = next(one for one in listening if one != "127.0.0.1")
    (name,) = [line.split()[0] for line in bridges.splitlines() if f" {bridge}/" in line]
    assert len(listening) == 2
    assert name.startswith({"docker": "docker0", "podman": "podman"}[mixed.engine])


def test_a_process_that_dies_is_told_with_its_last_words_and_its_log_is_kept(mixed: Mixed) -> None:
    (mixed.folder / "server.py").write_text("import sys; print('no such model', flush=True); sys.exit(3)")
    up = mixed.run("up")
    assert (up.code, "it exited with code 3" in up.err, "no such model" in up.err) == (5, True, True), up.err
    assert list(mixed.state.glob(f"lcompose/*/{mixed.project}/failures/*.tar.gz"))
    (mixed.folder / "server.py").write_text(SERVER)
    assert mixed.run("up").code == 0


def test_ctrl_c_says_what_is_left_on_either_side(mixed: Mixed) -> None:
    (mixed.folder / "server.py").write_text("import time; print('loads', flush=True); time.sleep(100)")
    child = mixed.child()
    until = time.monotonic() + 60
    while "loads" not in mixed.run("logs", "inference").out:
        assert time.monotonic() < until
        time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    (left,) = [line for line in said.splitlines() if line.startswith("What is left")]
    assert f"{mixed.project}-inference-1 (running)" in left
    assert "llama-stack" in left


def test_events_of_both_sides_are_told(mixed: Mixed) -> None:
    assert mixed.run("up").code == 0
    words = ["events", "-p", mixed.project, "--engine", mixed.engine, "--json"]
    child = lcompose_child(*words, cwd=mixed.folder, state=mixed.state, env={})
    assert child.stdout is not None
    try:
        told: list[dict[str, Any]] = []
        while not any(one["service"] == "lightspeed-stack" and one["after"] == "ready" for one in told):
            told.append(json.loads(child.stdout.readline()))
        container = subprocess.run(
            [mixed.engine, "ps", "-q", "--filter", f"label=com.docker.compose.project={mixed.project}",
             "--filter", "label=com.docker.compose.service=llama-stack"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        subprocess.run([mixed.engine, "kill", container], capture_output=True, check=True)
        os.kill(_listener(mixed.inference), signal.SIGKILL)
        failed = set()
        while failed < {"inference", "llama-stack"}:
            one = json.loads(child.stdout.readline())
            failed |= {one["service"]} if one["after"] == "error" else set()
    finally:
        child.kill()
        child.communicate()


def _listener(port: int) -> int:
    found = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    (line,) = [one for one in found if one.split()[3] == f"127.0.0.1:{port}"]
    return int(line.partition("pid=")[2].partition(",")[0])


def test_what_was_a_process_may_become_a_container_and_back(mixed: Mixed, engine: str, built: Any) -> None:
    assert mixed.run("up").code == 0
    image = built(engine)["inference"]
    assert mixed.run("up", "--set", "services.inference.runtime=container", "--image", f"inference={image}").code == 0
    assert "processes" not in mixed.left()
    assert len(mixed.left()["containers"]) == 3
    assert mixed.run("up").code == 0
    assert len(mixed.left()["containers"]) == 2
    assert mixed.posted("Back?") == "mock: Back?"


def test_lightspeed_core_of_this_machine_calls_llama_stack_in_a_container(
    mixed: Mixed, model: Model, lcompose: Lcompose
) -> None:
    # In production Llama Stack is not opened: here it is, on loopback, since a process calls it.
    own = mixed.folder / "lightspeed-stack.yaml"
    own.write_text(own.read_text().replace("localhost:8321", f"localhost:{mixed.server}"))
    command = json.dumps(f"{sys.executable} {mixed.folder}/lcore.py")
    (mixed.folder / "lcompose.yaml").write_text(CALLER.format(lcore=mixed.lcore, command=command))
    words = ("up", "-p", mixed.project, "--engine", mixed.engine, *mixed.images)
    up = lcompose(*words, cwd=mixed.folder, env=model.variables(mixed.engine))
    assert up.code == 0, up.err
    assert f"llama-stack: opened on 127.0.0.1:{mixed.server} for the processes that call it" in up.err
    assert mixed.states() == {"lightspeed-stack": "ready", "llama-stack": "ready"}
    assert mixed.posted("Which?") == "Which? openai/mock-model"
    assert SECRET not in up.out + up.err
    assert [one for one in mixed.state.rglob("*") if one.is_file() and SECRET.encode() in one.read_bytes()] == []
