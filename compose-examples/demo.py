"""Shows lcompose's main job once, on real parts: render a stack, start it, ask it a question, take it down.

Run it with ``make demo``. It uses Docker or Podman; without one everything runs as processes of this
machine. Whatever it starts it takes down again, also when it is interrupted.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from subprocess import PIPE
from tempfile import TemporaryDirectory
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
ENVIRONMENT = {"OPENAI_API_KEY": "none-is-needed", "OPENAI_BASE_URL": ""}

# As processes, whatever engines there are.
LOCAL = "local"
STANDINS = str(ROOT / "compose-examples" / "demo_standins.py")
RUN_FILE = str(ROOT / "compose-examples" / "demo-run.yaml")
LLAMA_STACK, PYTHONS, WITH = "ogx==1.2.5", ">=3.12,<3.14", ("--with", "mcp<2")
# uv comes with the development's environment.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Seconds. Building downloads a few hundred megabytes when it happens for the first time.
ASK, START, BUILD, STOP, FETCH = 30, 120, 900, 20, 300
# Lines of what is rendered.
SHOWN = 18


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


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run the stack: what chooses it, more options, and how its engine is named where it is needed."""

    chosen: tuple[str, ...]
    options: tuple[str, ...]
    engine: tuple[str, ...] = ()
    patience: float = START


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
            env={**os.environ, **ENVIRONMENT, "PATH": PATH},
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


def lcompose(*argv: str, out: int | None = None, timeout: float = START) -> str:
    """Show a command of lcompose and run it.

    Raises:
        DemoError: it failed.
    """
    say(f"\n$ {shown(['lcompose', *argv])}")
    return run([str(Path(sys.executable).parent / "lcompose"), *argv], timeout, out=out)


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


def show_stack(way: Way, ports: Ports) -> None:
    """Render the stack, start it, ask it, and show its status and its logs.

    Raises:
        DemoError: something of that failed.
    """
    say("\n$ export " + shlex.join(f"{name}={value}" for name, value in ENVIRONMENT.items()))
    options = ["-C", EXAMPLE, "-p", PROJECT, *way.chosen, *way.options, *ports.options()]
    lines = rendered(way, options).splitlines()
    say("\n".join(lines[:SHOWN]))
    say(f"… and {len(lines) - SHOWN} more lines.")
    lcompose("up", *options, timeout=way.patience)
    say(f"  {ask(ports.lcore)}\n  (The model's stand-in repeats what it is asked.)")
    lcompose("status", "-p", PROJECT, *way.engine)
    lcompose("logs", "-p", PROJECT, *way.engine, "--tail", "3")


def rendered(way: Way, options: Sequence[str]) -> str:
    """What is rendered: one file, or for Podman the one that names the others beside it.

    Raises:
        DemoError: it cannot be rendered.
    """
    if "podman" not in way.engine:
        return lcompose("render", *options, out=PIPE)
    with TemporaryDirectory() as folder:
        lcompose("render", *options, "-o", folder, out=PIPE)
        return Path(folder, "compose.yaml").read_text(encoding="utf-8")


def take_down(way: Way) -> None:
    """Remove all that the demo may have started; no second interruption stops this.

    Raises:
        DemoError: something of it is still there.
    """
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)
    if way.engine:
        try_out(way.engine[1], "rm", "--force", MODEL)
    lcompose("down", "--volumes", "-p", PROJECT, *way.engine)


def show_with(way: Way) -> None:
    """The whole of it, one way.

    Raises:
        DemoError: something of it failed.
    """
    begun = time.monotonic()
    try:
        show_stack(way, Ports(free_port(8080), free_port(8321)))
    finally:
        take_down(way)
    say(f"\nRendering, starting, asking and stopping took {time.monotonic() - begun:.0f} s.")
    say("Next: README.md, or your own lightspeed-stack.yaml.")


# ---------------------------------------------------------------- in containers


