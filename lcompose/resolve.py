"""Configuration and settings to a Project, in phases; each is a function from value to value.

images -> derived documents -> files and volumes -> variables -> services -> hardening
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from posixpath import normpath
from typing import Any

from lcompose import vendors
from lcompose.errors import ConfigError, Finding, Position, Severity, UsageError
from lcompose.lightspeed import config as reading
from lcompose.lightspeed import derive, surroundings, wiring
from lcompose.lightspeed.advice import advice, judged
from lcompose.lightspeed.companions import Companions, needed
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.draft import Step
from lcompose.lightspeed.envrefs import expanded
from lcompose.lightspeed.images import INFERENCE, LCORE, LLAMA_STACK, ImageFacts, Images, choose_images
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.lightspeed.services import inference_service, lcore_service, own_directory, server_service
from lcompose.lightspeed.synthesis import needs
from lcompose.load import Node, dotted, leaves, plain
from lcompose.names import NAME
from lcompose.schema import Kind, record
from lcompose.settings import ServiceSettings, Settings
from lcompose.spec.project import (
    Change,
    Derived,
    DocumentMount,
    FileMount,
    Hardening,
    Limits,
    Mount,
    Project,
    Service,
    VolumeMount,
)
from lcompose.spec.secrets import SECRET_NAME
from lcompose.spec.text import ComposeText, EnvRef, Text


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that resolving needs. Directories are absolute; ``home`` is the person's.

    ``run_changes`` is what was added to run.yaml before, ``run_steps`` where its parts come from.
    ``surroundings`` are the variables of which proxies and the like are handed on.
    """

    name: str
    settings: Settings
    lightspeed: Node
    run: Node
    directory: str
    run_directory: str
    env: Mapping[str, str]
    home: str = "/"
    run_changes: tuple[Change, ...] = ()
    run_steps: tuple[Step, ...] = ()
    surroundings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Side:
    """One service's half: its derived document and what that implies, and the secrets that left it."""

    document: Any
    changes: tuple[Change, ...]
    lifted: tuple[wiring.Lifted, ...]
    mounts: tuple[Mount, ...]
    files: tuple[wiring.HostFile, ...]

    @property
    def private(self) -> bool:
        """Whether a secret stands in the document that cannot be a variable."""
        return any(one.stays for one in self.lifted)


@dataclass(frozen=True, slots=True)
class Source:
    """A person's document: where it came from, what is known of it, and of the image that reads it."""

    filename: str
    node: Node
    values: Mapping[str, Any]
    kind: Kind
    directory: str
    image: ImageFacts
    volume: str
    also_written: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """The Project, the files of the host that it needs, warnings, and sealed values.

    ``kept`` are secrets that stay in a document, since they cannot be variables.
    """

    project: Project
    files: tuple[wiring.HostFile, ...]
    warnings: tuple[Finding, ...]
    lifted: Mapping[str, str]
    configuration: Configuration
    run_steps: tuple[Step, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)


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
    warnings = _passed(judged(config))
    gpu = _vendor(request.settings, config)
    library = reading.is_library(config)
    secrets = _lifted(config)
    found = _companions(config, request.settings, secrets, gpu=gpu is not None)
    rewritten = [{edit.path for edit in edits} for edits in (found.lightspeed_edits, found.run_edits)]
    warnings += [*_passed(found.findings), *advice(config, rewritten), *surroundings.surprises(request.surroundings)]
    lcore = lcore_side(config, request, images, secrets[0], found.lightspeed_edits)
    run_edits = (*derive.run_edits(config, gpu=gpu is not None), *found.run_edits)
    server = server_side(config, request, images, secrets[1], run_edits) if reading.server_is_ours(config) else None
    sides = [lcore, server] if server else [lcore]
    lifted = [one for side in sides for one in side.lifted]
    warnings += _passed([one.finding for one in lifted])
    services = _services(request, config, images, lcore, server, gpu, found)
    if request.settings.pinned_images:
        warnings += _image_warnings(services)
    project = Project(
        name=request.name,
        services=services,
        documents=(*_derived(lcore, server, library=library), *found.documents),
        volumes=_volumes(services),
        changes=(*request.run_changes, *(change for side in sides for change in side.changes)),
        variables=_variables(services),
        compose=request.settings.compose,
    )
    files = [file for side in sides for file in side.files]
    files += _own_files(services, files)
    # A database's own container gets its password as a variable, whatever it consists of.
    passed = {value.name for one in found.services for _, value in one.environment if isinstance(value, EnvRef)}
    values = {one.name: one.value for one in lifted if not one.stays or one.name in passed}
    kept = {one.name: one.value for one in lifted if one.stays}
    return Resolved(project, tuple(files), tuple(warnings), values, config, request.run_steps, kept)


