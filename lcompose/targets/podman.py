"""Podman through podman-compose: a folder of files, because it ignores inline configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lcompose import vendors
from lcompose.emit import yaml_text
from lcompose.errors import UsageError
from lcompose.overlay.merging import WHERE, together
from lcompose.overlay.ours import laid_over, passed_on
from lcompose.spec import labels
from lcompose.spec.bundle import Bundle, Document
from lcompose.spec.project import Project, Service
from lcompose.spec.secrets import SECRET_NAME
from lcompose.spec.target import TargetFacts
from lcompose.spec.text import ComposeText, EnvRef
from lcompose.targets import Place, words

TITLE = "Podman"
COMPOSE_FILE = "compose.yaml"
STARTED = {
    "podman-compose": f"podman-compose -f {COMPOSE_FILE} up --detach",
    "docker-compose": f"PODMAN_COMPOSE_PROVIDER=docker-compose podman compose -f {COMPOSE_FILE} up --detach",
}


def translate(project: Project, facts: TargetFacts, place: Place) -> Bundle:
    """A compose file with the derived documents beside it.

    Raises: UsageError for the form that podman-compose would drop parts of.
    """
    if facts.form == "inline":
        what = "podman-compose ignores configs inside the compose file, so one file is not enough"
        raise UsageError(what, "--engine podman", "Render to a folder instead: lcompose render -o DIR.")
    texts = {derived.name: words.document_text(derived) for derived in project.documents}
    tree: dict[str, Any] = {
        "name": project.name,
        # A pod of its own would be left behind by nothing but podman-compose.
        "x-podman": {"in_pod": False},
        "services": {service.name: _service(service, facts, place, texts, project) for service in project.services},
    }
    if project.volumes:
        tree["volumes"] = {volume: {} for volume in project.volumes}
    digests = words.digests(tree["services"])
    inherited = _inherited(project) if facts.form == "run" else ()
    if project.compose:
        tree = laid_over(tree, project, place.home, place.directory, absolute=facts.form == "run")
        inherited = _further(tree, project, facts, inherited)
    head = words.header(project, TITLE, f"Start: {STARTED[facts.reader]}")
    documents = (
        Document(COMPOSE_FILE, yaml_text(tree, head)),
        *(Document(derived.filename, texts[derived.name], bool(derived.secret_at)) for derived in project.documents),
    )
    return Bundle(documents, _report(project, facts), inherited, digests, words.as_json(tree["services"]))


def _report(project: Project, facts: TargetFacts) -> tuple[str, ...]:
    lines = ["the order of stopping is not kept; lcompose down keeps it"]
    if any(service.healthcheck for service in project.services):
        lines.append("without systemd Podman runs no health checks; lcompose up probes by itself")
    if facts.machine is None and any(map(_takes_nodes, project.services)):
        # Which groups those are, and whether they can be kept, only a look at the machine tells.
        lines.append("without root, containers may not open the GPU's device nodes; --for here, on that machine, can")
    return tuple(f"{facts.reader}: {line}" for line in lines)


def _takes_nodes(service: Service) -> bool:
    return service.accelerator is not None and bool(vendors.vendor(service.accelerator.vendor).nodes)


def _inherited(project: Project) -> tuple[tuple[str, tuple[EnvRef, ...]], ...]:
    """Variables that lcompose passes on by name alone, so that no value shows in a process list."""
    return tuple(
        (service.name, tuple(value for _, value in service.environment if isinstance(value, EnvRef)))
        for service in project.services
    )


def _further(
    tree: dict[str, Any],
    project: Project,
    facts: TargetFacts,
    inherited: tuple[tuple[str, tuple[EnvRef, ...]], ...],
) -> tuple[tuple[str, tuple[EnvRef, ...]], ...]:
    """Changes a person's own services to what podman-compose takes; returns what is passed on by name.

    Raises: UsageError for what it would leave out, or show.
    """
    services, known = tree["services"], dict(inherited)
    for name in together(project.compose).get("services") or {}:
        if facts.form != "run":
            _mount_files(name, services[name], tree)
            continue
        # As for our own services: the order is kept by whoever starts them.
        services[name].pop("depends_on", None)
        refs, rest = _split(name, services[name].pop("environment", None) or {})
        if rest:
            services[name]["environment"] = rest
        if refs:
            carried = services[name].get("labels") or {}
            services[name]["labels"] = {labels.VARIABLES: f"${{{labels.VARIABLES_DIGEST}:-}}", **carried}
        known[name] = tuple({one.name: one for one in (*known.get(name, ()), *refs)}.values())
    return tuple(known.items())


def _mount_files(name: str, service: dict[str, Any], tree: dict[str, Any]) -> None:
    """Configs in files as the mounts that they are; what is in no file, podman-compose cannot give a service."""
    for kind in ("configs", "secrets"):
        declared = {source: how or {} for source, how in (tree.get(kind) or {}).items()}
        for grant in service.get(kind) or ():
            how = declared.get(str(grant["source"] if isinstance(grant, Mapping) else grant), {})
            if "content" in how or "environment" in how:
                what = f"podman-compose takes no {kind} that are in no file"
                fix = f"Name a file: {kind}: {{NAME: {{file: ./PATH}}}}. 'lcompose up' takes these too."
                raise UsageError(what, f"{WHERE}: services.{name}.{kind}", fix)
    mounts = [_config_mount(grant, tree.get("configs") or {}) for grant in service.pop("configs", None) or ()]
    if mounts:
        service["volumes"] = [*(service.get("volumes") or ()), *mounts]


def _config_mount(grant: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    said: Mapping[str, Any] = grant if isinstance(grant, Mapping) else {"source": grant}
    source = str(said["source"])
    file = (declared.get(source) or {}).get("file")
    if not file:
        fix = f"Name a file: configs: {{{source}: {{file: ./PATH}}}}"
        raise UsageError(f"no file is named for the config {source!r}", f"{WHERE}: configs.{source}", fix)
    target = str(said.get("target") or source)
    # A file of the system keeps its label where SELinux is on.
    shared = {} if file.startswith(words.SYSTEM_PATHS) else {"selinux": "z"}
    return {
        "type": "bind",
        "source": file if file.startswith(("/", "~", ".")) else f"./{file}",
        "target": target if target.startswith("/") else f"/{target}",
        "read_only": True,
        "bind": {"create_host_path": False, **shared},
    }


def _split(service: str, environment: dict[str, Any]) -> tuple[list[EnvRef], dict[str, Any]]:
    """The variables that are handed on by name alone, and the others."""
    refs, rest = [], {}
    for name, value in environment.items():
        passed = passed_on(name, value)
        if passed:
            refs.append(EnvRef(*passed))
            continue
        _refuse_shown_secret(name, str(value), f"{WHERE}: services.{service}.environment.{name}")
        rest[name] = value
    return refs, rest


def _refuse_shown_secrets(service: Service) -> None:
    """Stops before podman-compose writes a secret's value into podman's arguments.

    Raises: UsageError.
    """
    for name, value in service.environment:
        if isinstance(value, ComposeText):
            _refuse_shown_secret(name, value.text, f"services.{service.name}.env.{name}")


def _refuse_shown_secret(name: str, text: str, where: str) -> None:
    if "$" in text.replace("$$", "") and SECRET_NAME.search(name + text):
        what = f"with Podman the value of {name} would show in every list of processes"
        fix = f"Write '{name}:' without a value, and set the variable {name} itself."
        raise UsageError(what, where, fix)


def _service(
    service: Service, facts: TargetFacts, place: Place, texts: dict[str, str], project: Project
) -> dict[str, Any]:
    # There is no depends_on: podman-compose makes --requires of it, which starts a finished
    # one-shot again when its dependent starts.
    tree = words.common(service, words.digest_of(service, texts, place), facts)
    if facts.form == "run":
        # The values are handed on outside the file; this tells podman-compose when they change.
        tree["labels"][labels.VARIABLES] = f"${{{labels.VARIABLES_DIGEST}:-}}"
    if facts.form == "run":
        _refuse_shown_secrets(service)
    environment = {
        name: words.in_compose(value)
        for name, value in service.environment
        if not (facts.form == "run" and isinstance(value, EnvRef))
    }
    if environment:
        tree["environment"] = environment
    if service.log_rotation:
        tree["logging"] = {"driver": "k8s-file", "options": {"max-size": service.log_rotation.max_size}}
    if service.healthcheck:
        tree["healthcheck"] = words.healthcheck(service.healthcheck)
    if service.user and facts.rootless:
        tree["userns_mode"] = f"keep-id:uid={service.user}"
    mounts = words.mounts(service, place, project, documents=True)
    if mounts:
        tree["volumes"] = mounts
    return tree
