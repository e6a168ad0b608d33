"""Configs and secrets as files that are mounted: podman-compose ignores configs, and most secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcompose.engines.podman_edits import Beside, Edit
from lcompose.engines.podman_refused import OTHER_PROVIDER
from lcompose.errors import UsageError
from lcompose.targets.words import SYSTEM_PATHS

# Where each kind is mounted when its target is not said, or is no path.
PLACES = {"configs": "/{}", "secrets": "/run/secrets/{}"}
READ_BY_ALL = 0o444


def files_of(
    name: str, service: Mapping[str, Any], reading: Mapping[str, Any], folder: Path, env: Mapping[str, str]
) -> Edit:
    """The configs and secrets of a service as mounts, and the files that must be written for it.

    Raises: UsageError when one is declared nowhere, or has nothing in it.
    """
    mounts: list[dict[str, Any]] = []
    written: list[Beside] = []
    outside: list[Any] = []
    for kind in PLACES:
        for wish in service.get(kind) or ():
            grant: Mapping[str, Any] = {"source": wish} if isinstance(wish, str) else wish
            declared = _declared(kind, name, grant, reading)
            if _is_outside(declared):
                _refuse_outside(kind, name, grant)
                outside.append(wish)
                continue
            beside = _beside(kind, name, grant, declared, env)
            written += [beside] if beside else []
            mounts.append(_mount(kind, grant, str(folder / beside.name) if beside else str(declared["file"])))
    if not mounts:
        return Edit()
    more = {"volumes": mounts, **({"secrets": outside} if outside else {})}
    resets = (("services", name, "secrets"),) if service.get("secrets") else ()
    return Edit(resets, {"services": {name: more}}, tuple(written))


def _declared(kind: str, name: str, grant: Mapping[str, Any], reading: Mapping[str, Any]) -> Mapping[str, Any]:
    source = str(grant.get("source") or "")
    declared = (reading.get(kind) or {}).get(source)
    if declared is None:
        what = f"{name} wants {source!r}, which is not among the file's {kind}"
        raise UsageError(what, f"services.{name}.{kind}", f"Declare it under {kind}, or correct the name.")
    found: Mapping[str, Any] = declared
    return found


def _is_outside(declared: Mapping[str, Any]) -> bool:
    """Whether Podman itself keeps it."""
    return bool(declared.get("external")) or not any(key in declared for key in ("file", "content", "environment"))


def _refuse_outside(kind: str, name: str, grant: Mapping[str, Any]) -> None:
    if kind == "configs":
        what = f"the config {grant.get('source')!r} is kept outside the file, and Podman has no configs"
        raise UsageError(what, f"services.{name}.configs", "Name a file: configs: {NAME: {file: ./PATH}}")


def _beside(
    kind: str, name: str, grant: Mapping[str, Any], declared: Mapping[str, Any], env: Mapping[str, str]
) -> Beside | None:
    """What must be written; a file of the person's own is mounted as it is, as Docker does it."""
    if "file" in declared:
        return None
    text = declared["content"] if "content" in declared else _value(kind, name, str(declared["environment"]), env)
    mode, uid, gid = _mode(grant.get("mode")), _number(grant, "uid", name), _number(grant, "gid", name)
    # The name tells of everything in it: what changes is another file, and so another container.
    told = hashlib.sha256("\0".join([str(text), oct(mode), str(uid), str(gid)]).encode()).hexdigest()[:16]
    return Beside(f"{grant['source']}-{told}", str(text), mode, uid, gid)


def _value(kind: str, name: str, variable: str, env: Mapping[str, str]) -> str:
    if variable not in env:
        what = f"the variable {variable}, which {name} reads as one of its {kind}, is not set"
        raise UsageError(what, f"services.{name}.{kind}", f"Set {variable} in the environment or in .env.")
    return env[variable]


def _mode(said: Any) -> int:
    if said is None:
        return READ_BY_ALL
    return int(said, 8) if isinstance(said, str) else int(said)


def _number(grant: Mapping[str, Any], key: str, name: str) -> int:
    said = str(grant.get(key) or "0")
    if not said.isdecimal():
        what = f"the owner {said!r} of {grant['source']!r} is no number"
        raise UsageError(what, f"services.{name}", f"Write a number, or {OTHER_PROVIDER}")
    return int(said)


def _mount(kind: str, grant: Mapping[str, Any], source: str) -> dict[str, Any]:
    target = str(grant.get("target") or grant["source"])
    # A file of the system keeps its label where SELinux is on: the system's own services need it.
    shared = {} if source.startswith(SYSTEM_PATHS) else {"selinux": "z"}
    return {
        "type": "bind",
        "source": source if source.startswith(("/", "~", ".")) else f"./{source}",
        "target": target if target.startswith("/") else PLACES[kind].format(target),
        "read_only": True,
        "bind": {"create_host_path": False, **shared},
    }
