"""Real configurations of upstream's repositories: server mode is judged as upstream itself does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lcompose.lightspeed.config import configuration, findings
from lcompose.lightspeed.envrefs import references
from lcompose.load import Node, lookup, parse, plain
from tests.conftest import SHARED

CORPUS = SHARED / "corpus"
# Its rule is one of a form that this version refuses to render at all.
OTHER_FORMS = {"examples__lightspeed-stack-shields.yaml"}
ABSENT = f"the corpus is not here: {CORPUS}"

RUN = parse(b"providers: {}\n", "run.yaml")
LIGHTSPEED = parse(
    b"name: x\nservice: {}\nogx: {url: http://localhost:8321}\nuser_data_collection: {}\n", "lightspeed-stack.yaml"
)


def files(folder: str) -> list[Path]:
    """The files of a part of the corpus; one that does not exist where there is no corpus."""
    return sorted((CORPUS / folder).glob("*.yaml")) or [CORPUS / folder / "absent"]


def read(path: Path) -> Node:
    if not path.exists():
        pytest.skip(ABSENT)
    return parse(path.read_bytes(), path.name)


def errors(lightspeed: Node, run: Node) -> list[str]:
    """What is wrong, with every variable set to something."""
    names = [reference.name for node in (lightspeed, run) for reference in references(plain(node))]
    config = configuration(lightspeed, run, "0.7", (1, 0, 2), dict.fromkeys(names, "given"), ("/home", "/home"))
    return [str(found) for found in findings(config) if found.severity == "error"]


def is_server_mode(path: Path) -> bool:
    """Whether a file has the form that this version renders; the others are refused with the way out."""
    if not path.exists():
        return True
    node = read(path)
    sections = [lookup(node, (name, "url")) for name in ("ogx", "llama_stack")]
    return any(found and found.value for found in sections) and path.name not in OTHER_FORMS


SERVER_MODE = [path for path in files("lightspeed-stack") if is_server_mode(path)]


@pytest.mark.parametrize("path", SERVER_MODE, ids=lambda path: path.name)
def test_server_mode_has_upstreams_own_verdict(path: Path) -> None:
    node = read(path)
    expected = json.loads((CORPUS / "expected.json").read_text())[path.name]["verdict"]
    assert ("reject" if errors(node, RUN) else "accept") == expected


@pytest.mark.parametrize("path", files("run"), ids=lambda path: path.name)
def test_every_run_configuration_is_accepted(path: Path) -> None:
    assert errors(LIGHTSPEED, read(path)) == []
