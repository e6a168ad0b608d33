"""The inference service that a person asks for: which server it is, which model it serves, and who asks it.

What each server is stands in data files (``companion_files``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from lcompose import vendors
from lcompose.errors import Finding, Position, UsageError
from lcompose.lightspeed import companions, model_memory
from lcompose.lightspeed.companion_files import (
    NO_TOOLS,
    Companion,
    ProviderFacts,
    Serving,
    companion,
    named,
    servers,
    template_of,
)
from lcompose.lightspeed.companions import NAME_OF_MODEL, VLLM, Asked, Companions, Origin, Provider
from lcompose.lightspeed.derive import OWN_RUN_FILE, Edit
from lcompose.lightspeed.images import INFERENCE
from lcompose.load import Path, value_at
from lcompose.schema import suggestion
from lcompose.settings import Settings
from lcompose.spec.machine import GIB, Machine
from lcompose.spec.project import AcceleratorRequest, Dependency, Limits, Port, Service
from lcompose.spec.text import Address
from lcompose.vendors import CPU, Vendor

REASON = "the inference service of this project"
USUAL_LEVEL = "info"
PROVIDERS: Path = ("providers", "inference")
# A part of a GPU: several of them are no machine that one model could be spread over.
PART = re.compile(r"MIG-.*|\d+:\d+")


@dataclass(frozen=True, slots=True)
class Inference:
    """The service, as a companion among others, and the providers that it has in place of any other one."""

    beside: Companions = Companions()
    served: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: the server, what it is on this vendor's GPUs, and which of them it gets."""

    server: str
    kind: Companion
    facts: ProviderFacts
    vendor: Vendor
    ids: tuple[str, ...]

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU does it."""
        return self.vendor.gpu != CPU


def inference(asked: Asked, settings: Settings, machine: Machine | None = None) -> Inference:
    """The inference service of the settings; nothing where none is asked for.

    ``machine`` is where it will run, if that is known.

    Raises: UsageError for a server or a GPU that there is not, and where Llama Stack is not ours to tell of it.
    """
    vendor = _vendor(settings)
    server = _server(asked, settings, vendor)
    if not server:
        return Inference(Companions(findings=_without_server(settings, vendor)))
    if asked.run is None:
        what = "an inference service is wired into Llama Stack, and this one is remote"
        raise UsageError(what, "gpu", "Leave the GPU out, or let url say http://localhost:8321.")
    kind = companion(server, vendor.gpu)
    assert kind.provider
    wish = Wish(server, kind, kind.provider, vendor, settings.gpu_ids)
    providers = _providers(asked, wish, settings.companions)
    models = _models(asked, wish, settings, providers)
    gpus = _gpus(wish, machine)
    told = Serving(models, gpus, settings.tool_call_parser, settings.inference_args)
    edits = _edits(asked, wish, providers)
    findings = [
        *_about_models(asked, wish, settings, providers, models),
        *_about_tools(wish, told),
        *_about_memory(wish, models, machine),
        *_about_gpus(wish, gpus, machine),
        *_about_architecture(wish, machine),
        *_about_log_level(wish, settings.services[INFERENCE].log_level),
    ]
    beside = Companions(
        services=(_service(wish, told, machine, settings.services[INFERENCE].log_level),),
        needs={asked.run.reader: (Dependency(INFERENCE, "healthy"),)},
        run_edits=tuple(edits),
        documents=(kind.script,) if kind.script else (),
        findings=tuple(findings),
        kinds={INFERENCE: INFERENCE},
        origins={INFERENCE: Origin(server, tuple(asked.named(asked.run, one.path) for one in providers))},
        models=tuple((model, kind.weights) for model in models),
    )
    return Inference(beside, frozenset(one.path for one in providers))


# --- which server ---


def _vendor(settings: Settings) -> Vendor:
    known = vendors.choices()
    if settings.gpu not in known:
        raise UsageError(f"no GPU is called {settings.gpu[:40]!r}", "gpu", f"Use one of: {', '.join(known)}.")
    return vendors.vendor(settings.gpu)


def _server(asked: Asked, settings: Settings, vendor: Vendor) -> str:
    said = settings.inference
    if said == "auto":
        return _by_itself(asked, settings.companions) if vendor.gpu != CPU else ""
    if said == "none":
        return ""
    known = servers()
    if said not in known:
        what = f"no inference server is called {said[:40]!r}"
        raise UsageError(what, "inference", suggestion(said, ["auto", "none", *known]))
    return said


def _by_itself(asked: Asked, external: Mapping[str, str]) -> str:
    """vLLM, unless all providers that ask this machine are of one other kind."""
    ours = (kind for kind in companions.LOCAL_SERVERS if external.get(kind) != "external")
    kinds = [kind for kind in ours if companions.providers(asked, kind)]
    return kinds[0] if len(kinds) == 1 else VLLM


def _without_server(settings: Settings, vendor: Vendor) -> tuple[Finding, ...]:
    if vendor.gpu == CPU:
        return ()
    what = f"a GPU is asked for (gpu: {vendor.gpu}), and there is no inference service that would use it"
    return (_warning("inference", what, f"Set inference to one of: {', '.join(servers())}; or leave the GPU out."),)


# --- the providers that ask it ---


def _providers(asked: Asked, wish: Wish, external: Mapping[str, str]) -> list[Provider]:
    """Providers of its type that ask this machine, else the first one that does not say whom it asks."""
    kind = companions.kind_of(wish.facts.type)
    local = companions.providers(asked, kind) if external.get(kind) != "external" else []
    if not local:
        return _undecided(asked, wish)
    if wish.kind.many_models:
        return local
    # Each port is a server of its own.
    port = local[0].url.port or wish.kind.port
    return [one for one in local if (one.url.port or wish.kind.port) == port]


def _undecided(asked: Asked, wish: Wish) -> list[Provider]:
    assert asked.run is not None
    for index, provider in enumerate(value_at(asked.run.values, PROVIDERS) or []):
        # One that Llama Stack drops is None here.
        if not isinstance(provider, dict) or provider.get("provider_type") != wish.facts.type:
            continue
        path: Path = (*PROVIDERS, index)
        key = (*path, "config", "base_url")
        if _asks_nobody(asked, key):
            kind = companions.kind_of(wish.facts.type)
            return [Provider(kind, str(provider.get("provider_id") or ""), path, key, urlsplit(""))]
    return []


def _asks_nobody(asked: Asked, key: Path) -> bool:
    """Whether it is not known whom a provider asks, or whether that is this service already."""
    assert asked.run is not None
    if key in asked.run.unknown:
        return True
    try:
        return urlsplit(str(value_at(asked.run.values, key) or "")).hostname in (None, "", INFERENCE)
    except ValueError:
        return True


def _edits(asked: Asked, wish: Wish, providers: Sequence[Provider]) -> list[Edit]:
    """What makes Llama Stack ask the service: the providers that there are, or one more."""
    assert asked.run is not None
    address = Address(INFERENCE, wish.kind.port, wish.facts.path)
    edits = [Edit(one.key, address, REASON) for one in providers]
    # Only the first is needed under a name; others without one are left out as before.
    if providers and not providers[0].id and "provider_id" in (value_at(asked.run.values, providers[0].path) or {}):
        path = (*providers[0].path, "provider_id")
        edits.append(Edit(path, _free_id(asked, wish.facts.id), "without a name it would be left out"))
    if edits:
        return edits
    added = {
        "provider_id": _free_id(asked, wish.facts.id),
        "provider_type": wish.facts.type,
        "config": {"base_url": address, **wish.facts.config},
    }
    there = value_at(asked.run.values, PROVIDERS)
    if there and asked.config.run.where.file == OWN_RUN_FILE:
        # Whoever has a server of their own, and never named another one, needs no account there.
        return [Edit((*PROVIDERS, 0), added, REASON)]
    # Only the one that is added: what was lifted out of the others stays out.
    return [Edit((*PROVIDERS, len(there)), added, REASON) if there else Edit(PROVIDERS, [added], REASON)]


def _free_id(asked: Asked, wanted: str) -> str:
    assert asked.run is not None
    taken = {one.get("provider_id") for one in value_at(asked.run.values, PROVIDERS) or [] if isinstance(one, dict)}
    return next(name for name in (wanted, INFERENCE, f"{wanted}-{INFERENCE}") if name not in taken)


# --- the model ---


def _models(asked: Asked, wish: Wish, settings: Settings, providers: Sequence[Provider]) -> tuple[str, ...]:
    """The models that are served: the one that is asked for, those of the configuration, or the server's own."""
    configured = _named(asked, wish, providers)
    found = dict.fromkeys([settings.model, *configured] if settings.model else configured or [wish.kind.model])
    for model in found:
        if not NAME_OF_MODEL.fullmatch(model.lstrip("/")):
            what = f"{model[:80]!r} is no model's name"
            raise UsageError(what, "model", "Write it as its hub does, such as org/name.")
    return tuple(found) if wish.kind.many_models else tuple(found)[:1]


