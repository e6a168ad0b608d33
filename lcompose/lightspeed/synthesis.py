"""run.yaml from lightspeed-stack.yaml alone, or what is added to one that somebody wrote, as LCORE does it.

Variables stay as they are written: the services fill them in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lcompose.lightspeed.draft import Draft, Origin, Problem, Step
from lcompose.lightspeed.enrichment import (
    EMBEDDER,
    FAISS,
    Rules,
    byok_stores,
    dedupe,
    enrich,
    okp_sources,
    rules_for,
    store_type,
    vector_stores,
)
from lcompose.load import Path, parse, plain, value_at
from lcompose.templates import data_directory

INFERENCE_TYPES = {
    "openai": "remote::openai",
    "ollama": "remote::ollama",
    "vllm": "remote::vllm",
    "sentence_transformers": "inline::sentence-transformers",
    "azure": "remote::azure",
    "vertexai": "remote::vertexai",
    "watsonx": "remote::watsonx",
    "vllm_rhaiis": "remote::vllm",
    "vllm_rhel_ai": "remote::vllm",
}
# Where a provider keeps its key, if not in api_key.
KEY_FIELDS = {"remote::vllm": "api_token"}
# The shipped baseline's own provider, which is there only while its variable is set.
CONDITIONAL_OPENAI = "${env.OPENAI_API_KEY:+openai}"
TOOL_RUNTIME = {
    "provider_id": "model-context-protocol",
    "provider_type": "remote::model-context-protocol",
    "config": {},
}
RERANKER = "cross-encoder/ms-marco-MiniLM-L6-v2"
# A path of the image, and not the name of a model that is fetched.
LOCAL = ("/", ".", "~")


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A run.yaml, where each part of it comes from, and what could not be put into it."""

    tree: dict[str, Any]
    steps: tuple[Step, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """What the services must find beside them.

    ``databases`` are files that Llama Stack writes: where they are configured, and their path in its
    container. ``models`` are fetched by Llama Stack from the model hub when they are first used,
    ``reranker`` by LCORE.
    """

    databases: tuple[tuple[Path, str], ...]
    models: tuple[str, ...]
    reranker: str


def is_unified(values: Mapping[str, Any], section: str) -> bool:
    """Whether lightspeed-stack.yaml says itself what run.yaml is to be."""
    providers = (("inference", "providers"), ("vector_store", "providers"))
    return value_at(values, (section, "config")) is not None or any(value_at(values, path) for path in providers)


@cache
def shipped_baseline(server_version: tuple[int, ...]) -> Any:
    """What ``baseline: default`` means for a version of Llama Stack."""
    name = "baseline-default.yaml" if server_version >= (0, 8) else "baseline-default-0.6.yaml"
    return plain(parse((data_directory("templates") / name).read_bytes(), name))


def synthesized(
    lightspeed: Mapping[str, Any],
    *,
    section: str,
    baseline: Any,
    profile: Any,
    generation: str,
    server_version: tuple[int, ...],
    env: Mapping[str, str] | None = None,
) -> Synthesis:
    """The run.yaml that a unified lightspeed-stack.yaml describes.

    ``baseline`` is the shipped one; ``profile`` the content of the file that the configuration names.
    """
    unified = value_at(lightspeed, (section, "config"))
    unified = unified if isinstance(unified, dict) else {}
    rules = rules_for(generation, server_version)
    draft = _start(unified, (section, "config"), baseline, profile)
    if not rules.override_first:
        _enrich_all(draft, lightspeed, rules, env or {})
    dedupe(draft)
    _inference(draft, lightspeed)
    if rules.aliases and not _starts_empty(unified):
        _tool_runtime(draft)
    _override(draft, unified, (section, "config", "native_override"))
    if rules.override_first:
        _enrich_all(draft, lightspeed, rules, env or {})
    dedupe(draft)
    return _finished(draft)


def enriched(
    lightspeed: Mapping[str, Any],
    run: Any,
    generation: str,
    server_version: tuple[int, ...],
    env: Mapping[str, str] | None = None,
) -> Synthesis:
    """A hand-written run.yaml with what LCORE adds to it."""
    draft = Draft(run, Origin((), "run.yaml"))
    enrich(draft, lightspeed, rules_for(generation, server_version), env or {})
    dedupe(draft)
    return _finished(draft)


def _finished(draft: Draft) -> Synthesis:
    return Synthesis(draft.tree, draft.steps(), tuple(draft.problems))


def _enrich_all(draft: Draft, lightspeed: Mapping[str, Any], rules: Rules, env: Mapping[str, str]) -> None:
    enrich(draft, lightspeed, rules, env)
    if rules.aliases:
        vector_stores(draft, lightspeed)


def _starts_empty(unified: Mapping[str, Any]) -> bool:
    return not unified.get("profile") and unified.get("baseline") == "empty"


def _start(unified: Mapping[str, Any], path: Path, baseline: Any, profile: Any) -> Draft:
    if unified.get("profile"):
        draft = Draft(profile, Origin((*path, "profile"), "the profile that the configuration names"))
        if profile is not None and not isinstance(profile, dict):
            fix = "Write it as a run.yaml: 'version: 2', 'providers: …'."
            draft.problems.append(Problem((*path, "profile"), "the profile must hold keys and values", fix))
        return draft
    source = (*path, "baseline") if "baseline" in unified else ()
    if _starts_empty(unified):
        return Draft({}, Origin(source, "an empty baseline"))
    if unified.get("baseline") != "byo-llm":
        return Draft(baseline, Origin(source, "the default baseline"))
    draft = Draft(baseline, Origin(source, "the default baseline, without its OpenAI provider"))
    held = draft.listing("providers", "inference")
    held[:] = [one for one in held if not (isinstance(one, dict) and one.get("provider_id") == CONDITIONAL_OPENAI)]
    return draft


def _inference(draft: Draft, lightspeed: Mapping[str, Any]) -> None:
    found = value_at(lightspeed, ("inference", "providers"))
    for index, provider in enumerate(found if isinstance(found, list) else ()):
        path: Path = ("inference", "providers", index)
        kind = provider.get("type") if isinstance(provider, dict) else None
        if isinstance(kind, str) and kind in INFERENCE_TYPES:
            _place(draft, _entry(provider), Origin(path, f"the inference provider {kind}"))
            continue
        what = f"an inference provider of the type {kind!r} is not known" if kind else "a provider needs a type"
        draft.problems.append(Problem(path, what, f"One of: {', '.join(INFERENCE_TYPES)}."))


def _entry(provider: Mapping[str, Any]) -> dict[str, Any]:
    kind = INFERENCE_TYPES[provider["type"]]
    name = str(provider.get("id") or "").strip() or provider["type"].replace("_", "-")
    extra = provider.get("extra")
    config = dict(extra) if isinstance(extra, dict) else {}
    if provider.get("api_key_env"):
        config[KEY_FIELDS.get(kind, "api_key")] = f"${{env.{provider['api_key_env']}}}"
    if provider.get("allowed_models"):
        config["allowed_models"] = provider["allowed_models"]
    return {"provider_id": name, "provider_type": kind, **({"config": config} if config else {})}


def _place(draft: Draft, entry: dict[str, Any], origin: Origin) -> None:
    """Replaces the provider of the same name, or appends; the baseline's conditional one is named openai."""
    held = draft.listing("providers", "inference")
    names = [one.get("provider_id") if isinstance(one, dict) else None for one in held]
    names = ["openai" if name == CONDITIONAL_OPENAI else name for name in names]
    name = entry["provider_id"]
    draft.add(held, entry, origin, names.index(name) if name in names else None)


def _tool_runtime(draft: Draft) -> None:
    origin = Origin(("mcp_servers",), "LCORE reaches MCP servers through it, also those that are added later")
    apis = draft.listing("apis")
    if "tool_runtime" not in apis:
        draft.add(apis, "tool_runtime", origin)
    held = draft.listing("providers", "tool_runtime")
    names = [one.get("provider_id") for one in held if isinstance(one, dict)]
    if TOOL_RUNTIME["provider_id"] not in names:
        draft.add(held, TOOL_RUNTIME, origin)


def _override(draft: Draft, unified: Mapping[str, Any], path: Path) -> None:
    overlay = unified.get("native_override")
    if isinstance(overlay, dict):
        draft.merge(overlay, Origin(path, "native_override has the last word on what it names"))


def needs(lightspeed: Mapping[str, Any], run: Any) -> Needs:
    """What both services must find beside them; ``run`` is the finished run.yaml."""
    return Needs(tuple(_databases(lightspeed)), tuple(dict.fromkeys(_models(lightspeed, run))), _reranker(lightspeed))


def _databases(lightspeed: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for path, store in byok_stores(lightspeed):
        if store.get("db_path") and store_type(store) == FAISS:
            yield (*path, "db_path"), str(store["db_path"])
    found = value_at(lightspeed, ("vector_store", "providers"))
    for index, entry in enumerate(found if isinstance(found, list) else ()):
        path = ("vector_store", "providers", index, "config", "path")
        database = value_at(entry, ("config", "path"))
        if value_at(entry, ("type",)) == "faiss" and database:
            yield path, str(database)


def _models(lightspeed: Mapping[str, Any], run: Any) -> Iterator[str]:
    default = value_at(run, ("vector_stores", "default_embedding_model"))
    registered = value_at(run, ("registered_resources", "models"))
    named = [default, *(registered if isinstance(registered, list) else ())]
    for model in named:
        if isinstance(model, dict) and model.get("provider_id") == EMBEDDER:
            name = str(model.get("provider_model_id") or model.get("model_id") or "")
            if name and not name.startswith(LOCAL) and not name.startswith(("byok_", "vsprov_")):
                yield name


def _reranker(lightspeed: Mapping[str, Any]) -> str:
    """LCORE loads it when it is switched on, or by itself when both kinds of knowledge are mixed."""
    new = value_at(lightspeed, ("rag", "retrieval", "inline"))
    held = new if isinstance(new, dict) and "reranker" in new else lightspeed
    settings = held.get("reranker", {})
    if not isinstance(settings, dict):
        return ""
    mixed = bool(byok_stores(lightspeed)) and any("inline" in path for path in okp_sources(lightspeed))
    # One that says anything at all is not switched on by itself.
    if not (settings.get("enabled") if settings else mixed):
        return ""
    return str(settings.get("model") or RERANKER)
