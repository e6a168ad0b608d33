"""Older documents in the form of today: what becomes of each, what a person decides, and that twice is once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.lightspeed.images import Generation
from lcompose.lightspeed.migration import is_one_file, join, migrate_lightspeed
from lcompose.lightspeed.rewrite import Move, Rewrite
from lcompose.lightspeed.run_migration import migrate_run
from lcompose.load import parse, plain
from tests.conftest import SHARED


def rewritten(tree: Any, target: Generation = "0.7", *, run: bool = True, remarks: Any = None) -> Rewrite:
    """A document after its migration; the tree that was given stays as it was."""
    read = plain(parse(tree.encode(), "")) if isinstance(tree, str) else deepcopy(tree)
    doc = Rewrite("run.yaml" if run else "lightspeed-stack.yaml", read, dict(remarks or {}))
    (migrate_run if run else migrate_lightspeed)(doc, target)
    return doc


def run_of(text: str, target: Generation = "0.7") -> Any:
    """What a run.yaml becomes; nothing stands in the way."""
    doc = rewritten(text, target)
    assert doc.obstacles == []
    return doc.tree


def lightspeed_of(text: str, target: Generation = "0.7") -> Any:
    """What a lightspeed-stack.yaml becomes; nothing stands in the way."""
    doc = rewritten(text, target, run=False)
    assert doc.obstacles == []
    return doc.tree


def test_the_stores_of_the_server_become_backends_that_are_referred_to() -> None:
    text = """
    distro_name: x
    metadata_store: {type: sqlite, db_path: ~/.llama/registry.db}
    inference_store: &pg {type: postgres, host: "${env.H}", port: 5432, db: d, user: u, password: "${env.P}"}
    conversations_store: *pg
    """
    postgres = {
        "type": "sql_postgres",
        "host": "${env.H}",
        "port": 5432,
        "db": "d",
        "user": "u",
        "password": "${env.P}",
    }
    assert run_of(text) == {
        "distro_name": "x",
        "storage": {
            "backends": {
                "kv_default": {"type": "kv_sqlite", "db_path": "~/.llama/registry.db"},
                "sql_default": postgres,
            },
            "stores": {
                "metadata": {"backend": "kv_default", "namespace": "registry"},
                "inference": {"backend": "sql_default", "table_name": "inference_store"},
                "conversations": {"backend": "sql_default", "table_name": "openai_conversations"},
            },
        },
    }


def test_a_providers_database_stays_where_it_is_and_its_keys_get_no_prefix() -> None:
    text = """
    providers:
      vector_io:
      - provider_id: docs
        provider_type: inline::faiss
        config: {kvstore: {type: sqlite, namespace: null, db_path: /app-root/vector_db/1.8/faiss_store.db}}
    """
    found = run_of(text)
    assert found["providers"]["vector_io"][0]["config"] == {
        "persistence": {"backend": "kv_faiss_store", "namespace": ""}
    }
    assert found["storage"]["backends"] == {
        "kv_faiss_store": {"type": "kv_sqlite", "db_path": "/app-root/vector_db/1.8/faiss_store.db"},
        "kv_default": {"type": "kv_sqlite", "db_path": "/app-root/vector_db/1.8/kv_store.db"},
        "sql_default": {"type": "sql_sqlite", "db_path": "/app-root/vector_db/1.8/sql_store.db"},
    }


def test_a_prefix_that_a_store_had_is_kept() -> None:
    text = "providers: {eval: [{provider_id: e, config: {kvstore: {type: redis, host: r, namespace: mine}}}]}"
    found = run_of(text, "0.6")
    assert found["providers"]["eval"][0]["config"]["kvstore"] == {"backend": "kv_redis", "namespace": "mine"}
    assert found["storage"]["backends"]["kv_redis"] == {"type": "kv_redis", "host": "r"}


def test_two_stores_in_one_database_share_a_backend_and_two_of_one_name_do_not() -> None:
    text = """
    providers:
      datasetio:
      - {provider_id: a, config: {kvstore: {type: sqlite, db_path: /a/store.db}}}
      - {provider_id: b, config: {kvstore: {type: sqlite, db_path: /a/store.db}}}
      - {provider_id: c, config: {kvstore: {type: sqlite, db_path: /c/store.db}}}
    """
    stores = run_of(text, "0.6")["providers"]["datasetio"]
    assert [one["config"]["kvstore"]["backend"] for one in stores] == ["kv_store", "kv_store", "kv_store_2"]


def test_a_store_that_says_no_path_keeps_the_one_that_it_had() -> None:
    backends = run_of("metadata_store: {type: sqlite}")["storage"]["backends"]
    assert backends["kv_default"] == {"type": "kv_sqlite", "db_path": "~/.llama/runtime/kvstore.db"}


def test_where_storage_says_a_store_already_the_old_key_goes() -> None:
    text = """
    metadata_store: {type: sqlite, db_path: /old.db}
    storage:
      backends: {kv_default: {type: kv_sqlite, db_path: /new.db}, sql_default: {type: sql_sqlite, db_path: /s.db}}
      stores: {metadata: {backend: kv_default, namespace: registry}}
    """
    doc = rewritten(text)
    assert "metadata_store" not in doc.tree
    assert doc.moves == [
        Move("run.yaml", "removed", "metadata_store", "", "storage.stores.metadata is here too, and wins")
    ]


AGENTS = """
apis: [agents, inference, safety]
providers:
  agents:
  - provider_id: meta-reference
    provider_type: inline::meta-reference
    config:
      persistence_store: {type: sqlite, db_path: /a.db}
      responses_store: {type: sqlite, db_path: /r.db}
  tool_runtime:
  - {provider_id: rag-runtime, provider_type: "inline::rag-runtime", config: {}}
  safety:
  - {provider_id: guard, provider_type: "inline::llama-guard", config: {}}
  batches:
  - {provider_id: reference, provider_type: "inline::reference", config: {kvstore: {type: sqlite, db_path: /b.db}}}
