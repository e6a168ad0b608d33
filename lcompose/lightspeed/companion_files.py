"""What each companion is, from data files: its image, how it is started, watched and bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from lcompose import vendors
from lcompose.errors import ConfigError, Position, UsageError
from lcompose.load import Node, Path, locate, lookup, parse, plain
from lcompose.schema import Key, Record, check, choice, flag, listing, mapping, number, positive, record, text
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
from lcompose.vendors import CPU

SCRIPTS = "/lcompose"
STOP_GRACE = 10
# Said of a parser: the model calls no tools.
NO_TOOLS = "none"
# Words of a file that stand for what is known later.
SCRIPT, MODEL, MODELS, GPUS, PARSER = "{script}", "{model}", "{models}", "{gpus}", "{parser}"

_HEALTHCHECK: Record = {
    "test": Key(listing(text()), required=True, doc="As in Compose, in the form of a list."),
    "interval": Key(number(gt=0)),
    "timeout": Key(number(gt=0)),
    "retries": Key(positive()),
    "start_period": Key(number(gt=0)),
    "start_interval": Key(number(gt=0)),
}

_PROVIDER: Record = {
    "id": Key(text(min_length=1), required=True, doc="Its name in run.yaml, where it is added."),
    "type": Key(text(min_length=1), required=True),
    "path": Key(text(pattern="^/"), doc="Where below its address it speaks as OpenAI does."),
    "config": Key(mapping(text()), doc="What it is configured with beside its address."),
}

_FAMILY: Record = {
    "models": Key(text(min_length=1), required=True, doc="Expression that is in the names of these models."),
    "parser": Key(text(min_length=1), required=True),
    "template": Key(text(min_length=1), doc="File with a template, where the model's own leaves tools out."),
}

_TOOLS: Record = {
    "words": Key(listing(text()), required=True, doc="`{parser}` is what reads how a model calls tools."),
    "otherwise": Key(text(min_length=1), required=True, doc="The parser for a model of no known family."),
    "families": Key(listing(record(_FAMILY))),
}

_LOCAL: Record = {
    "entrypoint": Key(listing(text(min_length=1)), doc="The program, and words that stand first."),
    "instead": Key(text(), doc="The companion that is the same as a program, where this one is an image only."),
    "command": Key(listing(text()), doc="More words after those of its container."),
    "files": Key(listing(text(pattern="^/")), doc="Files of the container that it has to itself."),
}

COMPANION: Record = {
    "description": Key(text(min_length=1), required=True),
    "extends": Key(text(), doc="Another companion, whose words hold where this one has none."),
    "image": Key(text(min_length=1), doc="Its image, if that is the same everywhere."),
    "images": Key(mapping(text(min_length=1)), doc="Its images: by vendor of the GPU, `none` for the processor."),
    "entrypoint": Key(listing(text()), doc="`{script}` is the path of the script, `{model}` the model."),
    "command": Key(listing(text()), doc="The same words stand for the same."),
    "command_for_file": Key(listing(text()), doc="Instead, for a model that is a file in the container."),
    "on_gpu": Key(listing(text()), doc="More words, where a GPU does it."),
    "on_several": Key(listing(text()), doc="More words, where several GPUs do it; `{gpus}` is how many."),
    "tools": Key(record(_TOOLS), doc="How it is told in which way its model calls tools."),
    "templates": Key(mapping(text(pattern="^/")), doc="Folder of the families' templates, in the image of a vendor."),
    "script": Key(text(), doc="A program for `sh`, as a document of the project."),
    "model": Key(text(), doc="What is served where the configuration names no model."),
    "model_on_gpu": Key(text(), doc="The same where a GPU does it."),
    "many_models": Key(flag(), doc="Whether it serves more than one model; `{models}` are all of them."),
    "weights": Key(choice("bf16", "q4"), doc="How a model's weights are kept, if its name does not say."),
    "provider": Key(record(_PROVIDER), doc="The provider of Llama Stack that asks it, if it serves models."),
    "user": Key(positive(), doc="Number of the user that its image runs as, and that must own its volumes."),
    "port": Key(positive(le=65535), required=True, doc="The port that it listens on."),
    "probe": Key(text(), doc="Path that answers without an error when it is ready."),
    "gauge": Key(text(), doc="Metric that tells how many requests it works on."),
    "environment": Key(mapping(text())),
    "environments": Key(mapping(mapping(text())), doc="More variables, by vendor; `none` for the processor."),
    "passed": Key(listing(text()), doc="Variables of the person that are passed on if they are set."),
    "volumes": Key(mapping(text(pattern="^/")), doc="What a volume is for, and where it is mounted."),
    "tmpfs": Key(listing(text()), doc="Directories in memory, where the root is read-only."),
    "keep_capabilities": Key(listing(text()), doc="Capabilities that its image cannot do without."),
    "log_levels": Key(mapping(mapping(text())), doc="Its variables, and their values by level of logs."),
    "architectures": Key(mapping(text()), doc="Expressions for those that its images have code for, by vendor."),
    "limits": Key(record(LIMITS)),
    "shm_size": Key(text()),
    "stop_grace": Key(positive(), doc="Seconds that it has to end."),
    "healthcheck": Key(record(_HEALTHCHECK), required=True),
    "local": Key(record(_LOCAL), doc="How it is started as a process, if it can be."),
}


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """The provider of Llama Stack that asks a server: its usual name, its type, and what it is configured with."""

    id: str
    type: str
    path: str = ""
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """Models that call tools alike: an expression for their names, the parser, a template if it takes one."""

    models: str
    parser: str
    template: str = ""


@dataclass(frozen=True, slots=True)
class Tools:
    """How a server is told in which way its model calls tools; ``templates`` is a folder of its image."""

    words: tuple[str, ...]
    otherwise: str
    templates: str = ""
    families: tuple[Family, ...] = ()

    def family(self, model: str) -> Family | None:
        """The family that a model is of, by its name."""
        name = model.lower().rpartition("/")[2]
        return next((one for one in self.families if re.search(one.models, name)), None)


@dataclass(frozen=True, slots=True)
class Local:
    """A companion as a process: the program, more words for it, and files that its container has to itself."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Companion:
    """One kind of companion: a service without a name yet, its script, and what it serves by itself.

    With a ``provider`` it is an inference server.
    """

    service: Service
    port: int
    volumes: tuple[tuple[str, str], ...]
    script: Derived | None
    model: str
    for_file: tuple[str, ...] = ()
    on_several: tuple[str, ...] = ()
    tools: Tools | None = None
    many_models: bool = False
    weights: str = ""
    provider: ProviderFacts | None = None
    local: Local | None = None
    instead: str = ""
    log_levels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    architectures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Serving:
    """What an inference server is told: its models, the first of which is the one where it has only one.

    ``gpus`` is the number of GPUs, 0 if it is not known; ``parser`` reads how the model calls tools,
    if not what its name tells; ``arguments`` are more words of the person's.
    """

    models: tuple[str, ...] = ()
    gpus: int = 0
    parser: str = ""
    arguments: tuple[str, ...] = ()


