"""``lcompose migrate``: what it shows, keeps and writes, and what it leaves alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from lcompose.cli.migrate import command
from lcompose.comments import put_back, taken_off
from lcompose.errors import ConfigError, DriftError, LcomposeError, UsageError
from lcompose.load import parse
from tests.conftest import SHARED

LIGHTSPEED = """\
# Our assistant.

name: demo   # shown to people
service: {port: 8080}
# Where the model is.
llama_stack:
  url: 'http://localhost:8321'
  api_key: sk-a-very-secret-value  # api_key: sk-the-old-one
  timeout: 0x10
user_data_collection: {}
"""
RUN = """\
version: '2'
image_name: "demo"   # its name
apis: [inference]

providers:
  # The model.
  inference:
  - provider_id: openai  # the only one
    provider_type: remote::openai
    config: {}
# Beside it.
metadata_store:
  type: sqlite
  db_path: /data/registry.db  # on a disk
datasets: []  # never used
# The end.
"""


def migrate(directory: Path, *args: str) -> Result:
    """Runs the command in a folder."""
    return CliRunner().invoke(command, ["-C", str(directory), *args], standalone_mode=False)


def fields(directory: Path, *args: str) -> Any:
    """What it says to machines."""
    result = migrate(directory, "--json", *args)
    assert result.exception is None
    return json.loads(result.stdout)


def refused(directory: Path, *args: str) -> LcomposeError:
    """The error that it ends with."""
    result = migrate(directory, *args)
    assert isinstance(result.exception, LcomposeError)
    return result.exception


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with both files."""
    (tmp_path / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (tmp_path / "run.yaml").write_text(RUN)
    return tmp_path


def written(directory: Path, name: str, *args: str) -> str:
    """A file as it is after the migration."""
    result = migrate(directory, "-o", str(directory / "new"), *args)
    assert result.exception is None
    return (directory / "new" / name).read_text()


def test_only_what_changed_is_different_and_comments_go_along(here: Path) -> None:
    assert (
        written(here, "run.yaml")
        == """\
version: '2'
distro_name: "demo"   # its name
apis: [inference]

providers:
  # The model.
  inference:
  - provider_id: openai  # the only one
    provider_type: remote::openai
    config: {}
storage:
  backends:
    # Beside it.
    kv_default:
      type: kv_sqlite
      db_path: /data/registry.db  # on a disk
    sql_default:
      type: sql_sqlite
      db_path: /data/sql_store.db
  stores:
    metadata:
      backend: kv_default
      namespace: registry
# The end.
"""
    )
    assert written(here, "lightspeed-stack.yaml", "--force") == LIGHTSPEED.replace("llama_stack:", "ogx:")


def test_without_a_place_to_write_to_the_changes_are_shown_and_nothing_is_written(here: Path) -> None:
    before = sorted(here.iterdir())
    result = migrate(here)
    assert "-llama_stack:\n+ogx:\n" in result.stdout
    assert "lightspeed-stack.yaml: renamed llama_stack -> ogx: the section is called ogx since 0.7" in result.stderr
    assert "this comment could not be kept: run.yaml:15: # never used" in result.stderr
    assert (sorted(here.iterdir()), (here / "run.yaml").read_text()) == (before, RUN)


def test_a_dry_run_writes_nothing_although_a_place_is_named(here: Path) -> None:
    migrate(here, "--dry-run", "-o", str(here / "new"))
    assert not (here / "new").exists()


@pytest.mark.parametrize("args", [(), ("--json",), ("--one-file",)])
def test_no_secret_is_shown(here: Path, args: tuple[str, ...]) -> None:
    (here / "run.yaml").write_text(
        RUN + 'inference_store: {type: postgres, password: "a b-secret", user: u, db: d}\n'
        "conversations_store: {type: sqlite, db_path: 'postgres://u:url-secret@h/d'}\n"
    )
    result = migrate(here, *args)
    assert result.exception is None
    for secret in ("sk-a-very-secret-value", "sk-the-old-one", "a b-secret", "url-secret"):
        assert secret not in result.output
    assert "‹…›" in result.output or "\\u2039" in result.output  # noqa: RUF001


def test_what_was_written_needs_nothing_more(here: Path) -> None:
    migrate(here, "-o", str(here / "new"))
    assert fields(here / "new")["changed"] is False
    result = migrate(here / "new", "--write")
    assert result.stdout == "Nothing needs to be changed: lightspeed-stack.yaml, run.yaml.\n"


def test_two_files_become_one(here: Path) -> None:
    text = written(here, "lightspeed-stack.yaml", "--one-file")
    section = yaml.safe_load(text)["ogx"]
    assert section["config"]["baseline"] == "empty"
    assert section["config"]["native_override"]["distro_name"] == "demo"
    assert (
        "      # The model.\n        inference:" in text.replace("          ", "        ", 1) or "# The model." in text
    )
    assert not (here / "new" / "run.yaml").exists()
    assert fields(here / "new", "--one-file")["changed"] is False


def test_the_path_of_run_yaml_goes_with_the_second_file(here: Path) -> None:
    (here / "run.yaml").rename(here / "other.yaml")
    text = LIGHTSPEED.replace(
        "  timeout", "  use_as_library_client: true\n  library_client_config_path: other.yaml\n  timeout"
    )
    (here / "lightspeed-stack.yaml").write_text(text)
    assert "library_client_config_path" not in written(here, "lightspeed-stack.yaml", "--one-file")


def test_no_file_is_written_over_without_being_told_to(here: Path) -> None:
    error = refused(here, "--write")
    assert (type(error), error.fix) == (DriftError, "Name another -o, or pass --force.")
    assert (here / "run.yaml").read_text() == RUN
    assert migrate(here, "--write", "--force").exception is None
    assert "distro_name" in (here / "run.yaml").read_text()


def test_a_file_with_secrets_in_clear_is_for_its_owner_only(here: Path) -> None:
    migrate(here, "-o", str(here / "new"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (here / "new").iterdir()}
    assert modes == {"lightspeed-stack.yaml": 0o600, "run.yaml": 0o644}


def test_run_yaml_alone_can_be_migrated(here: Path) -> None:
    (here / "lightspeed-stack.yaml").unlink()
    migrate(here, "--run-config", "run.yaml", "-o", str(here / "new.yaml"))
    assert yaml.safe_load((here / "new.yaml").read_text())["distro_name"] == "demo"


@pytest.mark.parametrize(
    ("args", "kind", "expected"),
    [
        (("-o", "new.yaml"), UsageError, "there are two files to write"),
        (("-o", "x", "--write"), UsageError, "exclude each other"),
        (("-c", "nowhere.yaml"), UsageError, "is not there"),
        (("--one-file", "--run-config", "nowhere.yaml"), UsageError, "is not there"),
    ],
)
def test_what_cannot_be_done_is_refused(here: Path, args: tuple[str, ...], kind: type, expected: str) -> None:
    error = refused(here, *args)
    assert isinstance(error, kind)
    assert expected in error.what


def test_what_a_person_must_decide_is_told_with_its_place(here: Path) -> None:
    (here / "lightspeed-stack.yaml").write_text(LIGHTSPEED + "okp: {offline: true}\nrag: {okp: {offline: false}}\n")
    error = refused(here)
    assert isinstance(error, ConfigError)
    found = [(str(one.where), one.path, one.what) for one in error.findings]
    assert found == [("lightspeed-stack.yaml:11:1", "okp", "rag.okp is here too")]


def test_a_result_that_is_wrong_is_not_written(here: Path) -> None:
    (here / "lightspeed-stack.yaml").write_text(LIGHTSPEED + "nonsense: 1\n")
    assert isinstance(refused(here, "-o", str(here / "new")), ConfigError)
    assert not (here / "new").exists()


def test_line_ends_of_windows_stay(here: Path) -> None:
    (here / "lightspeed-stack.yaml").write_bytes(LIGHTSPEED.replace("\n", "\r\n").encode())
    migrate(here, "-o", str(here / "new"))
    data = (here / "new" / "lightspeed-stack.yaml").read_bytes()
    assert data == LIGHTSPEED.replace("llama_stack:", "ogx:").replace("\n", "\r\n").encode()


HARD = """\
---
# head

a: 'x # no comment'  # one
b: |  # two
  text # none

  more
c: [1,  # three
  2]
d: "several
  lines # none"
# four
e:
- # five
  f: &x 1
- g: *x   # six
# tail
"""


def texts() -> dict[str, str]:
    """Texts with comments: a hard one, and upstream's where they are here."""
    return {"hard": HARD, **{path.name: path.read_text() for path in sorted((SHARED / "corpus").glob("*/*.yaml"))}}


@pytest.mark.parametrize("name", texts())
def test_comments_that_are_taken_off_and_put_back_are_all_there(name: str) -> None:
    text = texts()[name]
    node = parse(text.encode(), name)
    commented = taken_off(text, node)
    bare = parse(commented.bare.encode(), name)
    found, lost = put_back(commented.bare, bare, commented, commented.comments)
    assert lost == []
    assert sorted(word for word in found.split() if "#" in word) == sorted(word for word in text.split() if "#" in word)
    if name != "hard":
        # An empty line is empty now.
        assert found.rstrip("\n") == re.sub(r"(?m)^[ \t]+$", "", text).rstrip("\n")
