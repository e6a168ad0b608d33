"""What a command starts from: the documents, settings and variables of a folder, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lcompose.errors import ConfigError, LcomposeError, UsageError
from lcompose.spec.project import FileMount
from lcompose.targets import Place
from lcompose.workspace import Options, Workspace, directory_of, open_workspace, project_name, wanted_engine
from tests.unit.given import KNOWING, LIGHTSPEED, RUN


def write(folder: Path, **files: str) -> Path:
    """Files of a folder: ``lightspeed``, ``run``, ``settings``, ``env``, or any other name as it is."""
    known = {"lightspeed": "lightspeed-stack.yaml", "run": "run.yaml", "settings": "lcompose.yaml", "env": ".env"}
    for name, text in files.items():
        path = folder / known.get(name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def opened(folder: Path, env: Mapping[str, str] | None = None, *, missing: bool = False, **options: Any) -> Workspace:
    """A folder, opened with options; it has a small configuration unless it has its own."""
    if not (folder / "lightspeed-stack.yaml").exists():
        write(folder, lightspeed=LIGHTSPEED)
    chosen = Options(directory=str(folder), **options)
    return open_workspace(chosen, env or {}, allow_missing=missing)


def refusal(folder: Path, env: Mapping[str, str] | None = None, **options: Any) -> tuple[str, str, str]:
    """What an error says: what, where, what to do."""
    with pytest.raises(UsageError) as caught:
        opened(folder, env, **options)
    return caught.value.what, caught.value.where, caught.value.fix


def complaints(folder: Path, **options: Any) -> list[str]:
    """Every finding of a run: where and at which path."""
    with pytest.raises(ConfigError) as caught:
        opened(folder, **options)
    return [f"{found.where}: {found.path}" for found in caught.value.findings]


def sources(found: Workspace) -> dict[str, str]:
    """Who says what is in the configuration and in run.yaml."""
    config = found.resolved.configuration
    return {"lightspeed": config.value("name"), "run": config.run_value("distro_name")}


@pytest.mark.parametrize(
    ("options", "env", "name"),
    [
        (Options(directory="/"), {}, "lightspeed"),
        (Options(project_name="a"), {"LCOMPOSE_PROJECT_NAME": "b"}, "a"),
        (Options(), {"LCOMPOSE_PROJECT_NAME": "b"}, "b"),
        (Options(directory="/tmp"), {"LCOMPOSE_PROJECT_NAME": ""}, "tmp"),
    ],
)
def test_the_project_is_called_as_one_asks_or_as_its_folder(options: Options, env: Any, name: str) -> None:
    assert project_name(options, env) == name


@pytest.mark.parametrize("name", ["A", "a b", "../a", "-a", "a" * 33])
def test_a_name_that_may_not_be_one_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        project_name(Options(project_name=name), {})


@pytest.mark.parametrize(
    ("option", "variable", "engine"),
    [("", "", None), ("auto", "podman", None), ("docker", "podman", "docker"), ("", "podman", "podman")],
)
def test_an_engine_is_asked_for_by_option_or_variable(option: str, variable: str, engine: str | None) -> None:
    assert wanted_engine(Options(engine=option), {"LCOMPOSE_ENGINE": variable}) == engine


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        wanted_engine(Options(), {"LCOMPOSE_ENGINE": "dcoker"})
    assert (caught.value.what, caught.value.where) == ("no engine is called 'dcoker'", "LCOMPOSE_ENGINE")


def test_a_directory_is_absolute_and_without_detours(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert directory_of(Options(directory=f"{tmp_path}/a/../a/.")) == tmp_path / "a"


@pytest.mark.parametrize("name", ["gone", "file", "x" * 5000])
def test_what_is_no_directory_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        directory_of(Options(directory=str(tmp_path / name)))


def test_a_directory_that_was_removed_under_ones_feet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        with pytest.raises(UsageError) as caught:
            directory_of(Options())
    finally:
        os.chdir(tmp_path)
    assert caught.value.what == "this directory cannot be used: No such file or directory"


def test_a_folder_with_one_file_is_enough(tmp_path: Path) -> None:
    found = opened(tmp_path, {"OPENAI_API_KEY": "x"})
    assert sources(found) == {"lightspeed": "test", "run": "lcompose-baseline"}
    assert [service.name for service in found.resolved.project.services] == ["llama-stack", "lightspeed-stack"]
    assert found.settings.profiles == ("dev",)


def test_a_folder_without_a_configuration_is_told_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_workspace(Options(directory=str(tmp_path)), {})
    assert caught.value.what == "lightspeed-stack.yaml is not there"
    assert caught.value.fix.startswith("Go to the folder that has one, or name it with -c.")


@pytest.mark.parametrize(
    ("options", "env", "name"),
    [
        ({"config": "other.yaml"}, {"LIGHTSPEED_STACK_CONFIG_PATH": "third.yaml"}, "other"),
        ({}, {"LIGHTSPEED_STACK_CONFIG_PATH": "third.yaml"}, "third"),
        ({}, {"LIGHTSPEED_STACK_CONFIG_PATH": ""}, "test"),
    ],
)
def test_the_configuration_is_the_one_asked_for(tmp_path: Path, options: Any, env: Any, name: str) -> None:
    write(tmp_path, **{f"{one}.yaml": LIGHTSPEED.replace("test", one) for one in ("other", "third")})
    assert sources(opened(tmp_path, env, **options))["lightspeed"] == name


def run_file(name: str) -> str:
    """A run.yaml that says which one it is."""
    return RUN.replace("test", name)


NAMED = LIGHTSPEED.replace("ogx: {", "ogx: {library_client_config_path: sub/named.yaml, ")


@pytest.mark.parametrize(
    ("lightspeed", "options", "name"),
    [
        (LIGHTSPEED, {"run_config": "asked.yaml"}, "asked"),
        (NAMED, {"run_config": "asked.yaml"}, "asked"),
        (NAMED, {}, "named"),
        (LIGHTSPEED, {}, "beside"),
    ],
)
def test_the_run_file_is_asked_for_or_named_or_beside(tmp_path: Path, lightspeed: str, options: Any, name: str) -> None:
    files = {"asked.yaml": run_file("asked"), "sub/named.yaml": run_file("named"), "run.yaml": run_file("beside")}
    write(tmp_path, lightspeed=lightspeed, **files)
    assert sources(opened(tmp_path, **options))["run"] == name


def test_files_count_from_the_configuration_that_names_them(tmp_path: Path) -> None:
    source = LIGHTSPEED + "splunk: {token_path: token}\n"
    write(tmp_path, **{"sub/own.yaml": source, "sub/token": "x", "sub/run.yaml": run_file("beside")})
    found = opened(tmp_path, config="sub/own.yaml")
    assert sources(found)["run"] == "beside"
    assert [one.mount.source for one in found.resolved.files] == [str(tmp_path / "sub" / "token")]


def test_of_two_sections_the_newer_one_names_the_run_file(tmp_path: Path) -> None:
    older = LIGHTSPEED + "llama_stack: {library_client_config_path: gone.yaml}\n"
    assert sources(opened(write(tmp_path, lightspeed=older, run=run_file("beside"))))["run"] == "beside"


@pytest.mark.parametrize(
    ("files", "options", "what"),
    [
        ({}, {"config": "gone.yaml"}, "lightspeed-stack.yaml is not there"),
        ({}, {"config": "~nobody-of-that-name/a.yaml"}, "lightspeed-stack.yaml is not there"),
        ({}, {"run_config": "gone.yaml"}, "run.yaml is not there"),
        ({"lightspeed": NAMED}, {}, "run.yaml is not there"),
        ({"run.yaml/a": ""}, {}, "run.yaml is a directory"),
        ({"lcompose.yaml/a": ""}, {}, "lcompose.yaml is a directory"),
        ({".env/a": ""}, {}, ".env is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, files: Any, options: Any, what: str) -> None:
    assert refusal(write(tmp_path, **files), **options)[0] == what


def test_an_env_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    assert refusal(tmp_path) == (".env is not UTF-8 text", str(tmp_path / ".env"), "Save the file as UTF-8.")


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    write(tmp_path, env="A=file\nB=file\nEMPTY=\nNOTHING\n")
    found = opened(tmp_path, {"B": "environment", "C": "environment"})
    assert found.env == {"A": "file", "B": "environment", "C": "environment", "EMPTY": ""}


def test_a_variable_of_the_env_file_may_use_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSEWHERE", "of this process")
    write(tmp_path, env="A=one\nB=${A}-${GIVEN}-${ELSEWHERE}-${NONE:-two}\nGIVEN=file\nC='p$$w'\n")
    found = opened(tmp_path, {"GIVEN": "given"})
    assert (found.env["B"], found.env["C"]) == ("one-given--two", "p$$w")


def test_values_are_sealed_and_lifted_secrets_are_among_them(tmp_path: Path) -> None:
    write(tmp_path, lightspeed=LIGHTSPEED.replace("ogx: {", "ogx: {api_key: abcdef, "))
    found = opened(tmp_path, {"OPENAI_API_KEY": "ghijkl"})
    assert found.secrets.redact("abcdef ghijkl") == "<LIGHTSPEED_OGX_API_KEY> <OPENAI_API_KEY>"
    assert "abcdef" not in repr(found.secrets)


PRECEDENCE = (
    ("default", {}, {}, "", ""),
    ("profile", {"profiles": ("./own.yaml",)}, {}, "", "profile"),
    ("file", {"profiles": ("./own.yaml",)}, {}, "model: file\n", "file"),
    ("environment", {"profiles": ("./own.yaml",)}, {"LCOMPOSE_MODEL": "environment"}, "model: file\n", "environment"),
    ("option", {"sets": ("model=option",)}, {"LCOMPOSE_MODEL": "environment"}, "model: file\n", "option"),
)


@pytest.mark.parametrize(("_", "options", "env", "settings", "model"), PRECEDENCE, ids=[one[0] for one in PRECEDENCE])
def test_settings_win_in_their_order(tmp_path: Path, _: str, options: Any, env: Any, settings: str, model: str) -> None:
    write(tmp_path, settings=settings, **{"own.yaml": "description: Own.\nextends: base\nmodel: profile\n"})
    assert opened(tmp_path, env, **options).settings.model == model


@pytest.mark.parametrize(
    ("options", "env", "settings", "expected"),
    [
        ({}, {}, "", ("dev",)),
        ({}, {}, "profiles: [prod]\n", ("prod",)),
        ({}, {"LCOMPOSE_PROFILE": "gpu, prod"}, "profiles: [dev]\n", ("gpu", "prod")),
        ({"profiles": ("prod", "gpu")}, {"LCOMPOSE_PROFILE": "dev"}, "profiles: [dev]\n", ("prod", "gpu")),
    ],
)
def test_profiles_are_asked_for_or_set_or_dev(
    tmp_path: Path, options: Any, env: Any, settings: str, expected: tuple[str, ...]
) -> None:
    write(tmp_path, settings=settings)
    assert opened(tmp_path, env, **options).settings.profiles == expected


def test_the_configuration_may_hold_settings_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, lightspeed=LIGHTSPEED + "container: {image: 'team/stack:1.2.5', runtime: podman}\n")
    found = opened(tmp_path)
    assert (found.settings.services["llama-stack"].image, found.settings.engine) == ("team/stack:1.2.5", "podman")


def test_the_inference_server_and_its_model_are_chosen_by_options(tmp_path: Path) -> None:
    found = opened(tmp_path, inference="ollama", model="qwen3:4b")
    assert (found.settings.inference, found.settings.model) == ("ollama", "qwen3:4b")
    environment = dict(found.resolved.project.service("inference").environment)
    assert environment["LCOMPOSE_MODELS"] == "qwen3:4b"


def test_options_are_settings_too(tmp_path: Path) -> None:
    found = opened(tmp_path, engine="podman", runtime="local", gpu="cuda", images=("llama-stack=a:1", "inference=b=c"))
    assert (found.settings.engine, found.settings.runtime, found.settings.gpu) == ("podman", "local", "cuda")
    images = {name: service.image for name, service in found.settings.services.items()}
    assert {name: image for name, image in images.items() if image} == {"llama-stack": "a:1", "inference": "b=c"}


@pytest.mark.parametrize(
    ("image", "what", "fix"),
    [
        ("llama-stack", "--image 'llama-stack' has no image", "Write --image SERVICE=IMAGE."),
        ("llama-stack=", "--image 'llama-stack=' has no image", "Write --image SERVICE=IMAGE."),
        ("lama-stack=a", "no service is called 'lama-stack'", "Did you mean 'llama-stack'?"),
    ],
)
def test_an_image_is_given_to_a_service_that_there_is(tmp_path: Path, image: str, what: str, fix: str) -> None:
    found = refusal(tmp_path, images=(image,))
    assert (found[0], found[2]) == (what, fix)


def test_one_run_tells_what_is_wrong_in_every_file(tmp_path: Path) -> None:
    write(tmp_path, lightspeed=LIGHTSPEED + "skils: {}\n", run="a: [", settings="modle: x\n")
    assert complaints(tmp_path) == [
        "lcompose.yaml:1:1: modle",
        "lightspeed-stack.yaml:6:1: skils",
        "run.yaml:1:5: ",
    ]


def test_a_configuration_that_is_no_yaml_is_told_with_the_rest(tmp_path: Path) -> None:
    write(tmp_path, lightspeed="a: [", settings="modle: x\n")
    assert complaints(tmp_path) == ["lcompose.yaml:1:1: modle", "lightspeed-stack.yaml:1:5: "]


def test_a_file_to_mount_that_is_not_here_is_an_error_or_a_warning(tmp_path: Path) -> None:
    write(tmp_path, lightspeed=LIGHTSPEED + "splunk: {token_path: gone}\n")
    assert complaints(tmp_path) == ["lightspeed-stack.yaml:6:22: splunk.token_path"]
    [warning] = opened(tmp_path, missing=True).warnings
    assert (warning.severity, warning.path) == ("warning", "splunk.token_path")


def test_a_file_that_only_its_owner_may_read_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path, lightspeed=LIGHTSPEED + "splunk: {token_path: token}\n", token="x")
    (tmp_path / "token").chmod(0o600)
    token = tmp_path / "token"
    what = f"the file {token} cannot be read by the user 1001, which lightspeed-stack runs as"
    assert [(one.what, one.fix) for one in opened(tmp_path).warnings] == [(what, f"Run: chmod o+r {token}")]
    (tmp_path / "setfacl").touch(0o755)
    [warning] = opened(tmp_path, {"PATH": str(tmp_path)}).warnings
    assert warning.fix == f"Run: setfacl -m u:1001:r {token}"
    token.chmod(0o644)
    assert opened(tmp_path).warnings == ()


def test_a_place_has_the_digest_of_each_file_that_is_mounted(tmp_path: Path) -> None:
    write(tmp_path, lightspeed=LIGHTSPEED + "splunk: {token_path: token}\n", token="one", other="x")
    first = opened(tmp_path).place(tmp_path)
    digests = {str(tmp_path / "token"): first.digests[str(tmp_path / "token")]}
    assert first == Place(str(tmp_path), digests, str(tmp_path))
    write(tmp_path, token="two", other="y")
    assert opened(tmp_path).place(tmp_path) != first


def test_the_authorities_that_ones_own_programs_trust_are_mounted_where_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    write(tmp_path, lightspeed=LIGHTSPEED, settings="ca_bundle: environment\n")
    env = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}

    def mounted(*, here: bool) -> list[str]:
        found = open_workspace(Options(directory=str(tmp_path)), env, here=here).resolved.project
        return [mount.source for one in found.services for mount in one.mounts if isinstance(mount, FileMount)]

    assert mounted(here=True) == [str(tmp_path / "ca.pem")] * 2
    # What is rendered does not depend on who renders it: only .env counts.
    assert mounted(here=False) == []
    write(tmp_path, env=f"REQUESTS_CA_BUNDLE={tmp_path}/ca.pem\n")
    assert mounted(here=False) == [str(tmp_path / "ca.pem")] * 2


def test_a_variable_that_no_container_is_given_need_not_be_set(tmp_path: Path) -> None:
    store = "rag: {byok: {stores: [{rag_id: a, vector_db_id: v, backend: pgvector}]}}\n"
    run = f"{KNOWING}server: {{host: '${{env.HERE}}'}}\ntelemetry: {{enabled: '${{env.TOLD}}'}}\n"
    write(tmp_path, lightspeed=LIGHTSPEED + store, run=run)
    with pytest.raises(ConfigError) as caught:
        open_workspace(Options(directory=str(tmp_path)), {}, variables=True)
    # Where the database is, and its port, is ours to say, and so is where Llama Stack listens.
    assert [found.what for found in caught.value.findings if found.severity == "error"] == [
        f"the variable {name} is not set"
        for name in ("POSTGRES_DATABASE", "POSTGRES_USER", "POSTGRES_PASSWORD", "TOLD")
    ]


def test_nothing_is_written_while_a_folder_is_read(tmp_path: Path) -> None:
    opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lightspeed-stack.yaml"]


@pytest.mark.parametrize("text", ["\0", "a: &a [*a]", "{" * 100, "a: !x 1", "a: 1\na: 2", "\xff"])
def test_whatever_stands_in_a_file_there_is_an_error_for_people(tmp_path: Path, text: str) -> None:
    for name in ("lightspeed-stack.yaml", "run.yaml", "lcompose.yaml"):
        write(tmp_path, **{"lightspeed-stack.yaml": LIGHTSPEED, "run.yaml": RUN, "lcompose.yaml": ""})
        write(tmp_path, **{name: text})
        with pytest.raises(LcomposeError):
            opened(tmp_path)
