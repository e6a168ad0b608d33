"""Why each value of a stack is what it is: which layer set it, where that stands, and the reason.

A value comes from a layer of settings, from one of the two documents, or from lcompose itself. Of the
last kind, the reasons are in a table (``reasons``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeAlias

from lcompose.errors import UsageError
from lcompose.explain.changes import place_of
from lcompose.explain.reasons import KEYS, OVERALL, REASONS, WORDS
from lcompose.explain.values import shown
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.derive import LIGHTSPEED_FILE, RUN_FILE
from lcompose.lightspeed.envrefs import references
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.load import Node, dotted, locate, lookup, plain, value_at
from lcompose.merge import Layer
from lcompose.resolve import Resolved
from lcompose.schema import record, roles, suggestion
from lcompose.settings import DEFAULTS, SETTINGS, Settings, setting_paths, variable_of
from lcompose.spec.project import DocumentMount, FileMount, Mount, Service, VolumeMount
from lcompose.spec.text import EnvRef

Steps: TypeAlias = tuple[str, ...]

OURS = "lcompose"
DEFAULT = "default"
# What a person asks for to see settings that belong to no service.
SETTINGS_NAME = "settings"


@dataclass(frozen=True, slots=True)
class Cause:
    """Who set a value, where, and why; ``below`` is what lower layers say.

    ``layer`` is one of settings, a document, ``lcompose``, or ``default`` where nobody set it.
    """

    layer: str
    where: str
    reason: str
    below: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """One value of the stack, and its cause; ``word`` is what settings call the field, where they do."""

    service: str
    field: str
    word: str
    value: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Evidence:
    """What explanations are drawn from.

    ``layers`` are the layers of settings, lowest first; ``documents`` what they were read from, by the
    layer's name; ``variables`` the names that the environment or .env has.
    """

    resolved: Resolved
    settings: Settings
    layers: Sequence[Layer] = ()
    documents: Mapping[str, Node] = field(default_factory=dict)
    variables: frozenset[str] = frozenset()


NOT_SET = "nothing sets it"
AS_MADE = "a service of this kind is made with it"
DOCUMENT_REASON = "your file, with the changes that 'lcompose explain' lists"


def explained(evidence: Evidence) -> tuple[Explained, ...]:
    """Every value of every service, in their order, and the settings that belong to none."""
    services = [row for service in evidence.resolved.project.services for row in _service(service, evidence)]
    return (*services, *_overall(evidence))


def asked_for(rows: Sequence[Explained], wanted: str) -> tuple[Explained, ...]:
    """The rows that ``SERVICE`` or ``SERVICE.FIELD`` means; a field may also be called as settings call it.

    Raises: UsageError for a service or field that there is not.
    """
    service, _, name = wanted.partition(".")
    own = tuple(row for row in rows if row.service == service)
    if not own:
        known = list(dict.fromkeys(row.service for row in rows))
        raise UsageError(f"no service is called {service[:40]!r}", "explain", suggestion(service, known))
    found = tuple(row for row in own if not name or _is_called(row, name))
    if not found:
        raise UsageError(f"{service} has no field {name[:60]!r}", "explain", _near(name, own))
    return found


def _is_called(row: Explained, name: str) -> bool:
    return any(known == name or known.startswith(f"{name}.") for known in (row.field, row.word))


def _near(name: str, rows: Sequence[Explained]) -> str:
    below = [row.field for row in rows if row.field.startswith(f"{name.split('.')[0]}.")]
    known = [row.field.split(".")[0] for row in rows] + [row.word for row in rows if row.word]
    return suggestion(name, below or list(dict.fromkeys(known)))


# --- one service ---


def _service(service: Service, evidence: Evidence) -> Iterator[Explained]:
    for name, value in _values(service):
        cause = _cause(service, name, value, evidence)
        yield Explained(service.name, name, _word(name), shown(name, value), cause)


def _values(service: Service) -> Iterator[tuple[str, Any]]:
    """Every field of a service; what has parts, part by part."""
    for one in fields(service):
        value = getattr(service, one.name)
        if one.name == "environment":
            yield from ((f"environment.{name}", held) for name, held in value)
        elif one.name == "mounts":
            yield from ((f"volumes.{mount.target}", mount) for mount in value)
        elif is_dataclass(value):
            yield from ((f"{one.name}.{part.name}", getattr(value, part.name)) for part in fields(value))
        elif one.name != "name":
            yield one.name, value


def _word(name: str) -> str:
    section, _, rest = name.partition(".")
    return WORDS.get(name, f"env.{rest}" if section == "environment" else "")


def _cause(service: Service, name: str, value: Any, evidence: Evidence) -> Cause:
    if isinstance(value, DocumentMount | FileMount | VolumeMount):
        return _cause_of_mount(service, value, evidence)
    return (
        _by_settings(service, name, value, evidence)
        or _by_document(service, name, evidence)
        or _by_reference(value, evidence)
        or _by_lcompose(service.name, name, value)
    )


def _by_settings(service: Service, name: str, value: Any, evidence: Evidence) -> Cause | None:
    section, _, rest = name.partition(".")
    paths: list[Steps] = [("services", service.name, "env", rest)] if section == "environment" else []
    paths += [("services", service.name, *WORDS[name].split("."))] if name in WORDS else []
    paths += [(OVERALL[name],)] if name in OVERALL else []
    if name == "ports" and not value:
        paths.append(("services", service.name, "publish"))
    found = (_by_setting(path, evidence) for path in paths)
    return next((one for one in found if one), None)


def _by_setting(path: Steps, evidence: Evidence) -> Cause | None:
    """The layer that a setting came from, or None when none has it."""
    layer = evidence.settings.origin.get(".".join(path))
    if layer is None:
        return None
    doc = DOCS.get(".".join(path[:3] if "env" in path else path), "")
    said = [(one.name, value_at(one.tree, path)) for one in evidence.layers]
    below = tuple((name, shown(".".join(path), value)) for name, value in said if value is not None and name != layer)
    return Cause(layer, _place(layer, path, evidence), doc, below)


DOCS: Mapping[str, str] = {path: key.doc for path, key in setting_paths()}


def _place(layer: str, path: Steps, evidence: Evidence) -> str:
    """Where a layer says it: a place in its document, or the variable."""
    if layer == "environment":
        return next((one for one in map(_variable, _spellings(path)) if one in evidence.variables), "")
    document = evidence.documents.get(layer)
    if document is None:
        return ""
    found = [one for one in _spellings(path) if lookup(document, one)]
    return str(locate(document, found[0])) if found else ""


def _spellings(path: Steps) -> list[Steps]:
    """A setting's path, and the shorter one that lightspeed-stack.yaml has for it."""
    if path == ("engine",):
        return [path, ("container", "runtime")]
    if path[:2] == ("services", "llama-stack"):
        return [path, ("container", *path[2:])]
    return [path]