"""


def test_for_0_7_agents_are_responses_and_what_llama_stack_gave_up_is_gone() -> None:
    found = run_of(AGENTS)
    assert found["apis"] == ["responses", "inference"]
    assert found["providers"] == {
        "responses": [
            {
                "provider_id": "meta-reference",
                "provider_type": "inline::builtin",
                "config": {"persistence": {"responses": {"backend": "sql_r", "table_name": "openai_responses"}}},
            }
        ],
        "tool_runtime": [{"provider_id": "rag-runtime", "provider_type": "inline::file-search", "config": {}}],
        "batches": [
            {
                "provider_id": "reference",
                "provider_type": "inline::reference",
                "config": {"sqlstore": {"backend": "sql_default", "table_name": "batches"}},
            }
        ],
    }
    assert sorted(found["storage"]["backends"]) == ["kv_default", "sql_default", "sql_r"]


def test_for_0_6_agents_and_their_kin_stay() -> None:
    found = run_of(AGENTS, "0.6")
    assert found["apis"] == ["agents", "inference", "safety"]
    assert [found["providers"][api][0]["provider_type"] for api in ("agents", "tool_runtime", "safety", "batches")] == [
        "inline::meta-reference",
        "inline::rag-runtime",
        "inline::llama-guard",
        "inline::reference",
    ]
    assert found["providers"]["agents"][0]["config"] == {
        "persistence": {
            "agent_state": {"backend": "kv_a", "namespace": ""},
            "responses": {"backend": "sql_r", "table_name": "openai_responses"},
        }
    }


def test_resources_are_listed_in_one_place_and_empty_lists_go() -> None:
    text = """
    models: [{model_id: m}]
    vector_dbs: [{vector_db_id: v, provider_vector_db_id: p, embedding_model: m}]
    datasets: []
    shields: [{shield_id: s}]
    tool_groups: [{toolgroup_id: "builtin::rag"}]
    """
    stores = [{"vector_store_id": "v", "provider_vector_store_id": "p", "embedding_model": "m"}]
    models = [{"model_id": "m"}]
    assert run_of(text) == {"registered_resources": {"models": models, "vector_stores": stores}}
    groups = {"shields": [{"shield_id": "s"}], "tool_groups": [{"toolgroup_id": "builtin::rag"}]}
    assert run_of(text, "0.6") == {"registered_resources": {"models": models, "vector_stores": stores, **groups}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("image_name: x", {"distro_name": "x"}),
        ("{image_name: x, distro_name: y}", {"distro_name": "y"}),
        ("metadata_store: null", {}),
        ("a: ['${env.A:b}', '${env.C:}', '${env.D:=e}', '${env.F:+g}']",
         {"a": ["${env.A:=b}", "${env.C:=}", "${env.D:=e}", "${env.F:+g}"]}),
        ("providers: {inference: [{provider_type: 'remote::vllm', config: {url: u, x: 1}}]}",
         {"providers": {"inference": [{"provider_type": "remote::vllm", "config": {"base_url": "u", "x": 1}}]}}),
        ("providers: {inference: [{provider_type: 'remote::vllm', config: {url: u, base_url: v}}]}",
         {"providers": {"inference": [{"provider_type": "remote::vllm", "config": {"url": "u", "base_url": "v"}}]}}),
    ],
)  # fmt: skip
def test_a_small_thing_becomes_what_it_is_called_today(before: str, after: Any) -> None:
    assert run_of(before) == after


def test_prompts_and_connectors_move_to_an_sql_database_in_0_7_only() -> None:
    text = """
    storage:
      backends: {kv_default: {type: kv_sqlite, db_path: k}, sql_default: {type: sql_sqlite, db_path: s}}
      stores: {prompts: {backend: kv_default, namespace: prompts}}
    """
    assert run_of(text)["storage"]["stores"] == {"prompts": {"backend": "sql_default", "table_name": "prompts"}}
    assert rewritten(text, "0.6").moves == []


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        ("metadata_store: {type: '${env.T}', db_path: x}", ("metadata_store", "type"), "is not known"),
        ("inference_store: {type: redis}", ("inference_store", "type"), "is not known"),
        ("{models: [{model_id: a}], registered_resources: {models: [{model_id: b}]}}", ("models",), "is here too"),
        ("providers: {agents: [], responses: []}", ("providers", "agents"), "are the same API"),
    ],
)
def test_what_only_a_person_can_decide_is_left_and_told(text: str, path: tuple[str, ...], what: str) -> None:
    doc = rewritten(text)
    assert [(one.path, what in one.what, bool(one.fix)) for one in doc.obstacles] == [(path, True, True)]


OLDER = """
name: x
llama_stack: {url: "http://localhost:8321"}
byok_rag:
- {rag_id: a, rag_type: "inline::faiss", vector_db_id: v, db_path: /a}
- {rag_id: b, rag_type: "remote::pgvector", vector_db_id: w}
rag: {inline: [a, okp], tool: [b]}
okp: {offline: true}
reranker: {enabled: true}
"""


def test_all_of_rag_is_in_one_section_in_0_7() -> None:
    assert lightspeed_of(OLDER) == {
        "name": "x",
        "ogx": {"url": "http://localhost:8321"},
        "rag": {
            "byok": {
                "stores": [
                    {"rag_id": "a", "backend": "faiss", "vector_db_id": "v", "db_path": "/a"},
                    {"rag_id": "b", "backend": "pgvector", "vector_db_id": "w"},
                ]
            },
            "okp": {"offline": True},
            "retrieval": {
                "inline": {"sources": ["a", "okp"], "reranker": {"enabled": True}},
                "tool": {"sources": ["b"]},
            },
        },
    }


def test_for_0_6_the_same_file_needs_nothing() -> None:
    assert rewritten(OLDER, "0.6", run=False).moves == []


def test_there_is_no_way_back_to_0_6() -> None:
    doc = rewritten("{ogx: {}, rag: {byok: {}}}", "0.6", run=False)
    assert [one.path for one in doc.obstacles] == [("ogx",), ("rag", "byok")]


def test_of_two_sections_the_newer_one_wins() -> None:
    assert lightspeed_of("{llama_stack: {url: a}, ogx: {url: b}}") == {"ogx": {"url": "b"}}


def test_an_old_key_beside_the_new_one_is_for_a_person_to_decide() -> None:
    doc = rewritten("{okp: {offline: true}, rag: {okp: {offline: false}}}", run=False)
    assert [one.path for one in doc.obstacles] == [("okp",)]


def test_two_files_become_one_that_makes_exactly_the_second_again() -> None:
    legacy = "{config_format_version: legacy, llama_stack: {library_client_config_path: run.yaml, timeout: 5}}"
    doc, run = rewritten(legacy, "0.6", run=False), rewritten("{version: 2, providers: {}}")
    assert not is_one_file(doc)
    join(doc, run, "0.6")
    override = {"version": 2, "providers": {}}
    assert doc.tree == {
        "config_format_version": "unified",
        "llama_stack": {"timeout": 5, "config": {"baseline": "empty", "native_override": override}},
    }
    assert is_one_file(doc)


@pytest.mark.parametrize("text", ["inference: {providers: [{type: ollama}]}", "ogx: {config: {profile: p}}"])
def test_a_file_of_which_run_yaml_is_made_is_one_already(text: str) -> None:
    assert is_one_file(rewritten(text, run=False))


def test_remarks_go_where_their_places_go_and_those_of_what_is_gone_are_lost() -> None:
    remarks = {
        ("image_name",): "name",
        ("apis", 0): "agents",
        ("apis", 1): "safety",
        ("apis", 2): "inference",
        ("metadata_store", "db_path"): "path",
        ("datasets",): "data",
    }
    text = (
        "{image_name: x, apis: [agents, safety, inference], metadata_store: {type: sqlite, db_path: p}, datasets: []}"
    )
    doc = rewritten(text, remarks=remarks)
    assert doc.remarks == {
        ("distro_name",): "name",
        ("apis", 0): "agents",
        ("apis", 1): "inference",
        ("storage", "backends", "kv_default", "db_path"): "path",
    }
    assert doc.lost == ["safety", "data"]


def test_every_move_says_what_and_why() -> None:
    for doc in (rewritten(AGENTS), rewritten(OLDER, run=False)):
        assert doc.moves
        assert all(move.why and move.what.startswith(move.kind) for move in doc.moves)


# Documents of parts that mean something to a migration, and of parts that are wrong.
WORDS = st.sampled_from(
    ["x", "agents", "safety", "responses", "inference", "inline::rag-runtime", "remote::vllm", "${env.A:b}"]
)
ODD = st.none() | st.integers(0, 2) | WORDS | st.just([]) | st.just({})
DATABASE = st.fixed_dictionaries(
    {"type": st.sampled_from(["sqlite", "postgres", "redis", "odd"])},
    optional={"db_path": st.sampled_from(["/a/x.db", "y.db", ""]), "namespace": ODD, "host": WORDS},
)
REFERENCE = st.fixed_dictionaries({"backend": WORDS, "namespace": WORDS})
STORE = DATABASE | REFERENCE | ODD
KEYS = (
    "kvstore",
    "persistence_store",
    "responses_store",
    "metadata_store",
    "sqlstore",
    "persistence",
    "url",
    "base_url",
)
CONFIG = st.dictionaries(st.sampled_from(KEYS), STORE, max_size=3) | ODD
PROVIDER = st.fixed_dictionaries({}, optional={"provider_type": WORDS, "config": CONFIG}) | ODD
APIS = ("agents", "responses", "vector_io", "files", "batches", "inference", "safety", "telemetry", "tool_runtime")
STORAGE = st.fixed_dictionaries(
    {},
    optional={
        "backends": st.dictionaries(st.sampled_from(["kv_default", "sql_default", "kv_x"]), DATABASE, max_size=2) | ODD,
        "stores": st.dictionaries(st.sampled_from(["metadata", "prompts", "connectors"]), REFERENCE, max_size=2) | ODD,
    },
)
RESOURCES = st.lists(st.fixed_dictionaries({}, optional={"vector_db_id": WORDS, "model_id": WORDS}), max_size=2) | ODD
RUNS = st.fixed_dictionaries(
    {},
    optional={
        "image_name": WORDS,
        "distro_name": WORDS,
        "apis": st.lists(WORDS, max_size=4) | ODD,
        "providers": st.dictionaries(st.sampled_from(APIS), st.lists(PROVIDER, max_size=2) | ODD, max_size=3) | ODD,
        "storage": STORAGE | ODD,
        "registered_resources": st.dictionaries(st.sampled_from(["models", "vector_stores"]), RESOURCES) | ODD,
        **dict.fromkeys(("metadata_store", "inference_store", "conversations_store"), STORE),
        **dict.fromkeys(("models", "vector_dbs", "shields", "tool_groups"), RESOURCES),
    },
)
SOURCES = st.lists(WORDS, max_size=2) | ODD
RAG = st.dictionaries(st.sampled_from(["inline", "tool", "byok", "okp", "retrieval"]), SOURCES, max_size=3) | ODD
BYOK = st.lists(st.fixed_dictionaries({}, optional={"rag_type": WORDS, "rag_id": WORDS}) | ODD, max_size=2) | ODD
LIGHTSPEEDS = st.fixed_dictionaries(
    {}, optional={"llama_stack": ODD, "ogx": ODD, "rag": RAG, "byok_rag": BYOK, "okp": ODD, "reranker": ODD}
)
TARGETS: st.SearchStrategy[Generation] = st.sampled_from(["0.6", "0.7"])


@given(RUNS, TARGETS)
def test_a_run_yaml_that_was_migrated_needs_nothing(tree: Any, target: Generation) -> None:
    once = rewritten(tree, target)
    twice = rewritten(once.tree, target)
    assert (twice.tree, twice.moves, twice.obstacles) == (once.tree, [], once.obstacles)


@given(LIGHTSPEEDS, TARGETS)
def test_a_lightspeed_stack_yaml_that_was_migrated_needs_nothing(tree: Any, target: Generation) -> None:
    once = rewritten(tree, target, run=False)
    twice = rewritten(once.tree, target, run=False)
    assert (twice.tree, twice.moves, twice.obstacles) == (once.tree, [], once.obstacles)


# Its APIs were never served: it says telemetry, which Llama Stack gave up before it was called OGX.
OLD_APIS = "tests__configuration__run.yaml"
# Some say a url, which Llama Stack does not read any more.
OLD_SETTING = "remote::vllm reads base_url, which includes the path, such as /v1"


def test_upstreams_files_of_today_need_nothing_but_what_is_wrong_with_them() -> None:
    corpus = SHARED / "corpus" / "run"
    if not corpus.exists():
        pytest.skip(f"the corpus is not here: {corpus}")
    read = [rewritten(path.read_text()) for path in corpus.glob("*.yaml") if path.name != OLD_APIS]
    assert {move.why for doc in read for move in doc.moves} <= {OLD_SETTING}
