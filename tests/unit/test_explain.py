"""Explaining: of each value who set it, where and why; of each change what it was; and no secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lcompose.cli.explain import command
from lcompose.errors import UsageError
from lcompose.explain import DOCS, Evidence, Explained, asked_for, explained
from lcompose.explain.changes import changes
from lcompose.explain.reasons import OVERALL, REASONS, WORDS
from lcompose.explain.values import shown
from lcompose.load import Node
from lcompose.merge import Layer
from lcompose.profiles import profile_layers
from lcompose.resolve import resolve
from lcompose.settings import EMBEDDED, FILE, checked_layer, layer_from_env, layer_from_options, resolve_settings
from lcompose.sides import Request
from lcompose.spec.project import Dependency, DocumentMount, FileMount, Port, Service, VolumeMount
from lcompose.spec.text import ComposeText, EnvRef
from lcompose.templates import data_directory
from tests.unit.given import LIGHTSPEED, RUN, node

SERVER, LCORE = "llama-stack", "lightspeed-stack"


def evidence(
    lightspeed: str = LIGHTSPEED,
    run: str = RUN,
    *,
    embedded: str = "",
    own: str = "",
    profiles: tuple[str, ...] = ("base",),
    env: Mapping[str, str] | None = None,
    sets: tuple[str, ...] = (),
) -> Evidence:
    """A stack from documents and every layer of settings, with what these were read from."""
    # What every run.yaml must say, after what a test is about: so places are those of the test.
    run = run if "distro_name" in run else f"{run}version: 2\ndistro_name: test\n"
    documents = {"lightspeed-stack.yaml": node(embedded), "lcompose.yaml": node(own, "lcompose.yaml")}
    layers = [
        *profile_layers(profiles, data_directory("profiles")),
        checked_layer("lightspeed-stack.yaml", documents["lightspeed-stack.yaml"], EMBEDDED),
        checked_layer("lcompose.yaml", documents["lcompose.yaml"], FILE),
        layer_from_env(env or {}),
        layer_from_options(sets, {}),
    ]
    return _resolved(lightspeed, run, layers, documents, env or {})


def _resolved(
    lightspeed: str, run: str, layers: list[Layer], documents: dict[str, Node], env: Mapping[str, str]
) -> Evidence:
    settings = resolve_settings(layers)
    here = "/my/here"
    request = Request("demo", settings, node(lightspeed), node(run, "run.yaml"), here, here, env, "/home/me")
    return Evidence(resolve(request), settings, layers, documents, frozenset(env))


def one(found: Evidence, wanted: str) -> Explained:
    """The one row that is asked for."""
    rows = asked_for(explained(found), wanted)
    assert len(rows) == 1, rows
    return rows[0]


def cause(found: Evidence, wanted: str) -> tuple[str, str, str]:
    """The value, the layer and the place of a row."""
    row = one(found, wanted)
    return row.value, row.cause.layer, row.cause.where


# --- layers of settings ---


def test_each_layer_is_named_with_its_place() -> None:
    found = evidence(
        embedded="container: {limits: {memory: 3g}}",
        own="services:\n  llama-stack:\n    restart: always\n",
        env={"LCOMPOSE_SERVICES__LLAMA_STACK__IMAGE": "a/b:1.2.5", "LCOMPOSE_CONTAINER__LIMITS__PIDS": "55"},
        sets=("services.llama-stack.limits.cpus=2",),
    )
    assert cause(found, f"{SERVER}.limits.memory") == ("3g", "lightspeed-stack.yaml", "lightspeed-stack.yaml:1:22")
    assert cause(found, f"{SERVER}.restart") == ("always", "lcompose.yaml", "lcompose.yaml:3:5")
    assert cause(found, f"{SERVER}.image") == ("a/b:1.2.5", "environment", "LCOMPOSE_SERVICES__LLAMA_STACK__IMAGE")
    assert cause(found, f"{SERVER}.limits.pids") == ("55", "environment", "LCOMPOSE_CONTAINER__LIMITS__PIDS")
    assert cause(found, f"{SERVER}.limits.cpus") == ("2", "command line", "")
    assert cause(found, f"{SERVER}.pull_policy") == ("missing", "profile base", "")


def test_a_setting_says_what_it_is_for() -> None:
    assert one(evidence(), f"{SERVER}.restart").cause.reason == DOCS["services.llama-stack.restart"]


def test_what_lower_layers_say_is_told_the_lowest_first() -> None:
    found = evidence(own="services: {llama-stack: {restart: always}}", profiles=("prod",))
    assert one(found, f"{SERVER}.restart").cause.below == (("profile base", "no"), ("profile prod", "on-failure:3"))


def test_what_nothing_sets_is_a_default() -> None:
    assert cause(evidence(), f"{SERVER}.limits.memory") == ("", "default", "")
    assert cause(evidence(), f"{SERVER}.hardening.read_only") == ("false", "default", "")


def test_settings_of_no_service_are_explained_too() -> None:
    found = evidence(own="wait_timeout: 100\nbytecode_cache: false\n")
    assert cause(found, "settings.wait_timeout") == ("100", "lcompose.yaml", "lcompose.yaml:1:1")
    assert cause(found, "settings.bytecode_cache") == ("false", "lcompose.yaml", "lcompose.yaml:2:1")
    assert cause(found, "settings.engine") == ("auto", "default", "")
    assert cause(evidence(embedded="container: {runtime: podman}"), "settings.engine") == (
        "podman",
        "lightspeed-stack.yaml",
        "lightspeed-stack.yaml:1:13",
    )


def test_a_setting_of_the_whole_stack_is_the_cause_of_a_services_field() -> None:
    found = evidence(own="boot: ordered")
    assert cause(found, f"{LCORE}.ordered") == ("true", "lcompose.yaml", "lcompose.yaml:1:1")


def test_an_own_variable_and_an_own_mount_are_their_layers() -> None:
    text = "services:\n  llama-stack:\n    env: {HELLO: world}\n    volumes: ['./a:/a:ro', 'mine:/mine']\n"
    found = evidence(own=text)
    assert cause(found, f"{SERVER}.environment.HELLO") == ("world", "lcompose.yaml", "lcompose.yaml:3:11")
    assert cause(found, f"{SERVER}.volumes./a") == ("/my/here/a (read-only)", "lcompose.yaml", "lcompose.yaml:4:5")
    assert cause(found, f"{SERVER}.volumes./mine") == ("volume mine", "lcompose.yaml", "lcompose.yaml:4:5")


def test_a_port_that_a_profile_closes_is_the_profiles_doing() -> None:
    assert cause(evidence(profiles=("prod",)), f"{SERVER}.ports") == ("", "profile prod", "")


# --- documents ---


def test_ports_and_probes_follow_from_the_documents() -> None:
    found = evidence()
    assert cause(found, f"{LCORE}.ports") == (
        "127.0.0.1:8080:8080",
        "lightspeed-stack.yaml",
        "lightspeed-stack.yaml:3:11",
    )
    assert cause(found, f"{SERVER}.ports")[1:] == ("lightspeed-stack.yaml", "lightspeed-stack.yaml:4:7")
    assert one(found, f"{SERVER}.ports").cause.reason == "from ogx.url"
    with_port = evidence(run="providers: {}\nserver: {port: 9000}\n")
    assert cause(with_port, f"{SERVER}.probe.port") == ("9000", "run.yaml", "run.yaml:2:10")


def test_a_variable_says_who_refers_to_it_and_whether_it_is_set() -> None:
    config = "{url: '${env.URL:=x}', k: '${env.KEY}'}"
    run = f"providers:\n  inference:\n  - {{provider_id: a, provider_type: b, config: {config}}}\n"
    row = one(evidence(run=run, env={"KEY": "s3cret-value"}), f"{SERVER}.environment.KEY")
    assert (row.value, row.cause.where) == ("${KEY}", "run.yaml:3:71")
    assert row.cause.reason == "providers.inference[0].config.k refers to it; it is set"
    row = one(evidence(run=run), f"{SERVER}.environment.URL")
    assert (row.value, row.cause.reason) == (
        "${URL:-x}",
        "providers.inference[0].config.url refers to it; it is not set",
    )


def test_a_mounted_file_and_a_volume_name_the_key_that_wants_them() -> None:
    text = """
