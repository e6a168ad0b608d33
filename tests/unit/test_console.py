"""Printing: results and everything else apart, for people and for machines, and no secret in either."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from lcompose.console import Console
from lcompose.errors import ConfigError, EngineError, Finding, Known, LockedError, NotReadyError, Position, UsageError
from lcompose.spec.events import Event
from lcompose.spec.project import Change
from lcompose.spec.secrets import Secrets

SECRET = 'ab"c\\d'
SECRETS = Secrets({"API_KEY": SECRET})
WRONG = Finding(Position("a.yaml", 2, 3), "x.y", "unknown key", "Did you mean 'z'?")
WARNING = Finding(Position("run.yaml", 1, 1), "", "odd", "", "warning")


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


def console(*, watched: bool = False, **more: Any) -> Console:
    """A console that prints into memory."""
    return Console(redact=SECRETS.redact, out=io.StringIO(), err=Terminal() if watched else io.StringIO(), **more)


def out(found: Console) -> str:
    """What was printed as a result."""
    assert isinstance(found.out, io.StringIO)
    return found.out.getvalue()


def err(found: Console) -> str:
    """What was told beside it."""
    assert isinstance(found.err, io.StringIO)
    return found.err.getvalue()


def test_a_result_is_on_standard_output_and_ends_its_line() -> None:
    printed = console()
    printed.result("a: 1")
    printed.result("b: 2\n")
    assert (out(printed), err(printed)) == ("a: 1\nb: 2\n", "")


def test_a_note_is_on_standard_error() -> None:
    printed = console()
    printed.note(f"hello {SECRET}")
    assert (out(printed), err(printed)) == ("", "hello <API_KEY>\n")


def test_a_line_of_a_log_says_who_printed_it() -> None:
    printed = console()
    printed.log_line("web", f"key={SECRET}")
    assert out(printed) == "web | key=<API_KEY>\n"


def test_a_table_is_as_wide_as_its_cells() -> None:
    printed = console()
    printed.table(("NAME", "X"), [("a", "1"), ("longer", "")])
    assert out(printed) == "NAME    X\na       1\nlonger\n"


def test_an_error_says_what_where_and_what_to_do() -> None:
    printed = console()
    printed.error(EngineError("it failed", "compose.yaml", "Try again.", ("line 1", "line 2")))
    assert err(printed) == "line 1\nline 2\nlcompose: it failed\n  where: compose.yaml\n  to do: Try again.\n"
    assert out(printed) == ""


def test_a_failure_that_is_known_is_told_with_its_cause_before_what_to_do_in_general() -> None:
    printed, for_machines = console(), console(as_json=True)
    error = EngineError(
        "it failed", "compose.yaml", "Look.", known=(Known("a-b", f"no {SECRET}", "Add.", "web", "said"),)
    )
    printed.error(error)
    for_machines.error(error)
    assert err(printed) == (
        "lcompose: it failed\n  where: compose.yaml\n  known: web: no <API_KEY>\n     do: Add.\n  to do: Look.\n"
    )
    assert json.loads(out(for_machines))["error"]["known"] == [
        {"id": "a-b", "cause": "no <API_KEY>", "fix": "Add.", "service": "web", "line": "said", "more": ""}
    ]


def test_an_error_leaves_out_what_is_not_known() -> None:
    printed = console()
    printed.error(UsageError("it failed"))
    assert err(printed) == "lcompose: it failed\n"


def test_an_error_of_the_configuration_comes_with_its_findings() -> None:
    printed = console()
    printed.error(ConfigError([WRONG, WARNING]))
    assert err(printed) == (
        "a.yaml:2:3: x.y: error: unknown key\n"
        "    Did you mean 'z'?\n"
        "run.yaml:1:1: warning: odd\n"
        "lcompose: 1 error in the configuration\n"
    )


def test_of_very_many_findings_people_see_the_first_and_machines_all() -> None:
    findings = [Finding(Position("a.yaml", number), "", "wrong") for number in range(1, 61)]
    printed, for_machines = console(), console(as_json=True)
    printed.error(ConfigError(findings))
    for_machines.error(ConfigError(findings))
    assert err(printed).count("wrong") == 50
    assert "… and 10 more; --json has them all\n" in err(printed)
    assert len(json.loads(out(for_machines))["error"]["findings"]) == 60


def test_an_error_shows_no_secret_wherever_it_stands() -> None:
    printed = console()
    printed.error(NotReadyError(f"a {SECRET}", f"b {SECRET}", f"c {SECRET}", (f"d {SECRET}",)))
    printed.error(ConfigError([Finding(Position("a.yaml"), "", f"e {SECRET}")]))
    assert SECRET not in err(printed)
    assert err(printed).count("<API_KEY>") == 5


def test_an_error_for_machines_is_one_object_on_standard_output() -> None:
    printed = console(as_json=True)
    printed.error(LockedError("it is held", "demo", "Wait.", ("a",)))
    assert json.loads(out(printed)) == {
        "error": {
            "exit_code": 7,
            "what": "it is held",
            "where": "demo",
            "fix": "Wait.",
            "details": ["a"],
            "findings": [],
            "known": [],
        }
    }
    assert err(printed) == ""


def test_findings_for_machines_have_their_place_in_fields() -> None:
    printed = console(as_json=True)
    printed.error(ConfigError([WRONG]))
    assert json.loads(out(printed))["error"]["findings"] == [
        {
            "severity": "error",
            "file": "a.yaml",
            "line": 2,
            "column": 3,
            "path": "x.y",
            "what": "unknown key",
            "fix": "Did you mean 'z'?",
        }
    ]


def test_what_machines_read_shows_no_secret_however_it_is_escaped() -> None:
    printed = console(as_json=True)
    printed.error(NotReadyError(f"a {SECRET}", f"b {SECRET}", f"c {SECRET}", (f"d {SECRET}",)))
    printed.error(ConfigError([Finding(Position("a.yaml"), "", f"e {SECRET}")]))
    printed.warn([Finding(Position("a.yaml"), "", f"f {SECRET}")])
    printed.event(Event("detail", "web", f"g {SECRET}"))
    told = out(printed) + err(printed)
    assert told.count("<API_KEY>") == 7
    assert json.dumps(SECRET)[1:-1] not in told


def test_warnings_are_lines_for_people() -> None:
    printed = console()
    printed.warn([WARNING])
    assert err(printed) == "run.yaml:1:1: warning: odd\n"


def test_warnings_are_an_object_a_line_for_machines() -> None:
    printed = console(as_json=True)
    printed.warn([WARNING, WARNING])
    assert [json.loads(line)["what"] for line in err(printed).splitlines()] == ["odd", "odd"]


def told(*events: Event, **more: Any) -> str:
    """What is told of some events."""
    printed = console(**more)
    for event in events:
        printed.event(event)
    return err(printed)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("state", "web", "ready", 1.25), "  web: ready   (1.2 s)\n"),
        (Event("state", "web", "starting"), "  web: starting\n"),
        (Event("step", "web:1", "is pulled", 3), "  web:1: is pulled\n"),
        (Event("detail", "web", "Container demo-web-1 Created"), ""),
        (Event("detail", "demo", " web Pulling"), "  demo:  web Pulling\n"),
        (Event("detail", "demo", " Container full Created"), ""),
        (Event("detail", "demo", "anything"), ""),
        (Event("state", "web", "pulling", 0.0, "web:1 is not here"), "  web: pulling: web:1 is not here\n"),
        (Event("state", "web", "error", 2, "it exited with code 3"), "  web: error: it exited with code 3   (2.0 s)\n"),
        (Event("state", "web", "offline", 1, "it did its job"), "  web: offline: it did its job   (1.0 s)\n"),
        (Event("state", "web", "warming", 1, "no longer ready: x"), "  web: warming: no longer ready: x   (1.0 s)\n"),
        (Event("state", "web", "ready", 1, "HTTP 200"), "  web: ready   (1.0 s)\n"),
        (Event("state", "web", "unloading", 1, "web is running"), "  web: unloading   (1.0 s)\n"),
        (Event("state", "web", "unloading", 1, "./a was changed"), "  web: unloading: ./a was changed   (1.0 s)\n"),
    ],
)
def test_people_are_told_what_is_news(event: Event, text: str) -> None:
    assert told(event) == text


def test_people_who_ask_for_more_are_told_every_detail() -> None:
    event = Event("detail", "web", f"Container {SECRET} Created")
    assert told(event, verbose=True) == "  web: Container <API_KEY> Created\n"


def test_machines_are_told_every_event_as_an_object_a_line() -> None:
    event = Event("waiting", "web", "not yet", 1.23456)
    assert json.loads(told(event, as_json=True)) == {
        "kind": "waiting",
        "subject": "web",
        "text": "not yet",
        "at": 1.235,
    }


def test_machines_are_told_the_cause_where_there_is_one() -> None:
    event = Event("state", "web", "ready", 1, f"HTTP 200 {SECRET}")
    assert json.loads(told(event, as_json=True))["cause"] == "HTTP 200 <API_KEY>"


def test_a_cause_shows_no_secret() -> None:
    assert told(Event("state", "web", "error", 0, f"wrong key {SECRET}")) == "  web: error: wrong key <API_KEY>\n"


def test_where_nobody_watches_waiting_is_told_now_and_then() -> None:
    events = [Event("waiting", "web", "not yet", second) for second in range(1, 13)]
    assert told(*events) == "  web: not yet   (5.0 s)\n  web: not yet   (10.0 s)\n"


def test_where_a_person_watches_one_line_of_waiting_is_written_over() -> None:
    events = [Event("waiting", "web", "not yet", 1), Event("waiting", "db", f"{SECRET}", 1)]
    assert told(*events, watched=True) == ("\r\x1b[K  web not yet   (1 s)\r\x1b[K  web not yet, db <API_KEY>   (1 s)")


def test_what_is_not_told_again_is_no_longer_waited_for() -> None:
    events = [Event("waiting", "engine", "hangs", 1), Event("waiting", "web", "a", 1), Event("waiting", "web", "a", 2)]
    assert told(*events, watched=True).endswith("\r\x1b[K  engine hangs, web a   (1 s)\r\x1b[K  web a   (2 s)")


def test_what_is_ready_is_no_longer_waited_for() -> None:
    events = [Event("waiting", "web", "a", 1), Event("state", "web", "ready", 2), Event("waiting", "db", "b", 3)]
    assert told(*events, watched=True).endswith("\r\x1b[K  web: ready   (2.0 s)\n\r\x1b[K  db b   (3 s)")


CHANGES = [
    Change("run.yaml", "server.host", "localhost", "0.0.0.0", "reached from other containers"),
    Change("run.yaml", "llama_stack", "{…}", "", "renamed"),
    Change("run.yaml", "server.port", "", "8321", "the one port"),
]


def test_changes_are_told_to_those_who_ask_for_more() -> None:
    printed, silent = console(verbose=True), console()
    printed.changes(CHANGES)
    silent.changes(CHANGES)
    assert err(silent) == ""
    assert err(printed) == (
        "  run.yaml: server.host: 0.0.0.0 (was localhost): reached from other containers\n"
        "  run.yaml: llama_stack: (removed) (was {…}): renamed\n"
        "  run.yaml: server.port: 8321: the one port\n"
    )
