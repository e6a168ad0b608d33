"""The configuration of the LCORE stand-in: refuses what the real server's models refuse.

Written from the list of keys, types and rules that the real models accept; top-level keys that
server mode does not need are accepted as any mapping or list.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from ogx.core.stack import replace_env_vars
from pydantic import Field, model_validator
from standin_blocks import (
    Authentication,
    Authorization,
    ConversationCache,
    Customization,
    Database,
    Inference,
    LlamaStack,
    LlamaStack07,
    Service,
    Service07,
    Strict,
    UserData,
)

AnyBlock = dict[str, Any] | list[Any]


class Configuration(Strict):
    """What both generations have in the file."""

    name: str
    config_format_version: Literal["legacy", "unified"] | None = None
    service: Service
    user_data_collection: UserData
    database: Database = Field(default_factory=Database)
    authentication: Authentication = Authentication()
    authorization: Authorization | None = None
    customization: Customization | None = None
    inference: Inference = Inference()
    conversation_cache: ConversationCache = ConversationCache()
    deployment_environment: str = "development"
    a2a_state: AnyBlock | None = None
    approvals: AnyBlock | None = None
    azure_entra_id: AnyBlock | None = None
    compaction: AnyBlock | None = None
    mcp_servers: AnyBlock | None = None
    observability: AnyBlock | None = None
    quota_handlers: AnyBlock | None = None
    rag: AnyBlock | None = None
    rlsapi_v1: AnyBlock | None = None
    saved_prompts: AnyBlock | None = None
    shields: AnyBlock | None = None
    skills: AnyBlock | None = None
    splunk: AnyBlock | None = None
    vector_store: AnyBlock | None = None


class Configuration06(Configuration):
    """The whole file, as generation 0.6 reads it."""

    llama_stack: LlamaStack
    # What /v1/info says: the release, and the name of its key for the other one's version.
    release: ClassVar[str] = "0.6.1"
    version_key: ClassVar[str] = "llama_stack_version"

    @property
    def backend(self) -> LlamaStack:
        """The block that names Llama Stack."""
        return self.llama_stack


class Configuration07(Configuration):
    """The whole file, as generation 0.7 reads it."""

    service: Service07
    ogx: LlamaStack07
    release: ClassVar[str] = "0.7.1"
    version_key: ClassVar[str] = "ogx_version"

    @model_validator(mode="before")
    @classmethod
    def accept_old_name(cls, document: Any) -> Any:
        """Rename `llama_stack`. Beside `ogx` it stays, and is refused as an unknown key."""
        if not isinstance(document, dict) or document.get("ogx") is not None:
            return document
        names = {"llama_stack": "ogx"}
        return {names.get(key, key): value for key, value in document.items() if key != "ogx"}

    @property
    def backend(self) -> LlamaStack:
        """The block that names Llama Stack."""
        return self.ogx


AnyConfiguration = Configuration06 | Configuration07
GENERATIONS: dict[str, type[AnyConfiguration]] = {"0.6": Configuration06, "0.7": Configuration07}


def load(path: Path, generation: str) -> AnyConfiguration:
    """Read one file as the given generation does.

    Raises:
        ValidationError: the file holds what that generation refuses.
        EnvVarError: a variable without a default is unset or empty.
    """
    document = replace_env_vars(yaml.safe_load(path.read_text(encoding="utf-8")))
    return GENERATIONS[generation].model_validate(document)