def _own_files(services: Iterable[Service], known: Iterable[wiring.HostFile]) -> list[wiring.HostFile]:
    """Files of the host that settings mount, beside those that the documents name; each once."""
    named = {one.mount.source for one in known}
    settings = Node(None, Position("settings"))
    found: dict[str, wiring.HostFile] = {}
    for service in services:
        for mount in service.mounts:
            if isinstance(mount, FileMount) and mount.source not in named:
                everywhere = mount.target == surroundings.AUTHORITIES_FILE
                path = ("ca_bundle",) if everywhere else ("services", service.name, "volumes")
                found.setdefault(mount.source, wiring.HostFile(mount, path, settings))
    return list(found.values())


def _passed(findings: Sequence[Finding]) -> list[Finding]:
    """The warnings among the findings.

    Raises: ConfigError when there are errors.
    """
    if any(found.severity == "error" for found in findings):
        raise ConfigError(findings)
    return list(findings)


def _vendor(settings: Settings, config: Configuration) -> vendors.Vendor | None:
    if settings.gpu == "none":
        return None
    known = vendors.choices()
    if settings.gpu not in known:
        raise UsageError(f"no GPU is called {settings.gpu[:40]!r}", "gpu", f"Use one of: {', '.join(known)}.")
    if not reading.server_is_ours(config):
        what = "an inference service is wired into Llama Stack, and this one is remote"
        raise UsageError(what, "gpu", "Leave the GPU out, or let url say http://localhost:8321.")
    return vendors.vendor(settings.gpu)


LIFTED_PREFIXES = ("LIGHTSPEED_", "LLAMA_STACK_")


def _lifted(config: Configuration) -> tuple[list[wiring.Lifted], list[wiring.Lifted]]:
    """The secrets that stand in each document as they are."""
    own = wiring.lifted_secrets(config.lightspeed, record(LIGHTSPEED), LIFTED_PREFIXES[0])
    if not reading.server_is_ours(config):
        return own, []
    return own, wiring.lifted_secrets(config.run, record(RUN, extra="allow"), LIFTED_PREFIXES[1])


def _companions(
    config: Configuration,
    settings: Settings,
    secrets: tuple[list[wiring.Lifted], list[wiring.Lifted]],
    *,
    gpu: bool,
) -> Companions:
    own, run = ({one.edit.path: one.name for one in lifted} for lifted in secrets)
    server = reading.server_is_ours(config) and not reading.is_library(config)
    theirs = frozenset(name for words in settings.compose for name in words.get("services") or {})
    return needed(config, settings.companions, theirs, server=server, gpu=gpu, lifted=own, run_lifted=run)


def lcore_side(
    config: Configuration,
    request: Request,
    images: Images,
    lifted: list[wiring.Lifted],
    more: Sequence[derive.Edit],
) -> Side:
    """LCORE's half."""
    source = Source(
        derive.LIGHTSPEED_FILE,
        config.lightspeed,
        config.values,
        record(LIGHTSPEED),
        request.directory,
        images.lcore_facts,
        f"{LCORE}-data",
    )
    side = _side(source, lifted, [*_renamed(config, lifted, images), *more], request)
    return replace(side, mounts=(*side.mounts, *_reranker_cache(config, images.lcore_facts)))


