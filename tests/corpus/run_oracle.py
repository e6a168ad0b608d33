"""Llama Stack's own verdict: a program for a Python that has it, a run.yaml a line in, what stops its start a line out.

The first line out is the version. Each document has a process and a folder of its own, since Llama
Stack remembers; nothing it asks for on the network is there.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any


def server() -> Any:
    """Its module of the server; the package had another name before 0.8."""
    try:
        return import_module("ogx.core.server.server")
    except ModuleNotFoundError:
        return import_module("llama_stack.core.server.server")


def start(document: str, folder: str) -> str:
    """What stops Llama Stack, or nothing."""
    from fastapi.testclient import TestClient  # type: ignore[import-not-found]

    path = Path(folder, "run.yaml")
    path.write_text(document)
    own = dict.fromkeys(("OGX_CONFIG", "LLAMA_STACK_CONFIG"), str(path))
    os.environ |= {**own, "SQLITE_STORE_DIR": folder, "HOME": folder}
    try:
        with TestClient(server().create_app()):
            return ""
    except BaseException as error:  # noqa: BLE001  # whatever stops it
        return f"{type(error).__name__}: {error}"


def verdict(document: str) -> str:
    """The same, from a process that ends with it."""
    with tempfile.TemporaryDirectory() as folder:
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            os.write(writes, start(document, folder).encode()[:4000])
            os._exit(0)
        os.close(writes)
        with os.fdopen(reads) as answer:
            said = answer.read()
        os.waitpid(child, 0)
    return said


def main() -> None:
    """Answers until there are no more lines."""
    answers: Any = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    import tiktoken  # type: ignore[import-not-found]

    # A download, and no matter of the document.
    tiktoken.get_encoding = lambda name: None
    # Once, for all children.
    name = server().__name__.partition(".")[0]
    print(json.dumps(version(name)), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(verdict(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
