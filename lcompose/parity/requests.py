"""What every leg is asked: requests of our own, and a person's in parity.yaml; and what an answer is worth."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from lcompose.dotenv import filled
from lcompose.errors import ConfigError, Finding, Position, UsageError
from lcompose.load import Node, leaves, locate, lookup, parse, plain
from lcompose.load import Path as Steps
from lcompose.schema import Key, Record, anything, check, choice, listing, mapping, record, suggestion, text, whole
from lcompose.spec.secrets import SECRET_NAME

FILE = "parity.yaml"
LCORE = "lightspeed-stack"
SERVER = "llama-stack"
QUESTION = {"query": "Say hello."}
MOST_HEADERS = re.compile(r"AUTH|COOKIE", re.IGNORECASE)
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\})")

HEADER_NAME, HEADER_VALUE = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", r"[ -~]*"
HEADER = re.compile(rf"(?P<name>{HEADER_NAME}): *(?P<value>{HEADER_VALUE})")
OPTION, EXAMPLE = "--header", "Write such as --header 'Authorization: Bearer ${NAME}', and set the variable NAME."

JSON_PATH = text(pattern=r"^(\$\.)?[^.\[\]]+(\.[^.\[\]]+|\[(\d+|\*)\])*$")
PATH_DOC = "Write such as models[0].identifier, or models[*].identifier for all of them."

EXPECT: Record = {
    "status": Key(whole(ge=100, le=599), doc="The status that must be answered."),
    "equal": Key(mapping(anything(), JSON_PATH), doc="Paths in the answer, and what must stand there."),
    "present": Key(listing(JSON_PATH), doc=PATH_DOC),
    "ignore": Key(listing(JSON_PATH), doc=PATH_DOC),
}
REQUEST: Record = {
    "name": Key(text(min_length=1, max_length=100), required=True, doc="What it is called in the result."),
    "service": Key(text(min_length=1), doc="Which service is asked; lightspeed-stack by default."),
    "method": Key(choice("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")),
    "path": Key(text(pattern=r"^/[!-~]*$"), required=True, doc="The path on the service; it begins with /."),
    "headers": Key(
        mapping(text(pattern=f"^{HEADER_VALUE}$"), text(pattern=f"^{HEADER_NAME}$")), doc="One line of ASCII."
    ),
    "body": Key(anything(), doc="The body; it is sent as JSON."),
    "compare": Key(choice("values", "shape"), doc="Whether values must be the same, or only keys and types."),
    "expect": Key(record(EXPECT)),
}

# How two answers are compared: by their values, by keys and types, or by the operations of an OpenAPI document.
Comparing: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a service, and what must be true of each answer by itself.

    ``right`` is the first digit of the status that one of ours must have.
    """

    name: str
    service: str
    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    compare: Comparing = "values"
    status: int = 0
    equal: Mapping[str, Any] = field(default_factory=dict)
    present: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    where: str = ""
    right: int = 0


