"""Options: the same before and after a command; the later one wins, and lists add up."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from lcompose.cli.options import console_of, environment, file_options, options_of, remember, shared_options
from lcompose.cli.root import COMMANDS, root
from lcompose.workspace import Options


def run(*args: str) -> Result:
    """The result of a small program with the shared options, whose command gives them back."""

    @click.group()
    @shared_options
    @click.pass_context
    def program(ctx: click.Context, /, **given: Any) -> None:
        remember(ctx, given)

    @program.command()
    @shared_options
    @click.option("--own")
    @click.pass_context
    def command(ctx: click.Context, /, **given: Any) -> tuple[Options, dict[str, Any]]:
        return options_of(ctx, given), given

    return CliRunner().invoke(program, args, standalone_mode=False)


def options(*args: str) -> Options:
    """The options that a command line means."""
    result = run(*args)
    assert result.exception is None
    found: Options = result.return_value[0]
    return found


def test_without_options_everything_is_left_open() -> None:
    assert options("command") == Options()


EVERY = (
    ("-C", "dir", "directory", "dir"),
    ("-c", "a.yaml", "config", "a.yaml"),
    ("--config", "a.yaml", "config", "a.yaml"),
    ("--run-config", "run.yaml", "run_config", "run.yaml"),
    ("-p", "name", "project_name", "name"),
    ("--project-name", "name", "project_name", "name"),
    ("--profile", "prod", "profiles", ("prod",)),
    ("--engine", "podman", "engine", "podman"),
    ("--runtime", "local", "runtime", "local"),
    ("--gpu", "cuda", "gpu", "cuda"),
    ("--inference", "ollama", "inference", "ollama"),
    ("--model", "org/name", "model", "org/name"),
    ("--image", "a=b", "images", ("a=b",)),
    ("--set", "a=b", "sets", ("a=b",)),
)


@pytest.mark.parametrize(("option", "value", "name", "meaning"), EVERY)
@pytest.mark.parametrize("before", [True, False])
def test_an_option_may_stand_before_or_after_the_command(
    option: str, value: str, name: str, meaning: Any, before: bool
) -> None:
    args = (option, value, "command") if before else ("command", option, value)
    assert options(*args) == Options(**{name: meaning})


@pytest.mark.parametrize(("flag", "name"), [("--json", "json"), ("-v", "verbose"), ("--verbose", "verbose")])
@pytest.mark.parametrize("before", [True, False])
def test_a_flag_may_stand_before_or_after_the_command(flag: str, name: str, before: bool) -> None:
    assert options(*((flag, "command") if before else ("command", flag))) == Options(**{name: True})


def test_what_stands_after_the_command_wins() -> None:
    assert options("--gpu", "cuda", "command", "--gpu", "rocm").gpu == "rocm"


def test_lists_of_both_places_add_up() -> None:
    args = ("--profile", "a", "--set", "x=1", "command", "--profile", "b", "--set", "x=2")
    assert (options(*args).profiles, options(*args).sets) == (("a", "b"), ("x=1", "x=2"))


def test_what_is_left_are_the_commands_own_options() -> None:
    assert run("--json", "command", "--own", "1", "--gpu", "cuda").return_value[1] == {"own": "1"}


@pytest.mark.parametrize(("option", "value"), [("--engine", "dcoker"), ("--runtime", "conatiner")])
def test_a_word_that_is_no_choice_is_refused(option: str, value: str) -> None:
    assert isinstance(run("command", option, value).exception, click.BadParameter)


def test_the_console_is_as_the_options_ask() -> None:
    found = console_of(Options(json=True, verbose=True))
    assert (found.as_json, found.verbose) == (True, True)


def test_the_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCOMPOSE_ENGINE", "podman")
    found = environment()
    found["LCOMPOSE_ENGINE"] = "docker"
    assert environment()["LCOMPOSE_ENGINE"] == "podman"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_says_there_what_the_list_says(name: str) -> None:
    result = CliRunner().invoke(root, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: root {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_on_a_stack_has_the_shared_options(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command
    own = {parameter.name for parameter in command.params}
    assert name in ("ci", "completion", "init", "schema") or set(Options.__dataclass_fields__) <= own


@pytest.mark.parametrize("name", COMMANDS)
def test_a_compose_file_is_named_by_the_same_options_wherever_one_may_be(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command
    own = {option: parameter.name for parameter in command.params for option in parameter.opts}
    if name in ("up", "down", "status", "events"):
        assert own["-f"] == own["--file"]
    # On logs, -f follows, as people's fingers know it.
    if name == "logs":
        assert (own["-f"], own["--file"]) == ("follow", "file")


def test_files_and_composes_profiles_add_up() -> None:
    @click.command()
    @file_options
    def command(**given: Any) -> dict[str, Any]:
        return given

    args = ["-f", "a.yaml", "--file", "b.yaml", "--compose-profile", "x", "--compose-profile", "y"]
    result = CliRunner().invoke(command, args, standalone_mode=False)
    assert result.return_value == {"files": ("a.yaml", "b.yaml"), "compose_profiles": ("x", "y")}


@pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
def test_a_time_to_become_ready_is_a_number_of_seconds(seconds: str) -> None:
    result = CliRunner().invoke(root, ["up", "--wait-timeout", seconds])
    assert result.exit_code == 2


def test_an_unknown_command_gets_its_near_miss() -> None:
    result = CliRunner().invoke(root, ["dwon"])
    assert result.exit_code == 2
    assert "there is no command 'dwon'. Did you mean 'down'?" in result.output
