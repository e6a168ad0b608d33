"""lcompose up with processes: stand-ins as a person would name them, and the real Llama Stack through uv."""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SECRET, Lcompose, free_port
from tests.real import lcore_checkout, uv_environment

# Answers like the two services, at the port and in the shape that their documents say.
SERVICE = """
import http.server, json, os, sys, yaml
tree = yaml.safe_load(open(sys.argv[-1]))
listens = tree.get("service") or tree["server"]
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url, key = (tree.get("ogx") or {}).get("url"), len(os.environ.get("KEY", ""))
        body = {"overall_status": "healthy", "url": url, "key": key}
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(body).encode())
    def log_message(self, *_): pass
print("listens", flush=True)
http.server.ThreadingHTTPServer((listens["host"], listens["port"]), Answer).serve_forever()
"""
LIGHTSPEED = """
name: here
service: {{port: {lcore}}}
ogx: {{url: "http://localhost:{server}"}}
user_data_collection: {{feedback_enabled: true, feedback_storage: data/feedback}}
runtime: local
"""
RUN = """
version: 2
distro_name: here
apis: [inference]
providers: {inference: [{provider_id: a, provider_type: 'remote::openai', config: {api_key: '${env.KEY}'}}]}
storage:
  backends:
    kv_default: {type: kv_sqlite, db_path: db/kv.db}
    sql_default: {type: sql_sqlite, db_path: db/sql.db}
  stores:
    metadata: {backend: kv_default, namespace: registry}
    inference: {backend: sql_default, table_name: inference_store}
    conversations: {backend: sql_default, table_name: conversations}
    prompts: {backend: sql_default, table_name: prompts}
    connectors: {backend: sql_default, table_name: connectors}
"""


class Here:
    """A folder with a stack of processes, on ports of its own."""

    def __init__(self, folder: Path, lcompose: Lcompose, state: Path) -> None:
        self.folder, self._lcompose, self.state = folder, lcompose, state
        self.lcore, self.server = free_port(), free_port()
        (folder / "lightspeed-stack.yaml").write_text(LIGHTSPEED.format(lcore=self.lcore, server=self.server))
        (folder / "run.yaml").write_text(RUN)
        (folder / "service.py").write_text(SERVICE)

    def settings(self, server: str, lcore: str) -> None:
        text = f"services:\n  llama-stack: {{local: {server}}}\n  lightspeed-stack: {{local: {lcore}}}\n"
        (self.folder / "lcompose.yaml").write_text(text)

    def stand_ins(self) -> None:
        program = json.dumps({"command": f"{sys.executable} {self.folder}/service.py"})
        self.settings(program, program)

    def run(self, *words: str, **env: str):  # type: ignore[no-untyped-def]
        return self._lcompose(*words, "-p", "here", cwd=self.folder, env={"KEY": SECRET, **env})

    def answer(self, port: int, path: str = "/readiness") -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return dict(json.load(reply))


@pytest.fixture
def here(tmp_path: Path, lcompose: Lcompose, state: Path) -> Iterator[Here]:
    made = Here(tmp_path, lcompose, state)
    yield made
    assert made.run("down", "--volumes").code == 0


def test_a_stack_of_processes_is_driven_as_one_of_containers(here: Here) -> None:
    here.stand_ins()
    up = here.run("up")
    assert (up.code, f"http://127.0.0.1:{here.lcore}" in up.out) == (0, True), up.err
    assert here.answer(here.lcore)["url"] == f"http://127.0.0.1:{here.server}"
    assert here.answer(here.server)["key"] == len(SECRET)
    again = here.run("up")
    assert "there was nothing to do" in again.out
    rows = json.loads(here.run("status", "--json").out)["services"]
    assert {row["service"]: row["state"] for row in rows} == {"lightspeed-stack": "ready", "llama-stack": "ready"}
    assert "listens" in here.run("logs", "llama-stack").out
    # Nothing of it is in any file, whoever wrote that.
    assert [one for one in here.state.rglob("*") if one.is_file() and SECRET.encode() in one.read_bytes()] == []
    assert here.run("down").code == 0
    assert json.loads(here.run("status", "--json").out)["services"] == []


