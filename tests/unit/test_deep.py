"""Asking the images themselves: what they are asked, and what their answers mean."""

from __future__ import annotations

import pytest

from lcompose.deep import Question, ask, questions, reason
from lcompose.engines.fake import FakeEngine
from lcompose.errors import EngineError
from lcompose.host import Finished
from lcompose.spec.secrets import Secrets
from tests.unit.given import LIGHTSPEED, RUN, resolved

LIBRARY = LIGHTSPEED.replace(
    'url: "http://localhost:8321"', "use_as_library_client: true, library_client_config_path: run.yaml"
)
QUESTION = Question("web", "team/web:1", "", ("--check",), {}, (), (("/a.yaml", "a: 1\n"),))
REFUSED = """Traceback (most recent call last):
  File "x.py", line 1
pydantic_core._pydantic_core.ValidationError: 1 validation error for Configuration
extra
  Extra inputs are not permitted [type=extra_forbidden, input_value={'key': 'abcdef'}, input_type=dict]
    For further information visit https://example.com
"""


def test_each_image_is_asked_in_its_own_way() -> None:
    found = questions(resolved(run=RUN).project, (1, 2, 5), {})
    assert [(one.service, one.entrypoint, one.argv) for one in found] == [
        ("llama-stack", "ogx", ("run", "--insecure", "--dry-run", "/app/run.yaml")),
        ("lightspeed-stack", "", ("-c", "/app-root/lightspeed-stack.yaml", "--dump-configuration")),
    ]
    assert [[target for target, _ in one.documents] for one in found] == [
        ["/app/run.yaml"],
        ["/app-root/lightspeed-stack.yaml"],
    ]


def test_a_llama_stack_that_knows_no_such_question_is_not_asked() -> None:
    assert [one.service for one in questions(resolved().project, (1, 0, 2), {})] == ["lightspeed-stack"]


def test_in_library_mode_one_image_is_asked_of_both_documents() -> None:
    found = questions(resolved(LIBRARY).project, (1, 2, 5), {})
    assert [(one.service, one.entrypoint, one.argv[-1]) for one in found] == [
        ("lightspeed-stack", "", "--dump-configuration"),
        ("lightspeed-stack", "ogx", "/app-root/run.yaml"),
    ]


def test_variables_have_the_values_of_this_moment() -> None:
    run = "distro_name: x\nproviders: {}\nlogging: {a: '${env.SET}', b: '${env.UNSET:=other}', c: '${env.MISSING}'}\n"
    (server, _) = questions(resolved(run=run).project, (1, 2, 5), {"SET": "given"})
    assert {name: server.environment.get(name) for name in ("SET", "UNSET", "MISSING")} == {
        "SET": "given",
        "UNSET": "other",
        "MISSING": "",
    }


def test_an_image_that_takes_its_document_has_nothing_to_say() -> None:
    engine = FakeEngine(local=["team/web:1"])
    assert ask(engine, QUESTION, Secrets({})) == []
    assert engine.calls == ["run_once team/web:1 --check"]


def test_what_it_refuses_is_told_without_values() -> None:
    engine = FakeEngine(local=["team/web:1"], answers={"team/web:1": Finished(1, "", REFUSED)})
    (found,) = ask(engine, QUESTION, Secrets({}))
    assert found.severity == "error"
    assert found.what.endswith("extra; Extra inputs are not permitted (extra_forbidden)")
    assert "abcdef" not in str(found)


@pytest.mark.parametrize(
    ("engine", "what"),
    [
        (FakeEngine(), "this image is not here, so it was not asked"),
        (
            FakeEngine(local=["team/web:1"], failures={"run_once": EngineError("it hangs", "", "Wait.")}),
            "it could not be asked: it hangs",
        ),
    ],
)
def test_where_it_cannot_be_asked_is_a_warning(engine: FakeEngine, what: str) -> None:
    (found,) = ask(engine, QUESTION, Secrets({}))
    assert (found.severity, found.what) == ("warning", what)


@pytest.mark.parametrize(("said", "expected"), [("", "it says nothing"), ("one\ntwo\n\n", "two")])
def test_without_a_list_of_errors_the_last_line_tells(said: str, expected: str) -> None:
    assert reason(said) == expected
