"""Compiles what a program imports, for its next start. It runs inside the container, beside the program.

It finds the modules by reading their sources, imports none of them, and uses only processors that
nobody else wants. Its arguments name the program: packages, and directories of modules.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from compileall import compile_file
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

MADE = "made"
# What is inside functions and classes is imported later, if ever; what only type checkers see, never.
LATER = re.compile(rb"^(?:(?:async )?def |class |if (?:\w+\.)?TYPE_CHECKING\b).*(?:\n(?:[ \t)].*)?)*", re.M)
IMPORT = rb"(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]*)|import[ \t]+([\w., \t]+))"
# At the top, and in what guards it there, such as try; or anywhere.
AT_ONCE, EVER = re.compile(rb"^(?:    )?" + IMPORT, re.M), re.compile(rb"^[ \t]*" + IMPORT, re.M)
COMMENT, NAME = re.compile(r"#.*"), re.compile(r"(\w+)(?:\s+as\s+\w+)?")
MOST_WORKERS = 4


def modules(program: str) -> Iterator[str]:
    """The dotted names of the modules in a package or a directory; what is hidden, such as an environment, is not."""
    spec = None if os.sep in program else PathFinder.find_spec(program)
    for directory in (spec.submodule_search_locations or ()) if spec else (program,):
        for place, inner, files in os.walk(directory):
            inner[:] = [name for name in inner if not name.startswith(".")]
            package = [program] * bool(spec) + [*Path(place).relative_to(directory).parts]
            yield from (".".join([*package, name[:-3]]) for name in files if name.endswith(".py"))


def imported(source: bytes, package: str, *, ever: bool = False) -> Iterator[str]:
    """The dotted names that a module of a package imports at once (or ever), and what may be modules in them."""
    for dots, base, names, plain in EVER.findall(source) if ever else AT_ONCE.findall(LATER.sub(b"", source)):
        if plain:
            yield from (part.split()[0] for part in plain.decode().split(",") if part.strip())
            continue
        above = package.split(".")[: len(package.split(".")) - len(dots) + 1] if dots else []
        module = ".".join([*above, *([base.decode()] if base else [])])
        yield module
        for name in NAME.findall(COMMENT.sub("", names.decode(errors="replace"))):
            yield f"{module}.{name}"


class Sources:
    """The modules that were looked for; ``files`` are those of the ones found: module or package, by file."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}
        self.files: dict[Path, str] = {}

    def add(self, names: Iterable[str]) -> list[Path]:
        """The files of these modules, and of all that they import at once; those that are new."""
        known, left = len(self.files), list(names)
        while left:
            name = left.pop()
            parent = name.rpartition(".")[0]
            if parent and parent not in self._specs:
                # It is imported first, and says where its modules are.
                left += [name, parent]
            elif name and name not in self._specs:
                self._specs[name] = spec = _found(name, self._specs.get(parent))
                if spec and spec.origin and spec.origin.endswith(".py"):
                    file, package = Path(spec.origin), name if spec.submodule_search_locations else parent
                    self.files[file] = package
                    left.extend(imported(file.read_bytes(), package))
        return list(self.files)[known:]

    def library(self, file: Path) -> str:
        """What the name of a file's module begins with."""
        return self.files[file].partition(".")[0]

    def deferred(self) -> Iterator[str]:
        """What these modules import anywhere, such as in functions when they are called."""
        for file, package in self.files.items():
            yield from imported(file.read_bytes(), package, ever=True)


def _found(name: str, parent: ModuleSpec | None) -> ModuleSpec | None:
    if "." not in name:
        return PathFinder.find_spec(name)
    inside = parent.submodule_search_locations if parent else None
    # By its last name only: else Python looks for the parent among what was imported.
    return PathFinder.find_spec(name.rpartition(".")[2], list(inside)) if inside else None


def _size(file: Path) -> int:
    return file.stat().st_size


def main(programs: list[str]) -> None:
    """Compiles what is imported at once before the rest, and what saves most first: it may be ended at any time."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    sys.path[0:1] = [program for program in programs if os.sep in program]
    found = Sources()
    at_once = found.add(name for program in programs for name in modules(program))
    workers = min(MOST_WORKERS, os.cpu_count() or 1)
    mine = next((number for number in range(1, workers) if not os.fork()), 0)
    _compile(sorted(at_once, key=_size, reverse=True)[mine::workers])
    if at_once and sys.pycache_prefix and not mine:
        Path(sys.pycache_prefix).mkdir(parents=True, exist_ok=True)
        Path(sys.pycache_prefix, MADE).touch()
    deferred = found.add(list(found.deferred()))
    crowds = Counter(found.library(file) for file in deferred)
    # Clients of whole services have thousands of modules, and hardly any of them is ever imported.
    _compile(sorted(deferred, key=lambda file: (crowds[found.library(file)], str(file)))[mine::workers])
    # Whoever is not waited for stays behind as a child of the container's own program.
    for _ in range(0 if mine else workers - 1):
        os.wait()


def _compile(files: list[Path]) -> None:
    for file in files:
        compile_file(file, quiet=2)


if __name__ == "__main__":
    main(sys.argv[1:])
