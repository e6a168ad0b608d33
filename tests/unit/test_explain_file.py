"""Explaining what is rendered: every word of every service, a person's own words of Compose, and no secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from lcompose.cli.explain import command, evidence_of
from lcompose.cli.render import command as render
from lcompose.explain import AS_MADE, NOT_SET, Explained, asked_for, explained
from lcompose.templates import data_directory
from lcompose.workspace import Options, open_workspace
from tests.unit.given import LIGHTSPEED, RUN

ROOT = Path(__file__).parents[2]
BY_PLACE = ("volumes", "configs", "secrets")

# A run.yaml that somebody may have written, with all that a store of knowledge needs.
WHOLE_RUN = (data_directory("templates") / "baseline-default.yaml").read_text()
UNIFIED = """
name: test
service: {port: 8080}
ogx: {url: "http://localhost:8321", config: {baseline: default, native_override: {server: {port: 8444}}}}
inference: {providers: [{type: ollama, id: o, allowed_models: [a]}]}
rag:
  byok:
    stores:
    - {rag_id: docs, vector_db_id: vs, backend: pgvector, host: localhost, db: d, user: u, password: "${env.PG}"}
user_data_collection: {feedback_enabled: true, feedback_storage: /tmp/data/feedback}
"""
WORDS = """
services:
  llama-stack: {limits: {memory: 3g}, env: {LEVEL: high, PASSED: }}
compose:
  services:
    llama-stack:
      mem_limit: 12g
      environment: ["EXTRA=${EXTRA:-one}", MORE=2]
      depends_on: [tool]
      ports: ["127.0.0.1:9999:8321"]
      volumes: ["./prompts:/prompts:ro"]
      networks: [default, back]
    tool:
      image: example.com/tool:${TAG}
      env_file: tool.env
      healthcheck: {test: [CMD, /check]}
      x-lcompose: {probe: {port: 3000}}
  networks: {back: {internal: true}}
  volumes: {more: {driver: local}}
