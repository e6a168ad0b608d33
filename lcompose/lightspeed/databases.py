"""Which databases the documents ask PostgreSQL for, and which of these a companion is to have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from lcompose.errors import Finding
from lcompose.lightspeed.config import LOCAL_HOSTS, Configuration
from lcompose.lightspeed.derive import Edit
from lcompose.lightspeed.envrefs import PATTERN
from lcompose.lightspeed.images import INFERENCE, LCORE, LLAMA_STACK
from lcompose.lightspeed.wiring import UNSAFE_DEFAULT
from lcompose.load import Node, Path, dotted, locate, lookup, value_at
from lcompose.names import NAME, NAME_RULE
from lcompose.spec.text import ComposeText, EnvRef, Text

POSTGRES = "postgres"
PORT = 5432
EXTERNAL = "Or say that it is elsewhere: companions: {postgres: external}."
# Names that lead to a service of ours, or that upstream uses for one.
OUR_HOSTS = frozenset({LCORE, LLAMA_STACK, INFERENCE, "ogx"})
NO_SOCKETS = LOCAL_HOSTS - OUR_HOSTS

LIGHTSPEED_BLOCKS: tuple[Path, ...] = tuple(
    (section, "postgres") for section in ("database", "conversation_cache", "quota_handlers", "a2a_state")
)
# Lists of stores: where the list is, what makes an item one with vectors in PostgreSQL, where in it that is told.
LIGHTSPEED_STORES: tuple[tuple[Path, tuple[str, str], Path], ...] = (
    (("rag", "byok", "stores"), ("backend", "pgvector"), ()),
    (("byok_rag",), ("rag_type", "remote::pgvector"), ()),
    (("vector_store", "providers"), ("type", "pgvector"), ("config",)),
)
# What LCORE writes for Llama Stack where a store leaves something out.
STORE_HOST = "${env.POSTGRES_HOST}"
STORE_DEFAULTS = {
    "port": "${env.POSTGRES_PORT}",
    "db": "${env.POSTGRES_DATABASE}",
    "user": "${env.POSTGRES_USER}",
    "password": "${env.POSTGRES_PASSWORD}",
}
RUN_TYPES = frozenset({"kv_postgres", "sql_postgres", "postgres"})
PROVIDER_DEFAULTS = {"db": "postgres", "user": "postgres"}
# Before it was renamed, Llama Stack had a database of its old name.
RENAMED = (0, 8)
# The companion has no certificate.
NEEDS_TLS = {"ssl_mode": ("require", "verify-ca", "verify-full"), "gss_encmode": ("require",)}


@dataclass(frozen=True, slots=True)
class Document:
    """One of the two documents, as it stands and as it is read, and whose values were lifted out of it."""

    node: Node
    values: Any
    unknown: frozenset[Path]
    lifted: Mapping[Path, str]
    reader: str

    def finding(self, path: Path, what: str, fix: str, **more: Any) -> Finding:
        """Something wrong at a path of it."""
        return Finding(locate(self.node, path), dotted(path), what, fix, **more)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One place that names a database; ``path`` is in ``document``, and ``reader`` connects to it.

    ``implied`` says that a variable for its host was written by LCORE's rules, and by no person.
    """

    document: Document
    path: Path
    reader: str
    extension: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)
    implied: bool = False

    def value(self, key: str) -> Any:
        """What stands there, variables filled in; None where that is not known."""
        return value_at(self.document.values, (*self.path, key))

    def raw(self, key: str) -> str:
        """What stands there as it was written, or what holds where nothing does."""
        node = lookup(self.document.node, (*self.path, key))
        written = node.value if node else None
        return self.defaults.get(key, "") if written in (None, "") else str(written)

    @property
    def host(self) -> str | None:
        """Its host: empty where it is this machine, None where it is not known."""
        if (*self.path, "host") not in self.document.unknown:
            return bare(self.value("host"))
        return "" if self.implied and self.raw("host") == STORE_HOST else None

    @property
    def port(self) -> int:
        """Its port."""
        try:
            return int(self.value("port") or PORT)
        except (TypeError, ValueError):
            return PORT


@dataclass(frozen=True, slots=True)
class Login:
    """A database, a user of it and the password, as what stands in the environment of the companion."""

    database: Text
    user: Text
    password: Text
    extension: str = ""


def bare(host: Any) -> str | None:
    """A host that may be a companion's: empty for this machine, a name without dots; None for any other."""
    name = str(host or "").strip().strip("[]").lower()
    if not name or name in NO_SOCKETS or _is_loopback(name):
        return ""
    elsewhere = name in OUR_HOSTS or name.isdigit() or any(mark in name for mark in ".:/,")
    return None if elsewhere else name


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def blocks(config: Configuration, lightspeed: Document, run: Document | None) -> Iterator[Block]:
    """Every place that names a database of PostgreSQL; those for Llama Stack only where we start it."""
    for path in LIGHTSPEED_BLOCKS:
        if isinstance(value_at(lightspeed.values, path), dict):
            yield Block(lightspeed, path, lightspeed.reader)
    if run is None:
        return
    stores = list(_stores(lightspeed, run.reader))
    yield from stores
    implied = any(not block.raw("host") for block in stores)
    database = "ogx" if config.server_version >= RENAMED else "llamastack"
    for path, tree in mappings(run.values):
        if str(tree.get("type")) in RUN_TYPES:
            yield Block(run, path, run.reader, defaults={"db": database})
        elif tree.get("provider_type") == "remote::pgvector":
            yield Block(run, (*path, "config"), run.reader, "vector", PROVIDER_DEFAULTS, implied)


