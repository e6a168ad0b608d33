"""Compiles what a program is about to import. It runs inside the container, beside the program.

It finds the modules by reading their sources, imports none of them, and uses only processors that
nobody else wants. Its arguments are the directories whose modules are the program.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from compileall import compile_file
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

# What is inside functions and classes is imported later, if ever; what only type checkers see, never.
LATER = re.compile(rb"^(?:(?:async )?def |class |if (?:\w+\.)?TYPE_CHECKING\b).*(?:\n(?:[ \t)].*)?)*", re.M)
IMPORT = re.compile(
    rb"^(?:    )?(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]*)|import[ \t]+([\w., \t]+))", re.M
)
COMMENT, NAME = re.compile(r"#.*"), re.compile(r"(\w+)(?:\s+as\s+\w+)?")
MOST_WORKERS = 4


def modules(directory: str) -> Iterator[str]:
    """The dotted names of the modules in a directory; what is hidden, such as an environment, is left out."""
    for place, inner, files in os.walk(directory):
        inner[:] = [name for name in inner if not name.startswith(".")]
        package = Path(place).relative_to(directory).parts
        yield from (".".join([*package, name[:-3]]) for name in files if name.endswith(".py"))


def imported(source: bytes, package: str) -> Iterator[str]:
    """The dotted names that a module of a package imports at once, and what may be modules in them."""
    for dots, base, names, plain in IMPORT.findall(LATER.sub(b"", source)):
        if plain:
            yield from (part.split()[0] for part in plain.decode().split(",") if part.strip())
            continue
        above = package.split(".")[: len(package.split(".")) - len(dots) + 1] if dots else []
        module = ".".join([*above, *([base.decode()] if base else [])])
        yield module
        for name in NAME.findall(COMMENT.sub("", names.decode(errors="replace"))):
            yield f"{module}.{name}"


def sources(names: Iterable[str]) -> set[Path]:
    """The files of these modules, and of all that they import."""
    specs: dict[str, ModuleSpec | None] = {}
    found = set()
    left = list(names)
    while left:
        name = left.pop()
        parent = name.rpartition(".")[0]
        if parent and parent not in specs:
            # It is imported first, and says where its modules are.
            left += [name, parent]
        elif name and name not in specs:
            specs[name] = spec = _found(name, specs.get(parent))
            if spec and spec.origin and spec.origin.endswith(".py"):
                file = Path(spec.origin)
                found.add(file)
                left.extend(imported(file.read_bytes(), name if spec.submodule_search_locations else parent))
    return found


def _found(name: str, parent: ModuleSpec | None) -> ModuleSpec | None:
    if "." not in name:
        return PathFinder.find_spec(name)
    inside = parent.submodule_search_locations if parent else None
    # By its last name only: else Python looks for the parent among what was imported.
    return PathFinder.find_spec(name.rpartition(".")[2], list(inside)) if inside else None


def _size(file: Path) -> int:
    return file.stat().st_size


def main(directories: list[str]) -> None:
    """Compiles the largest modules first: it may be ended at any time."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    sys.path[0:1] = directories
    files = sorted(sources(name for one in directories for name in modules(one)), key=_size, reverse=True)
    workers = min(MOST_WORKERS, os.cpu_count() or 1)
    mine = next((number for number in range(1, workers) if not os.fork()), 0)
    for file in files[mine::workers]:
        compile_file(file, quiet=2)
    # Whoever is not waited for stays behind as a child of the container's own program.
    for _ in range(0 if mine else workers - 1):
        os.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