"""


def workspace_of(folder: Path, files: Mapping[str, str]) -> Path:
    """A folder with these files, and both documents."""
    for name, text in {"lightspeed-stack.yaml": LIGHTSPEED, "run.yaml": RUN, **files}.items():
        if text:
            (folder / name).write_text(text)
    return folder


def rows_of(folder: Path, **options: Any) -> tuple[Explained, ...]:
    """All that is explained of a folder."""
    asked = Options(directory=str(folder), project_name="demo", **options)
    workspace = open_workspace(asked, {"HOME": "/home/me"}, allow_missing=True)
    return explained(evidence_of(workspace, asked, {"HOME": "/home/me"}))


def one(rows: tuple[Explained, ...], wanted: str) -> Explained:
    """The one row that is asked for."""
    found = asked_for(rows, wanted)
    assert len(found) == 1, found
    return found[0]


def run(folder: Path, *args: str, **env: str) -> Result:
    return CliRunner().invoke(command, ["-C", str(folder), "-p", "demo", *args], env=env)


# --- every word ---


def words(path: tuple[str, ...], value: Any) -> Iterator[tuple[str, Any]]:
    """Every word below a path of a compose file, each with its name."""
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from words((*path, str(name)), below)
    elif path[0] in BY_PLACE and isinstance(value, list):
        yield from ((f"{path[0]}.{place(entry)}", entry) for entry in value)
    else:
        yield ".".join(path), value


def place(entry: Any) -> str:
    """Where in the container a mount is."""
    return str(entry["target"]) if isinstance(entry, dict) else str(entry).split(":")[1]


EXAMPLES = sorted(path.parent.name for path in ROOT.glob("compose-examples/*/lightspeed-stack.yaml"))
PROJECTS: dict[str, dict[str, str]] = {
    "unified": {"lightspeed-stack.yaml": UNIFIED, "run.yaml": ""},
    "own words": {"lcompose.yaml": WORDS},
    "own words, unified": {"lightspeed-stack.yaml": UNIFIED, "run.yaml": "", "lcompose.yaml": WORDS},
    "settings": {
        "lcompose.yaml": "boot: ordered\nservices: {llama-stack: {volumes: ['a:/a', './b:/b'], log_level: error}}"
    },
    "proxies": {".env": "HTTPS_PROXY=http://proxy:1\nOTEL_SERVICE_NAME=x\n"},
}


def rendered(folder: Path, *args: str) -> dict[str, Any]:
    """The services of the compose file that 'render' prints."""
    result = CliRunner().invoke(
        render, ["-C", str(folder), "-p", "demo", "--allow-missing", *args], env={"HOME": "/home/me"}
    )
    assert result.exit_code == 0, result.output
    services: dict[str, Any] = yaml.safe_load(result.stdout)["services"]
    return services


def assert_every_word_is_explained(folder: Path, profile: str) -> None:
    rows = rows_of(folder, profiles=(profile,))
    found = 0
    for service, tree in rendered(folder, "--profile", profile).items():
        for name, value in words((), tree):
            row = one(rows, f"{service}.{name}")
            assert row.written == value, f"{service}.{name}"
            assert row.cause.layer, f"{service}.{name}"
            assert row.cause.reason not in ("", AS_MADE, NOT_SET), f"{service}.{name}"
            found += 1
    assert found > 20


@pytest.mark.parametrize("profile", ["dev", "prod"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_word_that_is_rendered_of_an_example_is_explained(name: str, profile: str) -> None:
    assert_every_word_is_explained(ROOT / "compose-examples" / name, profile)


@pytest.mark.parametrize("profile", ["dev", "prod"])
@pytest.mark.parametrize("name", PROJECTS)
def test_every_word_that_is_rendered_is_explained(tmp_path: Path, name: str, profile: str) -> None:
    assert_every_word_is_explained(workspace_of(tmp_path, PROJECTS[name]), profile)


# --- every word of a process ---

# A database, and words of Compose.
ONLY_CONTAINERS = ("postgres", "mcp-proxy")
CHECKOUT = ("services.lightspeed-stack.local.workingDir=src/lcore",)
KNOWLEDGE = UNIFIED[UNIFIED.index("rag:") : UNIFIED.index("user_data")]
LOCALLY: dict[str, dict[str, str]] = {
    "plain": {},
    "unified": {"lightspeed-stack.yaml": UNIFIED.replace(KNOWLEDGE, ""), "run.yaml": ""},
    "settings": {
        "lcompose.yaml": "boot: ordered\nservices:\n  llama-stack:\n    restart: on-failure\n    log_level: error\n"
        "    env: {PASSED: }\n    logging: {max_size: 5m}\n"
        "    local: {command: ogx, args: [run], workingDir: ., env: {A: b, X_TOKEN: }, limits: {memory: 1g}}\n"
    },
    "socket": {
        "lcompose.yaml": "services:\n  lightspeed-stack:\n    local: {command: 'serve {socket}', socket: /run/x.sock}\n"
    },
    "inference": {"lcompose.yaml": "inference: vllm\nmodel: a/b\n"},
    "ollama": {"lcompose.yaml": "inference: ollama\nmodel: a\n"},
}


def processes_of(folder: Path, *args: str) -> dict[str, Any]:
    """The services of the process file that 'render' prints."""
    return rendered(folder, "--runtime", "local", "--set", *CHECKOUT, *args)


def assert_every_word_of_a_process_is_explained(folder: Path, profile: str) -> None:
    rows = rows_of(folder, profiles=(profile,), runtime="local", sets=CHECKOUT)
    for service, tree in processes_of(folder, "--profile", profile).items():
        found = list(words((), tree))
        assert {"command", "directory", "digest", "restart"} <= {name for name, _ in found}
        for name, value in found:
            row = one(rows, f"{service}.{name}")
            assert row.written == value, f"{service}.{name}"
            assert row.cause.layer, f"{service}.{name}"
            assert row.cause.reason not in ("", AS_MADE, NOT_SET), f"{service}.{name}"


@pytest.mark.parametrize("profile", ["dev", "prod"])
@pytest.mark.parametrize("name", LOCALLY)
def test_every_word_of_the_process_file_is_explained(tmp_path: Path, name: str, profile: str) -> None:
    assert_every_word_of_a_process_is_explained(workspace_of(tmp_path, LOCALLY[name]), profile)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ONLY_CONTAINERS])
def test_every_word_of_an_example_as_processes_is_explained(name: str) -> None:
    assert_every_word_of_a_process_is_explained(ROOT / "compose-examples" / name, "dev")


def test_of_a_process_nothing_is_told_that_only_containers_have(tmp_path: Path) -> None:
    rows = rows_of(workspace_of(tmp_path, {}), runtime="local", sets=CHECKOUT, profiles=("prod",))
    fields = {row.field.split(".")[0] for row in rows if row.service == "llama-stack"}
    assert fields & {"image", "pull_policy", "hardening", "entrypoint", "mem_limit", "configs", "user"} == set()
    assert {"command", "directory", "inherit", "digest", "probe", "runtime"} <= fields


@pytest.mark.parametrize(
    ("wanted", "value", "layer", "reason"),
    [
        ("llama-stack.directory", "{folder}", "lcompose", "your folder: what you say of paths starts there"),
        (
            "lightspeed-stack.directory",
            "{folder}/src/lcore",
            "command line",
            "Directory that it is started",
        ),
        ("llama-stack.ports", "127.0.0.1:8321", "lightspeed-stack.yaml", "from ogx.url"),
        ("llama-stack.environment.HF_HOME", "${{HF_HOME:-}}", "lcompose", "passed on by name"),
        ("llama-stack.command", "uv tool run", "lcompose", "uv starts this version"),
        ("lightspeed-stack.command", "uv run", "command line", "uv starts what is in the checkout"),
    ],
)
def test_a_word_of_a_process_says_who_set_it(tmp_path: Path, wanted: str, value: str, layer: str, reason: str) -> None:
    rows = rows_of(workspace_of(tmp_path, {}), runtime="local", sets=CHECKOUT)
    row = one(rows, wanted)
    assert row.value.startswith(value.format(folder=tmp_path)), row.value
    assert (row.cause.layer, row.cause.reason[: len(reason)]) == (layer, reason)


def test_processes_are_explained_where_their_programs_are_not_known(tmp_path: Path) -> None:
    rows = rows_of(workspace_of(tmp_path, {}), runtime="local")
    assert one(rows, "lightspeed-stack.command").cause.reason.startswith("no program is known for it yet")


def test_what_a_process_reads_is_shown_as_it_reads_it(tmp_path: Path) -> None:
    done = run(workspace_of(tmp_path, {}), "lightspeed-stack.yaml", "--runtime", "local", "--set", *CHECKOUT)
    lines = done.output.splitlines()
    assert {"+++ lightspeed-stack.yaml, as it is read", "+url: http://127.0.0.1:8321"} <= set(lines)
    rows = rows_of(tmp_path, runtime="local", sets=CHECKOUT)
    reason = "run on this machine, with the Python that runs lcompose"
    assert one(rows, "llama-stack.healthcheck.test").cause.reason == reason


def test_of_both_kinds_each_is_explained_as_it_is_written(tmp_path: Path) -> None:
    sets = ("services.llama-stack.runtime=local",)
    folder = workspace_of(tmp_path, {})
    CliRunner().invoke(
        render, ["-C", str(folder), "-p", "demo", "--allow-missing", "-o", str(folder / "out"), "--set", *sets],
        env={"HOME": "/home/me"}, catch_exceptions=False,
    )  # fmt: skip
    rows = rows_of(folder, sets=sets)
    compose, native = (
        yaml.safe_load((folder / "out" / name).read_text())["services"] for name in ("compose.yaml", "processes.yaml")
    )
    assert (list(compose), list(native)) == (["lightspeed-stack"], ["llama-stack"])
    assert one(rows, "lightspeed-stack.ports").written == compose["lightspeed-stack"]["ports"]
    for name, value in words((), native["llama-stack"]):
        found = one(rows, f"llama-stack.{name}")
        assert found.cause.reason not in ("", AS_MADE, NOT_SET), name
        if name not in ("command", "directory", "digest") and "/out/" not in str(value):
            assert found.written == value, name
    told = run(folder, "lightspeed-stack.yaml", "--set", *sets).output
    assert "+url: http://host.docker.internal:8321" in told.splitlines()


def test_no_default_that_is_a_secret_is_told_of_a_process(tmp_path: Path) -> None:
    run_yaml = RUN.replace(
        "providers: {}",
        "providers: {inference: [{provider_id: a, provider_type: 'remote::openai', "
        "config: {api_key: '${env.MY_API_KEY:=sk-hidden-one}'}}]}",
    )
    folder = workspace_of(tmp_path, {"run.yaml": run_yaml})
    done = run(folder, "llama-stack", "--json", "--runtime", "local", "--set", *CHECKOUT)
    assert ("MY_API_KEY" in done.output, "sk-hidden-one" in done.output) == (True, False)


@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize("name", PROJECTS)
def test_every_value_has_a_layer_and_a_reason_of_its_own(tmp_path: Path, name: str, engine: str) -> None:
    rows = rows_of(workspace_of(tmp_path, PROJECTS[name]), engine=engine)
    assert [row for row in rows if not row.cause.layer or row.cause.reason in ("", AS_MADE)] == []


def test_a_word_of_the_file_and_the_field_that_it_is_are_the_same(tmp_path: Path) -> None:
    rows = rows_of(workspace_of(tmp_path, {}), profiles=("prod",))
    for word, field in (
        ("mem_limit", "limits.memory"),
        ("stop_grace_period", "stop_grace"),
        ("tmpfs", "hardening.tmpfs"),
    ):
        by_word, by_field = one(rows, f"llama-stack.{word}"), one(rows, f"llama-stack.{field}")
        assert (by_word.value, by_word.cause) == (by_field.value, by_field.cause)
    assert "mem_limit" not in {row.field for row in asked_for(rows, "llama-stack")}


def test_what_starts_a_service_whose_root_is_read_only_says_so(tmp_path: Path) -> None:
    rows = rows_of(workspace_of(tmp_path, {}), profiles=("prod",))
    for word in ("command", "entrypoint", "environment.LCOMPOSE_DOCUMENT"):
        row = one(rows, f"llama-stack.{word}")
        assert (row.cause.layer, row.cause.where) == ("profile prod", "profiles/prod.yaml:19:5")
        assert row.cause.reason.startswith("its root is read-only")
    assert one(rows_of(tmp_path), "llama-stack.command").cause.layer == "lcompose"


# --- a person's own words of Compose ---


@pytest.fixture
def own(tmp_path: Path) -> tuple[Explained, ...]:
    """What is explained where a person overrides, and adds a service."""
    return rows_of(workspace_of(tmp_path, {"lcompose.yaml": WORDS}), profiles=("prod",))


def test_a_value_that_own_words_override_says_where_and_what_was_before(own: tuple[Explained, ...]) -> None:
    row = one(own, "llama-stack.mem_limit")
    assert (row.value, row.cause.layer, row.cause.where) == ("12g", "lcompose.yaml", "lcompose.yaml:7:7")
    assert row.cause.reason == "compose.services.llama-stack.mem_limit: instead of what lcompose has"
    assert row.cause.below == (("profile prod", "8g"), ("lcompose.yaml", "3g"))


def test_the_layers_of_own_words_are_told_the_highest_wins(tmp_path: Path) -> None:
    mine = "description: x\nextends: base\ncompose:\n  services:\n    llama-stack: {mem_limit: 10g, cpus: 3}\n"
    folder = workspace_of(tmp_path, {"lcompose.yaml": WORDS, "mine.yaml": mine})
    rows = rows_of(folder, profiles=("./mine.yaml",))
    memory, cpus = one(rows, "llama-stack.mem_limit"), one(rows, "llama-stack.cpus")
    assert (memory.value, memory.cause.layer) == ("12g", "lcompose.yaml")
    assert memory.cause.below == (("lcompose.yaml", "3g"), ("profile ./mine.yaml", "10g"))
    assert (cpus.value, cpus.cause.layer, cpus.cause.where) == ("3", "profile ./mine.yaml", "./mine.yaml:5:35")


@pytest.mark.parametrize(
    ("wanted", "value", "where", "reason"),
    [
        ("tool.started", "true", "13:5", "compose.services.tool: a service of your own"),
        (
            "tool.healthcheck.test",
            "CMD /check",
            "16:21",
            "compose.services.tool.healthcheck.test: your own words of Compose",
        ),
        (
            "tool.x-lcompose.probe.port",
            "3000",
            "17:28",
            "compose.services.tool.x-lcompose.probe.port: your own words of Compose",
        ),
        (
            "llama-stack.environment.MORE",
            "2",
            "8:44",
            "compose.services.llama-stack.environment.MORE: your own words of Compose",
        ),
        (
            "llama-stack.networks.back",
            "",
            "12:27",
            "compose.services.llama-stack.networks.back: your own words of Compose",
        ),
        ("networks.back.internal", "true", "18:21", "compose.networks.back.internal: your own words of Compose"),
        ("volumes.more.driver", "local", "19:20", "compose.volumes.more.driver: your own words of Compose"),
    ],
)
def test_what_own_words_add_says_its_place(
    own: tuple[Explained, ...], wanted: str, value: str, where: str, reason: str
) -> None:
    row = one(own, wanted)
    assert (row.value, row.cause.layer, row.cause.where) == (value, "lcompose.yaml", f"lcompose.yaml:{where}")
    assert row.cause.reason == reason


def test_a_list_that_is_added_to_says_so(tmp_path: Path) -> None:
    folder = workspace_of(tmp_path, {"lcompose.yaml": WORDS})
    row = one(rows_of(folder), "llama-stack.ports")
    assert (row.value, row.cause.where) == ("127.0.0.1:8321:8321, 127.0.0.1:9999:8321", "lcompose.yaml:10:7")
    assert row.cause.reason == "compose.services.llama-stack.ports: added to what lcompose has"
    assert row.cause.below == (("lightspeed-stack.yaml", "127.0.0.1:8321:8321"),)


def test_what_only_the_engines_compose_knows_is_said(own: tuple[Explained, ...]) -> None:
    image, file = one(own, "tool.image"), one(own, "tool.env_file")
    assert image.value == "example.com/tool:${TAG}"
    assert image.cause.reason.endswith("; the engine's compose fills in TAG, and it is not set")
    assert file.cause.reason.endswith("; what is in this file is known when the engine's compose has read it")


def test_what_lcompose_writes_for_own_words_names_them(own: tuple[Explained, ...]) -> None:
    row = one(own, "llama-stack.labels.lcompose.after")
    assert (row.value, row.cause.layer, row.cause.where) == ("tool", "lcompose.yaml", "lcompose.yaml:9:7")


def test_a_field_that_own_words_take_out_of_the_file_is_empty(tmp_path: Path) -> None:
    text = "compose: {services: {llama-stack: {logging: {driver: syslog}}}}\n"
    rows = rows_of(workspace_of(tmp_path, {"lcompose.yaml": text}), profiles=("prod",))
    row = one(rows, "llama-stack.log_rotation.max_size")
    assert (row.value, row.cause.layer) == ("", "lcompose.yaml")
    assert row.cause.below[-1] == ("profile prod", "10m")


def test_a_service_with_a_dot_in_its_name_is_found(tmp_path: Path) -> None:
    text = "compose: {services: {my.tool: {image: 'a:1'}}}\n"
    rows = rows_of(workspace_of(tmp_path, {"lcompose.yaml": text}))
    assert one(rows, "my.tool.image").value == "a:1"


# --- how run.yaml was made ---


def steps(folder: Path, *args: str) -> list[tuple[str, str, str]]:
    found = json.loads(run(folder, "--json", *args).stdout)["run_steps"]
    return [(step["path"], step["where"], step["source"]) for step in found]


def test_the_steps_that_made_run_yaml_are_told(tmp_path: Path) -> None:
    folder = workspace_of(tmp_path, {"lightspeed-stack.yaml": UNIFIED, "run.yaml": ""})
    assert steps(folder) == [
        ("(all of it)", "lightspeed-stack.yaml:4:46", "ogx.config.baseline"),
        ("providers.inference[2]", "lightspeed-stack.yaml:5:25", "inference.providers[0]"),
        ("providers.vector_io[1]", "lightspeed-stack.yaml:9:7", "rag.byok.stores[0]"),
        ("registered_resources.models[0]", "lightspeed-stack.yaml:9:7", "rag.byok.stores[0]"),
        ("registered_resources.vector_stores[0]", "lightspeed-stack.yaml:9:7", "rag.byok.stores[0]"),
        ("server", "lightspeed-stack.yaml:4:83", "ogx.config.native_override.server"),
    ]
    out = run(folder, "llama-stack").stdout
    assert "ogx.config.baseline: the default baseline" in out
    assert steps(folder, "lightspeed-stack") == []


def test_a_profile_that_run_yaml_is_made_of_is_named(tmp_path: Path) -> None:
    text = UNIFIED.replace("baseline: default", "profile: mine.yaml")
    folder = workspace_of(tmp_path, {"lightspeed-stack.yaml": text, "run.yaml": "", "mine.yaml": WHOLE_RUN})
    assert steps(folder)[0] == ("(all of it)", "lightspeed-stack.yaml:4:46", "ogx.config.profile")


@pytest.mark.parametrize(
    ("run_yaml", "step"),
    [
        (RUN, ("(all of it)", "run.yaml", "")),
        ("", ("(all of it)", "templates/baseline-run.yaml", "")),
    ],
)
def test_a_run_yaml_that_is_not_made_says_whose_it_is(
    tmp_path: Path, run_yaml: str, step: tuple[str, str, str]
) -> None:
    assert steps(workspace_of(tmp_path, {"run.yaml": run_yaml})) == [step]


def test_what_is_added_to_an_own_run_yaml_is_a_step_and_a_change(tmp_path: Path) -> None:
    store = "{rag_id: docs, vector_db_id: vs, backend: faiss, db_path: /tmp/data/docs.db}"
    text = f"{LIGHTSPEED}rag: {{byok: {{stores: [{store}]}}}}\n"
    folder = workspace_of(tmp_path, {"lightspeed-stack.yaml": text, "run.yaml": WHOLE_RUN})
    assert ("providers.vector_io[1]", "lightspeed-stack.yaml:6:23", "rag.byok.stores[0]") in steps(folder)
    found = {one["path"]: one for one in json.loads(run(folder, "--json").stdout)["changes"]}
    change = found["providers.vector_io[1]"]
    assert change["where"] == "lightspeed-stack.yaml:6:23"
    assert change["diff"][:2] == ["+- provider_id: byok_docs", '+  provider_type: "inline::faiss"']


def test_what_the_baseline_says_is_not_said_to_be_the_persons(tmp_path: Path) -> None:
    text = UNIFIED.replace("baseline: default, ", "")
    row = one(
        rows_of(workspace_of(tmp_path, {"lightspeed-stack.yaml": text, "run.yaml": ""})),
        "llama-stack.environment.SQL_STORE_PATH",
    )
    assert (row.cause.layer, row.cause.where) == ("lcompose", "the default baseline")


# --- what is removed ---


def test_settings_that_are_taken_out_of_the_document_are_a_change(tmp_path: Path) -> None:
    text = f"{LIGHTSPEED}runtime: container\ncontainer:\n  limits: {{memory: 3g}}\n"
    found = json.loads(run(workspace_of(tmp_path, {"lightspeed-stack.yaml": text}), "--json").stdout)["changes"]
    removed = {one["path"]: (one["where"], one["diff"]) for one in found if one["path"] in ("runtime", "container")}
    assert removed == {
        "runtime": ("lightspeed-stack.yaml:6:1", ["-runtime: container"]),
        "container": ("lightspeed-stack.yaml:7:1", ["-container:", "-  limits:", '-    memory: "3g"']),
    }


# --- secrets ---

SECRETS = {
    "lightspeed-stack.yaml": LIGHTSPEED.replace(
        'ogx: {url: "http://localhost:8321"}',
        'ogx: {url: "http://me:hidden-in-url@localhost:8321", api_key: hidden-in-document}',
    )
    + "container: {env: {A_TOKEN: '${A_TOKEN:-hidden-default}'}}\n",
    "run.yaml": RUN.replace(
        "providers: {}",
        "providers: {inference: [{provider_id: a, provider_type: 'remote::openai', config: {api_key: hidden-in-run}}]}",
    ),
    "lcompose.yaml": """
