"""Which run.yaml Llama Stack gets, and where each part of it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lcompose.errors import ConfigError, UsageError
from lcompose.load import locate, plain
from lcompose.workspace import Options, Workspace, open_workspace
from tests.unit.given import KNOWING

BASE = "name: x\nservice: {}\nuser_data_collection: {}\n"
UNIFIED = (
    BASE
    + """ogx:
  url: http://localhost:8321
  config:
    native_override:
      safety: {default_shield_id: mine}
inference:
  providers:
    - {type: vllm, id: team, api_key_env: TEAM_KEY, extra: {base_url: http://models.example.com/v1}}
"""
)


def opened(folder: Path, lightspeed: str, run: str = "", **more: str) -> Workspace:
    """The workspace of a folder with these files."""
    (folder / "lightspeed-stack.yaml").write_text(lightspeed)
    if run:
        (folder / "run.yaml").write_text(run)
    for name, text in more.items():
        (folder / f"{name}.yaml").write_text(text)
    return open_workspace(Options(directory=str(folder), project_name="x"), {}, allow_missing=True)


def documents(found: Workspace) -> dict[str, Any]:
    """The derived documents, by name."""
    return {one.name: one.tree for one in found.resolved.project.documents}


def providers(tree: Any, api: str = "inference") -> dict[str, Any]:
    """The providers of an API, by id."""
    return {one["provider_id"]: one for one in tree["providers"][api]}


def test_a_unified_configuration_needs_no_run_yaml(tmp_path: Path) -> None:
    found = documents(opened(tmp_path, UNIFIED))
    team = providers(found["run.yaml"])["team"]
    assert (team["provider_type"], team["config"]["base_url"]) == ("remote::vllm", "http://models.example.com/v1")
    assert team["config"]["api_token"] == "${env.TEAM_KEY}"
    assert found["run.yaml"]["safety"] == {"default_shield_id": "mine"}


def test_it_wins_over_a_run_yaml_that_merely_lies_beside_it(tmp_path: Path) -> None:
    assert "team" in providers(documents(opened(tmp_path, UNIFIED, "providers: {}\n"))["run.yaml"])


def test_lightspeed_core_gets_what_run_yaml_was_not_made_of(tmp_path: Path) -> None:
    source = (
        UNIFIED.replace("providers:", "default_model: m\n  default_provider: team\n  providers:", 1)
        + "config_format_version: unified\n"
    )
    found = documents(opened(tmp_path, source))["lightspeed-stack.yaml"]
    assert found["inference"] == {"default_model": "m", "default_provider": "team"}
    assert "config" not in found["ogx"] and "config_format_version" not in found


def test_an_older_section_loses_it_too_when_it_is_renamed(tmp_path: Path) -> None:
    found = documents(opened(tmp_path, UNIFIED.replace("ogx:", "llama_stack:")))["lightspeed-stack.yaml"]
    assert "config" not in found["ogx"] and "llama_stack" not in found


def test_the_variables_of_what_is_made_reach_llama_stack(tmp_path: Path) -> None:
    assert "TEAM_KEY" in opened(tmp_path, UNIFIED).resolved.project.variables


def test_a_profile_is_read_from_the_configurations_own_folder(tmp_path: Path) -> None:
    source = BASE + "ogx: {url: 'http://localhost:8321', config: {profile: mine.yaml}}\n"
    provider = "{provider_id: own, provider_type: 'remote::openai', config: {}}"
    profile = f"distro_name: x\nproviders: {{inference: [{provider}]}}\n"
    found = documents(opened(tmp_path, source, mine=profile))
    assert "own" in providers(found["run.yaml"])


def test_a_profile_that_is_not_there_is_told(tmp_path: Path) -> None:
    source = BASE + "ogx: {url: 'http://localhost:8321', config: {profile: gone.yaml}}\n"
    with pytest.raises(UsageError) as caught:
        opened(tmp_path, source)
    assert caught.value.what == "the profile of run.yaml is not there"


def test_library_mode_reads_what_is_made_too(tmp_path: Path) -> None:
    source = UNIFIED.replace("url: http://localhost:8321", "use_as_library_client: true")
    found = documents(opened(tmp_path, source))
    assert "team" in providers(found["run.yaml"])
    assert found["lightspeed-stack.yaml"]["ogx"]["library_client_config_path"] == "/app-root/run.yaml"


def test_what_is_wrong_in_it_is_told_where_the_person_wrote_it(tmp_path: Path) -> None:
    source = UNIFIED.replace("safety: {default_shield_id: mine}", "server: {port: 80}")
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, source)
    (found,) = caught.value.findings
    assert str(found.where).startswith("lightspeed-stack.yaml:8:")


def test_knowledge_of_ones_own_is_added_to_a_run_yaml_and_told(tmp_path: Path) -> None:
    store = "{rag_id: docs, vector_db_id: docs, db_path: /data/docs.db}"
    source = BASE + f"ogx: {{url: 'http://localhost:8321'}}\nrag: {{byok: {{stores: [{store}]}}}}\n"
    found = opened(tmp_path, source, KNOWING)
    run = documents(found)["run.yaml"]
    assert any("docs" in name for name in providers(run, "vector_io"))
    assert any("docs.db" in str(one) for one in run["storage"]["backends"].values())
    added = [change for change in found.resolved.project.changes if change.document == "run.yaml"]
    assert any(change.after.startswith("rag.byok.stores") for change in added)


def test_without_anything_to_add_the_run_yaml_is_the_persons_own(tmp_path: Path) -> None:
    run = "distro_name: x\nproviders:\n  inference: [{provider_id: x, provider_type: 'remote::openai'}]\n"
    found = opened(tmp_path, BASE + "ogx: {url: 'http://localhost:8321'}\n", run)
    node = found.resolved.configuration.run
    assert plain(node)["providers"] == {"inference": [{"provider_id": "x", "provider_type": "remote::openai"}]}
    assert str(locate(node, ("providers", "inference"))) == "run.yaml:3:3"
