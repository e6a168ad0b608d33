"""A unified lightspeed-stack.yaml in, run.yaml out."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.lightspeed.synthesis import (
    INFERENCE_TYPES,
    Synthesis,
    is_unified,
    needs,
    shipped_baseline,
    synthesized,
)
from lcompose.load import plain, value_at
from tests.unit.given import node

OLDER, OGX = (0, 6, 0), (1, 2, 5)
BASELINE = {"apis": ["inference"], "providers": {"inference": [{"provider_id": "openai", "n": 1}]}, "here": True}


def tree(text: str) -> Any:
    return plain(node(text))


def made(
    text: str,
    profile: Any = None,
    *,
    baseline: Any = None,
    generation: str = "0.7",
    version: tuple[int, ...] = OGX,
) -> Synthesis:
    document = tree(text)
    section = "ogx" if "ogx" in document else "llama_stack"
    start = shipped_baseline(version) if baseline is None else baseline
    return synthesized(
        document, section=section, baseline=start, profile=profile, generation=generation, server_version=version
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("{ogx: {url: x}}", False),
        ("{ogx: {config: null}, inference: {providers: []}, vector_store: {providers: []}}", False),
        ("{ogx: {library_client_config_path: run.yaml}}", False),
        ("{ogx: null, inference: null}", False),
        ("{ogx: {config: {}}}", True),
        ("{ogx: {config: {baseline: empty}}}", True),
        ("{inference: {providers: [{type: openai}]}}", True),
        ("{vector_store: {providers: [{id: a}]}}", True),
    ],
)
def test_a_document_asks_for_synthesis_by_a_config_or_by_providers(text: str, answer: bool) -> None:
    assert is_unified(tree(text), "ogx") is answer


def test_the_default_baseline_alone_is_what_is_run() -> None:
    assert made("ogx: {config: {baseline: default}}").tree == shipped_baseline(OGX)
    assert made("inference: {providers: [{type: azure}]}").tree["apis"] == shipped_baseline(OGX)["apis"]


def test_before_ogx_the_baseline_has_agents_and_no_tool_runtime_is_added() -> None:
    run = made("llama_stack: {config: {}}", generation="0.6", version=OLDER).tree
    assert "agents" in run["apis"]
    assert [one["provider_id"] for one in run["providers"]["tool_runtime"]] == ["rag-runtime"]


def test_an_empty_baseline_is_native_override_and_nothing_else() -> None:
    run = made("ogx: {config: {baseline: empty, native_override: {version: 2, apis: [inference]}}}").tree
    assert run == {"version": 2, "apis": ["inference"]}


def test_byo_llm_is_the_default_without_its_openai() -> None:
    run = made("ogx: {config: {baseline: byo-llm}}").tree
    assert [one["provider_id"] for one in run["providers"]["inference"]] == ["sentence-transformers"]


def test_a_profile_wins_over_the_baseline_and_gets_the_tool_runtime() -> None:
    run = made("ogx: {config: {baseline: empty, profile: p.yaml}}", {"version": 2, "apis": ["inference"]}).tree
    provider = {
        "provider_id": "model-context-protocol",
        "provider_type": "remote::model-context-protocol",
        "config": {},
    }
    expected = {"version": 2, "apis": ["inference", "tool_runtime"], "providers": {"tool_runtime": [provider]}}
    assert run == expected


@pytest.mark.parametrize("profile", [None, {}])
def test_a_profile_with_nothing_in_it_is_no_default(profile: Any) -> None:
    assert list(made("ogx: {config: {profile: p.yaml}}", profile).tree) == ["apis", "providers"]


def test_a_profile_that_is_a_list_is_told() -> None:
    problems = made("ogx: {config: {profile: p.yaml}}", ["x"]).problems
    assert [(one.path, one.what) for one in problems] == [
        (("ogx", "config", "profile"), "the profile must hold keys and values")
    ]


@pytest.mark.parametrize(("kind", "provider_type"), INFERENCE_TYPES.items())
def test_each_type_of_inference_is_a_provider_with_its_key_in_a_variable(kind: str, provider_type: str) -> None:
    text = (
        f"inference: {{providers: [{{type: {kind}, api_key_env: KEY, allowed_models: [m], extra: {{base_url: u}}}}]}}"
    )
    provider = made(text, baseline={}).tree["providers"]["inference"][0]
    key = "api_token" if provider_type == "remote::vllm" else "api_key"
    assert provider == {
        "provider_id": kind.replace("_", "-"),
        "provider_type": provider_type,
        "config": {"base_url": "u", key: "${env.KEY}", "allowed_models": ["m"]},
    }


def test_a_provider_without_settings_has_no_config() -> None:
    run = made("inference: {providers: [{type: ollama, id: local}]}", baseline={}).tree
    assert run["providers"]["inference"] == [{"provider_id": "local", "provider_type": "remote::ollama"}]


def test_the_key_in_extra_does_not_win_over_its_variable() -> None:
    text = "inference: {providers: [{type: openai, api_key_env: KEY, extra: {api_key: clear}}]}"
    assert made(text, baseline={}).tree["providers"]["inference"][0]["config"]["api_key"] == "${env.KEY}"


def test_a_provider_replaces_the_one_of_its_name_in_its_place() -> None:
    for text in ("{type: openai}", "{type: vllm, id: openai}"):
        run = made(f"inference: {{providers: [{text}]}}").tree
        assert [one["provider_id"] for one in run["providers"]["inference"]] == ["openai", "sentence-transformers"]
    run = made("inference: {providers: [{type: vllm, extra: {n: 1}}, {type: vllm, extra: {n: 2}}]}", baseline={}).tree
    assert [one["config"] for one in run["providers"]["inference"]] == [{"n": 2}]


@pytest.mark.parametrize("provider", ["{type: bedrock}", "{id: x}", "text"])
def test_a_provider_of_no_known_type_is_told(provider: str) -> None:
    problems = made(f"inference: {{providers: [{provider}]}}").problems
    assert [one.path for one in problems] == [("inference", "providers", 0)]


VECTOR_STORE = """
vector_store:
  default_provider: notes
  providers:
    - {id: notes, type: faiss, embedding_model: /models/e5, embedding_dimension: 768, config: {path: /data/n.db}}
    - {id: pg, type: pgvector, embedding_model: sentence-transformers/e5, embedding_dimension: 384, config: {host: db}}
