"""Shell completion: scripts that a shell reads, and words that it gets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-m", "lcompose"]


def completed(line: str) -> list[str]:
    """What bash would offer at the end of a line."""
    words = line.split(" ")
    variables = {"_LCOMPOSE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(PROGRAM, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    return [offer.partition(",")[2] for offer in done.stdout.split()]


def test_commands_options_and_their_choices_are_offered() -> None:
    assert completed("lcompose re") == ["render"]
    assert completed("lcompose up --wait") == ["--wait-timeout"]
    assert completed("lcompose up --engine p") == ["podman"]
    assert completed("lcompose up --profile pr") == ["prod"]
    assert completed("lcompose render --gpu r") == ["rocm"]
    assert completed("lcompose up --gpu ") == ["auto", "none", "cuda", "rocm", "xpu"]
    assert completed("lcompose render --for podman") == ["podman", "podman-socket"]
    assert completed("lcompose render --inference ll") == ["llamacpp"]


def test_the_script_for_bash_is_one_that_bash_reads() -> None:
    script = subprocess.run([*PROGRAM, "completion", "bash"], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lcompose" in script


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(shell: str) -> None:
    script = subprocess.run([*PROGRAM, "completion", shell], capture_output=True, text=True, check=True).stdout
    assert f"_LCOMPOSE_COMPLETE={shell}_complete" in script
