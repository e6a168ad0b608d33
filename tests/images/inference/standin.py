"""Stand-ins for servers of models, by the names of their programs: vllm, ollama and llama-server.

Each takes the words that the real one is started with, listens where that does, is not healthy before its
model is loaded, and prints what the real one prints of the device that it works on. STANDIN_DEVICE names that:
``cuda`` or ``rocm``; nothing is the processor. What it answers is the echo of mock_llm; it calls the first tool
that it is offered, unless the words that it was started with leave tools out.
"""

import argparse
import json
import os
import signal
import sys
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mock_llm

DEVICE = os.environ.get("STANDIN_DEVICE", "")
BEGUN = time.monotonic()
# Seconds until a model is loaded.
LOADING = 1.0
# Models that ollama has, one in each line.
STORE = Path.home() / ".ollama" / "models.txt"
NAMES = {"cuda": "CUDA", "rocm": "ROCm"}
# Options without all of which a server refuses to be told of tools.
TOOLS_NEED = {"vllm": ("--enable-auto-tool-choice", "--tool-call-parser"), "llama.cpp": ("--jinja",)}


def is_loaded() -> bool:
    """Whether the model would be there by now."""
    return time.monotonic() - BEGUN >= LOADING


class Handler(mock_llm.Handler):
    """The mock's routes, a health path that does not lie, and calls of tools."""

    no_tools = ""

    def do_GET(self) -> None:
        """Answer as a server that loads its model first."""
        if self.path == "/health" and not is_loaded():
            self.send_json(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
        elif self.path in ("/", "/api/version", "/api/tags", "/api/ps"):
            self.send_json(200, {"version": "0.0.0", "models": [{"name": one, "model": one} for one in stored()]})
        else:
            super().do_GET()

    def answer(self, request: dict[str, Any]) -> None:
        """Call a tool where one is offered and was not called yet; the rest is the mock's."""
        offered = request.get("tools")
        if offered and self.no_tools:
            self.send_json(400, {"error": {"message": f"tools need {self.no_tools}", "type": "BadRequestError"}})
        elif offered and not request.get("stream") and request["messages"][-1]["role"] == "user":
            self.send_json(200, calling(request, offered[0]["function"]["name"]))
        else:
            super().answer(request)


def calling(request: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the body of an answer that calls a tool with what the user said."""
    body = mock_llm.completion(request)
    arguments = json.dumps({"text": mock_llm.text_of(request["messages"][-1]["content"])})
    call = {"id": "call-1", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return body | {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}


def stored() -> list[str]:
    """The models that ollama has."""
    return STORE.read_text().split() if STORE.exists() else []


def without_tools(kind: str, words: list[str]) -> str:
    """What is missing of the options that tools need."""
    return ", ".join(one for one in TOOLS_NEED[kind] if one not in words)


def serve(host: str, port: int, model: str, no_tools: str = "") -> None:
    """Serve one model until SIGTERM."""
    mock_llm.MODEL = model
    Handler.no_tools = no_tools
    signal.signal(signal.SIGTERM, mock_llm.stop)
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer((host, port), Handler).serve_forever()


def options_of(words: list[str]) -> argparse.Namespace:
    """The options that say which model is served, and where."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("model_named", nargs="?")
    for name in ("--model", "-hf", "--alias"):
        parser.add_argument(name, dest=name.strip("-"))
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    return parser.parse_known_args(words)[0]


def vllm(words: list[str]) -> None:
    """Start as ``vllm serve MODEL`` does, whose port opens when the model is loaded."""
    given = options_of(words[1:] if words[:1] == ["serve"] else words)
    print(f"INFO 11-25 10:00:00 [__init__.py:216] Automatically detected platform {DEVICE or 'cpu'}.", flush=True)
    time.sleep(LOADING)
    serve(given.host, given.port, given.model_named or given.model, without_tools("vllm", words))


def llama_server(words: list[str]) -> None:
    """Start as llama.cpp's server does, which answers 503 while the model is loaded."""
    if "-hf" not in words:
        # The image of Red Hat's server starts vLLM without a word of it.
        return vllm(words)
    given = options_of(words)
    if DEVICE:
        print(f"ggml_cuda_init: found 1 {NAMES[DEVICE]} devices:", flush=True)
        print("load_tensors: offloaded 29/29 layers to GPU", flush=True)
    else:
        print("warning: no usable GPU found, --gpu-layers option will be ignored", flush=True)
    return serve(given.host, given.port, given.alias, without_tools("llama.cpp", words))


def ollama(words: list[str]) -> None:
    """Start ``ollama serve``, or do what one asks it for from a shell."""
    match words:
        case ["serve"]:
            found = f'library={NAMES[DEVICE]} compute=8.6 name="CUDA0"' if DEVICE else 'library=cpu compute=""'
            print(f'time=2026 level=INFO msg="inference compute" id=0 {found}', flush=True)
            host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
            serve(host, int(port), (os.environ.get("LCOMPOSE_MODELS") or "none").split()[0])
        case ["list"]:
            print("\n".join(["NAME", *stored()]))
        case ["show", model]:
            sys.exit(model not in stored())
        case ["pull", model]:
            time.sleep(LOADING)
            STORE.parent.mkdir(exist_ok=True)
            STORE.write_text("\n".join([*stored(), model]))


PROGRAMS = {"vllm": vllm, "ollama": ollama, "llama-server": llama_server}

if __name__ == "__main__":
    PROGRAMS[Path(sys.argv[0]).name](sys.argv[1:])
