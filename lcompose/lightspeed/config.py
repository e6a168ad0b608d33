"""The person's two documents, checked: what they say, which variables they need, what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lcompose.errors import Finding, Position
from lcompose.lightspeed import rules, run_rules
from lcompose.lightspeed.envrefs import PATTERN, Reference, Trace, replace
from lcompose.lightspeed.images import NEWEST_SERVER, Generation
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.run_document import Run
from lcompose.lightspeed.run_keys import RUN
from lcompose.load import Node, Path, dotted, locate, lookup, plain, value_at
from lcompose.schema import Kind, check, flag, record, suggestion, whole
from lcompose.settings import EMBEDDED

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "llama-stack", "ogx"})  # noqa: S104
DEFAULT_SERVER_PORT = 8321
DEFAULT_LCORE_PORT = 8080
# No paths, of neither document.
NOTHING: tuple[Set[Path], ...] = (frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Configuration:
    """Both documents: as nodes, and as the values that the services will see.

    ``lightspeed`` has no settings of lcompose any more. ``values`` and ``run_values`` have
    variables filled in from ``env``, as far as they are known.
    """

    lightspeed: Node
    run: Node
    generation: Generation
    server_version: tuple[int, ...]
    values: Mapping[str, Any]
    run_values: Mapping[str, Any]
    unknown: frozenset[Path]
    run_unknown: frozenset[Path]

    @property
    def section(self) -> str:
        """The key under which Llama Stack is configured."""
        return section_of(self.lightspeed)

    @property
    def trees(self) -> tuple[Any, Any]:
        """Both documents as plain trees, variables left as they are."""
        return plain(self.lightspeed), plain(self.run)

    def value(self, *path: str) -> Any:
        """A value of lightspeed-stack.yaml, or None."""
        return value_at(self.values, path)

    def run_value(self, *path: str) -> Any:
        """A value of run.yaml, or None."""
        return value_at(self.run_values, path)

    def number(self, *path: str) -> int | None:
        """A whole number of lightspeed-stack.yaml, or None."""
        return _whole(self.value(*path))

    def run_number(self, *path: str) -> int | None:
        """A whole number of run.yaml, or None."""
        return _whole(self.run_value(*path))

    def says(self, *path: str) -> bool:
        """Whether lightspeed-stack.yaml says ``true`` there."""
        return _as(flag(), self.value(*path)) is True


def section_of(lightspeed: Node) -> str:
    """The key under which Llama Stack is configured: the newer one wins where both stand."""
    both = lightspeed.value if isinstance(lightspeed.value, dict) else {}
    return "ogx" if "ogx" in both else "llama_stack"


def _whole(value: Any) -> int | None:
    found: int | None = _as(whole(), value)
    return found


def _as(kind: Kind, value: Any) -> Any:
    """A value as the services' own models read it, for which "8080" is a number too."""
    return check(Node(None, Position("")), value, kind).value


def is_library(config: Configuration) -> bool:
    """Whether LCORE runs Llama Stack inside itself; then a url counts for nothing."""
    return config.says(config.section, "use_as_library_client")


def server_is_ours(config: Configuration) -> bool:
    """Whether lcompose starts Llama Stack, on its own or inside LCORE: unless the url surely means one elsewhere."""
    if is_library(config):
        return True
    try:
        host = urlsplit(str(config.value(config.section, "url") or "")).hostname
    except ValueError:
        return True
    return not host or host in LOCAL_HOSTS


def configuration(
    lightspeed: Node,
    run: Node,
    generation: Generation,
    server_version: tuple[int, ...],
    env: Mapping[str, str],
    homes: tuple[str, str],
) -> Configuration:
    """Both documents with their variables filled in; nothing is checked yet.

    ``homes`` are the home directories in LCORE's and in Llama Stack's image.
    """
    own = without_settings(lightspeed)
    trace, run_trace = Trace(aligned=True), Trace(aligned=True)
    return Configuration(
        own,
        run,
        generation,
        server_version,
        replace(plain(own), {**env, "HOME": homes[0]}, trace) or {},
        replace(plain(run), {**env, "HOME": homes[1]}, run_trace) or {},
        trace.unknown,
        run_trace.unknown,
    )


def without_settings(lightspeed: Node) -> Node:
    """lightspeed-stack.yaml without the sections that are lcompose's: LCORE refuses them."""
    if not isinstance(lightspeed.value, dict):
        return lightspeed
    kept = {key: child for key, child in lightspeed.value.items() if key not in EMBEDDED}
    return Node(kept, lightspeed.where, lightspeed.keys)


def embedded_settings(lightspeed: Node) -> Node:
    """The sections of lightspeed-stack.yaml that are lcompose's."""
    if not isinstance(lightspeed.value, dict):
        return Node(None, lightspeed.where)
    kept = {key: child for key, child in lightspeed.value.items() if key in EMBEDDED}
    return Node(kept or None, lightspeed.where, lightspeed.keys)


