"""The documents that the services read, made from the person's own.

LCORE refuses keys that it does not know, and cannot be told its host or where Llama Stack is from
outside; so both services get derived documents, and every difference is a Change with its reason.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lcompose.lightspeed.config import (
    DEFAULT_SERVER_PORT,
    Configuration,
    embedded_settings,
    is_library,
    server_is_ours,
)
from lcompose.lightspeed.images import LLAMA_STACK, ImageFacts, server_facts
from lcompose.lightspeed.synthesis import is_unified
from lcompose.load import Node, Path, dotted, plain, value_at
from lcompose.spec.project import Change
from lcompose.spec.text import Address

LIGHTSPEED_FILE = "lightspeed-stack.yaml"
RUN_FILE = "run.yaml"
# What the document is called in findings that lcompose brings where a person has none.
OWN_RUN_FILE = "lcompose's own run.yaml (you have none)"
PATIENCE = 60  # seconds that LCORE keeps asking for Llama Stack: both are started side by side
# These answer an unauthenticated probe with 401, unless they are told to let probes through.
GUARDED_MODULES = ("k8s", "jwk-token", "api-key-token", "rh-identity", "trusted-proxy")


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a document: what stands at the path from now on, and why. None removes it.

    What a ``secret`` one replaces is never told.
    """

    path: Path
    value: Any
    reason: str
    secret: bool = False


def server_port(config: Configuration) -> int:
    """The port of our Llama Stack: run.yaml's, else the one in the url, else the default."""
    own = config.run_number("server", "port")
    if own is not None:
        return own
    try:
        return urlsplit(str(config.value(config.section, "url") or "")).port or DEFAULT_SERVER_PORT
    except ValueError:
        return DEFAULT_SERVER_PORT


def server_has_tls(config: Configuration) -> bool:
    """Whether our Llama Stack speaks TLS."""
    return bool(config.run_value("server", "tls_certfile") and config.run_value("server", "tls_keyfile"))


def lcore_has_tls(config: Configuration) -> bool:
    """Whether LCORE speaks TLS."""
    return bool(config.value("service", "tls_config", "tls_certificate_path"))


def lightspeed_edits(config: Configuration, image: ImageFacts) -> list[Edit]:
    """Everything that LCORE's document must say differently."""
    return [
        *_without_synthesis(config),
        *_rename_section(config),
        *_listen_everywhere(config),
        *(_run_inside(config, image) if is_library(config) else _reach_the_server(config)),
        *_let_probes_through(config),
        *_keep_the_database(config, image),
    ]


def settings_removed(lightspeed: Node) -> tuple[Change, ...]:
    """Changes for the sections of a whole lightspeed-stack.yaml that are lcompose's, and that LCORE never sees."""
    found = plain(embedded_settings(lightspeed)) or {}
    reason = "a setting of lcompose: Lightspeed Core refuses keys that it does not know"
    return tuple(Change(LIGHTSPEED_FILE, key, _shown(value), "", reason) for key, value in found.items())


def run_edits(config: Configuration) -> list[Edit]:
    """Everything that Llama Stack's document must say differently."""
    if is_library(config):
        return []
    return [
        Edit(("server", "host"), "0.0.0.0", "reached from other containers"),  # noqa: S104
        Edit(("server", "port"), server_port(config), "the one port that health checks and addresses use"),
    ]


def applied(tree: Any, document: str, edits: list[Edit]) -> tuple[Any, list[Change]]:
    """A copy of the tree with the edits made, and the changes that they really were."""
    result = deepcopy(tree)
    changes = []
    for edit in edits:
        before = value_at(result, edit.path)
        if before == edit.value:
            continue
        _write(result, edit.path, edit.value)
        shown = ["" if value is None else _shown(value) for value in (before, edit.value)]
        shown[0] = "(hidden)" if edit.secret else shown[0]
        changes.append(Change(document, dotted(edit.path), shown[0], shown[1], edit.reason))
    return result, changes


