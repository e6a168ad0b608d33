"""What keys must have to do with each other: each rule with what it refuses, and what it lets pass."""

from __future__ import annotations

from typing import Any

import pytest

from lcompose.lightspeed import rules
from lcompose.lightspeed.jsonpath import is_jsonpath
from tests.unit.given import LIGHTSPEED, OLDER, config

BARE = "name: x\nservice: {}\nuser_data_collection: {}\n"
ROLE_RULE = "authentication.jwk_config.jwt_configuration.role_rules[0]"
DB = "{db: a, user: a, password: hunter2}"
STORE = "{rag_id: a, vector_db_id: v, db_path: /x}"


def told(source: str, **how: Any) -> list[str]:
    """What the rules find, without places."""
    found = rules.findings(config(source, **how))
    return [f"{one.path}: {one.severity}: {one.what}" for one in found]


def jwk(rule: str) -> str:
    claims = f"{{role_rules: [{rule}]}}"
    return f"authentication: {{module: jwk-token, jwk_config: {{url: 'http://a', jwt_configuration: {claims}}}}}"


def shield(kind: str, settings: str, name: str = "s") -> str:
    return f"{{name: {name}, provider_id: {kind}, config: {settings}}}"


def vector(provider: str = "id: a", default: str = "") -> str:
    return f"vector_store: {{providers: [{{type: faiss, {provider}}}]{default}}}"


REFUSED = [
    (
        "mcp_servers: [{name: a, url: u, headers: [X-A, x-a]}]",
        "mcp_servers[0].headers[1]",
        "this is mcp_servers[0].headers[0] again",
    ),
    (
        "mcp_servers: [{name: a, url: u, require_approval: {always: [t], never: [t]}}]",
        "mcp_servers[0].require_approval",
        "the tool 't' always and never needs approval",
    ),
    ("authentication: {module: jwk-token}", "authentication.module", "jwk-token needs jwk_config"),
    ("authentication: {module: api-key-token}", "authentication.module", "api-key-token needs api_key_config"),
    ("authentication: {module: rh-identity}", "authentication.module", "rh-identity needs rh_identity_config"),
    ("authentication: {module: trusted-proxy}", "authentication.module", "trusted-proxy needs trusted_proxy_config"),
    (
        jwk("{jsonpath: '$.', operator: equals, value: 1, roles: [r]}"),
        ROLE_RULE + ".jsonpath",
        "this is not a JSONPath",
    ),
    (
        jwk("{jsonpath: a, operator: match, value: '(', roles: [r]}"),
        ROLE_RULE + ".value",
        "this is not a regular expression",
    ),
    (
        jwk("{jsonpath: a, operator: match, value: 5, roles: [r]}"),
        ROLE_RULE + ".value",
        "this is not a regular expression",
    ),
    (
        jwk("{jsonpath: a, operator: in, value: 1, roles: ['*']}"),
        ROLE_RULE + ".roles[0]",
        "everybody has the role '*' already",
    ),
    (
        jwk("{jsonpath: a, operator: in, value: 1, roles: [r, r]}"),
        ROLE_RULE + ".roles[1]",
        f"this is {ROLE_RULE}.roles[0] again",
    ),
    ("conversation_cache: {sqlite: {db_path: a}}", "conversation_cache.type", "the cache is configured and not chosen"),
    ("conversation_cache: {type: memory}", "conversation_cache.type", "memory is chosen and not configured"),
    (
        "conversation_cache: {type: sqlite, sqlite: {db_path: a}, memory: {max_entries: 1}}",
        "conversation_cache.memory",
        "the cache is kept in sqlite",
    ),
    (f"database: {{sqlite: {{db_path: a}}, postgres: {DB}}}", "database", "sqlite and postgres exclude each other"),
    (f"a2a_state: {{sqlite: {{db_path: a}}, postgres: {DB}}}", "a2a_state", "sqlite and postgres exclude each other"),
    ("inference: {default_model: m}", "inference.default_model", "this needs default_provider"),
    ("inference: {default_provider: p}", "inference.default_provider", "this needs default_model"),
    ("rag: {byok: {stores: [{rag_id: a, vector_db_id: v}]}}", "rag.byok.stores[0].db_path", "faiss needs a file"),
    (
        f"rag: {{byok: {{stores: [{STORE}, {STORE}]}}}}",
        "rag.byok.stores[1].rag_id",
        "this is rag.byok.stores[0].rag_id again",
    ),
    (
        f"rag: {{byok: {{stores: [{STORE}]}}, retrieval: {{tool: {{sources: [a, okp, b]}}}}}}",
        "rag.retrieval.tool.sources[2]",
        "no store has the rag_id 'b'",
    ),
    (vector(), "vector_store.default_provider", "with providers, one must be the default"),
    ("vector_store: {default_provider: a}", "vector_store.default_provider", "there are no providers"),
    (vector(default=", default_provider: b"), "vector_store.default_provider", "no provider has this id"),
    (
        f"shields: [{shield('redaction', '{}')}, {shield('redaction', '{}')}]",
        "shields[1].name",
        "this is shields[0].name again",
    ),
    (
        f"shields: [{shield('redaction', '{rules: [{pattern: a(, replacement: b}]}')}]",
        "shields[0].config.rules[0].pattern",
        "this is not a regular expression",
    ),
    (
        f"shields: [{shield('granite_guardian', '{url: http://a, api_key: hunter2, risks: []}')}]",
        "shields[0].config.url",
        "a key may not travel in clear",
    ),
    ("splunk: {enabled: true, url: u, index: i}", "splunk.token_path", "Splunk is enabled and has no token_path"),
    (
        "rlsapi_v1: {quota_subject: org_id}\nquota_handlers: {limiters: [{}], sqlite: {db_path: a}}",
        "rlsapi_v1.quota_subject",
        "org_id is known with rh-identity only",
    ),
    (
        "config_format_version: unified",
        "config_format_version",
        "the form is 'legacy', since nothing here makes a run.yaml",
    ),
    (
        "config_format_version: legacy\ninference: {providers: [{type: openai}]}",
        "config_format_version",
        "the form is 'unified', since inference.providers is there",
    ),
]


