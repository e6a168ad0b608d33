"""The same run.yaml as LCORE's own code makes, where that is at hand.

LCOMPOSE_ORACLE names the ``src`` folder of a checkout of LCORE's, or several, as PATH does. Nothing
else of it is needed: what the module imports of Llama Stack is a function that lcompose has too.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lcompose.lightspeed.enrichment import PROVIDERS_DIRECTORY
from lcompose.lightspeed.envrefs import Trace, replace
from lcompose.lightspeed.synthesis import INFERENCE_TYPES, enriched, shipped_baseline, synthesized
from tests.unit.test_synthesis import KEYS, OGX, OLDER, SCALARS, TREES, VECTOR_STORE, tree

PROVIDER = st.fixed_dictionaries(
    {},
    optional={
        "provider_id": st.sampled_from(["faiss", " faiss ", "byok_kb", "notes", "x", "", "model-context-protocol"]),
        "provider_type": st.sampled_from(["remote::azure", "inline::faiss"]),
        "config": st.dictionaries(KEYS, SCALARS, max_size=2),
    },
)
# Mostly what a run.yaml looks like, with anything at all in some places.
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "providers": st.dictionaries(
            st.sampled_from(["vector_io", "inference", "tool_runtime", "files"]), st.lists(PROVIDER, max_size=4)
        ),
        "storage": st.fixed_dictionaries({}, optional={"backends": st.dictionaries(KEYS, TREES), "stores": TREES}),
        "registered_resources": st.fixed_dictionaries(
            {},
            optional={
                "models": st.lists(st.fixed_dictionaries({"model_id": st.sampled_from(["gpt", "byok_kb_embedding"])})),
                "vector_stores": st.lists(st.fixed_dictionaries({"vector_store_id": st.sampled_from(["v", "vs"])})),
            },
        ),
        "vector_stores": st.dictionaries(st.sampled_from(["default_provider_id", "x"]), SCALARS),
        "apis": st.lists(st.sampled_from(["inference", "tool_runtime"])),
        "server": TREES,
    },
)


PROFILES: Mapping[str, Any] = {
    "": None,
    "thin": {"version": 2, "apis": ["inference"], "providers": {"inference": []}},
    "nothing": {},
    "full": {
        "version": 2,
        "apis": ["inference", "tool_runtime", "vector_io"],
        "providers": {
            "inference": [
                {"provider_id": "azure", "provider_type": "remote::azure", "config": {"api_base": "https://a"}},
                {"provider_id": "openai", "provider_type": "remote::openai"},
            ],
            "vector_io": [{"provider_id": "faiss"}, {"provider_id": "faiss"}, {"provider_id": "byok_kb"}],
            "tool_runtime": [{"provider_id": "rag-runtime", "provider_type": "inline::rag-runtime"}],
        },
        "storage": {"backends": {"kv_default": {"type": "kv_sqlite", "db_path": "x.db"}}},
        "registered_resources": {
            "models": [{"model_id": "byok_b_embedding"}, {"provider_model_id": "e5"}],
            "vector_stores": [{"vector_store_id": "v"}, {"vector_store_id": "${env.NOT_SET_AT_ALL:=vs_2}"}],
        },
    },
}
KB = """
rag: {byok: {stores: [
  {rag_id: kb, vector_db_id: v, db_path: /d.db, embedding_model: sentence-transformers/e5, embedding_dimension: 384},
  {rag_id: b, vector_db_id: vs_2, backend: pgvector, embedding_model: /m, embedding_dimension: 3, host: db, port: 1}]}}
"""
PORTAL = """
rag: {retrieval: {inline: {sources: [okp]}}, okp: {rhokp_url: "https://okp:1/x", search_mode: lexical,
  chunk_filter_query: "p:q"}}
"""
BOTH = """
rag: {byok: {stores: [{rag_id: kb, vector_db_id: v, db_path: /d.db, embedding_dimension: 768}]},
  retrieval: {tool: {sources: [kb, okp]}, inline: {sources: []}}, okp: {search_mode: semantic}}
