"""The keys of run.yaml (Llama Stack's StackConfig) that a deployment depends on.

Llama Stack itself ignores keys that it does not know, so these records allow more keys; a near
miss of a known one at the top is reported as a warning.
"""

from __future__ import annotations

from lcompose.schema import Key, Record, anything, either, flag, listing, mapping, optional, record, text, whole

SERVER: Record = {
    "port": Key(whole(ge=1024, le=65535)),
    "host": Key(optional(text())),
    "tls_certfile": Key(optional(text()), role="file"),
    "tls_keyfile": Key(optional(text()), role="file"),
    "tls_cafile": Key(optional(text()), role="file"),
    "workers": Key(whole()),
    "insecure": Key(flag()),
    "auth": Key(optional(anything())),
}

_METADATA_STORE: Record = {"db_path": Key(text(), role="database")}

PROVIDER_CONFIG: Record = {
    "storage_dir": Key(text(), role="written"),
    "db_path": Key(text(), role="database"),
    "api_key": Key(optional(text()), role="secret"),
    "api_token": Key(optional(text()), role="secret"),
    "password": Key(optional(text()), role="secret"),
    "metadata_store": Key(optional(record(_METADATA_STORE, extra="allow"))),
}

PROVIDER: Record = {
    "provider_id": Key(optional(text())),
    "provider_type": Key(text(), required=True),
    "config": Key(optional(record(PROVIDER_CONFIG, extra="allow"))),
}

BACKEND: Record = {
    "type": Key(text(), required=True),
    "db_path": Key(text(), role="database"),
    "password": Key(optional(text()), role="secret"),
}

STORAGE: Record = {
    "backends": Key(mapping(record(BACKEND, extra="allow"))),
    "stores": Key(mapping(optional(anything()))),
}

RUN: Record = {
    "version": Key(either(whole(), text())),
    "distro_name": Key(text()),
    "image_name": Key(text()),
    "container_image": Key(optional(text())),
    "apis": Key(listing(text())),
    "providers": Key(mapping(listing(record(PROVIDER, extra="allow"))), required=True),
    "storage": Key(record(STORAGE, extra="allow")),
    "registered_resources": Key(anything()),
    "logging": Key(anything()),
    "logging_config": Key(anything()),
    "server": Key(record(SERVER, extra="allow")),
    "external_providers_dir": Key(optional(text()), role="written"),
    "external_apis_dir": Key(optional(text()), role="written"),
    "vector_stores": Key(anything()),
    "safety": Key(anything()),
    "connectors": Key(anything()),
    "metadata_store": Key(anything()),
    "inference_store": Key(anything()),
    "conversations_store": Key(anything()),
    "models": Key(anything()),
    "shields": Key(anything()),
    "tool_groups": Key(anything()),
    "vector_dbs": Key(anything()),
    "datasets": Key(anything()),
    "scoring_fns": Key(anything()),
    "benchmarks": Key(anything()),
}
