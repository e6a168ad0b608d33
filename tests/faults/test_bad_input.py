"""Bad input gets a clear error, quickly, and costs nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import QUICKSTART, SECRET, Lcompose, clean_environment

GOOD = (QUICKSTART / "lightspeed-stack.yaml").read_text()
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "binary": (bytes(range(256)) * 4, "not"),
    "invalid UTF-8": (b"name: caf\xe9\n", "not UTF-8"),
    "a list": (b"- a\n- b\n", "must hold keys and values"),
    "a word": (b"hello\n", "must hold keys and values"),
    "a tab": (b"service:\n\tport: 8080\n", "tab"),
    "duplicate keys": (b"name: a\nname: b\n", "twice"),
    "an alias bomb": (BOMB.encode(), "counted as often as an alias repeats them"),
    "an alias in itself": (b"a: &a [*a]\n", "contains itself"),
    "10 MB": (b"# " + b"x" * 10_000_000, "more than 1,048,576 bytes"),
    "deep brackets": (b"a: " + b"[" * 100_000, "levels of nesting"),
    "deep dashes": (b"- " * 100_000 + b"a", "levels of nesting"),
    "an unclosed quote": (b'name: "x\n', "not readable as YAML"),
    "a NUL": (b"name: a\0b\n", "U+0000 may not stand in YAML"),
    "an unknown tag": (b"name: !python/object:os.system x\n", "the tag !python/object:os.system is not known"),
}


@pytest.mark.parametrize("command", ["validate", "render", "up"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_its_place(case: str, command: str, tmp_path: Path, lcompose: Lcompose) -> None:
    data, expected = BAD_FILES[case]
    (tmp_path / "lightspeed-stack.yaml").write_bytes(data)
    begun = time.monotonic()
    ran = lcompose(command, cwd=tmp_path)
    assert ran.code == 2
    assert ran.out == ""
    assert "lightspeed-stack.yaml" in ran.err
    assert expected in ran.err
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "name",
    ["a/b", "..", "../x", ".hidden", "Upper", "a b", "a\nb", "x" * 200, "x" * 33, "-x", "_x", "ä", "a;b", "x\n"],
)
@pytest.mark.parametrize("command", ["render", "up", "down", "status", "logs"])
def test_a_name_that_may_not_be_one_is_refused_before_anything_is_touched(
    name: str, command: str, tmp_path: Path, state: Path, lcompose: Lcompose
) -> None:
    ran = lcompose(command, "-p", name, cwd=tmp_path)
    assert ran.code == 2
    assert "is not a name for a project" in ran.err
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--profile", "../prod"], "is not there"),
        (["--profile", "prd"], "Did you mean 'prod'?"),
        (["--profile", "x" * 200], "there is no profile"),
        (["--image", "lightspeed=x"], "Did you mean 'lightspeed-stack'?"),
        (["--image", "llama-stack"], "Write --image SERVICE=IMAGE"),
        (["--set", "services.llama-stack.prots=1"], "Did you mean 'ports'?"),
        (["--set", "wait_timeout=soon"], "valid integer"),
        (["--set", "services.llama-stack.ports=http"], "is not a port to publish"),
        (["--set", "nonsense"], "has no '='"),
        (["--gpu", "cudda"], "Use one of: none, cuda, rocm"),
        (["--runtime", "cloud"], "is not one of"),
        (["-C", "nowhere"], "not a directory"),
        (["-c", "nowhere.yaml"], "is not there"),
        (["-c", "."], "is a directory"),
        (["--run-config", "nowhere.yaml"], "is not there"),
    ],
)
def test_a_wrong_option_is_refused_with_the_way_out(
    arguments: list[str], expected: str, tmp_path: Path, lcompose: Lcompose
) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD)
    ran = lcompose("render", *arguments, cwd=tmp_path)
    assert ran.code == 2
    assert ran.out == ""
    assert expected in ran.err


def test_all_errors_of_all_files_come_at_once(tmp_path: Path, lcompose: Lcompose) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text("nme: x\nservice: {prt: 1}\nogx: {url: 5}\n")
    (tmp_path / "run.yaml").write_text("providers:\n\tx\n")
    (tmp_path / "lcompose.yaml").write_text("version: 1\nengin: docker\n")
    ran = lcompose("validate", cwd=tmp_path)
    assert ran.code == 2
    for expected in (
        "lcompose.yaml:2:1: engin: error: unknown key",
        "run.yaml:2:1: error: a tab is used for indentation",
        "lightspeed-stack.yaml:1:1: nme: error: unknown key",
        "Did you mean 'name'?",
        "service.prt: error: unknown key",
        "ogx.url: error",
        "user_data_collection: error: this key must be there",
    ):
        assert expected in ran.err


def test_missing_variables_are_told_together_and_with_their_place(tmp_path: Path, lcompose: Lcompose) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD + "deployment_environment: ${env.STAGE}\n")
    ran = lcompose("up", cwd=tmp_path)
    assert ran.code == 2
    assert "lightspeed-stack.yaml:12:25: deployment_environment: error: the variable STAGE is not set" in ran.err
    assert "lcompose's own run.yaml (you have none):" in ran.err
    assert "the variable OPENAI_API_KEY is not set" in ran.err


def test_missing_files_are_a_verdict_of_their_own(tmp_path: Path, lcompose: Lcompose) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD + "customization: {system_prompt_path: prompt.txt}\n")
    for command in ("validate", "render"):
        ran = lcompose(command, cwd=tmp_path, env={"OPENAI_API_KEY": SECRET})
        assert ran.code == 2
        assert "prompt.txt is to be mounted, and is not here" in ran.err
        allowed = lcompose(command, "--allow-missing", cwd=tmp_path, env={"OPENAI_API_KEY": SECRET})
        assert allowed.code == 0
        assert "warning: the file" in allowed.err


@pytest.mark.parametrize("value", ["123456", "true", "1e5"])
def test_a_literal_secret_that_cannot_travel_is_refused(value: str, tmp_path: Path, lcompose: Lcompose) -> None:
    text = GOOD + f'database: {{postgres: {{host: db, db: d, user: u, password: "{value}"}}}}\n'
    (tmp_path / "lightspeed-stack.yaml").write_text(text)
    ran = lcompose("render", cwd=tmp_path)
    assert ran.code == 2
    assert "database.postgres.password" in ran.err
    assert "cannot travel as a variable" in ran.err


def test_a_literal_secret_leaves_the_rendered_file(tmp_path: Path, lcompose: Lcompose) -> None:
    text = GOOD + f"database: {{postgres: {{host: db, db: d, user: u, password: {SECRET}}}}}\n"
    (tmp_path / "lightspeed-stack.yaml").write_text(text)
    ran = lcompose("render", "--json", cwd=tmp_path)
    assert ran.code == 0
    assert "LIGHTSPEED_DATABASE_POSTGRES_PASSWORD" in ran.out
    assert SECRET not in ran.out + ran.err
    settings = tmp_path / "lcompose.yaml"
    settings.write_text(f"version: 1\ncontainer: {{env: {{API_TOKEN: {SECRET}}}}}\n")
    refused = lcompose("render", cwd=tmp_path)
    assert refused.code == 2
    assert SECRET not in refused.out + refused.err


def test_a_persons_file_is_never_overwritten(tmp_path: Path, lcompose: Lcompose) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD)
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    mine = deploy / "compose.yaml"
    mine.write_text("services: {}\n")
    ran = lcompose("render", "-o", "deploy", "--force", cwd=tmp_path)
    assert ran.code == 6
    assert mine.read_text() == "services: {}\n"
    assert [path.name for path in deploy.iterdir()] == ["compose.yaml"]


def test_an_edited_file_is_kept_unless_forced(tmp_path: Path, lcompose: Lcompose) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD)
    assert lcompose("render", "-o", "deploy", cwd=tmp_path).code == 0
    assert lcompose("render", "-o", "deploy", cwd=tmp_path).code == 0
    path = tmp_path / "deploy" / "compose.yaml"
    path.write_text(path.read_text() + "# mine\n")
    ran = lcompose("render", "-o", "deploy", cwd=tmp_path)
    assert ran.code == 6
    assert "somebody edited this generated file" in ran.err
    assert path.read_text().endswith("# mine\n")
    assert lcompose("render", "-o", "deploy", "--force", cwd=tmp_path).code == 0
    assert not path.read_text().endswith("# mine\n")


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path, lcompose: Lcompose) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD)
    (tmp_path / "file").write_text("")
    for target in ("/proc/lcompose", "file/below"):
        ran = lcompose("render", "-o", target, cwd=tmp_path)
        assert ran.code == 2
        assert "where:" in ran.err


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD)
    done = subprocess.run(
        f"set -o pipefail; {sys.executable} -m lcompose render | head -n 1",
        shell=True,
        executable="/bin/bash",
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("# Made by lcompose")


def test_options_may_stand_before_or_after_the_command(tmp_path: Path, lcompose: Lcompose) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(GOOD)
    before = lcompose("--profile", "prod", "-p", "x", "render", cwd=tmp_path)
    after = lcompose("render", "--profile", "prod", "-p", "x", cwd=tmp_path)
    both = lcompose("--profile", "prod", "render", "-p", "x", cwd=tmp_path)
    assert before.out == after.out == both.out
    assert "read_only: true" in after.out
