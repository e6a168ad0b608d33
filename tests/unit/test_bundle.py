"""Writing: atomically, never over a person's own file; and holding a project."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose.bundle import (
    MARK,
    is_held,
    is_ours,
    locked,
    project_directory,
    replace_private_bundle,
    salt_of,
    sealed,
    was_edited,
    write_atomically,
    write_bundle,
    write_private,
)
from lcompose.errors import DriftError, LcomposeError, LockedError, MachineError, UsageError
from lcompose.spec.bundle import Bundle, Document

HEADER = "# Made by lcompose 1\n"
COMPOSE = Document("compose.yaml", f"{HEADER}services: {{}}\n")
CONFIG = Document("config/run.yaml", f"{HEADER}version: 2\n")
BUNDLE = Bundle((COMPOSE, CONFIG))


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, with its text."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def refusal(folder: Path, *, force: bool = False) -> LcomposeError:
    """The error that writing the bundle ends with."""
    with pytest.raises(LcomposeError) as caught:
        write_bundle(BUNDLE, folder, force=force)
    return caught.value


def test_a_bundle_is_written_with_its_folders_and_a_seal(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    assert write_bundle(BUNDLE, folder) == [folder / "compose.yaml", folder / "config" / "run.yaml"]
    assert contents(folder) == {"compose.yaml": sealed(COMPOSE.text), "config/run.yaml": sealed(CONFIG.text)}


def test_what_is_written_for_people_may_be_read_by_everybody(tmp_path: Path) -> None:
    [path] = write_bundle(Bundle((COMPOSE,)), tmp_path)
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    write_bundle(BUNDLE, tmp_path)
    before = [path.stat().st_ino for path in (tmp_path / "compose.yaml", tmp_path / "config/run.yaml")]
    again = [path.stat().st_ino for path in write_bundle(BUNDLE, tmp_path)]
    assert again == before


def test_only_the_document_that_changed_is_written_again(tmp_path: Path) -> None:
    first = write_bundle(BUNDLE, tmp_path)
    before = [path.stat().st_ino for path in first]
    changed = Document("config/run.yaml", f"{HEADER}version: 3\n")
    after = [path.stat().st_ino for path in write_bundle(Bundle((COMPOSE, changed)), tmp_path)]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


@pytest.mark.parametrize("force", [False, True])
def test_a_file_of_somebody_else_is_refused_even_by_force(force: bool, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {}}\n")
    error = refusal(tmp_path, force=force)
    assert (type(error), error.what, error.where) == (
        DriftError,
        "this file is not lcompose's, and is left alone",
        str(tmp_path / "compose.yaml"),
    )
    assert contents(tmp_path) == {"compose.yaml": "services: {web: {}}\n"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("version: 2", "version: 3"),
        lambda text: text + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("lcompose 1", "lcompose 2"),
        lambda text: "".join(line for line in text.splitlines(keepends=True) if "digest" not in line),
        lambda text: text.replace("digest: ", "digest: 0"),
        lambda text: HEADER,
    ],
)
def test_an_edited_file_is_refused_and_nothing_is_written(edit: object, tmp_path: Path) -> None:
    assert callable(edit)
    edited = edit(sealed(CONFIG.text)).encode()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "run.yaml").write_bytes(edited)
    error = refusal(tmp_path)
    assert (type(error), error.fix) == (DriftError, "Keep the edit, or pass --force.")
    assert not (tmp_path / "compose.yaml").exists()
    assert (tmp_path / "config" / "run.yaml").read_bytes() == edited


def test_force_replaces_an_edited_file(tmp_path: Path) -> None:
    write_bundle(BUNDLE, tmp_path)
    (tmp_path / "compose.yaml").write_text(f"{HEADER}edited: true\n")
    write_bundle(BUNDLE, tmp_path, force=True)
    assert (tmp_path / "compose.yaml").read_text() == sealed(COMPOSE.text)


def test_a_file_that_is_not_text_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"\xff\xfe\x00")
    assert isinstance(refusal(tmp_path), DriftError)


def test_a_folder_in_the_place_of_a_document_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").mkdir()
    error = refusal(tmp_path)
    assert (type(error), error.what) == (UsageError, "this cannot be replaced: Is a directory")


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    error = refusal(tmp_path / "file")
    assert (type(error), error.what) == (UsageError, "this cannot be replaced: Not a directory")


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path) -> None:
    write_bundle(BUNDLE, tmp_path / "old")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "compose.yaml").symlink_to(tmp_path / "old" / "compose.yaml")
    changed = Document("compose.yaml", f"{HEADER}services: {{a: {{}}}}\n")
    write_bundle(Bundle((changed,)), tmp_path / "new")
    assert (tmp_path / "old" / "compose.yaml").read_text() == sealed(COMPOSE.text)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(lambda text: HEADER + text)


@given(TEXTS)
def test_what_was_sealed_is_ours_and_not_edited(text: str) -> None:
    assert (is_ours(sealed(text)), was_edited(sealed(text))) == (True, False)


@given(TEXTS)
def test_any_text_is_read_back_as_it_was_written(tmp_path: Path, text: str) -> None:
    write_bundle(Bundle((Document("a", text),)), tmp_path, force=True)
    inode = (tmp_path / "a").stat().st_ino
    write_bundle(Bundle((Document("a", text),)), tmp_path)
    assert (tmp_path / "a").stat().st_ino == inode


@given(TEXTS, st.integers(0), st.sampled_from("x\n "))
def test_one_more_character_anywhere_is_an_edit(text: str, where: int, more: str) -> None:
    before = sealed(text)
    place = where % (len(before) + 1)
    after = before[:place] + more + before[place:]
    assert after == before or not is_ours(after) or was_edited(after)


def test_text_is_written_as_utf_8_whatever_the_locale_says(tmp_path: Path) -> None:
    program = "import sys, pathlib, lcompose.bundle as b; b.write_private(pathlib.Path(sys.argv[1]), '\\U0001F600')"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a")], check=True, env=env)
    assert (tmp_path / "a").read_bytes() == "😀".encode()


def failing(code: int) -> NoReturn:
    """What the system answers when a file cannot be put in its place."""
    raise OSError(code, os.strerror(code))


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "a", "old", mode=0o644)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: failing(errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            write_atomically(tmp_path / "a", "new", mode=0o644)
    assert contents(tmp_path) == {"a": "old"}


@pytest.mark.parametrize(
    ("code", "kind", "what"),
    [
        (errno.ENOSPC, MachineError, "there is no space left to write to"),
        (errno.EDQUOT, MachineError, "there is no space left to write to"),
        (errno.EROFS, UsageError, "the folder cannot be written: Read-only file system"),
        (errno.EACCES, UsageError, "the folder cannot be written: Permission denied"),
    ],
)
def test_a_folder_that_cannot_be_written_is_told_with_the_reason(
    code: int, kind: type[LcomposeError], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", lambda *_: failing(code))
    for write in (write_bundle, replace_private_bundle):
        with pytest.raises(kind) as caught:
            write(BUNDLE, tmp_path)
        assert (caught.value.what, caught.value.where) == (what, str(tmp_path))


def test_a_reader_sees_the_old_text_or_the_new_one_and_nothing_between(tmp_path: Path) -> None:
    path = tmp_path / "a"
    texts = {letter * 200_000 for letter in "xy"}
    write_atomically(path, "x" * 200_000, mode=0o644)
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(40):
        for text in texts:
            write_atomically(path, text, mode=0o644)
    done.set()
    reader.join()
    assert seen <= texts


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    def write(letter: str) -> None:
        for _ in range(50):
            write_atomically(tmp_path / "a", letter, mode=0o644)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "xyz"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert list(contents(tmp_path)) == ["a"]


def test_a_private_file_is_only_its_owners(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("open to all")
    write_private(tmp_path / "a", "secret")
    assert ((tmp_path / "a").stat().st_mode & 0o777, (tmp_path / "a").read_text()) == (0o600, "secret")


def test_documents_for_the_engine_are_written_without_a_seal_and_replaced_without_asking(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("whatever was here")
    assert replace_private_bundle(BUNDLE, tmp_path) == tmp_path / "compose.yaml"
    assert contents(tmp_path) == {"compose.yaml": COMPOSE.text, "config/run.yaml": CONFIG.text}


def test_a_document_for_one_user_of_a_container_is_given_to_that_user(tmp_path: Path) -> None:
    secret = Document("contents/pw", "x", mode=0o400, uid=1001, gid=7)
    bundle = Bundle((Document("compose.yaml", ""), secret))
    if os.getuid():
        with pytest.raises(MachineError, match="only root can give a file to the user 1001:7"):
            replace_private_bundle(bundle, tmp_path)
        return
    for _ in range(2):
        replace_private_bundle(bundle, tmp_path)
        found = (tmp_path / "contents/pw").stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o400, 1001, 7)


def test_state_is_kept_for_each_engine_and_project_apart(tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path)}
    pairs = [("unix:///a", "p"), ("unix:///b", "p"), ("unix:///a", "q")]
    assert len({project_directory(env, endpoint, project) for endpoint, project in pairs}) == 3


def test_the_state_of_a_project_is_private_and_always_in_the_same_place(tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path)}
    first = project_directory(env, "unix:///a", "p")
    assert (first.stat().st_mode & 0o777, project_directory(env, "unix:///a", "p")) == (0o700, first)


def test_state_that_cannot_be_kept_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError) as caught:
        project_directory({"XDG_STATE_HOME": str(tmp_path / "file")}, "unix:///a", "p")
    assert (caught.value.what, caught.value.fix) == (
        "the folder cannot be written: Not a directory",
        "lcompose keeps its state there. Set XDG_STATE_HOME to a folder that you may write.",
    )


HOLDER = """
import sys
from pathlib import Path
from lcompose.bundle import locked
with locked(Path(sys.argv[1]), "p"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holds(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A project that another lcompose holds."""
    argv = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def test_a_project_that_another_process_holds_is_not_touched(tmp_path: Path) -> None:
    with another_process_holds(tmp_path), pytest.raises(LockedError) as caught, locked(tmp_path, "p"):
        pass
    assert (caught.value.what, caught.value.fix, caught.value.exit_code) == (
        "another lcompose works on the project 'p'",
        "Wait until it has finished, then try again.",
        7,
    )


def test_a_project_that_is_held_is_refused_in_a_moment(tmp_path: Path) -> None:
    begun = time.monotonic()
    told: list[str] = []
    held = locked(tmp_path, "p", 0, lambda: told.append("waiting"))
    with another_process_holds(tmp_path), pytest.raises(LockedError), held:
        pass
    assert time.monotonic() - begun < 5
    assert told == []


def test_another_process_is_waited_for_and_that_is_told_once(tmp_path: Path) -> None:
    told: list[float] = []
    with another_process_holds(tmp_path) as child:
        begun = time.monotonic()
        threading.Timer(0.5, child.kill).start()
        with locked(tmp_path, "p", 60, lambda: told.append(time.monotonic() - begun)):
            waited = time.monotonic() - begun
    assert 0.5 <= waited < 5
    assert len(told) == 1
    assert told[0] < 0.5


def test_whether_somebody_holds_a_project_is_told_at_once(tmp_path: Path) -> None:
    assert not is_held(tmp_path, "p")
    with another_process_holds(tmp_path):
        begun = time.monotonic()
        assert is_held(tmp_path, "p")
        assert time.monotonic() - begun < 0.1
    with locked(tmp_path, "p"):
        pass


def test_another_process_is_waited_for_no_longer_than_that(tmp_path: Path) -> None:
    with another_process_holds(tmp_path):
        begun = time.monotonic()
        with pytest.raises(LockedError), locked(tmp_path, "p", 0.6):
            pass
        assert 0.6 <= time.monotonic() - begun < 2


def test_nobody_is_told_of_waiting_where_nobody_holds_the_project(tmp_path: Path) -> None:
    told: list[str] = []
    with locked(tmp_path, "p", 60, lambda: told.append("waiting")):
        pass
    assert told == []


def test_of_several_at_once_one_works_at_a_time(tmp_path: Path) -> None:
    at_work: list[str] = []
    most: list[int] = []

    def go(name: str) -> None:
        with locked(tmp_path, "p", 60):
            at_work.append(name)
            most.append(len(at_work))
            time.sleep(0.05)
            at_work.remove(name)

    threads = [threading.Thread(target=go, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]


def test_a_projects_salt_is_made_once_and_is_its_own(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    first, other = (salt_of(folder) for folder in folders)
    assert (len(first), first == other, salt_of(folders[0])) == (32, False, first)
    assert (folders[0] / "salt").stat().st_mode & 0o777 == 0o600


def test_a_salt_that_cannot_be_kept_is_told_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", lambda *_: failing(errno.ENOSPC))
    with pytest.raises(MachineError, match="there is no space left"):
        salt_of(tmp_path)


def test_a_process_that_is_killed_lets_its_project_go(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as child:
        child.kill()
        child.wait()
        with locked(tmp_path, "p"):
            pass


def test_a_project_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path, "p"):
        raise ZeroDivisionError
    with locked(tmp_path, "p"):
        pass


def test_two_projects_are_held_at_the_same_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with locked(tmp_path / "a", "a"), locked(tmp_path / "b", "b"):
        pass


def test_a_lock_that_cannot_be_taken_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(UsageError) as caught, locked(tmp_path, "p"):
        pass
    assert caught.value.what == "the folder cannot be written: Is a directory"


def test_a_private_document_lies_in_a_folder_that_nobody_else_enters(tmp_path: Path) -> None:
    documents = (Document("compose.yaml", f"{MARK}\n"), Document("web/a.yaml", f"{MARK}\nk: 1\n", private=True))
    write_bundle(Bundle(documents), tmp_path)
    assert stat.S_IMODE((tmp_path / "web").stat().st_mode) == 0o700
    # The user of the container is nobody of this machine, and gets the file by itself.
    assert stat.S_IMODE((tmp_path / "web/a.yaml").stat().st_mode) == 0o644
