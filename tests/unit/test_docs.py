"""The documentation says what the code does: generated parts are fresh, and the rest names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lcompose import vendors
from lcompose.cli.root import COMMANDS
from lcompose.errors import LcomposeError
from lcompose.settings import setting_paths, variable_of
from lcompose.targets.devices import ROWS
from tests import docs

PAGES = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "compose-examples/README.md",
    "docs/gpu-matrix.md",
)
LINK = re.compile(r"\]\(([^)#:]+)(#[^)]*)?\)")


def page(name: str) -> str:
    """The text of a page."""
    return (docs.ROOT / name).read_text()


def test_generated_parts_are_what_the_code_makes_of_them_now() -> None:
    assert docs.differences() == "", "run: make docs"


def test_a_part_is_replaced_between_its_markers_and_nowhere_else() -> None:
    text = "before\n<!-- a:begin -->\nold\n<!-- a:end -->\nafter <!-- b:begin -->"
    assert docs.replaced(text, "a", "new") == "before\n<!-- a:begin -->\nnew\n<!-- a:end -->\nafter <!-- b:begin -->"


def test_a_marker_that_is_missing_is_told() -> None:
    with pytest.raises(AssertionError, match="a:begin"):
        docs.replaced("no marker", "a", "new")
    with pytest.raises(AssertionError, match="a:end"):
        docs.replaced("<!-- a:begin -->", "a", "new")


def test_check_shows_what_is_stale_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "PAGE.md"
    stale.write_text("one\nold\n")
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr(docs, "wanted", lambda: [(stale, "one\nnew\n")])
    assert docs.main(["--check"]) == 1
    shown = capsys.readouterr()
    assert "-old\n+new\n" in shown.out
    assert "make docs" in shown.err
    assert docs.main([]) == 0
    assert stale.read_text() == "one\nnew\n"
    assert docs.main(["--check"]) == 0


def test_every_setting_has_its_variable_in_the_readme() -> None:
    lines = {tuple(line.split()) for line in page("README.md").splitlines()}
    assert [path for path, _ in setting_paths() if (variable_of(path), path) not in lines] == []


def test_every_setting_says_what_it_is() -> None:
    assert [path for path, key in setting_paths() if not key.doc.endswith(".")] == []


def test_every_command_is_in_the_readme() -> None:
    text = page("README.md")
    assert [name for name in COMMANDS if f"lcompose {name}" not in text] == []


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_every_exit_code_is_told(name: str) -> None:
    codes = {error.exit_code for error in LcomposeError.__subclasses__()}
    told = {int(match[1]) for match in re.finditer(r"^\| (\d+) \|", page(name), re.MULTILINE)}
    assert codes <= told


@pytest.mark.parametrize("name", PAGES)
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    folder = (docs.ROOT / name).parent
    assert [match[1] for match in LINK.finditer(page(name)) if not (folder / match[1]).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_link_within_a_page_leads_to_a_heading(name: str) -> None:
    text = page(name)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", text) if link not in anchors] == []


def test_the_matrix_of_gpus_has_every_row_once_for_each_vendor_that_it_is_for() -> None:
    lines = page("docs/gpu-matrix.md").splitlines()
    found = {gpu: sum(line.startswith(f"| `{gpu}` |") for line in lines) for gpu in vendors.choices()}
    rows = {by: sum(row.by == by for row in ROWS) for by in ("driver", "nodes")}
    assert found == {"none": 0, "cuda": rows["driver"], "rocm": rows["nodes"], "xpu": rows["nodes"]}
    assert set(docs.TRIED) <= {(row.target, row.reader, row.form) for row in ROWS}