def _without_synthesis(config: Configuration) -> list[Edit]:
    """run.yaml is made here, for every mode and generation alike; LCORE would make another one of this."""
    tree = plain(config.lightspeed)
    if not is_unified(tree, config.section):
        return []
    paths: tuple[Path, ...] = (
        (config.section, "config"),
        ("inference", "providers"),
        ("vector_store",),
        ("config_format_version",),
    )
    reason = "run.yaml was made of it"
    return [Edit(path, None, reason) for path in paths if value_at(tree, path) is not None]


def _rename_section(config: Configuration) -> list[Edit]:
    old = plain(config.lightspeed).get("llama_stack")
    if config.generation < "0.7" or old is None:
        return []
    removed = Edit(("llama_stack",), None, "renamed to 'ogx' in 0.7")
    if config.section == "ogx":
        return [removed]
    kept = {key: value for key, value in old.items() if key != "config"} if isinstance(old, dict) else old
    return [Edit(("ogx",), kept, "'llama_stack' was renamed in 0.7"), removed]


def _emitted_section(config: Configuration) -> str:
    return "ogx" if config.generation >= "0.7" else "llama_stack"


def _listen_everywhere(config: Configuration) -> list[Edit]:
    edits = [Edit(("service", "host"), "0.0.0.0", "reached from outside the container")]  # noqa: S104
    port = config.number("service", "port")
    if port is not None:
        edits.append(Edit(("service", "port"), port, "the published port and the health check need it"))
    return edits


def _run_inside(config: Configuration, image: ImageFacts) -> list[Edit]:
    path = (_emitted_section(config), "library_client_config_path")
    return [Edit(path, f"{image.workdir}/{RUN_FILE}", "where run.yaml is in the container")]


def _reach_the_server(config: Configuration) -> list[Edit]:
    section = _emitted_section(config)
    url = str(config.value(config.section, "url"))
    if not server_is_ours(config):
        return [Edit((section, "url"), url, "the address must be known now")]
    scheme = "https" if server_has_tls(config) else "http"
    address = Address(LLAMA_STACK, server_port(config), urlsplit(url).path.rstrip("/"), scheme)
    edits = [Edit((section, "url"), address, "'beside me' is another container")]
    retries = config.number(config.section, "max_retries") or 5
    delay = config.number(config.section, "retry_delay") or 2
    if retries * delay < PATIENCE:
        reason = "both services start at the same time"
        edits.append(Edit((section, "max_retries"), PATIENCE, reason))
        edits.append(Edit((section, "retry_delay"), 1, reason))
    return edits


def _let_probes_through(config: Configuration) -> list[Edit]:
    if config.value("authentication", "module") not in GUARDED_MODULES:
        return []
    reason = "health checks and readiness probes carry no credentials"
    return [Edit(("authentication", "skip_for_health_probes"), True, reason)]


def _keep_the_database(config: Configuration, image: ImageFacts) -> list[Edit]:
    stores = config.value("database") or {}
    if stores.get("sqlite") or stores.get("postgres") or not image.owned:
        return []
    path = f"{image.owned}/lightspeed-stack.db"
    reason = "the default, in /tmp, is lost with the container"
    return [Edit(("database", "sqlite"), {"db_path": path}, reason)]


def insecure_option(config: Configuration) -> tuple[str, ...]:
    """What makes a server without certificates start."""
    facts = server_facts(config.server_version)
    return facts.insecure_option if facts.needs_insecure and not server_has_tls(config) else ()


def _shown(value: Any) -> str:
    if isinstance(value, Address):
        return f"{value.scheme}://{value.service}:{value.port}{value.path}"
    if isinstance(value, (dict, list)):
        return "{…}" if isinstance(value, dict) else "[…]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write(tree: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        if isinstance(tree, dict) and not isinstance(tree.get(step), (dict, list)):
            tree[step] = {}
        tree = tree[step]
    if isinstance(tree, list) and path[-1] == len(tree):
        tree.append(value)
    elif value is None and isinstance(tree, dict):
        tree.pop(path[-1], None)
    else:
        tree[path[-1]] = value
