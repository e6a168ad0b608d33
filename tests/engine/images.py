"""The images that compose files of the tests use: the base image, and one with a health check in it."""

from __future__ import annotations

import subprocess
from functools import cache

from tests.images.build import base_for

CHECKED = "localhost/lcompose-test/checked:1"
# Engines leave out a health check where an image is not of Docker's format.
FORMAT = {"docker": (), "podman": ("--format", "docker")}
BUILD = "FROM {}\nHEALTHCHECK --interval=1s --retries=2 CMD test -f /tmp/ok || {{ echo not yet; exit 1; }}\n"


@cache
def variables(engine: str) -> dict[str, str]:
    """``IMAGE`` and ``CHECKED``, for compose files; the second is made where it is missing."""
    base = base_for(engine)
    argv = [engine, "build", "--quiet", *FORMAT[engine], "--tag", CHECKED, "-"]
    done = subprocess.run(argv, input=BUILD.format(base), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return {"IMAGE": base, "CHECKED": CHECKED}
