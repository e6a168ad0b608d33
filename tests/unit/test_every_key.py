"""Every key of the two documents that means something for a deployment: what is written, and what comes of it.

A row is a key: what stands in lightspeed-stack.yaml and run.yaml, and what must be in the Project. Rows that
wait for a part that is not there yet are expected to fail, and turn red when they no longer do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcompose.load import value_at
from lcompose.spec.project import FileMount, Project, VolumeMount
from lcompose.spec.text import Address, EnvRef
from lcompose.workspace import Options, open_workspace
from tests.unit.given import KNOWING

LCORE, SERVER = "lightspeed-stack", "llama-stack"
LIGHTSPEED = """
name: test
service: {port: 8080}
ogx: {url: "http://localhost:8321"}
user_data_collection: {}
"""
LIBRARY = LIGHTSPEED.replace(
    'url: "http://localhost:8321"', "use_as_library_client: true, library_client_config_path: run.yaml"
)
RUN = "version: 2\ndistro_name: x\nproviders: {}\n"
OWNED = "/opt/app-root/src/.llama/storage"
POSTGRES = "{host: db.example.com, db: d, user: u, password: '${env.P}', ca_cert_path: ca.pem}"

# What must be in the Project of a folder.
Want = Callable[[Project, str], None]


def mounts(service: str, source: str, target: str, *, read_only: bool = True) -> Want:
    """A file of the folder, or of an absolute path, is mounted."""

    def check(project: Project, here: str) -> None:
        assert FileMount(str(Path(here, source)), target, read_only) in project.service(service).mounts

    return check


def keeps(service: str, target: str, volume: str = "") -> Want:
    """A volume is mounted there, or above it."""

    def check(project: Project, _: str) -> None:
        held = [one for one in project.service(service).mounts if isinstance(one, VolumeMount)]
        above = [one.volume for one in held if f"{target}/".startswith(f"{one.target}/")]
        assert above
        assert not volume or volume in above

    return check


def mounts_nothing(service: str) -> Want:
    """No file of the host is mounted."""

    def check(project: Project, _: str) -> None:
        assert not [one for one in project.service(service).mounts if isinstance(one, FileMount)]

    return check


def gets(service: str, name: str, value: Any) -> Want:
    """A variable has a value."""

    def check(project: Project, _: str) -> None:
        assert dict(project.service(service).environment).get(name) == value

    return check


def needs(service: str, name: str) -> Want:
    """A variable must be set by the person."""
    return gets(service, name, EnvRef(name, required=True))


def says(*path: str | int, value: Any) -> Want:
    """What LCORE reads says it."""
    return _document("lightspeed-stack.yaml", path, value)


def runs_with(*path: str | int, value: Any) -> Want:
    """What Llama Stack reads says it."""
    return _document("run.yaml", path, value)


def _document(document: str, path: tuple[str | int, ...], value: Any) -> Want:
    def check(project: Project, _: str) -> None:
        tree = next(one.tree for one in project.documents if one.name == document)
        assert value_at(tree, path) == value

    return check


def asks(service: str, check_has: str, **fields: Any) -> Want:
    """How it is asked from outside and inside."""

    def check(project: Project, _: str) -> None:
        found = project.service(service)
        assert {name: getattr(found.probe, name) for name in fields} == fields
        assert found.healthcheck
        assert check_has in found.healthcheck.command[-1]

    return check


def starts(*names: str) -> Want:
    """These services, and no others."""

    def check(project: Project, _: str) -> None:
        assert [one.name for one in project.services] == list(names)

    return check


def runs(image: str) -> Want:
    """Some service runs an image of that name."""

    def check(project: Project, _: str) -> None:
        assert image in " ".join(one.image for one in project.services)

    return check


def row(
    key: str, lightspeed: str = "", run: str = "", *wants: Want, base: str = LIGHTSPEED, waits: str = "", **env: str
) -> Any:
    """A row of the table; ``waits`` is the part of lcompose that it waits for."""
    marks = [pytest.mark.xfail(strict=True, reason=f"waits for {waits}")] if waits else []
    return pytest.param(f"{base}{lightspeed}\n", f"{run or RUN}\n", wants, env, id=key, marks=marks)


def storage(keys: str) -> str:
    """A run.yaml with a database of keys."""
    other = "sql_default: {type: sql_sqlite, db_path: /opt/sql.db}"
    return f"{RUN}storage: {{backends: {{kv_default: {{type: {keys}}}, {other}}}}}"


def provider(kind: str, config: str = "{}", api: str = "inference", id: str = "p") -> str:  # noqa: A002  # upstream's word
    """A run.yaml with one provider."""
    return f"distro_name: x\nproviders: {{{api}: [{{provider_id: '{id}', provider_type: '{kind}', config: {config}}}]}}"


def in_section(words: str) -> str:
    """lightspeed-stack.yaml with more about Llama Stack."""
    return LIGHTSPEED.replace("ogx: {", f"ogx: {{{words}, ")


def in_service(words: str) -> str:
    """lightspeed-stack.yaml with more about LCORE's own port."""
    return LIGHTSPEED.replace("{port: 8080}", f"{{port: 8080, {words}}}")


