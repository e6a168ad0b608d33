"""What the keys of run.yaml must have to do with each other, as Llama Stack wants it when it starts.

What it refuses is an error; what it takes and then does not do is a warning. What hangs on an unset
variable is not judged, and a provider that a variable switches on or off counts as perhaps there.
Llama Stack before 0.6 is not judged either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from lcompose.errors import Finding, Severity
from lcompose.lightspeed.documents import is_open, items, lacks, value
from lcompose.lightspeed.registered_rules import (
    default_models_are_there,
    default_provider_is_there,
    registered_embeddings_are_known,
    registered_models_have_dimensions,
    registered_resources_have_providers,
)
from lcompose.lightspeed.run_document import (
    Provider,
    Run,
    at,
    hangs,
    is_served,
    listed_apis,
    mapping_at,
    sure_providers,
)
from lcompose.lightspeed.run_migration import SETTINGS
from lcompose.lightspeed.server_apis import (
    APIS,
    GONE,
    NEEDS,
    NEWEST,
    OLDEST,
    RETIRED,
    USED_INSIDE,
    USED_TOGETHER,
    Api,
)
from lcompose.lightspeed.storage_rules import provider_stores_are_right, server_stores_are_right
from lcompose.load import Path, lookup
from lcompose.schema import suggestion

Rule: TypeAlias = Callable[[Run], Iterable[Finding]]
# What is wrong, what to do, and how bad it is.
Problem: TypeAlias = tuple[str, str, Severity]

TLS = ("tls_certfile", "tls_keyfile")
OAUTH = ("jwks", "introspection")
# What Llama Stack refuses in files that were written for another of its versions, some of LCORE's own
# examples among them: these can still be rendered, so it is told and not refused.
OUTDATED: Severity = "warning"


def findings(run: Run) -> list[Finding]:
    """What is wrong between the keys of the document."""
    if run.version < OLDEST:
        return []
    return [found for rule in RULES for found in rule(run)]


def _has_a_name(run: Run) -> Iterator[Finding]:
    names = ("distro_name", "image_name")
    if all(value(run, name) is None and not is_open(run, name) for name in names):
        yield at(run, (), "the key 'distro_name' must be there", "Add 'distro_name: starter'; any name will do.")


def _is_read(run: Run) -> Iterator[Finding]:
    for path, until in GONE.items():
        if run.version >= until and value(run, *path):
            yield at(run, path, f"{run.server} does not read this any more", "Remove it.", "warning")


def _apis_are_known(run: Run) -> Iterator[Finding]:
    for index, name in enumerate(listed_apis(run)):
        problem = _unknown_api(run, name) or (None if is_served(run, name) else _unserved(name))
        if problem:
            what, fix, severity = problem
            # Inside LCORE nobody looks for what is not there.
            yield at(run, ("apis", index), what, fix, "warning" if run.library else severity)


def _unserved(name: str) -> Problem:
    known = APIS[name]
    if known.served == "table":
        return f"{name} is served together with {known.router}, which is not listed", f"Add {known.router}.", "error"
    if known.served == "nobody":
        return "Llama Stack knows this API, and has nothing that serves it", "Remove it.", "error"
    return "no provider serves this API", f"Add 'providers.{name}', or remove it here.", "error"


def _unknown_api(run: Run, name: str) -> Problem | None:
    """Why a version does not know an API, and what to do; None if it does, or may."""
    known = APIS.get(name)
    if value(run, "external_apis_dir") or is_open(run, "external_apis_dir"):
        return None
    if known is None:
        known_here = [one for one, api in APIS.items() if _is_of(run, api)]
        fix = suggestion(name, known_here) or "Remove it, or name 'external_apis_dir' if it is one of your own."
        return None if run.version >= NEWEST else (f"{run.server} has no API of this name", fix, "error")
    if _is_of(run, known):
        return None
    fix = f"Use {known.instead}." if known.instead else "Remove it, or use another version."
    return f"{run.server} has no API of this name, and does not start with it", fix, OUTDATED


def _is_of(run: Run, api: Api) -> bool:
    return api.since <= run.version < api.until


def _providers_are_for_apis(run: Run) -> Iterator[Finding]:
    for name in mapping_at(run, "providers"):
        path: Path = ("providers", name)
        problem = _unknown_api(run, name)
        known = APIS.get(name)
        if problem:
            yield at(run, path, *problem)
        elif known and known.served == "table":
            what = f"Llama Stack serves {name} itself, with the providers of {known.router}"
            yield at(run, path, what, f"Write the providers under {known.router}.")
        elif known and known.served in ("own", "nobody") and value(run, *path):
            yield at(run, path, f"Llama Stack serves {name} itself", "Remove it.")


def _providers_have_names(run: Run) -> Iterator[Finding]:
    for api in mapping_at(run, "providers"):
        for path, _ in items(run, "providers", api):
            if lookup(run.node, (*path, "provider_id")) is None:
                yield at(run, path, "the key 'provider_id' must be there", "Give the provider a name.")


def _providers_are_used(run: Run) -> Iterator[Finding]:
    listed = listed_apis(run)
    for api in mapping_at(run, "providers") if listed else ():
        known = APIS.get(api)
        if known is None or api in listed or not any(sure_providers(run, api)):
            continue
        # A router that is not listed is not there at all; other providers are, but only LCORE inside may ask.
        if known.served == "router" or (known.served == "providers" and api not in USED_INSIDE and not run.library):
            what = "the API is not listed in 'apis', so nobody can use these"
            yield at(run, ("providers", api), what, f"Add {api} to 'apis'.", "warning")


def _providers_are_distinct(run: Run) -> Iterator[Finding]:
    for api in mapping_at(run, "providers"):
        seen: dict[str, Provider] = {}
        for provider in sure_providers(run, api):
            for name in provider.names:
                if name in seen:
                    yield _again(run, api, seen[name], provider)
                seen[name] = provider
        yield from _one_is_used(run, api, list(seen.values()))


def _again(run: Run, api: str, first: Provider, second: Provider) -> Finding:
    # LCORE itself takes these out before Llama Stack sees them.
    unused, used = (second, first) if api == "vector_io" else (first, second)
    what = f"providers.{api}[{used.path[-1]}] has this name too, and is the one that is used"
    return at(run, (*unused.path, "provider_id"), what, "Give each its own name.", "warning")


def _one_is_used(run: Run, api: str, found: list[Provider]) -> Iterator[Finding]:
    known = APIS.get(api)
    if known is None or known.served != "providers" or run.version >= USED_TOGETHER.get(api, NEWEST):
        return
    for provider in found[:-1]:
        what = f"of the providers of {api} only the last is used"
        yield at(run, provider.path, what, "Keep one of them.", "warning")


def _types_are_known(run: Run) -> Iterator[Finding]:
    if value(run, "external_providers_dir") or is_open(run, "external_providers_dir"):
        return
    for provider in sure_providers(run):
        until, instead = RETIRED.get((provider.api, provider.kind), (None, ""))
        if until and run.version >= until and not value(run, *provider.path, "module"):
            fix = f"Use {instead}." if instead else "Use another type."
            what = f"{run.server} has no {provider.kind} for {provider.api}"
            yield at(run, (*provider.path, "provider_type"), what, fix)


def _needs_are_there(run: Run) -> Iterator[Finding]:
    for provider in sure_providers(run):
        for api in NEEDS.get((provider.api, provider.kind), ()):
            if not is_served(run, api):
                fix = f"Add {api} to 'apis'." if APIS[api].served == "router" else f"Add 'providers.{api}'."
                what = f"{provider.kind} does not start without the API {api}, which is not there"
                yield at(run, provider.path, what, fix, OUTDATED)


def _settings_are_read(run: Run) -> Iterator[Finding]:
    for provider in sure_providers(run, "inference"):
        for old, new in SETTINGS.get(provider.kind, {}).items():
            config = mapping_at(run, *provider.path, "config")
            if old in config and new not in config:
                what = f"{provider.kind} ignores this and reads {new}"
                fix = f"Call it {new}; it is the whole address, with /v1."
                yield at(run, (*provider.path, "config", old), what, fix, "warning")


def _certificate_is_whole(run: Run) -> Iterator[Finding]:
    given = [key for key in TLS if value(run, "server", key)]
    if any(hangs(run, "server", key) for key in TLS):
        return
    for key in given if len(given) == 1 else ():
        other = next(one for one in TLS if one != key)
        what = f"without {other} Llama Stack speaks plain http"
        yield at(run, ("server", key), what, f"Add 'server.{other}'.", "warning")
    if not given and value(run, "server", "tls_cafile"):
        what = "Llama Stack speaks plain http, and checks nobody's certificate"
        yield at(run, ("server", "tls_cafile"), what, "Add server.tls_certfile and server.tls_keyfile.", "warning")


def _sign_in_is_complete(run: Run) -> Iterator[Finding]:
    section: Path = ("server", "auth", "provider_config")
    kind = value(run, *section, "type")
    needed = {"custom": "endpoint", "upstream_header": "principal_header"}.get(kind) if isinstance(kind, str) else None
    if needed and lookup(run.node, (*section, needed)) is None:
        yield at(run, section, f"{kind} needs {needed}", f"Add '{needed}'.")
    if kind != "oauth2_token" or any(is_open(run, *section, way) for way in OAUTH):
        return
    given = [way for way in OAUTH if value(run, *section, way) is not None]
    if not given:
        yield at(run, section, "oauth2_token needs jwks or introspection", "Add one of them.")
    if len(given) > 1:
        yield at(run, section, "jwks and introspection exclude each other", "Keep one of them.")


def _tenant_is_named(run: Run) -> Iterator[Finding]:
    section: Path = ("server", "tenancy")
    if run.version < (1, 2):
        return
    if value(run, *section, "mode") == "single" and lacks(run, *section, "default_tenant_id"):
        yield at(run, section, "the mode 'single' needs default_tenant_id", "Add 'default_tenant_id'.")


RULES: tuple[Rule, ...] = (
    _has_a_name,
    _is_read,
    _apis_are_known,
    _providers_are_for_apis,
    _providers_have_names,
    _providers_are_used,
    _providers_are_distinct,
    _types_are_known,
    _needs_are_there,
    _settings_are_read,
    server_stores_are_right,
    provider_stores_are_right,
    registered_resources_have_providers,
    registered_models_have_dimensions,
    registered_embeddings_are_known,
    default_provider_is_there,
    default_models_are_there,
    _certificate_is_whole,
    _sign_in_is_complete,
    _tenant_is_named,
)
