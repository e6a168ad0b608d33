"""What detection may ask of a machine: of this one, or of one that was recorded."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol, TypeVar

from lcompose import host
from lcompose.errors import LcomposeError
from lcompose.spec.machine import DeviceNode

T = TypeVar("T")

# Seconds that any one program has: the tools of GPUs ask their drivers, and these can hang.
PATIENCE = 5.0
SOON = 0.5


class Host(Protocol):
    """A machine that can be asked. No answer raises; what is not there and what may not be read look alike."""

    def text(self, path: str) -> str | None:
        """A small file's text, or None where there is none to read."""

    def names(self, folder: str) -> tuple[str, ...]:
        """What is in a folder, sorted."""

    def link(self, path: str) -> str:
        """Where a symbolic link leads, as it is written; empty where there is none."""

    def node(self, path: str) -> DeviceNode | None:
        """The device node there."""

    def gone(self, path: str) -> bool:
        """Whether there is surely nothing at a path."""

    def program(self, name: str) -> bool:
        """Whether a program is there to be run."""

    def run(self, argv: Sequence[str], timeout: float = PATIENCE) -> str | None:
        """What a program prints that ends well within that many seconds, else None."""

    def arch(self) -> str:
        """The processor's architecture, as the kernel names it."""


class ThisMachine:
    """The machine that we run on."""

    def text(self, path: str) -> str | None:
        """See Host; never waits for a pipe or a device."""
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123
                regular = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
                # A driver's file may be there, and still refuse to be read.
                return stream.read(host.MAX_FILE).decode(errors="replace") if regular else None
        except (OSError, ValueError):
            return None

    def names(self, folder: str) -> tuple[str, ...]:
        """See Host; names that cannot be printed are nobody's."""
        try:
            return tuple(sorted(name for name in os.listdir(folder) if name.isprintable()))
        except (OSError, ValueError):
            return ()

    def link(self, path: str) -> str:
        """See Host."""
        try:
            return os.readlink(path)  # noqa: PTH115  # as it is written
        except (OSError, ValueError):
            return ""

    def node(self, path: str) -> DeviceNode | None:
        """See Host."""
        try:
            found = os.stat(path)  # noqa: PTH116
        except (OSError, ValueError):
            return None
        return DeviceNode(path, found.st_gid, stat.S_IMODE(found.st_mode)) if stat.S_ISCHR(found.st_mode) else None

    def gone(self, path: str) -> bool:
        """See Host; what we may not look at is not gone."""
        try:
            os.stat(path)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return True
        except OSError:
            return False
        return False

    def program(self, name: str) -> bool:
        """See Host."""
        return host.find_program(name) is not None

    def run(self, argv: Sequence[str], timeout: float = PATIENCE) -> str | None:
        """See Host; one that cannot even be killed, since its driver hangs, is left behind."""
        return side_by_side([lambda: _printed(argv, timeout)], timeout + SOON)[0]

    def arch(self) -> str:
        """See Host."""
        return os.uname().machine


def _printed(argv: Sequence[str], timeout: float) -> str | None:
    try:
        ran = host.run(argv, timeout=timeout, grace=host.SHORT_GRACE)
    except LcomposeError:
        return None
    return None if ran.code else ran.out


