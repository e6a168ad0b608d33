"""Configuration and settings to a Project, in phases; each is a function from value to value.

images -> derived documents -> files and volumes -> variables -> services -> hardening
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from posixpath import normpath
from typing import Any

from lcompose import vendors
from lcompose.errors import ConfigError, Finding, Position, UsageError
from lcompose.lightspeed import config as reading
from lcompose.lightspeed import derive, wiring
from lcompose.lightspeed.advice import advice
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.envrefs import expanded
from lcompose.lightspeed.images import INFERENCE, LCORE, LLAMA_STACK, ImageFacts, Images, choose_images
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.lightspeed.services import inference_service, lcore_service, server_directory, server_service
from lcompose.load import Node, dotted, leaves, plain
from lcompose.names import NAME
from lcompose.schema import record
from lcompose.settings import ServiceSettings, Settings
from lcompose.spec.project import (
    Change,
    Derived,
    DocumentMount,
    FileMount,
    Hardening,
    Mount,
    Project,
    Service,
    VolumeMount,
)
from lcompose.spec.secrets import SECRET_NAME
from lcompose.spec.text import ComposeText, EnvRef, Text


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that resolving needs. Directories are absolute; ``home`` is the person's."""

    name: str
    settings: Settings
    lightspeed: Node
    run: Node
    directory: str
    run_directory: str
    env: Mapping[str, str]
    home: str = "/"


@dataclass(frozen=True, slots=True)
class Documents:
    """The derived documents, what changed, and the literal secrets that left them."""

    lightspeed: Any
    run: Any
    changes: tuple[Change, ...]
    lifted: tuple[wiring.Lifted, ...]


