"""The HTTP side of the LCORE stand-in: probes, models, providers, info, queries and feedback."""

import json
import logging
import os
import secrets
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from standin_blocks import Authentication
from standin_config import AnyConfiguration

PROBES = ("/liveness", "/readiness")
DEGRADED = ["LLM inference unavailable", "RAG functionality unavailable", "Agent tools unavailable"]
NO_TOKEN = ("No Authorization header found", "No token found in Authorization header")
UNREACHABLE = ["LLM inference unavailable", "Provider health checks unavailable"]


logger = logging.getLogger("standin.app")


class Query(BaseModel):
    """Body of POST /v1/query: the keys that the stand-in acts on."""

    model_config = ConfigDict(extra="forbid")

    query: str
    conversation_id: str | None = None
    model: str | None = None
    provider: str | None = None


def refusal(status: int, response: str, cause: str) -> HTTPException:
    """Return an error with the two-part detail of the real server."""
    return HTTPException(status, {"response": response, "cause": cause})


def bearer_token(request: Request) -> str:
    """Return the token of the request.

    Raises:
        HTTPException: 401, no token.
    """
    words = request.headers.get("Authorization", "").split()
    if len(words) != 2 or words[0].lower() != "bearer":
        raise refusal(401, "Missing or invalid credentials provided by client", NO_TOKEN[bool(words)])
    return words[1]


def is_open(request: Request, rules: Authentication) -> bool:
    """Tell whether this request is a probe that needs no token."""
    # noop-with-token has no such exception in the real server.
    if rules.module != "api-key-token" or not rules.skip_for_health_probes:
        return False
    return request.url.path in PROBES and "Authorization" not in request.headers


def authenticate(request: Request) -> None:
    """Let the request pass, or refuse it as the configured module does.

    Raises:
        HTTPException: 401.
    """
    rules: Authentication = request.app.state.config.authentication
    if rules.module == "noop" or is_open(request, rules):
        return
    token = bearer_token(request)
    if rules.api_key_config and rules.module == "api-key-token":
        expected = rules.api_key_config.api_key.get_secret_value()
        if not secrets.compare_digest(token.encode(), expected.encode()):
            raise HTTPException(401, "Invalid API Key")


health = APIRouter(dependencies=[Depends(authenticate)])
v1 = APIRouter(prefix="/v1", dependencies=[Depends(authenticate)])
open_v1 = APIRouter(prefix="/v1")


class Feedback(BaseModel):
    """Body of POST /v1/feedback; the real server also wants the conversation to exist."""

    model_config = ConfigDict(extra="forbid")

    conversation_id: str
    user_question: str
    llm_response: str
    sentiment: int | None = None
    user_feedback: str | None = None
    categories: list[str] | None = None


class LlamaStackClient:
    """The few calls to Llama Stack that the stand-in makes."""

    def __init__(self, config: AnyConfiguration) -> None:
        """Connect to nothing yet."""
        block = config.backend
        key = block.api_key.get_secret_value() if block.api_key else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.AsyncClient(base_url=str(block.url), timeout=block.timeout, headers=headers)

    async def get(self, path: str) -> Any:
        """Return one JSON body.

        Raises:
            HTTPException: 503, no answer or an error.
        """
        return await self.call("GET", path, None)

    async def call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """Send one request and return the JSON body.

        Raises:
            HTTPException: 503, no answer or an error.
        """
        try:
            answer = await self.http.request(method, path, json=body)
            return answer.raise_for_status().json()
        except httpx.HTTPError as error:
            logger.error("Unable to connect to OGX: %s", error)
            cause = "Connection error while trying to reach backend service."
            raise refusal(503, "Unable to connect to OGX", cause) from error

    async def llm_ids(self) -> list[str]:
        """Return the ids of the language models, in the server's order."""
        models = (await self.get("/v1/models"))["data"]
        kinds = [(model["id"], model.get("custom_metadata") or {}) for model in models]
        return [name for name, kind in kinds if kind.get("model_type", "llm") == "llm"]