def _variable(path: Steps) -> str:
    if "env" in path[:-1]:
        return f"{variable_of('.'.join(path[:-1]))}__{path[-1]}"
    return variable_of(".".join(path))


def _by_document(service: Service, name: str, evidence: Evidence) -> Cause | None:
    config = evidence.resolved.configuration
    for document, path in KEYS.get((service.name, name), ()):
        node = config.run if document == "run" else config.lightspeed
        path = (config.section, *path[1:]) if path[0] == "ogx" else path
        if lookup(node, path):
            return Cause(node.where.file, str(locate(node, path)), f"from {dotted(path)}")
    return None


def _by_reference(value: Any, evidence: Evidence) -> Cause | None:
    """Why a variable is passed on: a document refers to it, or a secret was lifted into it."""
    if not isinstance(value, EnvRef):
        return None
    given = "it is set" if value.name in evidence.variables else "it is not set"
    for node in _documents(evidence.resolved.configuration):
        for one in references(plain(node)):
            if one.name == value.name:
                return Cause(node.where.file, str(locate(node, one.path)), f"{dotted(one.path)} refers to it; {given}")
    for change in evidence.resolved.project.changes:
        if change.after == f"${{env.{value.name}}}":
            return Cause(change.document, place_of(change, evidence.resolved.configuration), change.reason)
    return None


def _documents(config: Configuration) -> tuple[Node, Node]:
    return config.lightspeed, config.run


def _by_lcompose(service: str, name: str, value: Any) -> Cause:
    return Cause(OURS, "", _reason(service, name) or AS_MADE) if value else Cause(DEFAULT, "", NOT_SET)


def _reason(service: str, name: str) -> str:
    names = (f"{service}.{name}", name, name.partition(".")[0])
    return next((REASONS[one] for one in names if one in REASONS), "")


def _cause_of_mount(service: Service, mount: Mount, evidence: Evidence) -> Cause:
    match mount:
        case DocumentMount():
            return Cause(OURS, "", DOCUMENT_REASON)
        case FileMount(source=source):
            found = [one for one in evidence.resolved.files if one.mount.source == source and one.node.where.line]
            if found:
                return Cause(found[0].node.where.file, str(found[0].node.where), f"{dotted(found[0].path)} names it")
    path = ("services", service.name, "volumes")
    own = evidence.settings.services.get(service.name)
    if own and any(mount.target in text.split(":") for text in own.volumes):
        return _by_setting(path, evidence) or Cause(DEFAULT, "", NOT_SET)
    return _by_what_is_written(service, mount, evidence) or Cause(OURS, "", REASONS["volumes"])


def _by_what_is_written(service: Service, mount: Mount, evidence: Evidence) -> Cause | None:
    """The key of a document of this service that names a place below a volume's target."""
    config = evidence.resolved.configuration
    readings = {
        LIGHTSPEED_FILE: (config.lightspeed, config.values, LIGHTSPEED),
        RUN_FILE: (config.run, config.run_values, RUN),
    }
    read = [one.document for one in service.mounts if isinstance(one, DocumentMount)]
    for node, values, keys in (readings[name] for name in readings if name in read):
        for path, leaf, key in roles(node, record(keys)):
            said = value_at(values, path)
            if key.role in ("written", "database") and isinstance(said, str) and said.startswith(f"{mount.target}/"):
                return Cause(node.where.file, str(leaf.where), f"{dotted(path)} is written there")
    return None


# --- settings of no service ---


def _overall(evidence: Evidence) -> Iterator[Explained]:
    own = {one.name for one in fields(Settings)}
    for name in (name for name, key in SETTINGS.items() if name in own and key.kind["type"] != "record"):
        value = getattr(evidence.settings, name)
        value = DEFAULTS[name] if value is None else value
        cause = _by_setting((name,), evidence) or Cause(DEFAULT, "", DOCS[name])
        yield Explained(SETTINGS_NAME, name, name, shown(name, value), cause)
