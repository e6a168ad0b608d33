"""The services that a configuration needs beside Lightspeed's own, and that nobody else gives it.

What a companion is stands in data files (``companion_files``); here is when one is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any
from urllib.parse import SplitResult, urlsplit

from lcompose.errors import Finding, Severity
from lcompose.lightspeed import databases
from lcompose.lightspeed.companion_files import companion, named
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.databases import POSTGRES, Block, Document, Login
from lcompose.lightspeed.derive import Edit
from lcompose.lightspeed.enrichment import OKP_URL, okp_section, okp_sources
from lcompose.lightspeed.images import LCORE, LLAMA_STACK
from lcompose.load import Path, value_at
from lcompose.spec.project import Dependency, Derived, Service
from lcompose.spec.text import Address, ComposeText, EnvRef, Text

PGVECTOR, OLLAMA, VLLM, OKP = "pgvector", "ollama", "vllm", "okp"
# What may be said to be external.
KINDS = (POSTGRES, OLLAMA, VLLM, OKP)

REASON = "'beside me' is another container"
MODELS: tuple[Path, ...] = (("registered_resources", "models"), ("models",))
NAME_OF_MODEL = re.compile(r"[A-Za-z0-9][\w./:-]*")


@dataclass(frozen=True, slots=True)
class Companions:
    """Services beside ours, complete; what waits for them, and the edits that make it find them.

    ``needs`` is by the service that waits; ``kinds`` says of each companion under which name people
    speak of its kind. An error among the findings means that the rest cannot be used.
    """

    services: tuple[Service, ...] = ()
    needs: Mapping[str, tuple[Dependency, ...]] = field(default_factory=dict)
    lightspeed_edits: tuple[Edit, ...] = ()
    run_edits: tuple[Edit, ...] = ()
    documents: tuple[Derived, ...] = ()
    findings: tuple[Finding, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of all kinds: the documents, where there is one, and names that are taken."""

    config: Configuration
    lightspeed: Document
    run: Document | None
    theirs: frozenset[str]
    gpu: bool


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of Llama Stack that is used, with the URL that it asks and the path of that."""

    kind: str
    id: str
    path: Path
    key: Path
    url: SplitResult


def needed(
    config: Configuration,
    wishes: Mapping[str, str],
    theirs: frozenset[str],
    *,
    server: bool,
    gpu: bool = False,
    lifted: Mapping[Path, str] | None = None,
    run_lifted: Mapping[Path, str] | None = None,
) -> Companions:
    """The companions that the configuration asks for, except what ``wishes`` call external.

    ``theirs`` are services that the person defines; ``server`` says whether Llama Stack is one of ours,
    ``gpu`` whether an inference service is. ``lifted`` names the variables of passwords that stand in a
    document in clear, by path.

    Raises: ConfigError when a companion's own file is wrong.
    """
    lightspeed = Document(config.lightspeed, config.values, config.unknown, lifted or {}, LCORE)
    run = None
    if server or config.says(config.section, "use_as_library_client"):
        reader = LLAMA_STACK if server else LCORE
        run = Document(config.run, config.run_values, config.run_unknown, run_lifted or {}, reader)
    asked = Asked(config, lightspeed, run, theirs, gpu)
    found = [ask(asked) for kind, ask in _ASK.items() if wishes.get(kind) != "external"]
    return reduce(_together, found, Companions())


def _together(one: Companions, other: Companions) -> Companions:
    return Companions(
        (*one.services, *other.services),
        {name: _once((*one.needs.get(name, ()), *other.needs.get(name, ()))) for name in {**one.needs, **other.needs}},
        (*one.lightspeed_edits, *other.lightspeed_edits),
        (*one.run_edits, *other.run_edits),
        _once((*one.documents, *other.documents)),
        (*one.findings, *other.findings),
        {**one.kinds, **other.kinds},
    )


def _once(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple({repr(item): item for item in items}.values())


def _started(kind: str, services: Sequence[Service], waiting: Mapping[str, Iterable[str]], **more: Any) -> Companions:
    """Companions of one kind; ``waiting`` is who waits for which of them."""
    names = [service.name for service in services]
    needs = {
        reader: tuple(Dependency(name, "healthy") for name in names if name in wanted)
        for reader, wanted in waiting.items()
    }
    return Companions(
        services=tuple(services),
        needs={reader: found for reader, found in needs.items() if found},
        kinds=dict.fromkeys(names, kind),
        **more,
    )


def _postgres(asked: Asked) -> Companions:
    every = databases.blocks(asked.config, asked.lightspeed, asked.run)
    # A host that the person defines is named as it must be already.
    found = [block for block in every if block.host is not None and block.host not in asked.theirs]
    names = databases.service_names(found, asked.theirs)
    groups: dict[str, list[Block]] = {}
    for block in found:
        if names[block] not in asked.theirs:
            groups.setdefault(names[block], []).append(block)
    findings = tuple(one for group in groups.values() for one in databases.findings(group))
    if findings:
        return Companions(findings=findings)
    services = [_database_service(name, group) for name, group in groups.items()]
    script = companion(POSTGRES).script
    waiting: dict[str, list[str]] = {}
    for block in found:
        waiting.setdefault(block.reader, []).append(names[block])
    edits = {block: tuple(databases.edits(block, names[block])) for block in found}
    return _started(
        POSTGRES,
        services,
        waiting,
        lightspeed_edits=_edits_of(edits, asked.lightspeed),
        run_edits=_edits_of(edits, asked.run),
        documents=(script,) if script and services else (),
    )


def _edits_of(edits: Mapping[Block, tuple[Edit, ...]], document: Document | None) -> tuple[Edit, ...]:
    return tuple(edit for block, some in edits.items() if block.document is document for edit in some)


def _database_service(name: str, group: Sequence[Block]) -> Service:
    """PostgreSQL with the databases of some blocks, each with its user made by the companion's script."""
    kind = companion(PGVECTOR if any(block.extension for block in group) else POSTGRES)
    logins: dict[tuple[Text, Text, Text], str] = {}
    for login in map(databases.login, group):
        key = login.database, login.user, login.password
        logins[key] = login.extension or logins.get(key, "")
    environment: dict[str, Text] = {}
    entries = []
    for number, (key, extension) in enumerate(logins.items(), 1):
        login = Login(*key, extension)
        variables = [
            _variable(environment, text, f"LCOMPOSE_{what}_{number}")
            for what, text in (("DATABASE", login.database), ("USER", login.user), ("PASSWORD", login.password))
        ]
        entries.append(":".join([*variables, extension]))
    return named(kind, name, {"LCOMPOSE_DATABASES": " ".join(entries), **environment})


