"""What is rendered for processes: compared, and read as the local engine reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lcompose.cli.native import described
from lcompose.engines.local_store import spec_of
from lcompose.targets import Place, translate
from lcompose.workspace import Options, open_workspace

HERE = Path(__file__).parent
EXPECTED = HERE / "expected" / "dev-local"
CHECKOUT = "services.lightspeed-stack.local.workingDir=/src/lightspeed-stack"


def rendered() -> dict[str, str]:
    options = Options(directory=str(HERE / "server"), project_name="golden", sets=(CHECKOUT,))
    workspace = open_workspace(options, {}, runtime="local")
    # Such paths are absolute, and those of the golden are nobody's.
    place = Place("/state/golden", {}, "/home/me/stack")
    return {one.path: one.text for one in translate(workspace.resolved.project, described(workspace), place).documents}


def test_rendering_gives_the_golden(request: pytest.FixtureRequest) -> None:
    documents = rendered()
    for path, text in documents.items():
        golden = EXPECTED / path
        if request.config.getoption("--update"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(text)
        assert golden.read_text() == text
    assert {str(one.relative_to(EXPECTED)) for one in EXPECTED.rglob("*") if one.is_file()} == set(documents)


def test_the_local_engine_reads_the_golden_as_it_is_meant() -> None:
    services = yaml.safe_load((EXPECTED / "processes.yaml").read_text())["services"]
    specs = {name: spec_of(tree, "0" * 32, "golden", name, 0) for name, tree in services.items()}
    assert {name: (one.ports, one.after) for name, one in specs.items()} == {
        "llama-stack": ((("127.0.0.1", 8321),), ()),
        "lightspeed-stack": ((("127.0.0.1", 8080),), ("llama-stack",)),
    }
    assert specs["llama-stack"].command[-3:] == ("run", "--insecure", "/state/golden/llama-stack/run.yaml")
    assert specs["lightspeed-stack"].directory == "/src/lightspeed-stack"


def test_nothing_of_a_container_is_left_in_the_golden() -> None:
    text = "".join((EXPECTED / path).read_text() for path in rendered())
    for word in ("/app", "/root", "0.0.0.0", "/opt/app-root", "image", "PYTHONPYCACHEPREFIX", "llama-stack:8321"):
        assert word not in text
