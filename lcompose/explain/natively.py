"""A service as a process of this machine: every word of the process file, and why it is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lcompose.explain import companions, written
from lcompose.explain.evidence import DEFAULT, OURS, Cause, Evidence, Explained, Steps, Tree
from lcompose.explain.fields import by_setting
from lcompose.explain.reasons import IN_PROCESSES, OF_PROCESSES
from lcompose.explain.written import Rows
from lcompose.lightspeed.images import LCORE, LLAMA_STACK
from lcompose.spec.project import Service

# What only a container has.
OF_CONTAINERS = ("image", "entrypoint", "own_entrypoint", "pull_policy", "hardening", "shm_size", "user", "afterwards")
# Words that are one field of ours under another name.
SAME: Mapping[str, str] = {
    "healthcheck.test": "healthcheck.command",
    "log.max_size": "log_rotation.max_size",
    "log.max_file": "log_rotation.max_file",
    "labels.lcompose.accelerator": "accelerator.vendor",
}
# Words that a person may set of a process only, in the order of their weight.
LOCAL: Mapping[str, tuple[Steps, ...]] = {
    "command": (("command",), ("args",)),
    "directory": (("workingDir",),),
    "probe.socket": (("socket",),),
}

UNKNOWN = "no program is known for it yet: say its checkout, or its command, in services.lightspeed-stack.local"


def rows(service: Service, own: Rows, evidence: Evidence) -> Iterator[Explained]:
    """Everything of a service that is a process: fields of ours that it has, and the words of its file."""
    tree = evidence.processes[service.name]
    kept = {name: _said(row) for name, row in own.items() if name.split(".")[0] not in OF_CONTAINERS}
    found = [_row(service, path, value, kept, evidence) for path, value in words(tree)]
    yield from (_listed(one, kept) for one in written.joined(kept, {}, found, SAME))
    known = {*kept, *(one.field for one in found)}
    for name in tree.get("inherit") or ():
        field = f"environment.{name}"
        if field not in known:
            value = f"${{{name}:-}}"
            yield Explained(service.name, field, "", value, Cause(OURS, "", IN_PROCESSES["inherit"]), listed=False)


def _said(row: Explained) -> Explained:
    """The same where what lcompose says of it is true of containers only."""
    reason = OF_PROCESSES.get(row.field) if row.cause.layer in (OURS, DEFAULT) else None
    return replace(row, cause=replace(row.cause, reason=reason)) if reason else row


def _row(service: Service, path: Steps, value: Any, own: Rows, evidence: Evidence) -> Explained:
    row = written.row(service.name, path, value, _cause(service, path, own, evidence))
    addresses = ", ".join(f"{bind}:{port}" for bind, port in value) if path == ("ports",) else ""
    return replace(row, value=addresses or row.value)


def words(tree: Tree) -> Iterator[tuple[Steps, Any]]:
    """Every word of a process with its path."""
    for word, value in tree.items():
        yield from written.leaves((word,), value)


def _listed(row: Explained, own: Rows) -> Explained:
    """A default stands beside its variable already."""
    is_told = row.field.startswith("defaults.") and f"environment.{row.field.partition('.')[2]}" in own
    return replace(row, listed=row.listed and not is_told)


def _cause(service: Service, path: Steps, own: Rows, evidence: Evidence) -> Cause:
    word = ".".join(path)
    return (
        _by_person(service, path, evidence)
        or _of_program(service, word, own, evidence)
        or _of_field(SAME.get(word, word), own)
        or _of_field(f"environment.{path[-1]}", own if path[0] == "defaults" else {})
        or _of_order(word, own)
        or Cause(OURS, "", IN_PROCESSES.get(word) or IN_PROCESSES[path[0]])
    )


def _by_person(service: Service, path: Steps, evidence: Evidence) -> Cause | None:
    """What somebody says of this service as a process."""
    kind = companions.kind(service, evidence)
    section, *rest = path
    inside = LOCAL.get(".".join(path)) or (({"environment": "env"}.get(section, section), *rest),)
    found = (by_setting(("services", kind, "local", *one), evidence) for one in inside)
    return next((one for one in found if one), None)


def _of_program(service: Service, word: str, own: Rows, evidence: Evidence) -> Cause | None:
    if word != "command":
        return None
    if service.name == LLAMA_STACK:
        return Cause(OURS, "", IN_PROCESSES["llama-stack.command"])
    if service.name == LCORE:
        kind = companions.kind(service, evidence)
        checkout = by_setting(("services", kind, "local", "workingDir"), evidence)
        return replace(checkout, reason=IN_PROCESSES["checkout"]) if checkout else Cause(OURS, "", UNKNOWN)
    return replace(own["command"].cause, reason=IN_PROCESSES["program"])


def _of_field(field: str, own: Rows) -> Cause | None:
    """What set the field that the word is, if anything did."""
    row = own.get(field)
    return row.cause if row and row.cause.layer != DEFAULT else None


def _of_order(word: str, own: Rows) -> Cause | None:
    return _of_field("needs", own) if word == "after" else None
