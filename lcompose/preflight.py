"""Whether this machine has what a project of processes needs, asked before any of them is started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from lcompose import environments, host
from lcompose.errors import LcomposeError, MachineError
from lcompose.spec.program import Need

Tell = Callable[[str], None]
# ``fetched`` is what uv gets when it is needed; ``unknown`` is what only a program that is missing could tell.
Found: TypeAlias = Literal["here", "fetched", "missing", "unknown"]
# Seconds: to look whether something is here, and to fetch a Python.
LOOK, FETCH_PYTHON = 60.0, 600.0
UV = "uv"
FORBIDDEN = {"UV_PYTHON_DOWNLOADS": ("never", "manual"), "UV_OFFLINE": ("1", "true"), "UV_NO_PYTHON_DOWNLOADS": ("1",)}


def here(needs: Iterable[Need], env: Mapping[str, str], more: Iterable[str] = ()) -> None:
    """Looks for all that can be looked for at once; what uv can fetch is left to ``fetched``.

    ``more`` are other lines of what is missing, such as ports that are taken.

    Raises: MachineError that tells everything that is missing, each with one thing to do.
    """
    missing = [*(f"{_what(one)} {one.fix}" for one in needs if _is_missing(one, env)), *more]
    told = tuple(dict.fromkeys(missing))
    if told:
        what = "this machine cannot run the stack as processes yet"
        raise MachineError(what, "", "Mend what stands above, or use containers: --runtime container.", told)


def _what(need: Need) -> str:
    if need.kind == "python":
        return f"There is no Python {need.name} that uv finds, and it may fetch none."
    title = {"program": "the program {} is not installed", "folder": "there is no folder {}", "file": "there is no {}"}
    return f"{need.service}: {title[need.kind].format(need.name)}."


def _is_missing(need: Need, env: Mapping[str, str]) -> bool:
    # Which Python uv takes is asked when it is fetched, and not twice.
    return (need.kind != "python" or _may_not_fetch(env)) and look(need, env) == "missing"


def look(need: Need, env: Mapping[str, str]) -> Found:
    """Whether a machine has what a process needs; nothing is changed for that."""
    match need.kind:
        case "program":
            there = bool(host.find_program(need.name, env.get("PATH", "")))
        case "folder":
            there = Path(need.name).is_dir()
        case "file":
            there = Path(need.name).is_file()
        case "python" | "packages":
            return _of_uv(need, env)
    return "here" if there else "missing"


def _of_uv(need: Need, env: Mapping[str, str]) -> Found:
    if not host.find_program(UV, env.get("PATH", "")):
        return "unknown"
    if need.kind == "packages":
        # To ask for them would make an environment.
        return "unknown" if env.get("UV_OFFLINE", "").lower() in FORBIDDEN["UV_OFFLINE"] else "fetched"
    if has_python(need.name, env):
        return "here"
    return "missing" if _may_not_fetch(env) else "fetched"


def _may_not_fetch(env: Mapping[str, str]) -> bool:
    return any(env.get(name, "").lower() in words for name, words in FORBIDDEN.items())


def has_python(version: str, env: Mapping[str, str]) -> bool:
    """Whether uv finds a Python of at least that version, or the one that is named instead of a version."""
    wanted = f">={version}" if version[:1].isdecimal() else version
    return not _uv(["python", "find", "--no-python-downloads", wanted], env, LOOK).code


def python_for_uv(env: Mapping[str, str], versions: Iterable[str]) -> str:
    """The Python that uv is told to take: a person's own choice, or one of pyenv's; empty where it may look itself.

    Where pyenv is on the path, uv gives up at the first of its shims that leads to no version.
    """
    if env.get("UV_PYTHON"):
        return env["UV_PYTHON"]
    root = env.get("PYENV_ROOT") or f"{env.get('HOME', '/')}/.pyenv"
    if f"{root}/shims" not in env.get("PATH", "").split(":"):
        return ""
    found = [path for version in versions for path in sorted(Path(root, "versions").glob(f"{version}.*/bin/python"))]
    return str(found[-1]) if found else ""


def fetched(needs: Iterable[Need], env: Mapping[str, str], timeout: float, tell: Tell) -> None:
    """Has uv fetch what is not here yet; ``timeout`` is in seconds for each.

    Raises: MachineError with uv's own words.
    """
    needs = tuple(needs)
    left = [need for need in needs if need.kind == "packages" and not environments.known(need.argv, env)]
    python = next((need for need in needs if need.kind == "python"), None)
    if left and python and not has_python(python.name, env):
        tell(f"uv fetches Python {python.name}")
        _done(python, _uv(["python", "install", python.name], env, FETCH_PYTHON), f"Python {python.name}")
    for need in left:
        environments.remember(need.argv, env, _environment(need, env, timeout, tell))


def _environment(need: Need, env: Mapping[str, str], timeout: float, tell: Tell) -> str:
    """The folder of what uv has made of packages; they are fetched where they are not here.

    Raises: MachineError.
    """
    run = need.argv.index("run") + 1
    before, after = need.argv[1:run], (*need.argv[run:], *environments.WHERE)
    here = _uv([*before, environments.OFFLINE, *after], env, LOOK)
    if not here.code:
        return here.out.strip()
    tell(f"{need.service}: uv fetches {need.name}")
    # Compiled now, since that takes half of the first start.
    done = _uv([*before, "--compile-bytecode", *after], env, timeout)
    _done(need, done, need.name)
    return done.out.strip()


def _uv(words: list[str], env: Mapping[str, str], timeout: float) -> host.Finished:
    program = host.find_program(UV, env.get("PATH", "")) or UV
    try:
        return host.run([program, *words], timeout=timeout, env=env)
    except MachineError:
        raise
    except LcomposeError as error:
        return host.Finished(1, "", error.what)


def _done(need: Need, finished: host.Finished, what: str) -> None:
    if finished.code:
        said = [line.strip() for line in finished.said.splitlines() if line.strip()]
        raise MachineError(f"{what} cannot be fetched for {need.service}", "", need.fix, tuple(said[-6:]))
