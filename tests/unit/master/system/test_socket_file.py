"""Who may connect to a Unix socket, and what is never given away: whatever lies at its path by now."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from forkful.conf.address import Address
from forkful.conf.plan import MasterPlan, PoolPlan
from forkful.master.system import identity
from forkful.master.system.listeners import bind, close_all
from forkful.master.system.socket_file import LEFT, Access, change

HALF_OPEN = 0o027


@pytest.mark.parametrize(
    ("said", "umask", "expected"),
    [(-1, -1, 0o640), (-1, 0, 0o666), (-1, 0o077, 0o600), (0o606, -1, 0o606), (0o660, 0o777, 0o660), (0, 0, 0)],
)
def test_permissions_are_as_said_else_0666_less_the_umask(said: int, umask: int, expected: int, tmp_path: Path) -> None:
    before = os.umask(HALF_OPEN)
    try:
        pool = PoolPlan("main", "app:it", (), socket_mode=said)
        access = identity.access(pool, MasterPlan(umask=umask))
        listener = bind(Address.parse(f"unix:{tmp_path}/app.sock"), access=access)
        assert os.umask(HALF_OPEN) == HALF_OPEN
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "app.sock").lstat().st_mode) == expected
    close_all([listener])


@pytest.mark.parametrize(
    ("said", "user", "group", "expected"),
    [
        ("", "", "", None),
        ("", "54321", "", (54321, 54321)),
        ("", "54321", "54323", (54321, 54323)),
        ("54322", "54321", "54323", (54322, 54323)),
        (":54324", "54321", "54323", (54321, 54324)),
        ("54322:54324", "", "", (54322, 54324)),
        (":54324", "", "", (LEFT, 54324)),
    ],
)
def test_owner_is_as_said_else_the_workers(said: str, user: str, group: str, expected: tuple[int, int] | None) -> None:
    pool = PoolPlan("main", "app:it", (), socket_owner=said)
    assert identity.access(pool, MasterPlan(user=user, group=group)).owner == expected


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def own_socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize("swap", [link, hard_link, own_socket])
def test_what_somebody_has_put_in_its_place_is_not_touched(swap: Callable[[Path, Path], None], tmp_path: Path) -> None:
    path, victim = tmp_path / "app.sock", tmp_path / "victim"
    victim.write_text("precious")
    listener = bind(Address.parse(f"unix:{path}"))
    before = victim.stat()
    path.unlink()
    swap(path, victim)
    laid = path.lstat()
    with pytest.raises(OSError, match=r"in the place of its file|Too many levels"):
        change(str(path), listener.inode, Access(0o777, (LEFT, os.getegid())))
    assert victim.stat().st_mode == before.st_mode
    assert path.lstat().st_mode == laid.st_mode
    listener.close()


def test_second_name_of_the_socket_itself_is_not_given_away(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    listener = bind(Address.parse(f"unix:{path}"), access=Access(0o600))
    (tmp_path / "second").hardlink_to(path)
    with pytest.raises(OSError, match="in the place of its file"):
        change(str(path), listener.inode, Access(0o777))
    close_all([listener])