def findings(config: Configuration) -> list[Finding]:
    """Everything that is wrong with the documents themselves; which files exist does not matter."""
    if not isinstance(config.lightspeed.value, dict) or not config.lightspeed.value:
        return [_not_a_mapping(config.lightspeed, "name: my-assistant")]
    return [
        *_schema_findings(config),
        *rules.findings(config),
        *_rule_findings(config),
        *(_run_findings(config) if server_is_ours(config) else ()),
        *_version_findings(config),
    ]


def missing_variables(
    config: Configuration, env: Mapping[str, str], rewritten: Iterable[Set[Path]] = NOTHING
) -> list[Finding]:
    """One finding for each variable that must be set and is not, at its first place.

    ``rewritten`` are the paths of each document at which something else will stand: no service asks for
    what is there now.
    """
    seen: dict[str, Finding] = {}
    nodes = (config.lightspeed, config.run) if server_is_ours(config) else (config.lightspeed,)
    for node, changed in zip(nodes, rewritten, strict=False):
        trace = Trace()
        replace(plain(node), env, trace)
        for reference in trace.found:
            if not is_within(reference.path, changed):
                seen.setdefault(reference.name, _missing(node, reference))
    return list(seen.values())


def is_within(path: Path, places: Set[Path]) -> bool:
    """Whether a path is one of the places, or below one."""
    return any(path[:depth] in places for depth in range(1, len(path) + 1))


def _missing(node: Node, reference: Reference) -> Finding:
    held = lookup(node, reference.path)
    where = held.where if held else locate(node, reference.path)
    return unset_variable(reference.name, where, dotted(reference.path))


def unset_variable(name: str, where: Position, path: str) -> Finding:
    """The finding that a variable has no value."""
    fix = f"Run: export {name}=…   or write it to .env"
    return Finding(where, path, f"the variable {name} is not set", fix)


def _not_a_mapping(node: Node, example: str) -> Finding:
    what = "the file is empty" if not node.value else "the file must hold keys and values"
    return Finding(node.where, "", what, f"Start it with a key, such as '{example}'.")


def _schema_findings(config: Configuration) -> Sequence[Finding]:
    table = record(LIGHTSPEED)
    return check(config.lightspeed, dict(config.values), table, config.generation, config.unknown).findings


def _run_findings(config: Configuration) -> Sequence[Finding]:
    if not isinstance(config.run.value, dict) or not config.run.value:
        return [_not_a_mapping(config.run, "version: 2")]
    table = record(RUN, extra="allow")
    found = check(config.run, dict(config.run_values), table, "", config.run_unknown).findings
    unknown = [key for key in config.run.value if key not in RUN]
    read = Run(config.run, config.run_values, config.run_unknown, config.server_version, is_library(config))
    return [*found, *run_rules.findings(read), *(_unknown_run_key(config.run, key) for key in unknown)]


def _unknown_run_key(node: Node, key: str) -> Finding:
    what = "Llama Stack does not know this key and ignores it"
    return Finding(locate(node, (key,)), key, what, suggestion(key, list(RUN)), "warning")


def _rule_findings(config: Configuration) -> list[Finding]:
    found = [rule(config) for rule in RULES]
    return [one for one in found if one]


def _at(config: Configuration, path: Path, what: str, fix: str) -> Finding:
    return Finding(locate(config.lightspeed, path), dotted(path), what, fix)


def _url_is_known(config: Configuration) -> Finding | None:
    path: Path = (config.section, "url")
    if path not in config.unknown:
        return None
    node = lookup(config.lightspeed, path)
    names = ", ".join(match[1] for match in PATTERN.finditer(str(node.value if node else "")))
    what = f"where Llama Stack is must be known now, and {names} is not set"
    return _at(config, path, what, f"Set {names}, or write the address.")


def _port_is_known(config: Configuration) -> Finding | None:
    path: Path = ("service", "port")
    if path not in config.unknown:
        return None
    what = "the port must be known now, to be published and asked, and its variable is not set"
    return _at(config, path, what, "Set the variable, or write the port.")


# What must be known now, beside what LCORE itself wants.
RULES = (_url_is_known, _port_is_known)


def _version_findings(config: Configuration) -> list[Finding]:
    newest = NEWEST_SERVER[config.generation]
    found = []
    if config.server_version > newest:
        what = (
            f"LCORE {config.generation} accepts Llama Stack up to {_dots(newest)}, "
            f"and this one is {_dots(config.server_version)}"
        )
        fix = "Use an image of that version, or set lightspeed_version / ogx_version if the tag misleads."
        found.append(Finding(Position("images"), "", what, fix, "warning"))
    if config.generation >= "0.7" and lookup(config.lightspeed, ("llama_stack",)):
        fix = "Rename it to 'ogx'; the derived file has it renamed already."
        fix = "Remove it: 'ogx' is here too, and wins." if config.section == "ogx" else fix
        where = locate(config.lightspeed, ("llama_stack",))
        found.append(Finding(where, "llama_stack", "this key was renamed in 0.7", fix, "warning"))
    return found


def _dots(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
