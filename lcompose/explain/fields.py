"""Every field of a service as lcompose has it, before it is written for an engine, and the cause of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from lcompose.explain import companions
from lcompose.explain.evidence import (
    DEFAULT,
    OURS,
    Cause,
    Evidence,
    Explained,
    Steps,
    document,
    documents_of,
    source_of,
)
from lcompose.explain.reasons import FOR_SERVICES, KEYS, NOT_THERE, OVERALL, REASONS, VOLUMES, WORDS
from lcompose.explain.values import shown
from lcompose.lightspeed import surroundings
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.derive import LIGHTSPEED_FILE, RUN_FILE
from lcompose.lightspeed.envrefs import references
from lcompose.lightspeed.images import INFERENCE, LCORE, LLAMA_STACK
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.load import Path, dotted, leaves, locate, lookup, plain, value_at
from lcompose.schema import record, roles
from lcompose.settings import DEFAULTS, SETTINGS, ServiceSettings, setting_paths, variable_of
from lcompose.spec.project import DocumentMount, FileMount, Mount, Service, VolumeMount
from lcompose.spec.text import EnvRef

NOT_SET = "nothing sets it"
AS_MADE = "a service of this kind is made with it"
STARTED = "started"
PYTHON_CACHE = "PYTHONPYCACHEPREFIX"
# Settings of a service that are no field of it.
ONLY_SETTINGS: Mapping[str, Callable[[ServiceSettings], Any]] = {
    "publish": lambda own: own.publish,
    "log_level": lambda own: own.log_level,
}
DOCS: Mapping[str, str] = {path: key.doc for path, key in setting_paths()}


def fields_of(service: Service, evidence: Evidence) -> Iterator[Explained]:
    """Every field of a service; what has parts, part by part."""
    yield Explained(service.name, STARTED, "", "true", _why_started(service, evidence))
    for name, value in _values(service):
        cause = _cause(service, name, value, evidence)
        yield Explained(service.name, name, _word(name), shown(name, value), cause)
    kind = companions.kind(service, evidence)
    for name, held in ONLY_SETTINGS.items():
        own = evidence.settings.services.get(kind)
        doc = DOCS.get(f"services.{kind}.{name}", NOT_SET)
        cause = by_setting(("services", kind, name), evidence) or Cause(DEFAULT, "", doc)
        if own:
            yield Explained(service.name, name, name, shown(name, held(own)), cause)


def _why_started(service: Service, evidence: Evidence) -> Cause:
    config = evidence.resolved.configuration
    if service.name == LLAMA_STACK:
        url: Path = (config.section, "url")
        layer, where = source_of(evidence.resolved, LIGHTSPEED_FILE, url)
        said = f"{dotted(url)} means this machine" if lookup(config.lightspeed, url) else f"{dotted(url)} is not said"
        return Cause(layer, where, f"{said}: then Llama Stack is started beside Lightspeed Core")
    if service.name == INFERENCE:
        asked = [by_setting((name,), evidence) for name in ("inference", "gpu")]
        set_by = [one for one in asked if one and one.layer != DEFAULT]
        return set_by[0] if set_by else Cause(OURS, "", REASONS["accelerator"])
    if service.name == LCORE:
        file = config.lightspeed.where.file
        return Cause(file, file, "this is the configuration of Lightspeed Core")
    return companions.why_started(service, evidence) or Cause(OURS, "", AS_MADE)


def _values(service: Service) -> Iterator[tuple[str, Any]]:
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
        _by_model(service, name, evidence)
        or _by_settings(service, name, value, evidence)
        or companions.cause(service, name, value, evidence)
        or _by_document(service, name, evidence)
        or _by_surroundings(service, name, evidence)
        or _by_reference(service, value, evidence)
        or _by_companions(service, name, value, evidence)
        or _by_lcompose(service.name, name, value)
    )


# --- settings ---


def _by_model(service: Service, name: str, evidence: Evidence) -> Cause | None:
    """The command of an inference service, whose model a person asked for."""
    said = by_setting(("model",), evidence) if (service.name, name) == (INFERENCE, "command") else None
    return said if said and said.layer != DEFAULT else None


def _by_settings(service: Service, name: str, value: Any, evidence: Evidence) -> Cause | None:
    kind = companions.kind(service, evidence)
    section, _, rest = name.partition(".")
    paths: list[Steps] = [("services", kind, "env", rest)] if section == "environment" else []
    paths += [("services", kind, *WORDS[name].split("."))] if name in WORDS else []
    if name == "ports" and not value:
        paths.append(("services", kind, "publish"))
    found = [by_setting(path, evidence) for path in paths]
    if value or section in FOR_SERVICES.get(service.name, ()):
        overall = [by_setting((OVERALL[one],), evidence) for one in (name, section) if one in OVERALL]
        # What holds where nobody sets it has its reason in the table.
        found += [one for one in overall if one and one.layer != DEFAULT]
    return next((one for one in found if one), None)


def by_setting(path: Steps, evidence: Evidence) -> Cause | None:
    """The layer that a setting came from, or None when none has it."""
    layer = evidence.settings.origin.get(".".join(path))
    if layer is None:
        return None
    doc = DOCS.get(".".join(path[: path.index("env") + 1] if "env" in path else path), "")
    said = [(one.name, value_at(one.tree, path)) for one in evidence.layers]
    below = tuple((name, shown(".".join(path), value)) for name, value in said if value is not None and name != layer)
    return Cause(layer, place_of_setting(layer, path, evidence), doc, below)


def place_of_setting(layer: str, path: Steps, evidence: Evidence) -> str:
    """Where a layer says it: a place in its document, or the variable."""
    if layer == "environment":
        return next((one for one in map(_variable, _spellings(path)) if one in evidence.variables), "")
    held = evidence.documents.get(layer)
    if held is None:
        return ""
    found = [one for one in _spellings(path) if lookup(held, one)]
    return str(locate(held, found[0])) if found else ""


def _spellings(path: Steps) -> list[Steps]:
    """A setting's path, and the shorter one that lightspeed-stack.yaml has for it."""
    if path == ("engine",):
        return [path, ("container", "runtime")]
    if path[:2] == ("services", "llama-stack"):
        return [path, path[2:] if path[2:3] == ("local",) else ("container", *path[2:])]
    return [path]


