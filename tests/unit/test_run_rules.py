"""What keys of run.yaml must have to do with each other: each rule with what it refuses, and what it lets pass."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lcompose.errors import Finding
from lcompose.lightspeed import run_rules
from lcompose.lightspeed.config import configuration, findings
from lcompose.lightspeed.rewrite import Rewrite
from lcompose.lightspeed.run_document import Run
from lcompose.lightspeed.run_keys import RUN as KEYS
from lcompose.lightspeed.run_migration import migrate_run
from lcompose.lightspeed.server_apis import RETIRED
from lcompose.lightspeed.synthesis import shipped_baseline
from lcompose.schema import record
from lcompose.templates import data_directory
from tests.conftest import ROOT
from tests.corpus.documents import made
from tests.corpus.run_cases import BACKENDS, CASES, FAISS, VERSIONS, Case, Version, registered
from tests.unit.given import LIGHTSPEED, OLDER, config, node

NEW: Version = (1, 2, 5)
PAIRS = [
    pytest.param(case, version, id=f"{case.name} {version[0]}.{version[1]}")
    for case in CASES
    for version in VERSIONS
    if case.of(version)
]
LIBRARY = LIGHTSPEED.replace('url: "http://localhost:8321"', "use_as_library_client: true")


def told(text: str, version: Version = NEW, *, library: bool = False, **env: str) -> list[Finding]:
    """What the rules find."""
    read = config(LIGHTSPEED, text, version=version, env=env)
    return run_rules.findings(Run(read.run, read.run_values, read.run_unknown, version, library))


def short(text: str, version: Version = NEW, **how: Any) -> list[tuple[str, str]]:
    """The same: where, and how bad."""
    return [(one.path, one.severity) for one in told(text, version, **how)]


def whole(text: str) -> str:
    """A whole document with this in it."""
    return Case("", text).document


@pytest.mark.parametrize(("case", "version"), PAIRS)
def test_a_document_has_these_findings_and_no_others(case: Case, version: Version) -> None:
    found = told(case.document, version)
    assert [(one.path, one.severity) for one in found] == [(path, severity) for path, severity, _ in case.found]
    for one, (_, _, piece) in zip(found, case.found, strict=True):
        assert piece in one.what and one.fix


def test_a_finding_has_its_place_and_what_is_known_there() -> None:
    text = "distro_name: x\nproviders: {}\nstorage:\n  stores:\n    metadata: {backend: kv, namespace: r}\n"
    [one] = told(text)
    assert (str(one.where), one.fix) == ("run.yaml:5:16", "Known here: kv_default, sql_default.")


def test_findings_of_both_documents_come_together() -> None:
    found = findings(config(LIGHTSPEED.replace("8080", "0"), "providers: {}\n"))
    assert [(one.where.file, one.path) for one in found] == [
        ("lightspeed-stack.yaml", "service.port"),
        ("run.yaml", ""),
    ]


def test_a_run_yaml_that_nothing_of_ours_reads_is_not_judged() -> None:
    assert findings(config(LIGHTSPEED.replace("localhost", "stack.example.com"), "providers: {}\n")) == []


# --- what is not sure ---


@pytest.mark.parametrize(
    "text",
    [
        "distro_name: ${env.NAME}",
        "apis: [inference, '${env.API}']",
        "providers: ${env.ALL}",
        "providers: {files: [{provider_id: '${env.A}', provider_type: x}, {provider_id: '${env.A}'}]}",
        "providers: {vector_io: [{provider_id: '${env.ON:+a}', provider_type: 'inline::faiss'}]}",
        "providers: {vector_io: [{provider_id: '${env.ON:=__disabled__}', provider_type: 'inline::faiss'}]}",
        "providers: {vector_io: [{provider_id: a, provider_type: 'inline::faiss', config: '${env.CONFIG}'}]}",
        "storage: ${env.STORAGE}",
        "storage: {backends: '${env.BACKENDS}'}",
        "storage: {backends: {kv_default: {type: '${env.KV}'}, sql_default: {type: '${env.SQL}'}}}",
        BACKENDS + ", stores: '${env.STORES}'}",
        BACKENDS + ", stores: {metadata: '${env.STORE}'}}",
        BACKENDS + ", stores: {metadata: {backend: '${env.NAME}', namespace: '${env.PREFIX}'}}}",
        "registered_resources: {models: [{model_id: m, provider_id: '${env.ID}'}]}",
        registered("models: [{model_id: e, provider_id: llm, model_type: embedding, metadata: '${env.M}'}]"),
        "vector_stores: {default_provider_id: '${env.ID}'}",
        "vector_stores: {default_embedding_model: {provider_id: '${env.ID}', model_id: m}}",
        "server: {tls_keyfile: '${env.KEY:=a}', tls_certfile: '${env.CERTIFICATE:=}'}",
        "server: {auth: {provider_config: {type: oauth2_token, jwks: '${env.JWKS}'}}}",
        "server: {tenancy: {mode: single, default_tenant_id: '${env.TENANT}'}}",
    ],
)
def test_what_hangs_on_a_variable_that_is_not_set_is_not_judged(text: str) -> None:
    assert told(whole(text)) == []


MAYBE = (
    "{providers: {inference: [{provider_id: '${env.ON:+own}', provider_type: 'remote::openai'}]},"
    " registered_resources: {models: [{model_id: m, provider_id: NAME}]}}"
)


@pytest.mark.parametrize("env", [{}, {"ON": "1"}])
def test_a_provider_that_a_variable_switches_on_may_be_there(env: dict[str, str]) -> None:
    assert told(whole(MAYBE.replace("NAME", "own")), **env) == []
    [one] = told(whole(MAYBE.replace("NAME", "other")), **env)
    assert (one.path, one.fix) == ("registered_resources.models[0].provider_id", "Known here: own.")


def test_a_provider_whose_name_is_not_known_may_have_any() -> None:
    assert told(whole(MAYBE.replace("${env.ON:+own}", "${env.ON}").replace("NAME", "other"))) == []


def test_a_variable_that_is_set_is_judged() -> None:
    text = whole(MAYBE.replace("${env.ON:+own}", "${env.ON}").replace("NAME", "other"))
    assert short(text, ON="mine") == [("registered_resources.models[0].provider_id", "error")]


# --- versions ---


def test_a_version_that_nobody_looked_at_is_not_judged() -> None:
    assert short("providers: {}\n", (0, 5, 9)) == []
    assert short("providers: {}\n", (0, 6)) == [("", "error")]


def test_a_later_version_may_have_apis_that_are_not_known_here() -> None:
    text = "apis: [inference, files, later]"
    assert (short(whole(text), (1, 6)), short(whole(text))) == ([], [("apis[2]", "error")])


def test_apis_and_types_of_ones_own_are_not_known_here() -> None:
    assert told(whole("{external_apis_dir: /x, apis: [inference, files, mine], providers: {mine: []}}")) == []
    old = "providers: {tool_runtime: [{provider_id: a, provider_type: 'inline::rag-runtime'MODULE}]}"
    assert short(whole(old.replace("MODULE", ""))) == [("providers.tool_runtime[0].provider_type", "error")]
    assert told(whole(old.replace("MODULE", ", module: mine"))) == []
    assert told(whole("{external_providers_dir: /x, " + old.replace("MODULE", "") + "}")) == []


# --- Llama Stack inside LCORE ---


def test_inside_lightspeed_core_nobody_looks_for_an_api_that_is_not_there() -> None:
    text = whole("apis: [inference, files, batches, infrence]")
    assert short(text) == [("apis[2]", "error"), ("apis[3]", "error")]
    assert short(text, library=True) == [("apis[2]", "warning"), ("apis[3]", "warning")]


def test_what_lightspeed_core_adds_there_is_not_missing() -> None:
    text = whole(
        "{vector_stores: {default_provider_id: vsprov_a, default_embedding_model: {provider_id: llm, model_id: m}},"
        f" providers: {{vector_io: [{FAISS.replace('kv_default', 'byok_a_storage')}]}},"
        " registered_resources: {vector_stores: [{vector_store_id: v, provider_id: byok_a, embedding_dimension: 3,"
        " embedding_model: sentence-transformers/byok_a_embedding}]}}"
    )
    assert told(text, library=True) == []
    assert [severity for _, severity in short(text)] == ["error", "error", "warning", "warning"]


def test_the_mode_is_that_of_lightspeed_stack_yaml() -> None:
    run = whole("apis: [inference, files, batches]")
    for source, severity in ((LIBRARY, "warning"), (LIGHTSPEED, "error")):
        found = [one for one in findings(config(source, run)) if one.where.file == "run.yaml"]
        assert [(one.path, one.severity) for one in found] == [("apis[2]", severity)]


def test_of_two_vector_stores_of_one_name_the_first_is_used() -> None:
    [one] = told(whole(f"providers: {{vector_io: [{FAISS}, {FAISS}]}}"), library=True)
    assert (one.path, one.severity) == ("providers.vector_io[1].provider_id", "warning")
    assert one.what == "providers.vector_io[0] has this name too, and is the one that is used"


# --- what lcompose itself writes ---


def of_a_file(text: str, version: Version) -> list[Finding]:
    source = LIGHTSPEED if version >= (0, 8) else OLDER
    read = configuration(node(source), node(text, "run.yaml"), "0.7", version, {}, ("/", "/"))
    return run_rules.findings(Run(read.run, read.run_values, read.run_unknown, version, library=False))


EXAMPLES = sorted((ROOT / "compose-examples").glob("*/run.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_is_right(path: Path) -> None:
    assert of_a_file(path.read_text(), NEW) == []


def test_the_run_yaml_of_who_has_none_is_right() -> None:
    assert of_a_file((data_directory("templates") / "baseline-run.yaml").read_text(), NEW) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_baseline_is_right_for_its_version(version: Version) -> None:
    assert of_a_file(yaml.safe_dump(shipped_baseline(version)), version) == []


@pytest.mark.parametrize(("of", "found"), [(of, found) for of, found in RETIRED.items() if found[1]])
def test_a_type_that_is_called_otherwise_now_is_migrated(of: tuple[str, str], found: tuple[Version, str]) -> None:
    (api, kind), (_, now) = of, found
    doc = Rewrite("run.yaml", {"providers": {api: [{"provider_id": "a", "provider_type": kind, "config": {}}]}})
    migrate_run(doc, "0.7")
    assert doc.tree["providers"][api][0]["provider_type"] == now


@given(random=st.randoms(use_true_random=False), version=st.sampled_from(VERSIONS), library=st.booleans())
def test_whatever_stands_there_is_judged(random: Random, version: Version, library: bool) -> None:
    document = made(record(KEYS, extra="allow"), random, "0.7", 0.05)
    for one in told(yaml.safe_dump(document), version, library=library) if isinstance(document, dict) else ():
        assert one.what and one.severity in ("error", "warning")
