"""What each companion is, from data files: its image, how it is started, watched and bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from lcompose.errors import ConfigError, UsageError
from lcompose.load import parse, plain
from lcompose.schema import Key, Record, check, listing, mapping, number, positive, record, text
from lcompose.settings import LIMITS
from lcompose.spec.project import (
    Derived,
    DocumentMount,
    Hardening,
    Healthcheck,
    Limits,
    Probe,
    Service,
    VolumeMount,
)
from lcompose.spec.text import EnvRef, Text
from lcompose.templates import data_directory

SCRIPTS = "/lcompose"
STOP_GRACE = 10
# Words of a file that stand for what is known later.
SCRIPT, MODEL = "{script}", "{model}"

_HEALTHCHECK: Record = {
    "test": Key(listing(text()), required=True, doc="As in Compose, in the form of a list."),
    "interval": Key(number(gt=0)),
    "timeout": Key(number(gt=0)),
    "retries": Key(positive()),
    "start_period": Key(number(gt=0)),
    "start_interval": Key(number(gt=0)),
}

COMPANION: Record = {
    "description": Key(text(min_length=1), required=True),
    "extends": Key(text(), doc="Another companion, whose words hold where this one has none."),
    "image": Key(text(min_length=1), required=True),
    "entrypoint": Key(listing(text()), doc="`{script}` is the path of the script, `{model}` the model."),
    "command": Key(listing(text()), doc="The same words stand for the same."),
    "script": Key(text(), doc="A program for `sh`, as a document of the project."),
    "model": Key(text(), doc="What is served where the configuration names no model."),
    "port": Key(positive(le=65535), required=True, doc="The port that it listens on."),
    "probe": Key(text(), doc="Path that answers without an error when it is ready."),
    "gauge": Key(text(), doc="Metric that tells how many requests it works on."),
    "environment": Key(mapping(text())),
    "passed": Key(listing(text()), doc="Variables of the person that are passed on if they are set."),
    "volumes": Key(mapping(text(pattern="^/")), doc="What a volume is for, and where it is mounted."),
    "tmpfs": Key(listing(text()), doc="Directories in memory, where the root is read-only."),
    "keep_capabilities": Key(listing(text()), doc="Capabilities that its image cannot do without."),
    "limits": Key(record(LIMITS)),
    "shm_size": Key(text()),
    "stop_grace": Key(positive(), doc="Seconds that it has to end."),
    "healthcheck": Key(record(_HEALTHCHECK), required=True),
}


@dataclass(frozen=True, slots=True)
class Companion:
    """One kind of companion: a service without a name yet, its script, and what it serves by itself."""

    service: Service
    port: int
    volumes: tuple[tuple[str, str], ...]
    script: Derived | None
    model: str


def choices() -> tuple[str, ...]:
    """The names of all companions that there are data for."""
    return tuple(sorted(path.stem for path in data_directory("profiles").glob("companions/*.yaml")))


@cache
def companion(name: str) -> Companion:
    """The companion of that name.

    Raises: UsageError when there is none; ConfigError when its file is wrong.
    """
    tree = _tree(name)
    script = _script(name, tree)
    volumes = tuple(tree.get("volumes", {}).items())
    return Companion(_service(tree, script), tree["port"], volumes, script, tree.get("model", ""))


def named(kind: Companion, name: str, environment: Mapping[str, Text] | None = None, model: str = "") -> Service:
    """The service of a companion under its name in the project, with what the configuration adds."""
    service = kind.service
    volumes = (VolumeMount(f"{name}-{purpose}", target) for purpose, target in kind.volumes)
    return replace(
        service,
        name=name,
        command=tuple(model if part == MODEL else part for part in service.command),
        environment=(*service.environment, *(environment or {}).items()),
        mounts=(*service.mounts, *volumes),
    )


def _tree(name: str) -> dict[str, Any]:
    """A companion's file, checked; where it has no word, that of the one that it extends holds."""
    path = data_directory("profiles") / "companions" / f"{name}.yaml"
    if name not in choices():
        raise UsageError(f"there is no companion {name!r}", "companions", f"Known here: {', '.join(choices())}.")
    node = parse(path.read_bytes(), f"profiles/companions/{name}.yaml")
    own = plain(node)
    extended = own.get("extends") if isinstance(own, dict) else None
    tree = {**_tree(str(extended)), **own} if extended else own
    checked = check(node, tree, record(COMPANION))
    if checked.findings:
        raise ConfigError(checked.findings)
    return dict(checked.value)


def _script(name: str, tree: Mapping[str, Any]) -> Derived | None:
    if "script" not in tree:
        return None
    # Of what another one extends there is one script, whoever uses it.
    filename = f"{tree.get('extends') or name}.sh"
    return Derived(filename, f"companions/{filename}", text=tree["script"])


def _service(tree: Mapping[str, Any], script: Derived | None) -> Service:
    """A companion's service, without a name and without its volumes."""
    mounted = DocumentMount(script.name, f"{SCRIPTS}/{script.name}") if script else None
    environment: list[tuple[str, Text]] = list(tree.get("environment", {}).items())
    environment += [(name, EnvRef(name)) for name in tree.get("passed", ())]
    return Service(
        name="",
        image=tree["image"],
        entrypoint=tuple(mounted.target if mounted and part == SCRIPT else part for part in tree.get("entrypoint", ())),
        command=tuple(tree.get("command", ())),
        environment=tuple(environment),
        mounts=(mounted,) if mounted else (),
        healthcheck=_healthcheck(tree["healthcheck"]),
        probe=Probe(tree["port"], tree["probe"]) if "probe" in tree else None,
        limits=Limits(**tree.get("limits", {})),
        hardening=Hardening(
            tmpfs=tuple(tree.get("tmpfs", ())), keep_capabilities=tuple(tree.get("keep_capabilities", ()))
        ),
        shm_size=tree.get("shm_size", ""),
        stop_grace=tree.get("stop_grace", STOP_GRACE),
        gauge=tree.get("gauge", ""),
    )


def _healthcheck(tree: Mapping[str, Any]) -> Healthcheck:
    times = {name: value for name, value in tree.items() if name != "test"}
    return Healthcheck(tuple(tree["test"]), **times)
