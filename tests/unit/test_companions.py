"""Which companions a configuration needs, what they are made of, and what finds them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lcompose.errors import UsageError
from lcompose.lightspeed.companion_files import Serving, choices, companion, named, vendors_of
from lcompose.lightspeed.companions import KINDS, Companions, asking, needed
from lcompose.lightspeed.databases import bare
from lcompose.load import Path
from lcompose.names import NAME
from lcompose.spec.project import Dependency, DocumentMount, VolumeMount
from lcompose.spec.text import Address, ComposeText, EnvRef
from tests.unit.given import LIGHTSPEED, RUN, config

P = EnvRef("P", required=True)


def postgres(section: str = "database", **more: Any) -> str:
    """A block of lightspeed-stack.yaml that names a database."""
    fields = {"db": "app", "user": "ada", "password": "${env.P}", **more}
    lines = "".join(f"    {key}: {value}\n" for key, value in fields.items() if value is not None)
    return f"{section}:\n  postgres:\n{lines}"


def backend(**more: Any) -> str:
    """A run.yaml with one backend in PostgreSQL."""
    fields = {"type": "sql_postgres", "user": "ada", "password": "${env.P}", **more}
    lines = "".join(f"      {key}: {value}\n" for key, value in fields.items() if value is not None)
    return f"{RUN}storage:\n  backends:\n    sql:\n{lines}"


def provider(kind: str, settings: str, name: str = "mine", api: str = "inference") -> str:
    """A run.yaml with one provider; settings in YAML's flow style."""
    item = f"{{provider_id: {name}, provider_type: '{kind}', config: {settings}}}"
    return f"version: 2\nproviders:\n  {api}: [{item}]\n"


def found(lightspeed: str = "", run: str = RUN, env: dict[str, str] | None = None, **more: Any) -> Companions:
    """The companions of a configuration, with nothing external and no service of the person's."""
    wishes, served = more.pop("wishes", {}), more.pop("served", frozenset())
    arguments: dict[str, Any] = {"theirs": frozenset(), "server": True, **more}
    asked = asking(config(LIGHTSPEED + lightspeed, run, env=env or {"P": "pass"}), **arguments)
    return needed(replace(asked, served=served), wishes)


def names(companions: Companions) -> list[str]:
    return [service.name for service in companions.services]


def edits(companions: Companions) -> dict[Path, Any]:
    return {edit.path: edit.value for edit in (*companions.lightspeed_edits, *companions.run_edits)}


def environment(companions: Companions, index: int = 0) -> dict[str, Any]:
    return dict(companions.services[index].environment)


EVERYWHERE = [(name, vendor) for name in choices() for vendor in vendors_of(name) or ("none",)]


@pytest.mark.parametrize(("name", "vendor"), EVERYWHERE)
def test_every_companion_has_what_a_service_needs(name: str, vendor: str) -> None:
    kind = companion(name, vendor)
    service = named(kind, name, {}, Serving(("a-model",), 2))
    assert ":" in service.image and service.healthcheck and service.healthcheck.start_period >= 120
    assert bool(service.limits.memory and service.limits.pids) is (vendor == "none")
    assert not service.ports
    values = [value for _, value in service.environment if isinstance(value, str)]
    assert "{" not in "".join((*service.entrypoint, *service.command, *values))
    mounted = [mount.document for mount in service.mounts if isinstance(mount, DocumentMount)]
    assert mounted == ([kind.script.name] if kind.script else [])


def test_a_companion_without_a_file_is_an_error() -> None:
    with pytest.raises(UsageError, match="no companion 'mysql'"):
        companion("mysql")


def test_pgvector_is_postgres_with_another_image_and_the_same_script() -> None:
    one, other = companion("postgres"), companion("pgvector")
    assert one.service.image != other.service.image
    assert one.script == other.script and one.volumes == other.volumes
    assert one.service.healthcheck == other.service.healthcheck


@pytest.mark.parametrize(
    ("host", "means"),
    [
        (None, ""),
        ("", ""),
        ("localhost", ""),
        ("LOCALHOST", ""),
        ("127.0.0.1", ""),
        ("127.0.1.1", ""),
        ("::1", ""),
        ("[::1]", ""),
        ("db", "db"),
        ("DB_2", "db_2"),
        ("db.example.com", None),
        ("10.0.0.3", None),
        ("fd00::1", None),
        ("/run/postgresql", None),
        ("a,b", None),
        ("3232235521", None),
        ("llama-stack", None),
        ("host.docker.internal", None),
    ],
)
def test_what_a_host_means(host: str | None, means: str | None) -> None:
    assert bare(host) == means