def _named(asked: Asked, wish: Wish, providers: Sequence[Provider]) -> list[str]:
    """What the configuration calls its models for these providers, or for the one that is to be added."""
    kind = companions.kind_of(wish.facts.type)
    wanted = providers or [Provider(kind, wish.facts.id, (), (), urlsplit(""))]
    return list(dict.fromkeys(model for one in wanted for model in companions.models_of(asked, one)))


def _about_models(
    asked: Asked, wish: Wish, settings: Settings, providers: Sequence[Provider], models: Sequence[str]
) -> list[Finding]:
    named_there = _named(asked, wish, providers)
    left = [model for model in named_there if model not in models]
    if not left:
        return []
    what = f"the inference service serves {models[0]} alone, and the configuration names {', '.join(left)} too"
    fix = "Name one model only: with --model, or in the configuration."
    if settings.model and settings.model not in named_there:
        what = f"the inference service serves {models[0]}, and the configuration names {', '.join(left)}"
        fix = "Leave --model out, or name the same model in the configuration."
    return [_warning("model", what, fix)]


# --- the service ---


def _service(wish: Wish, told: Serving, machine: Machine | None, log_level: str) -> Service:
    kind = wish.kind
    levels = {name: values[log_level] for name, values in kind.log_levels.items() if log_level in values}
    made = named(kind, INFERENCE, {**dict(wish.vendor.environment), **_pinned(wish, machine), **levels}, told)
    return replace(
        made,
        ports=(Port("127.0.0.1", kind.port, kind.port),),
        limits=_limits(wish, made.limits, told.models),
        accelerator=_request(wish, machine) if wish.on_gpu else None,
        shm_size=wish.vendor.shm_size if kind.on_several else made.shm_size,
    )


