"""Somebody's compose files as a command line names them: which they are, and which project they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lcompose import host
from lcompose.engines import ComposeFile
from lcompose.errors import UsageError
from lcompose.workspace import Options, directory_of, dotenv

# A project's name in somebody else's file, as Compose allows it; it becomes part of a path.
FOREIGN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
IN_NAME = re.compile(r"\$(?:\{(?P<braced>\w+)(?:(?P<how>:?-)(?P<otherwise>[^}]*))?\}|(?P<bare>\w+))")
TOP_NAME = re.compile(rb"^name:[ \t]*(?P<name>[^\s#]+)[ \t]*(?:#.*)?\r?$", re.MULTILINE)


def compose_file(
    options: Options, env: Mapping[str, str], named: Sequence[str], profiles: Sequence[str]
) -> ComposeFile:
    """The files, where their paths start from, and the variables that they are read with.

    Raises: UsageError.
    """
    paths = tuple(_existing(host.file_named(directory_of(options), one)) for one in named)
    directory = paths[0].parent
    variables = {**dotenv(directory, env), **env}
    asked = tuple(profiles) or tuple(one for one in variables.get("COMPOSE_PROFILES", "").split(",") if one)
    name = _file_project(options, variables, paths, directory)
    return ComposeFile(name, paths, directory, variables, asked)


def _existing(path: Path) -> Path:
    _content(path)
    return path.absolute()


def _content(path: Path) -> bytes:
    return host.read_file(path, "the compose file", "Name an existing file with -f.")


def project_of(options: Options, env: Mapping[str, str], named: Sequence[str]) -> str:
    """The project that compose files belong to; the variables in them need not be set.

    Raises: UsageError.
    """
    return compose_file(options, env, named, ()).project


def _file_project(options: Options, env: Mapping[str, str], paths: Sequence[Path], directory: Path) -> str:
    asked = options.project_name or env.get("LCOMPOSE_PROJECT_NAME") or env.get("COMPOSE_PROJECT_NAME")
    name = asked or _filled(_said_name(paths), env) or _from_folder(directory.name)
    if not FOREIGN_NAME.fullmatch(name):
        fix = "Give it one with -p: a-z, 0-9, _ and -, starting with a letter or digit."
        raise UsageError(f"{name[:40]!r} is not a name for a project", str(paths[0]), fix)
    return name


def _said_name(paths: Sequence[Path]) -> str:
    """What a file calls itself; the last one wins. Read without the rest: that may need variables."""
    names = [match["name"].decode(errors="replace") for path in paths for match in TOP_NAME.finditer(_content(path))]
    return names[-1].strip("\"'") if names else ""


def _filled(text: str, env: Mapping[str, str]) -> str:
    """A name in which variables stand, as Compose fills them in."""

    def value(match: re.Match[str]) -> str:
        given = env.get(match["braced"] or match["bare"])
        missing = given is None or (not given and match["how"] == ":-")
        return (match["otherwise"] or "") if missing else given or ""

    return IN_NAME.sub(value, text)


def _from_folder(name: str) -> str:
    """A folder's name as Compose makes a project's of it."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-") or "default"
