"""What holds for every input: variables as Llama Stack's own function, layers, the emitter, and linear time."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import subprocess
import time
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lcompose.emit import yaml_text
from lcompose.lightspeed.envrefs import Trace, references, replace
from lcompose.merge import RULES, Layer, merge
from lcompose.spec.target import TargetFacts
from lcompose.targets import Place, translate
from lcompose.targets.words import literal
from tests.unit.given import RUN, resolved

HOME = "/home/somebody"
VALUES = st.sampled_from(
    ["", "x", "7", "007", "1e5", "nan", "True", "~", "~/a", "${env.B}", "__disabled__", " ", "a}b", "\n"]
)
ENVIRONMENTS = st.dictionaries(st.sampled_from("ABC"), VALUES, max_size=3)
DEFAULTS = st.sampled_from(["", "d", "~/d", "5", "false", "__disabled__", "{", "a:b", "${env.B", "=", "+"])
REFERENCES = st.one_of(
    st.sampled_from("ABC").map("${{env.{}}}".format),
    st.builds("${{env.{}:{}{}}}".format, st.sampled_from("ABC"), st.sampled_from("=+"), DEFAULTS),
    st.sampled_from(
        ["${env.a}", "${env.A:-x}", "${env.}", "$", "${", "}", "~", "$${env.A}", "${A}", "plain", "é", "\n"]
    ),
)
TEXTS = st.lists(REFERENCES, max_size=3).map("".join)
SCALARS = TEXTS | st.none() | st.booleans() | st.integers(-1, 9)
NAMES = st.sampled_from(["provider_id", "model_id", "vector_store_id", "shield_id", "config", "type", "${env.A}", "x"])
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=10
)
AUTH = st.fixed_dictionaries({}, optional={"type": SCALARS, "jwks": TREES})
DOCUMENTS = TREES | st.fixed_dictionaries(
    {"server": st.fixed_dictionaries({"auth": st.fixed_dictionaries({"provider_config": AUTH})})}
)


def filled(tree: Any, env: dict[str, str]) -> dict[str, Any]:
    """What lcompose makes of a tree, or the first variable that it lacks."""
    trace = Trace()
    value = replace(tree, {**env, "HOME": HOME}, trace)
    return {"missing": trace.found[0].name} if trace.found else {"value": value}


@settings(max_examples=500)
@given(DOCUMENTS, ENVIRONMENTS)
def test_variables_are_filled_in_as_llama_stacks_own_function_does(tree: Any, env: dict[str, str]) -> None:
    theirs = pytest.importorskip("ogx.core.stack", reason="Llama Stack is not installed here (it needs Python 3.12)")
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(env, HOME=HOME)
        try:
            expected = {"value": theirs.replace_env_vars(deepcopy(tree))}
        except theirs.EnvVarError as error:
            expected = {"missing": error.var_name}
    finally:
        os.environ.clear()
        os.environ.update(before)
    # As text: nan is not equal to itself.
    assert json.dumps(filled(tree, env)) == json.dumps(expected)


@given(DOCUMENTS, ENVIRONMENTS)
def test_a_variable_that_is_missing_is_one_that_is_mentioned(tree: Any, env: dict[str, str]) -> None:
    trace = Trace()
    replace(tree, {**env, "HOME": HOME}, trace)
    assert {one.name for one in trace.found} <= {one.name for one in references(tree)}


@given(DOCUMENTS)
def test_what_is_surely_needed_is_missing_where_nothing_is_set(tree: Any) -> None:
    trace = Trace()
    replace(tree, {"HOME": HOME}, trace)
    assert {one.name for one in references(tree) if one.required} <= {one.name for one in trace.found}


@given(DOCUMENTS, ENVIRONMENTS)
def test_filling_in_leaves_the_tree_as_it_was(tree: Any, env: dict[str, str]) -> None:
    before = repr(tree)
    filled(tree, env)
    assert repr(tree) == before


# What settings look like: a key is a mapping, a list or a leaf in all layers.
LISTS = st.lists(st.sampled_from("abc"), max_size=3, unique=True)
SERVICE = st.fixed_dictionaries(
    {},
    optional={
        "volumes": LISTS,
        "tmpfs": LISTS,
        "ports": LISTS,
        "image": st.sampled_from("ij"),
        "env": st.just({"a": "1"}),
    },
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "services": st.dictionaries(st.sampled_from(["s", "t"]), SERVICE, max_size=2),
        "engine": st.sampled_from("dp"),
    },
)
LAYERS = st.lists(SETTINGS, max_size=4)


def layered(trees: list[dict[str, Any]]) -> Any:
    return merge([Layer(str(number), tree) for number, tree in enumerate(trees)])


def leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every value that is no mapping, by its path."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= leaves(value, (*path, key)) if isinstance(value, dict) else {".".join((*path, key)): value}
    return found


@given(LAYERS, st.integers(0, 4))
def test_layers_may_be_merged_in_any_groups(trees: list[dict[str, Any]], cut: int) -> None:
    grouped = [layered(trees[:cut]).tree, layered(trees[cut:]).tree]
    assert layered(grouped).tree == layered(trees).tree


@given(LAYERS)
def test_each_value_is_said_to_come_from_the_last_layer_that_has_it(trees: list[dict[str, Any]]) -> None:
    found = layered(trees)
    last = {path: str(number) for number, tree in enumerate(trees) for path in leaves(tree)}
    assert (found.origin, set(leaves(found.tree))) == (last, set(last))


@given(LAYERS)
def test_a_value_is_the_last_layers_own_or_a_list_of_what_all_say(trees: list[dict[str, Any]]) -> None:
    growing = {rule[-1] for rule in RULES}
    for path, value in leaves(layered(trees).tree).items():
        said = [leaves(tree)[path] for tree in trees if path in leaves(tree)]
        if path.rpartition(".")[2] in growing:
            assert value == list(dict.fromkeys(one for items in said for one in items))
        else:
            assert value == said[-1]


AWKWARD = [
    "no", "1e5", "0x1f", "1:20", "a: b", "#x", "a #b", "- a", "~", "null", "", " a ", "$", "$$x", "${A}", "${A:?b}",
    "{a", "[", "'", '"', "\\n", "a\nb", "a\n", "\n", "\ta", "é", "😀", "2024-01-01", "!x", "&a", "*a", "%a", "@", "`",
    "=", "<<", "|", ">", "...", "---", "y", ".inf", "012", "1_0", "\u2028", "\x85", "\xa0", "\ufeff",
]  # fmt: skip


def random_text(chance: random.Random) -> str:
    """Text of what YAML's and Compose's readers take for something else."""
    return "".join(chance.choice(AWKWARD) for _ in range(chance.randrange(1, 4)))


def test_what_is_written_comes_out_of_compose_as_it_went_in() -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not here; it only has to read a file, so no engine is needed")
    chance = random.Random(20)
    sent = {
        f"s{number}": {
            "image": "x",
            "command": [random_text(chance) for _ in range(3)],
            "environment": {f"A{index}": random_text(chance) for index in range(5)},
            "labels": {random_text(chance).strip() or "a": random_text(chance) for _ in range(2)},
        }
        for number in range(200)
    }
    tree = {"name": "demo", "services": escaped(sent)}
    argv = ["docker", "compose", "-f", "-", "config", "--format", "json"]
    done = subprocess.run(argv, input=yaml_text(tree).encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    read = unescaped(json.loads(done.stdout)["services"])
    for name, service in sent.items():
        assert {key: read[name][key] for key in service} == service


def escaped(tree: Any) -> Any:
    """The tree with each dollar as Compose wants it."""
    if isinstance(tree, dict):
        return {key: escaped(value) for key, value in tree.items()}
    return [escaped(one) for one in tree] if isinstance(tree, list) else literal(tree)


def unescaped(tree: Any) -> Any:
    """What Compose says, which writes each dollar twice so that it can be read again."""
    if isinstance(tree, dict):
        return {key.replace("$$", "$"): unescaped(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [unescaped(one) for one in tree]
    return tree.replace("$$", "$") if isinstance(tree, str) else tree


MCP = """
name: test
service: {port: 8080}
ogx: {url: "http://localhost:8321"}
user_data_collection: {}
mcp_servers:
"""


def seconds_for(servers: int) -> float:
    """The time of this process that so many MCP servers take, each with a file with its token."""
    item = '- {{name: s{0}, url: "http://host{0}:3000/mcp", authorization_headers: {{Authorization: /tokens/{0}}}}}\n'
    text = MCP + "".join(item.format(number) for number in range(servers))
    gc.collect()
    gc.disable()  # What other tests left behind would be looked through in here.
    begun = time.process_time()
    project = resolved(text, RUN).project
    bundle = translate(project, TargetFacts(), Place("/my/here", {}))
    spent = time.process_time() - begun
    gc.enable()
    assert (
        len(yaml.load(bundle.main.text, Loader=yaml.CSafeLoader)["services"]["lightspeed-stack"]["volumes"]) >= servers
    )
    return spent


def test_four_times_as_many_mcp_servers_take_about_four_times_as_long() -> None:
    seconds_for(10)
    assert min(seconds_for(1000) for _ in range(2)) < 6 * min(seconds_for(250) for _ in range(3))
