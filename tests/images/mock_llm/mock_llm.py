"""A tiny OpenAI-compatible server for tests: it echoes the last words of the user."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any, NoReturn

MODEL = os.environ.get("MOCK_MODEL", "mock-model")
PORT = int(os.environ.get("MOCK_PORT", "9000"))
# Fixed, so that two runs give the same bytes.
CREATED = 1700000000


def text_of(content: Any) -> str:
    """Return the plain text of a message content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content or [])


def answer_to(messages: list[dict[str, Any]]) -> str:
    """Return the answer: what the user said last."""
    users = [message for message in messages if message.get("role") == "user"]
    return f"mock: {text_of(users[-1]['content'])}" if users else "mock: nothing asked"


def models() -> dict[str, Any]:
    """Return the body of /v1/models."""
    model = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "mock"}
    return {"object": "list", "data": [model]}


def usage_of(answer: str) -> dict[str, int]:
    """Count words as tokens: plausible, and the same every time."""
    words = len(answer.split())
    return {"prompt_tokens": words, "completion_tokens": words, "total_tokens": 2 * words}


def completion(request: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a chat completion that is not streamed."""
    answer = answer_to(request.get("messages", []))
    message = {"role": "assistant", "content": answer}
    return {
        "id": "chatcmpl-mock",
        "object": "chat.completion",
        "created": CREATED,
        "model": request.get("model", MODEL),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage_of(answer),
    }


def chunk(model: str, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
    """Return one event of a streamed completion."""
    return {
        "id": "chatcmpl-mock",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def chunks(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a streamed completion, one word each."""
    model = request.get("model", MODEL)
    answer = answer_to(request.get("messages", []))
    yield chunk(model, {"role": "assistant", "content": ""}, None)
    for word in answer.split(" "):
        yield chunk(model, {"content": f"{word} "}, None)
    yield chunk(model, {}, "stop")
    if (request.get("stream_options") or {}).get("include_usage"):
        yield chunk(model, {}, None) | {"choices": [], "usage": usage_of(answer)}


def embeddings(request: dict[str, Any]) -> dict[str, Any]:
    """Return one short fixed vector for each input."""
    inputs = request.get("input", [])
    texts = [inputs] if isinstance(inputs, str) else inputs
    data = [{"object": "embedding", "index": index, "embedding": [0.1, 0.2, 0.3, 0.4]} for index, _ in enumerate(texts)]
    usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
    return {"object": "list", "model": request.get("model", MODEL), "data": data, "usage": usage}


class Handler(BaseHTTPRequestHandler):
    """Routes of the mock."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer /health and /v1/models."""
        bodies = {"/health": {"status": "ok"}, "/v1/models": models()}
        body = bodies.get(self.path)
        self.send_json(200 if body else 404, body or {"error": {"message": "not found"}})

    def do_POST(self) -> None:
        """Answer /v1/chat/completions and /v1/embeddings."""
        self.answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0")))))

    def answer(self, request: dict[str, Any]) -> None:
        """Answer what was posted."""
        if self.path == "/v1/chat/completions" and request.get("stream"):
            self.send_events(chunks(request))
            return
        routes = {"/v1/chat/completions": completion, "/v1/embeddings": embeddings}
        if self.path not in routes:
            self.send_json(404, {"error": {"message": "not found"}})
            return
        self.send_json(200, routes[self.path](request))

    def send_json(self, status: int, body: dict[str, Any]) -> None:
        """Send one JSON body."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_events(self, events: Iterator[dict[str, Any]]) -> None:
        """Send server-sent events; the end of the connection ends the stream."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")


def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End at once: process 1 has no default action for SIGTERM."""
    sys.exit(0)


def main() -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, stop)
    ThreadingHTTPServer.daemon_threads = True
    print(f"mock-llm: listening on port {PORT}", file=sys.stderr)
    ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