name: test
service: {port: 8080}
ogx: {url: "http://localhost:8321"}
user_data_collection: {feedback_enabled: true, feedback_storage: /tmp/data/feedback}
customization: {system_prompt_path: prompts/system.txt}
"""
    found = evidence(text)
    row = one(found, f"{LCORE}.volumes./app-root/prompts/system.txt")
    assert (row.value, row.cause.where) == ("/my/here/prompts/system.txt (read-only)", "lightspeed-stack.yaml:6:37")
    assert row.cause.reason == "customization.system_prompt_path names it"
    row = one(found, f"{LCORE}.volumes./tmp/data")
    assert row.cause.where == "lightspeed-stack.yaml:5:48"
    assert row.cause.reason == "user_data_collection.feedback_storage is written there"


def test_a_document_of_another_service_is_no_reason_for_a_volume() -> None:
    database = "db_path: /opt/app-root/src/.llama/storage/a.db"
    backends = f"{{kv_default: {{type: kv_sqlite, {database}}}, sql_default: {{type: sql_sqlite, {database}}}}}"
    run = f"distro_name: x\nproviders: {{}}\nstorage: {{backends: {backends}}}\n"
    row = one(evidence(run=run), f"{LCORE}.volumes./opt/app-root/src/.llama/storage")
    assert (row.cause.layer, row.cause.where) == ("lcompose", "")


# --- lcompose itself ---


def test_what_lcompose_decides_has_a_reason() -> None:
    found = evidence()
    assert one(found, f"{LCORE}.environment.OTEL_SDK_DISABLED").cause.reason == REASONS["environment.OTEL_SDK_DISABLED"]
    assert one(found, f"{SERVER}.image").cause.reason == REASONS["llama-stack.image"]
    assert one(found, f"{LCORE}.probe.path").cause.reason == REASONS["probe"]
    assert one(found, f"{LCORE}.entrypoint").cause.reason == REASONS["entrypoint.bytecode"]
    uncached = evidence(own="bytecode_cache: false")
    assert one(uncached, f"{SERVER}.entrypoint").cause.reason == REASONS["entrypoint"]
    assert {row.cause.layer for row in asked_for(explained(found), f"{SERVER}.healthcheck")} == {"lcompose"}


@pytest.mark.parametrize("name", [one.name for one in fields(Service) if one.name not in ("name", "mounts")])
def test_every_field_of_a_service_has_a_reason_or_a_setting(name: str) -> None:
    known = {part for key in (*REASONS, *WORDS, *OVERALL) for part in key.split(".")[:2]}
    assert name in known, "add a row to lcompose/explain/reasons.py"


def test_every_word_is_a_setting() -> None:
    assert [word for word in WORDS.values() if f"services.llama-stack.{word}" not in DOCS] == []
    assert [word for word in OVERALL.values() if word not in DOCS] == []


@pytest.mark.parametrize("profiles", [("dev",), ("prod",)])
def test_every_value_has_a_layer_and_a_reason(profiles: tuple[str, ...]) -> None:
    rows = explained(evidence(profiles=profiles))
    assert [row for row in rows if not (row.cause.layer and row.cause.reason)] == []


# --- companions ---

POSTGRES = f"{LIGHTSPEED}database: {{postgres: {{host: localhost, db: a, user: b, password: '${{env.PG}}'}}}}\n"


def place_in(file: str, line: str) -> str:
    """Where a line of a companion's data file begins."""
    lines = (data_directory("profiles") / "companions" / file).read_text().splitlines()
    number = next(number for number, held in enumerate(lines, 1) if held.startswith(line))
    return f"profiles/companions/{file}:{number}"


