"""Everything that a command starts from, read once: documents, profiles, settings, variables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from lcompose import host
from lcompose.errors import ConfigError, Finding, Position, UsageError
from lcompose.lightspeed.config import configuration, embedded_settings, findings, missing_variables, unset_variable
from lcompose.lightspeed.envrefs import references
from lcompose.lightspeed.images import choose_images
from lcompose.load import Node, lookup, parse
from lcompose.merge import Layer
from lcompose.names import checked_name, name_from_directory
from lcompose.profiles import profile_layers
from lcompose.resolve import Request, Resolved, missing_files, resolve, unreadable_files
from lcompose.settings import (
    EMBEDDED,
    FILE,
    Settings,
    checked_layer,
    layer_from_env,
    layer_from_options,
    resolve_settings,
)
from lcompose.spec.project import FileMount
from lcompose.spec.secrets import Secrets
from lcompose.spec.target import EngineName
from lcompose.targets import Place
from lcompose.templates import data_directory

CONFIG_FILE = "lightspeed-stack.yaml"
RUN_FILE = "run.yaml"
SETTINGS_FILE = "lcompose.yaml"
BASELINE = "baseline-run.yaml"
OWN_RUN_FILE = "lcompose's own run.yaml (you have none)"
NO_CONFIG = (
    "Go to the folder that has one, or name it with -c. A compose file is named with -f: lcompose up -f compose.yaml."
)
T = TypeVar("T")
# They stand for files that could not be read, until that is told.
EMPTY = Node(None, Position(CONFIG_FILE))
MINIMAL_RUN = Node({"providers": Node({}, Position(RUN_FILE))}, Position(RUN_FILE))


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
    gpu: str = ""
    images: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    json: bool = False
    verbose: bool = False


@dataclass(frozen=True, slots=True)
class Workspace:
    """What was read and resolved, and the sealed values that go with it."""

    name: str
    directory: Path
    settings: Settings
    resolved: Resolved
    secrets: Secrets
    env: Mapping[str, str]
    warnings: tuple[Finding, ...] = field(default=())

    def place(self, directory: Path) -> Place:
        """Where documents are going to lie, with the digests of what they mount."""
        mounts = {
            mount.source
            for service in self.resolved.project.services
            for mount in service.mounts
            if isinstance(mount, FileMount)
        }
        return Place(str(directory), {source: _digest(Path(source)) for source in sorted(mounts)})


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
    options: Options, env: Mapping[str, str], *, allow_missing: bool = False, variables: bool = False
) -> Workspace:
    """Reads and resolves everything that a command needs.

    Files that are to be mounted must be here, and ``variables`` set, unless ``allow_missing``.

    Raises: ConfigError with every finding of the run; UsageError.
    """
    name = project_name(options, env)
    directory = directory_of(options)
    collected = _Findings()
    path, node = collected.get(lambda: read_config(options, env, directory), (directory / CONFIG_FILE, EMPTY))
    own = collected.get(lambda: _settings_file(directory), Layer(SETTINGS_FILE, {}))
    settings = collected.get(lambda: _settings(options, env, directory, node, own), resolve_settings([]))
    env = {**dotenv(directory, env), **env}
    run_path, run = collected.get(lambda: read_run_config(options, directory, path, node), (path, MINIMAL_RUN))
    if collected.found and node is not EMPTY:
        # Something cannot be read; what can be is checked all the same, so that one run tells all.
        images = choose_images(settings)
        homes = (images.lcore_facts.home, images.server_facts.home)
        collected.found += findings(configuration(node, run, images.generation, images.version, env, homes))
    collected.stop_on_errors()
    request = Request(name, settings, node, run, str(path.parent), str(run_path.parent), env, env.get("HOME", "/"))
    resolved = resolve(request)
    secrets = Secrets({**env, **resolved.lifted}, hidden=frozenset(resolved.lifted))
    missing = [*_missing_files(resolved), *(_missing_variables(resolved, secrets, env) if variables else ())]
    if missing and not allow_missing:
        raise ConfigError([*resolved.warnings, *missing])
    softened = [replace(found, severity="warning") for found in missing]
    warnings = (*resolved.warnings, *softened, *_closed_files(resolved))
    return Workspace(name, directory, settings, resolved, secrets, env, warnings)


def refuse_local(settings: Settings) -> None:
    """Stops a command that could only pretend to run local processes.

    Raises: UsageError.
    """
    if settings.runtime == "local":
        what = "the local runtime is not part of this version"
        raise UsageError(what, "runtime", "Leave --runtime out, or set runtime: container.")


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


def read_run_config(options: Options, directory: Path, config: Path, node: Node) -> tuple[Path, Node]:
    """run.yaml: the one asked for, named by the configuration, beside it, or the baseline.

    Raises: UsageError, ConfigError.
    """
    if options.run_config:
        path, shown = host.file_named(directory, options.run_config), options.run_config
        return path, parse(host.read_file(path, RUN_FILE, "Name an existing file with --run-config."), shown)
    named = _named_run_config(node)
    if named:
        path = host.file_named(config.parent, named)
        fix = "Correct library_client_config_path, or name the file with --run-config."
        return path, parse(host.read_file(path, RUN_FILE, fix), named)
    beside = config.parent / RUN_FILE
    if host.exists(beside):
        return beside, parse(host.read_file(beside, RUN_FILE, ""), RUN_FILE)
    path = data_directory("templates") / BASELINE
    return path, parse(host.read_file(path, RUN_FILE, ""), OWN_RUN_FILE)


def _named_run_config(node: Node) -> str:
    section = "ogx" if lookup(node, ("ogx",)) else "llama_stack"
    found = lookup(node, (section, "library_client_config_path"))
    return found.value if found and isinstance(found.value, str) else ""


def _settings_file(directory: Path) -> Layer:
    path = directory / SETTINGS_FILE
    if not host.exists(path):
        return Layer(SETTINGS_FILE, {})
    return checked_layer(SETTINGS_FILE, parse(host.read_file(path, SETTINGS_FILE, ""), SETTINGS_FILE), FILE)


def _settings(options: Options, env: Mapping[str, str], directory: Path, node: Node, own: Layer) -> Settings:
    embedded = checked_layer(CONFIG_FILE, embedded_settings(node), EMBEDDED)
    from_env = layer_from_env(env)
    from_options = layer_from_options(options.sets, _as_settings(options))
    above = [embedded, own, from_env, from_options]
    names = _profiles(above)
    return resolve_settings([*profile_layers(names, directory), *above, _chosen(names)])


def _profiles(layers: list[Layer]) -> tuple[str, ...]:
    asked = [layer.tree["profiles"] for layer in layers if layer.tree.get("profiles")]
    return tuple(asked[-1]) if asked else ("dev",)


def _chosen(names: tuple[str, ...]) -> Layer:
    return Layer("profiles", {"profiles": list(names)})


def _as_settings(options: Options) -> dict[str, object]:
    given = {"engine": options.engine, "runtime": options.runtime, "gpu": options.gpu}
    tree: dict[str, object] = {key: value for key, value in given.items() if value}
    if options.profiles:
        tree["profiles"] = list(options.profiles)
    images = dict(_image(item) for item in options.images)
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
    """The variables of .env; ``${NAME}`` in one means the environment's, else an earlier one of the file."""
    path = directory / ".env"
    if not host.exists(path):
        return {}
    from io import StringIO

    from dotenv import dotenv_values
    from dotenv.variables import parse_variables

    data = host.read_file(path, ".env", "")
    try:
        # Not filled in there: that would read this process' own environment.
        read = dotenv_values(stream=StringIO(data.decode()), interpolate=False)
    except UnicodeDecodeError as error:
        raise UsageError(".env is not UTF-8 text", str(path), "Save the file as UTF-8.") from error
    found: dict[str, str] = {}
    for name, value in read.items():
        if value is not None:
            found[name] = "".join(atom.resolve({**found, **env}) for atom in parse_variables(value))
    return found


def _missing_files(resolved: Resolved) -> list[Finding]:
    here = {one.mount.source for one in resolved.files if host.exists(Path(one.mount.source))}
    return missing_files(resolved.files, frozenset(here))


def _closed_files(resolved: Resolved) -> list[Finding]:
    paths = [Path(one.mount.source) for one in resolved.files]
    closed = {str(path) for path in paths if host.exists(path) and not host.readable_by_others(path)}
    return unreadable_files(resolved.files, frozenset(closed))


def _missing_variables(resolved: Resolved, secrets: Secrets, env: Mapping[str, str]) -> list[Finding]:
    """Variables without a value: of the documents, each with its place, and of the settings."""
    found = missing_variables(resolved.configuration, env)
    told = {reference.name for tree in resolved.configuration.trees for reference in references(tree)}
    own = [name for name in resolved.project.variables if name not in told and not secrets.has(name)]
    return [*found, *(unset_variable(name, Position("settings"), "env") for name in own)]


def _digest(path: Path) -> str:
    return hashlib.sha256(host.content(path)).hexdigest()[:16]
