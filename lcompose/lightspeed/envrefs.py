"""``${env.NAME}`` with exactly Llama Stack's rules (ogx.core.stack.replace_env_vars, 0.8 to 1.5).

Both services read their configuration through these rules, so what lcompose believes of a value
must come out of the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lcompose.load import Path, dotted

PATTERN = re.compile(r"\${env\.([A-Z0-9_]+)(?::([=+])([^}]*))?}")
DISABLED = "__disabled__"
# An item of a list whose identifier comes out empty is dropped by Llama Stack.
IDENTIFIERS = ("vector_store_id", "model_id")
DROPPING = ("provider_id", *IDENTIFIERS)
EMPTY = (None, "")


@dataclass(frozen=True, slots=True)
class Reference:
    """One ``${env.…}``: ``operator`` is empty (no default), ``=`` (default) or ``+`` (if set).

    ``required`` is whether a start without the variable fails for sure; inside an item that may
    be dropped it does not.
    """

    name: str
    operator: str
    text: str
    path: Path
    required: bool


@dataclass
class Trace:
    """What happened while variables were replaced: references without a value, dropped items.

    ``aligned`` leaves None in the place of a dropped item, so that paths stay true.
    """

    aligned: bool = False
    found: list[Reference] = field(default_factory=list)
    dropped: list[Path] = field(default_factory=list)

    @property
    def unknown(self) -> frozenset[Path]:
        """Paths whose value is not known, or does not exist for Llama Stack."""
        return frozenset([*(reference.path for reference in self.found), *self.dropped])


class _UnsetError(Exception):
    """A variable without a default has no value."""


def references(tree: Any, path: Path = (), *, certain: bool = True) -> Iterator[Reference]:
    """Every reference in a tree that Llama Stack may look at; what is disabled for sure is left out."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            guards = ("type",) if _is_auth(path, key) else ()
            yield from _guarded(value, guards, (*path, key), certain)
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _guarded(item, DROPPING, (*path, index), certain)
    elif isinstance(tree, str):
        for match in PATTERN.finditer(tree):
            operator = match[2] or ""
            yield Reference(match[1], operator, match[3] or "", path, certain and not operator)


def _guarded(tree: Any, guards: tuple[str, ...], path: Path, certain: bool) -> Iterator[Reference]:
    """References below a value that is not looked at when one of its ``guards`` says so."""
    present = [name for name in guards if isinstance(tree, dict) and name in tree]
    if not present:
        yield from references(tree, path, certain=certain)
        return
    open_ones = {name for name in present if _is_open(name, str(tree[name]))}
    settled = {name: tree[name] for name in present if name not in open_ones}
    if _is_dropped(settled, {}) or settled.get("type", "set") in EMPTY:
        return
    for key, value in tree.items():
        # A guard's own references are looked at in any case.
        yield from references({key: value}, path, certain=certain and open_ones <= {key})


def _is_open(name: str, text: str) -> bool:
    """Whether variables decide that the item is left out.

    A provider is left out only by the word for it; one whose identifier comes out empty is kept, so
    what ``:+`` makes of it is settled.
    """
    operators = [match[2] for match in PATTERN.finditer(text)]
    settled = name == "provider_id" and DISABLED not in text and set(operators) <= {"+"}
    return bool(operators) and not settled


def replace(tree: Any, env: Mapping[str, str], trace: Trace, path: Path = ()) -> Any:
    """The tree with variables filled in; a string that needs a missing variable becomes None.

    Llama Stack expands a leading ``~`` of a filled-in value; ``env["HOME"]`` says to what, since
    the home that counts is the one in the container.
    """
    if isinstance(tree, dict):
        return _replace_mapping(tree, env, trace, path)
    if isinstance(tree, list):
        return _replace_list(tree, env, trace, path)
    if isinstance(tree, str):
        return _replace_text(tree, env, trace, path)
    return tree


def _replace_mapping(tree: dict[str, Any], env: Mapping[str, str], trace: Trace, path: Path) -> Any:
    result: dict[str, Any] = {}
    for key, value in tree.items():
        below = (*path, key)
        if _is_auth(path, key) and _auth_is_off(value, env):
            result[key] = None
            continue
        result[key] = replace(value, env, trace, below)
    return result


def _is_auth(path: Path, key: str) -> bool:
    # Llama Stack compares the path as text.
    return key == "provider_config" and dotted(path) == "server.auth"


def _auth_is_off(value: Any, env: Mapping[str, str]) -> bool:
    """Whether ``server.auth.provider_config`` names no type: then it is not expanded at all."""
    return isinstance(value, dict) and "type" in value and _identifier(value, "type", env) in EMPTY


def _replace_list(tree: list[Any], env: Mapping[str, str], trace: Trace, path: Path) -> list[Any]:
    result: list[Any] = []
    for index, item in enumerate(tree):
        if not _is_dropped(item, env):
            result.append(replace(item, env, trace, (*path, index)))
            continue
        trace.dropped.append((*path, index))
        if trace.aligned:
            result.append(None)
    return result


def _is_dropped(item: Any, env: Mapping[str, str]) -> bool:
    """Whether Llama Stack leaves a list's item out before it looks at the rest of it."""
    if not isinstance(item, dict):
        return False
    if _identifier(item, "provider_id", env) == DISABLED:
        return True
    return any(name in item and _identifier(item, name, env) in EMPTY for name in IDENTIFIERS)


def _identifier(item: dict[str, Any], name: str, env: Mapping[str, str]) -> Any:
    trace = Trace()
    value = replace(item.get(name), env, trace)
    return item[name] if trace.found else value


def _replace_text(text: str, env: Mapping[str, str], trace: Trace, path: Path) -> Any:
    def fill(match: re.Match[str]) -> str:
        return expanded(_value(match, env), env.get("HOME", "~"))

    try:
        done = PATTERN.sub(fill, text)
    except _UnsetError:
        for match in PATTERN.finditer(text):
            if not match[2] and not env.get(match[1]):
                trace.found.append(Reference(match[1], "", "", path, required=True))
        return None
    return text if done == text else converted(done)


def expanded(path: str, home: str) -> str:
    """The path with a leading ``~`` replaced."""
    if path != "~" and not path.startswith("~/"):
        return path
    return f"{home.rstrip('/')}{path[1:]}" or "/"


def _value(match: re.Match[str], env: Mapping[str, str]) -> str:
    value = env.get(match[1], "")
    match match[2]:
        case "=":
            return value or match[3]
        case "+":
            return match[3] if value else ""
    if not value:
        raise _UnsetError
    return value


def converted(text: str) -> Any:
    """The type that Llama Stack gives to a text in which a variable was filled in."""
    if text == "":
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text
