"""Names of projects, variables, Compose's own profiles, and dependencies that may be missing."""

from __future__ import annotations

from tests.engine.case import Case
from tests.engine.stack import Stack

CASES = (
    Case(
        "a dependency that is not required may be in a profile that is not chosen",
        """
        services:
          gpu: {image: $IMAGE, init: true, command: sleep 60, profiles: [gpu]}
          app:
            image: $IMAGE
            init: true
            command: sleep 60
            depends_on: {gpu: {condition: service_started, required: false}}
        """,
        states={"app": "running", "gpu": "absent"},
    ),
    Case(
        "a dependency that only must be started is not waited for",
        """
        services:
          db:
            image: $IMAGE
            init: true
            command: sh -c "until test -f /work/app; do sleep 0.1; done; touch /tmp/ok; exec sleep 60"
            volumes: ["work:/work"]
            healthcheck: {test: ["CMD", "test", "-f", "/tmp/ok"], interval: 0.3s, retries: 100}
          app:
            image: $IMAGE
            init: true
            command: sh -c "touch /work/app; exec sleep 60"
            volumes: ["work:/work"]
            depends_on: {db: {condition: service_started}}
        volumes: {work: {}}
        """,
        states={"db": "running", "app": "running"},
    ),
)

PROFILES = """
    services:
      app: {image: $IMAGE, init: true, command: sleep 60}
      gpu: {image: $IMAGE, init: true, command: sleep 60, profiles: [gpu]}
      debug: {image: $IMAGE, init: true, command: sleep 60, profiles: [debug]}
"""


def profiles_are_chosen_as_composes_users_know_it_and_down_needs_none(stack: Stack) -> None:
    stack.write(PROFILES)
    stack.started()
    assert stack.states() == {"app": "running"}
    stack.started("--compose-profile", "gpu")
    assert stack.states() == {"app": "running", "gpu": "running"}
    stack.started(COMPOSE_PROFILES="gpu,debug")
    assert stack.states() == {"app": "running", "debug": "running", "gpu": "running"}
    stack.ends()


NAMED = """
    name: NAME
    services:
      app: {image: $IMAGE, init: true, command: sleep 60}
"""


def the_file_the_environment_and_the_option_name_the_project_in_this_order(stack: Stack) -> None:
    """Each of the three wins over what is before it; the folder's name is used where nobody says."""
    beside = ["-f", str(stack.file), "--engine", stack.engine]
    names = {which: f"{stack.project}-{which}" for which in ("file", "environment", "option")}
    said = {**stack.env, "COMPOSE_PROJECT_NAME": names["environment"]}
    calls = {
        stack.folder.name: (beside, stack.env),
        names["file"]: (beside, stack.env),
        names["environment"]: (beside, said),
        names["option"]: ([*beside, "-p", names["option"]], said),
    }
    for name, (argv, variables) in calls.items():
        line = "" if name == stack.folder.name else f"name: {names['file']}"
        stack.write(NAMED.replace("name: NAME", line))
        named = stack.another(name)
        did = stack.run("up", *argv, env=variables)
        assert did.code == 0, did.said
        assert named.states() == {"app": "running"}, name
        down = stack.run("down", *argv, env=variables)
        assert down.code == 0, down.said
        assert named.left() == {}


def a_name_may_have_variables(stack: Stack) -> None:
    stack.write(NAMED.replace("name: NAME", "name: ${PREFIX:-dev}-$STACK"))
    argv = ["-f", str(stack.file), "--engine", stack.engine]
    env = {**stack.env, "STACK": stack.project}
    named = stack.another(f"dev-{stack.project}")
    did = stack.run("up", *argv, env=env)
    assert did.code == 0, did.said
    assert named.states() == {"app": "running"}
    assert stack.run("down", *argv, env=env).code == 0
    assert named.left() == {}


def variables_come_from_the_file_beside_and_paths_start_there(stack: Stack) -> None:
    stack.write("""
        services:
          app:
            image: $IMAGE
            init: true
            command: sh -c "echo $WORD; cat /told/word; exec sleep 60"
            volumes: ["./told:/told:ro"]
    """)
    (stack.folder / ".env").write_text("WORD=good-morning\n")
    (stack.folder / "told").mkdir()
    (stack.folder / "told" / "word").write_text("good-night\n")
    did = stack.run("up", *stack.named, cwd=stack.state)
    assert did.code == 0, did.said
    assert "good-morning" in stack.logs()
    assert "good-night" in stack.logs()
    stack.ends()


def a_required_variable_stops_up_and_not_down(stack: Stack) -> None:
    stack.write("""
        services:
          app: {image: $IMAGE, init: true, command: sleep 60, environment: {TOKEN: "${TOKEN:?get one}"}}
    """)
    did = stack.up()
    assert did.code == 2, did.said
    assert "TOKEN" in did.said
    assert stack.left() == {}
    stack.started(TOKEN="abc")
    stack.ends()


STORIES = (
    profiles_are_chosen_as_composes_users_know_it_and_down_needs_none,
    the_file_the_environment_and_the_option_name_the_project_in_this_order,
    a_name_may_have_variables,
    variables_come_from_the_file_beside_and_paths_start_there,
    a_required_variable_stops_up_and_not_down,
)
