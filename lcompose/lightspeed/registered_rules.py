"""What is registered in run.yaml, and what is the default, must be somebody's; a part of ``run_rules``."""

from __future__ import annotations

from collections.abc import Iterator

from lcompose.errors import Finding
from lcompose.lightspeed.documents import is_open, items, value
from lcompose.lightspeed.run_document import (
    ADDED,
    Run,
    at,
    hangs,
    is_provider,
    is_served,
    known_names,
    mapping_at,
    name_at,
)
from lcompose.lightspeed.server_apis import NAMED_BY_ID, RESOURCES, Resource
from lcompose.load import Path

REGISTERED = "registered_resources"
DEFAULTS = "vector_stores"
EVERY = "all"
# The default, and which kind of model it is.
MODELS: dict[Path, str] = {
    ("default_embedding_model",): "embedding",
    ("default_reranker_model",): "rerank",
    ("rewrite_query_params", "model"): "llm",
}


def registered_resources_have_providers(run: Run) -> Iterator[Finding]:
    """What is registered is registered with a provider that is there."""
    for name, resource in RESOURCES.items():
        place: Path = (REGISTERED, name)
        held = list(items(run, *place))
        if held and run.version >= resource.until:
            yield at(run, place, f"{run.server} does not read this any more", "Remove it.", "warning")
        elif held and not is_served(run, resource.api):
            what = f"nothing of this is registered: {resource.api} is not listed in 'apis'"
            yield at(run, place, what, f"Add {resource.api} to 'apis'.", "warning")
        elif held:
            for path, _ in held:
                yield from _has_a_provider(run, path, resource)


def _has_a_provider(run: Run, path: Path, resource: Resource) -> Iterator[Finding]:
    place = (*path, "provider_id")
    if is_open(run, *place):
        return
    named = name_at(run, *place)
    if not named:
        if value(run, *place) in (None, "") and not hangs(run, *place):
            what = "Llama Stack does not register what has no provider"
            yield at(run, place, what, f"Add 'provider_id', one of {resource.api}.", "warning")
    elif named == EVERY and run.version >= NAMED_BY_ID and resource.api != "inference":
        yield at(run, place, "'all' is for models only, so this is not registered", "Name one.", "warning")
    elif not is_provider(run, resource.api, named) and not (named == EVERY and run.version >= NAMED_BY_ID):
        yield at(run, place, f"no provider of {resource.api} has the name {named!r}", _known(run, resource.api))


def _known(run: Run, api: str) -> str:
    names = sorted(known_names(run, api))
    return f"Known here: {', '.join(names)}." if names else f"Add one to 'providers.{api}'."


def registered_models_have_dimensions(run: Run) -> Iterator[Finding]:
    """Of an embedding model it is told how long its vectors are."""
    for path, model in _models(run):
        if model.get("model_type") == "embedding" and "embedding_dimension" not in mapping_at(run, *path, "metadata"):
            place = (*path, "metadata", "embedding_dimension")
            what = "Llama Stack does not register an embedding model without it"
            yield at(run, place, what, "Add 'metadata: {embedding_dimension: 768}', as the model has it.")


def _models(run: Run) -> Iterator[tuple[Path, dict[str, object]]]:
    """The models that are registered."""
    for path, model in items(run, REGISTERED, "models"):
        if is_served(run, "inference") and model.get("provider_id") and not is_open(run, *path, "metadata"):
            yield path, model


def _identifiers(run: Run) -> dict[str, str]:
    """Each registered model's whole name, and of which type it is; nothing if some are not known."""
    found = {}
    for path, model in _models(run):
        named, provider = model.get("model_id"), model.get("provider_id")
        if run.version < NAMED_BY_ID:
            named = model.get("provider_model_id") or named
        own = run.version >= NAMED_BY_ID and (provider == EVERY or str(named).startswith(f"{provider}/"))
        kind = model.get("model_type") or "llm"
        if not is_open(run, *path, "model_id") and not is_open(run, *path, "provider_model_id"):
            found[str(named) if own else f"{provider}/{named}"] = str(kind)
    return found


def registered_embeddings_are_known(run: Run) -> Iterator[Finding]:
    """A registered store's embedding model is registered too."""
    known = _identifiers(run)
    for path, store in items(run, REGISTERED, "vector_stores"):
        place = (*path, "embedding_model")
        named = name_at(run, *place)
        if not named or not store.get("provider_id") or hangs(run, *place) or not is_served(run, "vector_io"):
            continue
        if known.get(named, "embedding") != "embedding":
            yield at(
                run, place, f"{named} is registered, and not as an embedding model", "Add 'model_type: embedding'."
            )
        elif named not in known and not _is_added(run, named):
            # Llama Stack remembers models, so what it learned before may help it.
            what = "no model is registered under this name, so a fresh Llama Stack does not start"
            yield at(run, place, what, _registered(known), "warning")


def _is_added(run: Run, named: str) -> bool:
    return run.library and named.rpartition("/")[2].startswith((*ADDED, "solr_"))


def _registered(known: dict[str, str]) -> str:
    names = sorted(name for name, kind in known.items() if kind == "embedding")
    return f"Registered here: {', '.join(names)}." if names else f"Add it to '{REGISTERED}.models'."


def default_provider_is_there(run: Run) -> Iterator[Finding]:
    """Where vectors are kept if nobody says it is a provider."""
    place: Path = (DEFAULTS, "default_provider_id")
    named = name_at(run, *place)
    if named and not is_provider(run, "vector_io", named):
        what = f"no provider of vector_io has the name {named!r}, so stores cannot be made"
        yield at(run, place, what, _known(run, "vector_io"), "warning")


def default_models_are_there(run: Run) -> Iterator[Finding]:
    """Default models are some provider's, and of the right kind."""
    known = _identifiers(run)
    for steps, kind in MODELS.items():
        path: Path = (DEFAULTS, *steps)
        provider, model = (name_at(run, *path, key) for key in ("provider_id", "model_id"))
        if not provider or not model:
            continue
        if not is_served(run, "inference"):
            yield at(run, path, "inference is not listed in 'apis', so there are no models", "Add inference to 'apis'.")
        elif not is_provider(run, "inference", provider):
            what = f"no provider of inference has the name {provider!r}"
            yield at(run, (*path, "provider_id"), what, _known(run, "inference"))
        elif known.get(f"{provider}/{model}", kind) != kind:
            what = f"{provider}/{model} is registered, and not as a model of the type {kind}"
            yield at(run, (*path, "model_id"), what, f"Add 'model_type: {kind}'.")
