"""Real configurations of upstream's repositories are judged as upstream itself does, and so are random ones.

``LCOMPOSE_ORACLE`` is the path to the sources of an LCORE, ``LCOMPOSE_ORACLE_PYTHON`` a Python that can import them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcompose.errors import Position
from lcompose.lightspeed import rules
from lcompose.lightspeed.config import Configuration, configuration, findings
from lcompose.lightspeed.documents import Documents
from lcompose.lightspeed.envrefs import references
from lcompose.lightspeed.images import Generation
from lcompose.lightspeed.keys import LIGHTSPEED
from lcompose.load import Node, parse, plain
from lcompose.schema import check, record
from lcompose.spec.target import TargetFacts
from lcompose.targets import translate
from lcompose.workspace import Options, open_workspace
from tests.conftest import SHARED
from tests.corpus.documents import made

CORPUS = SHARED / "corpus"
ABSENT = f"the corpus is not here: {CORPUS}"
ORACLE, ORACLE_PYTHON = os.environ.get("LCOMPOSE_ORACLE", ""), os.environ.get("LCOMPOSE_ORACLE_PYTHON", sys.executable)
NO_ORACLE = "LCOMPOSE_ORACLE is not set to the sources of an LCORE"

RUN = parse(b"version: 2\ndistro_name: x\nproviders: {}\n", "run.yaml")
SERVER_MODE = parse(
    b"name: x\nservice: {}\nogx: {url: http://localhost:8321}\nuser_data_collection: {}\n", "lightspeed-stack.yaml"
)


def files(folder: str) -> list[Path]:
    """The files of a part of the corpus; one that does not exist where there is no corpus."""
    return sorted((CORPUS / folder).glob("*.yaml")) or [CORPUS / folder / "absent"]


def read(path: Path) -> Node:
    if not path.exists():
        pytest.skip(ABSENT)
    return parse(path.read_bytes(), path.name)


def given_all(lightspeed: Node, run: Node, generation: Generation) -> Configuration:
    """Both documents, with every variable set to something."""
    names = [reference.name for node in (lightspeed, run) for reference in references(plain(node))]
    return configuration(lightspeed, run, generation, (1, 0, 2), dict.fromkeys(names, "given"), ("/home", "/home"))


def errors(config: Documents) -> list[str]:
    """What the table and the rules say is wrong with lightspeed-stack.yaml."""
    checked = check(config.lightspeed, dict(config.values), record(LIGHTSPEED), config.generation, config.unknown)
    return [str(one) for one in (*checked.findings, *rules.findings(config)) if one.severity == "error"]


@pytest.mark.parametrize("path", files("lightspeed-stack"), ids=lambda path: path.name)
def test_every_configuration_has_upstreams_own_verdict(path: Path) -> None:
    node = read(path)
    expected = json.loads((CORPUS / "expected.json").read_text())[path.name]["verdict"]
    generation: Generation = "0.7" if path.name.startswith("v0.7") else "0.6"
    assert ("reject" if errors(given_all(node, RUN, generation)) else "accept") == expected


@pytest.mark.parametrize("path", files("run"), ids=lambda path: path.name)
def test_every_run_configuration_is_accepted(path: Path) -> None:
    found = findings(given_all(SERVER_MODE, read(path), "0.7"))
    assert [str(one) for one in found if one.severity == "error"] == []


@pytest.mark.parametrize("path", files("run"), ids=lambda path: path.name)
@pytest.mark.parametrize("target", ["docker", "podman"])
def test_every_run_configuration_is_rendered(path: Path, target: str, tmp_path: Path) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(yaml.safe_dump(plain(SERVER_MODE)))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(plain(read(path))))
    workspace = open_workspace(Options(directory=str(tmp_path), project_name="corpus"), {}, allow_missing=True)
    facts = TargetFacts(target, "folder")
    bundle = translate(workspace.resolved.project, facts, workspace.place(tmp_path))
    rendered = yaml.safe_load(bundle.main.text)
    assert {"llama-stack", "lightspeed-stack"} <= set(rendered["services"])
    made = yaml.safe_load(next(one.text for one in bundle.documents if one.path.endswith("run.yaml")))
    assert set(plain(read(path))["providers"]) <= set(made["providers"])


class Oracle:
    """LCORE's own models, in a process of their own."""

    def __init__(self, sources: str) -> None:
        program = [ORACLE_PYTHON, str(Path(__file__).with_name("oracle.py")), sources]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.sections = self._answer()
        self.generation: Generation = "0.7" if "ogx" in self.sections else "0.6"

    def why(self, document: Any) -> str:
        """What LCORE has against a document, or nothing."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(document) + "\n")
        self.process.stdin.flush()
        return str(self._answer())

    def _answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the oracle ended: can LCOMPOSE_ORACLE_PYTHON import LCORE?"
        return json.loads(line)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    if not ORACLE:
        pytest.skip(NO_ORACLE)
    found = Oracle(ORACLE)
    yield found
    found.process.kill()
    found.process.wait()


def as_node(tree: Any) -> Node:
    here = Position("lightspeed-stack.yaml", 1, 1)
    if isinstance(tree, dict):
        return Node({key: as_node(child) for key, child in tree.items()}, here)
    return Node([as_node(child) for child in tree] if isinstance(tree, list) else tree, here)


def ours(document: dict[str, Any], generation: Generation) -> list[str]:
    """What we have against a document without variables."""
    return errors(given_all(as_node(document), RUN, generation))


def told_apart(document: dict[str, Any], sections: list[str]) -> dict[str, Any]:
    """A document of the oracle's own shape.

    Two shapes are called 0.6 and we take both. With ``ogx`` there, lcompose takes ``llama_stack`` out.
    """
    others = {"byok_rag", "okp", "reranker"} if "saved_prompts" in sections else {"rag"} | set(document) - {*sections}
    if document.get("ogx") is not None and "ogx" in sections:
        others |= {"llama_stack"}
    kept = {key: value for key, value in document.items() if key not in others or key == "unheard_of"}
    if isinstance(kept.get("rag"), dict):
        kept["rag"] = {key: value for key, value in kept["rag"].items() if key not in ("inline", "tool")}
    return kept


def agree(oracle: Oracle, document: Any) -> None:
    why = oracle.why(document)
    complaints = ours(document, oracle.generation)
    assert bool(why) == bool(complaints), f"LCORE: {why or 'accepts'}\nwe: {complaints or 'accept'}\n{document}"


def small(random: Random, document: dict[str, Any]) -> dict[str, Any]:
    """With what must be there, and some of the rest: of many sections, one is nearly always wrong."""
    must = {"name", "service", "user_data_collection", "ogx", "llama_stack"}
    optional = [key for key in document if key not in must]
    kept = {*must, *random.sample(optional, min(len(optional), random.choice((1, 2, 4, 30))))}
    filled = {"llama_stack": {"url": "http://a"}, **document}
    return {key: value for key, value in filled.items() if key in kept}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms(use_true_random=True))
def test_a_random_document_has_lcores_own_verdict(oracle: Oracle, random: Random) -> None:
    fault = random.choice((0, 0, 0.003, 0.02))
    document = made(record(LIGHTSPEED), random, oracle.generation, fault)
    if isinstance(document, dict):
        agree(oracle, told_apart(small(random, document), oracle.sections))


ALL = [path for path in files("lightspeed-stack") if path.exists()]


@pytest.mark.skipif(not ALL, reason=ABSENT)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms(use_true_random=True))
def test_a_mutated_configuration_has_lcores_own_verdict(oracle: Oracle, random: Random) -> None:
    config = given_all(read(random.choice(ALL)), RUN, oracle.generation)
    changed = json.loads(json.dumps(config.values))
    other = made(record(LIGHTSPEED), random, oracle.generation, 0.01)
    if isinstance(other, dict):
        taken = random.sample(list(other), min(len(other), random.choice((0, 1, 2))))
        changed |= {key: other[key] for key in taken}
        changed.pop(random.choice([*changed, ""]), None)
        agree(oracle, told_apart(changed, oracle.sections))
