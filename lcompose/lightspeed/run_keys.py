"""The keys of run.yaml (Llama Stack's StackConfig) that a deployment depends on.

Llama Stack itself ignores keys that it does not know, so these records allow more keys; one that is
not known at the top is reported as a warning. What a version reads otherwise than another is
written so that both are right.
"""

from __future__ import annotations

from lcompose.schema import (
    Key,
    Kind,
    Record,
    anything,
    choice,
    either,
    flag,
    listing,
    mapping,
    optional,
    record,
    tagged,
    text,
    whole,
)


def _open(keys: Record) -> Kind:
    return record(keys, extra="allow")


def _file(doc: str) -> Key:
    return Key(optional(text()), role="file", doc=doc)


def _secret(doc: str) -> Key:
    return Key(optional(text()), role="secret", doc=doc)


_AUTH_PROVIDER: Record = {
    "type": Key(choice("oauth2_token", "github_token", "custom", "kubernetes", "upstream_header"), required=True),
    "tls_cafile": _file("The certificate authority of who is asked."),
    "jwks": Key(optional(_open({"uri": Key(text(), required=True), "token": _secret("What is shown there.")}))),
    "introspection": Key(optional(_open({"client_secret": _secret("The client's secret.")}))),
}

_AUTH: Record = {
    "provider_config": Key(optional(_open(_AUTH_PROVIDER)), doc="How callers are recognised."),
    "route_policy": Key(listing(anything()), doc="Which routes they may use."),
    "access_policy": Key(listing(anything()), doc="Which resources they may use."),
}

SERVER: Record = {
    "port": Key(whole(ge=1024, le=65535), default=8321, doc="The port to listen on."),
    "host": Key(optional(text()), doc="The address to listen on; every one if unset."),
    "tls_certfile": _file("The certificate for https."),
    "tls_keyfile": _file("The private key of the certificate."),
    "tls_cafile": _file("The authority that callers' own certificates must be of."),
    "workers": Key(whole(), default=1, doc="How many processes answer."),
    "insecure": Key(flag(), default=False, doc="Speak plain http; since 1.2 this must be said."),
    "auth": Key(optional(_open(_AUTH)), doc="Who may call."),
    "registry_refresh_interval_seconds": Key(whole(gt=0), default=300, doc="Seconds between two looks for models."),
}

# Before 0.3 each store said itself where it is.
_OWN_STORE: Record = {
    "db_path": Key(text(), role="database", doc="The database file."),
    "password": _secret("The database's password."),
}

# Nobody reads it any more where it is not right, so anything else may stand there.
_OLDER_STORE: Kind = either(_open(_OWN_STORE), anything())

PROVIDER_CONFIG: Record = {
    "storage_dir": Key(text(), role="written", doc="The directory for files."),
    "db_path": Key(text(), role="database", doc="The database file."),
    "api_key": _secret("The provider's key."),
    "api_token": _secret("The provider's token."),
    "password": _secret("The provider's password."),
    "metadata_store": Key(_OLDER_STORE, doc="Where it keeps data; before 0.3, the database itself."),
    "kvstore": Key(_OLDER_STORE, doc="Where it keeps data; before 0.3, the database itself."),
    "persistence_store": Key(_OLDER_STORE, doc="Where it keeps data; before 0.3, the database itself."),
    "responses_store": Key(_OLDER_STORE, doc="Where it keeps data; before 0.3, the database itself."),
}

PROVIDER: Record = {
    "provider_id": Key(optional(text()), doc="Its name; an empty one switches it off."),
    "provider_type": Key(text(), required=True, doc="What kind of provider it is, such as remote::openai."),
    "config": Key(optional(_open(PROVIDER_CONFIG)), doc="Its settings."),
    "module": Key(optional(text()), doc="The Python module that it is in."),
}

_FILE: Record = {"db_path": Key(text(), required=True, role="database", doc="The database file.")}
_PORT: Kind = either(whole(), text())

_SERVER_OF: Record = {
    "host": Key(text(), default="localhost", doc="The server's host."),
    "user": Key(optional(text()), doc="Who connects."),
    "password": _secret("The password of that user."),
}

_POSTGRES: Record = {
    **_SERVER_OF,
    "port": Key(_PORT, default=5432, doc="The server's port."),
    "db": Key(text(), doc="The database."),
    "user": Key(text(), required=True, doc="Who connects."),
    "pool_size": Key(whole(ge=1), doc="How many connections are kept."),
    "max_overflow": Key(whole(ge=0), doc="How many more there may be."),
}

_KV_POSTGRES: Record = {
    **_POSTGRES,
    "ssl_mode": Key(optional(text()), doc="How much TLS the connection must have."),
    "ca_cert_path": _file("The authority that the server's certificate is checked with."),
    "table_name": Key(text(), doc="The table."),
}


