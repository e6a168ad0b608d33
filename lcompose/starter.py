"""What a stack is begun with: the files that ``lcompose init`` writes, for a provider, a form and a database."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lcompose.errors import UsageError
from lcompose.json_schema import json_schema
from lcompose.lightspeed.images import DEFAULT_GENERATION
from lcompose.spec.bundle import Document
from lcompose.templates import fill

# Both stand in YAML and in a shell's file, and in names of models there is hardly anything else.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
MODES = ("server", "library")
DATABASES = ("sqlite", "postgres")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that a stack wants: what it is for, and what it may be left at."""

    name: str
    doc: str
    default: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of a provider's configuration."""

    name: str
    value: str
    doc: str


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves models: how Llama Stack calls it, where its key goes, what else it must be told.

    ``short`` is whether lightspeed-stack.yaml has words of its own for it; without these it needs a run.yaml.
    """

    name: str
    title: str
    type: str
    model: str
    key: str = ""
    key_field: str = "api_key"
    config: tuple[Setting, ...] = ()
    variables: tuple[Variable, ...] = ()
    short: bool = True


PROVIDERS: Mapping[str, Provider] = {
    one.name: one
    for one in (
        Provider(
            "openai",
            "OpenAI, or any server that speaks its language",
            "remote::openai",
            "gpt-4o-mini",
            key="OPENAI_API_KEY",
            config=(
                Setting(
                    "base_url",
                    "${env.OPENAI_BASE_URL:=https://api.openai.com/v1}",
                    "Where it is; another address means a server of your own.",
                ),
            ),
            variables=(
                Variable("OPENAI_API_KEY", "Your key, from platform.openai.com.", required=True),
                Variable("OPENAI_BASE_URL", "The address of another server.", "https://api.openai.com/v1"),
            ),
        ),
        Provider(
            "ollama",
            "Ollama, with a model on this machine",
            "remote::ollama",
            "llama3.2:3b",
            config=(
                Setting(
                    "base_url",
                    "${env.OLLAMA_URL:=http://localhost:11434/v1}",
                    "Where Ollama is; 'localhost' means one that is started with the stack.",
                ),
            ),
            variables=(Variable("OLLAMA_URL", "The address of an Ollama elsewhere.", "http://localhost:11434/v1"),),
        ),
        Provider(
            "vllm",
            "vLLM, with a model on this machine",
            "remote::vllm",
            "Qwen/Qwen3-8B",
            config=(
                Setting(
                    "base_url",
                    "${env.VLLM_URL:=http://localhost:8000/v1}",
                    "Where vLLM is; 'localhost' means one that is started with the stack.",
                ),
                Setting("api_token", "${env.VLLM_API_TOKEN:=not-needed}", "What it wants to be shown, if anything."),
            ),
            variables=(
                Variable("VLLM_URL", "The address of a vLLM elsewhere.", "http://localhost:8000/v1"),
                Variable("VLLM_API_TOKEN", "Its token, where it wants one."),
                Variable("HF_TOKEN", "A token of Hugging Face, for models that are not open to all."),
            ),
        ),
        Provider(
            "azure",
            "Azure OpenAI",
            "remote::azure",
            "gpt-4o-mini",
            key="AZURE_API_KEY",
            config=(
                Setting("base_url", "${env.AZURE_API_BASE}", "The address of your resource."),
                Setting("api_version", "${env.AZURE_API_VERSION:=2024-10-21}", "The version of Azure's interface."),
            ),
            variables=(
                Variable("AZURE_API_KEY", "The key of your resource.", required=True),
                Variable("AZURE_API_BASE", "Its address: https://NAME.openai.azure.com/openai/v1", required=True),
                Variable("AZURE_API_VERSION", "The version of Azure's interface.", "2024-10-21"),
            ),
        ),
        Provider(
            "watsonx",
            "IBM watsonx.ai",
            "remote::watsonx",
            "meta-llama/llama-3-3-70b-instruct",
            key="WATSONX_API_KEY",
            config=(
                Setting(
                    "base_url",
                    "${env.WATSONX_BASE_URL:=https://us-south.ml.cloud.ibm.com}",
                    "The address of your region.",
                ),
                Setting("project_id", "${env.WATSONX_PROJECT_ID}", "The project that is charged."),
            ),
            variables=(
                Variable("WATSONX_API_KEY", "Your key of IBM Cloud.", required=True),
                Variable("WATSONX_PROJECT_ID", "The id of your project.", required=True),
                Variable("WATSONX_BASE_URL", "The address of your region.", "https://us-south.ml.cloud.ibm.com"),
            ),
        ),
        Provider(
            "bedrock",
            "Amazon Bedrock",
            "remote::bedrock",
            "openai.gpt-oss-20b-1:0",
            key="AWS_BEARER_TOKEN_BEDROCK",
            config=(Setting("region_name", "${env.AWS_DEFAULT_REGION:=us-east-2}", "The region."),),
            variables=(
                Variable("AWS_BEARER_TOKEN_BEDROCK", "Your key of Bedrock.", required=True),
                Variable("AWS_DEFAULT_REGION", "The region.", "us-east-2"),
            ),
            short=False,
        ),
        Provider(
            "vertexai",
            "Google Vertex AI",
            "remote::vertexai",
            "publishers/google/models/gemini-2.5-flash",
            config=(
                Setting("project", "${env.VERTEX_AI_PROJECT}", "The project that is charged."),
                Setting("location", "${env.VERTEX_AI_LOCATION:=global}", "The region."),
            ),
            variables=(
                Variable("VERTEX_AI_PROJECT", "The id of your project.", required=True),
                Variable("VERTEX_AI_LOCATION", "The region.", "global"),
                Variable("GOOGLE_APPLICATION_CREDENTIALS", "The file with your credentials."),
            ),
        ),
    )
}
PASSWORD = Variable("POSTGRES_PASSWORD", "The password of the database; choose one.", required=True)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants; an empty model is the provider's usual one."""

    name: str
    provider: str = "openai"
    mode: str = "server"
    database: str = "sqlite"
    model: str = ""


