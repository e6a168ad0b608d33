"""A small MCP server with one tool, which tells the time; it needs nothing but Python."""

import json
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOOL = {
    "name": "now",
    "description": "Tells the time in UTC.",
    "inputSchema": {"type": "object", "properties": {}},
}


def answer(method: str, params: dict) -> dict:
    """What each of the methods that it knows gives."""
    if method == "initialize":
        version = params.get("protocolVersion", "2025-03-26")
        about = {"name": "clock", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": datetime.now(UTC).isoformat()}]}
    return {}


class Handler(BaseHTTPRequestHandler):
    """JSON-RPC over HTTP, one answer a request."""

    def do_GET(self) -> None:
        """Only whether it is there."""
        self.reply(200 if self.path == "/healthy" else 405, b"")

    def do_POST(self) -> None:
        """A request has an id and wants an answer; a notification has none."""
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if "id" not in asked:
            self.reply(202, b"")
            return
        result = answer(asked.get("method", ""), asked.get("params") or {})
        self.reply(200, json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode())

    def reply(self, code: int, body: bytes) -> None:
        """Sends an answer."""
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 3000), Handler).serve_forever()