"""


def test_vector_stores_become_providers_databases_models_and_the_default() -> None:
    run = made(f"ogx: {{config: {{baseline: empty}}}}\n{VECTOR_STORE}").tree
    assert run == tree("""
        storage: {backends: {vsprov_notes_storage: {type: kv_sqlite, db_path: /data/n.db}}}
        providers:
          vector_io:
            - provider_id: notes
              provider_type: inline::faiss
              config: {persistence: {namespace: "vector_io::faiss", backend: vsprov_notes_storage}}
            - provider_id: pg
              provider_type: remote::pgvector
              config:
                persistence: {namespace: "vector_io::pgvector", backend: kv_default}
                host: db
                port: ${env.POSTGRES_PORT}
                db: ${env.POSTGRES_DATABASE}
                user: ${env.POSTGRES_USER}
                password: ${env.POSTGRES_PASSWORD}
        registered_resources:
          models:
            - {model_id: vsprov_notes_embedding, model_type: embedding, provider_id: sentence-transformers,
               provider_model_id: /models/e5, metadata: {embedding_dimension: 768}}
            - {model_id: vsprov_pg_embedding, model_type: embedding, provider_id: sentence-transformers,
               provider_model_id: e5, metadata: {embedding_dimension: 384}}
        vector_stores:
          default_provider_id: notes
          default_embedding_model: {provider_id: sentence-transformers, model_id: vsprov_notes_embedding}
    """)


def test_a_vector_store_replaces_the_provider_of_its_name() -> None:
    run = made("vector_store: {providers: [{id: faiss, type: faiss, config: {path: /f.db}}]}").tree
    assert [one["provider_id"] for one in run["providers"]["vector_io"]] == ["faiss"]
    assert run["providers"]["vector_io"][0]["config"]["persistence"]["backend"] == "vsprov_faiss_storage"


@pytest.mark.parametrize("entry", ["{id: a, type: milvus}", "{type: faiss}", "{id: a, type: faiss}", "text"])
def test_a_vector_store_that_cannot_be_made_is_told(entry: str) -> None:
    problems = made(f"vector_store: {{providers: [{entry}]}}").problems
    assert [one.path for one in problems] == [("vector_store", "providers", 0)]


OVERRIDE = """
SECTION:
  config:
    baseline: empty
    native_override:
      providers: {vector_io: [{provider_id: mine}]}