"""
AZURE = "azure_entra_id: {tenant_id: t, client_id: c, client_secret: s}"
CASES = (
    ("", "SECTION: {config: {}}"),
    ("", "SECTION: {config: {baseline: default}}"),
    ("", "SECTION: {config: {baseline: empty}}"),
    ("", "SECTION: {config: {baseline: empty, native_override: {version: 2, apis: [inference]}}}"),
    ("", "SECTION: {config: {native_override: {apis: [x], vector_stores: {default_provider_id: y}, providers: {}}}}"),
    ("", "SECTION: {config: {native_override: {providers: {tool_runtime: []}}}}"),
    ("thin", "SECTION: {config: {profile: thin}}"),
    ("nothing", "SECTION: {config: {profile: nothing}}"),
    ("full", "SECTION: {config: {profile: full, baseline: empty}}"),
    ("full", f"SECTION: {{config: {{profile: full}}}}\n{KB}"),
    ("full", f"SECTION: {{config: {{profile: full}}}}\n{AZURE}\n{BOTH}"),
    ("full", f"SECTION: {{config: {{profile: full}}}}\n{VECTOR_STORE}"),
    ("full", f"SECTION: {{config: {{profile: full, native_override: {{providers: {{vector_io: []}}}}}}}}\n{KB}"),
    ("", "inference: {providers: [{type: openai, api_key_env: OPENAI_API_KEY, allowed_models: [gpt-4o]}]}"),
    ("", "inference: {providers: [{type: vllm, id: a, extra: {base_url: u}}, {type: vllm, api_key_env: T}]}"),
    ("", f"inference: {{providers: [{', '.join(f'{{type: {kind}, api_key_env: K}}' for kind in INFERENCE_TYPES)}]}}"),
    ("", "inference: {providers: [{type: ollama, extra: {n: 1}}, {type: ollama, extra: {n: 2}}]}"),
    ("", f"inference: {{providers: [{{type: azure, extra: {{api_base: u}}}}]}}\n{AZURE}"),
    ("", f"SECTION: {{config: {{baseline: empty}}}}\n{KB}"),
    ("", f"SECTION: {{config: {{}}}}\n{KB}\n{VECTOR_STORE}"),
    ("", f"SECTION: {{config: {{baseline: empty}}}}\n{PORTAL}"),
    ("", f"SECTION: {{config: {{}}}}\n{PORTAL}"),
    ("", f"SECTION: {{config: {{baseline: empty}}}}\n{VECTOR_STORE}"),
    ("", "vector_store: {default_provider: ' faiss ', providers: [{id: ' faiss ', type: faiss, config: {path: /f}}]}"),
    ("", f"{VECTOR_STORE}\n{BOTH}\n{AZURE}\ninference: {{providers: [{{type: watsonx}}]}}"),
    (
        "",
        "SECTION: {config: {native_override: {providers: {vector_io: [{provider_id: a}, {provider_id: ' a '}, {}]}}}}",
    ),
)
# What 0.6 as it was released knows only in another shape, or not at all.
NEW = ("rag:", "vector_store:", ", id:")
OLD_CASES = (
    ("full", "byok_rag: [{rag_id: kb, vector_db_id: z, db_path: /d, embedding_model: e5, embedding_dimension: 3}]"),
    (
        "",
        """
        byok_rag:
          - {rag_id: a, vector_db_id: a, embedding_dimension: 3}
          - {rag_id: b, vector_db_id: b, rag_type: "remote::pgvector", embedding_dimension: 3}
        """,
    ),
    ("", "{rag: {inline: [okp]}, okp: {rhokp_url: 'http://o/x', chunk_filter_query: 'a:b'}}"),
)


class Oracle:
    """LCORE's synthesis, of the release that a folder holds."""

    def __init__(self, source: Path) -> None:
        newer = (source / "ogx_configuration.py").exists()
        self.name = "ogx_configuration" if newer else "llama_stack_configuration"
        self.section = "ogx" if newer else "llama_stack"
        text = (source / f"{self.name}.py").read_text()
        self.flat = 'get("byok_rag"' in text
        # 0.6 was released for a Llama Stack before it was OGX.
        self.version = OLDER if "from llama_stack." in text else OGX
        self.generation = "0.7" if newer else "0.6"
        self.module: Any = _loaded(source, self.name)

    @property
    def cases(self) -> tuple[tuple[str, str], ...]:
        if not self.flat:
            return CASES
        return (*OLD_CASES, *(case for case in CASES if not any(new in case[1] for new in NEW)))

    def ours(self, document: Any, profile: Any) -> Any:
        return synthesized(
            document,
            section=self.section,
            baseline=shipped_baseline(self.version),
            profile=profile,
            generation=self.generation,
            server_version=self.version,
        ).tree

    def theirs(self, document: Any, folder: Path) -> Any:
        return self.module.synthesize_configuration(deepcopy(document), str(folder))


