"""Compose trees laid over each other by Compose's own rules.

A tree is what stands in a Compose file. The rules are those of Compose's documentation on merging: each
word has one form, however it was written, and lists know which of their entries are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lcompose.errors import UsageError

Path: TypeAlias = tuple[str, ...]
Tree: TypeAlias = Mapping[str, Any]
WHERE = "compose in lcompose.yaml"
# Where a tree says at which paths it does not merge: what was there before goes first.
INSTEAD = "x-lcompose-instead"


# ---------------------------------------------------------------- one form of each word


def _as_it_is(value: Any) -> Any:
    return value


def listed(value: Any) -> Any:
    """``dns: 1.1.1.1`` is a list of one."""
    return [value] if isinstance(value, str) else value


def texts(otherwise: str | None) -> Callable[[Any], Any]:
    """``NAME=value`` in a list is a mapping; a name alone has the other value."""

    def form(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        pairs = [str(one).partition("=") for one in value]
        return {name: text if equals else otherwise for name, equals, text in pairs}

    return form


def _named(otherwise: Tree | None) -> Callable[[Any], Any]:
    """A list of names is a mapping of them."""

    def form(value: Any) -> Any:
        return {str(one): dict(otherwise) if otherwise else None for one in value} if isinstance(value, list) else value

    return form


def _hosts(value: Any) -> Any:
    """Names of hosts, each with its address; one may have several."""
    if not isinstance(value, Mapping):
        return value
    pairs = [(name, one) for name, found in value.items() for one in (found if isinstance(found, list) else [found])]
    return [f"{name}={address}" for name, address in pairs]


def _context(value: Any) -> Any:
    return {"context": value} if isinstance(value, str) else value


def _restart(value: Any) -> Any:
    # "no" without quotes, in a YAML that takes it for false.
    return "no" if value is False else value


# ---------------------------------------------------------------- which entries are the same


def _whole(entry: Any) -> Any:
    return repr(entry)


def _name(entry: Any) -> Any:
    return str(entry).partition("=")[0]


def target(folder: str = "") -> Callable[[Any], Any]:
    """Where something is mounted; of a config or secret that does not say it, by its name."""

    def key(entry: Any) -> Any:
        if isinstance(entry, Mapping):
            return str(entry.get("target") or f"{folder}/{entry.get('source')}")
        return f"{folder}/{entry}"

    return key


def mounted(entry: Any) -> Any:
    """Where a volume or a bind is mounted."""
    if isinstance(entry, Mapping):
        return str(entry.get("target")).rstrip("/")
    parts = fields(str(entry))
    return (parts[1] if len(parts) > 1 else parts[0]).rstrip("/")


def _device(entry: Any) -> Any:
    if isinstance(entry, Mapping):
        return str(entry.get("target") or entry.get("source"))
    parts = fields(str(entry))
    return parts[1] if len(parts) > 1 else parts[0]


def _port(entry: Any) -> Any:
    """Address, port of this machine, port in the container, protocol; Compose lets a later one add to these."""
    if isinstance(entry, Mapping):
        found = [entry.get("host_ip") or "", entry.get("published") or "", entry.get("target")]
        return (*map(str, found), str(entry.get("protocol") or "tcp"))
    ports, _, protocol = str(entry).partition("/")
    parts = fields(ports)
    address = ":".join(parts[:-2])
    return address, parts[-2] if len(parts) > 1 else "", parts[-1], protocol or "tcp"


def _file(entry: Any) -> Any:
    return str(entry.get("path")) if isinstance(entry, Mapping) else str(entry)


def _subnet(entry: Any) -> Any:
    return str(entry.get("subnet")) if isinstance(entry, Mapping) else repr(entry)


def fields(text: str) -> list[str]:
    """What stands between the colons; those inside ``${...}`` and ``[...]`` are no separators."""
    found, depth = [""], 0
    for character in text:
        depth += (character in "{[") - (character in "}]")
        if character == ":" and depth <= 0:
            found.append("")
        else:
            found[-1] += character
    return found


# ---------------------------------------------------------------- the rules


@dataclass(frozen=True, slots=True)
class Rule:
    """One form of a word; what makes entries of a list the same; ``replaces`` lets the later win as a whole.

    ``flat`` says that nothing is also a value, as in ``environment``; ``joins`` that the same entries merge.
    """

    form: Callable[[Any], Any] = _as_it_is
    key: Callable[[Any], Any] = _whole
    replaces: bool = False
    flat: bool = False
    joins: bool = False


PASSED_ON = Rule(texts(None), flat=True)
LABELS = Rule(texts(""), flat=True)
STARTED = {"condition": "service_started", "required": True}
IN_SERVICE: Mapping[str, Rule] = {
    "annotations": LABELS,
    "build": Rule(_context),
    "build.additional_contexts": PASSED_ON,
    "build.args": PASSED_ON,
    "build.extra_hosts": Rule(_hosts),
    "build.labels": LABELS,
    "build.tags": Rule(key=_name),
    "command": Rule(replaces=True),
    "configs": Rule(key=target()),
    "depends_on": Rule(_named(STARTED)),
    "deploy.labels": LABELS,
    "devices": Rule(key=_device),
    "dns": Rule(listed),
    "dns_opt": Rule(listed, key=_name),
    "dns_search": Rule(listed),
    "entrypoint": Rule(replaces=True),
    "env_file": Rule(listed, key=_file),
    "environment": PASSED_ON,
    "expose": Rule(key=str),
    "extra_hosts": Rule(_hosts),
    "healthcheck.test": Rule(replaces=True),
    "label_file": Rule(listed),
    "labels": LABELS,
    "networks": Rule(_named(None)),
    "ports": Rule(key=_port),
    "restart": Rule(_restart),
    "secrets": Rule(key=target("/run/secrets")),
    "sysctls": Rule(texts(""), flat=True),
    "tmpfs": Rule(listed),
    "volumes": Rule(key=mounted),
}
RULES: Mapping[Path, Rule] = {
    **{("services", "*", *word.split(".")): rule for word, rule in IN_SERVICE.items()},
    **{(kind, "*", "labels"): LABELS for kind in ("networks", "volumes", "configs", "secrets")},
    ("networks", "*", "ipam", "config"): Rule(key=_subnet, joins=True),
}
NO_RULE = Rule()


def merged(base: Tree, over: Tree) -> dict[str, Any]:
    """The tree that Compose would make of two files, read one over the other.

    Raises: UsageError where one has a list and the other a mapping, and the like.
    """
    instead = over.get(INSTEAD) or ()
    before = base
    for path in instead:
        before = _without(before, tuple(path), ())
    found: dict[str, Any] = _merged(before, over, ())
    kept = [*(base.get(INSTEAD) or ()), *instead]
    return {**found, INSTEAD: kept} if kept else found


def _without(tree: Any, path: Path, above: Path) -> Any:
    """The tree without what stands at a path."""
    tree = _rule(above).form(tree)
    step, *rest = path
    if not isinstance(tree, Mapping) or step not in tree:
        return tree
    if rest:
        return {**tree, step: _without(tree[step], tuple(rest), (*above, step))}
    return {name: value for name, value in tree.items() if name != step}


def _merged(old: Any, new: Any, path: Path) -> Any:
    rule = _rule(path)
    old, new = rule.form(old), rule.form(new)
    if new is None or rule.replaces:
        return old if new is None else new
    if isinstance(new, Mapping):
        return _mappings(_alike(old, Mapping, path) or {}, new, path, rule)
    if isinstance(new, list):
        return _lists(_alike(old, list, path) or [], new, path, rule)
    # ``ulimits: {nofile: 1024}`` may take the place of both limits.
    if isinstance(old, list) or (isinstance(old, Mapping) and "ulimits" not in path):
        raise _mismatch(path)
    return new


def _rule(path: Path) -> Rule:
    if len(path) < 3:
        return NO_RULE
    return RULES.get((path[0], "*", *path[2:]), NO_RULE)


def _alike(old: Any, kind: type, path: Path) -> Any:
    if old is None or isinstance(old, kind):
        return old
    if "ulimits" in path:
        return None
    raise _mismatch(path)


def _mismatch(path: Path) -> UsageError:
    what = "this cannot be merged: it is a list, a mapping or a plain value in one place and not in the other"
    return UsageError(what, f"{WHERE}: {'.'.join(path)}", "Write it in the same form.")


def _mappings(old: Tree, new: Tree, path: Path, rule: Rule) -> dict[str, Any]:
    if rule.flat:
        return {**old, **new}
    if path[-1:] == ("logging",) and {old.get("driver"), new.get("driver"), None} - {None} > {new.get("driver")}:
        # Options are those of a driver.
        old = {}
    return {**old, **{name: _merged(old.get(name), value, (*path, name)) for name, value in new.items()}}


def _lists(old: Sequence[Any], new: Sequence[Any], path: Path, rule: Rule) -> list[Any]:
    found: dict[Any, Any] = {}
    for entry in (*old, *new):
        key = rule.key(entry)
        found[key] = _merged(found[key], entry, (*path, "*")) if rule.joins and key in found else entry
    return list(found.values())


def together(overlays: Iterable[Tree]) -> dict[str, Any]:
    """Several as one, each word in its form."""
    found: dict[str, Any] = {}
    for one in overlays:
        found = merged(found, one)
    return found
