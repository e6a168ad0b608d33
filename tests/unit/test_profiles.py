"""Profiles: files that extend each other, found by name or by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcompose.errors import ConfigError, LcomposeError, UsageError
from lcompose.merge import Layer, merge
from lcompose.profiles import built_in, profile_layers, read_profile
from lcompose.settings import resolve_settings


def write(folder: Path, **files: str) -> None:
    """Profiles as files; two underscores in a name are a folder."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def refusal(names: list[str], folder: Path) -> tuple[str, str, str]:
    """What an error says: what, where, and what to do."""
    with pytest.raises(LcomposeError) as caught:
        profile_layers(names, folder)
    if isinstance(caught.value, ConfigError):
        [found] = caught.value.findings
        return found.what, f"{found.where}: {found.path}", found.fix
    return caught.value.what, caught.value.where, caught.value.fix


def test_base_dev_prod_and_gpu_come_with_lcompose() -> None:
    assert set(built_in()) >= {"base", "dev", "prod", "gpu"}


@pytest.mark.parametrize("name", built_in())
def test_every_built_in_profile_is_good_and_says_what_it_is_for(name: str, tmp_path: Path) -> None:
    resolve_settings(profile_layers([name], tmp_path))
    assert read_profile(name, tmp_path).description.endswith(".")


def test_a_profile_comes_after_what_it_extends(tmp_path: Path) -> None:
    assert [layer.name for layer in profile_layers(["prod"], tmp_path)] == ["profile base", "profile prod"]


def test_what_two_profiles_extend_is_there_once(tmp_path: Path) -> None:
    names = [layer.name for layer in profile_layers(["prod", "gpu", "prod"], tmp_path)]
    assert names == ["profile base", "profile prod", "profile gpu"]


def test_a_profile_of_ones_own_extends_a_built_in_one(tmp_path: Path) -> None:
    write(tmp_path, mine="description: Mine.\nextends: base\nwait_timeout: 7\n")
    assert profile_layers(["mine.yaml"], tmp_path)[1] == Layer("profile mine.yaml", {"wait_timeout": 7})


def test_a_path_in_extends_counts_from_the_file_that_says_it(tmp_path: Path) -> None:
    write(tmp_path, sub__a="description: A.\nextends: ./b.yaml\n", sub__b="description: B.\nwait_timeout: 7\n")
    assert merge(profile_layers(["sub/a.yaml"], tmp_path)).tree == {"wait_timeout": 7}


def test_files_of_the_same_name_in_two_folders_are_two_profiles(tmp_path: Path) -> None:
    write(
        tmp_path,
        x__a="description: A.\nextends: base.yaml\n",
        x__base="description: X.\nmodel: x\n",
        y__a="description: A.\nextends: base.yaml\n",
        y__base="description: Y.\ngpu: cuda\n",
    )
    assert merge(profile_layers(["x/a.yaml", "y/a.yaml"], tmp_path)).tree == {"model": "x", "gpu": "cuda"}


def test_one_file_named_in_two_ways_is_one_profile(tmp_path: Path) -> None:
    write(tmp_path, a="description: A.\n")
    assert len(profile_layers(["a.yaml", "./a.yaml", str(tmp_path / "a.yaml")], tmp_path)) == 1


def test_a_long_chain_is_no_circle(tmp_path: Path) -> None:
    links = {f"p{n}": f"description: P.\nextends: p{n + 1}.yaml\n" for n in range(20)}
    write(tmp_path, **links, p20="description: P.\nmodel: end\n")
    assert merge(profile_layers(["p0.yaml"], tmp_path)).tree == {"model": "end"}


@pytest.mark.parametrize(
    ("a", "b", "where"), [("b.yaml", "a.yaml", "b.yaml: extends"), ("./a.yaml", "base", "a.yaml: extends")]
)
def test_a_circle_is_refused(a: str, b: str, where: str, tmp_path: Path) -> None:
    write(tmp_path, a=f"description: A.\nextends: {a}\n", b=f"description: B.\nextends: {b}\n")
    what = "profiles extend each other in a circle"
    assert refusal(["a.yaml"], tmp_path) == (what, where, "Remove this key from one of them.")


@pytest.mark.parametrize(
    ("name", "fix"), [("prd", "Did you mean 'prod'?"), ("devv", "Did you mean 'dev'?"), ("", "Known here:")]
)
def test_an_unknown_profile_gets_its_near_miss(name: str, fix: str, tmp_path: Path) -> None:
    what, where, advice = refusal([name], tmp_path)
    assert (what, where, advice.startswith(fix)) == (f"there is no profile {name!r}", "--profile", True)


def test_an_unknown_profile_in_extends_is_told_with_the_file_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, a="description: A.\nextends: prd\n")
    assert refusal(["a.yaml"], tmp_path) == ("there is no profile 'prd'", "a.yaml: extends", "Did you mean 'prod'?")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gone.yaml", "the profile 'gone.yaml' is not there"),
        ("~nobody-of-that-name/a.yaml", "the profile '~nobody-of-that-name/a.yaml' is not there"),
        ("./", "the profile './' is a directory"),
        ("..", "there is no profile '..'"),
        ("dev\n", "there is no profile 'dev\\n'"),
        ("x" * 200, f"there is no profile '{'x' * 40}'"),
    ],
)
def test_a_profile_that_cannot_be_read_is_refused(name: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        profile_layers([name], tmp_path)
    assert caught.value.what == what


@pytest.mark.parametrize(
    ("source", "what", "where"),
    [
        ("", "this key must be there", "a.yaml:1:1: description"),
        ("extends: base\n", "this key must be there", "a.yaml:1:1: description"),
        ("extends: base\ndescription: ''\n", "this key must be there", "a.yaml:2:1: description"),
        ("description: A.\nengine: docker\n", "unknown key", "a.yaml:2:1: engine"),
        ("description: A.\nwait_timout: 1\n", "unknown key", "a.yaml:2:1: wait_timout"),
        ("description: [", "not readable as YAML: did not find expected node content", "a.yaml:1:15: "),
    ],
)
def test_a_broken_profile_is_refused_at_its_place(source: str, what: str, where: str, tmp_path: Path) -> None:
    write(tmp_path, a=source)
    assert refusal(["a.yaml"], tmp_path)[:2] == (what, where)


def test_a_profile_may_use_the_shorthand_for_llama_stack(tmp_path: Path) -> None:
    write(tmp_path, a="description: A.\ncontainer: {image: x}\n")
    assert merge(profile_layers(["a.yaml"], tmp_path)).tree == {"services": {"llama-stack": {"image": "x"}}}
