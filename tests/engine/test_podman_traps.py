"""podman-compose's traps, each shown with the real one: what the file says is what Podman has."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lcompose.engines import ComposeFile, Creation
from lcompose.engines.podman import connect
from lcompose.errors import EngineError, UsageError
from lcompose.failures import known_of
from lcompose.spec.run import Container
from lcompose.spec.text import EnvRef
from tests.conftest import clean_environment, free_port

pytestmark = pytest.mark.podman

IMAGE = "localhost/python:3.13"
REMOVALS = (
    (("ps", "--all"), ("rm", "--force", "--depend", "--time", "0")),
    (("pod", "ls"), ("pod", "rm", "--force")),
    (("network", "ls"), ("network", "rm")),
)
WAITS = 'command: [sleep, "60"]'


@dataclass
class Stack:
    """One compose file of somebody else's, created and then started by id, as lcompose does it."""

    project: str
    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)

    def create(self, text: str) -> dict[str, list[Container]]:
        """Creates it, and returns the containers of each service."""
        compose = ComposeFile(self.project, (self.written(text),), self.folder, clean_environment(**self.more))
        reading = connect(compose.env).read(compose)
        creation = Creation(compose, (), {}, 60, ours=False, reading=reading, state=self.state)
        connect(compose.env).create(creation, lambda line: None)
        return self.seen()

    def create_ours(self, text: str, variables: Mapping[str, tuple[EnvRef, ...]]) -> dict[str, list[Container]]:
        """The same as if lcompose had written it, for a person who is in another folder."""
        compose = ComposeFile(self.project, (self.written(text),), Path("/"), clean_environment(**self.more))
        creation = Creation(compose, tuple(variables), variables, 60, state=self.state)
        connect(compose.env).create(creation, lambda line: None)
        return self.seen()

    def written(self, text: str) -> Path:
        """The compose file."""
        file = self.folder / "compose.yaml"
        file.write_text(textwrap.dedent(text).replace("IMAGE", IMAGE).replace("WAITS", WAITS))
        return file

    @property
    def state(self) -> Path:
        """The folder for what is written beside it."""
        path = self.folder / "state"
        path.mkdir(exist_ok=True)
        return path

    def seen(self) -> dict[str, list[Container]]:
        """The containers of each service, as they are now."""
        found: dict[str, list[Container]] = {}
        for one in connect(clean_environment()).containers(self.project):
            found.setdefault(one.service, []).append(one)
        return found

    def start(self, *containers: Container) -> None:
        """Starts containers by id."""
        for one in containers:
            connect(clean_environment()).start(one.id)

    def run(self, container: Container, command: str) -> str:
        """What a command prints inside."""
        return podman("exec", container.id, "sh", "-c", command).strip()


def podman(*argv: str, code: int | None = 0) -> str:
    """What Podman says."""
    done = subprocess.run(["podman", *argv], capture_output=True, text=True, timeout=60, check=False)
    assert code is None or done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture
def stack(podman: str, tmp_path: Path) -> Iterator[Stack]:
    """A project that is taken away whatever happens."""
    project = f"test-traps-{os.getpid()}-{free_port()}"
    yield Stack(project, tmp_path)
    remove(project)


def remove(project: str) -> None:
    """Takes a project away by force."""
    label = f"label=com.docker.compose.project={project}"
    for listed, removed in REMOVALS:
        ids = podman(*listed, "--quiet", "--filter", label).split()
        if ids:
            podman(*removed, *ids, code=None)


def test_counts_are_kept_and_no_pod_is_left(stack: Stack) -> None:
    pods = podman("pod", "ls", "--quiet")
    found = stack.create("""
        services:
          replicas: {image: IMAGE, deploy: {replicas: 2}, WAITS}
          text: {image: IMAGE, scale: "2", WAITS}
          none: {image: IMAGE, scale: 0, WAITS}
        """)
    assert {name: len(containers) for name, containers in found.items()} == {"replicas": 2, "text": 2}
    assert podman("pod", "ls", "--quiet") == pods


def test_configs_and_secrets_are_inside_with_their_owner_and_mode(stack: Stack) -> None:
    stack.more = {"TOKEN": "t$0"}
    (stack.folder / "own.txt").write_text("own")
    found = stack.create("""
        services:
          web:
            image: IMAGE
            WAITS
            configs: [plain, {source: told, target: /etc/told, mode: 0440, uid: "33", gid: "44"}, own]
            secrets: [token, {source: token, target: other}]
        configs:
          plain: {content: "price: $$5 for ${WHO:-you}"}
          told: {environment: TOKEN}
          own: {file: ./own.txt}
        secrets:
          token: {environment: TOKEN}
        """)
    [web] = found["web"]
    stack.start(web)
    assert stack.run(web, "cat /plain; echo; cat /own; echo; cat /run/secrets/token /run/secrets/other") == (
        "price: $5 for you\nown\nt$0t$0"
    )
    assert stack.run(web, "stat -c '%a %u %g' /etc/told") == "440 33 44"


def test_a_changed_config_makes_the_container_anew_and_leaves_no_file(stack: Stack) -> None:
    text = """
        services: {{web: {{image: IMAGE, configs: [app], WAITS}}, other: {{image: IMAGE, WAITS}}}}
        configs: {{app: {{content: {}}}}}
        """
    first = stack.create(text.format("one"))
    second = stack.create(text.format("two"))
    assert first["web"][0].id != second["web"][0].id
    assert first["other"] == second["other"]
    assert len(list((stack.state / "contents").iterdir())) == 1


