"""What a person's own words of Compose set: which layer says it, where, and what stood there before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lcompose.explain import written
from lcompose.explain.evidence import OURS, Cause, Evidence, Explained, Steps, Tree
from lcompose.explain.fields import STARTED
from lcompose.explain.reasons import IN_FILE, READ_LATER
from lcompose.explain.values import as_written
from lcompose.load import Node
from lcompose.overlay.merging import merged

SECTIONS = ("volumes", "networks", "configs", "secrets")
# Here nothing is a value, and elsewhere it leaves alone what is there.
FLAT = ("environment", "labels", "annotations", "sysctls")
VARIABLE = re.compile(r"(?<!\$)(?:\$\$)*\$(?:\{(\w+)|(\w+))")

Before = Mapping[Steps, tuple[Any, Cause]]
Said = list[tuple[str, Any]]


def words_of(name: str, before: Before, evidence: Evidence) -> Iterator[Explained]:
    """Every word of a service in the file; ``before`` is what lcompose wrote for it, with the causes."""
    tree: Tree = (evidence.file.get("services") or {}).get(name) or {}
    layers = _layers("services", name, evidence)
    for path, value in written.words(tree):
        said = [(layer, held[path]) for layer, held in layers if _says(held, path, before)]
        if said:
            cause = _set(("compose", "services", name, *path), said, before.get(path), value, evidence)
        elif path in before and before[path][0] == value:
            cause = before[path][1]
        else:
            cause = _followed(name, path, before.get(path), layers, evidence)
        yield written.row(name, path, value, cause)


def whole_services(evidence: Evidence) -> Iterator[Explained]:
    """The services that only a person's own words name, each with all that the file says of it."""
    known = {one.name for one in evidence.resolved.project.services}
    for name in evidence.file.get("services") or {}:
        if name not in known:
            layer = _layers("services", name, evidence)[0][0]
            path = ("compose", "services", name)
            cause = Cause(layer, _place(layer, path, evidence), f"{'.'.join(path)}: a service of your own")
            yield Explained(name, STARTED, "", "true", cause)
            yield from words_of(name, {}, evidence)


def sections(evidence: Evidence) -> Iterator[Explained]:
    """What stands in the file beside the services: volumes, networks and the like."""
    for section, held in evidence.file.items():
        if section in ("name", "services"):
            continue
        if section not in SECTIONS or not isinstance(held, Mapping):
            yield from _entry(section, "", held, evidence)
            continue
        for name, value in held.items():
            yield from _entry(section, str(name), value, evidence)


def _entry(section: str, name: str, value: Any, evidence: Evidence) -> Iterator[Explained]:
    layers = _layers(section, name, evidence)
    start = tuple(one for one in (name,) if one)
    for path, held in written.leaves(start or (section,), value or {}):
        inside = path[len(start) :]
        said = [(layer, known.get(inside)) for layer, known in layers if inside in known or not inside]
        if said:
            cause = _set(("compose", section, *start, *inside), said, None, held, evidence)
        else:
            cause = Cause(OURS, "", _of_section(section, name, evidence))
        yield written.row(section, path, held, cause)


def _of_section(section: str, name: str, evidence: Evidence) -> str:
    """Why lcompose writes something beside the services."""
    users = [one.name for one in evidence.resolved.project.services if _uses(section, name, one.mounts)]
    reason = IN_FILE.get(section, IN_FILE["beside"])
    return f"{reason} {' and '.join(users)}" if users else reason


def _uses(section: str, name: str, mounts: Any) -> bool:
    wanted = {"volumes": "volume", "configs": "document"}.get(section, "")
    return any(str(getattr(one, wanted, "")).removesuffix(".yaml") == name for one in mounts if wanted)


# --- layers ---


def _layers(section: str, name: str, evidence: Evidence) -> list[tuple[str, dict[Steps, Any]]]:
    """What each layer says in ``compose`` of a service or the like, word by word; the lowest first."""
    found = []
    for layer in evidence.layers:
        for tree in layer.tree.get("compose") or ():
            held = _held(tree, section, name)
            if held is not None:
                found.append((layer.name, held))
    return found


