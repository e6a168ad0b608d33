"""The tables of both documents: what they know in each generation, which keys have a role, that all is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_keys import RUN
from lcompose.load import parse, plain
from lcompose.schema import Key, Kind, check, record, roles
from tests.unit.given import LIGHTSPEED as NEWER
from tests.unit.given import OLDER


def complaints(source: str, generation: str) -> list[str]:
    node = parse(source.encode(), "f")
    return [f"{one.path}: {one.what}" for one in check(node, plain(node), record(LIGHTSPEED), generation).findings]


def run_complaints(source: str) -> list[str]:
    node = parse(source.encode(), "run.yaml")
    return [f"{one.path}: {one.what}" for one in check(node, plain(node), record(RUN, extra="allow")).findings]


def keys(kind: Kind, path: str = "") -> Iterator[tuple[str, Key]]:
    """Every key of a table, with its path; of kinds that differ, each."""
    for name, key in kind.get("keys", {}).items():
        yield f"{path}.{name}", key
        yield from keys(key.kind, f"{path}.{name}")
    for part in ("schema", "items_schema", "values_schema"):
        if part in kind:
            yield from keys(kind[part], path)
    for part in ("choices", "kinds"):
        for one in kind[part].values() if isinstance(kind.get(part), dict) else kind.get(part, ()):
            yield from keys(one, path)


def provider(name: str, setting: str) -> str:
    """A vector store's provider with one setting."""
    known = f"type: faiss, id: {name}, embedding_model: m, embedding_dimension: 1"
    return f"vector_store: {{providers: [{{{known}, config: {{{setting}: p}}}}]}}"


def test_every_key_of_lightspeed_stack_yaml_is_explained_in_one_sentence() -> None:
    odd = [path for path, key in keys(record(LIGHTSPEED)) if not key.doc.endswith(".") or "\n" in key.doc]
    assert odd == []


def test_every_key_at_the_top_of_run_yaml_is_explained() -> None:
    assert [name for name, key in RUN.items() if not key.doc.endswith(".")] == []


@pytest.mark.parametrize(
    ("more", "older", "newer"),
    [
        ("byok_rag: []", [], ["byok_rag: unknown key"]),
        ("reranker: {enabled: true}", [], ["reranker: unknown key"]),
        ("rag: {inline: [okp]}", [], ["rag.inline: unknown key"]),
        ("rag: {retrieval: {inline: {sources: [okp]}}}", [], []),
        (
            "shields: [{name: a, provider_id: granite_guardian, config: {url: u, risks: []}}]",
            ["shields[0].provider_id: input should be one of 'question_validity', 'redaction'"],
            [],
        ),
    ],
)
def test_a_key_is_known_in_its_generation(more: str, older: list[str], newer: list[str]) -> None:
    assert (complaints(OLDER + more, "0.6"), complaints(NEWER + more, "0.7")) == (older, newer)


@pytest.mark.parametrize(
    ("generation", "section", "found"),
    [
        ("0.6", "llama_stack", ["llama_stack.config.baseline: input should be 'default' or 'empty'"]),
        ("0.7", "ogx", []),
    ],
)
def test_a_value_is_known_in_its_generation(generation: str, section: str, found: list[str]) -> None:
    source = f"name: x\nservice: {{}}\nuser_data_collection: {{}}\n{section}: {{config: {{baseline: byo-llm}}}}"
    assert complaints(source, generation) == found


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("vector_store: {providers: [{id: a}]}", ["vector_store.providers[0].type: this key must be there"]),
        (
            provider("byok_a", "path"),
            ["vector_store.providers[0].id: this is not written as it must be"],
        ),
        (
            provider("a", "host"),
            [
                "vector_store.providers[0].config.path: this key must be there",
                "vector_store.providers[0].config.host: unknown key",
            ],
        ),
        ("authorization: {access_rules: [{role: r, actions: [qery]}]}", None),
        (
            "customization: {system_prompt_path: ''}",
            ["customization.system_prompt_path: string should have at least 1 character"],
        ),
        ("compaction: {threshold_ratio: 1.1}", ["compaction.threshold_ratio: input should be less than or equal to 1"]),
        (
            "mcp_servers: [{name: a, url: u, headers: [' ']}]",
            ["mcp_servers[0].headers[0]: this is not written as it must be"],
        ),
        (
            "inference: {providers: [{type: openai, id: A}]}",
            ["inference.providers[0].id: this is not written as it must be"],
        ),
        (
            "rag: {byok: {stores: [{rag_id: a, vector_db_id: b, backend: milvus}]}}",
            ["rag.byok.stores[0].backend: input should be 'faiss' or 'pgvector'"],
        ),
    ],
)
def test_what_was_taken_as_anything_is_strict(more: str, found: list[str] | None) -> None:
    complained = complaints(NEWER + more, "0.7")
    assert complained == found if found is not None else len(complained) == 1


