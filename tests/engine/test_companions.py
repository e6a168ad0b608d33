"""A real PostgreSQL as a companion: each database and user is there, and so is what is added later."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lcompose.engines.podman_provider import provider
from lcompose.lightspeed.companion_files import companion
from lcompose.lightspeed.companions import asking, needed
from lcompose.spec.project import Hardening, Project, VolumeMount
from lcompose.spec.target import TargetFacts
from lcompose.targets import Place, translate
from tests.conftest import clean_environment, free_port
from tests.images.build import PREFIX, base_for, has_image, pip_command, platforms_of
from tests.unit.given import LIGHTSPEED, config

IMAGE = f"{PREFIX}/postgres:16-3"
# A wheel with PostgreSQL 16 and pgvector in it; nothing of its Python is used.
WHEEL, PYTHON = "pgserver==0.1.4", "3.12"
# As PostgreSQL's own image starts: root gives way to a user without power, a new volume is filled by a
# server that listens at its socket alone, and from other machines a password is asked for.
ENTRYPOINT = """#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
    chown 999 "$PGDATA"
    chmod 700 "$PGDATA"
    exec setpriv --reuid 999 --regid 0 --clear-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" >/tmp/word
    initdb --username="$POSTGRES_USER" --pwfile=/tmp/word --no-sync >/dev/null 2>&1
    rm /tmp/word
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start >/dev/null
    sleep 1
    pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
"""
CONTAINERFILE = """FROM {}
RUN echo "postgres:x:999:0::/var/lib/postgresql:/bin/sh" >>/etc/passwd \\
    && mkdir -p /var/lib/postgresql/data /var/run/postgresql && chown -R 999 /var/lib/postgresql /var/run/postgresql
COPY packages /opt/packages
COPY --chmod=755 docker-entrypoint.sh /usr/local/bin/
ENV PATH=/opt/packages/pgserver/pginstall/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data
"""
# What a shell, SQL or Compose could take for its own.
NASTY = {
    "DB": "we\"ird'; DROP DATABASE postgres; $HOME %s",
    "WHO": 'o\'neil "x" `id` \\n',
    "WORD": "p'a\"s\\s $$w$(id)\\'",
}
FIRST = """
database: {postgres: {db: '${env.DB}', user: '${env.WHO}', password: '${env.WORD}'}}
conversation_cache: {type: postgres, postgres: {db: app, user: ada, password: '${env.P}'}}
"""
ADDED = """
a2a_state: {postgres: {db: later, user: bob, password: '${env.P}'}}
rag: {byok: {stores: [{rag_id: r, vector_db_id: v, backend: pgvector, db: docs, user: ada, password: '${env.P}'}]}}
"""
VALUES = {**NASTY, "P": "first-word"}


def run(*argv: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env=env and dict(env), capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="module")
def image(engine: str) -> str:
    """PostgreSQL in an image, or a skip with the reason."""
    return postgres_image(engine)


def postgres_image(engine: str) -> str:
    """Builds a stand-in for PostgreSQL's image, with the real one in it; skips with the reason if it cannot."""
    if has_image(engine, IMAGE):
        return IMAGE
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder, "packages")
        wanted = ["install", "--no-deps", "--target", str(packages), "--python-version", PYTHON]
        wanted += ["--ignore-requires-python", "--only-binary", ":all:", WHEEL]
        kinds = [part for name in platforms_of(platform.machine().lower()) for part in ("--platform", name)]
        fetched = run(*pip_command(), *wanted, *kinds, timeout=300)
        if fetched.returncode:
            pytest.skip(f"the wheel with PostgreSQL cannot be had: {fetched.stderr.strip()[-200:]}")
        Path(folder, "docker-entrypoint.sh").write_text(ENTRYPOINT)
        Path(folder, "Containerfile").write_text(CONTAINERFILE.format(base_for(engine)))
        built = run(
            engine, "build", "--network", "none", "-f", f"{folder}/Containerfile", "-t", IMAGE, folder, timeout=300
        )
        assert built.returncode == 0, built.stderr
    return IMAGE


