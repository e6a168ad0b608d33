"""Everything that a command starts from, read once: documents, profiles, settings, variables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from lcompose import host
from lcompose.accelerators import decided, is_asked_for
from lcompose.access import command_for, readable_by
from lcompose.contexts import is_elsewhere
from lcompose.dotenv import variables as variables_of
from lcompose.errors import ConfigError, Finding, Position, UsageError
from lcompose.forms import RUN_FILE, RunDocument, run_document
from lcompose.lightspeed.config import configuration, embedded_settings, findings, missing_variables, unset_variable
from lcompose.lightspeed.envrefs import references
from lcompose.lightspeed.images import INFERENCE, choose_images
from lcompose.lightspeed.wiring import elsewhere, undeclared_secrets
from lcompose.load import Node, parse
from lcompose.merge import Layer
from lcompose.names import checked_name, name_from_directory
from lcompose.overlay.tags import TAGGED
from lcompose.profiles import profile_layers
from lcompose.resolve import Resolved, missing_files, readers, resolve, unreadable_files
from lcompose.settings import (
    DEFAULTS,
    EMBEDDED,
    FILE,
    Settings,
    checked_layer,
    is_chosen,
    layer_from_env,
    layer_from_options,
    resolve_settings,
)
from lcompose.sides import Request
from lcompose.spec.machine import Machine
from lcompose.spec.project import FileMount
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import EngineName
from lcompose.targets import Place

CONFIG_FILE = "lightspeed-stack.yaml"
SETTINGS_FILE = "lcompose.yaml"
NO_CONFIG = (
    "Go to the folder that has one, or name it with -c. A compose file is named with -f: lcompose up -f compose.yaml."
)
T = TypeVar("T")
# The layer that everybody starts from.
DEFAULT = "default"
LOCAL = "local"
# They stand for files that could not be read, until that is told.
EMPTY = Node(None, Position(CONFIG_FILE))
MINIMAL_RUN = parse(b"distro_name: unknown\nproviders: {}\n", RUN_FILE)


@dataclass(frozen=True, slots=True)
class Options:
    """The options that every command has; empty is not given."""

    directory: str = ""
    config: str = ""
    run_config: str = ""
    project_name: str = ""
    profiles: tuple[str, ...] = ()
    engine: str = ""
    runtime: str = ""
    strict_runtime: bool = False
    gpu: str = ""
    gpu_ids: str = ""
    inference: str = ""
    model: str = ""
    images: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    json: bool = False
    verbose: bool = False


@dataclass(frozen=True, slots=True)
class Workspace:
    """What was read and resolved, and the sealed values that go with it; ``machine`` if it was looked at."""

    name: str
    directory: Path
    settings: Settings
    resolved: Resolved
    secrets: Secrets
    env: Mapping[str, str]
    warnings: tuple[Finding, ...] = field(default=())
    machine: Machine | None = None

    def place(self, directory: Path) -> Place:
        """Where documents are going to lie, with the digests of what they mount."""
        mounts = {
            mount.source
            for service in self.resolved.project.services
            for mount in service.mounts
            if isinstance(mount, FileMount)
        }
        return Place(str(directory), {source: _digest(Path(source)) for source in sorted(mounts)}, str(self.directory))

    def kinds(self, services: Collection[str]) -> frozenset[str]:
        """What settings call some of the services."""
        kinds = self.resolved.companions.kinds
        return frozenset(kinds.get(name, name) for name in services)

    @property
    def processes(self) -> tuple[str, ...]:
        """The services that it was resolved for as processes."""
        kinds, taken = self.resolved.companions.kinds, self.settings.processes
        return tuple(one.name for one in self.resolved.project.services if kinds.get(one.name, one.name) in taken)


def project_name(options: Options, env: Mapping[str, str]) -> str:
    """The project's name: asked for, from the environment, or made of the directory's name.

    Raises: UsageError for a name that may not be one; nothing has been read or written by then.
    """
    asked = options.project_name or env.get("LCOMPOSE_PROJECT_NAME", "")
    if asked:
        return checked_name(asked, "project")
    return name_from_directory(directory_of(options).name)


def wanted_engine(options: Options, env: Mapping[str, str]) -> EngineName | None:
    """The engine that is asked for without any file: by option or variable.

    Raises: UsageError.
    """
    asked = options.engine or env.get("LCOMPOSE_ENGINE", "") or "auto"
    if asked not in ("auto", "docker", "podman"):
        raise UsageError(f"no engine is called {asked[:40]!r}", "LCOMPOSE_ENGINE", "Use auto, docker or podman.")
    return None if asked == "auto" else cast("EngineName", asked)


def directory_of(options: Options) -> Path:
    """The directory that a command works in, absolute.

    Raises: UsageError.
    """
    try:
        directory = Path(options.directory or ".").absolute()
        there = directory.is_dir()
    except OSError as error:
        what = f"this directory cannot be used: {error.strerror or error}"
        raise UsageError(what, options.directory[:200] or ".", "Go to a directory that exists.") from error
    if options.directory and not there:
        raise UsageError("this is not a directory", options.directory, "Give an existing directory to -C.")
    return Path(_normal(directory))


def _normal(path: Path) -> str:
    from os.path import normpath

    return normpath(path)


def open_workspace(
    options: Options,
    env: Mapping[str, str],
    *,
    allow_missing: bool = False,
    variables: bool = False,
    here: bool = False,
    looks: bool = False,
    runtime: str = "",
    processes: Collection[str] | None = None,
) -> Workspace:
    """Reads and resolves everything that a command needs.

    Files that are to be mounted must be here, and ``variables`` set, unless ``allow_missing``. ``here``
    says that the stack starts on this machine and at once: then proxies and the like come from the
    environment too, and not only from .env. What is rendered must not depend on who renders it. With
    ``looks`` the machine is looked at, if a GPU is asked for: which one it is then stands in the settings.
    ``runtime`` is the one that is taken, where it is not the one that the settings ask for first; ``processes``
    are the services that are run as processes, where that is decided already.

    Raises: ConfigError with every finding of the run; UsageError; MachineError for a GPU that is not here.
    """
    name = project_name(options, env)
    directory = directory_of(options)
    collected = _Findings()
    path, node = collected.get(lambda: read_config(options, env, directory), (directory / CONFIG_FILE, EMPTY))
    own = collected.get(lambda: _settings_file(directory), Layer(SETTINGS_FILE, {}))
    settings = collected.get(lambda: _settings(options, env, directory, node, own), resolve_settings([]))
    settings = _for_runtime(settings, runtime, processes)
    written = dotenv(directory, env)
    env = {**written, **env}
    images = choose_images(settings)
    run = collected.get(
        lambda: run_document(options.run_config, directory, path, node, images), RunDocument(path.parent, MINIMAL_RUN)
    )
    if collected.found and node is not EMPTY:
        # Something cannot be read; what can be is checked all the same, so that one run tells all.
        homes = (images.lcore_facts.home, images.server_facts.home)
        collected.found += findings(configuration(node, run.node, images.generation, images.version, env, homes))
    collected.stop_on_errors()
    looks = looks and is_asked_for(settings)
    machine = look(env, settings) if looks else None
    settings, told = decided(settings, machine, elsewhere=looks and machine is None)
    home = env.get("HOME", "/")
    request = Request(
        name,
        settings,
        node,
        run.node,
        str(path.parent),
        str(run.directory),
        env,
        home,
        run.changes,
        run.steps,
        env if here else written,
        machine,
    )
    resolved = resolve(request)
    settings = _with_patience(settings, resolved)
    secrets = Secrets({**env, **resolved.lifted}, hidden=frozenset(resolved.lifted), kept=resolved.kept)
    resolved, assumed = _without_elsewhere(resolved)
    missing = [
        *_missing_files(resolved, settings.secrets),
        *(_missing_variables(resolved, secrets, env) if variables else ()),
    ]
    if missing and not allow_missing:
        raise ConfigError([*resolved.warnings, *missing])
    softened = [replace(found, severity="warning") for found in missing]
    warnings = (*told, *resolved.warnings, *assumed, *softened, *_closed_files(resolved, settings, env))
    return Workspace(name, directory, settings, resolved, secrets, env, warnings, machine)


def _for_runtime(settings: Settings, runtime: str, processes: Collection[str] | None) -> Settings:
    """The settings with the services that are processes: those that were decided, else those that are asked for."""
    taken = runtime or (settings.runtime if is_chosen(settings) else settings.runtimes.default)
    if processes is None:
        asked = {name: "" if runtime == LOCAL else one.runtime for name, one in settings.services.items()}
        processes = [name for name, own in asked.items() if (own or taken) == LOCAL]
    return replace(settings, runtime=taken, processes=frozenset(processes))


def _with_patience(settings: Settings, resolved: Resolved) -> Settings:
    """The settings with time for what fetches a model first, where nobody said how long it may take."""
    if settings.origin.get("wait_timeout", DEFAULT) != DEFAULT:
        return settings
    checks = [service.healthcheck for service in resolved.project.services if service.healthcheck]
    longest = int(max((check.start_period for check in checks), default=0))
    return replace(settings, wait_timeout=max(settings.wait_timeout, longest))


def look(env: Mapping[str, str], settings: Settings) -> Machine | None:
    """What there is in this machine; None where the engine is on another one. Processes are always here."""
    if INFERENCE not in settings.processes and is_elsewhere(env, settings.engine):
        return None
    from lcompose.machine import ThisMachine
    from lcompose.probe import probe

    return probe(ThisMachine())


class _Findings:
    """Collects configuration errors of several readings, so that one run tells them all."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def get(self, read: Callable[[], T], otherwise: T) -> T:
        """What is read, or a stand-in when that fails; ``stop_on_errors`` comes before any real use."""
        try:
            return read()
        except ConfigError as error:
            self.found.extend(error.findings)
            return otherwise

    def stop_on_errors(self) -> None:
        if self.found:
            raise ConfigError(self.found)