compose:
  services:
    tool:
      image: a:1
      command: tool --with hidden-in-words
      environment: {DB_PASSWORD: hidden-in-words, B_KEY: "${B_KEY:-hidden-default-of-words}"}
      labels: {my.token: hidden-label}
    llama-stack: {environment: ["C_SECRET=hidden-in-list"]}
""",
    ".env": "OPENAI_API_KEY=hidden-in-env-file\nHTTP_PROXY=http://me:hidden-proxy@proxy:1\n",
}


@pytest.mark.parametrize("json_too", [(), ("--json",)])
@pytest.mark.parametrize(
    "wanted", ["", "llama-stack", "lightspeed-stack", "tool", "tool.command", "run.yaml", "settings"]
)
def test_no_secret_is_in_the_output(tmp_path: Path, wanted: str, json_too: tuple[str, ...]) -> None:
    args = [*json_too, *([wanted] if wanted else [])]
    result = run(workspace_of(tmp_path, SECRETS), *args, D_PASSWORD="hidden-in-environment")
    assert result.exit_code == 0, result.output
    assert result.stdout
    assert [line for line in result.output.splitlines() if "hidden-" in line] == []


def test_a_secret_that_must_stay_in_its_document_is_not_told(tmp_path: Path) -> None:
    text = LIGHTSPEED.replace('8321"', '8321", api_key: "87654321"')
    result = run(workspace_of(tmp_path, {"lightspeed-stack.yaml": text}), "--json")
    assert result.exit_code == 0, result.output
    assert "87654321" not in result.output


# --- text and JSON ---


def test_json_says_all_that_the_text_says(tmp_path: Path) -> None:
    folder = workspace_of(tmp_path, {"lightspeed-stack.yaml": UNIFIED, "run.yaml": "", "lcompose.yaml": WORDS})
    for wanted in ("llama-stack", "tool", "postgres", "llama-stack.mem_limit", "run.yaml", "settings"):
        found = json.loads(run(folder, "--json", wanted).stdout)
        told = [text for one in found["values"] for text in (one["field"], one["layer"], one["where"], one["reason"])]
        told += [text for one in found["values"] for lower in one["below"] for text in lower.values()]
        told += [text for step in found["run_steps"] for text in step.values()]
        told += [
            text for one in found["changes"] for text in (*one["diff"], one["reason"], one["where"], one["source"])
        ]
        said = " ".join(told)
        for line in run(folder, wanted).stdout.splitlines():
            if line.startswith(("+", "-", "@@")) and not line.startswith(("+++", "---")):
                assert line.startswith("@@") or line in told
        for one in found["values"]:
            assert one["reason"] in run(folder, wanted).stdout
        assert said or wanted == "settings"


def test_the_keys_of_json_are_stable(tmp_path: Path) -> None:
    folder = workspace_of(tmp_path, {"lightspeed-stack.yaml": UNIFIED, "run.yaml": ""})
    found = json.loads(run(folder, "--json").stdout)
    assert set(found) == {"project", "profiles", "values", "run_steps", "changes"}
    value = {"service", "field", "setting", "value", "rendered", "layer", "where", "reason", "below"}
    assert {frozenset(one) for one in found["values"]} == {frozenset(value)}
    assert {frozenset(one) for one in found["run_steps"]} == {frozenset({"path", "layer", "where", "source", "reason"})}
    change = {"document", "source", "path", "before", "after", "reason", "where", "diff"}
    assert {frozenset(one) for one in found["changes"]} == {frozenset(change)}


def test_json_has_what_is_rendered_as_it_is(tmp_path: Path) -> None:
    found = json.loads(run(workspace_of(tmp_path, {}), "--json", "lightspeed-stack.ports").stdout)
    port = {"target": 8080, "published": "8080", "host_ip": "127.0.0.1", "protocol": "tcp"}
    assert (found["values"][0]["value"], found["values"][0]["rendered"]) == ("127.0.0.1:8080:8080", [port])


# --- what there is not ---


@pytest.mark.parametrize(
    ("wanted", "what", "fix"),
    [
        ("tol", "no service is called 'tol'", "Did you mean 'tool'?"),
        ("tool.imge", "tool has no field 'imge'", "Did you mean 'image'?"),
        ("llama-stack.mem_limt", "llama-stack has no field 'mem_limt'", "Did you mean 'mem_limit'?"),
        (
            "llama-stack.environment.EXTR",
            "llama-stack has no field 'environment.EXTR'",
            "Did you mean 'environment.EXTRA'?",
        ),
    ],
)
def test_what_is_not_there_gets_its_near_miss(tmp_path: Path, wanted: str, what: str, fix: str) -> None:
    result = run(workspace_of(tmp_path, {"lcompose.yaml": WORDS}), wanted)
    assert (result.exception.what, result.exception.fix) == (what, fix)  # type: ignore[union-attr]