@pytest.mark.parametrize(("source", "path", "what"), REFUSED)
def test_what_lcore_refuses_is_an_error_at_its_place(source: str, path: str, what: str) -> None:
    assert told(LIGHTSPEED + source) == [f"{path}: error: {what}"]


@pytest.mark.parametrize(
    ("section", "path", "what"),
    [
        ("", "", "the key 'ogx' must be there"),
        ("ogx:", "", "the key 'ogx' must be there"),
        ("ogx: {}", "ogx", "server mode needs a url"),
        ("ogx: {use_as_library_client: no}", "ogx", "server mode needs a url"),
        (
            "ogx: {use_as_library_client: yes}",
            "ogx.use_as_library_client",
            "library mode needs a run.yaml, or something to make one of",
        ),
        (
            "ogx: {use_as_library_client: yes, library_client_config_path: a, config: {}}",
            "ogx.library_client_config_path",
            "this names a run.yaml, and ogx.config makes one",
        ),
    ],
)
def test_where_llama_stack_is_must_be_told_in_one_way(section: str, path: str, what: str) -> None:
    assert told(BARE + section) == [f"{path}: error: {what}"]


@pytest.mark.parametrize(
    "source",
    [
        LIGHTSPEED,
        BARE + "llama_stack: {url: 'http://a'}",
        BARE + "ogx:\nllama_stack: {url: 'http://a'}",
        BARE + "ogx: {use_as_library_client: yes, library_client_config_path: run.yaml}",
        BARE + "ogx: {use_as_library_client: yes, config: {baseline: empty}}",
        BARE + "ogx: {use_as_library_client: yes}\ninference: {providers: [{type: openai}]}",
        LIGHTSPEED + "config_format_version: unified\ninference: {providers: [{type: openai}]}",
        BARE + "ogx: {use_as_library_client: yes}\n" + vector(default=", default_provider: ' a '"),
        LIGHTSPEED + "config_format_version: legacy",
        LIGHTSPEED + jwk("{jsonpath: '$.roles[*]', operator: match, value: 'a|b', roles: [r]}"),
        LIGHTSPEED + "conversation_cache: {type: noop}",
        LIGHTSPEED + "conversation_cache: {type: sqlite, sqlite: {db_path: a}}",
        LIGHTSPEED + f"rag: {{byok: {{stores: [{STORE}]}}, retrieval: {{inline: {{sources: [a, okp]}}}}}}",
        LIGHTSPEED + "rag: {byok: {stores: [{rag_id: a, vector_db_id: v, backend: pgvector}]}}",
        LIGHTSPEED + f"shields: [{shield('granite_guardian', '{url: https://a, api_key: k, risks: []}')}]",
        LIGHTSPEED + "splunk: {enabled: false}",
        LIGHTSPEED + "inference: {default_model: m, default_provider: p}",
    ],
)
def test_what_lcore_takes_passes(source: str) -> None:
    assert told(source) == []