def read_config(options: Options, env: Mapping[str, str], directory: Path) -> tuple[Path, Node]:
    """lightspeed-stack.yaml and where it is.

    Raises: UsageError, ConfigError.
    """
    asked = options.config or env.get("LIGHTSPEED_STACK_CONFIG_PATH", "") or CONFIG_FILE
    path = host.file_named(directory, asked)
    return path, parse(host.read_file(path, CONFIG_FILE, NO_CONFIG), asked)


def _settings_file(directory: Path) -> Layer:
    path = directory / SETTINGS_FILE
    if not host.exists(path):
        return Layer(SETTINGS_FILE, {})
    return checked_layer(SETTINGS_FILE, _parsed_settings(path), FILE)


def _parsed_settings(path: Path) -> Node:
    return parse(host.read_file(path, SETTINGS_FILE, ""), SETTINGS_FILE, TAGGED)


def _settings(options: Options, env: Mapping[str, str], directory: Path, node: Node, own: Layer) -> Settings:
    embedded = checked_layer(CONFIG_FILE, embedded_settings(node), EMBEDDED)
    from_env = layer_from_env(env)
    from_options = layer_from_options(options.sets, _as_settings(options))
    above = [embedded, own, from_env, from_options]
    chosen = _chosen(above)
    return resolve_settings([*profile_layers(chosen.tree["profiles"], directory), *above, chosen])