def _variable(path: Steps) -> str:
    if path == ("profiles",):
        return "LCOMPOSE_PROFILE"
    if "env" in path[:-1]:
        return f"{variable_of('.'.join(path[:-1]))}__{path[-1]}"
    return variable_of(".".join(path))


# --- documents ---


def _by_document(service: Service, name: str, evidence: Evidence) -> Cause | None:
    config = evidence.resolved.configuration
    for held, path in KEYS.get((service.name, name), ()):
        path = (config.section, *path[1:]) if path[0] == "ogx" else path
        if lookup(document(config, held), path):
            return Cause(*source_of(evidence.resolved, held, path), f"from {dotted(path)}")
    return None


def _by_reference(service: Service, value: Any, evidence: Evidence) -> Cause | None:
    """Why a variable is passed on: a document refers to it, or a secret was lifted into it."""
    if not isinstance(value, EnvRef):
        return None
    for name in documents_of(service):
        for one in references(plain(document(evidence.resolved.configuration, name))):
            if one.name == value.name:
                reason = f"{dotted(one.path)} refers to it; {evidence.is_set(value.name)}"
                return Cause(*source_of(evidence.resolved, name, one.path), reason)
    for change in evidence.resolved.project.changes:
        if change.after == f"${{env.{value.name}}}":
            return companions.of_change(change, evidence)
    return None


# --- surroundings ---


def _by_surroundings(service: Service, name: str, evidence: Evidence) -> Cause | None:
    """Proxies, certificate authorities, and what libraries look for by themselves."""
    variable = name.removeprefix("environment.") if name.startswith("environment.") else ""
    if variable in surroundings.AUTHORITIES:
        return by_setting(("ca_bundle",), evidence)
    if variable.upper() in (*surroundings.EVERY_PROXY, surroundings.EXCEPTIONS):
        return _by_proxies(variable, evidence)
    reads = surroundings.LCORE_READS
    if service.name == LCORE and variable in (*reads.variables, *reads.files):
        return Cause("environment", variable, "Lightspeed Core reads it by itself, and it is set")
    return _by_provider(service, variable, evidence)


def _by_proxies(variable: str, evidence: Evidence) -> Cause:
    setting = by_setting(("proxies",), evidence)
    if setting and not evidence.settings.proxies:
        return setting
    if variable.upper() == surroundings.EXCEPTIONS:
        return Cause(OURS, "", "the services of this project are asked without a proxy")
    return Cause("environment", variable, "your proxy, handed on by name; 'proxies: false' gives none")


def _by_provider(service: Service, variable: str, evidence: Evidence) -> Cause | None:
    if RUN_FILE not in documents_of(service)[:1] and service.name != LCORE:
        return None
    config = evidence.resolved.configuration
    for path, leaf in leaves(config.run):
        reads = surroundings.PROVIDERS.get(str(leaf.value)) if path[-1:] == ("provider_type",) else None
        if reads and variable in (*reads.variables, *reads.files):
            reason = f"the library of {leaf.value} looks for it; {evidence.is_set(variable)}"
            return Cause(*source_of(evidence.resolved, RUN_FILE, path), reason)
    return None


# --- lcompose itself ---


def _by_companions(service: Service, name: str, value: Any, evidence: Evidence) -> Cause | None:
    return companions.why_needed(value, evidence) if name == "needs" and value else None


def _by_lcompose(service: str, name: str, value: Any) -> Cause:
    if name == "entrypoint" and PYTHON_CACHE in " ".join(value):
        return Cause(OURS, "", REASONS["entrypoint.bytecode"])
    if value:
        return Cause(OURS, "", _reason(service, name) or AS_MADE)
    return Cause(DEFAULT, "", NOT_THERE.get(name, NOT_SET))