@dataclass
class Stack:
    """A companion under one engine, started by what is rendered and by nothing of ours."""

    engine: str
    image: str
    folder: Path
    name: str
    hardening: Hardening = Hardening()

    def up(self, lightspeed: str, values: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Starts what the configuration needs, and waits for its health."""
        found = needed(asking(config(LIGHTSPEED + lightspeed, env=values), frozenset(), server=True), {})
        assert not found.findings
        services = tuple(replace(one, image=self.image, hardening=self.hardening) for one in found.services)
        volumes = [mount.volume for one in services for mount in one.mounts if isinstance(mount, VolumeMount)]
        project = Project(self.name, services, found.documents, tuple(volumes))
        facts = TargetFacts(self.engine, "inline" if self.engine == "docker" else "folder")
        for document in translate(project, facts, Place(str(self.folder), {})).documents:
            path = self.folder / document.path
            path.parent.mkdir(exist_ok=True)
            path.write_text(document.text)
            assert VALUES["P"] not in document.text and NASTY["WORD"] not in document.text
        if self.engine == "docker":
            return self.compose("up", "--detach", "--wait", "--wait-timeout", "60", values=values)
        done = self.compose("up", "--detach", values=values)
        return self._wait() if done.returncode == 0 else done

    def compose(self, *words: str, values: Mapping[str, str] = VALUES) -> subprocess.CompletedProcess[str]:
        program = [self.engine, "compose"] if self.engine == "docker" else [provider(os.environ).program or ""]
        argv = [*program, "-p", self.name, "-f", str(self.folder / "compose.yaml"), *words]
        return run(*argv, env=clean_environment(**values))

    def _wait(self) -> subprocess.CompletedProcess[str]:
        """Podman without systemd runs no health checks, so they are run here."""
        deadline = time.monotonic() + 60
        while True:
            asked = run("podman", "healthcheck", "run", self.container)
            state = run("podman", "inspect", "--format", "{{.State.Status}}", self.container).stdout.strip()
            if asked.returncode == 0 or state == "exited" or time.monotonic() > deadline:
                return asked
            time.sleep(0.2)

    @property
    def container(self) -> str:
        listed = run(self.engine, "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}")
        return listed.stdout.split()[0]

    def sql(self, database: str, user: str, password: str, statement: str) -> str:
        """What a statement prints for somebody who comes over the network, or the error."""
        # Not from 127.0.0.1: there no password is asked for.
        address = 'exec psql -X -A -t -h "$(hostname -i)" -c "$STATEMENT"'
        given = {"PGDATABASE": database, "PGUSER": user, "PGPASSWORD": password, "STATEMENT": statement}
        options = [part for key, value in given.items() for part in ("--env", f"{key}={value}")]
        done = run(self.engine, "exec", *options, self.container, "sh", "-c", address)
        return (done.stdout or done.stderr).strip()


@pytest.fixture
def stack(engine: str, image: str, tmp_path: Path) -> Iterator[Stack]:
    """A stack that is taken down whatever happens."""
    made = Stack(engine, image, tmp_path, f"test-companion-{os.getpid()}-{free_port()}")
    yield made
    made.compose("down", "--volumes")


def test_databases_are_made_as_named_and_an_added_one_is_made_on_the_same_volume(stack: Stack) -> None:
    up = stack.up(FIRST, VALUES)
    assert up.returncode == 0, up.stderr + run(stack.engine, "logs", stack.container).stderr
    odd = (NASTY["DB"], NASTY["WHO"], NASTY["WORD"])
    ada = ("app", "ada", VALUES["P"])
    assert stack.sql(*odd, "SELECT current_database()") == NASTY["DB"]
    assert stack.sql(
        *odd, "CREATE SCHEMA own; CREATE TABLE own.t (n int); CREATE TABLE kept AS SELECT 7 AS n"
    ).endswith("1")
    assert "authentication failed" in stack.sql("app", "ada", "wrong", "SELECT 1")
    assert stack.sql(*ada, "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user") == "f|f"
    before = stack.container

    again = stack.up(FIRST, VALUES)
    assert again.returncode == 0 and stack.container == before

    later = {**VALUES, "P": "second-word"}
    added = stack.up(FIRST + ADDED, later)
    assert added.returncode == 0, added.stderr
    assert stack.container != before
    assert stack.sql(*odd, "SELECT n FROM kept") == "7"
    assert stack.sql("later", "bob", later["P"], "CREATE TABLE t (n int)") == "CREATE TABLE"
    assert stack.sql("docs", "ada", later["P"], "CREATE TABLE v (e vector(3)); SELECT '[1,2,3]'::vector").endswith(
        "[1,2,3]"
    )
    # The password that changed holds, and the former one does not.
    assert stack.sql("app", "ada", later["P"], "SELECT 1") == "1"
    assert "authentication failed" in stack.sql(*ada, "SELECT 1")

    logs = run(stack.engine, "logs", stack.container)
    said = logs.stdout + logs.stderr
    assert not [word for word in (VALUES["P"], later["P"], NASTY["WORD"]) if word in said]
    assert "the database later is there, and so is its user bob" in said

    started = time.monotonic()
    assert run(stack.engine, "restart", stack.container).returncode == 0
    # A fast shutdown, handed on by the script: not the kill after the time that it has.
    assert time.monotonic() - started < 5
    assert "shut down" in run(stack.engine, "logs", stack.container).stderr


def test_it_starts_and_ends_with_a_read_only_root_and_few_capabilities(stack: Stack) -> None:
    wanted = companion("postgres").service.hardening
    stack.hardening = replace(wanted, read_only=True, no_new_privileges=True, drop_capabilities=True)
    up = stack.up(FIRST, VALUES)
    assert up.returncode == 0, up.stderr
    assert stack.sql("app", "ada", VALUES["P"], "SELECT 1") == "1"
    started = time.monotonic()
    run(stack.engine, "stop", "--time", "20", stack.container)
    assert time.monotonic() - started < 10


def test_a_database_that_cannot_be_made_ends_it_at_once_and_says_which(stack: Stack) -> None:
    long_ago = time.monotonic()
    # PostgreSQL has no names that begin so.
    up = stack.up(FIRST, {**VALUES, "WHO": "pg_mine"})
    assert up.returncode != 0 and time.monotonic() - long_ago < 30
    logs = run(stack.engine, "logs", stack.container)
    assert "could not be made: see the error above" in logs.stderr
    assert NASTY["WORD"] not in logs.stdout + logs.stderr


# It has one model, takes a moment to listen, and its downloads break off once.
OLLAMA = """#!/bin/sh
case "$1" in
    serve) sleep 0.5; : >/tmp/listens; exec sleep 60 ;;
    list) test -e /tmp/listens ;;
    show) test "$2" = here || test -e "/tmp/has-$2" ;;
    pull)
        printf '\\033[?25lpulling 12%%\\r\\033[Kpulling 57%%'
        echo "$2" >>/tmp/pulls
        test "$2" != gone && test "$(grep -cx "$2" /tmp/pulls)" = 2 && : >"/tmp/has-$2" ;;
