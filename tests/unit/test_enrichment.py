"""What is added to a hand-written run.yaml, and who is said to have put it there."""

from __future__ import annotations

from typing import Any

import pytest

from lcompose.lightspeed.draft import Draft, Origin, Step
from lcompose.lightspeed.synthesis import Needs, Synthesis, enriched, needs
from lcompose.load import Path, plain
from tests.unit.given import node

OLDER = (0, 6, 0)
OGX = (1, 2, 5)


def tree(text: str) -> Any:
    return plain(node(text))


def added(lightspeed: str, run: str = "{}", generation: str = "0.7", version: tuple[int, ...] = OGX) -> Synthesis:
    return enriched(tree(lightspeed), tree(run), generation, version)


def whose(made: Synthesis, path: Path) -> Step:
    """Who put there what stands at a path: the longest step above it."""
    return max((one for one in made.steps if path[: len(one.path)] == one.path), key=lambda one: len(one.path))


STORE = """
rag:
  byok:
    stores:
      - {rag_id: kb, vector_db_id: vs_1, db_path: /data/kb.db, embedding_model: /models/e5, embedding_dimension: 384}
"""
OLD_STORE = """
byok_rag:
  - {rag_id: kb, rag_type: "inline::faiss", vector_db_id: vs_1, db_path: /data/kb.db,
     embedding_model: sentence-transformers/e5, embedding_dimension: 384}
"""
WITH_KB = """
storage: {backends: {byok_kb_storage: {type: kv_sqlite, db_path: /data/kb.db}}}
providers:
  vector_io:
    - provider_id: byok_kb
      provider_type: inline::faiss
      config: {persistence: {namespace: "vector_io::faiss", backend: byok_kb_storage}}
registered_resources:
  vector_stores:
    - {vector_store_id: vs_1, provider_id: byok_kb, embedding_model: MODEL, embedding_dimension: 384}
  models:
    - {model_id: byok_kb_embedding, model_type: embedding, provider_id: sentence-transformers,
       provider_model_id: LOADED, metadata: {embedding_dimension: 384}}
"""


def test_nothing_is_added_where_nothing_is_asked_for() -> None:
    run = "{version: 2, providers: {inference: []}, server: {port: 9000}}"
    assert added("{name: x, rag: {byok: {stores: []}}}", run).tree == tree(run)


def test_a_knowledge_store_becomes_a_provider_a_database_a_store_and_a_model() -> None:
    expected = WITH_KB.replace("MODEL", "sentence-transformers/byok_kb_embedding").replace("LOADED", "/models/e5")
    assert added(STORE).tree == tree(expected)


def test_before_ogx_a_store_names_the_model_itself() -> None:
    expected = WITH_KB.replace("MODEL", "sentence-transformers/e5").replace("LOADED", "e5")
    assert added(OLD_STORE, generation="0.6", version=OLDER).tree == tree(expected)


def test_what_is_there_already_is_kept() -> None:
    run = """
    storage: {backends: {kv_default: {type: kv_sqlite, db_path: /kv.db}}}
    providers: {vector_io: [{provider_id: faiss, provider_type: "inline::faiss"}, {provider_id: byok_kb, mine: true}]}
    registered_resources: {vector_stores: [{vector_store_id: vs_1, mine: true}], models: [{model_id: gpt}]}
    """
    made = added(STORE, run).tree
    assert [one["provider_id"] for one in made["providers"]["vector_io"]] == ["faiss", "byok_kb"]
    assert made["providers"]["vector_io"][1] == {"provider_id": "byok_kb", "mine": True}
    assert made["registered_resources"]["vector_stores"] == [{"vector_store_id": "vs_1", "mine": True}]
    assert [one["model_id"] for one in made["registered_resources"]["models"]] == ["gpt", "byok_kb_embedding"]
    assert list(made["storage"]["backends"]) == ["kv_default", "byok_kb_storage"]


@pytest.mark.parametrize(
    ("name", "env", "entries"),
    [
        ("vs_1", {}, 1),
        ("${env.STORE:=vs_1}", {}, 1),
        ("${env.STORE:=vs_1}", {"STORE": "vs_2"}, 2),
        ("${env.STORE}", {"STORE": "vs_1"}, 1),
        ("${env.STORE}", {}, 2),
    ],
)
def test_a_store_is_known_by_what_its_variable_stands_for(name: str, env: dict[str, str], entries: int) -> None:
    run = tree(f'registered_resources: {{vector_stores: [{{vector_store_id: "{name}"}}]}}')
    resources = enriched(tree(STORE), run, "0.7", OGX, env).tree["registered_resources"]
    assert len(resources["vector_stores"]) == entries


