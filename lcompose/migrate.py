"""The person's files, read, brought to another form, and checked; nothing is written here.

The work is done twice: on the plain tree, and on one that also knows quotes and anchors. The text
that comes of the second must say what the first says; where it does not, looks are given up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path as File
from typing import Any

from lcompose import host
from lcompose.comments import Comment, Commented, Lines, indentation, put_back, taken_off
from lcompose.emit import WIDTH, yaml_text
from lcompose.errors import ConfigError, Finding, UsageError
from lcompose.lightspeed.config import configuration
from lcompose.lightspeed.derive import LIGHTSPEED_FILE as CONFIG_FILE
from lcompose.lightspeed.derive import RUN_FILE
from lcompose.lightspeed.images import NEWEST_SERVER, Generation
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.lightspeed.migration import is_one_file, join, migrate_lightspeed
from lcompose.lightspeed.rewrite import Move, Rewrite
from lcompose.lightspeed.run_keys import RUN
from lcompose.lightspeed.run_migration import migrate_run
from lcompose.load import Node, dotted, leaves, locate, lookup, parse, plain
from lcompose.schema import Kind, check, record, roles
from lcompose.spec.secrets import SECRET_NAME, SECRET_VALUE
from lcompose.workspace import NO_CONFIG, Options, directory_of

HIDDEN = "‹…›"  # noqa: RUF001  # no quotes that YAML knows
NO_SECRET = re.compile(r"(_path|_env|_file|_dir|_model)\Z|\Akey_|_keys?_id\Z", re.IGNORECASE)
IN_A_COMMENT = re.compile(r"(#.*?\b[\w-]*(?:key|token|secret|passw)[\w-]*\s*[:=]\s*)(\S.*)", re.IGNORECASE)
KINDS: Mapping[str, Kind] = {CONFIG_FILE: record(LIGHTSPEED), RUN_FILE: record(RUN, extra="allow")}


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read: which of the two it is, where it is, and how it is called in messages."""

    role: str
    path: File
    shown: str
    text: str
    node: Node


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says after the migration, and before; ``gone`` files are part of another one now."""

    source: Source
    text: str
    gone: bool = False

    @property
    def is_new(self) -> bool:
        """Whether anything is different."""
        return self.gone or self.text != self.source.text


@dataclass(frozen=True, slots=True)
class Migration:
    """The files, what was moved and why, which comments had no place left, and what is wrong with the result."""

    files: tuple[Written, ...]
    moves: tuple[Move, ...]
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())


def sources(options: Options, env: Mapping[str, str]) -> list[Source]:
    """The files that are here: lightspeed-stack.yaml, run.yaml, or both.

    Raises: UsageError, ConfigError.
    """
    directory = directory_of(options)
    asked = options.config or env.get("LIGHTSPEED_STACK_CONFIG_PATH", "")
    path = host.file_named(directory, asked or CONFIG_FILE)
    found = []
    if asked or host.exists(path) or not options.run_config:
        found.append(_source(CONFIG_FILE, path, asked or CONFIG_FILE, NO_CONFIG))
    run, shown, is_named = _run_path(options, directory, path, found)
    if is_named or host.exists(run):
        found.append(_source(RUN_FILE, run, shown, "Name an existing file with --run-config."))
    return found


def _run_path(options: Options, directory: File, config: File, found: list[Source]) -> tuple[File, str, bool]:
    if options.run_config:
        return host.file_named(directory, options.run_config), options.run_config, True
    for section in ("ogx", "llama_stack") if found else ():
        named = lookup(found[0].node, (section, "library_client_config_path"))
        if named and isinstance(named.value, str) and named.value:
            return host.file_named(config.parent, named.value), named.value, True
    return config.parent / RUN_FILE, RUN_FILE, False


def _source(role: str, path: File, shown: str, fix: str) -> Source:
    data = host.read_file(path, role, fix)
    node = parse(data, shown)
    if not isinstance(node.value, dict):
        raise ConfigError([Finding(node.where, "", "the file must hold keys and values", "Is it the right file?")])
    return Source(role, path, shown, data.decode("utf-8-sig"), node)


def migrate(given: list[Source], target: Generation, *, one_file: bool = False) -> Migration:
    """What the files say in the form of a generation, in one file if that is wanted.

    Raises: ConfigError with what a person must decide first; UsageError.
    """
    styled = {one.role: _styled(one) for one in given}
    docs = {one.role: Rewrite(one.role, styled[one.role][0], dict(styled[one.role][1].comments)) for one in given}
    plains = {one.role: Rewrite(one.role, plain(one.node)) for one in given}
    notes = _changed(plains, target, one_file=one_file)
    _refuse(given, plains)
    _changed(docs, target, one_file=one_file)
    joined = one_file and not notes
    notes += [f"{one.shown} is not needed any more" for one in given if joined and one.role == RUN_FILE]
    files, lost = [], []
    for one in given:
        if joined and one.role == RUN_FILE:
            files.append(Written(one, "", gone=True))
            continue
        text, gone = _text(one, docs[one.role], plains[one.role], styled[one.role][1])
        files.append(Written(one, text))
        lost += gone
    moves = tuple(move for doc in plains.values() for move in doc.moves)
    return Migration(tuple(files), moves, tuple(lost), tuple(notes), tuple(_findings(files, target)))


def _changed(docs: Mapping[str, Rewrite], target: Generation, *, one_file: bool) -> list[str]:
    """Changes both trees, and says why they do not become one where that was wanted."""
    lightspeed, run = docs.get(CONFIG_FILE), docs.get(RUN_FILE)
    if lightspeed:
        migrate_lightspeed(lightspeed, target)
    if run:
        migrate_run(run, target)
    if not one_file:
        return []
    if not lightspeed:
        raise UsageError("there is no lightspeed-stack.yaml to put run.yaml into", "--one-file", NO_CONFIG)
    if is_one_file(lightspeed):
        return ["LCORE makes run.yaml out of this file already: there is nothing to join"]
    if not run:
        raise UsageError("there is no run.yaml to put in", "--one-file", "Name it with --run-config.")
    join(lightspeed, run, target)
    return []


def _refuse(given: list[Source], docs: Mapping[str, Rewrite]) -> None:
    found = [
        Finding(locate(one.node, obstacle.path), dotted(obstacle.path), obstacle.what, obstacle.fix)
        for one in given
        for obstacle in docs[one.role].obstacles
    ]
    if found:
        raise ConfigError(found)


def _styled(source: Source) -> tuple[Any, Commented]:
    """The tree with quotes and anchors, and its comments; the plain one where that cannot be had."""
    commented = taken_off(source.text, source.node)
    try:
        return _writer(source).load(commented.bare), commented
    except Exception:  # noqa: BLE001  # another reader than ours: what it cannot read only loses its looks
        return plain(source.node), commented


def _writer(source: Source) -> Any:
    # Only here: it costs more time than all else that a command may need.
    from ruamel.yaml import YAML

    writer = YAML()
    writer.preserve_quotes = True
    writer.width = WIDTH
    writer.explicit_start = source.text.startswith("---") or "\n---" in source.text
    writer.indent(**indentation(source.text, source.node))
    word = _word_for_nothing(source)
    writer.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", word)
    )
    return writer


def _word_for_nothing(source: Source) -> str:
    """How a text mostly writes null; nothing is a way, too."""
    from collections import Counter

    lines = Lines(source.text)
    at = [lines.index(node.where) for _, node in leaves(source.node) if node.value is None]
    words = Counter(source.text[span[0] : span[1]] if (span := lines.span_at(one)) else "" for one in at)
    return words.most_common(1)[0][0] if words else "null"


def _text(source: Source, doc: Rewrite, wanted: Rewrite, commented: Commented) -> tuple[str, list[str]]:
    """The document as text, and the comments that are not in it any more."""
    if not wanted.moves:
        return source.text, []
    bare = _dumped(source, doc, wanted)
    text, homeless = put_back(bare, parse(bare.encode(), source.shown), commented, doc.remarks)
    lost = [*doc.lost, *homeless]
    if not _says(text, wanted.tree):
        text, lost = bare, [*doc.remarks.values(), *doc.lost]
    if "\r\n" in source.text:
        text = text.replace("\n", "\r\n")
    return text, [f"{source.shown}:{one.line}: {words}" for one in _ordered(lost) for words in one.texts]


def _ordered(comments: list[Comment]) -> list[Comment]:
    return sorted(set(comments), key=lambda one: one.line)


def _dumped(source: Source, doc: Rewrite, wanted: Rewrite) -> str:
    stream = StringIO()
    try:
        _writer(source).dump(doc.tree, stream)
        text = stream.getvalue()
    except Exception:  # noqa: BLE001  # see _styled
        return yaml_text(wanted.tree)
    return text if _says(text, wanted.tree) else yaml_text(wanted.tree)


def _says(text: str, tree: Any) -> bool:
    try:
        # As text: nan is not equal to itself.
        found = plain(parse(text.encode(), ""))
    except ConfigError:
        return False
    return bool(found == tree) or repr(found) == repr(tree)


def _findings(files: list[Written], target: Generation) -> Iterator[Finding]:
    """What is wrong with the result, as far as the tables of keys say."""
    nodes = {one.source.role: parse(one.text.encode(), one.source.shown) for one in files if not one.gone}
    empty = parse(b"{}", "")
    both = [nodes.get(role, empty) for role in (CONFIG_FILE, RUN_FILE)]
    read = configuration(both[0], both[1], target, NEWEST_SERVER[target], {}, ("/", "/"))
    if CONFIG_FILE in nodes:
        kind = KINDS[CONFIG_FILE]
        yield from check(read.lightspeed, dict(read.values), kind, target, read.unknown).findings
    if RUN_FILE in nodes:
        yield from check(read.run, dict(read.run_values), KINDS[RUN_FILE], target, read.run_unknown).findings


def difference(migration: Migration) -> str:
    """The changes as a unified diff in which no secret stands."""
    from difflib import unified_diff

    text = ""
    for one in migration.files:
        if one.gone:
            continue
        old = masked(one.source.text, one.source.role, one.source.node)
        new = masked(one.text, one.source.role, parse(one.text.encode(), one.source.shown))
        after = f"{one.source.shown} (migrated)"
        lines = unified_diff(old.splitlines(), new.splitlines(), one.source.shown, after, lineterm="")
        text += "".join(f"{line}\n" for line in lines)
    return text


def masked(text: str, role: str, node: Node) -> str:
    """The text with its secrets hidden, those in comments as far as they are told by their names."""
    lines = Lines(text)
    spans = {lines.span_at(lines.index(leaf.where)) for leaf in _secrets(role, node)}
    values = {str(leaf.value) for leaf in _secrets(role, node) if len(str(leaf.value)) >= 4}
    for begin, end in sorted((span for span in spans if span), reverse=True):
        text = f"{text[:begin]}{HIDDEN}{text[end:]}"
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return IN_A_COMMENT.sub(rf"\g<1>{HIDDEN}", text)


def has_secrets(one: Written) -> bool:
    """Whether a secret stands in the text in clear."""
    return bool(list(_secrets(one.source.role, parse(one.text.encode(), one.source.shown))))


def _secrets(role: str, node: Node) -> Iterator[Node]:
    known = {path for path, _, key in roles(node, KINDS[role]) if key.role == "secret"}
    for path, leaf in leaves(node):
        name = next((step for step in reversed(path) if isinstance(step, str)), "")
        telling = bool(SECRET_NAME.search(name) or name.lower() == "authorization") and not NO_SECRET.search(name)
        value = leaf.value
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value in ("", "********"):
            continue
        in_clear = not isinstance(value, str) or _in_clear(value)
        if in_clear and (path in known or telling or SECRET_VALUE.search(str(value))):
            yield leaf


def _in_clear(value: str) -> bool:
    """Whether more than variables stands there; a default is a value in clear."""
    rest = re.sub(r"\$\{env\.[A-Z0-9_]+(:\+?=?)?\}", "", value)
    return bool(rest.strip())