esac
"""


@pytest.fixture
def ollama(engine: str, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts the script of Ollama's companion with a mock of the program; gives the container's name."""
    name = f"test-ollama-{os.getpid()}-{free_port()}"
    service = companion("ollama").service
    script = companion("ollama").script
    assert script and service.healthcheck
    tmp_path.joinpath("ollama").write_text(OLLAMA)
    tmp_path.joinpath("ollama").chmod(0o755)
    tmp_path.joinpath(script.name).write_text(script.text)

    def start(models: str) -> str:
        mounts = ("-v", f"{tmp_path}/ollama:/usr/local/bin/ollama:ro", "-v", f"{tmp_path}/{script.name}:/s.sh:ro")
        argv = [engine, "run", "--detach", "--name", name, "--env", f"LCOMPOSE_MODELS={models}", *mounts]
        done = run(*argv, base_for(engine), "sh", "/s.sh", *service.command)
        assert done.returncode == 0, done.stderr
        return name

    yield start
    run(engine, "rm", "--force", "--volumes", name)


def until(done: Callable[[], bool]) -> None:
    """Waits for something that takes some seconds."""
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_ollama_is_healthy_when_every_model_is_there_and_fetches_no_other(
    engine: str, ollama: Callable[[str], str]
) -> None:
    name = ollama("here new")
    check = companion("ollama").service.healthcheck
    assert check
    asked = (engine, "exec", name, "sh", "-c", check.command[1])
    assert run(*asked).returncode != 0
    until(lambda: run(*asked).returncode == 0)
    assert run(engine, "exec", name, "cat", "/tmp/pulls").stdout == "new\nnew\n"
    assert "lcompose: fetching new: pulling 57%\n" in run(engine, "logs", name).stdout
    started = time.monotonic()
    run(engine, "stop", "--time", "20", name)
    assert time.monotonic() - started < 10


def test_ollama_ends_when_a_model_cannot_be_fetched(engine: str, ollama: Callable[[str], str]) -> None:
    name = ollama("gone")
    until(lambda: run(engine, "inspect", "--format", "{{.State.Status}}", name).stdout.strip() == "exited")
    assert run(engine, "inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "1"
    assert "the model gone could not be fetched" in run(engine, "logs", name).stderr


# Listens at once, and answers as a server that is loading until it is told that it has done so.
LOADING = """
import http.server, os, sys
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known, loaded = self.path == "/health", os.path.exists("/tmp/loaded")
        self.send_response(404 if not known else 200 if loaded else 503)
        self.end_headers()
http.server.HTTPServer(("0.0.0.0", int(sys.argv[1])), Server).serve_forever()
"""


@pytest.fixture
def loading(engine: str) -> Iterator[Callable[[str], str]]:
    """Starts what answers like an inference server at its port; gives the container's name."""
    name = f"test-inference-{os.getpid()}-{free_port()}"

    def start(server: str) -> str:
        port = str(companion(server, "cuda").port)
        done = run(engine, "run", "--detach", "--name", name, base_for(engine), "python3", "-c", LOADING, port)
        assert done.returncode == 0, done.stderr
        return name

    yield start
    run(engine, "kill", name)
    run(engine, "rm", "--force", "--volumes", name)


@pytest.mark.parametrize("server", ["vllm", "llamacpp"])
def test_an_inference_server_is_healthy_when_its_model_is_loaded_and_not_before(
    engine: str, loading: Callable[[str], str], server: str
) -> None:
    check = companion(server, "cuda").service.healthcheck
    assert check and check.command[0] == "CMD"
    name = loading(server)
    asked = (engine, "exec", name, *check.command[1:])
    # Once it listens it says 503, which is no answer to send a question after.
    listens = "import socket,sys;socket.create_connection(('127.0.0.1',int(sys.argv[1])),1)"
    port = str(companion(server, "cuda").port)
    until(lambda: run(engine, "exec", name, "python3", "-c", listens, port).returncode == 0)
    assert run(*asked).returncode != 0
    run(engine, "exec", name, "touch", "/tmp/loaded")
    assert run(*asked).returncode == 0