def test_the_same_variable_is_the_same_store() -> None:
    store = "rag: {byok: {stores: [{rag_id: kb, vector_db_id: '${env.STORE}'}]}}"
    run = "registered_resources: {vector_stores: [{vector_store_id: '${env.STORE}', provider_id: mine}]}"
    assert [one["provider_id"] for one in added(store, run).tree["registered_resources"]["vector_stores"]] == ["mine"]


def test_pgvector_takes_what_it_is_not_told_from_variables() -> None:
    store = "rag: {byok: {stores: [{rag_id: kb, vector_db_id: v, backend: pgvector, host: db, port: 5433, user: ' '}]}}"
    made = added(store).tree
    assert made["providers"]["vector_io"][0] == tree("""
        provider_id: byok_kb
        provider_type: remote::pgvector
        config:
          persistence: {namespace: "vector_io::pgvector", backend: kv_default}
          host: db
          port: 5433
          db: ${env.POSTGRES_DATABASE}
          user: ${env.POSTGRES_USER}
          password: ${env.POSTGRES_PASSWORD}
    """)
    assert made["storage"] == {"backends": {}}


def test_two_stores_with_one_model_have_an_alias_each() -> None:
    stores = "rag: {byok: {stores: [{rag_id: a, vector_db_id: a}, {rag_id: b, vector_db_id: b}]}}"
    models = added(stores).tree["registered_resources"]["models"]
    assert [one["model_id"] for one in models] == ["byok_a_embedding", "byok_b_embedding"]
    assert {one["provider_model_id"] for one in models} == {"all-mpnet-base-v2"}


def test_a_store_that_says_no_dimension_has_lcores_default() -> None:
    resources = added("rag: {byok: {stores: [{rag_id: a, vector_db_id: a}]}}").tree["registered_resources"]
    assert resources["vector_stores"][0]["embedding_dimension"] == 768
    assert resources["models"][0]["metadata"] == {"embedding_dimension": 768}


def test_before_ogx_two_stores_share_the_registered_model() -> None:
    stores = "byok_rag: [{rag_id: a, vector_db_id: a}, {rag_id: b, vector_db_id: b}]"
    models = added(stores, generation="0.6", version=OLDER).tree["registered_resources"]["models"]
    assert [one["model_id"] for one in models] == ["byok_a_embedding"]


OKP = """
rag:
  retrieval: {tool: {sources: [okp]}}
  okp: {rhokp_url: URL, search_mode: semantic, chunk_filter_query: "a:b"}
"""


def test_the_portal_needs_its_provider_a_store_a_model_and_a_folder_of_providers() -> None:
    made = added(OKP.replace("URL", "http://okp:8080/some/where"), "providers: {}").tree
    assert made == tree(r"""
        external_providers_dir: ${env.EXTERNAL_PROVIDERS_DIR:=/opt/app-root/providers.d}
        providers:
          vector_io:
            - provider_id: okp_solr
              provider_type: remote::solr_vector_io
              config:
                solr_url: http://okp:8080/solr
                collection_name: ${env.SOLR_COLLECTION:=portal-rag}
                vector_field: ${env.SOLR_VECTOR_FIELD:=chunk_vector}
                content_field: ${env.SOLR_CONTENT_FIELD:=chunk}
                embedding_model: "${env.SOLR_EMBEDDING_MODEL:=sentence-transformers/ibm-granite/\
                  granite-embedding-30m-english}"
                embedding_dimension: ${env.SOLR_EMBEDDING_DIM:=384}
                chunk_window_config:
                  chunk_parent_id_field: parent_id
                  chunk_content_field: chunk_field
                  chunk_index_field: chunk_index
                  chunk_token_count_field: num_tokens
                  chunk_online_source_url_field: online_source_url
                  chunk_source_path_field: source_path
                  parent_total_chunks_field: total_chunks
                  parent_total_tokens_field: total_tokens
                  chunk_filter_query: "is_chunk:true AND a:b"
                  chunk_family_fields: [headings]
                persistence: {namespace: portal-rag, backend: kv_default}
        registered_resources:
          vector_stores:
            - vector_store_id: portal-rag
              provider_id: okp_solr
              embedding_model: sentence-transformers/solr_embedding
              embedding_dimension: 384
          models:
            - model_id: sentence-transformers/solr_embedding
              model_type: embedding
              provider_id: sentence-transformers
              provider_model_id: ${env.SOLR_EMBEDDING_MODEL:=ibm-granite/granite-embedding-30m-english}
              metadata: {embedding_dimension: 384}
        vector_stores: {chunk_retrieval_params: {default_search_mode: vector}}
    """)