def _variable(environment: dict[str, Text], text: Text, own: str) -> str:
    """Puts a text into the environment, and says under which name: a variable keeps its own."""
    if not isinstance(text, EnvRef):
        environment[own] = text
        return own
    held = environment.setdefault(text.name, text)
    if held == text:
        return text.name
    # The same variable with another default.
    operator = "" if text.required else "="
    environment[own] = ComposeText(databases.in_compose(text.name, operator, text.default))
    return own


# Providers of Llama Stack that a companion may stand behind: which one, under which keys the URL stands,
# and the one that holds where nothing is said.
_PROVIDERS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "remote::ollama": (OLLAMA, ("base_url", "url"), "http://localhost:11434/v1"),
    "remote::vllm": (VLLM, ("base_url", "url"), ""),
    "remote::solr_vector_io": (OKP, ("solr_url",), ""),
}


def _providers(asked: Asked, kind: str) -> list[Provider]:
    """Providers of a kind that ask this machine, or a host of the kind's name that nobody defines."""
    if asked.run is None:
        return []
    found = (_provider(asked.run, path, tree) for path, tree in databases.mappings(asked.run.values))
    return [one for one in found if one and one.kind == kind and one.url.hostname not in asked.theirs]


def _provider(run: Document, path: Path, tree: Mapping[str, Any]) -> Provider | None:
    known = _PROVIDERS.get(str(tree.get("provider_type")))
    if known is None:
        return None
    kind, keys, default = known
    held = tree.get("config")
    key = next((key for key in keys if isinstance(held, dict) and key in held), keys[0])
    where = (*path, "config", key)
    url = None if where in run.unknown else _local_url(value_at(run.values, where) or default, kind)
    return Provider(kind, str(tree.get("provider_id") or ""), path, where, url) if url else None


def _local_url(text: Any, kind: str) -> SplitResult | None:
    try:
        url = urlsplit(str(text))
        local = bool(url.hostname) and databases.bare(url.hostname) in ("", kind) and url.port != 0
    except ValueError:
        return None
    return url if local else None


def _reach(provider: Provider, name: str, port: int) -> Edit:
    return Edit(provider.key, Address(name, port, provider.url.path.rstrip("/")), REASON)


