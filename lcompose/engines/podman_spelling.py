"""Words that podman-compose takes for something else: it reads YAML 1.1, and Compose does not.

``yes`` becomes ``True`` in a container, ``restart: no`` stops Podman, and the port ``22:22`` is 1342.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from lcompose.engines.podman_edits import Edit, joined, replace_in

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BOOLEAN, WHOLE = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int"
MAPPINGS = ("environment", "labels")


def top_level_words(text: str) -> tuple[str, ...]:
    """The keys of a file, whatever tags are in it."""
    root = yaml.compose(text, Loader=Loader)
    return tuple(str(key.value) for key, _ in root.value) if isinstance(root, yaml.MappingNode) else ()


def spelled(text: str) -> dict[tuple[str, ...], str]:
    """What stands in a file where YAML 1.1 sees a boolean or a number to base 60, by path."""
    root = yaml.compose(text, Loader=Loader)
    return dict(_spelled(root, ())) if root else {}


def _spelled(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if len(path) > 4:  # services, a service, a key, and what is in it
        return
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            yield from _spelled(child, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _spelled(child, (*path, str(index)))
    elif isinstance(node, yaml.ScalarNode) and (node.tag == BOOLEAN or (node.tag == WHOLE and ":" in node.value)):
        yield path, node.value


def respelled(name: str, service: Mapping[str, Any], words: Mapping[tuple[str, ...], str]) -> Edit:
    """The same words as text, as the person wrote them; one that came over an alias, as YAML 1.2 has it."""
    own = {path[2:]: word for path, word in words.items() if path[:2] == ("services", name)}
    edits = [_mapping(name, key, service.get(key), own) for key in MAPPINGS]
    if isinstance(service.get("restart"), bool):
        edits.append(replace_in(name, "restart", own.get(("restart",), "no")))
    return joined([*edits, _ports(name, service.get("ports"), own)])


def _mapping(name: str, key: str, found: Any, own: Mapping[tuple[str, ...], str]) -> Edit:
    pairs = found.items() if isinstance(found, Mapping) else ()
    wrong = {
        one: own.get((key, one)) or str(value).lower()
        for one, value in pairs
        if isinstance(value, bool) or (isinstance(value, int) and (key, one) in own)
    }
    resets = tuple(("services", name, key, one) for one in wrong)
    return Edit(resets, {"services": {name: {key: wrong}}}) if wrong else Edit()


def _ports(name: str, said: Any, own: Mapping[tuple[str, ...], str]) -> Edit:
    sixties = {_to_base_60(word): word for path, word in own.items() if path[0] == "ports" and ":" in word}
    if not any(isinstance(one, int) and one in sixties for one in said or ()):
        return Edit()
    return replace_in(name, "ports", [sixties.get(one, one) if isinstance(one, int) else one for one in said])


def _to_base_60(text: str) -> int:
    value = 0
    for part in text.replace("_", "").split(":"):
        value = value * 60 + int(part)
    return value