def _chosen(layers: list[Layer]) -> Layer:
    """The profiles that are asked for, in the name of the layer that asks: the last one has the word."""
    asked = [layer for layer in layers if layer.tree.get("profiles")]
    last = asked[-1] if asked else Layer("default", {"profiles": DEFAULTS["profiles"]})
    return Layer(last.name, {"profiles": list(last.tree["profiles"])})


def _as_settings(options: Options) -> dict[str, object]:
    names = ("engine", "runtime", "gpu", "inference", "model")
    given = {name: getattr(options, name) for name in names}
    tree: dict[str, object] = {key: value for key, value in given.items() if value}
    if options.gpu_ids:
        tree["gpu_ids"] = [one.strip() for one in options.gpu_ids.split(",") if one.strip()]
    if options.profiles:
        tree["profiles"] = list(options.profiles)
    images = dict(_image(item) for item in options.images)
    if options.strict_runtime:
        tree["runtimes"] = {"strict": True}
    if images:
        tree["services"] = {service: {"image": image} for service, image in images.items()}
    return tree


def _image(item: str) -> tuple[str, str]:
    from lcompose.schema import suggestion
    from lcompose.settings import SERVICES

    service, equals, image = item.partition("=")
    if not equals or not image:
        raise UsageError(f"--image {item!r} has no image", "", "Write --image SERVICE=IMAGE.")
    if service not in SERVICES:
        raise UsageError(f"no service is called {service[:40]!r}", "--image", suggestion(service, list(SERVICES)))
    return service, image


