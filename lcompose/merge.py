"""Layers of settings into one tree, by a table of rules; and where each value came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str, ...]
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


# Lists that grow; everything else is replaced. Mappings merge key by key before that.
RULES: Mapping[Path, Rule] = {
    ("services", "*", "volumes"): _append,
    ("services", "*", "tmpfs"): _append,
}


def merge(layers: Sequence[Layer]) -> Merged:
    """Later layers win over earlier ones, key by key."""
    tree: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for layer in layers:
        tree = _merge_into(tree, layer.tree, (), layer.name, origin)
    return Merged(tree, origin)


def _merge_into(
    old: Mapping[str, Any], new: Mapping[str, Any], path: Path, layer: str, origin: dict[str, str]
) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        below = (*path, key)
        if isinstance(value, Mapping):
            held = result.get(key)
            inner = held if isinstance(held, Mapping) else {}
            result[key] = _merge_into(inner, value, below, layer, origin)
            continue
        result[key] = _rule(below)(result.get(key), value)
        origin[".".join(below)] = layer
    return result


def _rule(path: Path) -> Rule:
    return next((rule for pattern, rule in RULES.items() if _fits(pattern, path)), _replace)


def _fits(pattern: Path, path: Path) -> bool:
    return len(pattern) == len(path) and all(one in ("*", step) for one, step in zip(pattern, path, strict=True))
