"""Whom a path leads to, as far as the workers' user has a say: by real directories and links."""

import os
from pathlib import Path

import pytest

from forkful.conf.people import Identity
from forkful.conf.trust import Stranger, changeable, writable

WORKER = Stranger(54_321, 54_321, (54_321, 54_322))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "mine").mkdir(mode=0o755)
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 54_321, 54_321)
    return tmp_path


def made(path: Path, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Path:
    path.mkdir()
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


def test_what_lies_in_directories_of_roots_is_roots_to_say(place: Path) -> None:
    assert changeable(str(place / "mine" / "log"), WORKER) == ""
    (place / "mine" / "log").touch()
    os.chown(place / "mine" / "log", 54_321, 54_321)

    assert changeable(str(place / "mine" / "log"), WORKER) == "", "the file is theirs, its name is not"
    assert writable(str(place / "mine" / "log"), WORKER) == str(place / "mine" / "log")


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "theirs"),
    [
        (0o755, 54_321, 0, True),
        (0o555, 54_321, 0, True),  # whose it is may change its mode
        (0o775, 0, 54_321, True),
        (0o775, 0, 54_322, True),  # a supplementary group of theirs
        (0o775, 0, 54_399, False),
        (0o777, 0, 0, True),
        (0o755, 7, 7, False),  # another user's
        (0o1777, 0, 0, False),  # a name that is there already, and root's
        (0o1777, 54_321, 0, True),
    ],
)
def test_who_may_write_a_directory_has_its_names(place: Path, mode: int, uid: int, gid: int, theirs: bool) -> None:
    folder = made(place / "folder", mode, uid, gid)
    (folder / "there").touch()
    (folder / "below").mkdir()

    assert bool(changeable(str(folder / "there"), WORKER)) is theirs
    assert bool(changeable(str(folder / "below" / "deep" / "log"), WORKER)) is theirs


def test_in_a_sticky_directory_a_name_is_theirs_that_is_not_there_or_is_theirs(place: Path) -> None:
    folder = made(place / "tmp", 0o1777)
    (folder / "their").mkdir()
    os.chown(folder / "their", 54_321, 54_321)

    assert changeable(str(folder / "new"), WORKER) == str(folder)
    assert changeable(str(folder / "their" / "log"), WORKER) == str(folder / "their")


def test_links_are_followed_and_each_of_their_directories_counts(place: Path) -> None:
    (place / "mine" / "link").symlink_to("../theirs")
    (place / "theirs" / "back").symlink_to(place / "mine")
    (place / "mine" / "self").symlink_to("self")

    assert changeable(str(place / "mine" / "link" / "log"), WORKER) == str(place / "theirs")
    assert changeable(str(place / "theirs" / "back" / "log"), WORKER) == str(place / "theirs"), "the link is theirs"
    assert changeable(str(place / "mine" / ".." / "mine" / "log"), WORKER) == ""
    assert changeable(str(place / "mine" / "self"), WORKER) == str(place / "mine"), "a link without an end is nobody's"


def test_devices_and_magic_links_are_roots() -> None:
    for path in ("/dev/null", "/dev/stderr", "/proc/self/fd/2"):
        assert changeable(path, WORKER) == ""


def test_who_is_root_or_nobody_else_is_no_stranger() -> None:
    assert Stranger.of(Identity(None, None, None)) is None
    assert Stranger.of(Identity(0, 0, (0,))) is None
    assert Stranger.of(Identity(7, 8, (8, 9))) == Stranger(7, 8, (8, 9))