def server_side(
    config: Configuration,
    request: Request,
    images: Images,
    lifted: list[wiring.Lifted],
    edits: Sequence[derive.Edit],
) -> Side:
    """The half of our own Llama Stack, in a container of its own or inside LCORE's."""
    library = reading.is_library(config)
    image = images.lcore_facts if library else images.server_facts
    source = Source(
        derive.RUN_FILE,
        config.run,
        config.run_values,
        record(RUN, extra="allow"),
        request.run_directory,
        image,
        f"{LCORE if library else LLAMA_STACK}-data",
        (own_directory(image),),
    )
    side = _side(source, lifted, edits, request)
    found = wiring.indexes(config.lightspeed, config.values, record(LIGHTSPEED), request.directory, image)
    files = _at_home(found, request.home)
    mounts = (*side.mounts, *(one.mount for one in files), *_model_cache(config, image))
    return replace(side, mounts=mounts, files=(*side.files, *files))


def _side(source: Source, lifted: list[wiring.Lifted], edits: Sequence[derive.Edit], request: Request) -> Side:
    kept = wiring.storage(source.node, source.values, source.kind, source.volume, source.image, source.also_written)
    # Lifting goes first: its paths are those of the document as it was written.
    every = [*(one.edit for one in lifted), *kept.edits, *edits]
    document, changes = derive.applied(plain(source.node), source.filename, every)
    secrets = request.settings.secrets
    found = wiring.host_files(source.node, source.values, source.kind, source.directory, source.image, secrets)
    files = _at_home(found, request.home)
    mounts = _mounts(source.filename, source.image, kept, files)
    return Side(document, tuple(changes), tuple(lifted), mounts, tuple(files))


def _renamed(config: Configuration, lifted: list[wiring.Lifted], images: Images) -> list[derive.Edit]:
    """LCORE's edits; a renamed section carries what was lifted out of it."""
    edits = derive.lightspeed_edits(config, images.lcore_facts)
    for index, edit in enumerate(edits):
        if edit.path == ("ogx",) and isinstance(edit.value, dict):
            inside = {one.edit.path[-1]: one.edit.value for one in lifted if one.edit.path[0] == "llama_stack"}
            edits[index] = replace(edit, value={**edit.value, **inside})
    return edits


def _at_home(files: list[wiring.HostFile], home: str) -> list[wiring.HostFile]:
    return [replace(one, mount=replace(one.mount, source=expanded(one.mount.source, home))) for one in files]


def _mounts(
    document: str, image: ImageFacts, kept: wiring.Storage, files: Iterable[wiring.HostFile]
) -> tuple[Mount, ...]:
    mounted = {one.mount.target: one.mount for one in files}
    return (DocumentMount(document, f"{image.workdir}/{document}"), *mounted.values(), *kept.mounts)


def _model_cache(config: Configuration, image: ImageFacts) -> tuple[Mount, ...]:
    """A volume for models that Llama Stack downloads itself."""
    kinds = [leaf.value for path, leaf in leaves(config.run) if path[-1:] == ("provider_type",)]
    if "inline::sentence-transformers" not in kinds and not needs(config.values, config.run_values).models:
        return ()
    return (VolumeMount("models", f"{image.home}/.cache/huggingface"),)


def _reranker_cache(config: Configuration, image: ImageFacts) -> tuple[Mount, ...]:
    """A volume for the model that LCORE downloads; another one, since its user is another one."""
    if not needs(config.values, config.run_values).reranker:
        return ()
    return (VolumeMount(f"{LCORE}-models", f"{image.home}/.cache/huggingface"),)


def _derived(lcore: Side, server: Side | None, *, library: bool) -> tuple[Derived, ...]:
    own = Derived(derive.LIGHTSPEED_FILE, f"{LCORE}/{derive.LIGHTSPEED_FILE}", lcore.document, private=lcore.private)
    if server is None:
        return (own,)
    reader = LCORE if library else LLAMA_STACK
    return own, Derived(derive.RUN_FILE, f"{reader}/{derive.RUN_FILE}", server.document, private=server.private)