def test_a_companion_is_there_because_of_a_key() -> None:
    row = one(evidence(POSTGRES), "postgres.started")
    assert (row.cause.layer, row.cause.where) == ("lightspeed-stack.yaml", "lightspeed-stack.yaml:6:12")
    assert row.cause.reason == "database.postgres asks for it: without it nobody would answer there"


def test_of_several_keys_that_ask_for_a_companion_all_are_told() -> None:
    more = "{postgres: {db: q, user: q, password: '${env.PG}'}}"
    reason = one(evidence(f"{POSTGRES}quota_handlers: {more}\n"), "postgres.started").cause.reason
    asked = "database.postgres and quota_handlers.postgres (lightspeed-stack.yaml:7:18)"
    assert reason == f"{asked} ask for it: without it nobody would answer there"


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("image", "image:"),
        ("command", "command:"),
        ("limits.memory", "limits:"),
        ("shm_size", "shm_size:"),
        ("stop_grace", "stop_grace:"),
        ("volumes./var/lib/postgresql/data", "volumes:"),
        ("volumes./lcompose/postgres.sh", "script:"),
    ],
)
def test_a_field_of_a_companion_stands_in_its_data_file(field: str, line: str) -> None:
    _, layer, where = cause(evidence(POSTGRES), f"postgres.{field}")
    assert (layer, where.rpartition(":")[0]) == ("lcompose", place_in("postgres.yaml", line))


