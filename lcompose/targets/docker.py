"""Docker with Compose v2: one self-contained file, or a folder of files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from posixpath import basename
from shlex import quote
from typing import Any

from lcompose.emit import yaml_text
from lcompose.errors import UsageError
from lcompose.overlay.ours import laid_over
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.project import DocumentMount, Project, Service
from lcompose.spec.target import TargetFacts
from lcompose.targets import Place, words

TITLE = "Docker"
COMPOSE_FILE = "compose.yaml"
# Engine 25 is the first with start_interval; an older one refuses the whole file.
START_INTERVAL_SINCE = (25,)
LONGEST_VARIABLE = 127 * 1024
CONDITIONS = {
    "started": "service_started",
    "healthy": "service_healthy",
    "completed": "service_completed_successfully",
}
DOCUMENT_VARIABLE = "LCOMPOSE_DOCUMENT"


def translate(project: Project, facts: TargetFacts, place: Place) -> Bundle:
    """One document with everything inside, or one with the derived documents beside it.

    Raises: UsageError for a secret that the one file would show.
    """
    texts = {derived.name: words.document_text(derived) for derived in project.documents}
    inline = facts.form == "inline"
    if inline:
        _refuse_private(project)
    services = {
        service.name: _service(service, facts, place, texts, project, inline=inline) for service in project.services
    }
    tree: dict[str, Any] = {"name": project.name, "services": services}
    configs = _configs(project, texts) if inline else {}
    if configs:
        tree["configs"] = configs
    if project.volumes:
        tree["volumes"] = {volume: {} for volume in project.volumes}
    beside = () if inline else tuple(Document(d.filename, texts[d.name], bool(d.secret_at)) for d in project.documents)
    digests = words.digests(services)
    if project.compose:
        tree = laid_over(tree, project, place.home, place.directory)
    documents = (Document(COMPOSE_FILE, yaml_text(tree, _header(project))), *beside)
    return Bundle(documents, digests=digests, services=words.as_json(tree["services"]))


def _refuse_private(project: Project) -> None:
    """Stops before a secret that cannot be a variable shows in the one file.

    Raises: UsageError.
    """
    for derived in project.documents:
        if derived.secret_at:
            what = "this secret cannot travel as a variable, and would stand in the rendered file"
            fix = (
                "Render to a folder (lcompose render -o DIR), or choose one that is not just digits, true or a number."
            )
            raise UsageError(what, derived.secret_at, fix)


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
    optional = {
        # Docker cannot make a person of the image's user, and a fresh volume is root's.
        "user": "0:0" if service.user else "",
        "logging": _logging(service),
        "environment": environment,
        "healthcheck": _healthcheck(service, facts),
        "depends_on": _depends_on(service, [one.name for one in project.services]),
        "configs": _used_configs(service) if copied else [],
        "volumes": words.mounts(service, place, project, documents=not inline),
    }
    return words.common(service, digest, facts) | {name: value for name, value in optional.items() if value}


def _depends_on(service: Service, known: Collection[str]) -> dict[str, Any]:
    # Started side by side, stopped one after the other: LCORE waits for Llama Stack itself.
    after = dict.fromkeys(service.after, "service_healthy" if service.ordered else "service_started")
    needs = {one.service: CONDITIONS[one.condition] for one in service.needs}
    # Compose knows none that is a process.
    return {name: {"condition": condition} for name, condition in (after | needs).items() if name in known}


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
    """The service with its documents in variables, written to /tmp by what starts it.

    Compose copies an inline config into the container, which it cannot where the root is read-only.
    """
    mounts = [mount for mount in service.mounts if isinstance(mount, DocumentMount)]
    if not mounts:
        return service, {}
    paths = {mount.target: f"/tmp/{basename(mount.target)}" for mount in mounts}  # noqa: S108  # a tmpfs of its own
    variables = {f"{DOCUMENT_VARIABLE}_{n}" if n else DOCUMENT_VARIABLE: mount for n, mount in enumerate(mounts)}
    writes = [f'printf %s "${name}" >{quote(paths[mount.target])}' for name, mount in variables.items()]
    script = "; ".join([*writes, f"unset {' '.join(variables)}", 'exec "$@"'])
    started = (*(service.entrypoint or service.own_entrypoint), *service.command)
    moved = replace(
        service, entrypoint=("sh", "-c", script, "sh"), command=tuple(paths.get(part, part) for part in started)
    )
    return moved, {name: _moved_text(mount, texts, paths) for name, mount in variables.items()}


def _moved_text(mount: DocumentMount, texts: dict[str, str], paths: dict[str, str]) -> str:
    """A document as a variable's value; where it names another one of them, that has moved too."""
    text = texts[mount.document]
    for before, now in paths.items():
        text = text.replace(before, now)
    words.refuse_long(text, mount.document, LONGEST_VARIABLE)
    return words.literal(text)