def _services(
    request: Request,
    config: Configuration,
    images: Images,
    lcore: Side,
    server: Side | None,
    gpu: vendors.Vendor | None,
    companions: Companions,
) -> tuple[Service, ...]:
    settings = request.settings.services
    cached = request.settings.bytecode_cache
    ordered = request.settings.boot == "ordered"
    found = []
    if gpu:
        found.append(inference_service(request.settings, gpu))
    wired = {"gpu": gpu is not None, "cached": cached}
    inside = server if reading.is_library(config) else None
    if server and not inside:
        found.append(server_service(config, images, server.document, server.mounts, **wired))
    mounts = _joined(lcore.mounts, inside.mounts if inside else ())
    run = inside.document if inside else None
    found.append(lcore_service(config, images, lcore.document, mounts, run=run, ordered=ordered, **wired))
    found = [replace(one, needs=companions.needs.get(one.name, ())) for one in found]
    ours = [_with_settings(service, settings[service.name], request, _facts(service.name, images)) for service in found]
    beside = [
        _with_settings(one, settings[companions.kinds[one.name]], request, _facts(one.name, images))
        for one in companions.services
    ]
    run = server.document if server else {}
    kinds = {str(leaf.value) for path, leaf in leaves(config.run) if path[-1:] == ("provider_type",)} if run else set()
    reader = LCORE if reading.is_library(config) else LLAMA_STACK
    credited = [
        surroundings.with_credentials(one, kinds, {**request.env, "HOME": request.home}, request.directory)
        if one.name == reader
        else one
        for one in ours
    ]
    bundle = request.settings.ca_bundle
    return surroundings.handed_on(
        [*beside, *credited],
        {**request.surroundings, "HOME": request.home},
        proxies=request.settings.proxies,
        ca_bundle=_own_path(bundle, request) if bundle else "",
        directory=request.directory,
    )


def _own_path(path: str, request: Request) -> str:
    absolute = path if path.startswith(("/", "~")) else normpath(f"{request.directory}/{path}")
    return expanded(absolute, request.home)


def _joined(mounts: tuple[Mount, ...], more: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """Both, one a place: two documents of one container may name the same."""
    return tuple({mount.target: mount for mount in (*mounts, *more)}.values())


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
        limits=_limits(own.limits, service.limits),
        log_rotation=own.log_rotation,
        hardening=Hardening(
            own.read_only,
            own.no_new_privileges,
            own.drop_capabilities,
            (*facts.keep, *service.hardening.keep_capabilities),
            (*(service.hardening.tmpfs if own.read_only else ()), *own.tmpfs),
        ),
    )


def _limits(own: Limits, usual: Limits) -> Limits:
    return Limits(own.cpus or usual.cpus, own.memory or usual.memory, own.pids or usual.pids)


def _environment(service: Service, own: ServiceSettings) -> tuple[tuple[str, Text], ...]:
    merged: dict[str, Text] = dict(service.environment)
    if own.log_level != "info":
        # A companion has no word for it.
        variable, form = _LOG_LEVELS.get(service.name, ("", ""))
        if variable:
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
    return FileMount(_own_path(source, request), target, read_only=mode == "ro")


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
    fix = "Create it, correct the path, or pass --allow-missing."
    gone = [one for one in files if one.mount.source not in present]
    return [_file_finding(one, "is to be mounted, and is not here", fix, "error") for one in gone]


def unreadable_files(files: Iterable[wiring.HostFile], closed: frozenset[str]) -> list[Finding]:
    """A warning for each file to mount that the container's user, who owns nothing here, cannot read."""
    what = "is not readable by the user of the container"
    return [
        _file_finding(one, what, f"Run: chmod o+r {one.mount.source}", "warning")
        for one in files
        if one.mount.source in closed
    ]


def _file_finding(one: wiring.HostFile, what: str, fix: str, severity: Severity) -> Finding:
    return Finding(one.node.where, dotted(one.path), f"the file {one.mount.source} {what}", fix, severity)