def test_before_ogx_the_portal_is_asked_for_in_flat_lists() -> None:
    made = added("{rag: {inline: [okp]}, okp: {search_mode: hybrid}}", generation="0.6", version=OLDER).tree
    store, model = made["registered_resources"]["vector_stores"][0], made["registered_resources"]["models"][0]
    assert made["providers"]["vector_io"][0]["config"]["solr_url"] == "http://localhost:8081/solr"
    expected = "${env.SOLR_EMBEDDING_MODEL:=sentence-transformers/ibm-granite/granite-embedding-30m-english}"
    assert (store["embedding_model"], model["model_id"]) == (expected, "solr_embedding")
    assert "vector_stores" not in made


@pytest.mark.parametrize(
    ("url", "solr"),
    [
        ("http://okp", "http://okp/solr"),
        ("https://okp:8443/x?y=z", "https://okp:8443/solr"),
        ("http://[::1", "http://[::1"),
        ("${env.RH_SERVER_OKP}", "${env.RH_SERVER_OKP}/solr"),
        ("${env.RH_SERVER_OKP}/x/y", "${env.RH_SERVER_OKP}/solr"),
        ("${env.RH_SERVER_OKP:=http://okp:8081}", "${env.RH_SERVER_OKP:=http://okp:8081}/solr"),
        ("http://${env.OKP_HOST}:${env.OKP_PORT:=80}/x", "http://${env.OKP_HOST}:${env.OKP_PORT:=80}/solr"),
    ],
)
def test_solr_is_on_the_portals_host_whatever_path_the_address_has(url: str, solr: str) -> None:
    made = added(OKP.replace("URL", f"'{url}'")).tree
    assert made["providers"]["vector_io"][0]["config"]["solr_url"] == solr


def test_a_folder_of_providers_that_is_named_is_kept() -> None:
    made = added(OKP.replace("URL", "http://okp"), "external_providers_dir: /mine").tree
    assert made["external_providers_dir"] == "/mine"


def test_azures_provider_does_not_look_for_models_before_there_is_a_token() -> None:
    run = """
    providers:
      inference:
        - {provider_id: a, provider_type: "remote::azure", config: {api_base: x}}
        - {provider_id: b, provider_type: "remote::azure"}
        - {provider_id: c, provider_type: "remote::openai"}
    """
    providers = added("azure_entra_id: {tenant_id: t}", run).tree["providers"]["inference"]
    assert [one.get("config") for one in providers] == [
        {"api_base": "x", "model_validation": False},
        {"model_validation": False},
        None,
    ]


