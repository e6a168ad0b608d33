"""Running programs and timing them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 600


@dataclass(frozen=True)
class Bench:
    """What every measurement works with: lcompose as it is installed, and a folder that goes away."""

    lcompose: str
    scratch: Path

    @property
    def python(self) -> str:
        """The interpreter that lcompose is installed for."""
        return str(Path(self.lcompose).with_name("python"))

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """This environment, with bytecode allowed, a state folder that goes away, and what the quickstart needs."""
        ours = ("LCOMPOSE_", "COMPOSE_", "PYTHONDONT")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        own = {"XDG_STATE_HOME": str(self.scratch / "state"), "OPENAI_API_KEY": "not-used"}
        return kept | own | dict(more or {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})

    def run(self, *argv: str, env: Mapping[str, str] | None = None, codes: tuple[int, ...] = (0,)) -> Timed:
        """A command, timed. Raises: SystemExit when it ends with another code."""
        return run(argv, self.environment(env), codes)


@dataclass(frozen=True)
class Timed:
    """A command that has ended: when, after how many seconds, and what it printed."""

    seconds: float
    ended: float
    out: str
    err: str


def run(argv: tuple[str, ...], env: Mapping[str, str] | None = None, codes: tuple[int, ...] = (0,)) -> Timed:
    """Runs a command. Raises: SystemExit when it ends with a code that is not expected."""
    begun = time.perf_counter()
    options: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "timeout": LONGEST}
    done = subprocess.run(argv, env=env, **options)
    seconds, ended = time.perf_counter() - begun, time.time()
    if done.returncode not in codes:
        sys.exit(f"{' '.join(argv[:4])} ended with {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}")
    return Timed(seconds, ended, done.stdout, done.stderr)


def printed(*argv: str) -> str:
    """What a command prints, without the newline at its end."""
    return run(argv).out.strip()


def quietly(*argv: str, env: Mapping[str, str] | None = None) -> None:
    """Runs a command that may fail."""
    subprocess.run(argv, env=env, capture_output=True, check=False, timeout=LONGEST)


@contextmanager
def installed() -> Iterator[str]:
    """lcompose, installed as a wheel in an environment of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHONDONT")}
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([sys.executable, "-m", "venv", directory], check=True, env=env)
        pip = [f"{directory}/bin/python", "-m", "pip", "install", "-qq", f"{ROOT}[podman]"]
        subprocess.run(pip, check=True, env=env)
        yield f"{directory}/bin/lcompose"
