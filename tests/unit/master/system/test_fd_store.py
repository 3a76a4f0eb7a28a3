"""Names in the manager's store, and what comes back from there: sd_notify(3), sd_listen_fds(3)."""

import fcntl
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as some

from forkful.conf.sources import POOL_NAME, sockets
from forkful.master.system import fd_store

ADDRESSES = some.text(alphabet="abé:%;3/\n\udcff", max_size=300)


@given(ADDRESSES)
def test_a_name_is_one_that_systemd_takes(address: str) -> None:
    name = fd_store.name_of(address)
    assert len(name) <= 255
    assert all(" " <= c < "\x7f" and c != ":" for c in name), "fdname_is_valid() of systemd"
    assert not POOL_NAME.fullmatch(name), "a socket unit may be named like any pool"


@given(ADDRESSES, ADDRESSES)
def test_different_addresses_have_different_names(one: str, other: str) -> None:
    assert (fd_store.name_of(one) == fd_store.name_of(other)) == (one == other)


def test_addresses_that_differ_only_at_their_far_end_have_different_names() -> None:
    host = "h" * 300
    assert len({fd_store.name_of(f"tcp://{host}:{port}") for port in range(7000, 7100)}) == 100


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Descriptors as a manager hands them over, from the first of them on."""
    with socket.socket() as sock:
        fds = [fcntl.fcntl(sock, fcntl.F_DUPFD, 500) for _ in range(4)]
        while fds != [*range(fds[0], fds[0] + 4)]:  # one behind the other, as the manager has them
            first = fds[-1] + 1
            for fd in fds:
                os.close(fd)
            fds = [fcntl.fcntl(sock, fcntl.F_DUPFD, first) for _ in range(4)]
    monkeypatch.setattr(fd_store, "_FIRST", fds[0])
    return fds


def test_what_comes_back_is_known_by_its_name_and_of_two_with_one_name_the_first(handed: list[int]) -> None:
    name, other = fd_store.name_of("tcp://*:1"), fd_store.name_of("tcp://*:2")
    environ = {"LISTEN_FDS": "4", "LISTEN_PID": "7", "LISTEN_FDNAMES": f"main:{name}:{other}:{name}"}
    assert fd_store.take(environ, 7) == {name: handed[1], other: handed[2]}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handed[3])
    for fd in handed[:3]:
        os.close(fd)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1", "LISTEN_PID": "8", "LISTEN_FDNAMES": fd_store.name_of("tcp://*:1")},
        {"LISTEN_FDS": "one", "LISTEN_PID": "7", "LISTEN_FDNAMES": fd_store.name_of("tcp://*:1")},
        {"LISTEN_FDS": "0", "LISTEN_PID": "7", "LISTEN_FDNAMES": fd_store.name_of("tcp://*:1")},
        {"LISTEN_FDS": "1", "LISTEN_PID": "7"},
        {"LISTEN_FDS": "9999", "LISTEN_PID": "7", "LISTEN_FDNAMES": ":" * 9000 + fd_store.name_of("tcp://*:1")},
    ],
)
def test_what_is_not_for_us_or_makes_no_sense_is_nothing(environ: dict[str, str]) -> None:
    assert fd_store.take(environ, 7) == {}


def test_the_settings_see_what_a_socket_unit_opened_and_not_what_was_stored() -> None:
    names = ["forkful-web", fd_store.name_of("tcp://*:1"), "main"]
    environ = {"LISTEN_FDS": "3", "LISTEN_PID": "7", "LISTEN_FDNAMES": ":".join(names)}
    assert [(s.fd, s.name) for s in sockets(environ, frozenset({7}))] == [(3, "forkful-web"), (5, "main")]
