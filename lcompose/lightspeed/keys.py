"""The keys of lightspeed-stack.yaml, by generation, with what each means for a deployment.

Source: LCORE's own configuration models; a role is set where the key names a file, a directory
or a secret.
"""

from __future__ import annotations

from lcompose.schema import (
    Key,
    Record,
    anything,
    choice,
    either,
    flag,
    listing,
    mapping,
    number,
    optional,
    positive,
    record,
    text,
    url,
    whole,
)

_FILE = Key(optional(text()), role="file")
_SECRET = Key(text(), required=True, role="secret")

SQLITE: Record = {"db_path": Key(text(), required=True, role="database")}

POSTGRES: Record = {
    "host": Key(text()),
    "port": Key(positive(le=65535)),
    "db": Key(text(), required=True),
    "user": Key(text(), required=True),
    "password": _SECRET,
    "namespace": Key(optional(text())),
    "ssl_mode": Key(choice("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
    "gss_encmode": Key(choice("disable", "prefer", "require")),
    "ca_cert_path": _FILE,
}

_STORES: Record = {
    "sqlite": Key(optional(record(SQLITE))),
    "postgres": Key(optional(record(POSTGRES))),
}

TLS: Record = {"tls_certificate_path": _FILE, "tls_key_path": _FILE, "tls_key_password": _FILE}

CORS: Record = {
    "allow_origins": Key(listing(text())),
    "allow_credentials": Key(flag()),
    "allow_methods": Key(listing(text())),
    "allow_headers": Key(listing(text())),
}

SERVICE: Record = {
    "host": Key(text()),
    "port": Key(positive(le=65535)),
    "base_url": Key(optional(text())),
    "auth_enabled": Key(flag()),
    "workers": Key(positive()),
    "color_log": Key(flag()),
    "access_log": Key(flag()),
    "tls_config": Key(record(TLS)),
    "root_path": Key(text()),
    "cors": Key(record(CORS)),
    "max_concurrent_file_uploads": Key(positive(), since="0.7"),
    "max_concurrent_vector_store_attaches": Key(positive(), since="0.7"),
    "delete_file_after_vector_store_attach": Key(flag(), since="0.7"),
}

SYNTHESIS: Record = {
    "baseline": Key(choice("default", "empty", "byo-llm")),
    "profile": Key(optional(text()), role="file"),
    "native_override": Key(mapping(anything())),
}

LLAMA_STACK: Record = {
    "url": Key(optional(url())),
    "api_key": Key(optional(text()), role="secret"),
    "use_as_library_client": Key(optional(flag())),
    "library_client_config_path": Key(optional(text())),
    "timeout": Key(positive()),
    "max_retries": Key(positive()),
    "retry_delay": Key(positive()),
    "allow_degraded_mode": Key(optional(flag())),
    "config": Key(optional(record(SYNTHESIS))),
}

USER_DATA: Record = {
    "feedback_enabled": Key(flag()),
    "feedback_storage": Key(optional(text()), role="written"),
    "transcripts_enabled": Key(flag()),
    "transcripts_storage": Key(optional(text()), role="written"),
}

CACHE: Record = {
    "type": Key(optional(choice("noop", "memory", "sqlite", "postgres"))),
    "memory": Key(optional(record({"max_entries": Key(positive(), required=True)}))),
    **_STORES,
}

MCP_SERVER: Record = {
    "name": Key(text(), required=True),
    "provider_id": Key(text()),
    "url": Key(text(), required=True),
    "authorization_headers": Key(mapping(text()), role="header"),
    "headers": Key(listing(text())),
    "require_approval": Key(
        either(
            choice("always", "never"),
            record({"always": Key(listing(text())), "never": Key(listing(text()))}),
        )
    ),
    "timeout": Key(optional(positive())),
}

_ROLE_RULE: Record = {
    "jsonpath": Key(text(), required=True),
    "operator": Key(choice("equals", "contains", "in", "match"), required=True),
    "negate": Key(flag()),
    "value": Key(anything(), required=True),
    "roles": Key(listing(text()), required=True),
}

_JWT: Record = {
    "user_id_claim": Key(text()),
    "username_claim": Key(text()),
    "role_rules": Key(listing(record(_ROLE_RULE))),
}

_ACCOUNT: Record = {"namespace": Key(text(), required=True), "name": Key(text(), required=True)}

AUTHENTICATION: Record = {
    "module": Key(
        choice(
            "noop",
            "noop-with-token",
            "k8s",
            "jwk-token",
            "api-key-token",
            "rh-identity",
            "trusted-proxy",
        )
    ),
    "skip_tls_verification": Key(flag()),
    "skip_for_health_probes": Key(flag()),
    "skip_for_metrics": Key(flag()),
    "k8s_cluster_api": Key(optional(url())),
    "k8s_ca_cert_path": _FILE,
    "jwk_config": Key(optional(record({"url": Key(url(), required=True), "jwt_configuration": Key(record(_JWT))}))),
    "api_key_config": Key(optional(record({"api_key": _SECRET}))),
    "rh_identity_config": Key(
        optional(
            record(
                {
                    "required_entitlements": Key(optional(listing(text()))),
                    "max_header_size": Key(positive()),
                }
            )
        )
    ),
    "trusted_proxy_config": Key(
        optional(
            record(
                {
                    "user_header": Key(text()),
                    "allowed_service_accounts": Key(optional(listing(record(_ACCOUNT)))),
                }
            )
        )
    ),
}

_ACCESS_RULE: Record = {
    "role": Key(text(), required=True),
    "actions": Key(listing(text()), required=True),
}

INFERENCE_PROVIDER: Record = {
    "type": Key(
        choice(
            "openai",
            "ollama",
            "vllm",
            "sentence_transformers",
            "azure",
            "vertexai",
            "watsonx",
            "vllm_rhaiis",
            "vllm_rhel_ai",
        ),
        required=True,
    ),
    "id": Key(optional(text())),
    "api_key_env": Key(optional(text())),
    "allowed_models": Key(optional(listing(text()))),
    "extra": Key(mapping(anything())),
}

INFERENCE: Record = {
    "default_model": Key(optional(text())),
    "default_provider": Key(optional(text())),
    "context_windows": Key(mapping(positive())),
    "providers": Key(listing(record(INFERENCE_PROVIDER))),
    "max_infer_iters": Key(optional(positive())),
    "max_tool_calls": Key(optional(positive())),
}

CUSTOMIZATION: Record = {
    "profile_path": _FILE,
    "disable_query_system_prompt": Key(flag()),
    "disable_shield_ids_override": Key(flag()),
    "system_prompt_path": _FILE,
    "system_prompt": Key(optional(text())),
    "agent_card_path": _FILE,
    "agent_card_config": Key(optional(mapping(anything()))),
    "custom_profile": Key(optional(anything())),
}

_BYOK_STORE: Record = {
    "rag_id": Key(text(min_length=1), required=True),
    "backend": Key(text(min_length=1)),
    "embedding_model": Key(text(min_length=1)),
    "embedding_dimension": Key(positive()),
    "vector_db_id": Key(text(min_length=1), required=True),
    "db_path": Key(optional(text())),
    "score_multiplier": Key(number(gt=0)),
    "relevance_cutoff_score": Key(number(gt=0)),
    "host": Key(optional(text())),
    "port": Key(optional(either(text(), whole()))),
    "db": Key(optional(text())),
    "user": Key(optional(text())),
    "password": Key(optional(text()), role="secret"),
}

_OKP: Record = {
    "rhokp_url": Key(optional(url())),
    "offline": Key(flag()),
    "chunk_filter_query": Key(optional(text())),
    "search_mode": Key(optional(choice("semantic", "hybrid", "keyword"))),
    "max_chunks": Key(positive()),
}

_STRATEGY: Record = {
    "sources": Key(listing(text())),
    "max_chunks": Key(positive()),
    "reranker": Key(optional(record({"enabled": Key(flag()), "model": Key(text())}))),
}

RAG: Record = {
    "byok": Key(record({"max_chunks": Key(positive()), "stores": Key(listing(record(_BYOK_STORE)))})),
    "okp": Key(record(_OKP)),
    "retrieval": Key(record({"inline": Key(record(_STRATEGY)), "tool": Key(record(_STRATEGY))})),
}

_LIMITER: Record = {
    "type": Key(choice("user_limiter", "cluster_limiter"), required=True),
    "name": Key(text(), required=True),
    "initial_quota": Key(whole(ge=0), required=True),
    "quota_increase": Key(whole(ge=0), required=True),
    "period": Key(text(), required=True),
}

_SCHEDULER: Record = {
    "period": Key(positive()),
    "database_reconnection_count": Key(positive()),
    "database_reconnection_delay": Key(positive()),
}

QUOTA: Record = {
    **_STORES,
    "limiters": Key(listing(record(_LIMITER))),
    "scheduler": Key(record(_SCHEDULER)),
    "enable_token_history": Key(flag()),
}

SPLUNK: Record = {
    "enabled": Key(flag()),
    "url": Key(optional(text())),
    "token_path": _FILE,
    "index": Key(optional(text())),
    "source": Key(text()),
    "timeout": Key(positive()),
    "verify_ssl": Key(flag()),
}

AZURE: Record = {
    "tenant_id": _SECRET,
    "client_id": _SECRET,
    "client_secret": _SECRET,
    "scope": Key(text()),
}

COMPACTION: Record = {
    "enabled": Key(flag()),
    "threshold_ratio": Key(number()),
    "token_floor": Key(whole(ge=0)),
    "buffer_turns": Key(whole(ge=0)),
    "buffer_max_ratio": Key(number()),
}

RLSAPI: Record = {
    "allow_verbose_infer": Key(flag()),
    "quota_subject": Key(optional(choice("user_id", "org_id", "system_id"))),
}

SAVED_PROMPTS: Record = {
    "max_prompts_per_user": Key(positive(le=200)),
    "max_display_name_length": Key(positive(le=255)),
    "max_content_length": Key(positive(le=30000)),
}

LIGHTSPEED: Record = {
    "name": Key(text(), required=True),
    "config_format_version": Key(optional(choice("legacy", "unified"))),
    "service": Key(record(SERVICE), required=True),
    "llama_stack": Key(record(LLAMA_STACK)),
    "ogx": Key(record(LLAMA_STACK), since="0.7"),
    "user_data_collection": Key(record(USER_DATA), required=True),
    "database": Key(record(_STORES)),
    "conversation_cache": Key(record(CACHE)),
    "mcp_servers": Key(listing(record(MCP_SERVER))),
    "authentication": Key(record(AUTHENTICATION)),
    "authorization": Key(optional(record({"access_rules": Key(listing(record(_ACCESS_RULE)))}))),
    "inference": Key(record(INFERENCE)),
    "customization": Key(optional(record(CUSTOMIZATION))),
    "rag": Key(record(RAG)),
    "vector_store": Key(anything()),
    "quota_handlers": Key(record(QUOTA)),
    "a2a_state": Key(record(_STORES)),
    "azure_entra_id": Key(optional(record(AZURE))),
    "splunk": Key(optional(record(SPLUNK))),
    "skills": Key(optional(record({"paths": Key(listing(text()), role="file")}))),
    "shields": Key(listing(anything())),
    "observability": Key(record({"otel": Key(mapping(text()))})),
    "compaction": Key(record(COMPACTION)),
    "approvals": Key(record({"approval_timeout_seconds": Key(positive()), "approval_retention_days": Key(positive())})),
    "rlsapi_v1": Key(record(RLSAPI)),
    "deployment_environment": Key(text()),
    "saved_prompts": Key(record(SAVED_PROMPTS)),
    "byok_rag": Key(listing(anything()), until="0.6"),
    "okp": Key(anything(), until="0.6"),
    "reranker": Key(anything(), until="0.6"),
}
