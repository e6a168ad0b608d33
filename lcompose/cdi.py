"""Specifications of the Container Device Interface: what they name, and whether it is still there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lcompose import load
from lcompose.errors import ConfigError
from lcompose.machine import Host
from lcompose.spec.machine import CdiSpec

# Where engines look unless told otherwise; what is in the later one counts more.
FOLDERS = ("/etc/cdi", "/var/run/cdi")
ENDINGS = (".yaml", ".yml", ".json")
# One vendor's devices are never another's, whatever their names: both may have one called all.
KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
EDITS = "containerEdits"
# Which part of an edit names a file of this machine, by which key; the first that is there counts.
ON_HOST = {"deviceNodes": ("hostPath", "path"), "mounts": ("hostPath",), "hooks": ("path",)}


def specs(host: Host) -> tuple[CdiSpec, ...]:
    """Every specification of a machine, also those that cannot be read, with what each lacks."""
    paths = [f"{folder}/{name}" for folder in FOLDERS for name in host.names(folder) if name.endswith(ENDINGS)]
    return tuple(_spec(host, path) for path in paths)


def reduced(text: str) -> str:
    """What is read of a specification, as JSON; variables and hooks' arguments may be nobody else's business."""
    try:
        tree = _tree(text, "")
    except ValueError:
        return "["
    devices = [{"name": _name(one), EDITS: _reduced_edits(one)} for one in _maps(tree.get("devices"))]
    return json.dumps({"kind": tree.get("kind"), EDITS: _reduced_edits(tree), "devices": devices}, default=str)


def _spec(host: Host, path: str) -> CdiSpec:
    text = host.text(path)
    if text is None:
        return CdiSpec(path, problem="it may not be read by us")
    try:
        tree = _tree(text, path)
    except ValueError as error:
        return CdiSpec(path, problem=str(error))
    kind = tree.get("kind")
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        return CdiSpec(path, problem="it does not say of which kind its devices are")
    devices = _maps(tree.get("devices"))
    named = {file for part in (tree, *devices) for file in _files(part)}
    names = tuple(name for one in devices if (name := _name(one)))
    return CdiSpec(path, kind, names, tuple(sorted(file for file in named if host.gone(file))))


def _tree(text: str, path: str) -> dict[str, Any]:
    """The document in a text.

    Raises: ValueError with what is wrong with it.
    """
    try:
        # JSON may be indented with tabs, which YAML does not allow.
        tree = json.loads(text)
    except (ValueError, RecursionError):
        try:
            tree = load.plain(load.parse(text.encode(errors="replace"), path))
        except ConfigError as error:
            raise ValueError(error.findings[0].what) from None
    if not isinstance(tree, dict):
        raise ValueError("it holds no specification")
    return tree


def _files(part: dict[str, Any]) -> Iterator[str]:
    """The files of this machine that a part of a specification names."""
    for edits in _maps([part.get(EDITS)]):
        for key, words in ON_HOST.items():
            for one in _maps(edits.get(key)):
                yield from [str(one[word]) for word in words if _is_path(one.get(word))][:1]


def _reduced_edits(part: dict[str, Any]) -> dict[str, Any]:
    edits = _maps([part.get(EDITS)])
    return {
        key: [{word: one[word] for word in words if isinstance(one.get(word), str)} for one in _maps(edit.get(key))]
        for edit in edits
        for key, words in ON_HOST.items()
    }


def _name(device: dict[str, Any]) -> str:
    name = device.get("name")
    return str(name) if isinstance(name, str | int) and DEVICE.fullmatch(str(name)) else ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and value != ""


def _maps(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
