"""Bytecode: where it lies, and what the program beside Lightspeed Core finds to compile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lcompose.lightspeed.bytecode import STARTER, environment, precompiling
from lcompose.lightspeed.precompile import MADE, Sources, imported, modules

MODULE = b'''"""import nothing"""
import os, sys as system
import a.b as c  # and more
from . import beside, other as another
from ..above import (
    name,  # import this
    more as less,
)
from .inner import *
try:
    from fast import quick
except ImportError:
    quick = None
if TYPE_CHECKING:
    from typed import Never
    import never

def later():
    from lazy import thing
    import lazier

class Held:
    import held

import last
'''


def test_each_image_has_its_own() -> None:
    places = [dict(environment("/data", image))["PYTHONPYCACHEPREFIX"] for image in ("a:1", "a:2")]
    assert len(set(places)) == 2 and all(str(place).startswith("/data/bytecode/") for place in places)


def test_what_a_module_imports_at_once_is_read_from_its_source() -> None:
    assert list(imported(MODULE, "top.package")) == [
        *("os", "sys", "a.b"),
        *("top.package", "top.package.beside", "top.package.other"),
        *("top.above", "top.above.name", "top.above.more"),
        "top.package.inner",
        *("fast", "fast.quick"),
        "last",
    ]


def test_what_a_module_may_import_ever_is_read_too() -> None:
    found = set(imported(MODULE, "top.package", ever=True))
    assert found > {*imported(MODULE, "top.package"), "typed", "never", "lazy", "lazy.thing", "lazier", "held"}


def test_an_environment_inside_the_program_is_not_the_program(tmp_path: Path) -> None:
    for name in ("main.py", "pkg/__init__.py", "pkg/part.py", "pkg/data.txt", ".venv/lib/thing.py"):
        write(tmp_path / name, "")
    assert sorted(modules(str(tmp_path))) == ["main", "pkg.__init__", "pkg.part"]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program with a library beside it, some of which it imports."""
    later = "def later():\n    import library.later\n"
    write(tmp_path / "program/main.py", f"import library.used\nfrom spread.out import one\nimport missing\n{later}")
    write(tmp_path / "program/broken.py", "import library.by_broken\nthis is no Python\n")
    write(tmp_path / "library/__init__.py", "from .base import thing\n")
    for name in ("base", "used", "unused", "by_broken", "later"):
        write(tmp_path / f"library/{name}.py", "x = 1\n")
    write(tmp_path / "spread/out/one.py", "")
    return tmp_path


def write(path: Path, text: str) -> None:
    """Puts a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_modules_are_found_through_packages_with_and_without_a_file(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(program))
    monkeypatch.syspath_prepend(str(program / "program"))
    found = Sources()
    at_once = {str(one.relative_to(program)) for one in found.add(["main"])}
    assert at_once == {
        "program/main.py",
        "library/__init__.py",
        "library/base.py",
        "library/used.py",
        "spread/out/one.py",
    }


def compiled(path: Path, program: str) -> list[str]:
    """The modules that are compiled for a program."""
    env = {**os.environ, "PYTHONPATH": str(path), "PYTHONPYCACHEPREFIX": str(path / "kept")}
    argv = [sys.executable, *precompiling(program)[1:]]
    assert subprocess.run(argv, env=env, capture_output=True, check=True).stdout == b""
    return sorted(one.name.partition(".")[0] for one in (path / "kept").rglob("*.pyc"))


def test_it_compiles_what_a_program_imports_and_nothing_else(program: Path) -> None:
    expected = ["__init__", "base", "by_broken", "later", "main", "one", "used"]
    assert compiled(program, str(program / "program")) == expected


def test_until_it_is_made_nobody_looks_for_it(program: Path) -> None:
    kept = program / "kept"
    show = [*STARTER, "sh", "-c", 'echo "${PYTHONPYCACHEPREFIX-none} $1 $2"', "sh", "a b", "c"]

    def shown() -> str:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": str(kept)}
        return subprocess.run(show, env=env, capture_output=True, text=True, check=True).stdout.strip()

    assert shown() == "none a b c"
    compiled(program, "missing")
    assert shown() == "none a b c"
    compiled(program, "library")
    assert (kept / MADE).exists() and shown() == f"{kept} a b c"


def test_a_package_is_a_program_too(program: Path) -> None:
    expected = ["__init__", "base", "by_broken", "later", "unused", "used"]
    assert compiled(program, "library") == expected


def test_what_is_not_there_is_nothing_to_compile(program: Path) -> None:
    assert compiled(program, "missing") == []
