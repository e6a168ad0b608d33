"""What the real Llama Stack needs as a process, and a stand-in for a checkout of Lightspeed Core's sources."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.images.build import TABLE

NO_UV = "uv is not installed: pip install uv"
NO_TABLE = "tiktoken's table is not here: it comes with the test images"
# LCORE is in no package; its stand-in needs the same packages as the real server.
PROJECT = """
[project]
name = "standin"
version = "1"
requires-python = ">=3.12"
dependencies = ["ogx==1.2.5", "mcp<2"]
[tool.uv]
package = false
"""


def uv_environment() -> dict[str, str]:
    """Variables with which uv and the tables of the real Llama Stack are found; skips where they are not here."""
    # PATH gets the uv of the tests' environment, and a Python that Llama Stack runs on, where there is one.
    found = sorted(Path.home().glob(".pyenv/versions/3.12*/bin"))
    path = os.pathsep.join([*map(str, found[-1:]), os.environ["PATH"], str(Path(sys.executable).parent)])
    if not shutil.which("uv", path=path):
        pytest.skip(NO_UV)
    tables = sorted(Path.home().glob(f".cache/lcompose-test/*/*/{TABLE}"))
    if not tables:
        pytest.skip(NO_TABLE)
    return {"PATH": path, "TIKTOKEN_CACHE_DIR": str(tables[0].parent)}


def lcore_checkout(folder: Path) -> Path:
    """Puts the stand-in where a checkout has Lightspeed Core, below a folder."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "tests" / "images" / "lcore", checkout / "src")
    shutil.copy(checkout / "src" / "standin.py", checkout / "src" / "lightspeed_stack.py")
    (checkout / "pyproject.toml").write_text(PROJECT)
    return checkout
