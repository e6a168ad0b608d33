"""Failures that are known by name: each is recognised by what is really printed, and by nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from lcompose import failures
from lcompose.errors import ConfigError, EngineError, Finding, Heard, HeardBy, Known, NotReadyError, Position
from lcompose.failures import Failure, all_known, known_of, parsed, recognise
from tests.conftest import ROOT

RECORDED = ROOT / "tests" / "failures"
FOLDER = ROOT / "profiles" / "failures"
FILES = [FOLDER / name for name in failures.FILES]
HEALTHY = sorted((RECORDED / "healthy").glob("*.log"))
MIB = 1024 * 1024
ROWS = {row.id: row for row in all_known()}


@dataclass(frozen=True)
class Recorded:
    """A message, and the failure that it is of."""

    id: str
    heard: Heard

    def __str__(self) -> str:
        return f"{self.id}: {self.heard.text[:40]}"


def heard_in(row: dict[str, str]) -> Heard:
    """What a row of recorded messages says: by whom, the text, and perhaps the service."""
    [by] = (one for one in get_args(HeardBy) if one in row)
    return Heard(by, row[by], row.get("service", "web"))


@cache
def recorded() -> tuple[Recorded, ...]:
    """Every message that is recorded for a failure."""
    files = (yaml.safe_load((RECORDED / path.name).read_text()) for path in FILES)
    return tuple(Recorded(id_, heard_in(row)) for rows in files for id_, many in rows.items() for row in many)


def ids(*heard: Heard) -> list[str]:
    """The names of what is recognised."""
    return [one.id for one in recognise(heard)]


def near_misses() -> list[Heard]:
    """Texts that are like messages, and are none."""
    return [heard_in(row) for row in yaml.safe_load((RECORDED / "near_misses.yaml").read_text())]


# ---------------------------------------------------------------- the data


@pytest.mark.parametrize("one", recorded(), ids=str)
def test_a_recorded_message_is_exactly_one_failure(one: Recorded) -> None:
    assert ids(one.heard) == [one.id]


def test_every_file_is_read() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(failures.FILES)


def test_every_failure_has_a_recorded_message_in_the_file_of_its_name() -> None:
    for path in FILES:
        rows = {row.id for row in parsed(path.read_bytes(), path.name)}
        assert rows == set(yaml.safe_load((RECORDED / path.name).read_text())), path.name


def test_every_pattern_is_found_in_a_message_of_its_own_failure() -> None:
    texts: dict[str, list[str]] = {}
    for one in recorded():
        texts.setdefault(one.id, []).append(one.heard.text)
    unused = [p.pattern for row in all_known() for p in row.patterns if not any(map(p.search, texts[row.id]))]
    assert unused == []


@pytest.mark.parametrize("near", near_misses(), ids=lambda one: f"{one.by}: {one.text[:40]}")
def test_what_is_only_like_a_message_is_no_failure(near: Heard) -> None:
    assert ids(near) == []


@pytest.mark.parametrize("log", HEALTHY, ids=lambda path: path.stem)
def test_the_log_of_a_healthy_service_has_nothing_fatal_in_it(log: Path) -> None:
    found = [ROWS[one] for one in ids(Heard("log", log.read_text(), log.stem))]
    assert [row.id for row in found if row.silent == "fatal"] == []


def test_there_are_healthy_logs_of_everything_that_lcompose_starts() -> None:
    assert {path.stem.split("-")[0] for path in HEALTHY} >= {
        "lightspeed",
        "llama",
        "postgres",
        "vllm",
        "ollama",
        "llamacpp",
    }


@pytest.mark.parametrize("row", all_known(), ids=lambda row: row.id)
def test_a_failure_is_told_in_sentences(row: Failure) -> None:
    assert row.fix.endswith(".") and len(row.fix) <= 160
    assert not row.cause.endswith(".") and len(row.cause) <= 160
    assert "\n" not in row.cause + row.fix


@pytest.mark.parametrize("one", recorded(), ids=str)
def test_every_word_that_stands_for_another_is_filled_in(one: Recorded) -> None:
    [known] = recognise([one.heard])
    assert "?" not in known.cause + known.fix
    assert not failures.WORD.search(known.cause + known.fix.replace('{"cdi" true}', ""))
    assert known.line and known.line in " ".join(one.heard.text.split("\n"))


# ---------------------------------------------------------------- what is told


def test_the_words_of_a_message_are_in_cause_and_fix() -> None:
    text = "ogx.core.stack.EnvVarError: Environment variable 'A_KEY' not set or empty at providers.x[0].config. Use it"
    assert recognise([Heard("log", text, "llama-stack")]) == (
        Known(
            "variable-not-set",
            "A_KEY, which providers.x[0].config needs, is not set, or is empty",
            "Set A_KEY in .env, or give it a default: ${env.A_KEY:=…}.",
            "llama-stack",
            text,
        ),
    )


def test_a_message_that_a_terminal_has_broken_is_still_known() -> None:
    text = "\x1b[31m  ValueError: Provider `remote::x` is not   \n         available for API `Api.inference`   \x1b[0m"
    [known] = recognise([Heard("log", text)])
    assert known.cause == "this Llama Stack has no provider remote::x for inference"


def test_the_special_one_explains_a_line_and_the_general_one_is_silent() -> None:
    specific = "unresolvable CDI devices runtime.nvidia.com/gpu=all"
    assert ids(Heard("engine", specific)) == ["cdi-made-on-demand-failed"]
    consequence = Heard("log", "Failed to connect to Llama Stack at 'http://llama-stack:8321'", "lightspeed-stack")
    cause = Heard("log", "TLS required: set tls_certfile/tls_keyfile", "llama-stack")
    assert ids(consequence, cause) == ["llama-stack-wants-tls"]
    assert ids(consequence) == ["llama-stack-not-reachable"]


def test_at_most_three_are_told_and_each_once() -> None:
    texts = [
        "no space left on device",
        "exec /x: exec format error",
        "sqlite3.OperationalError: unable to open database file",
        "RuntimeError: XPU device count is zero!",
    ]
    everywhere = [Heard("log", text, service) for text in texts for service in ("a", "b")]
    found = recognise(everywhere)
    assert len(found) == len({one.id for one in found}) == 3
    assert {one.service for one in found} == {"a"}
    assert len(recognise(everywhere, most=10)) == 4


def test_a_row_for_some_services_is_not_told_of_others() -> None:
    assert ids(Heard("probe", "HTTP 401", "lightspeed-stack")) == ["probes-not-allowed"]
    assert ids(Heard("probe", "HTTP 401", "own", "quay.io/lightspeed-core/lightspeed-stack:1")) == [
        "probes-not-allowed"
    ]
    assert ids(Heard("probe", "HTTP 401", "grafana", "grafana:1")) == []


def test_a_message_has_no_control_characters_and_bounded_words_where_it_is_told() -> None:
    name = "x" * 190
    [known] = recognise([Heard("engine", f'external volume "{name}" not found\a\x1b]0;title\a')])
    assert known.cause.startswith("there is no volume xxx") and len(known.cause) < 200
    assert "\a" not in known.line and "\x1b" not in known.line


def test_an_error_that_heard_nothing_is_judged_by_its_own_words() -> None:
    pulled = EngineError("the image x cannot be pulled: toomanyrequests: You have reached your pull rate limit", "", "")
    assert [one.id for one in known_of(pulled)] == ["registry-rate-limit"]
    late = NotReadyError(
        "the stack is not ready", "", "", details=("Bind for 0.0.0.0:1 failed: port is already allocated",)
    )
    assert [one.id for one in known_of(late)] == ["port-taken"]


def test_the_table_and_the_quoted_log_of_an_error_are_not_taken_for_the_engines_words() -> None:
    error = NotReadyError(
        "the stack is not ready: a service failed",
        details=("--- the last lines of web:", "pull access denied for a, repository does not exist"),
        heard=(Heard("log", "pull access denied for a, repository does not exist", "web"),),
    )
    assert known_of(error) == ()


def test_nothing_is_known_of_a_wrong_configuration() -> None:
    assert known_of(ConfigError([Finding(Position("a.yaml"), "", "no space left on device")])) == ()


# ---------------------------------------------------------------- size and time


def hostile() -> Iterator[str]:
    """Texts of a mebibyte, each made to keep some pattern busy."""
    yield "x" * MIB
    yield "a " * (MIB // 2)
    yield "/" * MIB
    yield "\n" * MIB
    yield (" \n " * (MIB // 3))
    yield ("\n" + " " * 39) * (MIB // 40)
    yield "Permission denied: '/" * (MIB // 21)
    yield ('exec: "' * (MIB // 7)) + "\n"
    for one in recorded()[::7]:
        begun = one.heard.text[: len(one.heard.text) // 2]
        yield begun * (MIB // len(begun))
        yield f"{begun}\n" * (MIB // (len(begun) + 1))


@pytest.mark.parametrize("text", list(hostile()), ids=lambda text: repr(text[:12]))
@pytest.mark.parametrize("by", get_args(HeardBy))
def test_a_hostile_mebibyte_is_searched_in_less_than_a_second(by: Any, text: str) -> None:
    begun = time.process_time()
    recognise([Heard(by, text, "web")])
    assert time.process_time() - begun < 1


def test_the_end_of_a_long_log_is_what_is_searched() -> None:
    noise = "INFO all is well\n" * 100_000
    assert ids(Heard("log", f"{noise}no space left on device\n")) == ["disk-full"]
    assert ids(Heard("log", f"no space left on device\n{noise}")) == []


def test_the_data_is_not_read_before_it_is_needed() -> None:
    import subprocess
    import sys

    code = "import sys, lcompose.cli.root, lcompose.bring_up; sys.exit('lcompose.failures' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- data that is wrong

GOOD = """\
description: A file.
failures:
  a-failure:
    patterns: ['no such (?P<thing>\\w+)']
    said_by: [log]
    cause: there is no {thing}
    fix: Make {thing}.
    silent: fatal
