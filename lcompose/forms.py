"""Which run.yaml Llama Stack gets: a person's own, one made of lightspeed-stack.yaml, or the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcompose import host
from lcompose.errors import ConfigError, Finding
from lcompose.lightspeed.config import section_of, without_settings
from lcompose.lightspeed.derive import OWN_RUN_FILE
from lcompose.lightspeed.draft import Step
from lcompose.lightspeed.images import Images
from lcompose.lightspeed.synthesis import Synthesis, enriched, is_unified, shipped_baseline, synthesized
from lcompose.load import Node, dotted, locate, lookup, parse, plain, value_at
from lcompose.load import Path as Steps
from lcompose.spec.project import Change
from lcompose.templates import data_directory

RUN_FILE = "run.yaml"
BASELINE = "baseline-run.yaml"


@dataclass(frozen=True, slots=True)
class RunDocument:
    """A run.yaml before anything is rewritten for containers.

    ``directory`` is what its paths start from; ``steps`` tell which part of lightspeed-stack.yaml each
    part comes from, ``changes`` what was added to a person's own.
    """

    directory: Path
    node: Node
    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()


def run_document(asked: str, directory: Path, config: Path, lightspeed: Node, images: Images) -> RunDocument:
    """The run.yaml that was asked for, or that lightspeed-stack.yaml describes or names, or that lies beside it.

    ``asked`` is a file in ``directory``, ``config`` where lightspeed-stack.yaml is.

    Raises: UsageError, ConfigError.
    """
    own = without_settings(lightspeed)
    tree = plain(own) if isinstance(own.value, dict) else {}
    if not asked and is_unified(tree, section_of(own)):
        return _made(config, own, tree, images)
    path, node = _written(asked, directory, config, own)
    return with_additions(RunDocument(path.parent, node), own, images)


def _made(config: Path, own: Node, tree: dict[str, Any], images: Images) -> RunDocument:
    section = section_of(own)
    where: Steps = (section, "config", "profile")
    found = synthesized(
        tree,
        section=section,
        baseline=shipped_baseline(images.version),
        profile=_profile(config, value_at(tree, where)),
        generation=images.generation,
        server_version=images.version,
    )
    _refuse_problems(found, own)
    return RunDocument(config.parent, _placed(found, own, Node(None, own.where)), found.steps)


def _profile(config: Path, named: Any) -> Any:
    if not isinstance(named, str) or not named:
        return None
    path = host.file_named(config.parent, named)
    return plain(parse(host.read_file(path, "the profile of run.yaml", "Correct the key 'profile'."), named))


def _refuse_problems(found: Synthesis, own: Node) -> None:
    if found.problems:
        raise ConfigError(
            [Finding(locate(own, one.path), dotted(one.path), one.what, one.fix) for one in found.problems]
        )


def _written(asked: str, directory: Path, config: Path, own: Node) -> tuple[Path, Node]:
    if asked:
        path = host.file_named(directory, asked)
        return path, parse(host.read_file(path, RUN_FILE, "Name an existing file with --run-config."), asked)
    named = lookup(own, (section_of(own), "library_client_config_path"))
    if named and isinstance(named.value, str) and named.value:
        path = host.file_named(config.parent, named.value)
        fix = "Correct library_client_config_path, or name the file with --run-config."
        return path, parse(host.read_file(path, RUN_FILE, fix), named.value)
    beside = config.parent / RUN_FILE
    if host.exists(beside):
        return beside, parse(host.read_file(beside, RUN_FILE, ""), RUN_FILE)
    path = data_directory("templates") / BASELINE
    return path, parse(host.read_file(path, RUN_FILE, ""), OWN_RUN_FILE)


def with_additions(document: RunDocument, own: Node, images: Images) -> RunDocument:
    """The run.yaml with what LCORE adds at its start, where Llama Stack is in a container of its own.

    Inside LCORE it does so itself. ``own`` is lightspeed-stack.yaml without settings of ours.

    Raises: ConfigError for what cannot be added.
    """
    tree = plain(own) if isinstance(own.value, dict) else {}
    if value_at(tree, (section_of(own), "use_as_library_client")) is True or not isinstance(document.node.value, dict):
        return document
    before = plain(document.node)
    found = enriched(tree, before, images.generation, images.version)
    if found.tree == before:
        return document
    _refuse_problems(found, own)
    added = [step for step in found.steps if step.source]
    changes = tuple(Change(RUN_FILE, dotted(step.path), "", dotted(step.source), step.reason) for step in added)
    return RunDocument(document.directory, _placed(found, own, document.node), found.steps, changes)


def _placed(found: Synthesis, own: Node, original: Node) -> Node:
    """The tree with places: those of what each part comes from."""
    sources = {step.path: step.source for step in found.steps}

    def build(value: Any, path: Steps, source: Steps) -> Node:
        source = sources.get(path, source)
        where = locate(own, source) if source else locate(original, path)
        if isinstance(value, dict):
            return Node({key: build(child, (*path, key), source) for key, child in value.items()}, where)
        if isinstance(value, list):
            return Node([build(child, (*path, index), source) for index, child in enumerate(value)], where)
        return Node(value, where)

    return build(found.tree, (), ())
