"""Which user of a container may read a file of this machine."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from lcompose.access import ACL, command_for, readable_by

# Nobody who runs the tests.
OTHER = 1_234_567


def made(tmp_path: Path, mode: int, *, folder: bool = False) -> Path:
    path = tmp_path / "a file"
    path.mkdir() if folder else path.write_text("x")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("mode", "folder", "readable"),
    [(0o644, False, True), (0o640, False, False), (0o755, True, True), (0o744, True, False)],
)
def test_what_everybody_may_read(mode: int, folder: bool, readable: bool, tmp_path: Path) -> None:
    path = made(tmp_path, mode, folder=folder)
    assert {readable_by(path, OTHER, mapped=mapped) for mapped in (True, False)} == {readable}


@pytest.mark.parametrize(("mode", "readable"), [(0o600, True), (0o400, True), (0o200, False)])
def test_an_owner_reads_its_own_file(mode: int, readable: bool, tmp_path: Path) -> None:
    path = made(tmp_path, mode)
    assert readable_by(path, os.getuid(), mapped=False) is readable
    # A person's own engine: its root is that person, and nobody else is.
    assert readable_by(path, 0, mapped=True) is readable
    assert not readable_by(path, os.getuid() or OTHER, mapped=True)


@pytest.mark.parametrize(("bits", "mask", "readable"), [(4, 4, True), (4, 0, False), (2, 7, False)])
def test_whom_an_acl_names_may_read(bits: int, mask: int, readable: bool, tmp_path: Path) -> None:
    path = made(tmp_path, 0o600)
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), (2, bits, OTHER), (4, 0, nobody), (0x10, mask, nobody), (0x20, 0, nobody)]
    try:
        os.setxattr(path, ACL, struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries))
    except OSError:
        pytest.skip("no ACLs in this folder")
    assert readable_by(path, OTHER, mapped=False) is readable
    assert not readable_by(path, OTHER + 1, mapped=False)
    # As who that is to a person's own engine is not known, the ACL is taken to be meant.
    assert readable_by(path, 1001, mapped=True) is readable


@pytest.mark.parametrize(
    ("setfacl", "folder", "command"),
    [
        ("setfacl", False, "setfacl -m u:1001:r '{}'"),
        ("podman unshare setfacl", True, "podman unshare setfacl -R -m u:1001:rX '{}'"),
        ("", False, "chmod o+r '{}'"),
        ("", True, "chmod -R o+rX '{}'"),
    ],
)
def test_one_command_lets_a_user_read(setfacl: str, folder: bool, command: str, tmp_path: Path) -> None:
    path = made(tmp_path, 0o700, folder=folder)
    assert command_for(path, 1001, setfacl) == command.format(path)