@dataclass(frozen=True, slots=True)
class Wiring:
    """Mounts of both services, and the files of the host among them."""

    lcore: tuple[Mount, ...]
    server: tuple[Mount, ...]
    files: tuple[wiring.HostFile, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The Project, the files of the host that it needs, warnings, and sealed values."""

    project: Project
    files: tuple[wiring.HostFile, ...]
    warnings: tuple[Finding, ...]
    lifted: Mapping[str, str]
    configuration: Configuration


def resolve(request: Request) -> Resolved:
    """The Project that the documents and settings mean.

    Raises: ConfigError with every finding; UsageError.
    """
    images = choose_images(request.settings)
    config = reading.configuration(
        request.lightspeed,
        request.run,
        images.generation,
        images.version,
        request.env,
        (images.lcore_facts.home, images.server_facts.home),
    )
    warnings = [*_passed(reading.findings(config)), *advice(config)]
    gpu = _vendor(request.settings)
    documents, wires = derive_documents(config, request, images, gpu=gpu is not None)
    warnings += _passed([lifted.finding for lifted in documents.lifted])
    services = _services(request, config, images, documents, wires, gpu)
    if request.settings.pinned_images:
        warnings += _image_warnings(services)
    project = Project(
        name=request.name,
        services=services,
        documents=_derived(documents, has_server=reading.server_is_ours(config)),
        volumes=_volumes(services),
        changes=documents.changes,
        variables=_variables(services),
    )
    values = {lifted.name: lifted.value for lifted in documents.lifted}
    return Resolved(project, (*wires.files, *_own_files(services, wires.files)), tuple(warnings), values, config)


def _own_files(services: Iterable[Service], known: Iterable[wiring.HostFile]) -> list[wiring.HostFile]:
    """Files of the host that settings mount, beside those that the documents name."""
    named = {one.mount.source for one in known}
    settings = Node(None, Position("settings"))
    return [
        wiring.HostFile(mount, ("services", service.name, "volumes"), settings)
        for service in services
        for mount in service.mounts
        if isinstance(mount, FileMount) and mount.source not in named
    ]


def _passed(findings: Sequence[Finding]) -> list[Finding]:
    """The warnings among the findings.

    Raises: ConfigError when there are errors.
    """
    if any(found.severity == "error" for found in findings):
        raise ConfigError(findings)
    return list(findings)


def _vendor(settings: Settings) -> vendors.Vendor | None:
    known = vendors.choices() if settings.gpu != "none" else ("none",)
    if settings.gpu not in known:
        raise UsageError(f"no GPU is called {settings.gpu!r}", "gpu", f"Use one of: {', '.join(known)}.")
    return None if settings.gpu == "none" else vendors.vendor(settings.gpu)


def derive_documents(config: Configuration, request: Request, images: Images, *, gpu: bool) -> tuple[Documents, Wiring]:
    """Both documents with every edit made, and the mounts that they imply."""
    if gpu and not reading.server_is_ours(config):
        what = "an inference service is wired into Llama Stack, and this one is remote"
        raise UsageError(what, "gpu", "Leave the GPU out, or let url say http://localhost:8321.")
    lightspeed, run = record(LIGHTSPEED), record(RUN, extra="allow")
    kept, run_kept = _storages(config, images)
    lifted = wiring.lifted_secrets(config.lightspeed, lightspeed, "LIGHTSPEED_")
    run_lifted = wiring.lifted_secrets(config.run, run, "LLAMA_STACK_")
    own, changes = derive.applied(
        plain(config.lightspeed),
        derive.LIGHTSPEED_FILE,
        # Lifting goes first: its paths are those of the document as it was written.
        [*(one.edit for one in lifted), *kept.edits, *_renamed(config, lifted, images)],
    )
    server, run_changes = derive.applied(
        plain(config.run),
        derive.RUN_FILE,
        [*(one.edit for one in run_lifted), *run_kept.edits, *derive.run_edits(config, gpu=gpu)],
    )
    if not reading.server_is_ours(config):
        run_changes, run_lifted = [], []
    files = wiring.host_files(config.lightspeed, config.values, lightspeed, request.directory, images.lcore_facts)
    run_files = wiring.host_files(config.run, config.run_values, run, request.run_directory, images.server_facts)
    files, run_files = _at_home(files, request.home), _at_home(run_files, request.home)
    wires = Wiring(
        _mounts(derive.LIGHTSPEED_FILE, images.lcore_facts, kept, files),
        (*_mounts(derive.RUN_FILE, images.server_facts, run_kept, run_files), *_model_cache(config, images)),
        (*files, *(run_files if reading.server_is_ours(config) else ())),
    )
    return Documents(own, server, (*changes, *run_changes), (*lifted, *run_lifted)), wires


def _renamed(config: Configuration, lifted: list[wiring.Lifted], images: Images) -> list[derive.Edit]:
    """LCORE's edits; a renamed section carries what was lifted out of it."""
    edits = derive.lightspeed_edits(config, images.lcore_facts)
    for index, edit in enumerate(edits):
        if edit.path == ("ogx",) and isinstance(edit.value, dict):
            inside = {one.edit.path[-1]: one.edit.value for one in lifted if one.edit.path[0] == "llama_stack"}
            edits[index] = replace(edit, value={**edit.value, **inside})
    return edits


def _storages(config: Configuration, images: Images) -> tuple[wiring.Storage, wiring.Storage]:
    lcore = wiring.storage(config.lightspeed, config.values, record(LIGHTSPEED), f"{LCORE}-data", images.lcore_facts)
    server = wiring.storage(
        config.run,
        config.run_values,
        record(RUN, extra="allow"),
        f"{LLAMA_STACK}-data",
        images.server_facts,
        (server_directory(images),),
    )
    return lcore, server


def _at_home(files: list[wiring.HostFile], home: str) -> list[wiring.HostFile]:
    return [replace(one, mount=replace(one.mount, source=expanded(one.mount.source, home))) for one in files]


def _mounts(
    document: str, image: ImageFacts, kept: wiring.Storage, files: Iterable[wiring.HostFile]
) -> tuple[Mount, ...]:
    mounted = {one.mount.target: one.mount for one in files}
    return (DocumentMount(document, f"{image.workdir}/{document}"), *mounted.values(), *kept.mounts)


def _model_cache(config: Configuration, images: Images) -> tuple[Mount, ...]:
    """A volume for models that Llama Stack downloads itself."""
    kinds = [leaf.value for path, leaf in leaves(config.run) if path[-1:] == ("provider_type",)]
    if "inline::sentence-transformers" not in kinds:
        return ()
    return (VolumeMount("models", f"{images.server_facts.home}/.cache/huggingface"),)


def _derived(documents: Documents, *, has_server: bool) -> tuple[Derived, ...]:
    lcore = Derived(derive.LIGHTSPEED_FILE, f"{LCORE}/{derive.LIGHTSPEED_FILE}", documents.lightspeed)
    server = Derived(derive.RUN_FILE, f"{LLAMA_STACK}/{derive.RUN_FILE}", documents.run)
    return (lcore, server) if has_server else (lcore,)


def _services(
    request: Request,
    config: Configuration,
    images: Images,
    documents: Documents,
    wires: Wiring,
    gpu: vendors.Vendor | None,
) -> tuple[Service, ...]:
    settings = request.settings.services
    found = []
    if gpu:
        found.append(inference_service(request.settings, gpu))
    if reading.server_is_ours(config):
        found.append(server_service(config, images, documents.run, wires.server, gpu=gpu is not None))
    found.append(lcore_service(config, images, documents.lightspeed, wires.lcore))
    return tuple(
        _with_settings(service, settings[service.name], request, _facts(service.name, images)) for service in found
    )


def _facts(name: str, images: Images) -> ImageFacts:
    known = {LCORE: images.lcore_facts, LLAMA_STACK: images.server_facts}
    return known.get(name, ImageFacts(""))


_LOG_LEVELS = {
    LCORE: ("LIGHTSPEED_STACK_LOG_LEVEL", "{upper}"),
    LLAMA_STACK: ("OGX_LOGGING", "all={level}"),
    INFERENCE: ("VLLM_LOGGING_LEVEL", "{upper}"),
}


def _with_settings(service: Service, own: ServiceSettings, request: Request, facts: ImageFacts) -> Service:
    ports = own.ports or (service.ports if own.publish else ())
    return replace(
        service,
        image=own.image or service.image,
        environment=_environment(service, own),
        mounts=(*service.mounts, *(_own_volume(text, request) for text in own.volumes)),
        ports=ports,
        pull_policy=own.pull_policy,
        restart=own.restart,
        limits=own.limits,
        log_rotation=own.log_rotation,
        hardening=Hardening(
            own.read_only,
            own.no_new_privileges,
            own.drop_capabilities,
            facts.keep,
            own.tmpfs,
        ),
    )


def _environment(service: Service, own: ServiceSettings) -> tuple[tuple[str, Text], ...]:
    merged: dict[str, Text] = dict(service.environment)
    if own.log_level != "info":
        variable, form = _LOG_LEVELS[service.name]
        merged[variable] = form.format(level=own.log_level, upper=own.log_level.upper())
    for name, value in own.env:
        merged[name] = _own_value(service.name, name, value)
    return tuple(merged.items())


SAME_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:[?-][^}]*)?\}")