SERVICE_ROWS = [
    row("service.host", "", "", says("service", "host", value="0.0.0.0"), base=in_service("host: localhost")),
    row(
        "service.port",
        "",
        "",
        asks(LCORE, "9090", port=9090),
        says("service", "port", value=9090),
        base=LIGHTSPEED.replace("8080", "9090"),
    ),
    row(
        "service.port from a variable",
        "",
        "",
        asks(LCORE, "9090", port=9090),
        base=LIGHTSPEED.replace("8080", "'${env.PORT}'"),
        PORT="9090",
    ),
    row(
        "service.tls_config",
        "",
        "",
        asks(LCORE, "wrap_socket", scheme="https"),
        mounts(LCORE, "c.pem", "/app-root/c.pem"),
        mounts(LCORE, "k.pem", "/app-root/k.pem"),
        mounts(LCORE, "pw", "/app-root/pw"),
        base=in_service("tls_config: {tls_certificate_path: c.pem, tls_key_path: k.pem, tls_key_password: pw}"),
    ),
    row("service.root_path", "", "", asks(LCORE, "/liveness", path="/readiness"), base=in_service("root_path: /api")),
    row(
        "service.base_url",
        "",
        "",
        says("service", "base_url", value="https://out.example.com"),
        base=in_service("base_url: 'https://out.example.com'"),
    ),
    row("service.workers", "", "", says("service", "workers", value=4), base=in_service("workers: 4")),
]

LLAMA_STACK_ROWS = [
    row(
        "ogx.url beside me",
        "",
        "",
        says("ogx", "url", value=Address(SERVER, 8321)),
        asks(SERVER, "/v1/health", path="/v1/health"),
        starts(SERVER, LCORE),
    ),
    row(
        "ogx.url elsewhere",
        "",
        "",
        starts(LCORE),
        says("ogx", "url", value="https://stack.example.com"),
        base=LIGHTSPEED.replace("http://localhost:8321", "https://stack.example.com"),
    ),
    row(
        "ogx.url and a server with certificates",
        "",
        RUN + "server: {tls_certfile: c.pem, tls_keyfile: k.pem}",
        says("ogx", "url", value=Address(SERVER, 8321, "", "https")),
        asks(SERVER, "wrap_socket", scheme="https"),
    ),
    row(
        "ogx.api_key",
        "",
        "",
        needs(LCORE, "LIGHTSPEED_OGX_API_KEY"),
        says("ogx", "api_key", value="${env.LIGHTSPEED_OGX_API_KEY}"),
        base=in_section("api_key: abcdef"),
    ),
    row(
        "ogx.api_key of digits",
        "",
        "",
        says("ogx", "api_key", value="12345678"),
        base=in_section("api_key: '12345678'"),
    ),
    row("ogx.use_as_library_client", "", "", starts(LCORE), base=LIBRARY),
    row(
        "ogx.max_retries",
        "",
        "",
        says("ogx", "max_retries", value=60),
        says("ogx", "retry_delay", value=1),
        base=in_section("max_retries: 2"),
    ),
    row(
        "ogx.allow_degraded_mode",
        "",
        "",
        asks(LCORE, "", field="overall_status", expected="healthy"),
        base=in_section("allow_degraded_mode: true"),
    ),
    row(
        "ogx.config.native_override",
        "",
        "",
        runs_with("apis", value=["inference"]),
        base=in_section(
            "config: {baseline: empty, native_override: {distro_name: x, apis: [inference], providers: {}}}"
        ),
    ),
]

