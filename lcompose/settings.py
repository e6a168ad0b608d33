"""lcompose's own settings: one table of them, their layers, and the typed result.

The table is what validates a settings file, what the README's table is made of, and what names
the variables ``LCOMPOSE_…``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lcompose.errors import ConfigError, Finding, Position, UsageError
from lcompose.load import Node, plain
from lcompose.merge import Layer, merge
from lcompose.overlay.tags import with_paths, without_reset
from lcompose.overlay.words import COMPOSE, broken
from lcompose.schema import (
    Checked,
    Key,
    Record,
    amount,
    check,
    choice,
    flag,
    listing,
    mapping,
    optional,
    positive,
    record,
    suggestion,
    text,
)
from lcompose.spec.project import Limits, LogRotation, Port
from lcompose.spec.target import EngineName

VERSION = 1
ENV_PREFIX = "LCOMPOSE_"
SERVER_SECTION = "services.llama-stack"

# Everything that a variable of a container can be called.
VARIABLE = text(pattern=r"^[^=\s]+$")

LIMITS: Record = {
    "cpus": Key(amount(r"^\d+(\.\d+)?$"), doc='CPUs that it may use, such as `"1.5"`.'),
    "memory": Key(amount(r"^\d+[bkmg]?$"), doc="Memory that it may use, such as `2g`."),
    "pids": Key(positive(), doc="Processes and threads that it may have."),
}

LOGGING: Record = {
    "max_size": Key(text(pattern=r"^\d+[kmg]$"), doc="Size at which its log is rotated, such as `10m`."),
    "max_file": Key(positive(), doc="Log files that are kept."),
}

LOCAL: Record = {
    "command": Key(text(min_length=1), doc="Program that starts it as a process, and words that stand first."),
    "args": Key(listing(text()), doc="Its arguments; `{config}` is the file that it reads."),
    "env": Key(mapping(optional(text()), VARIABLE), doc="More variables for it."),
    "workingDir": Key(text(min_length=1), doc="Directory that it is started in; of LCORE, a checkout of its sources."),
    "socket": Key(
        text(), doc="Path of a file that it listens at instead of a port, where its program is told `{socket}`."
    ),
    "limits": Key(record(LIMITS)),
}

SERVICE: Record = {
    "image": Key(text(min_length=1), doc="Image, with tag or digest."),
    "imagePullPolicy": Key(
        choice("always", "missing", "never", "Always", "IfNotPresent", "Never"),
        doc="When the image is pulled.",
    ),
    "publish": Key(flag(), doc="Whether its own port is opened on this machine, on 127.0.0.1."),
    "ports": Key(
        listing(text()),
        doc="Ports to open instead, `[ADDRESS:]HOST:CONTAINER`; without an address on 127.0.0.1.",
    ),
    "volumes": Key(listing(text()), doc="More mounts, `SOURCE:TARGET[:ro]`; a source without `/` is a volume."),
    "env": Key(
        mapping(optional(text()), VARIABLE),
        doc="More variables; `${NAME}` as in Compose, and no value at all passes yours on.",
    ),
    "limits": Key(record(LIMITS)),
    "restart": Key(text(pattern=r"^(no|always|unless-stopped|on-failure(:[0-9]+)?)$"), doc="Restart policy."),
    "read_only": Key(flag(), doc="Whether its root file system is read-only."),
    "tmpfs": Key(listing(text()), doc="Directories in memory."),
    "no_new_privileges": Key(flag(), doc="Whether gaining privileges is forbidden."),
    "drop_capabilities": Key(flag(), doc="Whether all capabilities are dropped that the image can do without."),
    "logging": Key(record(LOGGING)),
    "log_level": Key(choice("debug", "info", "warning", "error"), doc="How much it logs."),
    "runtime": Key(choice("container", "local"), doc="Run it as a container or as a local process."),
    "local": Key(record(LOCAL)),
}

CONTAINER: Record = {
    "runtime": Key(choice("docker", "podman"), doc="Engine to use; the same as `engine`."),
    **{
        name: Key(SERVICE[name].kind, doc=SERVICE[name].doc)
        for name in ("image", "imagePullPolicy", "ports", "volumes", "env")
    },
    "limits": Key(record(LIMITS)),
}

COMPANIONS = ("postgres", "ollama", "vllm", "okp")
SERVICES: Record = {
    name: Key(record(SERVICE)) for name in ("lightspeed-stack", "llama-stack", "inference", *COMPANIONS)
}

RUNTIMES: Record = {
    "allowed": Key(
        listing(choice("container", "local")), doc="Runtimes that may be used; all of them if none is said."
    ),
    "disabled": Key(listing(choice("container", "local")), doc="Runtimes that are not used."),
    "default": Key(choice("container", "local"), doc="Runtime that is taken where nobody asks for one."),
    "strict": Key(flag(), doc="Whether it is an error that another runtime has to be taken than the one asked for."),
}

# What may stand at the top level of lightspeed-stack.yaml, beside LCORE's own keys.
EMBEDDED: Record = {
    "runtime": Key(choice("container", "local"), doc="Run as containers or as local processes."),
    "container": Key(record(CONTAINER)),
    "local": Key(record(LOCAL)),
}

SETTINGS: Record = {
    **EMBEDDED,
    "engine": Key(choice("auto", "docker", "podman"), doc="Container engine."),
    "profiles": Key(listing(text()), doc="Profiles to apply, in order."),
    "gpu": Key(text(), doc="GPU of the inference service: `none`, `auto`, or a vendor's such as `cuda` or `rocm`."),
    "gpu_ids": Key(
        listing(text(min_length=1)), doc="Which GPUs it gets, by number or UUID; all of them if none is said."
    ),
    "accelerator": Key(
        record({"optional": Key(flag(), doc="Whether it runs on the processor where there is no such GPU.")}),
    ),
    "inference": Key(
        text(), doc="Inference server that is started: `none`, or such as `vllm`; `auto` is one if a GPU is asked for."
    ),
    "model": Key(text(min_length=1), doc="Model that the inference service serves."),
    "tool_call_parser": Key(
        text(pattern=r"^[A-Za-z0-9][\w.-]*$"),
        doc="How that model calls tools, in its server's words, where its name does not tell; `none` if it calls none.",
    ),
    "inference_args": Key(
        listing(text(min_length=1)), doc="More arguments for the inference server, such as `--max-model-len, 8192`."
    ),
    "lightspeed_version": Key(amount(r"^\d+\.\d+"), doc="Version of LCORE, where its image's tag does not tell."),
    "ogx_version": Key(amount(r"^\d+\.\d+"), doc="Version of Llama Stack, where its image's tag does not tell."),
    "wait_timeout": Key(positive(), doc="Seconds that the stack has to become ready."),
    "pull_timeout": Key(positive(), doc="Seconds that pulling images may take."),
    "pinned_images": Key(flag(), doc="Whether to warn of images that are not pinned by digest."),
    "bytecode_cache": Key(flag(), doc="Whether Python's bytecode is kept on a volume; not for images that have it."),
    "boot": Key(choice("parallel", "ordered"), doc="`ordered` starts LCORE only when Llama Stack is healthy."),
    "proxies": Key(flag(), doc="Whether HTTP_PROXY and its like are handed to the containers."),
    "ca_bundle": Key(
        text(),
        doc="File with certificate authorities that containers trust; 'environment': the one SSL_CERT_FILE names.",
    ),
    "companions": Key(
        record(
            {name: Key(choice("auto", "external"), doc=f"Whether {name} is started if needed.") for name in COMPANIONS}
        )
    ),
    "runtimes": Key(record(RUNTIMES)),
    "secrets": Key(
        mapping(record({"file": Key(text(min_length=1), required=True, doc="File that holds the secret.")})),
        doc="Files that the services find as `/run/secrets/NAME`.",
    ),
    "services": Key(record(SERVICES), doc="Settings of one service each."),
}

FILE: Record = {"version": Key({"type": "literal", "expected": [VERSION]}), **SETTINGS, **COMPOSE}

PROFILE: Record = {
    "description": Key(text(), required=True),
    "extends": Key(text()),
    **{name: key for name, key in SETTINGS.items() if name not in ("profiles", "engine", "runtime", "local")},
    **COMPOSE,
}

DEFAULTS: dict[str, Any] = {
    "runtime": "container",
    "engine": "auto",
    "profiles": ["dev"],
    "gpu": "none",
    "gpu_ids": [],
    "accelerator": {"optional": False},
    "inference": "auto",
    "model": "",
    "tool_call_parser": "",
    "inference_args": [],
    "lightspeed_version": "",
    "ogx_version": "",
    "wait_timeout": 300,
    "pull_timeout": 1800,
    "pinned_images": False,
    "bytecode_cache": True,
    "boot": "parallel",
    "proxies": True,
    "ca_bundle": "",
    "runtimes": {"allowed": [], "disabled": [], "default": "container", "strict": False},
}


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What a person may say about a service that is a process."""

    command: str = ""
    args: tuple[str, ...] | None = None
    env: tuple[tuple[str, str | None], ...] = ()
    directory: str = ""
    socket: str = ""
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Runtimes:
    """Which runtimes may be used, and which is taken where nobody asks for one."""

    allowed: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    default: str = "container"
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What a person may say about one service."""

    image: str = ""
    pull_policy: str = "missing"
    publish: bool = True
    ports: tuple[Port, ...] = ()
    volumes: tuple[str, ...] = ()
    env: tuple[tuple[str, str | None], ...] = ()
    limits: Limits = Limits()
    restart: str = "no"
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    no_new_privileges: bool = False
    drop_capabilities: bool = False
    log_rotation: LogRotation | None = None
    log_level: str = "info"
    runtime: str = ""
    local: LocalSettings = LocalSettings()


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a run, merged and typed, and where each value came from.

    ``processes`` are the services that are run as processes of this machine, once that is decided.
    """

    runtime: str
    engine: EngineName | None
    profiles: tuple[str, ...]
    gpu: str
    gpu_ids: tuple[str, ...]
    gpu_is_optional: bool
    inference: str
    model: str
    tool_call_parser: str
    inference_args: tuple[str, ...]
    lightspeed_version: str
    ogx_version: str
    wait_timeout: int
    pull_timeout: int
    pinned_images: bool
    bytecode_cache: bool
    boot: str
    proxies: bool
    ca_bundle: str
    companions: Mapping[str, str]
    secrets: Mapping[str, str]
    services: Mapping[str, ServiceSettings]
    origin: Mapping[str, str]
    layers: tuple[Layer, ...] = ()
    compose: tuple[Mapping[str, Any], ...] = ()
    runtimes: Runtimes = Runtimes()
    processes: frozenset[str] = frozenset()


