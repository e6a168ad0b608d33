"""A compose file of ours on one engine: what lcompose makes of it, and what the engine has of it then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from tests.conftest import clean_environment, free_port
from tests.engine.images import variables

# Else Podman gives each container its time to end.
NO_GRACE = {"docker": (), "podman": ("--time", "0")}
# Beside every compose file, for services that must answer in a way of their own.
SERVER = Path(__file__).parent / "cases" / "server.py"
LONGEST = 90


@dataclass(frozen=True)
class Did:
    """What a command printed, its exit code, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        """Both streams."""
        return f"{self.out}\n{self.err}"


@dataclass(frozen=True)
class Seen:
    """A container as its engine describes it."""

    id: str
    service: str
    state: str
    exit_code: int
    restarts: int
    started: datetime
    finished: datetime
    image: str

    @property
    def word(self) -> str:
        """``running``, ``created``, or how it ended."""
        return f"exited {self.exit_code}" if self.state in ("exited", "stopped") else self.state


@dataclass(frozen=True)
class Stack:
    """One project: its folder, its engine, a state folder that is its own, and variables for the file."""

    engine: str
    project: str
    folder: Path
    state: Path
    env: Mapping[str, str]
    others: list[Stack] = field(default_factory=list)

    def another(self, project: str) -> Stack:
        """Another project on the same engine."""
        other = replace(self, project=project, folder=self.folder.parent / project, others=[])
        other.folder.mkdir(exist_ok=True)
        self.others.append(other)
        return other

    @property
    def file(self) -> Path:
        """The compose file."""
        return self.folder / "compose.yaml"

    def write(self, compose: str) -> None:
        """Puts a compose file, and the server that it may mount, into the folder."""
        self.file.write_text(textwrap.dedent(compose))
        self.folder.joinpath("server.py").write_bytes(SERVER.read_bytes())

    def run(self, *argv: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Did:
        """lcompose as a person runs it, in its own process."""
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "lcompose", *argv],
            cwd=cwd or self.folder,
            env=clean_environment(XDG_STATE_HOME=str(self.state)) | dict(self.env if env is None else env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Did(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

    @property
    def named(self) -> list[str]:
        """The options that say which project is meant."""
        return ["-f", str(self.file), "-p", self.project, "--engine", self.engine]

    def up(self, *options: str, **env: str) -> Did:
        """``lcompose up -f``, by default with a deadline that is far away."""
        limit = () if "--wait-timeout" in options else ("--wait-timeout", "40")
        return self.run("up", *self.named, *limit, *options, env={**self.env, **env})

    def started(self, *options: str, **env: str) -> Did:
        """The same, and it must succeed."""
        did = self.up(*options, **env)
        assert did.code == 0, did.said
        return did

    def down(self, *options: str) -> Did:
        """``lcompose down -f``; it gets none of the file's variables, since it must not need them."""
        return self.run("down", *self.named, *options, env={})

    def status(self) -> tuple[int, dict[str, str]]:
        """The exit code of ``lcompose status -f``, and the state of each service."""
        did = self.run("status", *self.named, "--json")
        return did.code, {row["service"]: row["state"] for row in json.loads(did.out)["services"]}

    def logs(self, *options: str) -> str:
        """What ``lcompose logs`` shows."""
        did = self.run("logs", "--file", *self.named[1:], *options)
        assert did.code == 0, did.said
        return did.out

    def ask(self, *argv: str, env: Mapping[str, str] | None = None) -> str:
        """What the engine answers; it must succeed."""
        command = [self.engine, *argv]
        environment = clean_environment(**(env or {}))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def containers(self) -> list[Seen]:
        """The project's containers, in the order of their services' names."""
        ids = self._ids("ps", "--all", "--no-trunc")
        found = [_seen(one) for one in json.loads(self.ask("inspect", *ids))] if ids else []
        return sorted(found, key=lambda one: (one.service, one.started))

    def container(self, service: str) -> Seen:
        """The only container of a service."""
        (found,) = (one for one in self.containers() if one.service == service)
        return found

    def states(self) -> dict[str, str]:
        """What has become of each service; the words of several replicas have commas between them."""
        words = defaultdict(list)
        for one in self.containers():
            words[one.service].append(one.word)
        return {service: ", ".join(sorted(found)) for service, found in words.items()}

    def left(self) -> dict[str, list[str]]:
        """What the engine still has of the project."""
        calls = {"containers": ["ps", "--all"], "networks": ["network", "ls"], "volumes": ["volume", "ls"]}
        found = {kind: self._ids(*argv) for kind, argv in calls.items()}
        return {kind: ids for kind, ids in found.items() if ids}

    def _ids(self, *argv: str) -> list[str]:
        label = f"label=com.docker.compose.project={self.project}"
        return self.ask(*argv, "--quiet", "--filter", label).split()

    def ends(self) -> None:
        """Takes the project down, after which nothing may be left over."""
        did = self.down("--volumes")
        assert did.code == 0, did.said
        assert self.left() == {}

    def sweep(self) -> None:
        """Removes by the engine what a failed test has left."""
        for other in self.others:
            other.sweep()
        for kind, ids in self.left().items():
            verb = (
                ["rm", "--force", *NO_GRACE[self.engine]]
                if kind == "containers"
                else [kind.removesuffix("s"), "rm", "--force"]
            )
            subprocess.run([self.engine, *verb, *ids], capture_output=True, timeout=60, check=False)


_numbers = count()


def new_stack(engine: str, parent: Path) -> Stack:
    """A stack with a folder and a state of its own, and a name that no other test has."""
    project = f"test-{engine}-{os.getpid()}-{next(_numbers)}"
    folder, state = parent / project, parent / f"{project}.state"
    folder.mkdir()
    state.mkdir()
    return Stack(engine, project, folder, state, variables(engine) | {"PORT": str(free_port())})


def _seen(one: dict[str, Any]) -> Seen:
    state = one["State"]
    return Seen(
        id=one["Id"],
        service=one["Config"]["Labels"]["com.docker.compose.service"],
        state=state["Status"],
        exit_code=state["ExitCode"],
        restarts=one["RestartCount"],
        started=datetime.fromisoformat(state["StartedAt"]),
        finished=datetime.fromisoformat(state["FinishedAt"]),
        image=one["Image"],
    )