STORAGE_ROWS = [
    row(
        "user_data_collection.feedback_storage",
        "",
        "",
        keeps(LCORE, "/data/feedback"),
        base=LIGHTSPEED.replace(
            "collection: {}", "collection: {feedback_enabled: true, feedback_storage: /data/feedback}"
        ),
    ),
    row(
        "user_data_collection.transcripts_storage",
        "",
        "",
        keeps(LCORE, "/data/transcripts"),
        base=LIGHTSPEED.replace(
            "collection: {}", "collection: {transcripts_enabled: true, transcripts_storage: /data/transcripts}"
        ),
    ),
    row("no database", "", "", says("database", "sqlite", "db_path", value=f"{OWNED}/lightspeed-stack.db")),
    row("database.sqlite", "database: {sqlite: {db_path: /data/a.db}}", "", keeps(LCORE, "/data")),
    row(
        "database.sqlite in a system directory",
        "database: {sqlite: {db_path: /tmp/a.db}}",
        "",
        says("database", "sqlite", "db_path", value=f"{OWNED}/a.db"),
        keeps(LCORE, OWNED),
    ),
    row(
        "conversation_cache.sqlite",
        "conversation_cache: {type: sqlite, sqlite: {db_path: /data/c.db}}",
        "",
        keeps(LCORE, "/data"),
    ),
    row("a2a_state.sqlite", "a2a_state: {sqlite: {db_path: /data/a2a.db}}", "", keeps(LCORE, "/data")),
    row("quota_handlers.sqlite", "quota_handlers: {sqlite: {db_path: /data/q.db}}", "", keeps(LCORE, "/data")),
    *(
        row(
            f"{key}.postgres",
            f"{key}: {{{more}postgres: {POSTGRES}}}",
            "",
            mounts(LCORE, "ca.pem", "/app-root/ca.pem"),
            needs(LCORE, "P"),
        )
        for key, more in (
            ("database", ""),
            ("conversation_cache", "type: postgres, "),
            ("a2a_state", ""),
            ("quota_handlers", ""),
        )
    ),
    row(
        "database.postgres.password",
        "database: {postgres: {db: d, user: u, password: secret}}",
        "",
        needs(LCORE, "LIGHTSPEED_DATABASE_POSTGRES_PASSWORD"),
    ),
    row(
        "database.postgres.host beside me",
        "database: {postgres: {host: postgres, db: d, user: u, password: '${env.P}'}}",
        "",
        runs("postgres"),
        P="secret",
    ),
]

MCP_ROWS = [
    row(
        "mcp_servers[].authorization_headers",
        "mcp_servers: [{name: a, url: 'http://a:1', authorization_headers: {X: tokens/a}}]",
        "",
        mounts(LCORE, "tokens/a", "/app-root/tokens/a"),
    ),
    *(
        row(
            f"mcp_servers[].authorization_headers: {word}",
            f"mcp_servers: [{{name: a, url: 'http://a:1', authorization_headers: {{X: {word}}}}}]",
            "",
            mounts_nothing(LCORE),
        )
        for word in ("kubernetes", "client", "oauth")
    ),
    row(
        "mcp_servers[].authorization_headers in the home",
        "mcp_servers: [{name: a, url: 'http://a:1', authorization_headers: {X: ~/token}}]",
        "",
        mounts(LCORE, "/home/me/token", "/opt/app-root/src/token"),
        HOME="/home/me",
    ),
]

