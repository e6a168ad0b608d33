"""A compose file as its reader for Podman reads it; and what that says, when it cannot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lcompose import host
from lcompose.engines import ComposeFile
from lcompose.engines.client import QUICK
from lcompose.engines.podman_provider import Provider, provider, without_docker
from lcompose.engines.podman_refused import OTHER_PROVIDER
from lcompose.engines.podman_spelling import top_level_words
from lcompose.engines.podman_traps import refuse_unread
from lcompose.errors import UsageError

# What Podman and its runtime say beside the matter where there is no systemd, CNI plug-in or syslog.
NOISE = re.compile(
    r"systemd|CNI|connect to syslog|level=warning|Removing timer for container|^WARNING:podman_compose|^Traceback|^\s*$"
)
VARIABLE = re.compile(r"required variable ([A-Za-z_][A-Za-z0-9_]*) ")
# The kind of a Python error, or of podman-compose's own lines, before what it says.
PREFIX = re.compile(r"^(?:(?:\w+\.)*\w+(?:Error|Exception): |[A-Z]+:podman_compose:|Error: |ERROR: )+")
INTERNAL = ("AttributeError", "TypeError", "KeyError", "IndexError", "AssertionError")
# Else podman-compose does not know the network "default" when the file has others.
AS_COMPOSE = {"PODMAN_COMPOSE_DEFAULT_NET_BEHAVIOR_COMPAT": "true"}
FIX = "Correct the file, or set the variable that it asks for."


def read(compose: ComposeFile) -> dict[str, Any]:
    """What the file says: variables filled in, files and profiles merged.

    Raises: UsageError, ConfigError when it cannot be read; MachineError when nothing is there to read it.
    """
    reader = provider(compose.env)
    for file in compose.files:
        if not host.exists(file):
            raise UsageError("the compose file is not there", str(file), "Correct the name: -f FILE")
    if reader.kind == "docker-compose":
        unescaped: dict[str, Any] = _unescaped(_asked(reader, compose))
        return unescaped
    _refuse_elsewhere(compose)
    for file in compose.files:
        _refuse_include(file)
    reading = _asked(reader, compose)
    refuse_unread(reading, str(compose.files[0]))
    return reading


def telling_line(said: str) -> str:
    """The line of a program's last words that says why, without what it always says."""
    lines = [line.strip() for line in said.splitlines() if not NOISE.search(line)]
    # The lines of a traceback are indented, and its cause is the last line.
    telling = [line for line in lines if "rror" in line or "denied" in line or "refused" in line]
    found = (telling or lines or ["it said nothing"])[-1]
    return found if found.startswith(INTERNAL) else PREFIX.sub("", found)


def _asked(reader: Provider, compose: ComposeFile) -> dict[str, Any]:
    from yaml import CSafeLoader, YAMLError, load

    argv = [*reader.argv(compose), "config"]
    env = {**without_docker(compose.env), **AS_COMPOSE}
    finished = host.run(argv, timeout=QUICK, env=env, cwd=str(compose.directory))
    if finished.code:
        raise _unreadable(reader, compose, finished.err or finished.out)
    try:
        found = load(finished.out, Loader=CSafeLoader)
    except YAMLError:
        what = f"what {reader.kind} makes of it cannot be read"
        raise UsageError(what, str(compose.files[0]), "Look what its command 'config' says.") from None
    return found if isinstance(found, dict) else {}


def _unreadable(reader: Provider, compose: ComposeFile, said: str) -> UsageError:
    """Why a file cannot be read.

    Raises: ConfigError when it is not YAML: that has a line and a column.
    """
    if "yaml" in said:
        _refuse_broken(compose.files)
    reason, where = telling_line(said), str(compose.files[0])
    variable = VARIABLE.search(reason)
    if variable:
        return UsageError(reason, where, f"Set {variable[1]} in the environment or in .env.")
    return UsageError(f"{reader.kind} cannot read it: {reason}", where, FIX)


def _refuse_broken(files: Sequence[Path]) -> None:
    from lcompose.load import parse

    for file in files:
        parse(_text(file), str(file))


def _refuse_elsewhere(compose: ComposeFile) -> None:
    """podman-compose takes paths from the first file's folder, whatever else is said."""
    if compose.directory.resolve() != compose.files[0].parent.resolve():
        what = f"podman-compose takes the paths in a file from its own folder, not from {compose.directory}"
        raise UsageError(what, str(compose.files[0]), f"Put the file there, or {OTHER_PROVIDER}")


def _refuse_include(file: Path) -> None:
    """Paths in an included file would start from the wrong folder."""
    from yaml import YAMLError

    try:
        words = top_level_words(_text(file).decode(errors="replace"))
    except YAMLError:
        return  # podman-compose fails at it, and then its place is told
    if "include" in words:
        what = "podman-compose takes the paths in an included file from the wrong folder"
        raise UsageError(what, f"{file}: include", f"Name all files with -f, or {OTHER_PROVIDER}")


def _text(file: Path) -> bytes:
    return host.read_file(file, "the compose file", "Correct the name: -f FILE")


def _unescaped(tree: Any) -> Any:
    """docker-compose writes what can be read again, with every dollar doubled; what is meant has one."""
    if isinstance(tree, dict):
        return {key: _unescaped(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_unescaped(value) for value in tree]
    return tree.replace("$$", "$") if isinstance(tree, str) else tree
