"""Takes out of a value what differs from run to run and from place to place, and means nothing."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Keys whose value is another one at each call.
VOLATILE = frozenset(
    {
        *("conversation_id", "request_id", "response_id", "session_id", "trace_id", "turn_id"),
        *("created", "created_at", "updated_at", "timestamp", "time", "uptime", "latency", "duration"),
    }
)
GONE, HERE = "<volatile>", "<this machine>"
PATTERNS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
)
# What every engine, and every machine, calls the machine itself.
THIS_MACHINE = ("host.docker.internal", "host.containers.internal", "localhost", "127.0.0.1", "[::1]")
LOCAL = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")
# A folder of a container, or of this machine: its last step is what both have in common.
PATH = re.compile(r"(?<![\w:/.>}])~?(?:/[\w.@+-]+)*/([\w.@+-]+)")
IN_FOLDER = re.compile(r"[/.]")
KINDS: Mapping[type, str] = {str: "text", bool: "true or false", int: "number", float: "number", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a leg runs, as far as it shows in what it says.

    ``ports`` are those of a service, inside and outside; ``machine`` are names of this machine. ``anywhere``
    says that folders are other ones on each leg; ``volumes`` are those that are kept, and where containers
    have each; ``files`` are what containers have of this machine, by their place in them; ``services`` are all.
    """

    project: str = ""
    ports: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    machine: Collection[str] = THIS_MACHINE
    anywhere: bool = False
    volumes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    services: Collection[str] = ()


def addresses_of(table: str) -> tuple[str, ...]:
    """The addresses of this machine, from the kernel's table of routes (``fib_trie``)."""
    return tuple(dict.fromkeys(LOCAL.findall(table)))


def normalised(value: Any, ground: Ground, *, volatile: Collection[str] = VOLATILE) -> Any:
    """The value with what belongs to a run or a place replaced, and lists of mappings in an order of their own."""
    if isinstance(value, Mapping):
        return {
            _text(str(key), ground): GONE if key in volatile else normalised(child, ground, volatile=volatile)
            for key, child in _items(value, ground)
        }
    if isinstance(value, list):
        return _ordered([normalised(one, ground, volatile=volatile) for one in value])
    if isinstance(value, str):
        return _text(_files(value, ground) if ground.anywhere else value, ground)
    return _number(value, ground) if type(value) is int else value


def _items(value: Mapping[Any, Any], ground: Ground) -> Iterator[tuple[Any, Any]]:
    """What a mapping says; of a service it is a host alone, or one of this machine with a port."""
    is_service = ground.anywhere and value.get("host") in (*ground.services, *ground.machine)
    said = {name: child for name, child in value.items() if name != "port"} | {"host": HERE} if is_service else value
    yield from said.items()


def _ordered(items: list[Any]) -> list[Any]:
    mappings = bool(items) and all(isinstance(one, Mapping) for one in items)
    return sorted(items, key=_canonical) if mappings else items


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _number(value: int, ground: Ground) -> Any:
    owner = next((name for name, ports in ground.ports.items() if value in ports), "")
    return f"<port of {owner}>" if owner else value


def _text(text: str, ground: Ground) -> str:
    if text.isdecimal():
        return str(_number(int(text), ground))
    for pattern, shown in PATTERNS:
        text = pattern.sub(shown, text)
    text = _volumes(text, ground) if ground.anywhere else text
    text = _addresses(text, ground)
    if ground.project:
        text = text.replace(ground.project, "<project>")
    return PATH.sub(r"…/\1", text) if ground.anywhere else text


def _volumes(text: str, ground: Ground) -> str:
    """A volume, wherever it is mounted, and whatever that is called from somebody's home.

    It is not told which: two services have theirs at the same place.
    """
    folders = [rf"~?(?:/[\w.@+-]+)*/volumes/{re.escape(name)}" for name in ground.volumes]
    inside = (name for targets in ground.volumes.values() for one in targets for name in _names(one))
    # The longest first: one place may be inside another.
    folders += [re.escape(one) for one in sorted(inside, key=len, reverse=True)]
    return re.sub(rf"(?<![\w/.>}}])(?:{'|'.join(folders)})(?![\w.@+-])", "<volume>", text) if folders else text


def _names(folder: str) -> Iterator[str]:
    """What a folder of a container may be called, which may be below its home."""
    steps = folder.strip("/").split("/")
    yield folder
    yield from (f"~/{'/'.join(steps[begin:])}" for begin in range(1, len(steps)))


def _files(text: str, ground: Ground) -> str:
    """What containers have of this machine, by its name here: by their path, or by the end of that alone."""
    for target, source in sorted(ground.files.items(), key=lambda one: len(one[0]), reverse=True):
        here = f"/{posixpath.basename(source.rstrip('/'))}"
        # A word alone is more often something else that is called the same.
        if IN_FOLDER.search(text) and f"/{target.strip('/')}".endswith(f"/{text}"):
            return here
        text = re.sub(rf"(?<![\w/.>}}]){re.escape(target)}(?![\w.@+-])", here.replace("\\", r"\\"), text)
    return text


def _addresses(text: str, ground: Ground) -> str:
    """A service's address by its name, whoever calls it; then this machine's by what it is.

    Where a leg is processes, a service whose port is not known is reached at one of this machine.
    """
    for name, ports in ground.ports.items():
        hosts = "|".join(re.escape(one) for one in (name, *ground.machine))
        found = "|".join(str(port) for port in ports)
        text = re.sub(rf"(?<![\w.-])(?:{hosts}):(?:{found})(?!\d)", f"<{name}>", text)
    if ground.anywhere and ground.services:
        names = "|".join(re.escape(one) for one in sorted(ground.services, key=len, reverse=True))
        text = re.sub(rf"(?<![\w.-])(?:{names})(?=:\d)", HERE, text)
    hosts = "|".join(re.escape(one) for one in sorted(ground.machine, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{hosts})(?![\w-]|\.\w)", HERE, text) if hosts else text


def shape(value: Any) -> Any:
    """What a value is made of: the keys, and a word for what stands at each; a list has each of its kinds once."""
    if isinstance(value, Mapping):
        return {str(key): shape(child) for key, child in value.items()}
    if isinstance(value, list):
        kinds = {_canonical(one): one for one in map(shape, value)}
        return [kinds[key] for key in sorted(kinds)]
    return KINDS.get(type(value), "text")