def _own_value(service: str, name: str, value: str | None) -> Text:
    """A person's variable: passed on by name where that is meant, else in Compose's words.

    Raises: UsageError for a secret in clear.
    """
    match = SAME_NAME.fullmatch(value or "")
    if value is None or (match and match[1] == name):
        rest = (match[2] or ":?") if match else ":?"
        return EnvRef(name, rest[2:] if rest[1] == "-" else "", required=rest[1] == "?")
    if SECRET_NAME.search(name) and value and "$" not in value:
        what = f"{name} looks like a secret, and stands in the settings in clear"
        fix = f"Write '{name}:' without a value, and set the variable in your environment or .env."
        raise UsageError(what, f"services.{service}.env.{name}", fix)
    return ComposeText(value)


def _own_volume(text: str, request: Request) -> Mount:
    """``SOURCE:TARGET[:ro]`` of a person's own."""
    parts = text.split(":")
    mode = parts[2] if len(parts) == 3 else "rw"
    if len(parts) not in (2, 3) or not parts[1].startswith("/") or mode not in ("ro", "rw"):
        fix = "Write SOURCE:TARGET or SOURCE:TARGET:ro, with an absolute TARGET."
        raise UsageError(f"{text!r} is not a volume", "volumes", fix)
    source, target = parts[0], parts[1]
    if "/" not in source and source not in (".", "..", "~"):
        if not NAME.fullmatch(source):
            raise UsageError(f"{source!r} is not a name for a volume", "volumes", "Use a-z, 0-9, _ and -.")
        return VolumeMount(source, target)
    absolute = source if source.startswith(("/", "~")) else normpath(f"{request.directory}/{source}")
    return FileMount(expanded(absolute, request.home), target, read_only=mode == "ro")


def _volumes(services: Iterable[Service]) -> tuple[str, ...]:
    names = [mount.volume for service in services for mount in service.mounts if isinstance(mount, VolumeMount)]
    return tuple(dict.fromkeys(names))


def _variables(services: Iterable[Service]) -> tuple[str, ...]:
    names = [
        value.name
        for service in services
        for _, value in service.environment
        if isinstance(value, EnvRef) and value.required
    ]
    return tuple(dict.fromkeys(names))


def _image_warnings(services: Iterable[Service]) -> list[Finding]:
    """A warning for each image without a digest."""
    return [
        Finding(
            Position("images"),
            f"services.{service.name}.image",
            f"{service.image} is not pinned by digest, and may change",
            "Add @sha256:… to the image.",
            "warning",
        )
        for service in services
        if "@sha256:" not in service.image
    ]


def missing_files(files: Iterable[wiring.HostFile], present: frozenset[str]) -> list[Finding]:
    """The second verdict: a finding for each file to mount that is not here."""
    return [
        Finding(
            one.node.where,
            dotted(one.path),
            f"the file {one.mount.source} is to be mounted, and is not here",
            "Create it, correct the path, or pass --allow-missing.",
        )
        for one in files
        if one.mount.source not in present
    ]


def unreadable_files(files: Iterable[wiring.HostFile], closed: frozenset[str]) -> list[Finding]:
    """A warning for each file to mount that the container's user, who owns nothing here, cannot read."""
    return [
        Finding(
            one.node.where,
            dotted(one.path),
            f"the file {one.mount.source} is not readable by the user of the container",
            f"Run: chmod o+r {one.mount.source}",
            "warning",
        )
        for one in files
        if one.mount.source in closed
    ]