def _pinned(wish: Wish, machine: Machine | None) -> dict[str, str]:
    """The variable that holds an image to the GPUs that are chosen; some images ask for all that there are."""
    if not wish.vendor.visible or not wish.ids:
        return {}
    there = machine.of(wish.vendor.gpu) if machine else ()
    # An address on the bus is no name to the vendor's runtime.
    by_address = {gpu.pci: gpu.uuid or str(gpu.index or 0) for gpu in there}
    return {wish.vendor.visible: ",".join(by_address.get(one, one) for one in wish.ids)}


def _limits(wish: Wish, usual: Limits, models: Sequence[str]) -> Limits:
    """The usual ones, with as much memory as the model needs on the processor."""
    if wish.on_gpu or not usual.memory:
        return usual
    needed = [model_memory.estimate(model, wish.kind.weights) or 0 for model in models]
    least = int(usual.memory.removesuffix("g"))
    return replace(usual, memory=f"{max(least, *(-(-size // GIB) for size in needed))}g")


def _request(wish: Wish, machine: Machine | None) -> AcceleratorRequest:
    gpus = model_memory.chosen(machine, wish.vendor.gpu, wish.ids) if machine and _is_choice(wish, machine) else ()
    nodes = dict.fromkeys(node for gpu in gpus for node in gpu.nodes)
    return AcceleratorRequest(wish.vendor.gpu, ids=wish.ids, nodes=tuple(nodes))


