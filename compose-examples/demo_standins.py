"""Small stand-ins for the demo, of Python's library and PyYAML: Lightspeed Core, and Llama Stack where it must be.

``demo_standins.py lightspeed-stack -c FILE`` reads the document that Lightspeed Core would read, and answers a query
by asking Llama Stack. ``demo_standins.py llama-stack FILE`` reads run.yaml, and asks the model itself.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

# Seconds.
PATIENCE = 30


def asked(url: str, body: Mapping[str, Any] | None = None) -> Any:
    """What another service answers.

    Raises:
        OSError: it does not, or with an error.
    """
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})  # noqa: S310  # our own services
    with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        return json.load(answer)


def lightspeed_core(tree: Mapping[str, Any]) -> dict[str, Callable[[Any], Any]]:
    """The paths of Lightspeed Core that the demo needs."""
    server = str(tree["ogx"]["url"]).rstrip("/")

    def readiness(_body: Any) -> Any:
        asked(f"{server}/v1/health")
        return {"ready": True, "reason": "All providers are healthy", "providers": [], "overall_status": "healthy"}

    def query(body: Any) -> Any:
        model = asked(f"{server}/v1/models")["data"][0]["id"]
        question = {"model": model, "messages": [{"role": "user", "content": body["query"]}]}
        answer = asked(f"{server}/v1/chat/completions", question)
        return {"conversation_id": secrets.token_hex(24), "response": answer["choices"][0]["message"]["content"]}

    return {"/liveness": lambda _body: {"alive": True}, "/readiness": readiness, "/v1/query": query}


def llama_stack(_tree: Mapping[str, Any]) -> dict[str, Callable[[Any], Any]]:
    """The paths of Llama Stack that the demo needs."""
    model = os.environ["OPENAI_BASE_URL"].rstrip("/")
    return {
        "/v1/health": lambda _body: {"status": "OK"},
        "/v1/version": lambda _body: {"version": "1.2.5"},
        "/v1/models": lambda _body: asked(f"{model}/models"),
        "/v1/chat/completions": lambda body: asked(f"{model}/chat/completions", body),
    }


def handler(paths: Mapping[str, Callable[[Any], Any]]) -> type[BaseHTTPRequestHandler]:
    """What answers on these paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0")))))

        def answer(self, body: Any) -> None:
            if self.path not in paths:
                self.send({"detail": "Not Found"}, 404)
                return
            try:
                self.send(paths[self.path](body))
            except OSError as error:
                self.send({"detail": str(error)}, 503)

        def send(self, body: Any, status: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


STANDINS = {"lightspeed-stack": ("service", lightspeed_core), "llama-stack": ("server", llama_stack)}


def main() -> None:
    """Serve where the document says, until something ends it."""
    section, paths = STANDINS[sys.argv[1]]
    tree = yaml.safe_load(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    where = tree[section]
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer((where["host"], where["port"]), handler(paths(tree))).serve_forever()


if __name__ == "__main__":
    main()