@dataclass(frozen=True, slots=True)
class Recorded:
    """A machine that was recorded: what was asked and found. All else is not there.

    ``paths`` are those that are there and have no text for us. ``programs`` has the programs that are
    there, and what they printed by the arguments after their name.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    nodes: Mapping[str, DeviceNode] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    programs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    architecture: str = "x86_64"

    def text(self, path: str) -> str | None:
        """See Host."""
        return self.files.get(path)

    def names(self, folder: str) -> tuple[str, ...]:
        """See Host."""
        inside = folder.rstrip("/") + "/"
        return tuple(sorted({path[len(inside) :].split("/")[0] for path in self._all() if path.startswith(inside)}))

    def link(self, path: str) -> str:
        """See Host."""
        return self.links.get(path, "")

    def node(self, path: str) -> DeviceNode | None:
        """See Host."""
        return self.nodes.get(path)

    def gone(self, path: str) -> bool:
        """See Host."""
        return not any(one == path or one.startswith(f"{path}/") for one in self._all())

    def program(self, name: str) -> bool:
        """See Host."""
        return name in self.programs

    def run(self, argv: Sequence[str], timeout: float = PATIENCE) -> str | None:  # noqa: ARG002
        """See Host."""
        return self.programs.get(argv[0], {}).get(" ".join(argv[1:]))

    def arch(self) -> str:
        """See Host."""
        return self.architecture

    def _all(self) -> Iterator[str]:
        for known in (self.files, self.links, self.nodes, self.paths):
            yield from known


class Recorder:
    """Asks another machine each question once, and remembers the answers."""

    def __init__(self, asked: Host) -> None:
        self._host = asked
        self._texts: dict[str, str | None] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._links: dict[str, str] = {}
        self._nodes: dict[str, DeviceNode | None] = {}
        self._gone: dict[str, bool] = {}
        self._programs: dict[str, bool] = {}
        self._runs: dict[tuple[str, ...], str | None] = {}

    def text(self, path: str) -> str | None:
        """See Host."""
        return _once(self._texts, path, self._host.text)

    def names(self, folder: str) -> tuple[str, ...]:
        """See Host."""
        return _once(self._names, folder, self._host.names)

    def link(self, path: str) -> str:
        """See Host."""
        return _once(self._links, path, self._host.link)

    def node(self, path: str) -> DeviceNode | None:
        """See Host."""
        return _once(self._nodes, path, self._host.node)

    def gone(self, path: str) -> bool:
        """See Host."""
        return _once(self._gone, path, self._host.gone)

    def program(self, name: str) -> bool:
        """See Host."""
        return _once(self._programs, name, self._host.program)

    def run(self, argv: Sequence[str], timeout: float = PATIENCE) -> str | None:
        """See Host."""
        return _once(self._runs, tuple(argv), lambda known: self._host.run(known, timeout))

    def arch(self) -> str:
        """See Host."""
        return self._host.arch()

    def recording(self) -> Recorded:
        """A machine that gives the same answers to the same questions."""
        # Copies, since a question that was left behind may be answered meanwhile.
        files = {path: text for path, text in self._texts.copy().items() if text is not None}
        links = {path: target for path, target in self._links.copy().items() if target}
        nodes = {path: node for path, node in self._nodes.copy().items() if node}
        there = {f"{folder}/{name}" for folder, names in self._names.copy().items() for name in names}
        there |= {path for path, gone in self._gone.copy().items() if not gone}
        programs: dict[str, dict[str, str]] = {name: {} for name, found in self._programs.copy().items() if found}
        for (name, *rest), printed in self._runs.copy().items():
            if printed is not None:
                programs.setdefault(name, {})[" ".join(rest)] = printed
        paths = frozenset(there - files.keys() - links.keys() - nodes.keys())
        return Recorded(files, links, nodes, paths, programs, self._host.arch())


def recorded(tree: Mapping[str, Any]) -> Recorded:
    """The machine in a document that ``document`` made, or somebody wrote.

    Raises: TypeError, ValueError, KeyError or AttributeError for a document that is none.
    """
    nodes = {path: DeviceNode(path, int(one["gid"]), int(one["mode"], 8)) for path, one in _part(tree, "nodes")}
    return Recorded(
        files={path: str(text) for path, text in _part(tree, "files")},
        links={path: str(target) for path, target in _part(tree, "links")},
        nodes=nodes,
        paths=frozenset(tree.get("paths") or ()),
        programs={name: dict(printed or {}) for name, printed in _part(tree, "programs")},
        architecture=str(tree.get("arch") or ""),
    )


def document(machine: Recorded) -> dict[str, Any]:
    """A recorded machine as a tree of plain values."""
    nodes = sorted(machine.nodes.items())
    return {
        "arch": machine.architecture,
        "files": dict(sorted(machine.files.items())),
        "links": dict(sorted(machine.links.items())),
        "nodes": {path: {"gid": node.gid, "mode": f"{node.mode:04o}"} for path, node in nodes},
        "paths": sorted(machine.paths),
        "programs": {name: dict(sorted(printed.items())) for name, printed in sorted(machine.programs.items())},
    }


def side_by_side(calls: Sequence[Callable[[], T]], seconds: float) -> list[T | None]:
    """What each call returns, all made at once; None of one that takes longer, which is left behind."""
    from queue import Empty, SimpleQueue
    from threading import Thread
    from time import monotonic

    results: SimpleQueue[tuple[int, T | None, Exception | None]] = SimpleQueue()

    def make(at: int, call: Callable[[], T]) -> None:
        try:
            results.put((at, call(), None))
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            results.put((at, None, error))

    for at, call in enumerate(calls):
        Thread(target=make, args=(at, call), daemon=True).start()
    found: dict[int, T | None] = {}
    end = monotonic() + seconds
    try:
        while len(found) < len(calls):
            at, value, error = results.get(timeout=max(0.0, end - monotonic()))
            if error:
                raise error
            found[at] = value
    except Empty:
        pass
    return [found.get(at) for at in range(len(calls))]


def name_of(path: str) -> str:
    """The last part of a path."""
    return PurePosixPath(path).name


def _part(tree: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    return list((tree.get(key) or {}).items())


def _once(known: dict[Any, T], key: Any, ask: Callable[[Any], T]) -> T:
    if key not in known:
        known[key] = ask(key)
    return known[key]
