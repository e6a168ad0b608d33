"""What stands in the rendered compose file, word by word, and which field of ours each word is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from lcompose.explain.evidence import DEFAULT, OURS, Cause, Evidence, Explained, Steps, Tree
from lcompose.explain.fields import AS_MADE
from lcompose.explain.reasons import DOCUMENT_VARIABLE, IN_FILE
from lcompose.explain.values import as_written, without_secrets
from lcompose.overlay.merging import mounted, target
from lcompose.spec.project import DocumentMount, Service
from lcompose.targets.words import literal

Rows: TypeAlias = Mapping[str, Explained]

# Lists whose entries are told apart by where they are in the container.
BY_PLACE: Mapping[str, Callable[[Any], Any]] = {
    "volumes": mounted,
    "configs": target(),
    "secrets": target("/run/secrets"),
}
# Words that are one field of ours under another name.
SAME: Mapping[str, str] = {
    "stop_grace_period": "stop_grace",
    "cpus": "limits.cpus",
    "mem_limit": "limits.memory",
    "pids_limit": "limits.pids",
    "read_only": "hardening.read_only",
    "tmpfs": "hardening.tmpfs",
    "healthcheck.test": "healthcheck.command",
    "logging.options.max-size": "log_rotation.max_size",
    "logging.options.max-file": "log_rotation.max_file",
}
# Words that follow from a field of ours.
FOLLOWS: Mapping[str, str] = {
    "cap_drop": "hardening.drop_capabilities",
    "cap_add": "hardening.drop_capabilities",
    "security_opt": "hardening.no_new_privileges",
    "logging.driver": "log_rotation.max_size",
    "labels.lcompose.after": "after",
    "labels.lcompose.probe": "probe.port",
    "depends_on": "needs",
}
ACCELERATOR = "accelerator.vendor"


def words(service: Tree) -> Iterator[tuple[Steps, Any]]:
    """Every word of a service with its path; entries of mappings and mounts each for itself."""
    for word, value in service.items():
        if word in BY_PLACE and isinstance(value, list):
            yield from ((((word, str(BY_PLACE[word](one))), one)) for one in value)
        else:
            yield from leaves((word,), value)


def leaves(path: Steps, value: Any) -> Iterator[tuple[Steps, Any]]:
    """What a mapping holds, each for itself; anything else as it is."""
    if isinstance(value, Mapping) and value:
        for name, below in value.items():
            yield from leaves((*path, str(name)), below)
    else:
        yield path, value


def row(service: str, path: Steps, value: Any, cause: Cause, word: str = "") -> Explained:
    """One word of the file."""
    name = ".".join(path)
    return Explained(service, name, word, as_written(path, value), cause, without_secrets(path, value))


def own_words(service: Service, own: Rows, evidence: Evidence) -> dict[Steps, tuple[Any, Cause]]:
    """Every word that lcompose writes for a service of its own, with the cause."""
    tree: Tree = (evidence.ours.get("services") or {}).get(service.name) or {}
    return {path: (value, _cause(service, path, value, own)) for path, value in words(tree)}


def _cause(service: Service, path: Steps, value: Any, own: Rows) -> Cause:
    word = ".".join(path)
    if path[0] == "configs":
        return own[f"volumes.{path[1]}"].cause
    if path[0] == "environment" and path[1].startswith(DOCUMENT_VARIABLE):
        return _because(own["hardening.read_only"].cause, IN_FILE["document"])
    if path[0] in ("entrypoint", "command") and [literal(one) for one in getattr(service, path[0])] != value:
        return _rewritten(service, path[0], own)
    found = own.get(SAME.get(word, word))
    return found.cause if found and found.cause.layer != DEFAULT else _following(service, path, own, found)


def _rewritten(service: Service, word: str, own: Rows) -> Cause:
    """What starts a service first writes its documents, where no engine can put them into it."""
    if service.hardening.read_only and any(isinstance(one, DocumentMount) for one in service.mounts):
        return _because(own["hardening.read_only"].cause, IN_FILE[word])
    return own[word].cause


def _because(cause: Cause, reason: str) -> Cause:
    return Cause(cause.layer, cause.where, reason)


def _following(service: Service, path: Steps, own: Rows, found: Explained | None) -> Cause:
    word = ".".join(path)
    field = next((field for start, field in FOLLOWS.items() if word == start or word.startswith(f"{start}.")), "")
    if path[0] == "depends_on":
        return _order(service, path[1], own)
    if path[0] == "tmpfs":
        return _because(own["hardening.read_only"].cause, IN_FILE["tmpfs"])
    held = own.get(field)
    if held and held.cause.layer != DEFAULT and path[0] not in ("cap_add", "security_opt"):
        return _because(held.cause, IN_FILE.get(word, held.cause.reason))
    if path[0] in ("cap_add", "security_opt"):
        return _rights(path[0], own)
    if word in IN_FILE:
        return Cause(OURS, "", IN_FILE[word])
    if ACCELERATOR in own:
        return _because(own[ACCELERATOR].cause, IN_FILE["accelerator"])
    return found.cause if found else Cause(OURS, "", AS_MADE)


def _rights(word: str, own: Rows) -> Cause:
    """What is given back of rights, or to reach a GPU."""
    names = ("hardening.drop_capabilities" if word == "cap_add" else "hardening.no_new_privileges", ACCELERATOR)
    held = [own[name].cause for name in names if name in own and own[name].value not in ("", "false")]
    return _because(held[0], IN_FILE[word]) if held else Cause(OURS, "", IN_FILE[word])


def _order(service: Service, other: str, own: Rows) -> Cause:
    if any(one.service == other for one in service.needs):
        return own["needs"].cause
    ordered = own["ordered"].cause
    return Cause(ordered.layer, ordered.where, IN_FILE["ordered" if service.ordered else "parallel"])


def joined(
    own: Rows, before: Mapping[Steps, Any], found: Sequence[Explained], same: Mapping[str, str] = SAME
) -> Iterator[Explained]:
    """Fields of ours with what stands in the file for them; then the words that are no field of ours."""
    by_word = {one.field: one for one in found}
    names = {field: word for word, field in same.items()}
    gone = {".".join(path) for path in before} - set(by_word)
    for name, field in own.items():
        word = names.get(name, name)
        yield _taken_out(field, word, found) if word in gone else _as_in_file(field, by_word.get(word))
    for one in found:
        if one.field not in own:
            # Under its other name it is answered too.
            yield replace(one, listed=same.get(one.field, "") not in own and not _is_mounted_document(one, own))


def _as_in_file(field: Explained, found: Explained | None) -> Explained:
    return replace(field, value=found.value, cause=found.cause, written=found.written) if found else field


def _taken_out(field: Explained, word: str, found: Sequence[Explained]) -> Explained:
    """A field that is not in the file any more, since a person's own words replace what it is part of."""
    beside = [one.cause for one in found if one.field.split(".")[0] == word.split(".")[0]]
    cause = beside[0] if beside else field.cause
    below = (*field.cause.below, (field.cause.layer, field.value))
    return replace(field, value="", cause=Cause(cause.layer, cause.where, cause.reason, below))


def _is_mounted_document(one: Explained, own: Rows) -> bool:
    return one.field.startswith("configs.") and f"volumes.{one.field.removeprefix('configs.')}" in own