@pytest.mark.parametrize(
    ("source", "path", "what"),
    [
        (
            "mcp_servers: [{name: a, url: u}, {name: a, url: v}]",
            "mcp_servers[1].name",
            "this is mcp_servers[0].name again",
        ),
        (
            "mcp_servers: [{name: a, url: u, authorization_headers: {A: ' kubernetes '}}]",
            "mcp_servers[0].authorization_headers.A",
            "LCORE leaves this server out: callers bring no Kubernetes token",
        ),
        (
            "quota_handlers: {limiters: [{}]}",
            "quota_handlers.limiters",
            "without sqlite or postgres beside them, LCORE limits nothing",
        ),
        (
            f"quota_handlers: {{sqlite: {{db_path: a}}, postgres: {DB}}}",
            "quota_handlers",
            "LCORE takes sqlite and postgres together, and then mixes them up",
        ),
        (
            "rlsapi_v1: {quota_subject: user_id}",
            "rlsapi_v1.quota_subject",
            "there is no limiter, so LCORE limits nothing",
        ),
    ],
)
def test_what_lcore_takes_and_does_not_do_is_a_warning(source: str, path: str, what: str) -> None:
    assert told(LIGHTSPEED + source) == [f"{path}: warning: {what}"]


def test_a_key_without_a_certificate_is_a_warning() -> None:
    source = LIGHTSPEED.replace("{port: 8080}", "{tls_config: {tls_key_path: k}}")
    assert told(source) == ["service.tls_config.tls_key_path: warning: a key without its certificate stops LCORE"]


def test_the_older_and_the_newer_shape_of_knowledge_are_not_mixed() -> None:
    found = told(OLDER + "reranker: {}\nrag: {byok: {}}", generation="0.6")
    assert found == ["reranker: error: no LCORE knows both this and rag.byok"]


@pytest.mark.parametrize("more", ["reranker: {}\nrag: {inline: [okp]}", "rag: {byok: {}}\nshields: []"])
def test_either_shape_alone_passes(more: str) -> None:
    assert told(OLDER + more, generation="0.6") == []


def test_an_older_store_needs_its_file_too() -> None:
    found = told(OLDER + "byok_rag: [{rag_id: a, vector_db_id: v}]", generation="0.6")
    assert found == ["byok_rag[0].db_path: error: inline::faiss needs a file"]


@pytest.mark.parametrize(
    "more",
    [
        "user_data_collection: {feedback_enabled: true, feedback_storage: '${env.X}'}",
        "conversation_cache: {type: '${env.X}', memory: {max_entries: 1}}",
        "inference: {default_model: m, default_provider: '${env.X}'}",
        "rag: {byok: {stores: [{rag_id: '${env.X}', db_path: '${env.X}'}]}, retrieval: {tool: {sources: [b]}}}",
        "splunk: {enabled: true, url: '${env.X}', token_path: t, index: i}",
        "rlsapi_v1: {quota_subject: org_id}\nauthentication: {module: '${env.X}'}\n"
        "quota_handlers: {limiters: [{}], sqlite: {}}",
    ],
)
def test_what_hangs_on_a_missing_variable_is_not_judged(more: str) -> None:
    source = LIGHTSPEED.replace("user_data_collection: {}", "") if "user_data" in more else LIGHTSPEED
    assert told(source + more) == []


@pytest.mark.parametrize(
    "value", ["null", "5", "text", "[]", "[null]", "[[]]", "{}", "{a: {b: 1}}", "[{name: [x], rag_id: {}, id: []}]"]
)
@pytest.mark.parametrize(
    "path",
    [
        "ogx",
        "service",
        "rag",
        "rag: {byok",
        "rag: {byok: {stores",
        "vector_store: {providers",
        "shields",
        "mcp_servers",
        "conversation_cache",
        "authentication",
        "inference: {providers",
        "quota_handlers",
        "splunk",
        "authorization: {access_rules",
    ],
)
def test_a_misshapen_document_is_judged_without_a_crash(path: str, value: str) -> None:
    for generation in ("0.6", "0.7"):
        told(f"{path}: {value}{'}' * path.count('{')}", generation=generation)


def test_no_finding_shows_a_secret() -> None:
    everything = "".join(
        str(found) for source, _, _ in REFUSED for found in rules.findings(config(LIGHTSPEED + source))
    )
    assert "hunter2" not in everything


@pytest.mark.parametrize(
    "text", ["a", "$", "$..a", "a.*", "a[0,1]", "a[1:2]", "$['a b']", "(a|b).c", "a where b", "`this`", "中"]
)
def test_a_path_that_lcore_can_read(text: str) -> None:
    assert is_jsonpath(text)


@pytest.mark.parametrize("text", ["", "a.", ".a", "a b", "a[", "a[]", "(a", "'a", "a[?(@.b)]", "a:b", "`len`", "é"])
def test_a_path_that_lcore_cannot_read(text: str) -> None:
    assert not is_jsonpath(text)


def test_a_very_deep_path_takes_no_time() -> None:
    assert not is_jsonpath("(" * 50_000 + "a" + ")" * 50_000)
