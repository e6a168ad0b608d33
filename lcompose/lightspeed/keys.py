"""The keys of lightspeed-stack.yaml, by generation, with what each means for a deployment.

Source: LCORE's own configuration models, of the releases 0.6 and 0.7. Between the two there were
builds that call themselves 0.6 and have most of 0.7's keys, so 0.6 knows the older and the newer
ones; that a document does not mix them is a rule, not a row.
"""

from __future__ import annotations

from lcompose.lightspeed.knowledge_keys import (
    OLDER_BYOK_STORE,
    OLDER_OKP,
    RAG,
    RERANKER,
    SHIELD,
    VECTOR_STORE,
)
from lcompose.schema import (
    Key,
    Kind,
    Record,
    anything,
    by_generation,
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

# An id that becomes a provider's, spaces around it left away.
PROVIDER_ID = r"^\s*[a-z0-9_-]+\s*$"

_PATH: Kind = optional(text(min_length=1))
_RATIO: Kind = number(ge=0, le=1)


def _file(doc: str) -> Key:
    return Key(_PATH, role="file", doc=doc)


def _secret(doc: str, *, required: bool = True) -> Key:
    return Key(text() if required else optional(text()), required=required, role="secret", doc=doc)


SQLITE: Record = {"db_path": Key(text(), required=True, role="database", doc="The database file; its folder must be.")}

POSTGRES: Record = {
    "host": Key(text(), default="localhost", doc="The server's host, or the directory of its socket."),
    "port": Key(positive(le=65535), default=5432, doc="The server's port."),
    "db": Key(text(), required=True, doc="The name of the database."),
    "user": Key(text(), required=True, doc="Who connects."),
    "password": _secret("The password of that user."),
    "namespace": Key(optional(text()), default="public", doc="The schema in the database."),
    "ssl_mode": Key(
        choice("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
        default="prefer",
        doc="How much TLS the connection must have.",
    ),
    "gss_encmode": Key(choice("disable", "prefer", "require"), default="prefer", doc="Whether GSS encrypts it."),
    "ca_cert_path": _file("The certificate authority that the server's certificate is checked with."),
}

_STORES: Record = {
    "sqlite": Key(optional(record(SQLITE)), doc="Keep it in a file."),
    "postgres": Key(optional(record(POSTGRES)), doc="Keep it in PostgreSQL."),
}

TLS: Record = {
    "tls_certificate_path": _file("The certificate that LCORE shows; with it and its key, LCORE speaks https."),
    "tls_key_path": _file("The private key of the certificate."),
    "tls_key_password": _file("The file with the password of the key."),
}

CORS: Record = {
    "allow_origins": Key(listing(text()), default=["*"], doc="The origins whose pages may ask; '*' is every one."),
    "allow_credentials": Key(flag(), default=False, doc="Whether they may send cookies; not with origin '*'."),
    "allow_methods": Key(listing(text()), default=["*"], doc="The methods that they may use."),
    "allow_headers": Key(listing(text()), default=["*"], doc="The headers that they may send."),
}

SERVICE: Record = {
    "host": Key(text(), default="localhost", doc="The address to listen on; lcompose opens it in a container."),
    "port": Key(positive(le=65535), default=8080, doc="The port to listen on."),
    "base_url": Key(optional(text()), doc="The address that others know this service by; agent cards need it."),
    "auth_enabled": Key(flag(), default=False, doc="Switches authentication on; the module decides what it is."),
    "workers": Key(positive(), default=1, doc="How many processes answer; what is kept in memory is not shared."),
    "color_log": Key(flag(), default=True, doc="Whether logs have colours."),
    "access_log": Key(flag(), default=True, doc="Whether each request is logged."),
    "tls_config": Key(record(TLS), default={}, doc="Certificates for https."),
    "root_path": Key(
        text(pattern=r"^(/[^\n]*[^/\n])?$"),
        default="",
        doc="The path below which a proxy shows LCORE; begins with '/', and does not end with it.",
    ),
    "cors": Key(record(CORS), default={}, doc="Which web pages of other origins may ask."),
    "max_concurrent_file_uploads": Key(positive(), since="0.7", default=5, doc="Uploads at once, for each worker."),
    "max_concurrent_vector_store_attaches": Key(
        positive(), since="0.7", default=5, doc="Files that are indexed at once, for each worker."
    ),
    "delete_file_after_vector_store_attach": Key(
        flag(), since="0.7", default=False, doc="Whether an upload goes away once it is indexed."
    ),
}

SYNTHESIS: Record = {
    "baseline": Key(
        by_generation({"": choice("default", "empty"), "0.7": choice("default", "empty", "byo-llm")}),
        default="default",
        doc="What a run.yaml is made from; byo-llm is the default without its OpenAI provider.",
    ),
    "profile": Key(optional(text()), role="file", doc="A run.yaml of your own to make it from, instead."),
    "native_override": Key(mapping(anything()), default={}, doc="Laid over at last, in the words of run.yaml."),
}

LLAMA_STACK: Record = {
    "url": Key(optional(url()), doc="Where Llama Stack is; one on this machine is started by lcompose."),
    "api_key": _secret("What LCORE shows to Llama Stack.", required=False),
    "use_as_library_client": Key(optional(flag()), default=False, doc="Run Llama Stack inside LCORE."),
    "library_client_config_path": Key(optional(text()), doc="The run.yaml of library mode; going out of use."),
    "timeout": Key(positive(), default=180, doc="Seconds that a request may take."),
    "max_retries": Key(positive(), default=5, doc="How often LCORE asks for Llama Stack before it gives up."),
    "retry_delay": Key(positive(), default=2, doc="Seconds between two of these."),
    "allow_degraded_mode": Key(optional(flag()), default=False, doc="Start even when Llama Stack cannot be reached."),
    "config": Key(optional(record(SYNTHESIS)), doc="Make run.yaml of this file, instead of writing one."),
}

USER_DATA: Record = {
    "feedback_enabled": Key(flag(), default=False, doc="Whether people's feedback is kept."),
    "feedback_storage": Key(optional(text()), role="written", doc="The directory for feedback."),
    "transcripts_enabled": Key(flag(), default=False, doc="Whether conversations are kept as transcripts."),
    "transcripts_storage": Key(optional(text()), role="written", doc="The directory for transcripts."),
}

CACHE: Record = {
    "type": Key(optional(choice("noop", "memory", "sqlite", "postgres")), doc="Which of the blocks below is used."),
    "memory": Key(
        optional(record({"max_entries": Key(positive(), required=True, doc="How many conversations are kept.")})),
        doc="Keep it in memory.",
    ),
    **_STORES,
}

_APPROVAL: Record = {
    "always": Key(listing(text()), default=[], doc="Tools that a person must approve each time."),
    "never": Key(listing(text()), default=[], doc="Tools that need no approval."),
}

MCP_SERVER: Record = {
    "name": Key(text(), required=True, doc="The server's name, only one of its kind."),
    "provider_id": Key(text(), default="model-context-protocol", doc="Llama Stack's provider for it."),
    "url": Key(text(), required=True, doc="Where the server is."),
    "authorization_headers": Key(
        mapping(text()),
        role="header",
        default={},
        doc="Headers, each from a file, or 'kubernetes', 'client' or 'oauth' for a token that comes with the request.",
    ),
    "headers": Key(
        listing(text(pattern=r"\S")), default=[], doc="Names of headers that are passed on; none may be empty."
    ),
    "require_approval": Key(
        either(choice("always", "never"), record(_APPROVAL)),
        default="never",
        doc="Whether a person must approve what tools do: always, never, or by the tools' names.",
    ),
    "timeout": Key(optional(positive()), doc="Seconds that a request may take; nobody reads it yet."),
}

_ROLE_RULE: Record = {
    "jsonpath": Key(text(), required=True, doc="Where in the token to look."),
    "operator": Key(choice("equals", "contains", "in", "match"), required=True, doc="How to compare."),
    "negate": Key(flag(), default=False, doc="Turn the answer round."),
    "value": Key(anything(), required=True, doc="What to compare with; for match, a regular expression."),
    "roles": Key(listing(text(), min_length=1), required=True, doc="The roles that it gives."),
}

_JWT: Record = {
    "user_id_claim": Key(text(), default="user_id", doc="The claim that tells users apart."),
    "username_claim": Key(text(), default="username", doc="The claim with the name for people."),
    "role_rules": Key(listing(record(_ROLE_RULE)), default=[], doc="Which claims give which roles."),
}

_JWK: Record = {
    "url": Key(url(), required=True, doc="Where the public keys are."),
    "jwt_configuration": Key(record(_JWT), default={}, doc="Which claims mean what."),
}

_RH_IDENTITY: Record = {
    "required_entitlements": Key(optional(listing(text())), doc="Entitlements that a caller must have."),
    "max_header_size": Key(positive(), default=8192, doc="The longest header that is read, in bytes."),
}

_ACCOUNT: Record = {
    "namespace": Key(text(), required=True, doc="The account's Kubernetes namespace."),
    "name": Key(text(), required=True, doc="The account's name."),
}

_TRUSTED_PROXY: Record = {
    "user_header": Key(text(), default="X-Forwarded-User", doc="The header with the user's name."),
    "allowed_service_accounts": Key(optional(listing(record(_ACCOUNT))), doc="Who may be the proxy; anybody if unset."),
}

_MODULES = ("noop", "noop-with-token", "k8s", "jwk-token", "api-key-token", "rh-identity", "trusted-proxy")

AUTHENTICATION: Record = {
    "module": Key(choice(*_MODULES), default="noop", doc="How callers are recognised."),
    "skip_tls_verification": Key(flag(), default=False, doc="Do not check Kubernetes' certificate."),
    "skip_for_health_probes": Key(flag(), default=False, doc="Answer probes without authentication."),
    "skip_for_metrics": Key(flag(), default=False, doc="Answer /metrics without authentication."),
    "k8s_cluster_api": Key(optional(url()), doc="Where Kubernetes' API is."),
    "k8s_ca_cert_path": _file("The certificate authority of Kubernetes' API."),
    "jwk_config": Key(optional(record(_JWK)), doc="For the module jwk-token."),
    "api_key_config": Key(
        optional(
            record({"api_key": Key(text(min_length=1), required=True, role="secret", doc="The key that is asked for.")})
        ),
        doc="For the module api-key-token.",
    ),
    "rh_identity_config": Key(optional(record(_RH_IDENTITY)), doc="For the module rh-identity."),
    "trusted_proxy_config": Key(optional(record(_TRUSTED_PROXY)), doc="For the module trusted-proxy."),
}

# The newest builds of 0.6 know them all.
ACTIONS = tuple(
    """
    admin list_other_conversations read_other_conversations query_other_conversations
    delete_other_conversations query responses streaming_query get_conversation list_conversations
    delete_conversation update_conversation feedback get_models get_tools get_skills get_shields
    list_providers get_provider list_rags get_rag get_metrics get_config info model_override
    rlsapi_v1_infer register_mcp_server list_mcp_servers delete_mcp_server a2a_agent_card
    a2a_task_execution a2a_message a2a_jsonrpc manage_vector_stores read_vector_stores manage_files
    manage_prompts read_prompts manage_saved_prompts
    """.split()  # noqa: SIM905  # a list of words reads better
)

_ACCESS_RULE: Record = {
    "role": Key(text(), required=True, doc="The role; '*' is everybody's."),
    "actions": Key(listing(choice(*ACTIONS)), required=True, doc="What it may do; probes need 'info'."),
}

_PROVIDERS = tuple(
    "openai ollama vllm sentence_transformers azure vertexai watsonx vllm_rhaiis vllm_rhel_ai".split()  # noqa: SIM905
)

INFERENCE_PROVIDER: Record = {
    "type": Key(choice(*_PROVIDERS), required=True, doc="What kind of provider it is."),
    "id": Key(
        optional(text(pattern=PROVIDER_ID)),
        doc="Its name in run.yaml, of small letters, digits, '_' and '-'; the type if unset.",
    ),
    "api_key_env": Key(optional(text()), doc="The variable that holds the key."),
    "allowed_models": Key(optional(listing(text())), doc="The models that may be used; all if unset."),
    "extra": Key(mapping(anything()), default={}, doc="More of the provider's own settings."),
}

INFERENCE: Record = {
    "default_model": Key(optional(text()), doc="The model where a request names none; needs default_provider."),
    "default_provider": Key(optional(text()), doc="The provider where a request names none; needs default_model."),
    "context_windows": Key(mapping(positive()), default={}, doc="How many tokens each model takes; for compaction."),
    "providers": Key(listing(record(INFERENCE_PROVIDER)), default=[], doc="Providers that run.yaml is made with."),
    "max_infer_iters": Key(optional(positive()), default=10, doc="The most rounds of one request."),
    "max_tool_calls": Key(optional(positive()), default=30, doc="The most calls of tools in one answer."),
}

CUSTOMIZATION: Record = {
    "profile_path": Key(optional(text()), role="file", doc="A Python file with prompts; wins over the other ones."),
    "disable_query_system_prompt": Key(flag(), default=False, doc="Refuse system prompts in requests."),
    "disable_shield_ids_override": Key(flag(), default=False, doc="Refuse a choice of shields in requests."),
    "system_prompt_path": _file("A file with the system prompt."),
    "system_prompt": Key(optional(text()), doc="The system prompt itself."),
    "agent_card_path": _file("A YAML file with the agent card."),
    "agent_card_config": Key(optional(mapping(anything())), doc="The agent card itself."),
    "custom_profile": Key(
        optional(record({"path": Key(text(), required=True, role="file", doc="The Python file.")}, extra="allow")),
        doc="What LCORE makes of profile_path.",
    ),
}

_LIMITER: Record = {
    "type": Key(choice("user_limiter", "cluster_limiter"), required=True, doc="For each user, or for all together."),
    "name": Key(text(), required=True, doc="A name for people."),
    "initial_quota": Key(whole(ge=0), required=True, doc="Tokens at the beginning of a period."),
    "quota_increase": Key(whole(ge=0), required=True, doc="Tokens that a new period adds."),
    "period": Key(text(), required=True, doc="How long a period is, such as '1 day'."),
}

_SCHEDULER: Record = {
    "period": Key(positive(), default=1, doc="Seconds between two looks at the quotas."),
    "database_reconnection_count": Key(positive(), default=10, doc="How often to try for the database."),
    "database_reconnection_delay": Key(positive(), default=1, doc="Seconds between two tries."),
}

QUOTA: Record = {
    **_STORES,
    "limiters": Key(listing(record(_LIMITER)), default=[], doc="Who may use how much."),
    "scheduler": Key(record(_SCHEDULER), default={}, doc="When quotas are renewed."),
    "enable_token_history": Key(flag(), default=False, doc="Keep how many tokens were used."),
}

SPLUNK: Record = {
    "enabled": Key(flag(), default=False, doc="Send events to Splunk; needs url, token_path and index."),
    "url": Key(optional(text()), doc="Where Splunk's HTTP Event Collector is."),
    "token_path": _file("The file with its token."),
    "index": Key(optional(text()), doc="The index for the events."),
    "source": Key(text(), default="lightspeed-stack", doc="What the events say where they are from."),
    "timeout": Key(positive(), default=5, doc="Seconds that a call may take."),
    "verify_ssl": Key(flag(), default=True, doc="Check Splunk's certificate."),
}

AZURE: Record = {
    "tenant_id": _secret("The tenant."),
    "client_id": _secret("The client."),
    "client_secret": _secret("The client's secret."),
    "scope": Key(text(), default="https://cognitiveservices.azure.com/.default", doc="What the token is for."),
}

COMPACTION: Record = {
    "enabled": Key(flag(), default=False, doc="Sum up older turns when a conversation gets too long."),
    "threshold_ratio": Key(_RATIO, default=0.7, doc="At which part of the context window it begins."),
    "token_floor": Key(whole(ge=0), default=4096, doc="Never below so many tokens."),
    "buffer_turns": Key(whole(ge=0), default=4, doc="How many turns stay as they are."),
    "buffer_max_ratio": Key(_RATIO, default=0.3, doc="The most of the window that these may take."),
}

RLSAPI: Record = {
    "allow_verbose_infer": Key(flag(), default=False, doc="Let callers ask for tool calls, chunks and usage."),
    "quota_subject": Key(
        optional(choice("user_id", "org_id", "system_id")), doc="Whose quota counts; the last two need rh-identity."
    ),
}

SAVED_PROMPTS: Record = {
    "max_prompts_per_user": Key(positive(le=200), default=50, doc="The most prompts that a user may save."),
    "max_display_name_length": Key(positive(le=255), default=255, doc="The longest name, in characters."),
    "max_content_length": Key(positive(le=30000), default=10000, doc="The longest prompt, in characters."),
}

_APPROVALS: Record = {
    "approval_timeout_seconds": Key(positive(), default=300, doc="Seconds that a person has to approve."),
    "approval_retention_days": Key(positive(), default=30, doc="Days that decisions are kept."),
}

LIGHTSPEED: Record = {
    "name": Key(text(), required=True, doc="What the service calls itself."),
    "config_format_version": Key(
        optional(choice("legacy", "unified")), doc="Which form this file has; it is found out if unset."
    ),
    "service": Key(record(SERVICE), required=True, doc="How LCORE listens and answers."),
    "llama_stack": Key(record(LLAMA_STACK), doc="Where Llama Stack is, or how it is made; 'ogx' since 0.7."),
    "ogx": Key(optional(record(LLAMA_STACK)), since="0.7", doc="Where Llama Stack (OGX) is, or how it is made."),
    "user_data_collection": Key(record(USER_DATA), required=True, doc="What is kept of what people say."),
    "database": Key(record(_STORES), default={}, doc="Where LCORE keeps its own data; a file in /tmp if unset."),
    "mcp_servers": Key(listing(record(MCP_SERVER)), default=[], doc="Servers with tools for the model."),
    "authentication": Key(record(AUTHENTICATION), default={}, doc="Who may call."),
    "authorization": Key(
        optional(record({"access_rules": Key(listing(record(_ACCESS_RULE)), default=[], doc="Who may do what.")})),
        doc="What callers may do.",
    ),
    "customization": Key(optional(record(CUSTOMIZATION)), doc="Prompts and cards of your own."),
    "inference": Key(record(INFERENCE), default={}, doc="Models, and what they may use."),
    "conversation_cache": Key(record(CACHE), default={}, doc="Where conversations are kept."),
    "compaction": Key(record(COMPACTION), default={}, doc="What happens when conversations get long."),
    "approvals": Key(record(_APPROVALS), default={}, doc="How long a tool waits for a person."),
    "rag": Key(record(RAG), default={}, doc="Knowledge that answers are made with."),
    "vector_store": Key(record(VECTOR_STORE), default={}, doc="Where stores of knowledge can be made."),
    "quota_handlers": Key(record(QUOTA), default={}, doc="How many tokens may be used."),
    "a2a_state": Key(record(_STORES), default={}, doc="Where the agent protocol keeps its state; memory if unset."),
    "azure_entra_id": Key(optional(record(AZURE)), doc="Azure's credentials."),
    "rlsapi_v1": Key(record(RLSAPI), default={}, doc="The endpoint of the RHEL command line assistant."),
    "splunk": Key(optional(record(SPLUNK)), doc="Events for Splunk."),
    "observability": Key(
        record({"otel": Key(mapping(text()), default={}, doc="Comes from the variables OTEL_….")}),
        doc="What is known of tracing; LCORE fills it from its variables.",
    ),
    "deployment_environment": Key(text(), default="development", doc="The environment's name, told in events."),
    "skills": Key(
        optional(record({"paths": Key(listing(text()), role="file", default=[], doc="Directories with a SKILL.md.")})),
        doc="Skills for agents.",
    ),
    "saved_prompts": Key(record(SAVED_PROMPTS), default={}, doc="How much people may save."),
    "shields": Key(listing(SHIELD), default=[], doc="What questions and answers are checked for."),
    "byok_rag": Key(
        listing(record(OLDER_BYOK_STORE)), until="0.6", default=[], doc="Your own knowledge; 'rag.byok' since then."
    ),
    "okp": Key(record(OLDER_OKP), until="0.6", default={}, doc="The Offline Knowledge Portal; 'rag.okp' since then."),
    "reranker": Key(record(RERANKER), until="0.6", default={}, doc="Sorting results again; within 'rag' since then."),
}
