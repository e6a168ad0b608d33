"""Whether a service that was promised a GPU really works on it: the only proof is after its start.

Three things are asked, each of which catches what the one before cannot: what the engine was told to
give (a reader of compose files may have left it out), which device nodes are in the container, and
what the server itself says. Whoever is silent on all of that is not called right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from lcompose import vendors
from lcompose.engines import Engine
from lcompose.errors import LcomposeError, NotReadyError
from lcompose.spec.run import Given

Word = Literal["gpu", "cpu"]
State = Literal["gpu", "cpu", "unknown"]

# What servers print of what they work on, once at their start. A name in it is one that a vendor goes by.
WORDS: tuple[tuple[str, Word], ...] = (
    # vLLM, and what is built on it
    (r"Automatically detected platform cpu\b", "cpu"),
    (r"Automatically detected platform (?P<name>\w+)", "gpu"),
    (r"No platform detected|UnspecifiedPlatform|Failed to infer device type", "cpu"),
    # Ollama
    (r"no compatible GPUs were discovered", "cpu"),
    (r'inference compute\b.*\blibrary="?cpu\b', "cpu"),
    (r'inference compute\b.*\blibrary="?(?P<name>\w+)', "gpu"),
    # llama.cpp
    (r"no usable GPU found", "cpu"),
    (r"offloaded 0/\d+ layers to GPU", "cpu"),
    (r"found [1-9]\d* (?P<name>CUDA|ROCm|SYCL|Vulkan) devices", "gpu"),
    (r"offloaded [1-9]\d*/\d+ layers to GPU", "gpu"),
)
SAID = tuple((re.compile(pattern), word) for pattern, word in WORDS)
# It says that there is a GPU, and not whose.
ANYBODYS = ("vulkan",)
# It is said early, and a log that has grown for days need not be read to its end.
MOST_READ = 4 * 1024 * 1024
_LISTED = "/dev/nvidia* /dev/nvhost-ctrl-gpu /dev/nvgpu/*/ctrl /dev/dxg /dev/kfd /dev/dri/* /dev/accel*"
LIST = ("sh", "-c", f"ls -d {_LISTED} 2>/dev/null; true")
PATIENCE = 10.0
WAY_OUT = "Run 'lcompose doctor': it says what this machine lacks."


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found of one container: ``nodes`` in it (None if it cannot be asked), and what its server said."""

    given: Given
    nodes: tuple[str, ...] | None = None
    word: Word | None = None
    line: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one service works on, and why we think so."""

    service: str
    vendor: str
    state: State
    reason: str
    devices: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    line: str = ""


def judged(found: Evidence) -> Verdict:
    """What follows from the evidence; what was promised and is missing is the processor."""
    state, reason = _judged(found)
    given = found.given
    return Verdict(given.service, given.vendor, state, reason, given.devices, found.nodes or (), found.line)


def _judged(found: Evidence) -> tuple[State, str]:
    vendor = vendors.vendor(found.given.vendor)
    if not found.given.devices:
        return "cpu", "its engine was told of no device: what read the compose file left it out"
    if found.nodes is not None and vendor.inside and not _has(found.nodes, vendor.inside):
        return "cpu", f"no device of {vendor.title} is where it runs"
    if found.word == "cpu":
        return "cpu", "its server says that it works on the processor"
    if found.word == "gpu":
        return "gpu", "its server says so"
    if found.nodes is None:
        return "unknown", "its container cannot be asked, and its server said nothing of it"
    return "unknown", "the device is where it runs, and its server said nothing of it"


def _has(nodes: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    return any(all(any(fnmatch(node, pattern) for node in nodes) for pattern in row) for row in rows)


def said(lines: Iterable[str], names: Sequence[str]) -> tuple[Word | None, str]:
    """The last word of a server on what it works on, and the line; ``names`` are those of the vendor's GPUs."""
    word: Word | None = None
    told = ""
    for line in lines:
        for pattern, meant in SAID:
            if match := pattern.search(line):
                name = (match.groupdict().get("name") or "").lower()
                # Another vendor's GPU, such as the one inside the processor, is not what was promised.
                other = name not in ("", *names, *ANYBODYS)
                word, told = ("cpu" if other else meant), line.strip()
                break
    return word, told


def verify(engine: Engine, project: str) -> tuple[Verdict, ...]:
    """What each running service works on that was promised a GPU, by the names of the services.

    Raises: EngineError when the engine does not answer.
    """
    promised = [one for one in engine.accelerators(project) if one.vendor in vendors.choices()]
    promised.sort(key=lambda one: one.service)
    return tuple(judged(_evidence(engine, one)) for one in promised)


def fallen_back(found: Iterable[Verdict]) -> list[Verdict]:
    """Those that work on the processor."""
    return [one for one in found if one.state == "cpu"]


def refuse_fallback(found: Iterable[Verdict]) -> None:
    """Makes an error of what should be on a GPU and is not.

    Raises: NotReadyError.
    """
    wrong = fallen_back(found)
    if wrong:
        details = tuple(f"{one.service}: {one.reason}{f': {one.line}' if one.line else ''}" for one in wrong)
        names = ", ".join(one.service for one in wrong)
        what = "{} was to work on a GPU, and works on the processor"
        if len(wrong) > 1:
            what = "{} were to work on a GPU, and work on the processor"
        raise NotReadyError(what.format(names), "", WAY_OUT, details)


def _evidence(engine: Engine, one: Given) -> Evidence:
    word, line = said(_first_lines(engine, one.container), vendors.vendor(one.vendor).said)
    return Evidence(one, _nodes(engine, one.container), word, line)


def _nodes(engine: Engine, container: str) -> tuple[str, ...] | None:
    try:
        listed = engine.execute(container, LIST, PATIENCE)
    except LcomposeError:
        return None
    return None if listed.code else tuple(listed.out.split())


def _first_lines(engine: Engine, container: str) -> list[str]:
    read, size = [], 0
    pieces = engine.stream(container)
    for piece in pieces:
        read.append(piece)
        size += len(piece)
        if size > MOST_READ:
            break
    if close := getattr(pieces, "close", None):
        close()
    lines = b"".join(read).decode(errors="replace").splitlines()
    # Each begins with the time.
    return [line.partition(" ")[2] for line in lines]