def _reason(service: str, name: str) -> str:
    names = (f"{service}.{name}", name, name.partition(".")[0])
    return next((REASONS[one] for one in names if one in REASONS), "")


# --- mounts ---


def _cause_of_mount(service: Service, mount: Mount, evidence: Evidence) -> Cause:
    match mount:
        case DocumentMount():
            return companions.of_script(service, mount, evidence) or _of_document(mount, evidence)
        case FileMount(source=source):
            found = [one for one in evidence.resolved.files if one.mount.source == source and one.node.where.line]
            if found:
                return Cause(found[0].node.where.file, str(found[0].node.where), f"{dotted(found[0].path)} names it")
    return (
        _by_own_volumes(service, mount, evidence)
        or _by_known_file(mount, evidence)
        or companions.of_volume(service, mount, evidence)
        or _by_what_is_written(service, mount, evidence)
        or Cause(OURS, "", _reason_for_volume(mount))
    )


def _of_document(mount: DocumentMount, evidence: Evidence) -> Cause:
    config = evidence.resolved.configuration
    file = document(config, mount.document).where.file
    said = "lcompose made it" if mount.document == RUN_FILE and file != RUN_FILE else f"your {file}"
    return Cause(OURS, "", f"{said}, with the changes that 'lcompose explain {mount.document}' shows")


def _by_own_volumes(service: Service, mount: Mount, evidence: Evidence) -> Cause | None:
    kind = companions.kind(service, evidence)
    own = evidence.settings.services.get(kind)
    if own and any(mount.target in text.split(":") for text in own.volumes):
        return by_setting(("services", kind, "volumes"), evidence)
    return None


def _by_known_file(mount: Mount, evidence: Evidence) -> Cause | None:
    if mount.target == surroundings.AUTHORITIES_FILE:
        return by_setting(("ca_bundle",), evidence)
    name = mount.target.rpartition("/")[2]
    if isinstance(mount, FileMount) and mount.target == f"{surroundings.CREDENTIALS_DIRECTORY}/{name}":
        return Cause("environment", name, "it names this file, which a library of the service reads")
    return None


def _reason_for_volume(mount: Mount) -> str:
    return VOLUMES.get(getattr(mount, "volume", ""), REASONS["volumes"])


def _by_what_is_written(service: Service, mount: Mount, evidence: Evidence) -> Cause | None:
    """The key of a document of this service that names a place below a volume's target."""
    config = evidence.resolved.configuration
    read = [one.document for one in service.mounts if isinstance(one, DocumentMount)]
    for name, values, keys in _readings(config):
        for path, _, key in roles(document(config, name), record(keys)) if name in read else ():
            said = value_at(values, path)
            if key.role in ("written", "database") and isinstance(said, str) and said.startswith(f"{mount.target}/"):
                return Cause(*source_of(evidence.resolved, name, path), f"{dotted(path)} is written there")
    return None


def _readings(config: Configuration) -> Iterator[tuple[str, Any, Any]]:
    yield LIGHTSPEED_FILE, config.values, LIGHTSPEED
    yield RUN_FILE, config.run_values, RUN


# --- settings of no service ---


def settings_of(evidence: Evidence, name: str) -> Iterator[Explained]:
    """The settings that belong to no service, and the project's name."""
    if evidence.named_by:
        yield Explained(name, "project_name", "", evidence.resolved.project.name, evidence.named_by)
    for path, key in setting_paths({one: SETTINGS[one] for one in SETTINGS if one not in ELSEWHERE}):
        steps = tuple(path.split("."))
        if key.kind["type"] == "dict":
            yield from _each(name, path, evidence)
            continue
        held = [value_at(layer.tree, steps) for layer in evidence.layers]
        value = next((one for one in reversed(held) if one is not None), value_at(DEFAULTS, steps))
        yield _setting(name, steps, value, evidence)


# Settings of services, in the one spelling or the other; those have rows of their own.
ELSEWHERE = ("services", "container", "local")


def _setting(name: str, steps: Steps, value: Any, evidence: Evidence) -> Explained:
    path = ".".join(steps)
    cause = by_setting(steps, evidence) or Cause(DEFAULT, "", DOCS.get(path, NOT_SET))
    return Explained(name, path, path, shown(path, value), cause)


def _each(name: str, path: str, evidence: Evidence) -> Iterator[Explained]:
    """A row for each name that a person chose, as in ``secrets``."""
    for origin in evidence.settings.origin:
        if origin.startswith(f"{path}."):
            steps = tuple(origin.split("."))
            held = [value_at(layer.tree, steps) for layer in evidence.layers]
            row = _setting(name, steps, next((one for one in reversed(held) if one is not None), None), evidence)
            yield Explained(name, row.field, row.word, row.value, _with_doc(row.cause, path))


def _with_doc(cause: Cause, path: str) -> Cause:
    return Cause(cause.layer, cause.where, cause.reason or DOCS[path], cause.below)