def test_of_providers_with_one_name_the_first_is_kept() -> None:
    run = "providers: {vector_io: [{provider_id: a, n: 1}, null, {provider_id: ' a '}, {n: 2}, {n: 3}]}"
    assert added("{}", run).tree["providers"]["vector_io"] == [{"provider_id": "a", "n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize(
    ("store", "what"),
    [
        ("{vector_db_id: v}", "a knowledge store needs 'rag_id'"),
        ("{rag_id: r}", "a knowledge store needs 'vector_db_id'"),
        ("{rag_id: r, vector_db_id: v, backend: milvus}", "a knowledge store of the kind 'milvus' is not known"),
    ],
)
def test_a_store_that_cannot_be_made_is_told_and_not_dropped_in_silence(store: str, what: str) -> None:
    made = added(f"rag: {{byok: {{stores: [{store}]}}}}")
    assert made.tree == {}
    assert [(one.path, one.what) for one in made.problems] == [(("rag", "byok", "stores", 0), what)]


@pytest.mark.parametrize(
    "run", ["providers: 1", "providers: {vector_io: {}}", "storage: []", "registered_resources: x"]
)
def test_what_is_wrong_in_run_yaml_stays_for_its_own_check(run: str) -> None:
    key, value = next(iter(tree(run).items()))
    assert added(STORE, run).tree[key] == value


def test_each_part_is_traced_to_where_it_comes_from() -> None:
    run = "providers: {vector_io: [{provider_id: x}, {provider_id: x}]}"
    made = added(f"{STORE}\nazure_entra_id: {{}}", run)
    assert whose(made, ("providers", "vector_io", 0)).reason == "run.yaml"
    assert whose(made, ("providers", "vector_io", 1, "config")).source == ("rag", "byok", "stores", 0)
    assert whose(made, ("storage", "backends", "byok_kb_storage", "db_path")).source == ("rag", "byok", "stores", 0)


def test_nothing_that_is_given_is_changed() -> None:
    lightspeed, run = tree(STORE), tree("providers: {vector_io: []}")
    made = enriched(lightspeed, run, "0.7", OGX)
    made.tree["providers"]["vector_io"].clear()
    assert (lightspeed, run) == (tree(STORE), tree("providers: {vector_io: []}"))


def test_what_two_aliases_share_is_changed_for_one_of_them_only() -> None:
    shared = {"x": 1}
    draft = Draft({"a": shared, "b": shared}, Origin((), ""))
    draft.put(draft.mapping("a"), "x", 2, Origin((), ""))
    assert draft.tree == {"a": {"x": 2}, "b": {"x": 1}}


def test_what_was_replaced_has_no_step() -> None:
    draft = Draft({"a": {}}, Origin((), "first"))
    draft.put(draft.mapping("a"), "b", {"c": 1}, Origin(("s",), "second"))
    draft.merge({"a": {"b": [1]}}, Origin(("o",), "third"))
    assert draft.steps() == (Step((), (), "first"), Step(("a", "b"), ("o", "a", "b"), "third"))


def needed(lightspeed: str, run: str = "{}", generation: str = "0.7", version: tuple[int, ...] = OGX) -> Needs:
    document = tree(lightspeed)
    return needs(document, enriched(document, tree(run), generation, version).tree)


def test_databases_are_those_that_llama_stack_writes() -> None:
    text = f"{STORE}vector_store: {{providers: [{{type: pgvector}}, {{type: faiss, config: {{path: ./n.db}}}}]}}"
    assert needed(text).databases == (
        (("rag", "byok", "stores", 0, "db_path"), "/data/kb.db"),
        (("vector_store", "providers", 1, "config", "path"), "./n.db"),
    )
    assert needed(OLD_STORE, generation="0.6", version=OLDER).databases == (
        (("byok_rag", 0, "db_path"), "/data/kb.db"),
    )


def test_models_are_fetched_unless_they_are_files_of_the_image() -> None:
    assert needed(STORE).models == ()
    assert needed(OLD_STORE, generation="0.6", version=OLDER).models == ("e5",)
    run = "vector_stores: {default_embedding_model: {provider_id: sentence-transformers, model_id: nomic}}"
    assert needed(STORE, run).models == ("nomic",)


@pytest.mark.parametrize(
    ("rag", "model"),
    [
        ("{}", ""),
        ("{byok: {stores: [S]}, retrieval: {inline: {sources: [okp]}}}", "cross-encoder/ms-marco-MiniLM-L6-v2"),
        ("{byok: {stores: [S]}, retrieval: {tool: {sources: [okp]}}}", ""),
        ("{byok: {stores: [S]}, retrieval: {inline: {sources: [okp], reranker: {model: mine}}}}", ""),
        ("{retrieval: {inline: {reranker: {enabled: true, model: mine}}}}", "mine"),
        ("{byok: {stores: [S]}, retrieval: {inline: {sources: [okp], reranker: null}}}", ""),
    ],
)
def test_the_reranker_is_switched_on_by_itself_when_both_kinds_of_knowledge_are_mixed(rag: str, model: str) -> None:
    text = rag.replace("S", "{rag_id: kb, vector_db_id: v}")
    assert needs(tree(f"rag: {text}"), {}).reranker == model


def test_a_thousand_stores_take_no_time() -> None:
    stores = [{"rag_id": f"r{n}", "vector_db_id": f"v{n}", "db_path": "/d"} for n in range(1000)]
    made = enriched({"rag": {"byok": {"stores": stores}}}, {}, "0.7", OGX)
    assert len(made.tree["providers"]["vector_io"]) == 1000
