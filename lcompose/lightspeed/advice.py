"""Warnings of what is right, and in containers still does not do what it seems to say."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from lcompose.errors import Finding
from lcompose.lightspeed.config import Configuration, server_is_ours
from lcompose.load import Node, Path, dotted, leaves, locate, lookup, value_at


def advice(config: Configuration) -> list[Finding]:
    """All warnings of this kind."""
    return [*_not_wired(config), *_local_addresses(config)]


def _not_wired(config: Configuration) -> list[Finding]:
    """What LCORE would need Llama Stack to be enriched with, which this version does not do."""
    what = "this is handed to LCORE as it is; Llama Stack is not set up for it"
    fix = "Add the vector store to run.yaml yourself, or leave this out."
    sections: tuple[Path, ...] = (("rag", "byok", "stores"), ("rag", "okp"), ("byok_rag",), ("okp",))
    found = [(path, lookup(config.lightspeed, path)) for path in sections]
    return [
        Finding(locate(config.lightspeed, path), dotted(path), what, fix, "warning")
        for path, node in found
        if node and node.value
    ]


def _local_addresses(config: Configuration) -> list[Finding]:
    """Addresses that mean this machine here, and the container itself in a container."""
    documents = [(config.lightspeed, config.values)]
    documents += [(config.run, config.run_values)] if server_is_ours(config) else []
    return [
        _local_address(node, path)
        for node, values in documents
        for path, leaf in leaves(node)
        if path and _is_address(path) and _is_local(value_at(values, path) or leaf.value)
    ]


def _local_address(node: Node, path: Path) -> Finding:
    what = "in a container this is the container itself, and not this machine"
    fix = "Use the name of a service, or host.docker.internal / host.containers.internal for this machine."
    return Finding(locate(node, path), dotted(path), what, fix, "warning")


def _is_address(path: Path) -> bool:
    inside = [str(step) for step in path[:-1]]
    if path[-1] == "url":
        return "mcp_servers" in inside
    return path[-1] == "base_url" or (path[-1] == "host" and ("postgres" in inside or "backends" in inside))


def _is_local(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        name = urlsplit(value).hostname if "://" in value else value
    except ValueError:
        return False
    return name in ("localhost", "127.0.0.1", "::1")