def test_what_a_companion_takes_from_the_one_that_it_extends_stands_there() -> None:
    login = "host: localhost, db: d, user: e, password: '${env.PG}'"
    store = f"{{rag_id: a, vector_db_id: b, backend: pgvector, {login}}}"
    found = evidence(f"{LIGHTSPEED}rag: {{byok: {{stores: [{store}]}}}}\n")
    assert cause(found, "postgres.image")[2].startswith(place_in("pgvector.yaml", "image:"))
    assert cause(found, "postgres.shm_size")[2].startswith(place_in("postgres.yaml", "shm_size:"))


def test_the_databases_of_a_companion_name_their_keys() -> None:
    found = evidence(POSTGRES, env={"PG": "given-secret"})
    rows = {row.field: row for row in asked_for(explained(found), "postgres.environment")}
    database, user = rows["environment.LCOMPOSE_DATABASE_1"], rows["environment.LCOMPOSE_USER_1"]
    assert (database.value, database.cause.where) == ("a", "lightspeed-stack.yaml:6:40")
    assert database.cause.reason == "a database to make: database.postgres.db"
    assert (user.value, user.cause.reason) == ("b", "the user of a database: database.postgres.user")
    password = rows["environment.PG"].cause
    assert password.reason == "the password of that user: database.postgres.password; it is set"


def test_who_waits_for_a_companion_says_what_it_reads_there() -> None:
    row = one(evidence(POSTGRES), f"{LCORE}.needs")
    assert (row.value, row.cause.where) == ("postgres (healthy)", "lightspeed-stack.yaml:6:12")
    assert row.cause.reason == "it reads database.postgres, and is started when what this names is ready"


def test_settings_of_a_companion_of_another_name_are_those_of_its_kind() -> None:
    text = POSTGRES.replace("localhost, db", "my-db, db")
    found = evidence(text, own="services: {postgres: {limits: {memory: 9g}, image: 'my/pg:1'}}")
    assert cause(found, "my-db.limits.memory")[:2] == ("9g", "lcompose.yaml")
    assert cause(found, "my-db.image")[:2] == ("my/pg:1", "lcompose.yaml")


@pytest.mark.parametrize(
    ("name", "provider", "field", "value", "reason"),
    [
        (
            "ollama",
            "{provider_id: o, provider_type: 'remote::ollama', config: {allowed_models: [m]}}",
            "environment.LCOMPOSE_MODELS",
            "m",
            "the models that the configuration names for this provider",
        ),
        (
            "vllm",
            "{provider_id: v, provider_type: 'remote::vllm', config: {base_url: 'http://localhost:8000/v1'}}",
            "probe.path",
            "/health",
            "asked from outside: this is what 'up' and 'status' call ready",
        ),
    ],
)
def test_a_model_server_names_its_provider(name: str, provider: str, field: str, value: str, reason: str) -> None:
    found = evidence(run=f"providers:\n  inference:\n  - {provider}\n")
    row = one(found, f"{name}.started")
    assert row.cause.where == "run.yaml:3:5"
    assert row.cause.reason == "providers.inference[0] asks for it: without it nobody would answer there"
    row = one(found, f"{name}.{field}")
    assert (row.value, row.cause.reason) == (value, reason)