def client_of(request: Request) -> LlamaStackClient:
    """Return the one client of this process."""
    client: LlamaStackClient = request.app.state.client
    return client


def config_of(request: Request) -> AnyConfiguration:
    """Return the configuration of this process."""
    config: AnyConfiguration = request.app.state.config
    return config


Client = Annotated[LlamaStackClient, Depends(client_of)]
Config = Annotated[AnyConfiguration, Depends(config_of)]


def readiness(*, reason: str, status: str, impacts: list[str] | None = None) -> dict[str, Any]:
    """Return a body of /readiness."""
    return {
        "ready": status != "unhealthy",
        "reason": reason,
        "overall_status": status,
        "impacts": impacts,
        "providers": [],
    }


def default_model_of(config: AnyConfiguration) -> str | None:
    """Return the id under which Llama Stack registers the default model."""
    inference = config.inference
    if not inference.default_model:
        return None
    return f"{inference.default_provider}/{inference.default_model}"


async def readiness_now(client: LlamaStackClient, config: AnyConfiguration) -> dict[str, Any]:
    """Ask Llama Stack and return the body of /readiness.

    A provider that reports an error does not count, as in the real server, which compares the
    status with another spelling.
    """
    try:
        await client.get("/v1/providers")
        wanted = default_model_of(config)
        missing = wanted is not None and wanted not in await client.llm_ids()
    except HTTPException:
        reason = "Cannot connect to backend service"
        return readiness(reason=reason, status="unhealthy", impacts=UNREACHABLE)
    if missing:
        reason = f"Model {wanted} not found in model registry"
        impacts = ["Default model not available in registry"]
        return readiness(reason=reason, status="unhealthy", impacts=impacts)
    return readiness(reason="All providers are healthy", status="healthy")


@health.get("/liveness")
def get_liveness() -> dict[str, bool]:
    """Answer while the process lives, whatever Llama Stack does."""
    return {"alive": True}


@health.get("/readiness")
async def get_readiness(request: Request, response: Response, client: Client, config: Config) -> dict[str, Any]:
    """Answer 503 while queries cannot work; degraded counts as ready."""
    if request.app.state.degraded:
        reason = "Service running in degraded mode"
        return readiness(reason=reason, status="degraded", impacts=DEGRADED)
    body = await readiness_now(client, config)
    response.status_code = 200 if body["ready"] else 503
    return body


def described(model: dict[str, Any]) -> dict[str, Any]:
    """Return one model of Llama Stack's list in LCORE's words."""
    facts = model.get("custom_metadata") or {}
    kind = facts.get("model_type", "llm")
    return {
        "identifier": model["id"],
        "metadata": {},
        "api_model_type": kind,
        "provider_id": facts.get("provider_id", ""),
        "type": "model",
        "provider_resource_id": facts.get("provider_resource_id", ""),
        "model_type": kind,
    }


@v1.get("/models")
async def get_models(client: Client) -> dict[str, Any]:
    """Return what Llama Stack has registered."""
    return {"models": [described(model) for model in (await client.get("/v1/models"))["data"]]}


@v1.get("/info")
async def get_info(client: Client, config: Config) -> dict[str, str]:
    """Return the names and versions of the pair."""
    version = (await client.get("/v1/version"))["version"]
    return {"name": config.name, "service_version": config.release, config.version_key: version}


def check_tracing_secret() -> None:
    """Refuse every query unless tracing is off or its secret is set, as the real server does.

    Raises:
        HTTPException: 500.
    """
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() in ("true", "1")
    if off or os.environ.get("OTEL_ANONYMIZATION_SECRET"):
        return
    logger.error("Set OTEL_ANONYMIZATION_SECRET, or OTEL_SDK_DISABLED to true")
    cause = "An unexpected error occurred while processing the request."
    raise refusal(500, "Internal server error", cause)