rag: {byok: {stores: [{rag_id: kb, vector_db_id: v}]}}
"""


@pytest.mark.parametrize(
    ("generation", "section", "providers"), [("0.7", "ogx", ["mine", "byok_kb"]), ("0.6", "llama_stack", ["mine"])]
)
def test_a_list_of_native_override_keeps_the_stores_since_0_7(
    generation: str, section: str, providers: list[str]
) -> None:
    run = made(OVERRIDE.replace("SECTION", section), generation=generation).tree
    assert [one["provider_id"] for one in run["providers"]["vector_io"]] == providers


def test_native_override_merges_mappings_and_replaces_the_rest() -> None:
    overlay = "{here: {x: 1}, apis: [files], providers: {inference: null, files: [{provider_id: f}]}, more: '${env.X}'}"
    run = made(f"ogx: {{config: {{native_override: {overlay}}}}}", baseline=BASELINE).tree
    del run["providers"]["tool_runtime"]
    assert run == {
        "apis": ["files"],
        "providers": {"inference": None, "files": [{"provider_id": "f"}]},
        "here": {"x": 1},
        "more": "${env.X}",
    }


def test_native_override_can_take_the_tool_runtime_out() -> None:
    run = made("ogx: {config: {native_override: {providers: {tool_runtime: [{provider_id: x}]}}}}").tree
    assert run["providers"]["tool_runtime"] == [{"provider_id": "x"}]


def whose(synthesis: Synthesis, *path: str | int) -> tuple[Any, str]:
    above = [one for one in synthesis.steps if path[: len(one.path)] == one.path]
    step = max(above, key=lambda one: len(one.path))
    return step.source, step.reason


def test_for_each_value_the_layer_that_set_it_is_known() -> None:
    synthesis = made(f"""
        ogx: {{config: {{baseline: default, native_override: {{server: {{workers: 2}}}}}}}}
        inference: {{providers: [{{type: vllm}}, {{type: openai}}]}}
        {VECTOR_STORE.strip().replace(chr(10), chr(10) + "        ")}
    """)
    assert whose(synthesis, "storage", "stores") == (("ogx", "config", "baseline"), "the default baseline")
    assert whose(synthesis, "providers", "inference", 0, "provider_type")[0] == ("inference", "providers", 1)
    assert whose(synthesis, "providers", "inference", 2)[0] == ("inference", "providers", 0)
    assert whose(synthesis, "server", "workers")[0] == ("ogx", "config", "native_override", "server")
    assert whose(synthesis, "vector_stores", "default_provider_id")[0] == ("vector_store", "default_provider")
    assert whose(synthesis, "vector_stores", "annotation_prompt_params")[1] == "the default baseline"


def test_the_tool_runtime_that_is_added_says_why() -> None:
    synthesis = made("ogx: {config: {profile: p}}", {"apis": ["inference"]})
    assert whose(synthesis, "apis", 1)[0] == whose(synthesis, "providers", "tool_runtime", 0)[0] == ("mcp_servers",)
    assert whose(synthesis, "apis", 0)[0] == ("ogx", "config", "profile")


def test_the_shipped_baseline_is_not_changed_by_what_is_made_of_it() -> None:
    before = deepcopy(shipped_baseline(OGX))
    made(f"ogx: {{config: {{baseline: byo-llm, native_override: {{apis: [x]}}}}}}\n{VECTOR_STORE}").tree["apis"].append(
        "y"
    )
    assert shipped_baseline(OGX) == before


SCALARS = st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["", "x", "${env.X:=y}", "faiss", "kb"])
KEYS = st.sampled_from(
    [
        "providers",
        "vector_io",
        "inference",
        "tool_runtime",
        "provider_id",
        "provider_type",
        "config",
        "registered_resources",
        "models",
        "vector_stores",
        "vector_store_id",
        "model_id",
        "storage",
        "backends",
        "apis",
        "kv_default",
        "chunk_retrieval_params",
    ]
)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


WORDS = st.sampled_from(
    [
        "providers",
        "stores",
        "id",
        "type",
        "config",
        "path",
        "backend",
        "rag_id",
        "vector_db_id",
        "rag_type",
        "extra",
        "api_key_env",
        "allowed_models",
        "embedding_model",
        "embedding_dimension",
        "search_mode",
        "rhokp_url",
        "chunk_filter_query",
        "reranker",
        "enabled",
    ]
)
VALUES = SCALARS | st.sampled_from(["openai", "faiss", "pgvector", "inline::faiss"])
# What a person might write by mistake: the right words with anything at all behind them.
MISTAKES = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=6))
ENTRIES = st.lists(st.dictionaries(WORDS, MISTAKES, min_size=2, max_size=9) | MISTAKES, max_size=3)


@given(ENTRIES, ENTRIES, MISTAKES, TREES, st.sampled_from([("0.6", OLDER), ("0.6", OGX), ("0.7", OGX)]))
def test_whatever_is_written_there_nothing_fails(
    one: Any, two: Any, anything: Any, run: Any, rules: tuple[str, tuple[int, ...]]
) -> None:
    document = {
        "ogx": {"config": {"profile": "p", "native_override": run}},
        "inference": {"providers": one},
        "vector_store": {"providers": two, "default_provider": anything},
        "rag": {"byok": {"stores": one}, "okp": anything, "retrieval": {"inline": {"sources": ["okp"]}}},
        "byok_rag": two,
        "azure_entra_id": {},
    }
    result = synthesized(
        document, section="ogx", baseline={}, profile=run, generation=rules[0], server_version=rules[1]
    )
    needs(document, result.tree)
    needs({**document, "rag": {"retrieval": {"inline": anything}}, "okp": anything, "reranker": anything}, run)


@given(TREES, TREES, st.sampled_from(["0.6", "0.7"]), st.sampled_from([OLDER, OGX]))
def test_whatever_stands_there_nothing_fails(one: Any, two: Any, generation: str, version: tuple[int, ...]) -> None:
    document = {
        "ogx": {"config": {"native_override": one, "profile": two}},
        "inference": one,
        "vector_store": {"providers": two, "default_provider": one},
        "rag": {"byok": {"stores": two}, "okp": one, "retrieval": {"inline": {"sources": ["okp"]}}},
        "azure_entra_id": {},
    }
    result = synthesized(
        document, section="ogx", baseline=one, profile=two, generation=generation, server_version=version
    )
    assert all(step.path == () or value_at(result.tree, step.path[:-1]) is not None for step in result.steps)
