"""Docker with Compose v2: one self-contained file, or a folder of files."""

from __future__ import annotations

from dataclasses import replace
from posixpath import basename
from typing import Any

from lcompose.emit import yaml_text
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.project import DocumentMount, Project, Service
from lcompose.spec.target import TargetFacts
from lcompose.targets import Place, words

TITLE = "Docker"
COMPOSE_FILE = "compose.yaml"
# Engine 25 is the first with start_interval; an older one refuses the whole file.
START_INTERVAL_SINCE = (25,)
LONGEST_VARIABLE = 127 * 1024
DOCUMENT_VARIABLE = "LCOMPOSE_DOCUMENT"
# Compose copies an inline config into the container, which it cannot where the root file system is
# read-only. There the text travels as a variable, and this writes it down before the service starts.
WRITE_AND_START = (
    f"import os,sys;open(sys.argv[1],'w').write(os.environ.pop('{DOCUMENT_VARIABLE}'));"
    "os.execvp(sys.argv[2],sys.argv[2:])"
)


def translate(project: Project, facts: TargetFacts, place: Place) -> Bundle:
    """One document with everything inside, or one with the derived documents beside it."""
    texts = {derived.name: words.document_text(derived) for derived in project.documents}
    inline = facts.form == "inline"
    services = {
        service.name: _service(service, facts, place, texts, project, inline=inline) for service in project.services
    }
    tree: dict[str, Any] = {"name": project.name, "services": services}
    configs = _configs(project, texts) if inline else {}
    if configs:
        tree["configs"] = configs
    if project.volumes:
        tree["volumes"] = {volume: {} for volume in project.volumes}
    beside = () if inline else tuple(Document(d.filename, texts[d.name]) for d in project.documents)
    documents = (Document(COMPOSE_FILE, yaml_text(tree, _header(project))), *beside)
    return Bundle(documents, digests=words.digests(services), services=words.as_json(services))


def _header(project: Project) -> str:
    return words.header(project, TITLE, f"Start: docker compose -f {COMPOSE_FILE} up --detach --wait")


def _configs(project: Project, texts: dict[str, str]) -> dict[str, Any]:
    used = {
        mount.document
        for service in project.services
        if not service.hardening.read_only
        for mount in service.mounts
        if isinstance(mount, DocumentMount)
    }
    return {_config_name(name): {"content": words.literal(text)} for name, text in texts.items() if name in used}


def _config_name(document: str) -> str:
    return document.removesuffix(".yaml")


def _service(
    service: Service, facts: TargetFacts, place: Place, texts: dict[str, str], project: Project, *, inline: bool
) -> dict[str, Any]:
    digest = words.digest_of(service, texts, place)
    environment = {name: words.in_compose(value) for name, value in service.environment}
    copied = inline and not service.hardening.read_only
    if inline and not copied:
        service, more = _self_writing(service, texts)
        environment |= more
    condition = "service_healthy" if service.ordered else "service_started"
    optional = {
        "logging": _logging(service),
        "environment": environment,
        "healthcheck": _healthcheck(service, facts),
        # Started side by side, stopped one after the other: LCORE waits for Llama Stack itself.
        "depends_on": {name: {"condition": condition} for name in service.after},
        "configs": _used_configs(service) if copied else [],
        "volumes": words.mounts(service, place, project, documents=not inline),
    }
    return words.common(service, digest) | {name: value for name, value in optional.items() if value}


def _logging(service: Service) -> dict[str, Any]:
    if service.log_rotation is None:
        return {}
    options = {"max-size": service.log_rotation.max_size, "max-file": str(service.log_rotation.max_file)}
    return {"driver": "json-file", "options": options}


def _healthcheck(service: Service, facts: TargetFacts) -> dict[str, Any]:
    if service.healthcheck is None:
        return {}
    tree = words.healthcheck(service.healthcheck)
    if facts.engine_version >= START_INTERVAL_SINCE:
        tree["start_interval"] = f"{service.healthcheck.start_interval:g}s"
    return tree


def _used_configs(service: Service) -> list[dict[str, Any]]:
    return [
        {"source": _config_name(mount.document), "target": words.literal(mount.target)}
        for mount in service.mounts
        if isinstance(mount, DocumentMount)
    ]


def _self_writing(service: Service, texts: dict[str, str]) -> tuple[Service, dict[str, str]]:
    """The service with its document in a variable, written to /tmp by what starts it."""
    mount = next((m for m in service.mounts if isinstance(m, DocumentMount)), None)
    if mount is None:
        return service, {}
    text = words.literal(texts[mount.document])
    words.refuse_long(text, mount.document, LONGEST_VARIABLE)
    path = f"/tmp/{basename(mount.target)}"  # noqa: S108  # a tmpfs of the container's own
    started = [
        path if part == mount.target else part
        for part in (*(service.entrypoint or service.own_entrypoint), *service.command)
    ]
    moved = replace(
        service,
        entrypoint=("python3", "-c", WRITE_AND_START),
        command=(path, *started),
    )
    return moved, {DOCUMENT_VARIABLE: text}