@pytest.mark.parametrize("section", ["database", "conversation_cache", "quota_handlers", "a2a_state"])
def test_each_postgres_block_of_lcore_gets_a_companion_that_lcore_waits_for(section: str) -> None:
    result = found(postgres(section, host="127.0.0.1"))
    assert names(result) == ["postgres"]
    assert result.needs == {"lightspeed-stack": (Dependency("postgres", "healthy"),)}
    assert edits(result) == {(section, "postgres", "host"): "postgres"}
    assert result.kinds == {"postgres": "postgres"}
    assert [document.name for document in result.documents] == ["postgres.sh"]
    assert environment(result) == {
        "LCOMPOSE_DATABASES": "LCOMPOSE_DATABASE_1:LCOMPOSE_USER_1:P:",
        "LCOMPOSE_DATABASE_1": "app",
        "LCOMPOSE_USER_1": "ada",
        "P": P,
    }
    assert not result.findings


def test_a_block_without_a_host_means_this_machine() -> None:
    assert edits(found(postgres())) == {("database", "postgres", "host"): "postgres"}


@pytest.mark.parametrize("host", ["db.example.com", "192.168.1.9", "/run/postgresql", "'${env.UNSET}'"])
def test_a_database_elsewhere_gets_no_companion(host: str) -> None:
    assert found(postgres(host=host)) == Companions()


def test_what_is_called_external_gets_no_companion() -> None:
    assert found(postgres(), wishes={"postgres": "external"}) == Companions()
    assert names(found(postgres(), wishes={"postgres": "auto", "ollama": "external"})) == ["postgres"]


def test_blocks_of_one_host_and_port_share_a_companion_and_equal_logins_are_one() -> None:
    text = postgres(host="localhost") + postgres("a2a_state", host="127.0.0.1", port=5432)
    text += postgres("quota_handlers", db="quota", user="bob", password="${env.Q}")
    result = found(text, env={"P": "pass", "Q": "other"})
    assert names(result) == ["postgres"]
    assert environment(result) == {
        "LCOMPOSE_DATABASES": "LCOMPOSE_DATABASE_1:LCOMPOSE_USER_1:P: LCOMPOSE_DATABASE_2:LCOMPOSE_USER_2:Q:",
        "LCOMPOSE_DATABASE_1": "app",
        "LCOMPOSE_USER_1": "ada",
        "P": P,
        "LCOMPOSE_DATABASE_2": "quota",
        "LCOMPOSE_USER_2": "bob",
        "Q": EnvRef("Q", required=True),
    }


def test_another_port_of_this_machine_is_another_companion_with_its_own_volume() -> None:
    result = found(postgres() + postgres("a2a_state", port=5433))
    assert names(result) == ["postgres", "postgres-2"]
    assert edits(result) == {
        ("database", "postgres", "host"): "postgres",
        ("a2a_state", "postgres", "host"): "postgres-2",
        ("a2a_state", "postgres", "port"): 5432,
    }
    volumes = [mount.volume for one in result.services for mount in one.mounts if isinstance(mount, VolumeMount)]
    assert volumes == ["postgres-data", "postgres-2-data"]
    assert len(result.documents) == 1
    assert result.kinds == {"postgres": "postgres", "postgres-2": "postgres"}


def test_a_bare_name_is_the_companions_name() -> None:
    result = found(postgres(host="db") + postgres("a2a_state", host="postgres") + postgres("quota_handlers"))
    assert names(result) == ["db", "postgres"]
    assert edits(result) == {("quota_handlers", "postgres", "host"): "postgres"}


def test_names_of_companions_avoid_each_other() -> None:
    result = found(postgres(host="postgres-2") + postgres("a2a_state") + postgres("quota_handlers", port=6000))
    assert names(result) == ["postgres-2", "postgres-3", "postgres"]
    assert all(NAME.fullmatch(name) for name in names(result))


def test_a_name_that_no_service_can_have_is_an_error() -> None:
    result = found(postgres(host="_db"))
    assert [(one.path, one.severity) for one in result.findings] == [("database.postgres.host", "error")]
    assert not result.services