def show_in_containers(engine: str) -> None:
    """The demo with an engine.

    Raises:
        DemoError: something of it failed.
    """
    images = build_images(engine)
    chosen = [f"{name}={images[name]}" for name in ("llama-stack", "lightspeed-stack")]
    # Unlike upstream's, these images have their bytecode.
    options = [*(part for image in chosen for part in ("--image", image)), "--set", "bytecode_cache=false"]
    asked = ("--engine", engine)
    start_model(engine, images["mock-llm"])
    ENVIRONMENT["OPENAI_BASE_URL"] = f"http://{MODEL}:9000/v1"
    show_with(Way(chosen=asked, options=tuple(options), engine=asked))


# ---------------------------------------------------------------- as processes


def show_as_processes(problems: Mapping[str, str]) -> None:
    """The demo without an engine: everything is a process of this machine.

    Raises:
        DemoError: something of it failed.
    """
    say(
        "The stack runs as processes of this machine"
        + (", since no container engine can be used:" if problems else ".")
    )
    for engine, problem in problems.items():
        say(f"  {engine:<7} {problem}")
    missing = why_not_real()
    if missing:
        say(f"Llama Stack cannot be had: {missing}.\nSo it is a small stand-in, as Lightspeed Core and the model are.")
    else:
        say("Llama Stack is the real server, which uv has fetched. Lightspeed Core and the model are small stand-ins.")
    program = shlex.join([sys.executable, STANDINS])
    stand_ins = ("lightspeed-stack", "llama-stack") if missing else ("lightspeed-stack",)
    sets = [f"services.{name}.local.command={program} {name}" for name in stand_ins]
    options = ["--run-config", RUN_FILE, *(part for one in sets for part in ("--set", one))]
    with model() as port:
        ENVIRONMENT["OPENAI_BASE_URL"] = f"http://127.0.0.1:{port}/v1"
        show_with(Way(chosen=("--runtime", "local"), options=tuple(options)))


def why_not_real() -> str:
    """What keeps the real Llama Stack from being had; has uv fetch it, which takes a while the first time."""
    uv = shutil.which("uv", path=PATH)
    if not uv:
        return "uv is not installed"
    # For lcompose too, which would look for one by itself.
    ENVIRONMENT["UV_PYTHON"] = python = uv_python()
    argv = [uv, "tool", "run", "--compile-bytecode", "--python", python, "--from", LLAMA_STACK, *WITH, "ogx", "--help"]
    say(f"\n$ {shlex.join(['uv', *argv[1:]])}    # the first time it takes a minute or so")
    try:
        run(argv, FETCH, out=PIPE, err=PIPE)
    except DemoError as error:
        return f"uv does not bring it ({error})"
    return ""


def uv_python() -> str:
    """A Python that Llama Stack runs on: pyenv's, which uv does not find by itself, or any that it finds or fetches."""
    found = sorted(Path.home().glob(".pyenv/versions/3.1[23].*/bin/python"))
    return os.environ.get("UV_PYTHON") or (str(found[-1]) if found else PYTHONS)


@contextmanager
def model() -> Iterator[int]:
    """The stand-in for a model, as a process; gives its port.

    Raises:
        DemoError: it does not start.
    """
    port = free_port(9000)
    environment = {**os.environ, "MOCK_PORT": str(port)}
    argv = [sys.executable, "tests/images/mock_llm/mock_llm.py"]
    process = subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    """Wait until something listens.

    Raises:
        DemoError: nothing does.
    """
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise DemoError("the model's stand-in does not start")


def interrupted(_signal: int, _frame: object) -> NoReturn:
    """Leave by the way that takes the stack down."""
    raise KeyboardInterrupt


def show(engines: Sequence[str]) -> None:
    """The demo, with the first of the engines that answers; as processes where none does, or that is wanted.

    Raises:
        DemoError: something of it failed.
    """
    problems = {engine: problem_of(engine) for engine in engines}
    usable = next((engine for engine, problem in problems.items() if not problem), None)
    if usable:
        show_in_containers(usable)
    else:
        show_as_processes(problems)


def main() -> int:
    """Show what this machine can do, with the engine that the command line names or any."""
    for number in INTERRUPTIONS:
        signal.signal(number, interrupted)
    try:
        named = [engine for engine in ENGINES if engine in sys.argv[1:]]
        show(() if LOCAL in sys.argv[1:] else named or list(ENGINES))
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
