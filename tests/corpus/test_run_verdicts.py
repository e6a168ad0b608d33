"""Each small run.yaml is refused by Llama Stack itself, or taken, as the findings say.

``LCOMPOSE_ORACLE_PYTHON`` is a Python that can import Llama Stack, such as the one that LCORE runs with.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.run_cases import CASES, Case, Version

PYTHON = os.environ.get("LCOMPOSE_ORACLE_PYTHON", "")


class Oracle:
    """Llama Stack, in a process of its own."""

    def __init__(self) -> None:
        program = [PYTHON, str(Path(__file__).with_name("run_oracle.py"))]
        self.process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        said = self._answer()
        self.version: Version = tuple(int(part) for part in said.split(".")) if said else ()

    def why(self, document: str) -> str:
        """What stops it, or nothing."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(document) + "\n")
        self.process.stdin.flush()
        return str(self._answer())

    def _answer(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline() or '""')


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    if not PYTHON:
        pytest.skip("LCOMPOSE_ORACLE_PYTHON is not set to a Python that has Llama Stack")
    found = Oracle()
    if not found.version:
        pytest.skip("LCOMPOSE_ORACLE_PYTHON cannot import Llama Stack")
    yield found
    found.process.kill()
    found.process.wait()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_llama_stack_refuses_what_is_said_to_be_refused_and_nothing_else(oracle: Oracle, case: Case) -> None:
    if not case.of(oracle.version):
        pytest.skip(f"not about Llama Stack {oracle.version}")
    why = oracle.why(case.document)
    assert bool(why) == case.refused, f"Llama Stack: {why or 'starts'}\nwe: {case.found or 'nothing'}\n{case.document}"