def test_a_service_of_the_person_is_left_alone_and_found() -> None:
    theirs = frozenset({"db", "postgres"})
    assert found(postgres(host="db"), theirs=theirs) == Companions()
    result = found(postgres(), theirs=theirs)
    assert not result.services and not result.needs and not result.documents
    assert edits(result) == {("database", "postgres", "host"): "postgres"}


def test_the_password_that_was_lifted_out_of_a_block_is_the_companions_too() -> None:
    path = ("database", "postgres", "password")
    result = found(postgres(password="123qwe"), lifted={path: "LIGHTSPEED_DATABASE_POSTGRES_PASSWORD"})
    assert environment(result)["LIGHTSPEED_DATABASE_POSTGRES_PASSWORD"] == EnvRef(
        "LIGHTSPEED_DATABASE_POSTGRES_PASSWORD", required=True
    )
    assert "123qwe" not in repr(result)


@pytest.mark.parametrize("password", ["123qwe", "'x${env.P}'", "'${env.P:+x}'"])
def test_a_password_that_is_no_single_variable_is_an_error(password: str) -> None:
    [finding] = found(postgres(password=password)).findings
    assert (finding.path, finding.severity) == ("database.postgres.password", "error")
    assert "123qwe" not in str(finding)


def test_one_user_with_two_passwords_is_an_error_and_shows_neither() -> None:
    text = postgres() + postgres("a2a_state", password="${env.Q}")
    [finding] = found(text, env={"P": "pass", "Q": "word"}).findings
    assert finding.path == "a2a_state.postgres.password"
    assert "pass'" not in str(finding) and "'word" not in str(finding)
    assert not found(text, env={"P": "same", "Q": "same"}).findings


@pytest.mark.parametrize(
    ("key", "value"), [("ssl_mode", "verify-full"), ("ssl_mode", "require"), ("gss_encmode", "require")]
)
def test_encryption_that_the_companion_cannot_give_is_an_error(key: str, value: str) -> None:
    [finding] = found(postgres(**{key: value})).findings
    assert finding.path == f"database.postgres.{key}"
    assert not found(postgres(**{key: "prefer"})).findings


def test_names_from_variables_stay_variables() -> None:
    block = postgres(db="'${env.DB:=app}'", user="'${env.WHO}'")
    assert environment(found(block, env={"P": "pass", "WHO": "ada"})) == {
        "LCOMPOSE_DATABASES": "DB:WHO:P:",
        "DB": EnvRef("DB", "app"),
        "WHO": EnvRef("WHO", required=True),
        "P": P,
    }


def test_texts_with_variables_in_them_are_said_in_composes_words() -> None:
    block = postgres(db="'a$${env.DB:=x}-${env.MORE}${env.ON:+y}'", user="'${env.DB:=other}'")
    block += postgres("a2a_state", db="'${env.DB:=x}'", user="bob", password="${env.Q}")
    result = environment(found(block, env={"P": "p", "Q": "q", "MORE": "m"}))
    assert result["LCOMPOSE_DATABASE_1"] == ComposeText(
        "a$$${DB:-x}-${MORE:?set MORE in the environment or in .env}${ON:+y}"
    )
    assert result["DB"] == EnvRef("DB", "other")
    # One variable has one default in a container, so the second one has a name of its own.
    assert result["LCOMPOSE_DATABASE_2"] == ComposeText("${DB:-x}")
    assert result["LCOMPOSE_DATABASES"].split()[1] == "LCOMPOSE_DATABASE_2:LCOMPOSE_USER_2:Q:"


@pytest.mark.parametrize(("version", "database"), [((1, 2, 5), "ogx"), ((0, 6, 0), "llamastack")])
def test_a_backend_of_llama_stack_has_the_database_that_is_its_default(version: tuple[int, ...], database: str) -> None:
    chosen = config(run=backend(host="localhost"), env={"P": "p"}, version=version)
    result = needed(asking(chosen, frozenset(), server=True), {})
    assert environment(result)["LCOMPOSE_DATABASE_1"] == database
    assert result.needs == {"llama-stack": (Dependency("postgres", "healthy"),)}
    assert edits(result) == {("storage", "backends", "sql", "host"): "postgres"}


