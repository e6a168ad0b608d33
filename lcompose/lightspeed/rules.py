"""What the keys of lightspeed-stack.yaml must have to do with each other, as LCORE's own models want it.

Each rule is a function from the documents to findings. What LCORE refuses is an error; what it
takes and then does not do is a warning. A value that hangs on an unset variable is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from lcompose.errors import Finding
from lcompose.lightspeed.documents import (
    Documents,
    at,
    is_open,
    is_true,
    items,
    lacks,
    repeated,
    section_of,
    synthesis_inputs,
    texts,
    value,
)
from lcompose.lightspeed.jsonpath import is_jsonpath
from lcompose.lightspeed.knowledge_rules import (
    default_store_provider,
    knowledge_has_a_file,
    knowledge_is_known,
    pattern_is_right,
    shields_are_right,
)
from lcompose.load import Path, dotted

Rule: TypeAlias = Callable[[Documents], Iterable[Finding]]

STORES = ("sqlite", "postgres")
CACHES = ("memory", *STORES)
MODULE_SECTIONS: Mapping[str, str] = {
    "jwk-token": "jwk_config",
    "api-key-token": "api_key_config",
    "rh-identity": "rh_identity_config",
    "trusted-proxy": "trusted_proxy_config",
}
KUBERNETES_MODULES = ("k8s", "noop-with-token")
# What only the older, and what only the newer of the two shapes has that both are called 0.6.
OLDER_KEYS: tuple[Path, ...] = (("byok_rag",), ("okp",), ("reranker",), ("rag", "inline"), ("rag", "tool"))
NEWER_KEYS: tuple[Path, ...] = (
    ("rag", "byok"),
    ("rag", "okp"),
    ("rag", "retrieval"),
    ("config_format_version",),
    ("vector_store",),
    ("shields",),
    ("observability",),
    ("saved_prompts",),
)
NEWER_ACTIONS = ("get_skills", "manage_saved_prompts")


def findings(config: Documents) -> list[Finding]:
    """What is wrong between the keys of the document."""
    return [found for rule in RULES for found in rule(config)]


def _needs_section(config: Documents) -> Iterator[Finding]:
    if value(config, section_of(config)) is None:
        name = "ogx" if config.generation >= "0.7" else "llama_stack"
        yield at(config, (), f"the key {name!r} must be there", f"Add '{name}: {{url: http://localhost:8321}}'.")


def _needs_url(config: Documents) -> Iterator[Finding]:
    section = section_of(config)
    library: Path = (section, "use_as_library_client")
    if value(config, section) is None or is_open(config, *library) or is_true(value(config, *library)):
        return
    if lacks(config, section, "url"):
        fix = "Add 'url: http://localhost:8321'; lcompose rewrites it for containers."
        yield at(config, (section,), "server mode needs a url", fix)


def _one_run_source(config: Documents) -> Iterator[Finding]:
    section, inputs = section_of(config), synthesis_inputs(config)
    legacy: Path = (section, "library_client_config_path")
    named = value(config, *legacy) is not None or is_open(config, *legacy)
    if inputs and value(config, *legacy) is not None:
        what = f"this names a run.yaml, and {dotted(inputs[0])} makes one"
        yield at(config, legacy, what, "Keep one of the two.")
    library: Path = (section, "use_as_library_client")
    if is_true(value(config, *library)) and not inputs and not named:
        what = "library mode needs a run.yaml, or something to make one of"
        yield at(config, library, what, f"Add '{section}.config: {{baseline: default}}'.")


def _form_is_as_said(config: Documents) -> Iterator[Finding]:
    said, inputs = value(config, "config_format_version"), synthesis_inputs(config)
    if said == "legacy" and inputs:
        what = f"the form is 'unified', since {dotted(inputs[0])} is there"
        yield at(config, ("config_format_version",), what, "Write 'unified', or remove this key.")
    if said == "unified" and not inputs:
        what = "the form is 'legacy', since nothing here makes a run.yaml"
        yield at(config, ("config_format_version",), what, "Write 'legacy', or remove this key.")


def _one_shape(config: Documents) -> Iterator[Finding]:
    """Of the two shapes that are called 0.6, a document has one or the other."""
    older = [path for path in OLDER_KEYS if _has(config, *path)]
    newer = [path for path in _newer_places(config) if _has(config, *path)]
    if config.generation < "0.7" and older and newer:
        what = f"no LCORE knows both this and {dotted(newer[0])}"
        yield at(config, older[0], what, "Releases of 0.6 know this one, later builds the other: keep to one of them.")


def _has(config: Documents, *path: str | int) -> bool:
    above = value(config, *path[:-1])
    return isinstance(path[-1], int) or (isinstance(above, dict) and path[-1] in above)


def _newer_places(config: Documents) -> Iterator[Path]:
    yield from NEWER_KEYS
    yield from ((*path, "id") for path, _ in items(config, "inference", "providers"))
    for path, rule in items(config, "authorization", "access_rules"):
        actions = texts(rule.get("actions"))
        yield from ((*path, "actions", index) for index, one in enumerate(actions) if one in NEWER_ACTIONS)


def _storage_is_named(config: Documents) -> Iterator[Finding]:
    for name in ("feedback", "transcripts"):
        path = ("user_data_collection", f"{name}_storage")
        if is_true(value(config, "user_data_collection", f"{name}_enabled")) and lacks(config, *path):
            yield at(config, path, f"{name} is enabled and has no storage", f"Add {path[1]}.")


def _one_store(config: Documents) -> Iterator[Finding]:
    for section in ("database", "a2a_state"):
        if all(value(config, section, store) is not None for store in STORES):
            yield at(config, (section,), "sqlite and postgres exclude each other", "Keep one of them.")


def _quota_is_kept(config: Documents) -> Iterator[Finding]:
    section = "quota_handlers"
    stores = [store for store in STORES if value(config, section, store) is not None]
    if len(stores) > 1:
        what = "LCORE takes sqlite and postgres together, and then mixes them up"
        yield at(config, (section,), what, "Keep one of them.", "warning")
    if not stores and any(items(config, section, "limiters")):
        what = "without sqlite or postgres beside them, LCORE limits nothing"
        yield at(config, (section, "limiters"), what, f"Add '{section}.sqlite' or '{section}.postgres'.", "warning")


def _quota_has_a_subject(config: Documents) -> Iterator[Finding]:
    path = ("rlsapi_v1", "quota_subject")
    subject, module = value(config, *path), value(config, "authentication", "module")
    open_module = is_open(config, "authentication", "module")
    if subject in ("org_id", "system_id") and module != "rh-identity" and not open_module:
        fix = "Write 'user_id', or set 'authentication.module: rh-identity'."
        yield at(config, path, f"{subject} is known with rh-identity only", fix)
    if subject is not None and not any(items(config, "quota_handlers", "limiters")):
        fix = "Add 'quota_handlers.limiters', or remove this."
        yield at(config, path, "there is no limiter, so LCORE limits nothing", fix, "warning")


def _cors_credentials(config: Documents) -> Iterator[Finding]:
    cors = value(config, "service", "cors")
    origins = cors.get("allow_origins", ["*"]) if isinstance(cors, dict) else []
    path = ("service", "cors", "allow_credentials")
    if is_true(value(config, *path)) and "*" in texts(origins):
        yield at(config, path, "credentials cannot be allowed for every origin", "List the origins.")


def _key_has_a_certificate(config: Documents) -> Iterator[Finding]:
    section: Path = ("service", "tls_config")
    if value(config, *section, "tls_key_path") and lacks(config, *section, "tls_certificate_path"):
        path = (*section, "tls_key_path")
        yield at(config, path, "a key without its certificate stops LCORE", "Add tls_certificate_path.", "warning")


def _cache_is_configured(config: Documents) -> Iterator[Finding]:
    chosen = value(config, "conversation_cache", "type")
    given = [name for name in CACHES if value(config, "conversation_cache", name) is not None]
    path: Path = ("conversation_cache", "type")
    if given and chosen is None and not is_open(config, *path):
        yield at(config, path, "the cache is configured and not chosen", f"Add 'type: {given[0]}'.")
    if chosen not in CACHES:
        return
    if chosen not in given:
        yield at(config, path, f"{chosen} is chosen and not configured", f"Add 'conversation_cache.{chosen}'.")
    for name in given:
        if name != chosen:
            fix = "Remove it, or choose it as the type."
            yield at(config, ("conversation_cache", name), f"the cache is kept in {chosen}", fix)


def _module_is_configured(config: Documents) -> Iterator[Finding]:
    module = value(config, "authentication", "module")
    section = MODULE_SECTIONS.get(module) if isinstance(module, str) else None
    if section and value(config, "authentication", section) is None:
        path = ("authentication", "module")
        yield at(config, path, f"{module} needs {section}", f"Add 'authentication.{section}'.")


def _role_rules(config: Documents) -> Iterator[Finding]:
    rules: Path = ("authentication", "jwk_config", "jwt_configuration", "role_rules")
    for path, rule in items(config, *rules):
        roles = texts(rule.get("roles"))
        yield from repeated(config, (((*path, "roles", index), role) for index, role in enumerate(roles)))
        if "*" in roles:
            what = "everybody has the role '*' already"
            yield at(config, (*path, "roles", roles.index("*")), what, "Remove it.")
        jsonpath = rule.get("jsonpath")
        if isinstance(jsonpath, str) and not is_jsonpath(jsonpath):
            yield at(config, (*path, "jsonpath"), "this is not a JSONPath", "Correct it; '$.roles[*]' is one.")
        if rule.get("operator") == "match" and not is_open(config, *path, "value"):
            yield from pattern_is_right(config, (*path, "value"))


def _servers_have_names(config: Documents) -> Iterator[Finding]:
    servers = items(config, "mcp_servers")
    yield from repeated(config, (((*path, "name"), server.get("name")) for path, server in servers), "warning")


def _server_headers(config: Documents) -> Iterator[Finding]:
    for path, server in items(config, "mcp_servers"):
        names = texts(server.get("headers"))
        yield from repeated(config, (((*path, "headers", index), name.lower()) for index, name in enumerate(names)))
        approval = server.get("require_approval")
        if isinstance(approval, dict):
            for tool in sorted({*texts(approval.get("always"))} & {*texts(approval.get("never"))}):
                what = f"the tool {tool!r} always and never needs approval"
                yield at(config, (*path, "require_approval"), what, "Keep it in one of the lists.")


def _kubernetes_tokens(config: Documents) -> Iterator[Finding]:
    if value(config, "authentication", "module") in KUBERNETES_MODULES or is_open(config, "authentication", "module"):
        return
    for path, server in items(config, "mcp_servers"):
        headers = server.get("authorization_headers")
        for name, token in headers.items() if isinstance(headers, dict) else ():
            if isinstance(token, str) and token.strip() == "kubernetes":
                what = "LCORE leaves this server out: callers bring no Kubernetes token"
                fix = "Set 'authentication.module: k8s', or name a file with the token."
                yield at(config, (*path, "authorization_headers", name), what, fix, "warning")


def _default_model(config: Documents) -> Iterator[Finding]:
    for one, other in (("default_model", "default_provider"), ("default_provider", "default_model")):
        absent = value(config, "inference", other) is None and not is_open(config, "inference", other)
        if absent and value(config, "inference", one) is not None:
            yield at(config, ("inference", one), f"this needs {other}", f"Add 'inference.{other}'.")


def _splunk(config: Documents) -> Iterator[Finding]:
    if is_true(value(config, "splunk", "enabled")):
        for name in ("url", "token_path", "index"):
            if lacks(config, "splunk", name):
                yield at(config, ("splunk", name), f"Splunk is enabled and has no {name}", f"Add 'splunk.{name}'.")


RULES: tuple[Rule, ...] = (
    _needs_section,
    _needs_url,
    _one_run_source,
    _form_is_as_said,
    _one_shape,
    _storage_is_named,
    _one_store,
    _quota_is_kept,
    _quota_has_a_subject,
    _cors_credentials,
    _key_has_a_certificate,
    _cache_is_configured,
    _module_is_configured,
    _role_rules,
    _servers_have_names,
    _server_headers,
    _kubernetes_tokens,
    _default_model,
    knowledge_has_a_file,
    knowledge_is_known,
    default_store_provider,
    shields_are_right,
    _splunk,
)
