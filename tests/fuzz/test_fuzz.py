"""Whatever stands in the two files, lcompose answers: with a project, or with an error for people, and soon."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from posixpath import basename
from typing import Any

import pytest
import yaml

from lcompose.errors import LcomposeError
from lcompose.forms import RunDocument, run_document, with_additions
from lcompose.lightspeed.config import embedded_settings, section_of, without_settings
from lcompose.lightspeed.images import Images, choose_images
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.lightspeed.synthesis import is_unified
from lcompose.load import Node, Path, parse, plain
from lcompose.merge import Layer
from lcompose.profiles import profile_layers
from lcompose.resolve import resolve
from lcompose.schema import record
from lcompose.settings import EMBEDDED, checked_layer, resolve_settings
from lcompose.sides import Request
from lcompose.spec.target import TargetFacts
from lcompose.targets import Place, translate
from lcompose.templates import data_directory
from tests.conftest import SHARED
from tests.fuzz.mutations import known_paths, mutated
from tests.fuzz.samples import SAMPLES

# Seconds of the processor's time, so that a busy machine changes nothing.
LONGEST = 2.0
SEED = int(os.environ.get("LCOMPOSE_FUZZ_SEED", "20"))
COUNT = int(os.environ.get("LCOMPOSE_FUZZ", "100000" if os.environ.get("CI") else "2000"))
CHUNK = 250
# Where what is found is kept until the test asks for it.
FOUND: pytest.StashKey[Iterator[tuple[list[str], dict[str, int]]]] = pytest.StashKey()
HERE = pathlib.Path("/here")
ENVIRONMENT = {"HOME": "/home/me", "A": "set", "X": "1e5", "OPENAI_API_KEY": "sk-a-very-secret-value"}
TARGETS = (TargetFacts("docker", "inline"), TargetFacts("podman", "folder"))


class TooLongError(BaseException):
    """An input took too long. Nobody catches it on the way."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Ends what takes more of the processor's time."""

    def stop(*_: Any) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@cache
def samples(kind: str) -> list[bytes]:
    """What is changed at random: a few files of our own, and upstream's where they are here."""
    upstream = sorted((SHARED / "corpus" / kind).glob("*.yaml"))
    return [*(text.encode() for text in SAMPLES[kind]), *(path.read_bytes() for path in upstream)]


@cache
def paths(kind: str) -> list[Path]:
    """Where something has a meaning for a deployment, or at all."""
    return list(known_paths(record({"lightspeed-stack": {**LIGHTSPEED, **EMBEDDED}, "run": RUN}[kind])))


@cache
def layers() -> tuple[Layer, ...]:
    return tuple(profile_layers(("dev",), data_directory("profiles")))


@cache
def good(kind: str) -> Node:
    return parse(SAMPLES[kind][0].encode(), f"{kind}.yaml")


def given(number: int) -> tuple[str, bytes]:
    """Which file is broken, and how."""
    kind = "run" if number % 3 == 0 else "lightspeed-stack"
    return kind, mutated(samples(kind), paths(kind), SEED, number)


def answer(kind: str, data: bytes) -> str:
    """What becomes of a broken file beside a good one: ``rendered``, or the kind of error for people.

    Raises: whatever is a bug.
    """
    try:
        broken = parse(data, f"{kind}.yaml")
        both = {"lightspeed-stack": good("lightspeed-stack"), "run": good("run"), kind: broken}
        embedded = checked_layer("lightspeed-stack.yaml", embedded_settings(both["lightspeed-stack"]), EMBEDDED)
        settings = resolve_settings([*layers(), embedded])
        documents = both["lightspeed-stack"], run_of(both, choose_images(settings))
        resolved = resolve(Request("fuzz", settings, *documents, "/here", "/here", ENVIRONMENT, "/home/me"))
        for facts in TARGETS:
            bundle = translate(resolved.project, facts, Place("/here", {}))
            yaml.load(bundle.main.text, Loader=yaml.CSafeLoader)
    except LcomposeError as error:
        return type(error).__name__ if error.what else "!an error that says nothing"
    return "rendered"


def run_of(both: Mapping[str, Node], images: Images) -> Node:
    """The run.yaml that Llama Stack gets: made of the other document, or with what is added to it."""
    own = without_settings(both["lightspeed-stack"])
    if isinstance(own.value, dict) and is_unified(plain(own), section_of(own)):
        return run_document("", HERE, HERE / "lightspeed-stack.yaml", both["lightspeed-stack"], images).node
    return with_additions(RunDocument(HERE, both["run"]), own, images).node


def failures(start: int, *, count: int = CHUNK) -> tuple[list[str], dict[str, int]]:
    """What went wrong in some inputs, and how often there was which answer."""
    wrong: list[str] = []
    answers: dict[str, int] = {}
    for number in range(start, start + count):
        kind, data = given(number)
        found = wrong_with(kind, data)
        if found.startswith("!"):
            wrong.append(
                f"LCOMPOSE_FUZZ_SEED={SEED}, number {number}, {kind}.yaml: {found}\n{smaller(kind, data, found)!r}"
            )
        answers[found] = answers.get(found, 0) + 1
    return wrong, answers


def wrong_with(kind: str, data: bytes) -> str:
    """The answer, or ``!`` and what is a bug."""
    try:
        with at_most(LONGEST):
            return answer(kind, data)
    except TooLongError:
        return f"!more than {LONGEST} s"
    except Exception as error:  # noqa: BLE001  # every one is a finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"!{type(error).__name__}: {error} ({basename(place.filename)}:{place.lineno} {place.name})"


def smaller(kind: str, data: bytes, found: str) -> bytes:
    """The input without the lines that its bug does not need."""
    place = found.rpartition("(")[2]
    lines = data.splitlines(keepends=True)
    size = len(lines) // 2
    while size >= 1 and "more than" not in found:
        at = 0
        while at < len(lines):
            fewer = [*lines[:at], *lines[at + size :]]
            if wrong_with(kind, b"".join(fewer)).rpartition("(")[2] == place:
                lines = fewer
            else:
                at += size
        size //= 2
    return b"".join(lines)


@contextmanager
def begun(politeness: int) -> Iterator[Iterator[tuple[list[str], dict[str, int]]]]:
    """What comes of all inputs, part by part, from processes that leave others as much of the processor."""
    # Fork: each has read the samples already.
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), os.nice, (politeness,)) as pool:
        yield pool.imap_unordered(failures, range(0, COUNT, CHUNK))


def test_no_input_brings_anything_but_an_answer_or_an_error_for_people(request: pytest.FixtureRequest) -> None:
    wrong: list[str] = []
    answers: dict[str, int] = {}
    for some, counted in request.config.stash[FOUND]:
        wrong += some
        for name, number in counted.items():
            answers[name] = answers.get(name, 0) + number
    different = {text.partition(": ")[2].partition("\n")[0]: text for text in wrong}
    assert not wrong, f"{len(wrong)} of {COUNT} inputs, {len(different)} of them different:\n" + "\n".join(
        different.values()
    )
    # A fuzzer whose inputs all end at the first check finds nothing.
    assert answers["rendered"] > COUNT / 50, answers
    assert answers["ConfigError"] > COUNT / 4, answers