@pytest.mark.parametrize("kind", ["kv_postgres", "sql_postgres", "postgres"])
def test_every_kind_of_backend_and_the_older_stores_are_seen(kind: str) -> None:
    assert names(found(run=backend(type=kind, db="d"))) == ["postgres"]
    store = f"{RUN}inference_store: {{type: {kind}, db: d, user: u, password: '${{env.P}}'}}\n"
    assert edits(found(run=store)) == {("inference_store", "host"): "postgres"}


def test_in_library_mode_lcore_waits_for_what_llama_stack_needs() -> None:
    text = "llama_stack: {use_as_library_client: true}\n".replace("llama_stack", "ogx")
    lightspeed = LIGHTSPEED.replace('ogx: {url: "http://localhost:8321"}\n', text)
    chosen = config(lightspeed, backend(db="d"), env={"P": "p"})
    assert needed(asking(chosen, frozenset(), server=False), {}).needs == {
        "lightspeed-stack": (Dependency("postgres", "healthy"),)
    }


def test_nothing_is_started_for_a_llama_stack_elsewhere() -> None:
    run = backend(db="d")
    result = found(postgres(), run, server=False)
    assert environment(result)["LCOMPOSE_DATABASE_1"] == "app"
    assert "LCOMPOSE_DATABASE_2" not in environment(result)
    assert not result.run_edits


def test_a_backend_without_user_or_password_is_an_error() -> None:
    result = found(run=backend(user=None, password=None))
    assert [one.path for one in result.findings] == ["storage.backends.sql.user", "storage.backends.sql.password"]


STORE = "rag: {{byok: {{stores: [{{rag_id: a, vector_db_id: v, backend: pgvector{}}}]}}}}\n"
OWN = ", host: localhost, db: docs, user: ada, password: '${env.P}'"
PG = "{host: localhost, db: docs, user: ada, password: '${env.P}'}"


@pytest.mark.parametrize(
    ("lightspeed", "run"),
    [
        (STORE.format(OWN), RUN),
        ("", provider("remote::pgvector", PG, api="vector_io")),
        (f"vector_store: {{providers: [{{id: v, type: pgvector, config: {PG}}}]}}\n", RUN),
    ],
)
def test_a_vector_store_gets_the_extension_and_the_image_that_has_it(lightspeed: str, run: str) -> None:
    result = found(lightspeed, run)
    assert names(result) == ["postgres"]
    assert result.services[0].image == companion("pgvector").service.image
    assert environment(result)["LCOMPOSE_DATABASES"] == "LCOMPOSE_DATABASE_1:LCOMPOSE_USER_1:P:vector"
    assert result.needs == {"llama-stack": (Dependency("postgres", "healthy"),)}
    # A store that names no port would have a variable's.
    assert list(edits(result).values()) == ["postgres", *([5432] if lightspeed else [])]
    # Settings and wishes speak of one PostgreSQL, whichever image it is.
    assert result.kinds == {"postgres": "postgres"}


def test_a_database_for_vectors_and_for_more_is_made_once_with_the_extension() -> None:
    text = postgres(db="docs") + STORE.format(OWN)
    assert environment(found(text))["LCOMPOSE_DATABASES"] == "LCOMPOSE_DATABASE_1:LCOMPOSE_USER_1:P:vector"


