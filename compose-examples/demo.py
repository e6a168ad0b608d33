"""Shows lcompose's main job once, on real parts: start a stack, ask it a question, take it down.

Run it with ``make demo``. It needs Docker or Podman; without one it shows what lcompose does
without starting anything. Whatever it starts it takes down again, also when it is interrupted.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = "compose-examples/quickstart"
PROJECT = "lcompose-demo"
NETWORK = f"{PROJECT}_default"
MODEL = f"{PROJECT}-model"
QUESTION = "What is OpenShift?"

# What an engine must answer to; lcompose brings podman-compose along.
ENGINES = {
    "docker": (("docker", "info"), ("docker", "compose", "version")),
    "podman": (("podman", "info"),),
}
# The network is made before the stack, so that the model is there first. With these labels
# Compose takes it for its own, and so does "lcompose down".
NETWORK_LABELS = (
    f"com.docker.compose.project={PROJECT}",
    "com.docker.compose.network=default",
)
ENVIRONMENT = {"OPENAI_API_KEY": "demo", "OPENAI_BASE_URL": f"http://{MODEL}:9000/v1"}

# Seconds. Building downloads a few hundred megabytes when it happens for the first time.
ASK, START, BUILD = 30, 120, 900


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of this machine that the stack is reached at."""

    lcore: int
    server: int

    def options(self) -> list[str]:
        """What lcompose must be told: nothing where the ports are the usual ones."""
        wanted = (("lightspeed-stack", self.lcore, 8080), ("llama-stack", self.server, 8321))
        return [
            part
            for service, port, usual in wanted
            if port != usual
            for part in ("--set", f"services.{service}.ports={port}:{usual}")
        ]


def say(text: str = "") -> None:
    """Print at once, so that the lines of other programs come after it."""
    print(text, flush=True)


def run(argv: Sequence[str], timeout: float, *, quiet: bool = False) -> str:
    """Run a program to its end, with the demo's variables.

    Raises:
        DemoError: it failed, or was not done in time.
    """
    output = subprocess.PIPE if quiet else None
    try:
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise DemoError(f"{argv[0]} could not be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"{shlex.join(argv[:3])} … was not done after {timeout:.0f} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout or "").strip().splitlines()
        reason = f": {said[-1]}" if said else ""
        raise DemoError(f"{shlex.join(argv[:3])} … failed with code {done.returncode}{reason}")
    return done.stdout or ""


def shown(argv: Sequence[str]) -> str:
    """A command as one types it, with an option on each line when it is long."""
    line = shlex.join(argv)
    return line if len(line) < 90 else line.replace(" --", " \\\n      --")


def lcompose(*argv: str, timeout: float = START, quiet: bool = False) -> str:
    """Show a command of lcompose and run it.

    Raises:
        DemoError: it failed.
    """
    say(f"\n$ {shown(['lcompose', *argv])}")
    return run([str(Path(sys.executable).parent / "lcompose"), *argv], timeout, quiet=quiet)


def problem_of(engine: str) -> str:
    """What keeps an engine from being used, or nothing."""
    try:
        for question in ENGINES[engine]:
            run(question, ASK, quiet=True)
    except DemoError as error:
        return str(error)
    return ""


def build_images(engine: str) -> Mapping[str, str]:
    """Make the engine have the images of the demo; return their names.

    Raises:
        DemoError: they cannot be built.
    """
    argv = ["tests/images/build.py", "--engine", engine]
    say(f"\n$ {shlex.join(['python', *argv])}      # up to some minutes when it runs for the first time")
    names: dict[str, str] = json.loads(run([sys.executable, *argv], BUILD, quiet=True))
    return names


def start_model(engine: str, image: str) -> None:
    """Start the model's stand-in on the network that the stack will be on.

    Raises:
        DemoError: it did not start.
    """
    forget(engine, "rm", "--force", MODEL)
    if not forget(engine, "network", "inspect", NETWORK):
        labels = [part for label in NETWORK_LABELS for part in ("--label", label)]
        run([engine, "network", "create", *labels, NETWORK], ASK, quiet=True)
    argv = [engine, "run", "--detach", "--name", MODEL, "--network", NETWORK, image]
    say(f"\n$ {shlex.join(argv)}")
    run(argv, ASK, quiet=True)