def dotenv(directory: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The variables of .env, as Compose reads it.

    Raises: UsageError.
    """
    path = directory / ".env"
    if not host.exists(path):
        return {}
    try:
        text = host.read_file(path, ".env", "").decode()
    except UnicodeDecodeError as error:
        raise UsageError(".env is not UTF-8 text", str(path), "Save the file as UTF-8.") from error
    return variables_of(text, env)


def _present(resolved: Resolved) -> frozenset[str]:
    return frozenset(one.mount.source for one in resolved.files if host.exists(Path(one.mount.source)))


def _without_elsewhere(resolved: Resolved) -> tuple[Resolved, list[Finding]]:
    """The same without files that are not here and need not be, and a warning for each."""
    kept, found = elsewhere(resolved.files, _present(resolved))
    gone = {one.mount for one in resolved.files} - {one.mount for one in kept}
    services = tuple(
        replace(service, mounts=tuple(mount for mount in service.mounts if mount not in gone))
        for service in resolved.project.services
    )
    project = replace(resolved.project, services=services)
    return replace(resolved, project=project, files=tuple(kept)), found


def _missing_files(resolved: Resolved, secrets: Mapping[str, str]) -> list[Finding]:
    present = _present(resolved)
    undeclared = undeclared_secrets(resolved.files, secrets, present)
    told = {one.path for one in undeclared}
    return [*undeclared, *(one for one in missing_files(resolved.files, present) if one.path not in told)]


def _closed_files(resolved: Resolved, settings: Settings, env: Mapping[str, str]) -> list[Finding]:
    mapped = settings.engine == "podman" and not host.user_is_root()
    here = host.find_program("setfacl", env.get("PATH", ""))
    setfacl = ("podman unshare setfacl" if mapped else "setfacl") if here else ""
    everybody = readers(resolved.project, choose_images(settings)).items()
    closed = {
        source: replace(reader, command=command_for(Path(source), reader.uid, setfacl))
        # A process reads what its person reads.
        for source, reader in ((source, one) for source, one in everybody if one.service not in settings.processes)
        if host.exists(Path(source)) and not readable_by(Path(source), reader.uid, mapped=mapped)
    }
    return unreadable_files(resolved.files, closed)


def _missing_variables(resolved: Resolved, secrets: Secrets, env: Mapping[str, str]) -> list[Finding]:
    """Variables without a value: of the documents, each with its place, and of the settings."""
    found = missing_variables(resolved.configuration, env, resolved.rewritten)
    told = {reference.name for tree in resolved.configuration.trees for reference in references(tree)}
    own = [name for name in resolved.project.variables if name not in told and not secrets.has(name)]
    return [*found, *(unset_variable(name, Position("settings"), "env") for name in own)]


def _digest(path: Path) -> str:
    return hashlib.sha256(host.content(path)).hexdigest()[:16]