def test_a_store_that_says_nothing_uses_the_variables_that_lcore_would_write() -> None:
    variables = {"host": "HOST", "port": "PORT", "db": "DATABASE", "user": "USER", "password": "PASSWORD"}
    settings = ", ".join(f"{key}: '${{env.POSTGRES_{name}}}'" for key, name in variables.items())
    run = provider("remote::pgvector", f"{{{settings}}}", "byok_a", "vector_io")
    env = {"POSTGRES_DATABASE": "d", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p"}
    result = found(STORE.format(""), run, env)
    assert environment(result)["LCOMPOSE_DATABASES"] == "POSTGRES_DATABASE:POSTGRES_USER:POSTGRES_PASSWORD:vector"
    store, config = ("rag", "byok", "stores", 0), ("providers", "vector_io", 0, "config")
    assert edits(result) == {
        (*store, "host"): "postgres",
        (*store, "port"): 5432,
        (*config, "host"): "postgres",
        (*config, "port"): 5432,
    }
    # Without such a store it is a person who asks for the variable.
    assert found(run=run, env=env) == Companions()


def test_a_provider_that_is_left_out_needs_nothing() -> None:
    run = provider("remote::pgvector", PG, "'${env.ENABLED:+pg}'", "vector_io")
    assert found(run=run) == Companions()
    assert names(found(run=run, env={"P": "p", "ENABLED": "1"})) == ["postgres"]
    assert found(run=provider("remote::ollama", "{}", "__disabled__")) == Companions()


@pytest.mark.parametrize(
    ("settings", "path", "value"),
    [
        ("{base_url: 'http://localhost:11434/v1'}", "base_url", Address("ollama", 11434, "/v1")),
        ("{base_url: 'http://ollama:11434/v1/'}", "base_url", Address("ollama", 11434, "/v1")),
        ("{url: 'http://127.0.0.1:9999'}", "url", Address("ollama", 11434)),
        ("{base_url: '${env.OLLAMA_URL:=http://localhost:11434/v1}'}", "base_url", Address("ollama", 11434, "/v1")),
        ("{}", "base_url", Address("ollama", 11434, "/v1")),
    ],
)
def test_ollama_beside_us_is_a_companion(settings: str, path: str, value: Address) -> None:
    result = found(run=provider("remote::ollama", settings))
    assert names(result) == ["ollama"]
    assert edits(result) == {("providers", "inference", 0, "config", path): value}
    assert result.needs == {"llama-stack": (Dependency("ollama", "healthy"),)}
    assert [document.name for document in result.documents] == ["ollama.sh"]


@pytest.mark.parametrize(
    "url", ["http://gpu.example.com:11434", "http://10.1.1.1:11434", "http://other:11434", "http://[x"]
)
def test_ollama_elsewhere_is_none(url: str) -> None:
    assert found(run=provider("remote::ollama", f"{{base_url: '{url}'}}")) == Companions()


def test_every_model_that_is_named_for_ollama_is_fetched() -> None:
    lightspeed = "inference: {default_provider: mine, default_model: 'llama3.2:3b'}\n"
    run = provider("remote::ollama", "{allowed_models: ['llama3.2:3b', 'qwen3:0.6b']}") + (
        "registered_resources:\n  models:\n"
        "  - {model_id: e, provider_id: mine, provider_model_id: 'all-minilm:latest', model_type: embedding}\n"
        "  - {model_id: x, provider_id: another}\n"
    )
    result = found(lightspeed, run)
    assert environment(result)["LCOMPOSE_MODELS"] == "llama3.2:3b all-minilm:latest qwen3:0.6b"
    assert not result.findings


def test_ollama_without_a_model_is_a_warning_and_with_a_strange_one_an_error() -> None:
    [finding] = found(run=provider("remote::ollama", "{}")).findings
    assert (finding.path, finding.severity) == ("providers.inference[0]", "warning")
    [finding] = found(run=provider("remote::ollama", "{allowed_models: ['a b']}")).findings
    assert finding.severity == "error"


def test_a_persons_own_ollama_is_found_and_not_started() -> None:
    result = found(run=provider("remote::ollama", "{}"), theirs=frozenset({"ollama"}))
    assert not result.services and not result.needs
    assert list(edits(result).values()) == [Address("ollama", 11434, "/v1")]
    named_so = provider("remote::ollama", "{base_url: 'http://ollama:1/v1'}")
    assert found(run=named_so, theirs=frozenset({"ollama"})) == Companions()


VLLM_URL = "{base_url: 'http://localhost:8000/v1', allowed_models: [org/model]}"


def test_vllm_without_a_gpu_runs_on_the_processor_with_the_model_that_is_named() -> None:
    result = found(run=provider("remote::vllm", VLLM_URL))
    [service] = result.services
    assert service.entrypoint == ("vllm", "serve") and service.command[:3] == ("org/model", "--port", "8000")
    assert service.accelerator is None and service.gauge
    assert edits(result) == {("providers", "inference", 0, "config", "base_url"): Address("vllm", 8000, "/v1")}
    assert not result.findings


def test_a_provider_that_the_inference_service_has_gets_no_companion() -> None:
    run = provider("remote::vllm", VLLM_URL)
    assert found(run=run, served=frozenset({("providers", "inference", 0)})) == Companions()


@pytest.mark.parametrize("settings", ["{}", "{base_url: '${env.VLLM_URL:=}'}", "{base_url: '${env.VLLM_URL}'}"])
def test_vllm_without_a_url_is_nobodys(settings: str) -> None:
    assert found(run=provider("remote::vllm", settings)) == Companions()


def test_vllm_without_a_model_serves_a_small_one_and_says_so() -> None:
    result = found(run=provider("remote::vllm", "{base_url: 'http://localhost:8000/v1'}"))
    assert result.services[0].command[0] == companion("vllm").model
    assert companion("vllm").model in result.findings[0].what and result.findings[0].severity == "warning"


def test_each_local_port_is_a_vllm_of_its_own() -> None:
    each = (("a", 8000, "m"), ("b", 8001, "n"))
    items = ", ".join(
        f"{{provider_id: {name}, provider_type: 'remote::vllm',"
        f" config: {{url: 'http://localhost:{port}/v1', allowed_models: [{model}]}}}}"
        for name, port, model in each
    )
    run = f"version: 2\nproviders: {{inference: [{items}]}}\n"
    result = found(run=run)
    assert [(one.name, one.command[0]) for one in result.services] == [("vllm", "m"), ("vllm-2", "n")]
    assert [value.service for value in edits(result).values()] == ["vllm", "vllm-2"]
    assert result.kinds == {"vllm": "vllm", "vllm-2": "vllm"}


RETRIEVAL = "retrieval: {inline: {sources: [okp]}}"


@pytest.mark.parametrize(
    ("rag", "section"),
    [
        (f"rag: {{{RETRIEVAL}}}\n", ("rag", "okp")),
        (f"rag: {{{RETRIEVAL}, okp: {{rhokp_url: 'http://localhost:8081'}}}}\n", ("rag", "okp")),
        ("rag: {tool: [okp]}\nokp: {offline: true}\n", ("okp",)),
    ],
)
def test_the_offline_portal_is_a_companion_where_it_is_a_source(rag: str, section: tuple[str, ...]) -> None:
    result = found(rag)
    assert names(result) == ["okp"]
    assert edits(result) == {(*section, "rhokp_url"): Address("okp", 8080)}
    assert result.needs == {"llama-stack": (Dependency("okp", "healthy"),)}


@pytest.mark.parametrize(
    "rag",
    [
        "rag: {okp: {rhokp_url: 'http://localhost:8081'}}\n",
        f"rag: {{{RETRIEVAL}, okp: {{rhokp_url: 'https://okp.example.com'}}}}\n",
        f"rag: {{{RETRIEVAL}, okp: {{rhokp_url: '${{env.RH_SERVER_OKP}}'}}}}\n",
    ],
)
def test_a_portal_elsewhere_or_one_that_nobody_asks_is_none(rag: str) -> None:
    assert found(rag) == Companions()


def test_the_provider_that_asks_the_portal_finds_it_too() -> None:
    run = provider("remote::solr_vector_io", "{solr_url: 'http://localhost:8081/solr'}", api="vector_io")
    assert edits(found(run=run)) == {("providers", "vector_io", 0, "config", "solr_url"): Address("okp", 8080, "/solr")}


def test_several_kinds_stand_beside_each_other() -> None:
    result = found(postgres() + f"rag: {{{RETRIEVAL}}}\n", provider("remote::ollama", "{allowed_models: [m]}"))
    assert names(result) == ["postgres", "ollama", "okp"]
    assert result.needs == {
        "lightspeed-stack": (Dependency("postgres", "healthy"),),
        "llama-stack": (Dependency("ollama", "healthy"), Dependency("okp", "healthy")),
    }
    assert [document.name for document in result.documents] == ["postgres.sh", "ollama.sh"]
    assert found(postgres(), wishes=dict.fromkeys(KINDS, "external")) == Companions()


def test_a_thousand_blocks_take_no_time_to_speak_of() -> None:
    stores = ", ".join(
        f"{{rag_id: r{n}, vector_db_id: v, backend: pgvector, db: d{n}, user: u, password: '${{env.P}}'}}"
        for n in range(1000)
    )
    result = found(f"rag: {{byok: {{stores: [{stores}]}}}}\n")
    assert names(result) == ["postgres"]
    assert len(environment(result)["LCOMPOSE_DATABASES"].split()) == 1000