def _stores(lightspeed: Document, reader: str) -> Iterator[Block]:
    for listed, (key, word), below in LIGHTSPEED_STORES:
        items = value_at(lightspeed.values, listed)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict) and item.get(key) == word:
                yield Block(lightspeed, (*listed, index, *below), reader, "vector", STORE_DEFAULTS)


def mappings(tree: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every mapping in a tree that Llama Stack looks at: a provider without a name it leaves out."""
    if isinstance(tree, dict):
        if "provider_id" in tree and not tree["provider_id"]:
            return
        yield path, tree
    for key, value in _children(tree):
        yield from mappings(value, (*path, key))


def _children(tree: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(tree, dict):
        return tree.items()
    return enumerate(tree) if isinstance(tree, list) else ()


def service_names(found: Sequence[Block], theirs: frozenset[str]) -> dict[Block, str]:
    """The service that each block means: of its host's name, or PostgreSQL's own for this machine."""
    taken = {host for block in found if (host := block.host)} | theirs
    ports = dict.fromkeys(block.port for block in found if block.host == "")
    local: dict[int, str] = {}
    # The usual port of this machine is the usual name, whoever else uses it.
    for port in sorted(ports, key=lambda port: port != PORT):
        local[port] = POSTGRES if port == PORT else _free_name({*taken, *local.values()})
    return {block: block.host or local[block.port] for block in found}


def _free_name(used: set[str]) -> str:
    names = (f"{POSTGRES}-{n}" if n > 1 else POSTGRES for n in range(1, len(used) + 2))
    return next(name for name in names if name not in used)


def edits(block: Block, name: str) -> Iterator[Edit]:
    """What makes a block's reader find the service of that name."""
    if block.value("host") != name:
        reason = "'beside me' is another container"
        yield Edit((*block.path, "host"), name, reason)
    port = block.value("port")
    if block.raw("port") and (port is None or block.port != PORT):
        own: int | str = str(PORT) if isinstance(port, str) else PORT
        yield Edit((*block.path, "port"), own, "the port of the database in its own container")


def login(block: Block) -> Login:
    """What the companion must know of a block that has no findings."""
    return Login(_text(block, "db"), _text(block, "user"), _text(block, "password"), block.extension)


def findings(found: Sequence[Block]) -> list[Finding]:
    """What keeps a companion from serving these blocks, which are all of one."""
    return [*(one for block in found for one in _findings(block)), *_two_passwords(found)]


def _findings(block: Block) -> Iterator[Finding]:
    document = block.document
    if block.host and not NAME.fullmatch(block.host):
        what = f"{block.host!r} cannot be the name of a service"
        yield document.finding((*block.path, "host"), what, f"Please {NAME_RULE}. {EXTERNAL}")
    for key in ("db", "user", "password"):
        if not block.raw(key):
            what = f"PostgreSQL is started for this, and there is no {key!r}"
            yield document.finding((*block.path, key), what, f"Add it. {EXTERNAL}")
    if block.raw("password") and not _text(block, "password"):
        what = "the password of a database that is made here must be one variable"
        yield document.finding((*block.path, "password"), what, "Write ${env.POSTGRES_PASSWORD} and nothing else.")
    for key, modes in NEEDS_TLS.items():
        if block.value(key) in modes:
            what = f"{block.value(key)!r} needs a certificate, and the PostgreSQL that is started for this has none"
            yield document.finding((*block.path, key), what, f"Write '{key}: prefer'. {EXTERNAL}")


def _two_passwords(found: Sequence[Block]) -> Iterator[Finding]:
    known: dict[str, Any] = {}
    for block in found:
        password, user = block.value("password"), str(block.value("user"))
        if password is not None and known.setdefault(user, password) != password:
            what = "this user has another password above, and a user has one"
            yield block.document.finding((*block.path, "password"), what, "Use the same one, or another user.")


def _text(block: Block, key: str) -> Text:
    """A value for the companion's environment: as it will be where the document is read.

    For a password that no variable holds it is empty.
    """
    path, raw = (*block.path, key), block.raw(key)
    if path in block.document.lifted:
        return EnvRef(block.document.lifted[path], required=True)
    found = PATTERN.fullmatch(raw)
    if found and found[2] != "+" and not UNSAFE_DEFAULT & set(found[3] or ""):
        return EnvRef(found[1], found[3] or "", required=not found[3])
    if key == "password":
        return ""
    return _mixed(raw) if PATTERN.search(raw) else raw


def _mixed(raw: str) -> Text:
    """Text with variables in it, in Compose's words."""
    pieces, end = [], 0
    for found in PATTERN.finditer(raw):
        pieces += [raw[end : found.start()].replace("$", "$$"), in_compose(found[1], found[2], found[3])]
        end = found.end()
    return ComposeText("".join([*pieces, raw[end:].replace("$", "$$")]))


def in_compose(name: str, operator: str | None, text: str | None) -> str:
    """A reference of Llama Stack's kind, in Compose's words."""
    if not operator:
        return f"${{{name}:?set {name} in the environment or in .env}}"
    sign = "+" if operator == "+" else "-"
    return f"${{{name}:{sign}{(text or '').replace('$', '$$')}}}"
