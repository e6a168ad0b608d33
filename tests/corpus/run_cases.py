"""Small run.yaml documents, and what is to be found in each; Llama Stack itself is shown the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

Version = tuple[int, ...]
# Path, severity, and a piece of what is said.
Found = tuple[str, str, str]
VERSIONS: tuple[Version, ...] = ((0, 6, 0), (1, 0, 2), (1, 2, 5))

# A chat and files: nothing is wrong in it.
BASE: dict[str, Any] = yaml.safe_load("""
distro_name: test
providers:
  inference: [{provider_id: llm, provider_type: "remote::openai", config: {api_key: x, base_url: "http://127.0.0.1:9/v1"}}]
  files:
  - provider_id: files
    provider_type: inline::localfs
    config:
      storage_dir: ${env.SQLITE_STORE_DIR:=/x}/files
      metadata_store: {backend: sql_default, table_name: files}
storage:
  backends:
    kv_default: {type: kv_sqlite, db_path: "${env.SQLITE_STORE_DIR:=/x}/kv.db"}
    sql_default: {type: sql_sqlite, db_path: "${env.SQLITE_STORE_DIR:=/x}/sql.db"}
""")
FAISS = (
    "{provider_id: faiss, provider_type: 'inline::faiss', config: {persistence: {backend: kv_default, namespace: v}}}"
)
EMBEDDER = "{model_id: e, provider_id: llm, model_type: embedding, metadata: {embedding_dimension: 3}}"
RESPONSES = (
    "{provider_id: r, provider_type: 'inline::builtin',"
    " config: {persistence: {responses: {backend: sql_default, table_name: r}}}}"
)


@dataclass(frozen=True)
class Case:
    """What a document says beside the base, and the findings; ``starts`` if they do not tell whether it does."""

    name: str
    text: str
    found: tuple[Found, ...] = ()
    since: Version = ()
    until: Version = (9,)
    starts: bool | None = None

    @property
    def refused(self) -> bool:
        """Whether Llama Stack does not start with it."""
        if self.starts is not None:
            return not self.starts
        return any(severity == "error" or "not start" in what for _, severity, what in self.found)

    def of(self, version: Version) -> bool:
        """Whether it is about a version."""
        return self.since <= version < self.until

    @property
    def document(self) -> str:
        """The whole of it."""
        own = yaml.safe_load(self.text) or {}
        more = own.get("providers", {})
        both = {**BASE, **own, "providers": {**BASE["providers"], **more} if isinstance(more, dict) else more}
        return yaml.safe_dump({key: value for key, value in both.items() if value != "nothing"}, sort_keys=False)


def _error(path: str, what: str) -> tuple[Found, ...]:
    return ((path, "error", what),)


def _warning(path: str, what: str) -> tuple[Found, ...]:
    return ((path, "warning", what),)


NAMES = (
    Case("the base", ""),
    Case("no name", "distro_name: nothing", _error("", "'distro_name' must be there")),
    Case("a null name", "distro_name: null", _error("", "'distro_name' must be there")),
    Case("the older key", "{distro_name: nothing, image_name: x}"),
    Case("a name of a variable that is not set", "distro_name: ${env.NEVER:+x}", _error("", "'distro_name'")),
    Case("keys of long ago", "telemetry: {enabled: true}", _warning("telemetry", "does not read this any more")),
    Case("quota", "server: {cors: true}", _warning("server.cors", "does not read"), since=(1, 0)),
    Case("cors in its time", "server: {cors: true}", until=(1, 0)),
)

APIS = (
    Case("every API of the base", "apis: [inference, files]"),
    Case("a table with its router", "apis: [inference, files, models]"),
    Case("a router without providers", "apis: [inference, files, tool_runtime]"),
    Case("one's own", "apis: [inference, files, prompts, conversations, inspect]"),
    Case("nobody's", "apis: [inference, files, batches]", _error("apis[2]", "no provider serves this API")),
    Case(
        "a table without its router",
        "apis: [inference, files, vector_stores]",
        _error("apis[2]", "served together with vector_io"),
    ),
    Case("a typing error", "apis: [infrence, files, inference]", _error("apis[0]", "no API of this name")),
    Case("gone", "apis: [inference, files, safety]", _warning("apis[2]", "does not start with it"), since=(1, 0)),
    Case("not yet", "apis: [inference, files, messages]", _warning("apis[2]", "does not start"), until=(0, 8)),
    Case(
        "what a version cannot serve",
        "apis: [inference, files, containers]",
        _error("apis[2]", "nothing"),
        since=(1, 2),
    ),
    Case("providers of a typing error", "providers: {infrence: []}", _error("providers.infrence", "no API of this")),
    Case(
        "providers of what is gone",
        "providers: {telemetry: [{provider_id: x, provider_type: 'inline::meta-reference'}]}",
        _warning("providers.telemetry", "does not start with it"),
    ),
    Case(
        "what providers of what is gone keep",
        "providers: {agents: [{provider_id: x, provider_type: 'inline::meta-reference'}]}",
        _warning("providers.agents", "does not start with it"),
        since=(0, 7),
    ),
    Case("providers of a table", "providers: {models: []}", _error("providers.models", "the providers of inference")),
    Case(
        "providers of its own",
        "providers: {inspect: [{provider_id: x, provider_type: x}]}",
        _error("providers.inspect", "Llama Stack serves inspect itself"),
    ),
    Case(
        "a router that is not listed",
        f"{{apis: [inference, files], providers: {{vector_io: [{FAISS}]}}}}",
        _warning("providers.vector_io", "not listed in 'apis'"),
    ),
    Case("files that are not listed", "apis: [inference]"),
)

PROVIDERS = (
    Case(
        "no id", "providers: {tool_runtime: [{provider_type: x}]}", _error("providers.tool_runtime[0]", "provider_id")
    ),
    Case("an empty id", "providers: {tool_runtime: [{provider_id: '', provider_type: x}]}"),
    Case("disabled", "providers: {tool_runtime: [{provider_id: __disabled__, provider_type: x}]}"),
    Case(
        "one id twice",
        "providers: {inference: [{provider_id: a, provider_type: 'remote::openai', config: {api_key: x}},"
        " {provider_id: a, provider_type: 'remote::openai', config: {api_key: y}}]}",
        _warning("providers.inference[0].provider_id", "providers.inference[1] has this name too"),
    ),
    Case(
        "two providers of one API",
        "providers: {files: [{provider_id: a, provider_type: 'inline::localfs', config: {storage_dir: /tmp/x,"
        " metadata_store: {backend: sql_default, table_name: a}}}, {provider_id: b, provider_type: 'inline::localfs',"
        " config: {storage_dir: /tmp/x, metadata_store: {backend: sql_default, table_name: b}}}]}",
        _warning("providers.files[0]", "only the last is used"),
    ),
    Case(
        "an older type",
        "providers: {tool_runtime: [{provider_id: a, provider_type: 'inline::rag-runtime'}]}",
        _error("providers.tool_runtime[0].provider_type", "has no inline::rag-runtime for tool_runtime"),
        since=(0, 7),
    ),
    Case(
        "batches without files",
        "{providers: {files: [], batches: [{provider_id: b, provider_type: 'inline::reference',"
        " config: {sqlstore: {backend: sql_default, table_name: b}}}]}}",
        _warning("providers.batches[0]", "does not start without the API files"),
        since=(1, 0),
    ),
    Case(
        "vectors without inference",
        f"{{apis: [files, vector_io], providers: {{inference: [], vector_io: [{FAISS}]}}}}",
        _warning("providers.vector_io[0]", "does not start without the API inference"),
    ),
    Case(
        "responses with all",
        f"providers: {{responses: [{RESPONSES}]}}",
        since=(1, 0),
    ),
    Case(
        "an older address",
        "providers: {inference: [{provider_id: o, provider_type: 'remote::groq', config: {api_key: x, url: 'http://a'}}]}",
        _warning("providers.inference[0].config.url", "remote::groq ignores this and reads base_url"),
    ),
    Case(
        "vLLM's older address",
        "providers: {inference: [{provider_id: v, provider_type: 'remote::vllm', config: {url: 'http://a'}}]}",
        _warning("providers.inference[0].config.url", "remote::vllm ignores this and reads base_url"),
        # lcompose writes base_url where it starts the server.
        starts=False,
    ),
    Case(
        "both addresses",
        "providers: {inference: [{provider_id: v, provider_type: 'remote::vllm', config: {url: 'http://a',"
        " base_url: 'http://127.0.0.1:9/v1'}}]}",
    ),
)

KV_ONLY = "storage: {backends: {kv_default: {type: kv_sqlite, db_path: '${env.SQLITE_STORE_DIR:=/x}/a.db'}}"
BACKENDS = (
    "storage: {backends: {kv_default: {type: kv_sqlite, db_path: '${env.SQLITE_STORE_DIR:=/x}/a.db'},"
    " sql_default: {type: sql_sqlite, db_path: '${env.SQLITE_STORE_DIR:=/x}/b.db'}}"
)


def stores(text: str) -> str:
    """The base, with these stores."""
    return f"{BACKENDS}, stores: {{{text}}}}}"


def kept(api: str, kind: str, config: str) -> str:
    """A provider that keeps something."""
    return f"providers: {{{api}: [{{provider_id: p, provider_type: '{kind}', config: {{{config}}}}}]}}"


STORAGE = (
    Case("no storage at all", "storage: nothing"),
    Case(
        "a database that a default needs",
        f"{{{KV_ONLY}}}, providers: {{files: []}}}}",
        (
            ("storage.stores.inference", "error", "the backend 'sql_default'"),
            ("storage.stores.conversations", "error", "the backend 'sql_default'"),
        ),
        until=(1, 0),
    ),
    Case(
        "a database that more defaults need",
        f"{{{KV_ONLY}}}, providers: {{files: []}}}}",
        tuple(
            (f"storage.stores.{name}", "error", "the backend 'sql_default' if nothing is said, and there is none")
            for name in ("inference", "conversations", "prompts", "connectors")
        ),
        since=(1, 0),
    ),
    Case(
        "no such backend",
        stores("metadata: {backend: kv, namespace: r}"),
        _error("storage.stores.metadata.backend", "there is no backend 'kv'"),
    ),
    Case(
        "keys in an SQL database",
        stores("metadata: {backend: sql_default, namespace: r}"),
        _error("storage.stores.metadata.backend", "a backend of a type kv_…, and 'sql_default' is sql_sqlite"),
    ),
    Case(
        "a table in a database of keys",
        stores("inference: {backend: kv_default, table_name: r}"),
        _error("storage.stores.inference.backend", "a backend of a type sql_…"),
    ),
    Case(
        "no table",
        stores("conversations: {backend: sql_default}"),
        _error("storage.stores.conversations.table_name", "'table_name' must be there"),
    ),
    Case("responses have a table", stores("responses: {backend: sql_default}")),
    Case("null", stores("metadata: null"), _error("storage.stores.metadata", "does not start without this store")),
    Case("null for answers", stores("inference: null"), _error("storage.stores.inference", "does not start without")),
    Case("null for answers of nobody", f"{{apis: [files], providers: {{inference: []}}, {stores('inference: null')}}}"),
    Case("null for what may be", stores("responses: null")),
    Case("prompts by keys in their time", stores("prompts: {backend: kv_default, namespace: p}"), until=(1, 0)),
    Case("prompts by keys are moved", stores("prompts: {backend: kv_default, namespace: p}"), since=(1, 0)),
    Case(
        "prompts by keys that cannot be moved",
        "storage: {backends: {kv_default: {type: kv_sqlite, db_path: '${env.SQLITE_STORE_DIR:=/x}/a.db'},"
        " kv_more: {type: kv_sqlite, db_path: '${env.SQLITE_STORE_DIR:=/x}/c.db'},"
        " sql_default: {type: sql_sqlite, db_path: '${env.SQLITE_STORE_DIR:=/x}/b.db'}},"
        " stores: {prompts: {backend: kv_more, namespace: p}}}",
        _error("storage.stores.prompts.backend", "there is no backend 'sql_more'"),
        since=(1, 0),
    ),
    Case(
        "prompts in a table before their time",
        stores("prompts: {backend: sql_default, table_name: p}"),
        (
            ("storage.stores.prompts.namespace", "error", "'namespace' must be there"),
            ("storage.stores.prompts.backend", "error", "a backend of a type kv_…"),
        ),
        until=(1, 0),
    ),
    Case("a store of no name", stores("metdata: {backend: a}"), _warning("storage.stores.metdata", "ignores it")),
    Case(
        "vector_stores before their time",
        stores("vector_stores: {backend: a}"),
        _warning("storage.stores.vector_stores", "does not know this store"),
        until=(1, 0),
    ),
    Case(
        "vector_stores",
        stores("vector_stores: {backend: kv_default, table_name: a}"),
        _error("storage.stores.vector_stores.backend", "sql_…"),
        since=(1, 0),
    ),
    Case(
        "a provider's backend",
        kept("vector_io", "inline::faiss", "persistence: {backend: kv, namespace: v}"),
        _error("providers.vector_io[0].config.persistence.backend", "there is no backend 'kv'"),
    ),
    Case(
        "a provider's backend of the other family",
        kept("vector_io", "inline::faiss", "persistence: {backend: sql_default, namespace: v}"),
        _error("providers.vector_io[0].config.persistence.backend", "a backend of a type kv_…"),
    ),
    Case(
        "a provider that keeps nothing",
        kept("vector_io", "inline::faiss", ""),
        _error("providers.vector_io[0].config.persistence", "inline::faiss does not start without this"),
    ),
    Case(
        "files in a database of keys",
        kept("files", "inline::localfs", "storage_dir: /tmp/x, metadata_store: {backend: kv_default, table_name: f}"),
        _error("providers.files[0].config.metadata_store.backend", "a backend of a type sql_…"),
    ),
    Case(
        "responses in no database",
        kept("responses", "inline::builtin", "persistence: {responses: {backend: sql}}"),
        _error("providers.responses[0].config.persistence.responses.backend", "there is no backend 'sql'"),
        since=(1, 0),
    ),
    Case(
        "responses that are not kept",
        kept("responses", "inline::builtin", "persistence: {}"),
        _error("providers.responses[0].config.persistence.responses", "does not start without this"),
        since=(1, 0),
    ),
    Case(
        "batches as before",
        kept("batches", "inline::reference", "kvstore: {backend: kv_default, namespace: b}"),
        _error("providers.batches[0].config.sqlstore", "does not start without this"),
        since=(1, 0),
    ),
    Case(
        "batches in their time",
        kept("batches", "inline::reference", "kvstore: {backend: kv_default, namespace: b}"),
        until=(1, 0),
    ),
    Case(
        "what a disabled provider keeps",
        "providers: {vector_io: [{provider_id: __disabled__, provider_type: 'inline::faiss'}]}",
    ),
    Case(
        "what a conditional provider keeps",
        "providers: {vector_io: [{provider_id: '${env.NEVER:+a}', provider_type: 'inline::faiss'}]}",
    ),
)


def registered(text: str) -> str:
    """With something registered."""
    return f"registered_resources: {{{text}}}"


def vectors(text: str) -> str:
    """With faiss, and settings of vector_stores."""
    return f"{{providers: {{vector_io: [{FAISS}]}}, vector_stores: {{{text}}}}}"


STORE = "vector_store_id: v, embedding_dimension: 3"
REGISTERED = (
    Case("a model", registered("models: [{model_id: m, provider_id: llm}]")),
    Case(
        "a model of nobody",
        registered("models: [{model_id: m, provider_id: other}]"),
        _error("registered_resources.models[0].provider_id", "no provider of inference has the name 'other'"),
    ),
    Case(
        "a model without provider",
        registered("models: [{model_id: m}]"),
        _warning("registered_resources.models[0].provider_id", "does not register what has no provider"),
    ),
    Case("a model of a conditional one", registered("models: [{model_id: m, provider_id: '${env.NEVER:+other}'}]")),
    Case("a model of all", registered("models: [{model_id: m, provider_id: all}]"), since=(0, 8)),
    Case(
        "a model of all before",
        registered("models: [{model_id: m, provider_id: all}]"),
        _error("registered_resources.models[0].provider_id", "has the name 'all'"),
        until=(0, 8),
    ),
    Case("a model that is left out", registered("models: [{model_id: '', provider_id: other}]")),
    Case(
        "models that nobody serves",
        f"{{apis: [files], {registered('models: [{model_id: m, provider_id: other}]')}}}",
        (
            ("providers.inference", "warning", "not listed in 'apis'"),
            ("registered_resources.models", "warning", "nothing of this is registered"),
        ),
    ),
    Case(
        "an embedding model without its dimension",
        registered("models: [{model_id: e, provider_id: llm, model_type: embedding}]"),
        _error("registered_resources.models[0].metadata.embedding_dimension", "does not register an embedding model"),
    ),
    Case(
        "a store",
        f"{{providers: {{vector_io: [{FAISS}]}}, registered_resources: {{models: [{EMBEDDER}],"
        f" vector_stores: [{{{STORE}, embedding_model: llm/e, provider_id: faiss}}]}}}}",
    ),
    Case(
        "a store of nobody",
        f"{{providers: {{vector_io: [{FAISS}]}}, registered_resources: {{models: [{EMBEDDER}],"
        f" vector_stores: [{{{STORE}, embedding_model: llm/e, provider_id: other}}]}}}}",
        _error("registered_resources.vector_stores[0].provider_id", "no provider of vector_io has the name 'other'"),
    ),
    Case(
        "a store whose model is not registered",
        f"{{providers: {{vector_io: [{FAISS}]}}, registered_resources: {{models: [{EMBEDDER}],"
        f" vector_stores: [{{{STORE}, embedding_model: e, provider_id: faiss}}]}}}}",
        _warning("registered_resources.vector_stores[0].embedding_model", "a fresh Llama Stack does not start"),
    ),
    Case(
        "a store whose model does not embed",
        f"{{providers: {{vector_io: [{FAISS}]}}, registered_resources: {{models: [{{model_id: m, provider_id: llm}}],"
        f" vector_stores: [{{{STORE}, embedding_model: llm/m, provider_id: faiss}}]}}}}",
        _error("registered_resources.vector_stores[0].embedding_model", "not as an embedding model"),
    ),
    Case(
        "a model under the name that its provider has for it",
        f"{{providers: {{vector_io: [{FAISS}]}}, registered_resources: {{models: [{{model_id: m, provider_id: llm,"
        " provider_model_id: e, model_type: embedding, metadata: {embedding_dimension: 3}}],"
        f" vector_stores: [{{{STORE}, embedding_model: llm/e, provider_id: faiss}}]}}}}",
        until=(0, 8),
    ),
    Case(
        "a model under its own name",
        f"{{providers: {{vector_io: [{FAISS}]}}, registered_resources: {{models: [{{model_id: llm/m, provider_id: llm,"
        " provider_model_id: e, model_type: embedding, metadata: {embedding_dimension: 3}}],"
        f" vector_stores: [{{{STORE}, embedding_model: llm/m, provider_id: faiss}}]}}}}",
        since=(0, 8),
    ),
    Case(
        "shields that are gone",
        registered("shields: [{shield_id: s, provider_id: x}]"),
        _warning("registered_resources.shields", "does not read this any more"),
        since=(1, 0),
    ),
    Case(
        "shields of nobody",
        registered("shields: [{shield_id: s, provider_id: x}]"),
        _error("registered_resources.shields[0].provider_id", "no provider of safety has the name 'x'"),
        until=(1, 0),
    ),
    Case(
        "tool groups that are found",
        registered("tool_groups: [{toolgroup_id: t, provider_id: x}]"),
        _warning("registered_resources.tool_groups", "does not read this any more"),
        since=(0, 7),
    ),
    Case("a default provider", vectors("default_provider_id: faiss")),
    Case(
        "a default provider that is not there",
        vectors("default_provider_id: other"),
        _warning("vector_stores.default_provider_id", "so stores cannot be made"),
    ),
    Case(
        "a default model of nobody",
        vectors("default_embedding_model: {provider_id: other, model_id: e}"),
        _error("vector_stores.default_embedding_model.provider_id", "no provider of inference has the name 'other'"),
    ),
    Case(
        "a default model that is not served",
        "{apis: [files], providers: {inference: []},"
        " vector_stores: {default_embedding_model: {provider_id: llm, model_id: e}}}",
        _error("vector_stores.default_embedding_model", "there are no models"),
    ),
    Case(
        "a default model that is registered",
        f"{{{registered(f'models: [{EMBEDDER}]')},"
        " vector_stores: {default_embedding_model: {provider_id: llm, model_id: e}}}",
    ),
    Case(
        "a default model that does not embed",
        f"{{{registered('models: [{model_id: m, provider_id: llm}]')},"
        " vector_stores: {default_embedding_model: {provider_id: llm, model_id: m}}}",
        _error("vector_stores.default_embedding_model.model_id", "not as a model of the type embedding"),
    ),
    Case(
        "a model for questions of nobody",
        vectors("rewrite_query_params: {model: {provider_id: other, model_id: m}}"),
        _error("vector_stores.rewrite_query_params.model.provider_id", "has the name 'other'"),
    ),
)

SERVER = (
    Case("both certificates", "server: {tls_certfile: a, tls_keyfile: b}"),
    Case("a key alone", "server: {tls_keyfile: b}", _warning("server.tls_keyfile", "without tls_certfile")),
    Case("a certificate alone", "server: {tls_certfile: b}", _warning("server.tls_certfile", "speaks plain http")),
    Case("an authority alone", "server: {tls_cafile: b}", _warning("server.tls_cafile", "nobody's certificate")),
    Case(
        "a sign-in by nothing",
        "server: {auth: {provider_config: {type: oauth2_token}}}",
        _error("server.auth.provider_config", "oauth2_token needs jwks or introspection"),
    ),
    Case(
        "a sign-in by both",
        "server: {auth: {provider_config: {type: oauth2_token, jwks: {uri: 'http://a'},"
        " introspection: {url: 'http://a', client_id: a, client_secret: b}}}}",
        _error("server.auth.provider_config", "exclude each other"),
    ),
    Case(
        "a sign-in by somebody else",
        "server: {auth: {provider_config: {type: custom}}}",
        _error("server.auth.provider_config", "custom needs endpoint"),
    ),
    Case("no sign-in while a variable is not set", "server: {auth: {provider_config: {type: '${env.NEVER:+custom}'}}}"),
    Case(
        "a tenant without a name",
        "server: {tenancy: {mode: single}}",
        _error("server.tenancy", "needs default_tenant_id"),
        since=(1, 2),
    ),
    Case("tenants before their time", "server: {tenancy: {mode: single}}", until=(1, 2)),
)

CASES = (*NAMES, *APIS, *PROVIDERS, *STORAGE, *REGISTERED, *SERVER)