def choices() -> tuple[str, ...]:
    """The names of all companions that there are data for."""
    return tuple(sorted(path.stem for path in data_directory("profiles").glob("companions/*.yaml")))


@cache
def servers() -> tuple[str, ...]:
    """The names of those that serve models."""
    return tuple(name for name in choices() if "provider" in _tree(name))


def vendors_of(name: str) -> tuple[str, ...]:
    """The vendors that a companion has an image for; none where one image is for all."""
    return tuple(_tree(name).get("images", ()))


@cache
def companion(name: str, vendor: str = CPU) -> Companion:
    """The companion of that name, where a vendor's GPU does it, or the processor.

    Raises: UsageError when there is none, or no image of it for this vendor; ConfigError when its file is wrong.
    """
    tree = _tree(name)
    image = tree.get("images", {}).get(vendor, tree.get("image"))
    if image is None:
        title = vendors.vendor(vendor).title
        raise UsageError(f"{name} has no image for {title}", "gpu", _with_image(name, vendor))
    script = _script(name, tree)
    on_gpu = vendor != CPU
    model = tree.get("model_on_gpu" if on_gpu else "model") or tree.get("model", "")
    return Companion(
        service=_service({**tree, "image": image}, script, vendor),
        port=tree["port"],
        volumes=tuple(tree.get("volumes", {}).items()),
        script=script,
        model=model,
        for_file=_on(tree, "command_for_file", vendor),
        on_several=tuple(tree.get("on_several", ())) if on_gpu else (),
        tools=_tools(tree, vendor) if "tools" in tree else None,
        many_models=tree.get("many_models", False),
        weights=tree.get("weights", ""),
        provider=ProviderFacts(**tree["provider"]) if "provider" in tree else None,
        local=_local(tree["local"], script) if "entrypoint" in tree.get("local", {}) else None,
        instead=tree.get("local", {}).get("instead", ""),
        log_levels=tree.get("log_levels", {}),
        architectures=tree.get("architectures", {}),
    )


def _local(tree: Mapping[str, Any], script: Derived | None) -> Local:
    path = f"{SCRIPTS}/{script.name}" if script else ""
    entrypoint = tuple(path if part == SCRIPT else part for part in tree["entrypoint"])
    return Local(entrypoint, tuple(tree.get("command", ())), tuple(tree.get("files", ())))


def _with_image(name: str, vendor: str) -> str:
    """What to do where a server has no image for a vendor."""
    others = [other for other in servers() if other != name and vendor in vendors_of(other)]
    instead = f" Or take another server: --inference {' or '.join(others)}." if others else ""
    return f"It has one for --gpu {' and '.join(vendors_of(name))}.{instead}"


