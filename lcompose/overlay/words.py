"""What may stand in ``compose:``, and what would break the services that lcompose makes itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date

from lcompose.errors import Finding
from lcompose.load import Node, Path, dotted, leaves, locate, lookup
from lcompose.overlay.merging import INSTEAD
from lcompose.overlay.tags import OVERRIDE, RESET, tagged
from lcompose.schema import Key, Record, anything, mapping, record, suggestion

SECTIONS: Record = {
    "services": Key(mapping(mapping(anything())), doc="Services of your own, or more about those of lcompose."),
    "volumes": Key(mapping(anything()), doc="Named volumes."),
    "networks": Key(mapping(anything()), doc="Networks."),
    "configs": Key(mapping(anything()), doc="Configs."),
    "secrets": Key(mapping(anything()), doc="Secrets."),
}
COMPOSE: Record = {
    "compose": Key(record(SECTIONS, extra="allow"), doc="More services or overrides, in Compose's own words.")
}
EXTENSION = "x-"
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
OWN_LABEL = "lcompose."
OWN_VARIABLE = "LCOMPOSE_"
QUOTES = "Put it in quotes."
# Top-level words of Compose that mean nothing here.
ELSEWHERE = {
    "name": "Leave it out: the project is named with -p.",
    "version": "Leave it out: Compose itself takes no notice of it.",
    "include": "Write what is in that file here.",
}
# Words that no service may say here.
REFUSED = {
    "extends": ("podman-compose reads this otherwise", "Write the service out, or use a YAML anchor."),
    "profiles": ("nothing would choose Compose's profiles", "Put the service into a profile of lcompose."),
}
ONCE = "lcompose's own services run once; leave this out."
# Words that a service of lcompose's own may not say, and what to do instead.
OWN_REFUSED: Mapping[Path, str] = {
    ("image",): "Write services.{name}.image, outside compose.",
    ("build",): "Build the image, and name it in services.{name}.image, outside compose.",
    ("command",): "Leave it out: lcompose starts it with the documents that it derives.",
    ("entrypoint",): "Leave it out: lcompose starts it with the documents that it derives.",
    ("read_only",): "Write services.{name}.read_only, outside compose.",
    ("network_mode",): "Leave it out: the services find each other by name; networks may be added.",
    ("scale",): ONCE,
    ("deploy", "replicas"): ONCE,
    ("deploy", "mode"): ONCE,
    ("x-lcompose",): "Leave it out: lcompose knows how its own services are asked.",
}
ADDED = "Leave the tag out: what you write is added, and takes the place of the same entry."
NARROWER = "Put the tag on the one word that it is for, such as deploy.resources.limits."
# Words of which a service of lcompose's own needs what is there, and what to do instead of a tag.
OWN_KEPT: Mapping[Path, str] = {
    (): NARROWER,
    ("volumes",): ADDED,
    ("configs",): ADDED,
    ("environment",): "Put the tag on the one variable.",
    ("labels",): "Put the tag on the one label.",
    ("depends_on",): ADDED,
    ("tmpfs",): "Write services.{name}.tmpfs, outside compose.",
    ("devices",): "Write 'gpu: none', outside compose.",
    ("deploy",): NARROWER,
    ("deploy", "resources"): NARROWER,
    ("deploy", "resources", "reservations"): "Write 'gpu: none', outside compose.",
}
# Of these, what is below is kept too.
KEPT_WHOLE = (("depends_on",), ("deploy", "resources", "reservations"))
# Words with texts in them: what stands there unquoted, Compose and we may read as different things.
TEXTS = ("environment", "labels", "annotations", "sysctls")
FROM_VARIABLE = re.compile(r"\$\{\w+:?-\.")


def broken(document: Node, own: Iterable[str]) -> list[Finding]:
    """What is wrong in the ``compose`` of a settings file; ``own`` are the services that lcompose makes."""
    found = lookup(document, ("compose",))
    if found is None or not isinstance(found.value, dict):
        return []
    return [
        *_sections(document, found),
        *_dates(document, found),
        *_tags(document, found),
        *_services(document, found, frozenset(own)),
    ]


def _finding(document: Node, path: Path, what: str, fix: str) -> Finding:
    return Finding(locate(document, path), dotted(path), what, fix)


def _sections(document: Node, compose: Node) -> Iterator[Finding]:
    for name in _mapping(compose):
        if name == INSTEAD or (name not in SECTIONS and not name.startswith(EXTENSION)):
            fix = ELSEWHERE.get(name) or suggestion(name, [*SECTIONS, "x-NAME"])
            yield _finding(document, ("compose", name), "this may not stand in compose", fix)


def _dates(document: Node, compose: Node) -> Iterator[Finding]:
    for path, leaf in leaves(compose, ("compose",)):
        if isinstance(leaf.value, date):
            yield _finding(document, path, "this is read as a date", QUOTES)


def _tags(document: Node, compose: Node) -> Iterator[Finding]:
    for path, node in tagged(compose):
        for wrong in (rule(path, node) for rule in TAG_RULES):
            if wrong:
                yield _finding(document, ("compose", *path), *wrong)
                break


def _whole_section(path: Path, node: Node) -> tuple[str, str] | None:
    if len(path) > 1 or (path and str(path[0]).startswith(EXTENSION)):
        return None
    what = f"{node.tag} would take away what lcompose itself makes"
    return what, "Put the tag on what it is for: a service, a volume, or a word of one."


def _in_a_list(path: Path, node: Node) -> tuple[str, str] | None:
    if not any(isinstance(step, int) for step in path):
        return None
    return f"Compose takes no notice of {node.tag} in a list", "Put the tag on the whole list."


def _instead_of_nothing(path: Path, node: Node) -> tuple[str, str] | None:
    if node.tag != OVERRIDE or node.value is not None:
        return None
    return f"there is nothing that {OVERRIDE} would put here", f"Write '{RESET} null' to take away what is here."


TAG_RULES = (_whole_section, _in_a_list, _instead_of_nothing)


def _services(document: Node, compose: Node, own: frozenset[str]) -> Iterator[Finding]:
    services = lookup(compose, ("services",))
    for name, service in _mapping(services).items():
        path: Path = ("compose", "services", name)
        if not NAME.fullmatch(name):
            fix = "Use letters, digits, _, . and -, starting with a letter or digit."
            yield _finding(document, path, "this cannot be the name of a service", fix)
        checks = (*EVERY, *OF_OURS) if name in own else EVERY
        for check in checks:
            yield from (_finding(document, (*path, *at), what, fix) for at, what, fix in check(name, service))


def _mapping(node: Node | None) -> Mapping[str, Node]:
    return node.value if node and isinstance(node.value, dict) else {}


def _list(node: Node | None) -> list[Node]:
    return node.value if node and isinstance(node.value, list) else []


def _entries(service: Node, word: str) -> Iterator[tuple[Path, str, Node]]:
    """The names in a mapping, or in a list of ``NAME=value``; each with its path."""
    found = lookup(service, (word,))
    yield from (((word, name), name, one) for name, one in _mapping(found).items())
    yield from (((word, number), str(one.value).partition("=")[0], one) for number, one in enumerate(_list(found)))


Found = Iterator[tuple[Path, str, str]]


def _refused(name: str, service: Node) -> Found:
    for word, (what, fix) in REFUSED.items():
        if lookup(service, (word,)):
            yield (word,), what, fix


def _labels(name: str, service: Node) -> Found:
    for path, label, _ in _entries(service, "labels"):
        if label.startswith(OWN_LABEL):
            yield path, "labels that begin so are lcompose's own", "Use another name."


def _unquoted(name: str, service: Node) -> Found:
    """``yes`` is true to us and a text to Compose."""
    for word in TEXTS:
        for path, _, one in _entries(service, word):
            if isinstance(one.value, bool):
                yield path, "this is read as true or false, and must be text", QUOTES


def _ports(name: str, service: Node) -> Found:
    """``8080:22`` without quotes is 484822 in YAML 1.1."""
    for number, port in enumerate(_list(lookup(service, ("ports",)))):
        if isinstance(port.value, int | float):
            yield ("ports", number), "a port without quotes may be read as another number", QUOTES


def _paths(name: str, service: Node) -> Found:
    """A variable in front cannot be seen to be relative, and would start from the wrong folder."""
    for number, mount in enumerate(_list(lookup(service, ("volumes",)))):
        if FROM_VARIABLE.match(str(mount.value)):
            fix = "Write ./${NAME:-folder}: a path that begins with a variable must be absolute."
            yield ("volumes", number), "this path may be relative, and would start from another folder", fix


def _own_words(name: str, service: Node) -> Found:
    for path, fix in OWN_REFUSED.items():
        if lookup(service, path):
            yield path, f"{name} is one of lcompose's own services, which this would break", fix.format(name=name)


def _own_tags(name: str, service: Node) -> Found:
    what = f"{name} is one of lcompose's own services, which this would break"
    for path, _ in tagged(service):
        fix = OWN_KEPT.get(path) or next((OWN_KEPT[one] for one in KEPT_WHOLE if path[: len(one)] == one), None)
        if fix:
            yield path, what, fix.format(name=name)


def _own_networks(name: str, service: Node) -> Found:
    networks = lookup(service, ("networks",))
    found = _mapping(networks)
    named = [*(one for one in found if found[one].tag != RESET), *(one.value for one in _list(networks))]
    if (found or named) and "default" not in named:
        yield ("networks",), f"the other services would not reach {name}", "Add default to the networks."


def _own_variables(name: str, service: Node) -> Found:
    for path, variable, _ in _entries(service, "environment"):
        if variable.startswith(OWN_VARIABLE):
            yield path, "variables that begin so are lcompose's own", "Use another name."


Check = Callable[[str, Node], Found]
EVERY: tuple[Check, ...] = (_refused, _labels, _unquoted, _ports, _paths)
OF_OURS: tuple[Check, ...] = (_own_words, _own_tags, _own_networks, _own_variables)
