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
from lcompose.lightspeed.companion_files import Serving, companion, named
from lcompose.lightspeed.config import Configuration
from lcompose.lightspeed.databases import POSTGRES, Block, Document, Login
from lcompose.lightspeed.derive import LIGHTSPEED_FILE, RUN_FILE, Edit
from lcompose.lightspeed.enrichment import OKP_URL, okp_section, okp_sources
from lcompose.lightspeed.images import LCORE, LLAMA_STACK
from lcompose.load import Path, value_at
from lcompose.spec.project import Dependency, Derived, Service
from lcompose.spec.text import Address, ComposeText, EnvRef, Text

PGVECTOR, OLLAMA, VLLM, LLAMACPP, OKP = "pgvector", "ollama", "vllm", "llamacpp", "okp"
# Inference servers that a provider may ask on this machine.
LOCAL_SERVERS = (VLLM, OLLAMA, LLAMACPP)
# What may be said to be external.
KINDS = (POSTGRES, OLLAMA, VLLM, OKP)

REASON = "'beside me' is another container"
MODELS: tuple[Path, ...] = (("registered_resources", "models"), ("models",))
NAME_OF_MODEL = re.compile(r"[A-Za-z0-9][\w./:-]*")


@dataclass(frozen=True, slots=True)
class Named:
    """A key of one of the two documents, by the document's name."""

    document: str
    path: Path


