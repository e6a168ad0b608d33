"""Configuration and settings to a Project, in phases; each is a function from value to value.

images -> derived documents -> files and volumes -> variables -> services -> hardening
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lcompose.access import Reader
from lcompose.errors import ConfigError, Finding, Position, Severity
from lcompose.lightspeed import config as reading
from lcompose.lightspeed import derive, surroundings, wiring
from lcompose.lightspeed.advice import advice, judged
from lcompose.lightspeed.companions import Companions, asking, needed, side_by_side
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.draft import Step
from lcompose.lightspeed.images import LCORE, LLAMA_STACK, Images, choose_images
from lcompose.lightspeed.inference import inference
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.lightspeed.services import lcore_service, server_service
from lcompose.load import Node, Path, dotted, leaves
from lcompose.overlay.ours import said_of
from lcompose.schema import record
from lcompose.sides import Request, Side, derived, joined, lcore_side, server_side
from lcompose.spec.project import FileMount, Project, Service, VolumeMount
from lcompose.spec.text import EnvRef
from lcompose.tailored import Folder, with_settings


@dataclass(frozen=True, slots=True)
class Resolved:
    """The Project, the files of the host that it needs, warnings, and sealed values.

    ``kept`` are secrets that stay in a document, since they cannot be variables; ``rewritten`` are the
    paths of each document at which something else stands than its person wrote; ``companions``
    tells why each is there: what they are in the end is in the Project.
    """

    project: Project
    files: tuple[wiring.HostFile, ...]
    warnings: tuple[Finding, ...]
    lifted: Mapping[str, str]
    configuration: Configuration
    run_steps: tuple[Step, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    rewritten: tuple[frozenset[Path], ...] = ()
    companions: Companions = Companions()


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
    library = reading.is_library(config)
    secrets = _lifted(config)
    found = _companions(config, request, secrets)
    rewritten = [{edit.path for edit in edits} for edits in (found.lightspeed_edits, found.run_edits)]
    warnings += [*_passed(found.findings), *surroundings.surprises(request.surroundings)]
    processes = request.settings.processes
    readers_of = (LCORE, LCORE if library else LLAMA_STACK)
    warnings += advice(
        config, [None if one in processes else paths for one, paths in zip(readers_of, rewritten, strict=True)]
    )
    lcore = lcore_side(config, request, images, secrets[0], found.lightspeed_edits)
    run_edits = (*derive.run_edits(config), *found.run_edits)
    server = server_side(config, request, images, secrets[1], run_edits) if reading.server_is_ours(config) else None
    sides = [lcore, server] if server else [lcore]
    lifted = [one for side in sides for one in side.lifted]
    warnings += _passed([one.finding for one in lifted])
    services = _services(request, config, images, lcore, server, found)
    containers = [one for one in services if found.kinds.get(one.name, one.name) not in processes]
    if containers:
        warnings += surroundings.local_proxies(request.surroundings)
    if request.settings.pinned_images:
        warnings += _image_warnings(containers)
    project = Project(
        name=request.name,
        services=services,
        documents=(*derived(lcore, server, library=library), *found.documents),
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
    changed = tuple(side.rewritten for side in sides)
    return Resolved(project, tuple(files), tuple(warnings), values, config, request.run_steps, kept, changed, found)


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


LIFTED_PREFIXES = ("LIGHTSPEED_", "LLAMA_STACK_")


def _lifted(config: Configuration) -> tuple[list[wiring.Lifted], list[wiring.Lifted]]:
    """The secrets that stand in each document as they are."""
    own = wiring.lifted_secrets(config.lightspeed, record(LIGHTSPEED), LIFTED_PREFIXES[0])
    if not reading.server_is_ours(config):
        return own, []
    return own, wiring.lifted_secrets(config.run, record(RUN, extra="allow"), LIFTED_PREFIXES[1])


def _companions(
    config: Configuration,
    request: Request,
    secrets: tuple[list[wiring.Lifted], list[wiring.Lifted]],
) -> Companions:
    """The services beside ours: the inference service first, and what the documents ask for."""
    settings = request.settings
    own, run = ({one.edit.path: one.name for one in lifted} for lifted in secrets)
    server = reading.server_is_ours(config) and not reading.is_library(config)
    theirs = frozenset(said_of(settings.compose))
    asked = asking(config, theirs, server=server, lifted=own, run_lifted=run)
    models = inference(asked, settings, request.machine)
    return side_by_side(models.beside, needed(replace(asked, served=models.served), settings.companions))


def _services(
    request: Request,
    config: Configuration,
    images: Images,
    lcore: Side,
    server: Side | None,
    companions: Companions,
) -> tuple[Service, ...]:
    """All services in starting order, complete."""
    settings, folder = request.settings, Folder(request.directory, request.home)
    keep = {LCORE: images.lcore_facts.keep, LLAMA_STACK: images.server_facts.keep}
    own = [
        with_settings(
            replace(one, needs=companions.needs.get(one.name, ())),
            settings.services[one.name],
            folder,
            keep.get(one.name, ()),
        )
        for one in _own_services(request, config, images, lcore, server)
    ]
    beside = [with_settings(one, settings.services[companions.kinds[one.name]], folder) for one in companions.services]
    bundle = surroundings.authorities_file(settings.ca_bundle, request.surroundings)
    return surroundings.handed_on(
        [*beside, *_with_credentials(own, config, request)],
        {**request.surroundings, "HOME": request.home},
        proxies=settings.proxies,
        ca_bundle=folder.absolute(bundle) if bundle else "",
        directory=request.directory,
    )


def _own_services(
    request: Request,
    config: Configuration,
    images: Images,
    lcore: Side,
    server: Side | None,
) -> Iterator[Service]:
    # Python keeps the bytecode of a process beside its sources.
    settings = request.settings
    cached = {one: settings.bytecode_cache and one not in settings.processes for one in (LCORE, LLAMA_STACK)}
    inside = server if reading.is_library(config) else None
    if server and not inside:
        yield server_service(config, images, server.document, server.mounts, cached=cached[LLAMA_STACK])
    mounts = joined(lcore.mounts, inside.mounts if inside else ())
    run = inside.document if inside else None
    ordered = settings.boot == "ordered"
    yield lcore_service(config, images, lcore.document, mounts, run=run, ordered=ordered, cached=cached[LCORE])


def _with_credentials(services: Iterable[Service], config: Configuration, request: Request) -> Iterator[Service]:
    """The services; the one that runs Llama Stack with what its providers' libraries look for by themselves."""
    reader = LCORE if reading.is_library(config) else LLAMA_STACK
    kinds = {str(leaf.value) for path, leaf in leaves(config.run) if path[-1:] == ("provider_type",)}
    env = {**request.env, "HOME": request.home}
    for one in services:
        known = surroundings.with_credentials(one, kinds, env, request.directory)
        yield known if one.name == reader else one


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


def readers(project: Project, images: Images) -> dict[str, Reader]:
    """Who reads each file of this machine; nobody whose root may read everything."""
    facts = {LCORE: images.lcore_facts, LLAMA_STACK: images.server_facts}
    return {
        mount.source: Reader(service.name, facts[service.name].user)
        for service in project.services
        if service.name in facts and (facts[service.name].user or service.hardening.drop_capabilities)
        for mount in service.mounts
        if isinstance(mount, FileMount)
    }


def unreadable_files(files: Iterable[wiring.HostFile], closed: Mapping[str, Reader]) -> list[Finding]:
    """A warning for each file to mount that the container's user cannot read; these are by path."""
    found = [(one, closed[one.mount.source]) for one in files if one.mount.source in closed]
    return [
        _file_finding(
            one,
            f"cannot be read by the user {reader.uid}, which {reader.service} runs as",
            f"Run: {reader.command}",
            "warning",
        )
        for one, reader in found
    ]


def _file_finding(one: wiring.HostFile, what: str, fix: str, severity: Severity) -> Finding:
    return Finding(one.node.where, dotted(one.path), f"the file {one.mount.source} {what}", fix, severity)