def forget(*argv: str) -> bool:
    """Run a program whose failure does not matter; tell whether it did what it should."""
    try:
        run(argv, ASK, quiet=True)
    except DemoError:
        return False
    return True


def free_port(usual: int) -> int:
    """The usual port, or any other one when it is taken."""
    for port in (usual, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise DemoError("no port of this machine is free")


def ask(port: int) -> str:
    """Ask the stack the question over HTTP, and return its answer.

    Raises:
        DemoError: there is no answer.
    """
    body = json.dumps({"query": QUESTION})
    header = "Content-Type: application/json"
    say(f"\n$ {shlex.join(['curl', f'http://127.0.0.1:{port}/v1/query', '-H', header, '-d', body])}")
    connection = HTTPConnection("127.0.0.1", port, timeout=ASK)
    try:
        connection.request("POST", "/v1/query", body, dict([header.split(": ")]))
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise DemoError(f"the question got no answer: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise DemoError(f"the question was answered with HTTP {answer.status}: {said[:300]}")
    return str(json.loads(said)["response"])


def show_stack(engine: str, images: Mapping[str, str]) -> None:
    """Start the stack, ask, and show its status.

    Raises:
        DemoError: something of that failed.
    """
    ports = Ports(free_port(8080), free_port(8321))
    chosen = [f"{name}={images[name]}" for name in ("llama-stack", "lightspeed-stack")]
    options = [part for image in chosen for part in ("--image", image)]
    start_model(engine, images["mock-llm"])
    say("\n$ export " + shlex.join(f"{name}={value}" for name, value in ENVIRONMENT.items()))
    lcompose("-C", EXAMPLE, "up", "-p", PROJECT, "--engine", engine, *options, *ports.options())
    say(f"  {ask(ports.lcore)}\n  (The model's stand-in repeats what it is asked.)")
    lcompose("status", "-p", PROJECT, "--engine", engine)


def take_down(engine: str) -> None:
    """Remove all that the demo may have started; no second interruption stops this.

    Raises:
        DemoError: something of it is still there.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    forget(engine, "rm", "--force", MODEL)
    lcompose("down", "--volumes", "-p", PROJECT, "--engine", engine)


def show_with(engine: str) -> None:
    """The demo with an engine.

    Raises:
        DemoError: something of it failed.
    """
    begun = time.monotonic()
    say(f"Engine: {engine}. Llama Stack is the real server; Lightspeed Core and the model are small")
    say("stand-ins from tests/images, so that nothing needs a registry, a key or a GPU.")
    images = build_images(engine)
    try:
        show_stack(engine, images)
    finally:
        take_down(engine)
    say(f"\nAll of it took {time.monotonic() - begun:.0f} s. Next: README.md, or your own lightspeed-stack.yaml.")


def show_without(problems: Mapping[str, str]) -> None:
    """The demo without an engine: check the configuration, and render it.

    Raises:
        DemoError: that failed too.
    """
    say("No container engine can be used here, so the stack is checked and rendered, and not started:")
    for engine, problem in problems.items():
        say(f"  {engine:<7} {problem}")
    say("\n$ export OPENAI_API_KEY=demo")
    lcompose("-C", EXAMPLE, "validate")
    lines = lcompose("-C", EXAMPLE, "render", quiet=True).splitlines()
    say("\n".join(lines[:24]))
    say(f"… and {len(lines) - 24} more lines: a file that starts with docker compose.")
    say("\nTo see it run, get an engine, then 'make demo' again:")
    say("  Debian 12, as root   .ci/engines")
    say("  elsewhere            Docker with Compose v2 (https://docs.docker.com/engine/install/), or Podman")


def interrupted(_signal: int, _frame: object) -> NoReturn:
    """Leave by the way that takes the stack down."""
    raise KeyboardInterrupt


def main() -> int:
    """Show what this machine can do."""
    signal.signal(signal.SIGTERM, interrupted)
    problems = {engine: problem_of(engine) for engine in ENGINES}
    usable = next((engine for engine, problem in problems.items() if not problem), None)
    try:
        if usable:
            show_with(usable)
        else:
            show_without(problems)
    except DemoError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