def test_volumes_stay_until_they_are_asked_for(here: Here) -> None:
    here.stand_ins()
    assert here.run("up").code == 0
    (volume,) = here.state.glob("lcompose/*/here/volumes/llama-stack-data")
    (volume / "kept").write_text("x")
    assert (here.run("down").code, (volume / "kept").exists()) == (0, True)
    assert (here.run("down", "--volumes").code, volume.exists()) == (0, False)


def test_another_port_is_where_the_process_listens(here: Here) -> None:
    here.stand_ins()
    other = free_port()
    assert here.run("up", "--set", f"services.llama-stack.ports={other}:{here.server}").code == 0
    assert here.answer(here.lcore)["url"] == f"http://127.0.0.1:{other}"
    assert here.answer(other)["key"] == len(SECRET)


def test_a_changed_configuration_makes_only_what_reads_it_anew(here: Here) -> None:
    here.stand_ins()
    assert here.run("up").code == 0
    (here.folder / "run.yaml").write_text(RUN.replace("distro_name: here", "distro_name: other"))
    plan = json.loads(here.run("up", "--dry-run", "--json").out)["plan"]
    assert [step["target"] for step in plan if step["verb"] == "remove"] == ["here-llama-stack-1"]


def test_a_process_that_dies_is_told_with_its_code_and_last_words(here: Here) -> None:
    here.stand_ins()
    (here.folder / "service.py").write_text("import sys; print('no luck', flush=True); sys.exit(3)")
    up = here.run("up")
    assert up.code == 5
    assert "it exited with code 3" in up.out + up.err
    assert "no luck" in up.out + up.err


def test_nothing_is_started_where_something_is_missing(here: Here) -> None:
    here.settings("{command: no-such-server}", "{workingDir: ./gone}")
    up = here.run("up", PATH="/usr/bin:/bin")
    assert up.code == 4
    for line in (
        "llama-stack: the program no-such-server is not installed.",
        f"lightspeed-stack: there is no {here.folder}/gone/src/lightspeed_stack.py.",
        "lightspeed-stack: the program uv is not installed.",
    ):
        assert line in up.err
    assert json.loads(here.run("status", "--json").out)["services"] == []


def test_lightspeed_core_without_a_checkout_is_one_clear_error(here: Here) -> None:
    up = here.run("up")
    assert up.code == 2
    assert "services.lightspeed-stack.local.workingDir" in up.err


# Lightspeed Core's part, at a socket that is a file.
AT_SOCKET = """
import http.server, socketserver, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"overall_status": "healthy"}')
    def log_message(self, *_): pass
class Server(socketserver.ThreadingUnixStreamServer):
    def get_request(self): return self.socket.accept()[0], ("", 0)
Server(sys.argv[1], Answer).serve_forever()
"""


def at_socket(here: Here, place: str) -> None:
    (here.folder / "core.py").write_text(AT_SOCKET)
    server = json.dumps({"command": f"{sys.executable} {here.folder}/service.py"})
    core = json.dumps({"command": f"{sys.executable} core.py {{socket}}", "socket": place})
    here.settings(server, core)


def test_a_service_listens_at_a_socket_and_is_asked_there(here: Here) -> None:
    at_socket(here, "run/core.sock")
    up = here.run("up")
    assert up.code == 0, up.err
    (path,) = here.state.glob("lcompose/*/here/run/core.sock")
    assert (f"unix:{path}" in up.out, path.parent.stat().st_mode & 0o777) == (True, 0o700)
    rows = {row["service"]: row for row in json.loads(here.run("status", "--json").out)["services"]}
    assert (rows["lightspeed-stack"]["state"], rows["lightspeed-stack"]["ports"]) == ("ready", f"unix:{path}")
    assert "there was nothing to do" in here.run("up").out
    assert here.run("down").code == 0
    assert not path.exists()