@pytest.mark.parametrize(
    ("path", "right"), [("", True), ("/a", True), ("/a/b", True), ("a", False), ("/", False), ("/a/", False)]
)
def test_a_root_path_begins_with_a_slash_and_does_not_end_with_one(path: str, right: bool) -> None:
    found = complaints(NEWER.replace("{port: 8080}", f"{{root_path: '{path}'}}"), "0.7")
    assert found == ([] if right else ["service.root_path: this is not written as it must be"])


def role_paths(table: dict[str, Key], role: str) -> set[str]:
    return {path.strip(".") for path, key in keys(record(table)) if key.role == role}


def test_every_file_that_lcore_reads_is_known_as_one() -> None:
    assert role_paths(LIGHTSPEED, "file") >= {
        "service.tls_config.tls_certificate_path",
        "service.tls_config.tls_key_path",
        "service.tls_config.tls_key_password",
        "ogx.config.profile",
        "database.postgres.ca_cert_path",
        "conversation_cache.postgres.ca_cert_path",
        "quota_handlers.postgres.ca_cert_path",
        "a2a_state.postgres.ca_cert_path",
        "authentication.k8s_ca_cert_path",
        "customization.profile_path",
        "customization.system_prompt_path",
        "customization.agent_card_path",
        "skills.paths",
        "splunk.token_path",
    }


def test_every_secret_of_lcore_is_known_as_one() -> None:
    assert role_paths(LIGHTSPEED, "secret") >= {
        "ogx.api_key",
        "llama_stack.api_key",
        "database.postgres.password",
        "conversation_cache.postgres.password",
        "quota_handlers.postgres.password",
        "a2a_state.postgres.password",
        "authentication.api_key_config.api_key",
        "azure_entra_id.tenant_id",
        "azure_entra_id.client_id",
        "azure_entra_id.client_secret",
        "rag.byok.stores.password",
        "byok_rag.password",
        "vector_store.providers.config.password",
        "shields.config.api_key",
    }


def test_what_is_written_is_known() -> None:
    assert role_paths(LIGHTSPEED, "written") == {
        "user_data_collection.feedback_storage",
        "user_data_collection.transcripts_storage",
    }
    assert role_paths(LIGHTSPEED, "index") == {
        "rag.byok.stores.db_path",
        "byok_rag.db_path",
        "vector_store.providers.config.path",
    }


@pytest.mark.parametrize(
    ("storage", "found"),
    [
        ("{backends: {a: {type: kv_sqlite, db_path: /x}}}", []),
        ("{backends: {a: {type: kv_sqlite}}}", ["storage.backends.a.db_path: this key must be there"]),
        ("{backends: {a: {db_path: /x}}}", ["storage.backends.a.type: this key must be there"]),
        ("{backends: {a: {type: sql_postgres}}}", ["storage.backends.a.user: this key must be there"]),
        ("{backends: {a: {type: sql_postgres, user: u, port: x, new: 1}}}", []),
        ("{stores: {prompts: {backend: kv, namespace: p}, metadata: null}}", []),
        ("{stores: {prompts: {backend: sql, table_name: p}}}", []),
    ],
)
def test_storage_of_run_yaml_is_strict_where_llama_stack_is(storage: str, found: list[str]) -> None:
    assert run_complaints(f"providers: {{}}\nstorage: {storage}") == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("server: {port: 80}", ["server.port: input should be greater than or equal to 1024"]),
        ("server: {auth: {provider_config: {type: magic}}}", None),
        ("registered_resources: {models: [{}]}", ["registered_resources.models[0].model_id: this key must be there"]),
        ("version: '2'", []),
        ("distro_name: null", []),
        ("metadata_store: {type: sqlite, db_path: 5}", []),
    ],
)
def test_the_rest_of_run_yaml(source: str, found: list[str] | None) -> None:
    complained = run_complaints(f"providers: {{}}\n{source}")
    assert complained == found if found is not None else len(complained) == 1


def test_a_secret_is_found_where_the_kind_of_database_is_not_known() -> None:
    source = b"storage: {backends: {a: {type: '${env.T}', password: s, db_path: /x}}}\nmetadata_store: {db_path: /y}"
    found = [(path[-1], key.role) for path, _, key in roles(parse(source, "run.yaml"), record(RUN))]
    assert found == [("password", "secret"), ("db_path", "database"), ("db_path", "database")]
