"""Layers of settings into one tree, by a table of rules; and where each value came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

Rule: TypeAlias = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings, and its name for people."""

    name: str
    tree: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """The tree that results, and for each leaf the name of the layer that set it."""

    tree: dict[str, Any]
    origin: dict[str, str]


def _replace(_: Any, new: Any) -> Any:
    return new


def _append(old: Any, new: Any) -> Any:
    return [*(old or []), *(item for item in new if item not in (old or []))]


# The first pattern that fits a dotted path decides; mappings merge key by key before that.
RULES: tuple[tuple[str, Rule], ...] = (
    ("services.*.volumes", _append),
    ("services.*.tmpfs", _append),
    ("*", _replace),
)


def merge(layers: Sequence[Layer]) -> Merged:
    """Later layers win over earlier ones, key by key."""
    tree: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for layer in layers:
        tree = _merge_into(tree, layer.tree, "", layer.name, origin)
    return Merged(tree, origin)


def _merge_into(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str, layer: str, origin: dict[str, str]
) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            below = result.get(key)
            result[key] = _merge_into(below if isinstance(below, Mapping) else {}, value, path, layer, origin)
            continue
        result[key] = _rule(path)(result.get(key), value)
        origin[path] = layer
    return result


def _rule(path: str) -> Rule:
    return next(rule for pattern, rule in RULES if fnmatchcase(path, pattern))