SUCCESS, REFUSAL = 2, 4
OURS: tuple[Request, ...] = (
    Request("liveness", LCORE, "/liveness", right=SUCCESS),
    Request("readiness", LCORE, "/readiness", right=SUCCESS),
    Request("version", LCORE, "/v1/info", right=SUCCESS),
    Request("interface", LCORE, "/openapi.json", compare="operations", right=SUCCESS),
    Request("models", LCORE, "/v1/models", right=SUCCESS),
    Request("providers", LCORE, "/v1/providers", right=SUCCESS),
    Request("query", LCORE, "/v1/query", "POST", body=QUESTION, compare="shape", right=SUCCESS),
    Request("streamed query", LCORE, "/v1/streaming_query", "POST", body=QUESTION, compare="shape", right=SUCCESS),
    Request("bad request", LCORE, "/v1/query", "POST", body={"no_such_key": 1}, right=REFUSAL),
    Request("server: health", SERVER, "/v1/health", right=SUCCESS),
    Request("server: version", SERVER, "/v1/version", right=SUCCESS),
    Request("server: interface", SERVER, "/openapi.json", compare="operations", right=SUCCESS),
    Request("server: models", SERVER, "/v1/models", right=SUCCESS),
    Request("server: providers", SERVER, "/v1/providers", right=SUCCESS),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """All that is asked, and the variables that a person's own requests are filled in with."""

    requests: tuple[Request, ...]
    variables: frozenset[str] = frozenset()


def asked(data: bytes, name: str, services: Sequence[str], env: Mapping[str, str]) -> Asked:
    """Our own requests and those of a file; one of the same name takes the place of ours.

    Raises: ConfigError with everything that is wrong in the file.
    """
    node = parse(data, name)
    if node.value is None:
        return Asked(OURS)
    checked = check(node, plain(node), listing(record(REQUEST)))
    if checked.findings:
        raise ConfigError(checked.findings)
    found = [*_twice(node), *_unknown_services(node, services), *_literal_secrets(node), *_unset(node, env)]
    if found:
        raise ConfigError(found)
    own = [_request(one, index, node, env) for index, one in enumerate(checked.value)]
    names = {one.name for one in own}
    return Asked((*(one for one in OURS if one.name not in names), *own), frozenset(_variables(node)))


def with_headers(found: Asked, lines: Sequence[str], env: Mapping[str, str]) -> Asked:
    """The same with headers for Lightspeed Core, ``NAME: VALUE`` each; a request's own count more.

    Raises: UsageError.
    """
    given = dict(_header(line, env) for line in lines)
    requests = tuple(_with(one, given) if one.service == LCORE else one for one in found.requests)
    return replace(
        found, requests=requests, variables=found.variables | {name for one in lines for name in _names(one)}
    )


def _header(line: str, env: Mapping[str, str]) -> tuple[str, str]:
    written = HEADER.fullmatch(line)
    if written is None:
        raise UsageError("a header is written as NAME: VALUE", OPTION, EXAMPLE)
    name, value = written["name"], written["value"]
    if (SECRET_NAME.search(name) or MOST_HEADERS.search(name)) and not _names(value):
        raise UsageError("this is a secret, and other users of this machine see it", OPTION, EXAMPLE)
    unset = next((one for one in _names(value) if one not in env), "")
    if unset:
        raise UsageError(f"the variable {unset} is not set", OPTION, f"Set {unset}, in the environment or in .env.")
    return name, filled(value, env, Position(OPTION))


def _with(request: Request, given: Mapping[str, str]) -> Request:
    own = {name.lower() for name in request.headers}
    more = {name: value for name, value in given.items() if name.lower() not in own}
    return replace(request, headers={**more, **request.headers})


def variables_of(data: bytes, name: str) -> set[str]:
    """The variables that a file of requests needs.

    Raises: ConfigError for what is no YAML.
    """
    return set(_variables(parse(data, name)))


def _entries(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else []


def _said(entry: Node, key: str) -> Any:
    found = lookup(entry, (key,))
    return found.value if found else None


def _twice(node: Node) -> list[Finding]:
    names = [_said(entry, "name") for entry in _entries(node)]
    return [
        Finding(locate(node, (index, "name")), f"[{index}].name", "this name is here twice", "Give it another one.")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def _unknown_services(node: Node, services: Sequence[str]) -> list[Finding]:
    told = [(index, _said(entry, "service")) for index, entry in enumerate(_entries(node))]
    return [
        Finding(
            locate(node, (index, "service")),
            f"[{index}].service",
            f"no service is called {str(name)[:40]!r}",
            suggestion(str(name), list(services)),
        )
        for index, name in told
        if name is not None and name not in services
    ]


def _literal_secrets(node: Node) -> list[Finding]:
    """A token in a file that is shared is no secret any more."""
    return [
        Finding(
            locate(node, (index, "headers", header)),
            f"[{index}].headers.{header}",
            "this is a secret, and it stands in the file",
            "Write ${NAME}, and keep the value in .env or in the environment.",
        )
        for index, entry in enumerate(_entries(node))
        for header, value in (_said(entry, "headers") or {}).items()
        if (SECRET_NAME.search(header) or MOST_HEADERS.search(header)) and not _names(str(value.value))
    ]


def _names(value: str) -> list[str]:
    return [match["name"] for match in VARIABLE.finditer(value) if match["name"]]


def _with_variables(node: Node) -> list[tuple[Steps, Node]]:
    """The texts in which variables are filled in."""
    return [
        (path, leaf)
        for path, leaf in leaves(node)
        if len(path) > 1 and path[1] in ("headers", "body") and isinstance(leaf.value, str)
    ]


def _variables(node: Node) -> list[str]:
    return [name for _, leaf in _with_variables(node) for name in _names(str(leaf.value))]


def _unset(node: Node, env: Mapping[str, str]) -> list[Finding]:
    return [
        Finding(locate(node, path), ".".join(map(str, path)), f"the variable {name} is not set", f"Set {name}.")
        for path, leaf in _with_variables(node)
        for name in _names(str(leaf.value))
        if name not in env
    ]


def _request(one: Mapping[str, Any], index: int, node: Node, env: Mapping[str, str]) -> Request:
    expect = one.get("expect") or {}
    where = locate(node, (index,))
    return Request(
        one["name"],
        one.get("service", LCORE),
        one["path"],
        one.get("method", "GET"),
        _given(one.get("headers") or {}, env, where),
        _given(one.get("body"), env, where),
        one.get("compare", "values"),
        expect.get("status", 0),
        expect.get("equal") or {},
        tuple(expect.get("present") or ()),
        tuple(expect.get("ignore") or ()),
        str(where),
    )


def _given(value: Any, env: Mapping[str, str], where: Position) -> Any:
    """The same with its variables filled in."""
    if isinstance(value, Mapping):
        return {key: _given(child, env, where) for key, child in value.items()}
    if isinstance(value, list):
        return [_given(child, env, where) for child in value]
    return filled(value, env, where) if isinstance(value, str) else value


def sent(request: Request) -> tuple[dict[str, str], bytes | None]:
    """The headers and the body that a request is sent with."""
    headers = {"Accept": "application/json, text/event-stream;q=0.9, */*;q=0.1", **request.headers}
    if request.body is None:
        return headers, None
    return {"Content-Type": "application/json", **headers}, json.dumps(request.body, default=str).encode()