def _loaded(source: Path, name: str) -> ModuleType:
    """The module alone: LCORE's whole environment is not needed for it, where the real parts are not there."""
    stack = ModuleType("stack")
    stack.replace_env_vars = lambda value: replace(value, os.environ, Trace())  # type: ignore[attr-defined]
    log = ModuleType("log")
    log.get_logger = logging.getLogger  # type: ignore[attr-defined]
    log.setup_logging = lambda: None  # type: ignore[attr-defined]
    parts = {f"{package}{rest}": stack for package in ("ogx", "llama_stack") for rest in ("", ".core", ".core.stack")}
    with pytest.MonkeyPatch.context() as patch:
        for part, module in {**parts, "log": log}.items():
            patch.setitem(sys.modules, part, module)
        patch.setitem(sys.modules, "constants", _module(source / "constants.py", "constants"))
        return _module(source / f"{name}.py", f"oracle_{name}")


def _module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiles")
    for name, profile in PROFILES.items():
        if name:
            (folder / name).write_text(yaml.safe_dump(profile))
    return folder


@pytest.fixture(scope="module")
def oracles() -> list[Oracle]:
    named = os.environ.get("LCOMPOSE_ORACLE", "")
    if not named:
        pytest.skip("LCOMPOSE_ORACLE names no src folder of LCORE's")
    return [Oracle(Path(source)) for source in named.split(os.pathsep)]


def comparable(ours: Any, theirs: Any) -> Any:
    """Without the one thing that 0.7.1 and older forget: the portal's provider is not found without its folder."""
    if "external_providers_dir" not in theirs and ours.get("external_providers_dir") == PROVIDERS_DIRECTORY:
        return {key: value for key, value in ours.items() if key != "external_providers_dir"}
    return ours


def test_lcores_own_synthesis_makes_the_same(oracles: list[Oracle], profiles: Path) -> None:
    for oracle in oracles:
        for profile, text in oracle.cases:
            document = tree(text.replace("SECTION", oracle.section))
            if profile:
                document.setdefault(oracle.section, {}).setdefault("config", {})["profile"] = profile
            theirs = oracle.theirs(document, profiles)
            assert comparable(oracle.ours(document, PROFILES[profile]), theirs) == theirs, (oracle.generation, text)


@given(OVERRIDES, st.sampled_from(["full", "thin", ""]), st.sampled_from([KB, PORTAL, BOTH, VECTOR_STORE, AZURE, "{}"]))
def test_lcores_own_synthesis_makes_the_same_of_any_override(
    oracles: list[Oracle], profiles: Path, override: Any, profile: str, more: str
) -> None:
    config = {"native_override": override, **({"profile": profile} if profile else {})}
    for oracle in oracles:
        document = {} if oracle.flat and any(new in more for new in NEW) else tree(more)
        document[oracle.section] = {"config": config}
        try:
            theirs = oracle.theirs(document, profiles)
        except (TypeError, AttributeError):
            continue  # It does not say what is wrong; ours leaves it for the check of run.yaml.
        assert comparable(oracle.ours(document, PROFILES[profile]), theirs) == theirs


def test_lcores_own_enrichment_makes_the_same(oracles: list[Oracle], tmp_path: Path) -> None:
    for oracle in oracles:
        own = [text for _, text in OLD_CASES] if oracle.flat else [KB, PORTAL, BOTH]
        for more in [*own, AZURE, "{}"]:
            for run in (PROFILES["full"], PROFILES["thin"], {"version": 2}):
                (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
                oracle.module.generate_configuration(str(tmp_path / "run.yaml"), str(tmp_path / "out.yaml"), tree(more))
                theirs = yaml.safe_load((tmp_path / "out.yaml").read_text())
                ours = enriched(tree(more), run, oracle.generation, oracle.version).tree
                assert comparable(ours, theirs) == theirs, (oracle.generation, more)