def starter(wish: Wish) -> tuple[Document, ...]:
    """The files that a stack is begun with.

    Raises: UsageError for a name or a model that cannot be one.
    """
    _refuse(wish)
    values = _values(wish)
    texts = {
        "lightspeed-stack.yaml": fill("starter-lightspeed-stack.yaml.j2", **values),
        **({"run.yaml": fill("starter-run.yaml.j2", **values)} if values["run_file"] else {}),
        "lcompose.yaml": fill("starter-lcompose.yaml.j2", **values),
        ".env.example": fill("starter-env.j2", **values),
        "lightspeed-stack.schema.json": _schema("lightspeed-stack"),
        "lcompose.schema.json": _schema("lcompose"),
    }
    return tuple(Document(path, text) for path, text in texts.items())


def variables(wish: Wish) -> tuple[Variable, ...]:
    """The variables that the stack wants, those first that must be set."""
    own = PROVIDERS[wish.provider].variables
    found = (*own, PASSWORD) if wish.database == "postgres" else own
    return tuple(sorted(found, key=lambda one: not one.required))


def _values(wish: Wish) -> dict[str, Any]:
    provider = PROVIDERS[wish.provider]
    return {
        "name": wish.name,
        "provider": provider,
        "model": wish.model or provider.model,
        "library": wish.mode == "library",
        "postgres": wish.database == "postgres",
        "run_file": wish.mode == "server" or not provider.short,
        "variables": variables(wish),
    }


def _refuse(wish: Wish) -> None:
    if not NAME.fullmatch(wish.name):
        fix = "Use up to 60 letters, digits, spaces, '.', '_' and '-', with a letter or digit first."
        raise UsageError(f"{wish.name[:60]!r} is not a name for an assistant", "--name", fix)
    if wish.model and not MODEL.fullmatch(wish.model):
        fix = f"Write it as its provider does, such as {PROVIDERS[wish.provider].model}."
        raise UsageError(f"{wish.model[:60]!r} is not the name of a model", "--model", fix)


def _schema(name: str) -> str:
    return json.dumps(json_schema(name, DEFAULT_GENERATION), indent=2, ensure_ascii=False) + "\n"