async def model_for(query: Query, client: LlamaStackClient, config: AnyConfiguration) -> str:
    """Return the model that was asked for, else the default one, else the first one.

    Raises:
        HTTPException: 404, there is no such model, or none at all.
    """
    asked = f"{query.provider}/{query.model}" if query.model and query.provider else None
    known = await client.llm_ids()
    wanted = asked or default_model_of(config) or next(iter(known), None)
    if wanted is None:
        raise refusal(404, "Model not found", "No LLM model found in available models")
    if wanted not in known:
        name = wanted.partition("/")[2]
        raise refusal(404, "Model not found", f"Model with ID {name} does not exist")
    return wanted


@v1.post("/query")
async def post_query(query: Query, client: Client, config: Config) -> dict[str, Any]:
    """Send one question to the model and return its answer."""
    check_tracing_secret()
    model = await model_for(query, client, config)
    message = {"role": "user", "content": query.query}
    body = {"model": model, "messages": [message]}
    answer = await client.call("POST", "/v1/chat/completions", body)
    return {
        "conversation_id": query.conversation_id or secrets.token_hex(24),
        "response": answer["choices"][0]["message"]["content"],
    }


def event(name: str, data: dict[str, Any], **more: Any) -> str:
    """Return one server-sent event; its name is inside, as in the real server's."""
    return f"data: {json.dumps({'event': name, 'data': data, **more})}\n\n"


def events(conversation: str, response: str) -> Iterator[str]:
    """Yield an answer as the real server streams it: a start, words, the whole, an end."""
    yield event("start", {"conversation_id": conversation, "request_id": str(uuid.uuid4())})
    words = [f"{word} " for word in response.split()]
    for number, word in enumerate(words):
        yield event("token", {"id": number, "token": word})
    yield event("turn_complete", {"id": len(words), "token": response})
    count = len(words)
    told = {"referenced_documents": [], "truncated": None, "input_tokens": count, "output_tokens": count}
    yield event("end", told, available_quotas={})


@v1.post("/streaming_query")
async def post_streaming_query(query: Query, client: Client, config: Config) -> StreamingResponse:
    """Send one question to the model and stream its answer."""
    answer = await post_query(query, client, config)
    return StreamingResponse(events(answer["conversation_id"], answer["response"]), media_type="text/event-stream")


@v1.get("/providers")
async def get_providers(client: Client) -> dict[str, Any]:
    """Return the providers of Llama Stack by the API that they are of."""
    found: dict[str, list[dict[str, str]]] = {}
    for one in (await client.get("/v1/providers"))["data"]:
        kept = {key: one[key] for key in ("provider_id", "provider_type")}
        found.setdefault(one["api"], []).append(kept)
    return {"providers": found}


def store_feedback(directory: Path, feedback: dict[str, Any]) -> None:
    """Write one file; the directory is created at the first one."""
    stamped = {"timestamp": str(datetime.now(UTC)), **feedback}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{uuid.uuid4()}.json").write_text(json.dumps(stamped), encoding="utf-8")


@open_v1.get("/feedback/status")
def get_feedback_status(config: Config) -> dict[str, Any]:
    """Tell whether feedback is stored; needs no token in the real server either."""
    enabled = config.user_data_collection.feedback_enabled
    return {"functionality": "feedback", "status": {"enabled": enabled}}


@v1.post("/feedback")
def post_feedback(feedback: Feedback, config: Config) -> dict[str, str]:
    """Store feedback, if that is enabled."""
    collection = config.user_data_collection
    if not collection.feedback_enabled or not collection.feedback_storage:
        raise refusal(403, "Storing feedback is disabled", "Storing feedback is disabled.")
    try:
        store_feedback(Path(collection.feedback_storage), feedback.model_dump(exclude_none=True))
    except OSError as error:
        raise refusal(500, "Failed to store feedback", str(error)) from error
    return {"response": "feedback received"}


def create_app(config: AnyConfiguration, *, degraded: bool) -> FastAPI:
    """Return the application of one configuration."""
    app = FastAPI(root_path=config.service.root_path, title=f"{config.name} (stand-in)")
    app.state.config = config
    app.state.degraded = degraded
    app.state.client = LlamaStackClient(config)
    app.add_middleware(CORSMiddleware, **config.service.cors.model_dump())
    app.include_router(health)
    app.include_router(v1)
    app.include_router(open_v1)
    return app