def test_a_one_shot_does_not_run_again_when_its_dependent_starts(stack: Stack) -> None:
    (stack.folder / "runs").mkdir()
    found = stack.create("""
        services:
          web:
            image: IMAGE
            WAITS
            depends_on: {init: {condition: service_completed_successfully}}
            links: [init]
          init:
            image: IMAGE
            command: [sh, -c, "date >> /runs/log"]
            volumes: [./runs:/runs]
        """)
    stack.start(*found["init"])
    podman("wait", found["init"][0].id)
    stack.start(*found["web"])
    assert len((stack.folder / "runs" / "log").read_text().splitlines()) == 1
    assert found["web"][0].after == ("init",)


def test_what_podman_refuses_or_never_hears_of_is_said_otherwise(stack: Stack) -> None:
    found = stack.create("""
        services:
          web:
            image: IMAGE
            WAITS
            restart: no
            stop_grace_period: 2500ms
            healthcheck: {test: [CMD, "true"], interval: 1m, start_interval: 1s}
            environment: {A: yes, B: true}
            logging: {driver: local, options: {max-size: 10m}}
            extra_hosts: {there: 10.0.0.1}
            pull_policy: if_not_present
        """)
    [web] = found["web"]
    assert (web.stop_grace, web.restart) == (3, "no")
    stack.start(web)
    assert stack.run(web, 'echo "$A $B"; grep -c there /etc/hosts') == "yes true\n1"


def test_who_shares_a_network_may_stand_before_whose_it_is(stack: Stack) -> None:
    found = stack.create("""
        services:
          beside: {image: IMAGE, network_mode: "service:main", WAITS}
          main: {image: IMAGE, WAITS}
        """)
    assert found["beside"][0].after == ("main",)


def test_a_service_that_names_no_network_is_in_the_default_one(stack: Stack) -> None:
    found = stack.create("""
        services:
          one: {image: IMAGE, WAITS}
          two: {image: IMAGE, networks: [back, default], WAITS}
        networks: {back: {}}
        """)
    form = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
    assert podman("inspect", "--format", form, found["one"][0].id).split() == [f"{stack.project}_default"]
    assert len(podman("inspect", "--format", form, found["two"][0].id).split()) == 2


def test_a_container_that_is_missing_is_an_error_with_its_reason(stack: Stack) -> None:
    podman("create", "--name", f"{stack.project}-taken", IMAGE, "true")
    try:
        with pytest.raises(EngineError) as caught:
            stack.create(f"services: {{web: {{image: IMAGE, container_name: {stack.project}-taken, WAITS}}}}")
    finally:
        podman("rm", "--force", f"{stack.project}-taken")
    assert "already in use" in caught.value.what
    [known] = known_of(caught.value)
    assert known.fix.endswith(f"podman: rm --force {stack.project}-taken.")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("services: {web: {image: '${UNSET:?say it}'}}", "required variable UNSET is missing a value: say it"),
        ("services: {web: {image: IMAGE, networks: [gone]}}", "podman-compose cannot read it: missing networks: gone"),
        ("services: {web: {extends: {service: a}}, a: {image: IMAGE}}", "podman-compose does not say what web becomes"),
        ("include: [a.yaml]\nservices: {}", "podman-compose takes the paths in an included file from the wrong folder"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(stack: Stack, text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        stack.create(text)
    assert caught.value.what.startswith(what)
    assert "\n" not in caught.value.what


@pytest.fixture
def over_socket(stack: Stack) -> Stack:
    """The same through docker-compose and Podman's socket."""
    stack.more = {"PODMAN_COMPOSE_PROVIDER": "docker-compose"}
    if not connect(clean_environment(**stack.more)).facts().usable:
        pytest.skip("docker-compose is not here")
    return stack


def test_docker_compose_does_the_same_over_podmans_socket(over_socket: Stack) -> None:
    found = over_socket.create("""
        services:
          web:
            image: IMAGE
            command: [sleep, "60"]
            deploy: {replicas: 2}
            configs: [app]
            stop_grace_period: 3s
            healthcheck: {test: [CMD, "true"], start_interval: 1s}
            depends_on: {init: {condition: service_completed_successfully}}
          init: {image: IMAGE, command: ["true"]}
        configs: {app: {content: "a: $$5"}}
        """)
    assert [len(found["web"]), found["web"][0].after, found["web"][0].stop_grace] == [2, ("init",), 3]
    over_socket.start(found["web"][0])
    assert over_socket.run(found["web"][0], "cat /app") == "a: $5"
    assert not list(Path("/tmp").glob("lcompose-*/podman.sock"))


@pytest.mark.parametrize("reader", ["podman-compose", "docker-compose"])
def test_values_are_handed_on_by_name_whoever_reads_the_file(over_socket: Stack, reader: str) -> None:
    over_socket.more = {"PODMAN_COMPOSE_PROVIDER": reader, "KEY": "a $value"}
    variables = (EnvRef("KEY", required=True), EnvRef("OTHER", "default"))
    text = "services: {web: {image: IMAGE, volumes: ['./compose.yaml:/beside:ro'], WAITS}}"
    [web] = over_socket.create_ours(text, {"web": variables})["web"]
    environment = connect(clean_environment()).environment(web.id)
    assert (environment["KEY"], environment["OTHER"]) == ("a $value", "default")
    assert "value" not in "".join(path.read_text() for path in over_socket.state.iterdir())
    over_socket.start(web)
    assert over_socket.run(web, "cat /beside").startswith("services: ")