def test_where_another_program_listens_at_its_socket_nothing_is_started(here: Here) -> None:
    place = here.folder / "core.sock"
    at_socket(here, str(place))
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        other.listen()
        up = here.run("up")
    assert (up.code, f"lightspeed-stack: another program listens at {place}. Stop it" in up.err) == (4, True)
    assert json.loads(here.run("status", "--json").out)["services"] == []


# Takes the other one's port once nobody looks any more, and answers there as that would.
THIEF = """
import http.server, sys, threading
class Stolen(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"overall_status": "healthy"}')
    def log_message(self, *_): pass
stolen = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Stolen)
threading.Thread(target=stolen.serve_forever, daemon=True).start()
"""
LATE = "import sys, time\nsys.excepthook = lambda kind, error, where: print(error)\ntime.sleep(1)\n"


def test_a_port_that_is_stolen_between_the_check_and_the_start_is_never_taken_for_ready(here: Here) -> None:
    (here.folder / "thief.py").write_text(THIEF + SERVICE)
    (here.folder / "late.py").write_text(LATE + SERVICE)
    thief = json.dumps({"command": f"{sys.executable} thief.py {here.lcore}"})
    here.settings(thief, json.dumps({"command": f"{sys.executable} late.py"}))
    up = here.run("up")
    assert up.code == 5, up.out + up.err
    assert "lightspeed-stack" in up.err
    assert "it exited with code 1" in up.out + up.err
    assert "Address already in use" in up.out + up.err


NO_ENGINES = {"DOCKER_HOST": "unix:///nowhere", "CONTAINER_HOST": "unix:///nowhere", "LCOMPOSE_RUNTIME": ""}


def test_where_no_engine_answers_processes_are_taken_and_that_is_said(here: Here) -> None:
    here.stand_ins()
    lightspeed = here.folder / "lightspeed-stack.yaml"
    lightspeed.write_text(lightspeed.read_text().replace("runtime: local\n", ""))
    tools = here.folder / "bin"
    tools.mkdir()
    env = {**NO_ENGINES, "PATH": f"{tools}"}
    strict = here.run("up", "--strict-runtime", **env)
    assert strict.code == 4
    assert "run as processes, and not as containers" in strict.err
    asked = here.run("up", "--engine", "docker", **env)
    assert (asked.code, "no container engine can be used" in asked.err) == (4, True)
    up = here.run("up", **env)
    assert up.code == 0, up.err
    assert "warning: run as processes, and not as containers: llama-stack, lightspeed-stack" in up.err
    # The other commands find it without any option.
    rows = json.loads(here.run("status", "--json", **env).out)["services"]
    assert {row["state"] for row in rows} == {"ready"}


def test_what_is_rendered_for_processes_can_be_read(here: Here) -> None:
    here.stand_ins()
    done = here.run("render", "--json", "-o", "out")
    assert done.code == 0, done.err
    value = json.loads(done.out)
    assert "processes.yaml" in value["documents"]
    assert {one["after"] for one in value["changes"] if one["path"] == "server.host"} == {"127.0.0.1"}
    # What is meant for containers is rendered all the same.
    docker = here.run("render", "--for", "docker")
    assert "image:" in docker.out


# ---------------------------------------------------------------- the real one


def test_the_real_llama_stack_runs_natively_and_answers(here: Here) -> None:
    env = uv_environment()
    lcore_checkout(here.folder)
    here.settings("{}", "{workingDir: ./checkout}")
    up = here.run("up", "--wait-timeout", "120", **env)
    if up.code == 4 and "cannot be fetched" in up.err:
        pytest.skip(f"the package index cannot be reached: {up.err[-200:]}")
    assert up.code == 0, up.err
    assert here.answer(here.server, "/v1/health") == {"status": "OK"}
    assert here.answer(here.lcore)["overall_status"] == "healthy"
    (data,) = here.state.glob("lcompose/*/here/volumes/llama-stack-data")
    assert {"kv.db", "sql.db"} <= {one.name for one in data.rglob("*.db")}