def _backend(name: str, keys: Record) -> Kind:
    return _open({"type": Key(choice(name), required=True, doc="What kind of database it is."), **keys})


BACKENDS = {
    "kv_sqlite": _backend("kv_sqlite", _FILE),
    "kv_postgres": _backend("kv_postgres", _KV_POSTGRES),
    "kv_redis": _backend("kv_redis", {**_SERVER_OF, "port": Key(whole(), default=6379, doc="The server's port.")}),
    "kv_mongodb": _backend("kv_mongodb", {**_SERVER_OF, "port": Key(whole(), default=27017, doc="The server's port.")}),
    "sql_sqlite": _backend("sql_sqlite", _FILE),
    "sql_postgres": _backend("sql_postgres", {**_POSTGRES, "pool_recycle": Key(whole(ge=-1))}),
}

_REFERENCE: Record = {
    "backend": Key(text(), doc="The name of a backend above."),
    "namespace": Key(optional(text()), doc="What keys begin with, in a backend kv_…."),
    "table_name": Key(optional(text()), doc="The table, in a backend sql_…."),
}

STORAGE: Record = {
    "backends": Key(mapping(tagged("type", BACKENDS)), doc="Every database, by a name."),
    "stores": Key(mapping(optional(_open(_REFERENCE))), doc="What is kept in which of them."),
}

_MODEL: Record = {
    "model_id": Key(text(), required=True, doc="The model's name."),
    "provider_id": Key(optional(text()), doc="The provider that serves it."),
    "provider_model_id": Key(optional(text()), doc="What the provider calls it."),
    "metadata": Key(mapping(anything()), doc="What else is known of it."),
}

_VECTOR_STORE: Record = {
    "vector_store_id": Key(text(), required=True, doc="The store's id."),
    "embedding_model": Key(text(), required=True, doc="The model that it was indexed with."),
    "embedding_dimension": Key(whole(), required=True, doc="How long that model's vectors are."),
    "provider_id": Key(optional(text()), doc="The provider that keeps it."),
}

RESOURCES: Record = {
    "models": Key(listing(_open(_MODEL)), default=[], doc="Models that are known from the start."),
    "vector_stores": Key(listing(_open(_VECTOR_STORE)), default=[], doc="Stores of knowledge, the same way."),
    "tool_groups": Key(listing(anything()), default=[], doc="Groups of tools; found by themselves since 0.8."),
    "shields": Key(listing(anything()), default=[], doc="Shields; gone since 1.0."),
}

RUN: Record = {
    "version": Key(whole(), default=2, doc="The version of this form."),
    "distro_name": Key(optional(text()), doc="What the distribution is called."),
    "image_name": Key(optional(text()), doc="The same, before 0.6."),
    "container_image": Key(optional(text()), doc="The image that it is made for; nobody reads it."),
    "apis": Key(listing(text()), default=[], doc="The APIs to serve; all of the providers' if empty."),
    "providers": Key(mapping(listing(_open(PROVIDER))), required=True, doc="Who serves each API."),
    "storage": Key(_open(STORAGE), doc="Databases, and what is kept in which."),
    "registered_resources": Key(_open(RESOURCES), default={}, doc="What is known from the start."),
    "logging": Key(optional(_open({"category_levels": Key(mapping(text()))})), doc="How much is logged, by part."),
    "logging_config": Key(anything(), doc="The same, before."),
    "server": Key(_open(SERVER), default={}, doc="How Llama Stack listens."),
    "external_providers_dir": Key(optional(text()), role="written", doc="The directory of providers of your own."),
    "external_apis_dir": Key(optional(text()), role="written", doc="The directory of APIs of your own."),
    "vector_stores": Key(anything(), doc="How stores of knowledge are made and searched."),
    "safety": Key(anything(), doc="Which shield is the default; gone since 1.0."),
    "connectors": Key(listing(anything()), default=[], doc="Servers with tools."),
    "metadata_store": Key(_OLDER_STORE, doc="Where the registry is, before 0.3."),
    "inference_store": Key(_OLDER_STORE, doc="Where answers are kept, before 0.3."),
    "conversations_store": Key(_OLDER_STORE, doc="Where conversations are kept, before 0.3."),
    "telemetry": Key(anything(), doc="Tracing, before 0.4."),
    "models": Key(anything(), doc="Models, before 0.3."),
    "shields": Key(anything(), doc="Shields, before 0.3."),
    "tool_groups": Key(anything(), doc="Groups of tools, before 0.3."),
    "vector_dbs": Key(anything(), doc="Stores of knowledge, before 0.3."),
    "datasets": Key(anything(), doc="Data sets, before 0.3."),
    "scoring_fns": Key(anything(), doc="Scoring functions, before 0.3."),
    "benchmarks": Key(anything(), doc="Benchmarks, before 0.3."),
}