"""


def broken(change: Callable[[str], str]) -> list[str]:
    """What is said of a file that is not as it must be."""
    with pytest.raises(ConfigError) as caught:
        parsed(change(GOOD).encode(), "profiles/failures/x.yaml")
    return [str(found).split("\n")[0] for found in caught.value.findings]


def test_a_file_that_is_right_is_read() -> None:
    [row] = parsed(GOOD.encode(), "x.yaml")
    assert (row.id, row.said_by, row.general, row.silent) == ("a-failure", ("log",), False, "fatal")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("a-failure", "A_failure", "x.yaml:3:3: failures.A_failure"),
        ("fix: Make {thing}.", "fix: ''", "x.yaml:7:5: failures.a-failure.fix: error: string should have at least 1"),
        ("    silent: fatal\n", "", "failures.a-failure.silent: error: this key must be there"),
        ("silent: fatal", "silent: loud", "x.yaml:8:5: failures.a-failure.silent: error:"),
        ("said_by: [log]", "said_by: [cat]", "x.yaml:5:15: failures.a-failure.said_by[0]: error:"),
        ("cause:", "cuase:", "unknown key"),
        ("{thing}\n", "{thong}\n", "x.yaml:6:5: failures.a-failure.cause: error: {thong} is no group of pattern 1"),
        ("\\w+)']", "\\w+']", "x.yaml:4:16: failures.a-failure.patterns[0]: error: this is no regular expression"),
    ],
)
def test_a_file_that_is_wrong_says_where(old: str, new: str, said: str) -> None:
    assert any(said in line for line in broken(lambda text: text.replace(old, new)))


def test_a_name_that_two_files_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "failures"
    folder.mkdir()
    for name in ("a.yaml", "b.yaml"):
        folder.joinpath(name).write_text(GOOD)
    monkeypatch.setattr(failures, "data_directory", lambda _: tmp_path)
    monkeypatch.setattr(failures, "FILES", ("a.yaml", "b.yaml"))
    all_known.cache_clear()
    try:
        with pytest.raises(ConfigError) as caught:
            all_known()
        assert str(caught.value.findings[0]).startswith(
            "profiles/failures/b.yaml:3:3: failures.a-failure: error: another"
        )
        assert known_of(EngineError("no space left on device")) == ()
    finally:
        all_known.cache_clear()