AUTHENTICATION = {
    "k8s": "",
    "jwk-token": ", jwk_config: {url: 'https://keys.example.com'}",
    "api-key-token": ", api_key_config: {api_key: '${env.K}'}",
    "rh-identity": ", rh_identity_config: {}",
    "trusted-proxy": ", trusted_proxy_config: {}",
}
AUTHENTICATION_ROWS = [
    row("authentication.module: noop", "authentication: {module: noop}", "", asks(LCORE, "/liveness", bearer="")),
    row(
        "authentication.module: noop-with-token",
        "authentication: {module: noop-with-token}",
        "",
        asks(LCORE, "Authorization: Bearer lcompose", bearer="lcompose"),
    ),
    *(
        row(
            f"authentication.module: {module}",
            f"authentication: {{module: {module}{more}}}",
            "",
            says("authentication", "skip_for_health_probes", value=True),
            asks(LCORE, "/liveness", bearer=""),
        )
        for module, more in AUTHENTICATION.items()
    ),
    row(
        "authentication.k8s_ca_cert_path",
        "authentication: {module: k8s, k8s_ca_cert_path: ca.pem}",
        "",
        mounts(LCORE, "ca.pem", "/app-root/ca.pem"),
    ),
    row(
        "authentication.api_key_config.api_key",
        "authentication: {module: api-key-token, api_key_config: {api_key: abcdef}}",
        "",
        needs(LCORE, "LIGHTSPEED_AUTHENTICATION_API_KEY_CONFIG_API_KEY"),
    ),
]

FILES = "{storage_dir: /data/files, metadata_store: {backend: sql_default, table_name: files}}"
BYOK = "rag: {byok: {stores: [{rag_id: docs, vector_db_id: vs, BACKEND}]}}"
KNOWLEDGE_ROWS = [
    row(
        "rag.byok.stores[] faiss",
        BYOK.replace("BACKEND", "backend: faiss, db_path: rag/docs.db"),
        KNOWING,
        mounts(SERVER, "rag/docs.db", "/app/rag/docs.db", read_only=False),
    ),
    row(
        "rag.byok.stores[].embedding_model",
        BYOK.replace("BACKEND", "backend: faiss, db_path: /rag/docs.db"),
        KNOWING,
        keeps(SERVER, "/root/.cache/huggingface", "models"),
    ),
    row(
        "rag.byok.stores[] pgvector",
        BYOK.replace("BACKEND", "backend: pgvector"),
        KNOWING,
        needs(SERVER, "POSTGRES_PASSWORD"),
    ),
    row(
        "rag.retrieval.inline.reranker",
        "rag: {retrieval: {inline: {reranker: {enabled: true}}}}",
        "",
        keeps(LCORE, "/opt/app-root/src/.cache/huggingface", "lightspeed-stack-models"),
    ),
    row(
        "rag.okp",
        "rag: {okp: {offline: true}, retrieval: {inline: {sources: [okp]}}}",
        KNOWING,
        runs("rhokp"),
    ),
]