def _ollama(asked: Asked) -> Companions:
    found = _providers(asked, OLLAMA)
    if asked.run is None or not found:
        return Companions()
    kind = companion(OLLAMA)
    edits = tuple(_reach(provider, OLLAMA, kind.port) for provider in found)
    if OLLAMA in asked.theirs:
        return Companions(run_edits=edits)
    models = _once(model for provider in found for model in _models(asked, provider))
    strange = [model for model in models if not NAME_OF_MODEL.fullmatch(model)]
    findings = [_of_models(asked, found[0], "no model is named for this, so Ollama fetches none")] if not models else []
    findings += [_of_models(asked, found[0], f"{model!r} is no model's name", "error") for model in strange]
    return _started(
        OLLAMA,
        [named(kind, OLLAMA, {"LCOMPOSE_MODELS": " ".join(models)})],
        {asked.run.reader: [OLLAMA]},
        run_edits=edits,
        documents=(kind.script,) if kind.script else (),
        findings=tuple(findings),
    )


def _vllm(asked: Asked) -> Companions:
    found = [] if asked.gpu else _providers(asked, VLLM)
    if asked.run is None or not found:
        return Companions()
    kind = companion(VLLM)
    # Each port is a server of its own, and each server has one model.
    ports = dict.fromkeys(provider.url.port or kind.port for provider in found)
    names = {port: f"{VLLM}-{n}" if n > 1 else VLLM for n, port in enumerate(ports, 1)}
    edits = tuple(_reach(provider, names[provider.url.port or kind.port], kind.port) for provider in found)
    ours = {name: port for port, name in names.items() if name not in asked.theirs}
    services, findings = [], []
    for name, port in ours.items():
        first = next(provider for provider in found if (provider.url.port or kind.port) == port)
        models = _models(asked, first)
        served = next(iter(models), kind.model)
        services.append(named(kind, name, model=served))
        if len(models) != 1:
            findings.append(_of_models(asked, first, f"vLLM serves one model, and that is {served} here"))
    return _started(VLLM, services, {asked.run.reader: ours}, run_edits=edits, findings=tuple(findings))


def _models(asked: Asked, provider: Provider) -> tuple[str, ...]:
    """The models that the configuration names for a provider, LCORE's own first."""
    assert asked.run is not None
    inference = asked.config.value("inference")
    named_by_lcore = inference if isinstance(inference, dict) else {}
    found = [named_by_lcore.get("default_model")] if named_by_lcore.get("default_provider") == provider.id else []
    for path in MODELS:
        registered = value_at(asked.run.values, path)
        for model in registered if isinstance(registered, list) else ():
            if isinstance(model, dict) and model.get("provider_id") == provider.id and _is_served(provider, model):
                found.append(model.get("provider_model_id") or model.get("model_id"))
    allowed = value_at(asked.run.values, (*provider.path, "config", "allowed_models"))
    found += allowed if isinstance(allowed, list) else []
    return _once(str(model) for model in found if model)


def _is_served(provider: Provider, model: Mapping[str, Any]) -> bool:
    """Whether its server has the model beside others: Ollama has as many as one likes, of every kind."""
    return provider.kind != VLLM or model.get("model_type") in (None, "llm")


def _of_models(asked: Asked, provider: Provider, what: str, severity: Severity = "warning") -> Finding:
    assert asked.run is not None
    fix = "Name it in allowed_models of this provider."
    return asked.run.finding(provider.path, what, fix, severity=severity)


def _okp(asked: Asked) -> Companions:
    if asked.run is None:
        return Companions()
    kind = companion(OKP)
    path = (*okp_section(asked.lightspeed.values), "rhokp_url")
    url = _local_url(asked.config.value(*map(str, path)) or OKP_URL, OKP)
    ask = bool(okp_sources(asked.lightspeed.values)) and path not in asked.lightspeed.unknown and url is not None
    edits = (Edit(path, Address(OKP, kind.port), REASON),) if ask else ()
    run_edits = tuple(_reach(provider, OKP, kind.port) for provider in _providers(asked, OKP))
    services = [named(kind, OKP)] if (edits or run_edits) and OKP not in asked.theirs else []
    waiting = {asked.run.reader: [service.name for service in services]}
    return _started(OKP, services, waiting, lightspeed_edits=edits, run_edits=run_edits)


_ASK: Mapping[str, Callable[[Asked], Companions]] = {
    POSTGRES: _postgres,
    OLLAMA: _ollama,
    VLLM: _vllm,
    OKP: _okp,
}