def test_the_knowledge_portal_is_there_because_of_a_source() -> None:
    found = evidence(f"{LIGHTSPEED}rag: {{retrieval: {{inline: {{sources: [okp]}}}}}}\n")
    row = one(found, "okp.started")
    assert row.cause.where == "lightspeed-stack.yaml:6:28"
    assert row.cause.reason == "rag.retrieval.inline.sources asks for it: without it nobody would answer there"


# --- what is asked for ---


def test_a_service_a_section_or_a_field_is_asked_for() -> None:
    rows = explained(evidence())
    assert {row.service for row in asked_for(rows, SERVER)} == {SERVER}
    limits = ["limits.cpus", "limits.memory", "limits.pids"]
    assert [row.field for row in asked_for(rows, f"{SERVER}.limits")] == limits


@pytest.mark.parametrize(
    ("word", "field"),
    [
        ("read_only", "hardening.read_only"),
        ("imagePullPolicy", "pull_policy"),
        ("env.OGX_PORT", "environment.OGX_PORT"),
    ],
)
def test_a_field_may_be_called_as_settings_call_it(word: str, field: str) -> None:
    assert one(evidence(), f"{SERVER}.{word}").field == field


@pytest.mark.parametrize(
    ("wanted", "what", "fix"),
    [
        ("llama-stak", "no service is called 'llama-stak'", "Did you mean 'llama-stack'?"),
        ("x", "no service is called 'x'", "Known here: lightspeed-stack, llama-stack, settings."),
        (f"{SERVER}.imge", "llama-stack has no field 'imge'", "Did you mean 'image'?"),
        (f"{SERVER}.limits.mem", "llama-stack has no field 'limits.mem'", "Did you mean 'limits.memory'?"),
    ],
)
def test_what_is_not_there_gets_its_near_miss(wanted: str, what: str, fix: str) -> None:
    with pytest.raises(UsageError) as error:
        asked_for(explained(evidence()), wanted)
    assert (error.value.what, error.value.fix) == (what, fix)


# --- values ---


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("image", "a:1", "a:1"),
        ("shm_size", None, ""),
        ("ordered", True, "true"),
        ("healthcheck.interval", 10.0, "10"),
        ("command", ("run", "a b"), "run 'a b'"),
        ("ports", (Port("127.0.0.1", 1, 2), Port("::1", 3, 4)), "127.0.0.1:1:2, ::1:3:4"),
        (
            "needs",
            (Dependency("a", "healthy"), Dependency("b", "started", required=False)),
            "a (healthy), b (started, if it is there)",
        ),
        ("volumes./a", FileMount("/s", "/a"), "/s (read-only)"),
        ("volumes./a", FileMount("/s", "/a", read_only=False), "/s"),
        ("volumes./a", VolumeMount("v", "/a"), "volume v"),
        ("volumes./a", DocumentMount("d", "/a"), "document d"),
        ("environment.A", EnvRef("A", required=True), "${A}"),
        ("environment.A", EnvRef("A", "b"), "${A:-b}"),
        ("environment.A", ComposeText("${B}/c"), "${B}/c"),
        ("environment.API_KEY", EnvRef("API_KEY", "abcd"), "${API_KEY:-(hidden)}"),
        ("environment.API_KEY", EnvRef("API_KEY"), "${API_KEY:-}"),
        ("environment.API_KEY", ComposeText("ab$$cd"), "(hidden)"),
        ("services.a.env.API_KEY", "abcd", "(hidden)"),
        ("environment.URL", "http://me:word@host/x", "http://(hidden)@host/x"),
    ],
)
def test_values_are_text_without_secrets(name: str, value: Any, text: str) -> None:
    assert shown(name, value) == text


# --- changes ---