def named(
    kind: Companion,
    name: str,
    environment: Mapping[str, Text] | None = None,
    serving: Serving | None = None,
) -> Service:
    """The service of a companion under its name in the project, with what the configuration adds."""
    told = serving or Serving()
    service = kind.service
    volumes = (VolumeMount(f"{name}-{purpose}", target) for purpose, target in kind.volumes)
    words = {
        MODEL: told.models[:1],
        MODELS: (" ".join(told.models),),
        GPUS: (str(told.gpus),),
        PARSER: (parser_of(kind, told),),
    }
    own = [(key, words[value][0] if value in words else value) for key, value in service.environment]
    return replace(
        service,
        name=name,
        command=(*_filled(_command(kind, told), words), *told.arguments),
        environment=(*own, *(environment or {}).items()),
        mounts=(*service.mounts, *volumes),
    )


def parser_of(kind: Companion, told: Serving) -> str:
    """What reads how the model calls tools: the person's word, or what its name tells."""
    if told.parser or not kind.tools:
        return told.parser
    family = kind.tools.family(told.models[0]) if told.models else None
    return family.parser if family else kind.tools.otherwise


def template_of(kind: Companion, told: Serving) -> str:
    """The name of the template that the model needs so that it calls tools; empty for its own."""
    family = kind.tools.family(told.models[0]) if kind.tools and told.models and not told.parser else None
    return family.template if family else ""


def _command(kind: Companion, told: Serving) -> tuple[str, ...]:
    """Its words, before what stands for something else is filled in."""
    is_file = bool(kind.for_file and told.models and told.models[0].startswith("/"))
    several = kind.on_several if told.gpus > 1 else ()
    return (*(kind.for_file if is_file else kind.service.command), *several, *_tool_words(kind, told))


def _tool_words(kind: Companion, told: Serving) -> tuple[str, ...]:
    if not kind.tools or told.parser == NO_TOOLS:
        return ()
    template = template_of(kind, told)
    chosen = ("--chat-template", f"{kind.tools.templates}/{template}") if template and kind.tools.templates else ()
    return (*kind.tools.words, *chosen)


def _filled(words: Iterable[str], values: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(part for word in words for part in values.get(word, (word,)))


@cache
def place(name: str, path: Path) -> Position | None:
    """Where a companion's file, or the one that it extends, says something; None where neither does."""
    node = _node(name)
    extended = lookup(node, ("extends",))
    # Of one that has an image for each vendor, the one that stands first.
    for there in (path, ("images",)) if path == ("image",) else (path,):
        if lookup(node, there):
            return locate(node, there)
    return place(str(extended.value), path) if extended else None


def _node(name: str) -> Node:
    path = data_directory("profiles") / "companions" / f"{name}.yaml"
    if name not in choices():
        raise UsageError(f"there is no companion {name!r}", "companions", f"Known here: {', '.join(choices())}.")
    return parse(path.read_bytes(), f"profiles/companions/{name}.yaml")


def _tree(name: str) -> dict[str, Any]:
    """A companion's file, checked; where it has no word, that of the one that it extends holds."""
    node = _node(name)
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


def _service(tree: Mapping[str, Any], script: Derived | None, vendor: str) -> Service:
    """A companion's service, without a name and without its volumes."""
    mounted = DocumentMount(script.name, f"{SCRIPTS}/{script.name}") if script else None
    environment: list[tuple[str, Text]] = list(tree.get("environment", {}).items())
    environment += tree.get("environments", {}).get(vendor, {}).items()
    environment += [(name, EnvRef(name)) for name in tree.get("passed", ())]
    return Service(
        name="",
        image=tree["image"],
        entrypoint=tuple(mounted.target if mounted and part == SCRIPT else part for part in tree.get("entrypoint", ())),
        command=_on(tree, "command", vendor),
        environment=tuple(environment),
        mounts=(mounted,) if mounted else (),
        healthcheck=_healthcheck(tree["healthcheck"]),
        probe=Probe(tree["port"], tree["probe"]) if "probe" in tree else None,
        # A model on a GPU passes through memory on its way, and what that takes nobody knows.
        limits=Limits(**tree.get("limits", {})) if vendor == CPU else Limits(),
        hardening=Hardening(
            tmpfs=tuple(tree.get("tmpfs", ())), keep_capabilities=tuple(tree.get("keep_capabilities", ()))
        ),
        shm_size=tree.get("shm_size", ""),
        stop_grace=tree.get("stop_grace", STOP_GRACE),
        gauge=tree.get("gauge", ""),
        user=tree.get("user", 0),
        port=tree["port"],
    )


def _on(tree: Mapping[str, Any], key: str, vendor: str) -> tuple[str, ...]:
    """The words of a command, with those that a GPU makes necessary."""
    words = tuple(tree.get(key, ()))
    return (*words, *tree.get("on_gpu", ())) if words and vendor != CPU else words


def _tools(tree: Mapping[str, Any], vendor: str) -> Tools:
    tools = tree["tools"]
    return Tools(
        tuple(tools["words"]),
        tools["otherwise"],
        tree.get("templates", {}).get(vendor, ""),
        tuple(Family(**one) for one in tools.get("families", ())),
    )


def _healthcheck(tree: Mapping[str, Any]) -> Healthcheck:
    times = {name: value for name, value in tree.items() if name != "test"}
    return Healthcheck(tuple(tree["test"]), **times)
