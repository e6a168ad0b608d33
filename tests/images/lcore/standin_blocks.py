"""The blocks of the stand-in's configuration: the keys, types and rules of the real models.

Server mode is modelled in full, library mode by a Llama Stack beside it; four authentication modules are refused.
"""

import os
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    PositiveInt,
    SecretStr,
    model_validator,
)

Port = Annotated[PositiveInt, Field(le=65535)]
# Of the seven real modules; the others need services that no test has.
MODELLED_AUTH = ("noop", "noop-with-token", "api-key-token")
AUTH_MODULES = (*MODELLED_AUTH, "k8s", "jwk-token", "rh-identity", "trusted-proxy")
DEFAULT_DATABASE = "/tmp/lightspeed-stack.db"


class Strict(BaseModel):
    """Base of every block: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


def check_root_path(value: str) -> str:
    """Accept nothing, or a path that starts with a slash and does not end with one."""
    if value and (not value.startswith("/") or value.endswith("/")):
        raise ValueError("root_path must start with '/' and must not end with '/'")
    return value


def check_not_crowded(*blocks: object, message: str) -> None:
    """Refuse more than one configured block."""
    if sum(block is not None for block in blocks) > 1:
        raise ValueError(message)


def check_directory(path: str, description: str) -> None:
    """Refuse what exists and is not a writable directory; what is absent is created later."""
    if not os.path.exists(path):
        return
    if not os.path.isdir(path):
        raise ValueError(f"{description} '{path}' is not a directory")
    if not os.access(path, os.W_OK):
        raise ValueError(f"{description} '{path}' is not writable")


class Tls(Strict):
    """service.tls_config."""

    tls_certificate_path: FilePath | None = None
    tls_key_path: FilePath | None = None
    tls_key_password: FilePath | None = None


class Cors(Strict):
    """service.cors."""

    allow_origins: list[str] = ["*"]
    allow_credentials: bool = False
    allow_methods: list[str] = ["*"]
    allow_headers: list[str] = ["*"]

    @model_validator(mode="after")
    def refuse_open_credentials(self) -> Self:
        """Browsers refuse the combination too."""
        if self.allow_credentials and "*" in self.allow_origins:
            raise ValueError("allow_credentials cannot be used with the origin '*'")
        return self


class Service(Strict):
    """service."""

    host: str = "localhost"
    port: Port = 8080
    base_url: str | None = None
    auth_enabled: bool = False
    workers: PositiveInt = 1
    color_log: bool = True
    access_log: bool = True
    tls_config: Tls = Tls()
    root_path: Annotated[str, AfterValidator(check_root_path)] = ""
    cors: Cors = Cors()


class Service07(Service):
    """service, with the keys that 0.7 added."""

    max_concurrent_file_uploads: PositiveInt = 5
    max_concurrent_vector_store_attaches: PositiveInt = 5
    delete_file_after_vector_store_attach: bool = False


class Synthesis(Strict):
    """llama_stack.config."""

    baseline: Literal["default", "empty"] = "default"
    profile: str | None = None
    native_override: dict[str, Any] = {}


class Synthesis07(Strict):
    """ogx.config: 0.7 knows one more baseline."""

    baseline: Literal["default", "empty", "byo-llm"] = "default"
    profile: str | None = None
    native_override: dict[str, Any] = {}


class LlamaStack(Strict):
    """llama_stack."""

    url: AnyHttpUrl | None = None
    api_key: SecretStr | None = None
    use_as_library_client: bool | None = None
    library_client_config_path: str | None = None
    timeout: PositiveInt = 180
    max_retries: PositiveInt = 5
    retry_delay: PositiveInt = 2
    allow_degraded_mode: bool | None = False
    config: Synthesis | None = None

    @model_validator(mode="after")
    def need_a_server(self) -> Self:
        """Either a server is named, or what the one inside is to run."""
        if not self.use_as_library_client and self.url is None:
            raise ValueError("URL is not specified and library client mode is not enabled")
        if self.use_as_library_client and not self.library_client_config_path:
            raise ValueError("library mode without library_client_config_path is not modelled by the stand-in")
        return self


class LlamaStack07(LlamaStack):
    """ogx."""

    config: Synthesis07 | None = None  # type: ignore[assignment]


class UserData(Strict):
    """user_data_collection."""

    feedback_enabled: bool = False
    feedback_storage: str | None = None
    transcripts_enabled: bool = False
    transcripts_storage: str | None = None

    @model_validator(mode="after")
    def check_storages(self) -> Self:
        """Refuse a storage that is needed and cannot be written."""
        for kind in ("feedback", "transcripts"):
            if getattr(self, f"{kind}_enabled"):
                self.check_storage(kind, getattr(self, f"{kind}_storage"))
        return self

    @staticmethod
    def check_storage(kind: str, path: str | None) -> None:
        """Check one of the two directories."""
        if path is None:
            raise ValueError(f"{kind}_storage is required when {kind} is enabled")
        check_directory(path, f"Check directory to store {kind}")


class Sqlite(Strict):
    """Any sqlite block."""

    db_path: str


class Postgres(Strict):
    """Any postgres block."""

    host: str = "localhost"
    port: Port = 5432
    db: str
    user: str
    password: SecretStr
    namespace: str | None = "public"
    ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    gss_encmode: Literal["disable", "prefer", "require"] = "prefer"
    ca_cert_path: FilePath | None = None


class Database(Strict):
    """database."""

    sqlite: Sqlite | None = None
    postgres: Postgres | None = None

    @model_validator(mode="after")
    def choose_one(self) -> Self:
        """Use a sqlite file under /tmp when nothing is configured."""
        message = "Only one database configuration can be provided"
        check_not_crowded(self.sqlite, self.postgres, message=message)
        if self.postgres is None and self.sqlite is None:
            self.sqlite = Sqlite(db_path=DEFAULT_DATABASE)
        return self


class MemoryCache(Strict):
    """conversation_cache.memory."""

    max_entries: PositiveInt


class ConversationCache(Strict):
    """conversation_cache."""

    type: Literal["noop", "memory", "sqlite", "postgres"] | None = None
    memory: MemoryCache | None = None
    sqlite: Sqlite | None = None
    postgres: Postgres | None = None

    @model_validator(mode="after")
    def match_type(self) -> Self:
        """Exactly the block that the type names may be configured."""
        blocks = {"memory": self.memory, "sqlite": self.sqlite, "postgres": self.postgres}
        given = {name for name, block in blocks.items() if block is not None}
        if given and self.type is None:
            raise ValueError("Conversation cache type must be set when backend configuration is")
        if self.type in blocks and given != {self.type}:
            raise ValueError(f"exactly the {self.type} cache must be configured")
        return self


class ApiKey(Strict):
    """authentication.api_key_config."""

    api_key: Annotated[SecretStr, Field(min_length=1)]


class Authentication(Strict):
    """authentication."""

    module: str = "noop"
    skip_tls_verification: bool = False
    skip_for_health_probes: bool = False
    skip_for_metrics: bool = False
    k8s_cluster_api: AnyHttpUrl | None = None
    k8s_ca_cert_path: FilePath | None = None
    jwk_config: dict[str, Any] | None = None
    api_key_config: ApiKey | None = None
    rh_identity_config: dict[str, Any] | None = None
    trusted_proxy_config: dict[str, Any] | None = None

    @model_validator(mode="after")
    def check_module(self) -> Self:
        """Refuse what the real server refuses, and what the stand-in does not model."""
        if self.module not in AUTH_MODULES:
            raise ValueError(f"Unsupported authentication module '{self.module}'")
        if self.module not in MODELLED_AUTH:
            raise ValueError(f"module '{self.module}' is not modelled by the stand-in")
        if self.module == "api-key-token" and self.api_key_config is None:
            raise ValueError("api_key_config is required by the module api-key-token")
        return self


class AccessRule(Strict):
    """authorization.access_rules[]."""

    role: str
    actions: list[str]


class Authorization(Strict):
    """authorization."""

    access_rules: list[AccessRule] = []


class InferenceProvider(Strict):
    """inference.providers[]."""

    type: Literal[
        "openai", "ollama", "vllm", "sentence_transformers", "azure", "vertexai", "watsonx",
        "vllm_rhaiis", "vllm_rhel_ai",
    ]  # fmt: skip
    id: str | None = None
    api_key_env: str | None = None
    allowed_models: list[str] | None = None
    extra: dict[str, Any] = {}


class Inference(Strict):
    """inference."""

    default_model: str | None = None
    default_provider: str | None = None
    context_windows: dict[str, PositiveInt] = {}
    providers: list[InferenceProvider] = []
    max_infer_iters: PositiveInt | None = 10
    max_tool_calls: PositiveInt | None = 30

    @model_validator(mode="after")
    def need_both_defaults(self) -> Self:
        """A model without its provider cannot be looked up, nor the other way round."""
        if (self.default_model is None) != (self.default_provider is None):
            raise ValueError("default_model and default_provider must be set together")
        return self


class CustomProfile(Strict):
    """customization.custom_profile."""

    path: str
    prompts: dict[str, str] = {}


class Customization(Strict):
    """customization."""

    profile_path: str | None = None
    disable_query_system_prompt: bool = False
    disable_shield_ids_override: bool = False
    system_prompt_path: FilePath | None = None
    system_prompt: str | None = None
    agent_card_path: FilePath | None = None
    agent_card_config: dict[str, Any] | None = None
    custom_profile: CustomProfile | None = None
