"""Variables are filled in exactly as Llama Stack does it: its own function, in its image, on the same cases."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from lcompose.lightspeed.envrefs import Trace, replace

pytestmark = pytest.mark.docker

HOME = "/root"
THEIRS = """
import json, os, sys
from ogx.core.stack import EnvVarError, replace_env_vars

def verdict(tree, env):
    os.environ.clear()
    os.environ.update(env)
    try:
        return {"value": replace_env_vars(tree)}
    except EnvVarError as error:
        return {"missing": error.var_name}

answers = [verdict(**case) for case in json.load(sys.stdin)]
print("ANSWERS", json.dumps(answers))
"""

# A string that stands alone, and the variables that are set.
TEXTS: list[tuple[str, dict[str, str]]] = [
    ("no variable", {}),
    ("", {}),
    ("007", {}),
    ("${env.A}", {"A": "text"}),
    ("${env.A}", {}),
    ("${env.A}", {"A": ""}),
    ("${env.A:=b}", {}),
    ("${env.A:=b}", {"A": ""}),
    ("${env.A:=b}", {"A": "set"}),
    ("${env.A:=}", {}),
    ("x${env.A:=}", {}),
    ("${env.A:+b}", {}),
    ("${env.A:+b}", {"A": ""}),
    ("${env.A:+b}", {"A": "set"}),
    ("${env.A:+}", {"A": "set"}),
    ("${env.A:-b}", {"A": "set"}),
    ("${env.A:b}", {"A": "set"}),
    ("${env.A=b}", {"A": "set"}),
    ("${env.a}", {"a": "set"}),
    ("${env.A-B}", {"A": "set"}),
    ("${env.}", {}),
    ("${env.9_}", {"9_": "set"}),
    ("${ENV.A}", {"A": "set"}),
    ("$env.A ${A} $${env.A}", {"A": "set"}),
    ("${env.A:={x}}", {}),
    ("${env.A:=${env.B}}", {"B": "b"}),
    ("${env.A:=${env.B:=c}}", {"B": "b"}),
    ("${env.A}", {"A": "${env.B}", "B": "b"}),
    ("${env.A}/${env.B:=b}/${env.C:+c}", {"A": "a"}),
    ("${env.A}${env.B}", {"A": "a"}),
    ("${env.A:=1}${env.B:=2}", {}),
    ("${env.A:=one\ntwo}", {}),
    ("${env.A}", {"A": "${env.A}"}),
    *(("${env.A}", {"A": value}) for value in [
        "007", "1_000", " 1 ", "1\n", "-0", "+1", "0x1f", "1__0", "\uff11\uff12", "9" * 4400,
        "1.", "1e5", "nan", "Infinity", "-inf", "1_0.5", "TRUE", "false", "yes", "null", "None", " ",
        "~", "~/x", "~x", "x~", "/~/x",
    ]),
    ("${env.A:=~/x}", {}),
    ("x${env.A}", {"A": "~/x"}),
    ("~/${env.A}", {"A": "x"}),
    ("~", {}),
]  # fmt: skip

PROVIDERS = [
    {"provider_id": "${env.ON:+real}", "config": {"url": "${env.URL:=}"}},
    {"provider_id": "${env.ON:=__disabled__}", "config": {"url": "${env.URL}"}},
    {"provider_id": "__disabled__", "config": {"url": "${env.URL}"}},
    {"provider_id": "", "config": {"url": "u"}},
    {"config": {"url": "u"}},
    "text",
    3,
]
MODELS = [
    {"model_id": "${env.MODEL:+m}", "provider_id": "${env.GONE:=p}"},
    {"model_id": "${env.MODEL:=m}"},
    {"model_id": ""},
    {"model_id": None},
    {"model_id": "${env.ZERO:=0}"},
    {"vector_store_id": "${env.MODEL:+v}", "model_id": "m"},
    {"vector_store_id": "v", "embedding_model": "${env.MODEL:=e}"},
]
AUTH = {"type": "${env.AUTH:+oauth2_token}", "jwks": {"uri": "${env.JWKS}"}}

TREES: list[tuple[Any, dict[str, str]]] = [
    (PROVIDERS, {}),
    (PROVIDERS, {"ON": "x", "URL": "u"}),
    (PROVIDERS, {"ON": "x"}),
    ([{"provider_id": "${env.ON}", "url": "u"}], {}),
    ([{"provider_id": "${env.ON}", "url": "${env.URL}"}], {"ON": "__disabled__"}),
    ({"provider_id": "__disabled__", "url": "${env.URL}"}, {}),
    (MODELS, {}),
    (MODELS, {"MODEL": "x"}),
    ([{"model_id": "${env.MODEL}"}], {}),
    ([{"model_id": "${env.MODEL:+m}", "vector_store_id": "${env.STORE}"}], {}),
    ([{"model_id": "m", "vector_store_id": "${env.STORE}"}], {}),
    ({"model_id": ""}, {}),
    ([[{"model_id": ""}], {"below": [{"model_id": ""}]}], {}),
    ({"server": {"auth": {"provider_config": AUTH, "route": "${env.ROUTE:=r}"}}}, {}),
    ({"server": {"auth": {"provider_config": AUTH}}}, {"AUTH": "x", "JWKS": "u"}),
    ({"server": {"auth": {"provider_config": AUTH}}}, {"AUTH": "x"}),
    ({"server": {"auth": {"provider_config": {"type": "", "uri": "${env.JWKS}"}}}}, {}),
    ({"server": {"auth": {"provider_config": {"type": "${env.AUTH:=false}", "n": 1}}}}, {}),
    ({"server": {"auth": {"provider_config": {"type": "${env.AUTH:=0}", "n": 1}}}}, {}),
    ({"server": {"auth": {"provider_config": {"type": "${env.AUTH}", "n": 1}}}}, {}),
    ({"server": {"auth": {"provider_config": {"uri": "${env.JWKS:=u}"}}}}, {}),
    ({"server": {"auth": {"provider_config": "${env.AUTH:+x}"}}}, {}),
    ({"other": {"auth": {"provider_config": AUTH}}}, {"JWKS": "u"}),
    ({"server.auth": {"provider_config": AUTH}}, {}),
    ({"${env.A}": 1, "n": None, "b": True, "f": 1.5, "l": [], "m": {}}, {"A": "x"}),
]

CASES: list[tuple[Any, dict[str, str]]] = [*TEXTS, *TREES]


@pytest.fixture(scope="module")
def theirs(docker: str, built: Callable[[str], dict[str, str]]) -> list[Any]:
    """What Llama Stack's own function says to every case."""
    image = built(docker)["llama-stack"]
    argv = [docker, "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python3", image, "-c", THEIRS]
    asked = json.dumps([{"tree": tree, "env": {"HOME": HOME, **env}} for tree, env in CASES])
    done = subprocess.run(argv, input=asked, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    [answers] = [line.removeprefix("ANSWERS ") for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    found: list[Any] = json.loads(answers)
    return found


def ours(tree: Any, env: dict[str, str]) -> dict[str, Any]:
    """What lcompose believes."""
    trace = Trace()
    value = replace(tree, {"HOME": HOME, **env}, trace)
    return {"missing": trace.found[0].name} if trace.found else {"value": value}


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{tree}"[:40] for tree, _ in CASES])
def test_a_case_comes_out_as_in_llama_stack(number: int, theirs: list[Any]) -> None:
    # As text: nan is not equal to itself.
    assert json.dumps(ours(*CASES[number]), sort_keys=True) == json.dumps(theirs[number], sort_keys=True)