def checked_layer(name: str, node: Node, keys: Record) -> Layer:
    """A settings file as a layer.

    Raises: ConfigError with everything that is wrong in it.
    """
    kind = record(keys)
    if node.value is None:
        return Layer(name, {})
    bare = without_reset(node)
    checked = check(bare, plain(bare), kind)
    if found := (*checked.findings, *broken(node, SERVICES)):
        raise ConfigError(found)
    return Layer(name, normalised(with_paths(checked.value, node)))


def normalised(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A layer in which ``container:`` and ``local:`` are spelled as what they mean: the server's own section.

    Where a layer says both, the longer spelling wins.
    """
    rest = {key: value for key, value in tree.items() if key not in ("container", "version", "local")}
    container = dict(tree.get("container") or {})
    meant: dict[str, Any] = {}
    if "runtime" in container:
        meant["engine"] = container.pop("runtime")
    if tree.get("local"):
        container["local"] = tree["local"]
    if container:
        meant["services"] = {"llama-stack": container}
    if "compose" in rest:
        # Each layer's are merged by Compose's rules, and not by those of settings.
        rest["compose"] = [rest["compose"]]
    return merge([Layer("", meant), Layer("", rest)]).tree


def layer_from_env(env: Mapping[str, str]) -> Layer:
    """``LCOMPOSE_CONTAINER__IMAGE=…`` and its like: two underscores stand for a dot.

    Raises: ConfigError for a name that is no setting, and for values that do not fit.
    """
    pairs = [("profiles", env["LCOMPOSE_PROFILE"], "LCOMPOSE_PROFILE")] if env.get("LCOMPOSE_PROFILE") else []
    for variable, value in sorted(env.items()):
        if variable.startswith(ENV_PREFIX) and variable not in RESERVED_VARIABLES:
            path = _path_of_variable(variable)
            # As everywhere here, empty is not set; only a service's own variable may be empty.
            if value or ".env." in path:
                pairs.append((path, value, variable))
    return Layer("environment", _tree_from_texts(pairs))


def layer_from_options(sets: Sequence[str], options: Mapping[str, Any]) -> Layer:
    """``--set path=value`` and the options that are settings.

    Raises: UsageError, ConfigError.
    """
    pairs = []
    for item in sets:
        path, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--set {item!r} has no '='", "", "Write --set path=value.")
        pairs.append((path, value, "--set"))
    tree = _tree_from_texts(pairs)
    return Layer("command line", merge([Layer("", tree), Layer("", options)]).tree)


def resolve_settings(layers: Sequence[Layer]) -> Settings:
    """The settings that result from the layers, lowest first; the one rule of precedence."""
    every = (Layer("default", DEFAULTS), *layers)
    merged = merge(every)
    tree = merged.tree
    services = tree.get("services") or {}
    engine = tree["engine"]
    return Settings(
        runtime=tree["runtime"],
        engine=None if engine == "auto" else cast("EngineName", engine),
        profiles=tuple(tree["profiles"]),
        gpu=tree["gpu"],
        gpu_ids=tuple(tree["gpu_ids"]),
        gpu_is_optional=tree["accelerator"]["optional"],
        inference=tree["inference"],
        model=tree["model"],
        tool_call_parser=tree["tool_call_parser"],
        inference_args=tuple(tree["inference_args"]),
        lightspeed_version=tree["lightspeed_version"],
        ogx_version=tree["ogx_version"],
        wait_timeout=tree["wait_timeout"],
        pull_timeout=tree["pull_timeout"],
        pinned_images=tree["pinned_images"],
        bytecode_cache=tree["bytecode_cache"],
        boot=tree["boot"],
        proxies=tree["proxies"],
        ca_bundle=tree["ca_bundle"],
        companions=tree.get("companions") or {},
        secrets={name: one["file"] for name, one in (tree.get("secrets") or {}).items()},
        services={name: _service(name, services.get(name) or {}) for name in SERVICES},
        origin=merged.origin,
        layers=every,
        compose=tuple(one for layer in layers for one in layer.tree.get("compose") or ()),
        runtimes=Runtimes(
            tuple(tree["runtimes"]["allowed"]),
            tuple(tree["runtimes"]["disabled"]),
            tree["runtimes"]["default"],
            tree["runtimes"]["strict"],
        ),
    )


def is_chosen(settings: Settings) -> bool:
    """Whether somebody asked for a runtime of the whole stack."""
    return settings.origin.get("runtime", "default") != "default"


# Variables that are read elsewhere, because they are no settings of a stack.
RESERVED_VARIABLES = frozenset({"LCOMPOSE_PROJECT_NAME", "LCOMPOSE_PROFILE"})

_PULL_POLICIES = {"Always": "always", "IfNotPresent": "missing", "Never": "never"}


def _service(name: str, tree: Mapping[str, Any]) -> ServiceSettings:
    policy = tree.get("imagePullPolicy", "missing")
    logging = tree.get("logging") or {}
    return ServiceSettings(
        image=tree.get("image", ""),
        pull_policy=_PULL_POLICIES.get(policy, policy),
        publish=tree.get("publish", True),
        ports=tuple(parse_port(port, f"services.{name}.ports") for port in tree.get("ports") or ()),
        volumes=tuple(tree.get("volumes") or ()),
        env=tuple((tree.get("env") or {}).items()),
        limits=_limits(tree.get("limits") or {}),
        restart=tree.get("restart", "no"),
        read_only=tree.get("read_only", False),
        tmpfs=tuple(tree.get("tmpfs") or ()),
        no_new_privileges=tree.get("no_new_privileges", False),
        drop_capabilities=tree.get("drop_capabilities", False),
        log_rotation=LogRotation(logging["max_size"], logging.get("max_file", 3)) if logging else None,
        log_level=tree.get("log_level", "info"),
        runtime=tree.get("runtime", ""),
        local=_local(tree.get("local") or {}),
    )


def _limits(tree: Mapping[str, Any]) -> Limits:
    return Limits(tree.get("cpus", ""), tree.get("memory", ""), tree.get("pids", 0))


def _local(tree: Mapping[str, Any]) -> LocalSettings:
    return LocalSettings(
        command=tree.get("command", ""),
        args=tuple(tree["args"]) if "args" in tree else None,
        env=tuple((tree.get("env") or {}).items()),
        directory=tree.get("workingDir", ""),
        socket=tree.get("socket", ""),
        limits=_limits(tree.get("limits") or {}),
    )


_PORT = re.compile(r"(?:(?P<bind>[0-9.]+|\[[0-9a-f:.]+\]):)?(?P<host>[0-9]{1,5}):(?P<container>[0-9]{1,5})", re.I)


def parse_port(value: str, where: str) -> Port:
    """``[ADDRESS:]HOST:CONTAINER`` as a Port.

    Raises: UsageError.
    """
    match = _PORT.fullmatch(value)
    bind = (match["bind"] or "127.0.0.1").strip("[]") if match else ""
    published, target = (int(match["host"]), int(match["container"])) if match else (0, 0)
    if not (_is_address(bind) and 0 < published < 65536 and 0 < target < 65536):
        fix = "Write [ADDRESS:]HOST:CONTAINER, such as 8080:8080 or 0.0.0.0:8080:8080."
        raise UsageError(f"{value!r} is not a port to publish", where, fix)
    return Port(bind, published, target)


def _is_address(text: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def setting_paths(keys: Record = SETTINGS, prefix: str = "") -> list[tuple[str, Key]]:
    """Every setting with its dotted path, sections left out."""
    found = []
    for name, key in keys.items():
        path = f"{prefix}.{name}" if prefix else name
        if key.kind["type"] == "record":
            found.extend(setting_paths(key.kind["keys"], path))
        else:
            found.append((path, key))
    return found


def variable_of(path: str) -> str:
    """The name of the variable that sets a path."""
    return ENV_PREFIX + path.replace(".", "__").replace("-", "_").upper()


def _path_of_variable(variable: str) -> str:
    known = {variable_of(path): path for path, _ in setting_paths()}
    if variable in known:
        return known[variable]
    for base, path in known.items():
        if variable.startswith(f"{base}__") and path.endswith(".env"):
            return f"{path}.{variable[len(base) + 2 :]}"
    where, what = Position("environment"), "this variable is set, and is no setting of lcompose"
    raise ConfigError([Finding(where, variable, what, _near_variable(variable, known))])


def _near_variable(variable: str, known: Mapping[str, str]) -> str:
    # Without the prefix: it makes every variable look like every other one.
    names = [name.removeprefix(ENV_PREFIX) for name in known]
    near = suggestion(variable.removeprefix(ENV_PREFIX), names)
    return (
        near.replace("mean '", f"mean '{ENV_PREFIX}") if "mean" in near else "The README lists the variables there are."
    )


def _tree_from_texts(pairs: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Texts such as ``services.llama-stack.limits.pids`` = ``200`` as a checked tree."""
    checked = [_checked(_nested(path.split("."), _typed(path, value)), source) for path, value, source in pairs]
    findings = [finding for one in checked for finding in one.findings]
    if findings:
        raise ConfigError(findings)
    return normalised(merge([Layer("", one.value) for one in checked]).tree)


def _nested(steps: Sequence[str], value: Any) -> dict[str, Any]:
    for step in reversed(steps):
        value = {step: value}
    return cast("dict[str, Any]", value)


def _typed(path: str, value: str) -> Any:
    kind = next((key.kind["type"] for known, key in setting_paths() if known == path), "str")
    if kind == "list":
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


def _checked(tree: dict[str, Any], source: str) -> Checked:
    return check(_as_node(tree, Position(source)), tree, record(SETTINGS))


def _as_node(value: Any, where: Position) -> Node:
    if isinstance(value, dict):
        return Node({key: _as_node(child, where) for key, child in value.items()}, where)
    if isinstance(value, list):
        return Node([_as_node(child, where) for child in value], where)
    return Node(value, where)
