"""Shows lcompose's main job once, on real parts: start a stack, ask it a question, take it down.

Run it with ``make demo``. It needs Docker or Podman; without one it shows what lcompose does
without starting anything. Whatever it starts it takes down again, also when it is interrupted.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from subprocess import PIPE
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
    *("--label", f"com.docker.compose.project={PROJECT}"),
    *("--label", "com.docker.compose.network=default"),
)
ENVIRONMENT = {"OPENAI_API_KEY": "demo", "OPENAI_BASE_URL": f"http://{MODEL}:9000/v1"}

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Seconds. Building downloads a few hundred megabytes when it happens for the first time.
ASK, START, BUILD, STOP = 30, 120, 900, 20


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


def run(argv: Sequence[str], timeout: float, *, out: int | None = None, err: int | None = None) -> str:
    """Run a program to its end, with the demo's variables; return its output where ``out`` keeps it.

    Raises:
        DemoError: it failed, or was not done in time.
    """
    command = shlex.join([Path(argv[0]).name, *argv[1:2]])
    try:
        # In a session of its own, so that Ctrl-C reaches it once, from here, and is waited for.
        process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise DemoError(f"{argv[0]} could not be run: {error.strerror}") from error
    try:
        said, complaint = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        stop(process)
        raise DemoError(f"{command} was not done after {timeout:.0f} s") from error
    except KeyboardInterrupt:
        stop(process)
        raise
    if process.returncode:
        last = (complaint or "").strip().rpartition("\n")[2]
        raise DemoError(f"{command} failed with code {process.returncode}{': ' if last else ''}{last}")
    return said or ""


def stop(process: subprocess.Popen[str]) -> None:
    """Interrupt a program, and kill it only when it does not end by itself."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def try_out(*argv: str) -> str:
    """Run a program quietly; return what went wrong, or nothing."""
    try:
        run(argv, ASK, out=PIPE, err=PIPE)
    except DemoError as error:
        return str(error)
    return ""


def shown(argv: Sequence[str]) -> str:
    """A command as one types it, with an option on each line when it is long."""
    line = shlex.join(argv)
    return line if len(line) < 90 else line.replace(" --", " \\\n      --")


def lcompose(*argv: str, out: int | None = None) -> str:
    """Show a command of lcompose and run it.

    Raises:
        DemoError: it failed.
    """
    say(f"\n$ {shown(['lcompose', *argv])}")
    return run([str(Path(sys.executable).parent / "lcompose"), *argv], START, out=out)


def problem_of(engine: str) -> str:
    """What keeps an engine from being used, or nothing."""
    if not shutil.which(engine):
        return "is not installed"
    return next((problem for question in ENGINES[engine] if (problem := try_out(*question))), "")


def build_images(engine: str) -> Mapping[str, str]:
    """Make the engine have the images of the demo; return their names.

    Raises:
        DemoError: they cannot be built.
    """
    say(f"Engine: {engine}. Llama Stack is the real server; Lightspeed Core and the model are small")
    say("stand-ins from tests/images, so that nothing needs a registry, a key or a GPU.")
    argv = ["tests/images/build.py", "--engine", engine]
    say(f"\n$ {shlex.join(['python', *argv])}    # the first time it takes a minute or so")
    names: dict[str, str] = json.loads(run([sys.executable, *argv], BUILD, out=PIPE))
    return names


def start_model(engine: str, image: str) -> None:
    """Start the model's stand-in on the network that the stack will be on.

    Raises:
        DemoError: it did not start.
    """
    # What an earlier demo may have left behind that was killed.
    try_out(engine, "rm", "--force", MODEL)
    commands = [[engine, "run", "--detach", "--name", MODEL, "--network", NETWORK, image]]
    if try_out(engine, "network", "inspect", NETWORK):
        commands.insert(0, [engine, "network", "create", *NETWORK_LABELS, NETWORK])
    for command in commands:
        say(f"\n$ {shown(command)}")
        run(command, ASK, out=PIPE, err=PIPE)


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
    # Unlike upstream's, these images have their bytecode.
    options = [*(part for image in chosen for part in ("--image", image)), "--set", "bytecode_cache=false"]
    start_model(engine, images["mock-llm"])
    say("\n$ export " + shlex.join(f"{name}={value}" for name, value in ENVIRONMENT.items()))
    lcompose("up", "-C", EXAMPLE, "-p", PROJECT, "--engine", engine, *options, *ports.options())
    say(f"  {ask(ports.lcore)}\n  (The model's stand-in repeats what it is asked.)")
    lcompose("status", "-p", PROJECT, "--engine", engine)


def take_down(engine: str) -> None:
    """Remove all that the demo may have started; no second interruption stops this.

    Raises:
        DemoError: something of it is still there.
    """
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)
    try_out(engine, "rm", "--force", MODEL)
    lcompose("down", "--volumes", "-p", PROJECT, "--engine", engine)


def show_with(engine: str, images: Mapping[str, str]) -> None:
    """The demo with an engine that has the images.

    Raises:
        DemoError: something of it failed.
    """
    begun = time.monotonic()
    try:
        show_stack(engine, images)
    finally:
        take_down(engine)
    say(f"\nStarting, asking and stopping took {time.monotonic() - begun:.0f} s.")
    say("Next: README.md, or your own lightspeed-stack.yaml.")


def show_without(problems: Mapping[str, str]) -> None:
    """The demo without an engine: check the configuration, and render it.

    Raises:
        DemoError: that failed too.
    """
    say("\nNo container engine can be used here, so the stack is checked and rendered, and not started:")
    for engine, problem in problems.items():
        say(f"  {engine:<7} {problem}")
    say("\n$ export OPENAI_API_KEY=demo")
    lcompose("validate", "-C", EXAMPLE)
    lines = lcompose("render", "-C", EXAMPLE, out=PIPE).splitlines()
    say("\n".join(lines[:24]))
    say(f"… and {len(lines) - 24} more lines: a file that starts with docker compose.")
    say("\nTo see it run, get an engine, then 'make demo' again:")
    say("  Debian 12, as root   .ci/engines")
    say("  elsewhere            Docker with Compose v2 (https://docs.docker.com/engine/install/), or Podman")


def interrupted(_signal: int, _frame: object) -> NoReturn:
    """Leave by the way that takes the stack down."""
    raise KeyboardInterrupt


def show(engines: Sequence[str]) -> None:
    """The demo, with the first of the engines that answers.

    Raises:
        DemoError: something of it failed.
    """
    problems = {engine: problem_of(engine) for engine in engines}
    usable = next((engine for engine, problem in problems.items() if not problem), None)
    if usable is None:
        show_without(problems)
        return
    try:
        images = build_images(usable)
    except DemoError as error:
        show_without({usable: f"has no images: {error}"})
        raise
    show_with(usable, images)


def main() -> int:
    """Show what this machine can do, with the engine that the command line names or any."""
    for number in INTERRUPTIONS:
        signal.signal(number, interrupted)
    try:
        show([engine for engine in ENGINES if engine in sys.argv[1:]] or list(ENGINES))
    except DemoError as error:
        # The first reason too, when taking down failed after it.
        for one in (error.__context__, error):
            if isinstance(one, DemoError):
                print(f"\ndemo: {one}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