OTHER_ROWS = [
    row(
        "inference.providers[].api_key_env",
        "inference: {providers: [{type: openai, api_key_env: MY_KEY}]}",
        "",
        needs(SERVER, "MY_KEY"),
        base=LIGHTSPEED,
    ),
    row(
        "customization.system_prompt_path",
        "customization: {system_prompt_path: prompts/a.txt}",
        "",
        mounts(LCORE, "prompts/a.txt", "/app-root/prompts/a.txt"),
    ),
    row(
        "customization.profile_path",
        "customization: {profile_path: profile.py}",
        "",
        mounts(LCORE, "profile.py", "/app-root/profile.py"),
    ),
    row(
        "customization.agent_card_path",
        "customization: {agent_card_path: card.yaml}",
        "",
        mounts(LCORE, "card.yaml", "/app-root/card.yaml"),
    ),
    row(
        "skills.paths[]",
        "skills: {paths: [skills, more/skills]}",
        "",
        mounts(LCORE, "skills", "/app-root/skills"),
        mounts(LCORE, "more/skills", "/app-root/more/skills"),
    ),
    row(
        "skills.paths[] as the container sees it",
        "skills: {paths: [/app-root/skills]}",
        "",
        mounts(LCORE, "skills", "/app-root/skills"),
    ),
    row(
        "azure_entra_id",
        "azure_entra_id: {tenant_id: '${env.TENANT_ID}', client_id: abcdef, client_secret: '${env.CLIENT_SECRET}'}",
        "",
        needs(LCORE, "TENANT_ID"),
        needs(LCORE, "LIGHTSPEED_AZURE_ENTRA_ID_CLIENT_ID"),
        needs(LCORE, "CLIENT_SECRET"),
    ),
    row(
        "splunk.token_path",
        "splunk: {enabled: true, url: 'https://s', index: i, token_path: token}",
        "",
        mounts(LCORE, "token", "/app-root/token"),
    ),
    row(
        "deployment_environment",
        "deployment_environment: production",
        "",
        says("deployment_environment", value="production"),
    ),
    row(
        "a variable with a default",
        "deployment_environment: '${env.WHERE:=here}'",
        "",
        gets(LCORE, "WHERE", EnvRef("WHERE", "here")),
    ),
    row(
        "OTEL_SDK_DISABLED",
        "",
        "",
        gets(LCORE, "OTEL_SDK_DISABLED", EnvRef("OTEL_SDK_DISABLED", "true")),
    ),
    row(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "",
        gets(LCORE, "OTEL_EXPORTER_OTLP_ENDPOINT", EnvRef("OTEL_EXPORTER_OTLP_ENDPOINT")),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://otel:4318",
    ),
    row(
        "SENTRY_CA_CERTS",
        "",
        "",
        mounts(LCORE, "sentry.pem", "/run/secrets/SENTRY_CA_CERTS"),
        SENTRY_CA_CERTS="sentry.pem",
    ),
    row(
        "HTTPS_PROXY",
        "",
        "",
        gets(LCORE, "HTTPS_PROXY", EnvRef("HTTPS_PROXY")),
        gets(SERVER, "NO_PROXY", f"localhost,127.0.0.1,{SERVER},{LCORE}"),
        HTTPS_PROXY="http://proxy:1",
    ),
]

