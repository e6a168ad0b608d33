"""The same configuration with Llama Stack inside Lightspeed Core: a derived copy, in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lcompose.emit import yaml_text
from lcompose.errors import UsageError
from lcompose.forms import BASELINE, RUN_FILE
from lcompose.lightspeed.config import section_of
from lcompose.lightspeed.synthesis import is_unified
from lcompose.load import Node, plain
from lcompose.templates import data_directory
from lcompose.workspace import CONFIG_FILE

# What only a Llama Stack elsewhere has.
OF_A_SERVER = ("url", "api_key", "max_retries", "retry_delay", "allow_degraded_mode")
HERE = ("localhost", "127.0.0.1", "::1", "llama-stack", "ogx")


def in_library_mode(node: Node, run_file: str) -> dict[str, Any]:
    """lightspeed-stack.yaml as it says the same in library mode; ``run_file`` is the run.yaml, if there is one.

    Raises: UsageError where Llama Stack is somebody else's.
    """
    tree: dict[str, Any] = dict(plain(node) or {})
    section = section_of(node)
    own: Mapping[str, Any] = tree.get(section) or {}
    url = str(own.get("url") or "")
    if url and "${" not in url and (urlsplit(url).hostname or "") not in HERE:
        what = "Llama Stack is somewhere else, so it cannot be put inside Lightspeed Core"
        raise UsageError(what, "leg library", "Leave 'library' out of --legs.")
    kept = {key: value for key, value in own.items() if key not in OF_A_SERVER}
    named = {} if is_unified(tree, section) else {"library_client_config_path": run_file}
    return {**tree, section: {**kept, "use_as_library_client": True, **named}}


def write_copy(node: Node, config: Path, asked_run: Path | None, folder: Path) -> Path:
    """Writes the derived copy beside links to all that lies beside the original; returns where it is.

    Raises: UsageError.
    """
    folder.mkdir(parents=True)
    for one in config.parent.iterdir():
        if one.name not in (config.name, RUN_FILE):
            (folder / one.name).symlink_to(one)
    run = asked_run or (config.parent / RUN_FILE)
    source = run if run.exists() else data_directory("templates") / BASELINE
    (folder / RUN_FILE).write_bytes(source.read_bytes())
    named = (plain(node) or {}).get(section_of(node)) or {}
    path = folder / CONFIG_FILE
    path.unlink(missing_ok=True)
    path.write_text(yaml_text(in_library_mode(node, str(named.get("library_client_config_path") or RUN_FILE))))
    return path