def _is_choice(wish: Wish, machine: Machine) -> bool:
    """Whether some GPUs are meant, and not all: all nodes of a machine may be another vendor's too."""
    mixed = not wish.vendor.driver and any(gpu.vendor != wish.vendor.gpu and gpu.nodes for gpu in machine.gpus)
    return bool(wish.ids) or mixed


def _gpus(wish: Wish, machine: Machine | None) -> int:
    """On how many GPUs the model is spread; attention has as many heads as a power of two, nearly always."""
    there = _available(wish, machine)
    return 1 << (there.bit_length() - 1) if there else 0


def _available(wish: Wish, machine: Machine | None) -> int:
    there = model_memory.chosen(machine, wish.vendor.gpu, ()) if machine else ()
    if not wish.on_gpu or any(PART.fullmatch(one) for one in wish.ids):
        return 0
    if wish.ids:
        return len(wish.ids)
    return 0 if any(gpu.partitions for gpu in there) else len(there)


# --- what to say of it ---


def _about_gpus(wish: Wish, gpus: int, machine: Machine | None) -> list[Finding]:
    there = _available(wish, machine)
    if not wish.kind.on_several or gpus == there:
        return []
    what = f"of {there} GPUs the model is spread over {gpus}: most can be cut in 2, 4 or 8 parts only"
    return [_warning("gpu_ids", what, f"Choose {gpus} with --gpu-ids, and others can use the rest.")]


def _about_architecture(wish: Wish, machine: Machine | None) -> list[Finding]:
    known = wish.kind.architectures.get(wish.vendor.gpu)
    gpus = model_memory.chosen(machine, wish.vendor.gpu, wish.ids) if machine and known else ()
    strange = next((gpu for gpu in gpus if gpu.arch and not re.fullmatch(known or "", gpu.arch)), None)
    if strange is None:
        return []
    what = f"the image of {wish.server} has no code for {strange.name or wish.vendor.title} ({strange.arch})"
    return [_warning("inference", what, "Take a server that has, such as --inference ollama, or other GPUs.")]


def _about_log_level(wish: Wish, level: str) -> list[Finding]:
    if level == USUAL_LEVEL or any(level in values for values in wish.kind.log_levels.values()):
        return []
    known = sorted({one for values in wish.kind.log_levels.values() for one in values})
    fix = f"Use one of: {', '.join([USUAL_LEVEL, *known])}; or set a variable of its own in services.inference.env."
    return [_warning("services.inference.log_level", f"{wish.server} has no level of logs called {level}", fix)]


def _about_tools(wish: Wish, told: Serving) -> list[Finding]:
    """What stands in the way of tools, without which Llama Stack's agents are of little use."""
    tools = wish.kind.tools
    if not tools or told.parser == NO_TOOLS or told.parser:
        return []
    model = told.models[0]
    if not tools.family(model):
        what = f"nobody here knows how {model} calls tools; {tools.otherwise} is tried"
        fix = "If it does not call any, set tool_call_parser to the one that its page names, or to 'none'."
        return [_warning("model", what, fix)]
    template = template_of(wish.kind, told)
    if template and not tools.templates:
        what = f"{model} calls tools with {template} only, which is not in this image"
        fix = f"Mount the file, and say so: --set inference_args=--chat-template,/PATH/{template}."
        return [_warning("model", what, fix)]
    return []


def _about_memory(wish: Wish, models: Sequence[str], machine: Machine | None) -> list[Finding]:
    if machine is None:
        return []
    found = (model_memory.warning(one, wish.kind.weights, machine, wish.vendor.gpu, wish.ids) for one in models)
    return [one for one in found if one]


def _warning(path: str, what: str, fix: str) -> Finding:
    return Finding(Position("settings"), path, what, fix, "warning")