RUN_ROWS = [
    row(
        "server.tls_certfile and its like",
        "",
        RUN + "server: {tls_certfile: c.pem, tls_keyfile: k.pem, tls_cafile: a.pem}",
        *(mounts(SERVER, name, f"/app/{name}") for name in ("c.pem", "k.pem", "a.pem")),
    ),
    row(
        "server.port",
        "",
        RUN + "server: {port: 8500}",
        asks(SERVER, "8500", port=8500),
        gets(SERVER, "OGX_PORT", "8500"),
        says("ogx", "url", value=Address(SERVER, 8500)),
    ),
    row("server.host", "", RUN + "server: {host: localhost}", runs_with("server", "host", value="0.0.0.0")),
    row(
        "external_providers_dir",
        "",
        RUN + "external_providers_dir: /data/providers.d",
        keeps(SERVER, "/data/providers.d"),
    ),
    row(
        "storage.backends sqlite",
        "",
        storage("kv_sqlite, db_path: ~/.llama/kv.db"),
        runs_with("storage", "backends", "kv_default", "db_path", value="/root/.llama/kv.db"),
        keeps(SERVER, "/root/.llama"),
    ),
    row(
        "storage.backends postgres",
        "",
        storage("kv_postgres, host: pg, user: u, password: abcdef"),
        needs(SERVER, "LLAMA_STACK_STORAGE_BACKENDS_KV_DEFAULT_PASSWORD"),
    ),
    row(
        "storage.backends.ca_cert_path",
        "",
        storage("kv_postgres, user: u, password: '${env.P}', ca_cert_path: ca.pem"),
        mounts(SERVER, "ca.pem", "/app/ca.pem"),
    ),
    row(
        "inline::localfs",
        "",
        provider("inline::localfs", FILES, "files"),
        keeps(SERVER, "/data/files"),
    ),
    row(
        "inline::sentence-transformers",
        "",
        provider("inline::sentence-transformers"),
        keeps(SERVER, "/root/.cache/huggingface", "models"),
    ),
    row(
        "inline::sentence-transformers in library mode",
        "",
        provider("inline::sentence-transformers"),
        keeps(LCORE, "/opt/app-root/src/.cache/huggingface", "models"),
        base=LIBRARY,
    ),
    row(
        "remote::vllm",
        "",
        provider("remote::vllm", "{base_url: '${env.VLLM_URL:=http://vllm.example.com/v1}', api_token: abcdef}"),
        gets(SERVER, "VLLM_URL", EnvRef("VLLM_URL", "http://vllm.example.com/v1")),
        needs(SERVER, "LLAMA_STACK_PROVIDERS_INFERENCE_0_CONFIG_API_TOKEN"),
    ),
    row(
        "remote::openai",
        "",
        provider("remote::openai", "{api_key: '${env.OPENAI_API_KEY}'}"),
        needs(SERVER, "OPENAI_API_KEY"),
    ),
    row(
        "remote::openai in library mode",
        "",
        provider("remote::openai", "{api_key: '${env.OPENAI_API_KEY}'}"),
        needs(LCORE, "OPENAI_API_KEY"),
        base=LIBRARY,
    ),
    row(
        "remote::azure",
        "",
        provider("remote::azure", "{api_key: '${env.AZURE_API_KEY:=}', base_url: '${env.AZURE_API_BASE}'}"),
        gets(SERVER, "AZURE_API_KEY", EnvRef("AZURE_API_KEY")),
        needs(SERVER, "AZURE_API_BASE"),
    ),
    row(
        "remote::watsonx",
        "",
        provider("remote::watsonx", "{api_key: '${env.WATSONX_API_KEY}', project_id: '${env.WATSONX_PROJECT_ID}'}"),
        needs(SERVER, "WATSONX_API_KEY"),
        needs(SERVER, "WATSONX_PROJECT_ID"),
    ),
    row(
        "remote::vertexai",
        "",
        provider("remote::vertexai", "{project: '${env.VERTEX_AI_PROJECT}'}"),
        needs(SERVER, "VERTEX_AI_PROJECT"),
    ),
    row(
        "GOOGLE_APPLICATION_CREDENTIALS",
        "",
        provider("remote::vertexai", "{project: p}"),
        mounts(SERVER, "gcp.json", "/run/secrets/GOOGLE_APPLICATION_CREDENTIALS"),
        gets(SERVER, "GOOGLE_APPLICATION_CREDENTIALS", "/run/secrets/GOOGLE_APPLICATION_CREDENTIALS"),
        GOOGLE_APPLICATION_CREDENTIALS="gcp.json",
    ),
    row(
        "remote::bedrock with a token",
        "",
        provider("remote::bedrock", "{api_key: '${env.AWS_BEARER_TOKEN_BEDROCK}'}"),
        needs(SERVER, "AWS_BEARER_TOKEN_BEDROCK"),
    ),
    row(
        "remote::bedrock that signs",
        "",
        provider("remote::bedrock"),
        gets(SERVER, "AWS_ROLE_ARN", EnvRef("AWS_ROLE_ARN")),
        mounts(SERVER, "/t/token", "/run/secrets/AWS_WEB_IDENTITY_TOKEN_FILE"),
        AWS_WEB_IDENTITY_TOKEN_FILE="/t/token",
    ),
    row(
        "a provider that is disabled",
        "",
        provider("x", "{api_key: '${env.NEVER}'}", id="__disabled__"),
        gets(SERVER, "NEVER", None),
    ),
    row(
        "a provider that is conditional",
        "",
        provider("x", "{api_key: '${env.KEY}'}", id="${env.ON:+x}"),
        needs(SERVER, "KEY"),
    ),
]

ROWS = [
    *SERVICE_ROWS,
    *LLAMA_STACK_ROWS,
    *STORAGE_ROWS,
    *MCP_ROWS,
    *AUTHENTICATION_ROWS,
    *KNOWLEDGE_ROWS,
    *OTHER_ROWS,
    *RUN_ROWS,
]


@pytest.mark.parametrize(("lightspeed", "run", "wants", "env"), ROWS)
def test_a_key_does_what_it_implies(
    lightspeed: str, run: str, wants: tuple[Want, ...], env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(lightspeed)
    for name in ("skills", "rag"):
        (tmp_path / name).mkdir()
    (tmp_path / "rag" / "docs.db").touch()
    if "inference: {providers" not in lightspeed and "config: {baseline" not in lightspeed:
        (tmp_path / "run.yaml").write_text(run)
    found = open_workspace(Options(directory=str(tmp_path)), {"HOME": "/home/me", **env}, allow_missing=True, here=True)
    for want in wants:
        want(found.resolved.project, str(tmp_path))