@dataclass(frozen=True, slots=True)
class Origin:
    """Why a companion is there: the data file that it is made of, and the keys that ask for it.

    ``parts`` are keys that one of its variables, or its command, is taken from.
    """

    file: str
    keys: tuple[Named, ...]
    parts: Mapping[str, Named] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Companions:
    """Services beside ours, complete; what waits for them, and the edits that make it find them.

    ``needs`` is by the service that waits; ``kinds`` says of each companion under which name people
    speak of its kind, ``origins`` why it is there; ``models`` and how their weights are kept are what the
    inference service fetches. An error among the findings means that the rest
    cannot be used.
    """

    services: tuple[Service, ...] = ()
    needs: Mapping[str, tuple[Dependency, ...]] = field(default_factory=dict)
    lightspeed_edits: tuple[Edit, ...] = ()
    run_edits: tuple[Edit, ...] = ()
    documents: tuple[Derived, ...] = ()
    findings: tuple[Finding, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    models: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of all kinds: the documents, where there is one, and names that are taken.

    ``served`` are the paths of providers that the inference service has, and nobody else.
    """

    config: Configuration
    lightspeed: Document
    run: Document | None
    theirs: frozenset[str]
    served: frozenset[Path] = frozenset()

    def named(self, document: Document | None, path: Path) -> Named:
        """A path of one of the documents."""
        return Named(LIGHTSPEED_FILE if document is self.lightspeed else RUN_FILE, path)


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of Llama Stack that is used, with the URL that it asks and the path of that."""

    kind: str
    id: str
    path: Path
    key: Path
    url: SplitResult


def asking(
    config: Configuration,
    theirs: frozenset[str],
    *,
    server: bool,
    lifted: Mapping[Path, str] | None = None,
    run_lifted: Mapping[Path, str] | None = None,
) -> Asked:
    """What there is to ask of a configuration.

    ``theirs`` are services that the person defines; ``server`` says whether Llama Stack is one of ours.
    ``lifted`` names the variables of passwords that stand in a document in clear, by path.
    """
    lightspeed = Document(config.lightspeed, config.values, config.unknown, lifted or {}, LCORE)
    run = None
    if server or config.says(config.section, "use_as_library_client"):
        reader = LLAMA_STACK if server else LCORE
        run = Document(config.run, config.run_values, config.run_unknown, run_lifted or {}, reader)
    return Asked(config, lightspeed, run, theirs)


def needed(asked: Asked, wishes: Mapping[str, str]) -> Companions:
    """The companions that the configuration asks for, except what ``wishes`` call external.

    Raises: ConfigError when a companion's own file is wrong.
    """
    found = [ask(asked) for kind, ask in _ASK.items() if wishes.get(kind) != "external"]
    return reduce(side_by_side, found, Companions())


def side_by_side(one: Companions, other: Companions) -> Companions:
    """Both of them."""
    return Companions(
        (*one.services, *other.services),
        {name: _once((*one.needs.get(name, ()), *other.needs.get(name, ()))) for name in {**one.needs, **other.needs}},
        (*one.lightspeed_edits, *other.lightspeed_edits),
        (*one.run_edits, *other.run_edits),
        _once((*one.documents, *other.documents)),
        (*one.findings, *other.findings),
        {**one.kinds, **other.kinds},
        {**one.origins, **other.origins},
        (*one.models, *other.models),
    )


def _once(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple({repr(item): item for item in items}.values())


def _started(
    kind: str, started: Mapping[Service, Origin], waiting: Mapping[str, Iterable[str]], **more: Any
) -> Companions:
    """Companions of one kind, each with its origin; ``waiting`` is who waits for which of them."""
    services = list(started)
    names = [service.name for service in services]
    needs = {
        reader: tuple(Dependency(name, "healthy") for name in names if name in wanted)
        for reader, wanted in waiting.items()
    }
    return Companions(
        services=tuple(services),
        needs={reader: found for reader, found in needs.items() if found},
        kinds=dict.fromkeys(names, kind),
        origins={service.name: origin for service, origin in started.items()},
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
    services = dict(_database_service(asked, name, group) for name, group in groups.items())
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


def _database_service(asked: Asked, name: str, group: Sequence[Block]) -> tuple[Service, Origin]:
    """PostgreSQL with the databases of some blocks, each with its user made by the companion's script."""
    file = PGVECTOR if any(block.extension for block in group) else POSTGRES
    logins: dict[tuple[Text, Text, Text], tuple[Block, str]] = {}
    for block, login in zip(group, map(databases.login, group), strict=True):
        key = login.database, login.user, login.password
        first, extension = logins.get(key, (block, ""))
        logins[key] = first, login.extension or extension
    environment: dict[str, Text] = {}
    parts: dict[str, Named] = {}
    entries = []
    for number, (key, (block, extension)) in enumerate(logins.items(), 1):
        login = Login(*key, extension)
        texts = (
            ("db", "DATABASE", login.database),
            ("user", "USER", login.user),
            ("password", "PASSWORD", login.password),
        )
        variables = []
        for word, what, text in texts:
            variables.append(_variable(environment, text, f"LCOMPOSE_{what}_{number}"))
            parts.setdefault(variables[-1], asked.named(block.document, (*block.path, word)))
        entries.append(":".join([*variables, extension]))
    service = named(companion(file), name, {"LCOMPOSE_DATABASES": " ".join(entries), **environment})
    keys = tuple(asked.named(block.document, block.path) for block in group)
    return service, Origin(file, keys, parts)


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
    "remote::llama-cpp-server": (LLAMACPP, ("base_url",), "http://localhost:8080/v1"),
    "remote::solr_vector_io": (OKP, ("solr_url",), ""),
}


def kind_of(provider_type: str) -> str:
    """The kind of server that a type of provider asks."""
    return _PROVIDERS[provider_type][0]


def providers(asked: Asked, kind: str) -> list[Provider]:
    """Providers of a kind that ask this machine, or a host of the kind's name that nobody defines."""
    if asked.run is None:
        return []
    found = (_provider(asked.run, path, tree) for path, tree in databases.mappings(asked.run.values))
    ours = (one for one in found if one and one.path not in asked.served)
    return [one for one in ours if one.kind == kind and one.url.hostname not in asked.theirs]


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
    found = providers(asked, OLLAMA)
    if asked.run is None or not found:
        return Companions()
    kind = companion(OLLAMA)
    edits = tuple(_reach(provider, OLLAMA, kind.port) for provider in found)
    if OLLAMA in asked.theirs:
        return Companions(run_edits=edits)
    models = _once(model for provider in found for model in models_of(asked, provider))
    strange = [model for model in models if not NAME_OF_MODEL.fullmatch(model)]
    findings = [_of_models(asked, found[0], "no model is named for this, so Ollama fetches none")] if not models else []
    findings += [_of_models(asked, found[0], f"{model!r} is no model's name", "error") for model in strange]
    keys = tuple(asked.named(asked.run, provider.path) for provider in found)
    return _started(
        OLLAMA,
        {named(kind, OLLAMA, serving=Serving(models)): Origin(OLLAMA, keys)},
        {asked.run.reader: [OLLAMA]},
        run_edits=edits,
        documents=(kind.script,) if kind.script else (),
        findings=tuple(findings),
    )


def _vllm(asked: Asked) -> Companions:
    found = providers(asked, VLLM)
    if asked.run is None or not found:
        return Companions()
    kind = companion(VLLM)
    # Each port is a server of its own, and each server has one model.
    ports = dict.fromkeys(provider.url.port or kind.port for provider in found)
    names = {port: f"{VLLM}-{n}" if n > 1 else VLLM for n, port in enumerate(ports, 1)}
    edits = tuple(_reach(provider, names[provider.url.port or kind.port], kind.port) for provider in found)
    ours = {name: port for port, name in names.items() if name not in asked.theirs}
    services: dict[Service, Origin] = {}
    findings = []
    for name, port in ours.items():
        group = [provider for provider in found if (provider.url.port or kind.port) == port]
        first = group[0]
        models = models_of(asked, first)
        served = next(iter(models), kind.model)
        keys = tuple(asked.named(asked.run, provider.path) for provider in group)
        services[named(kind, name, serving=Serving((served,)))] = Origin(VLLM, keys)
        if len(models) != 1:
            findings.append(_of_models(asked, first, f"vLLM serves one model, and that is {served} here"))
    return _started(VLLM, services, {asked.run.reader: ours}, run_edits=edits, findings=tuple(findings))


def models_of(asked: Asked, provider: Provider) -> tuple[str, ...]:
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
    return provider.kind == OLLAMA or model.get("model_type") in (None, "llm")


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
    run_edits = tuple(_reach(provider, OKP, kind.port) for provider in providers(asked, OKP))
    keys = [asked.named(asked.lightspeed, source) for source in (okp_sources(asked.lightspeed.values) if edits else ())]
    keys += [asked.named(asked.run, edit.path[:-2]) for edit in run_edits]
    services = {named(kind, OKP): Origin(OKP, tuple(keys))} if keys and OKP not in asked.theirs else {}
    waiting = {asked.run.reader: [service.name for service in services]}
    return _started(OKP, services, waiting, lightspeed_edits=edits, run_edits=run_edits)


_ASK: Mapping[str, Callable[[Asked], Companions]] = {
    POSTGRES: _postgres,
    OLLAMA: _ollama,
    VLLM: _vllm,
    OKP: _okp,
}
