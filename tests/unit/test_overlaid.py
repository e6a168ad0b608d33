"""What a rendered stack with a person's own words reads beside it, and what of this machine is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lcompose.cli.overlaid import MOST_READ, inputs, mounted_files


def bind(source: Path | str, *, read_only: bool = True) -> dict[str, Any]:
    return {"type": "bind", "source": str(source), "target": "/x", "read_only": read_only}


def reading(*volumes: Any, **more: Any) -> dict[str, Any]:
    """What an engine's compose reads of one service."""
    return {
        "services": {"mcp": {"volumes": list(volumes), "configs": [{"source": "c"}], "secrets": ["s", "v"]}},
        "configs": {"c": {"content": "x"}},
        "secrets": {"s": {"environment": "SPOKEN"}, "v": {"external": True}},
        **more,
    }


def read(tree: dict[str, Any], home: Path, spoken: str = "one", salt: str = "salt") -> dict[str, str]:
    return dict(inputs(tree, home, {"SPOKEN": spoken}, salt)["mcp"])


def test_small_files_of_the_folder_that_can_only_be_read_are_known(tmp_path: Path) -> None:
    home = tmp_path / "here"
    (home / "conf").mkdir(parents=True)
    (home / "conf" / "a.conf").write_text("a")
    (home / "written").write_text("a")
    (home / "large").write_bytes(b"a" * (MOST_READ + 1))
    (tmp_path / "outside").write_text("a")
    (home / "motd").write_text("a")
    named = ("conf/a.conf", "conf", "large", "gone", "../outside")
    mounts = [bind((home / name).resolve()) for name in named] + [bind(home / "written", read_only=False)]
    tree = reading(*mounts, f"{home}/conf/a.conf:/again:ro", configs={"c": {"file": str(home / "motd")}})
    assert list(read(tree, home)) == ["./conf/a.conf", "./motd", "SPOKEN"]


@pytest.mark.parametrize("change", ["file", "variable", "salt"])
def test_what_is_known_changes_with_the_content(change: str, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("a")
    tree = reading(bind(tmp_path / "a.conf"))
    before = read(tree, tmp_path)
    assert read(tree, tmp_path) == before
    (tmp_path / "a.conf").write_text("b" if change == "file" else "a")
    after = read(tree, tmp_path, "two" if change == "variable" else "one", salt="other" if change == "salt" else "salt")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"file": {"./a.conf"}, "variable": {"SPOKEN"}, "salt": {"./a.conf", "SPOKEN"}}[change]


def test_a_file_that_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    # A loop of links is as unreadable to root as to anybody.
    (tmp_path / "loop").symlink_to("loop")
    assert list(read(reading(bind(tmp_path / "loop")), tmp_path)) == ["SPOKEN"]


def test_what_every_machine_has_is_not_of_this_one() -> None:
    mounts = [bind("/my/site"), bind("/var/run/docker.sock"), bind("/etc/localtime"), bind("/proc/x"), "v:/x"]
    assert mounted_files(reading(*mounts, secrets={"s": {"file": "/my/s"}})) == ["/my/site", "/my/s"]