def _held(tree: Tree, section: str, name: str) -> dict[Steps, Any] | None:
    if section not in tree or (name and name not in (tree[section] or {})):
        return None
    if not name:
        return {(): tree[section], **dict(written.leaves((), tree[section]))}
    # Each word in its form, whichever way it was written.
    one = merged({}, {section: {name: tree[section][name] or {}}})[section][name]
    return dict(written.words(one)) if section == "services" else dict(written.leaves((), one))


def _says(held: Mapping[Steps, Any], path: Steps, before: Before) -> bool:
    return path in held and (held[path] is not None or path[0] in FLAT or path not in before)


def _set(path: Steps, said: Said, before: tuple[Any, Cause] | None, value: Any, evidence: Evidence) -> Cause:
    """The highest layer that says it has set it."""
    layer = said[-1][0]
    word = path[3:] if path[1] == "services" else path[1:]
    below = tuple((name, as_written(word, one)) for name, one in said[:-1])
    if before:
        held, cause = before
        below = (*cause.below, (cause.layer, as_written(word, held)), *below)
    parts = [f"{'.'.join(path)}: {_how(before, value)}", *_known_later(word, value, evidence)]
    return Cause(layer, _place(layer, path, evidence), "; ".join(parts), below)


def _how(before: tuple[Any, Cause] | None, value: Any) -> str:
    if before is None:
        return "your own words of Compose"
    kept = isinstance(before[0], list) and isinstance(value, list) and all(one in value for one in before[0])
    return "added to what lcompose has" if kept else "instead of what lcompose has"


def _known_later(word: Steps, value: Any, evidence: Evidence) -> Iterator[str]:
    """What only the engine's compose knows, when it has read the file."""
    names = dict.fromkeys(found[1] or found[2] for found in VARIABLE.finditer(str(value)))
    for name in names:
        yield f"the engine's compose fills in {name}, and {evidence.is_set(name)}"
    if word and word[0] in READ_LATER:
        yield READ_LATER[word[0]]
    if value is None and word and word[0] in FLAT:
        yield f"yours is passed on, and {evidence.is_set(word[-1])}"


def _followed(name: str, path: Steps, before: Any, layers: Any, evidence: Evidence) -> Cause:
    """A word that nobody says, and that lcompose writes for what was said."""
    waits = [layer for layer, held in layers if any(one[0] == "depends_on" for one in held)]
    layer = waits[-1] if waits else layers[-1][0] if layers else OURS
    source = ("compose", "services", name, *(("depends_on",) if waits else ()))
    below = ((before[1].layer, as_written(path, before[0])),) if before else ()
    return Cause(layer, _place(layer, source, evidence), IN_FILE["followed"], below)


# --- places ---


def _place(layer: str, path: Steps, evidence: Evidence) -> str:
    """Where a layer's document says something, or the nearest thing above it; entries of lists by what they are."""
    node = evidence.documents.get(layer)
    if node is None:
        return ""
    where = node.where
    for step in path:
        found = _below(node, step)
        if found is None:
            break
        where, node = found
    return str(where)


def _below(node: Node, step: str) -> tuple[Any, Node] | None:
    if isinstance(node.value, dict):
        child = node.value.get(step)
        return (node.keys.get(step, child.where), child) if child else None
    found = [one for one in node.value if _is_called(one, step)] if isinstance(node.value, list) else []
    return (found[0].where, found[0]) if found else None


def _is_called(entry: Node, step: str) -> bool:
    """Whether an entry of a list is meant: ``NAME=value``, a name, or something mounted at that place."""
    if isinstance(entry.value, dict):
        named = [entry.value[key].value for key in ("target", "source") if key in entry.value]
        return str(named[0] if named else "").rstrip("/") == step
    text = str(entry.value)
    return text.partition("=")[0] == step or step in text.split(":")