def told(found: Evidence) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Of each changed path the place and the lines."""
    return {f"{one.change.document} {one.change.path}": (one.where, one.lines) for one in changes(found.resolved)}


def test_a_change_is_lines_of_a_diff_with_the_place() -> None:
    found = told(evidence())
    assert found["lightspeed-stack.yaml ogx.url"] == (
        "lightspeed-stack.yaml:4:7",
        ("-url: http://localhost:8321", "+url: http://llama-stack:8321"),
    )
    assert found["run.yaml server.port"][1] == ("+port: 8321",)


def test_a_small_section_that_is_added_is_written_out() -> None:
    path = "/opt/app-root/src/.llama/storage/lightspeed-stack.db"
    assert told(evidence())["lightspeed-stack.yaml database.sqlite"][1] == ("+sqlite:", f"+  db_path: {path}")


def test_a_renamed_section_is_found_under_its_older_name_and_not_written_out_twice() -> None:
    found = told(evidence(LIGHTSPEED.replace("ogx", "llama_stack")))
    assert found["lightspeed-stack.yaml ogx"] == ("lightspeed-stack.yaml:4:1", ("+ogx: {…}",))
    assert found["lightspeed-stack.yaml llama_stack"][1] == ("-llama_stack: {…}",)
    assert found["lightspeed-stack.yaml ogx.url"][0] == "lightspeed-stack.yaml:4:15"


def test_a_secret_that_was_lifted_is_not_told() -> None:
    text = LIGHTSPEED.replace('8321"', '8321", api_key: abcd-efgh')
    found = evidence(text)
    path = "lightspeed-stack.yaml ogx.api_key"
    assert told(found)[path][1] == ("-api_key: (hidden)", "+api_key: ${env.LIGHTSPEED_OGX_API_KEY}")
    row = one(found, f"{LCORE}.environment.LIGHTSPEED_OGX_API_KEY")
    assert (row.value, row.cause.layer) == ("${LIGHTSPEED_OGX_API_KEY}", "lightspeed-stack.yaml")
    assert row.cause.reason == "a secret's value belongs in no rendered file"
    assert row.cause.where == "lightspeed-stack.yaml:4:37"


@pytest.mark.parametrize("secret", ["12345", "true", "1e5"])
def test_a_secret_that_stays_in_the_document_is_not_told(secret: str) -> None:
    text = LIGHTSPEED.replace("ogx", "llama_stack").replace("localhost", "example.com")
    found = changes(evidence(text.replace('8321"', f'8321", api_key: "{secret}"')).resolved)
    lines = [line for one in found for line in one.lines]
    assert [line for line in lines if secret in line and "authentication" not in line] == []
    assert "+ogx: {…}" in lines


def test_what_is_removed_is_written_out_without_its_secrets() -> None:
    container = "{limits: {memory: 3g}, env: {A_KEY: '${A_KEY:-abcd-efgh}'}}"
    text = f"{LIGHTSPEED}container: {container}\nruntime: container\n"
    whole = node(text)
    found = {one.change.path: one for one in changes(evidence(text).resolved, whole)}
    assert found["container"].where == "lightspeed-stack.yaml:6:1"
    assert found["container"].lines == (
        "-container:",
        "-  limits:",
        '-    memory: "3g"',
        "-  env:",
        '-    A_KEY: "(hidden)"',
    )
    assert found["container"].change.reason.startswith("a setting of lcompose")
    assert found["runtime"].lines == ("-runtime: container",)


def test_a_list_that_changes_is_told_by_what_changes() -> None:
    provider = "{provider_id: a, provider_type: b, config: {}}"
    found = told(evidence(run=f"providers: {{inference: [{provider}]}}\n", own="gpu: cuda"))
    assert found["run.yaml providers.inference[1]"][1][:2] == (
        "+- provider_id: vllm",
        '+  provider_type: "remote::vllm"',
    )


# --- the command ---


def run(folder: Path, *args: str, **env: str) -> Result:
    if not (folder / "lightspeed-stack.yaml").exists():
        (folder / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
        (folder / "run.yaml").write_text(RUN)
    return CliRunner().invoke(command, ["-C", str(folder), "-p", "demo", *args], env=env)


def test_the_overview_shows_what_matters_what_a_person_set_and_every_change(tmp_path: Path) -> None:
    (tmp_path / "lcompose.yaml").write_text("services: {llama-stack: {imagePullPolicy: never}}\nwait_timeout: 9\n")
    out = run(tmp_path).stdout
    lines = [line.split() for line in out.splitlines()]
    assert ["pull_policy", "never", "lcompose.yaml:1:26", "When", "the", "image", "is", "pulled."] in lines
    assert [line[:3] for line in lines if line[:1] == ["wait_timeout"]] == [["wait_timeout", "9", "lcompose.yaml:2:1"]]
    assert "limits.memory" not in out
    assert "+++ run.yaml, as it is read in the container" in out
    assert "@@ service.host @@ reached from outside the container" in out


def test_one_value_is_shown_whole_and_where_it_comes_from(tmp_path: Path) -> None:
    assert run(tmp_path, "llama-stack.restart", "--profile", "prod").stdout.splitlines()[:3] == [
        "llama-stack.restart",
        "  value   on-failure:3",
        "  set by  profile prod (profiles/prod.yaml:15:5)",
    ]


def test_a_service_is_shown_with_the_changes_of_its_own_documents(tmp_path: Path) -> None:
    out = run(tmp_path, "llama-stack").stdout
    assert "hardening.read_only" in out
    assert "server.port" in out
    assert "service.host" not in out


def test_json_has_values_causes_and_changes(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, "--json", "llama-stack.restart", "--profile", "prod").stdout)
    assert (found["project"], found["profiles"], found["changes"]) == ("demo", ["prod"], [])
    value = found["values"][0]
    assert (value["service"], value["field"], value["value"]) == ("llama-stack", "restart", "on-failure:3")
    assert (value["layer"], value["where"]) == ("profile prod", "profiles/prod.yaml:15:5")
    change = json.loads(run(tmp_path, "--json").stdout)["changes"][0]
    assert set(change) == {"document", "source", "path", "before", "after", "reason", "where", "diff"}


@pytest.mark.parametrize("args", [(), ("--json",), ("lightspeed-stack",), ("lightspeed-stack.environment",)])
def test_no_secret_is_ever_shown(tmp_path: Path, args: tuple[str, ...]) -> None:
    (tmp_path / "lcompose.yaml").write_text(
        "services: {lightspeed-stack: {env: {A: 'the ${X_TOKEN:-sealed-default}', MY_KEY: '${MY_KEY:-sealed-too}'}}}\n"
    )
    (tmp_path / ".env").write_text("MY_KEY=sealed-in-a-file\nOTHER_TOKEN=secret-of-env\n")
    out = run(tmp_path, *args, SOME_SECRET="sealed-here", A="sealed-here").output
    assert [secret for secret in ("sealed-too", "sealed-in-a-file", "sealed-here") if secret in out] == []


def test_files_that_are_missing_are_no_reason_to_explain_nothing(tmp_path: Path) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(f"{LIGHTSPEED}customization: {{system_prompt_path: nowhere.txt}}\n")
    assert "nowhere.txt" in run(tmp_path, "lightspeed-stack").stdout


def test_the_runtime_is_explained_with_all_that_was_weighed() -> None:
    found = evidence(own="{runtimes: {disabled: [local]}, runtime: local}")
    assert cause(found, f"{SERVER}.runtime") == ("container", "lcompose.yaml", "lcompose.yaml:1:33")
    assert one(found, f"{SERVER}.runtime").cause.reason == (
        "local is out: runtimes.disabled has it; local is wanted, and cannot be: runtime in lcompose.yaml; "
        "container is taken: runtimes.default says so"
    )


def test_what_is_said_of_a_process_is_explained() -> None:
    found = evidence(embedded="local: {command: ogx}")
    where = ("ogx", "lightspeed-stack.yaml", "lightspeed-stack.yaml:1:9")
    assert cause(found, f"{SERVER}.local.command") == where
