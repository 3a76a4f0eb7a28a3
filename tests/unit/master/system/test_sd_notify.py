"""What goes to the service manager and how, at the other end of a real datagram socket: sd_notify(3)."""

import contextlib
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from forkful.master.system.sd_notify import Notifier, one_line, unreachable, watchdog_interval
from tests.kit.wait import readable


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def notifier(manager: socket.socket) -> Iterator[Notifier]:
    notifier = Notifier(manager.getsockname())
    yield notifier
    notifier.close()


def messages(manager: socket.socket) -> list[str]:
    """All that is here now; descriptors that came along are closed."""
    found = []
    while readable(manager.fileno(), within=0):
        data, fds, _, _ = socket.recv_fds(manager, 65_536, 8)
        found.append(data.decode())
        for fd in fds:
            os.close(fd)
    return found


def fill(manager: socket.socket) -> None:
    """Others say so much that the manager's queue has no room: more than one of them may send, socket(7) SO_SNDBUF."""
    for _ in range(8):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, contextlib.suppress(BlockingIOError):
            other.setblocking(False)
            other.connect(manager.getsockname())
            while True:
                other.send(b"STATUS=of another service")


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0forkful-test-notify-{os.getpid()}")
        notifier = Notifier(f"@forkful-test-notify-{os.getpid()}")
        notifier.send(READY=1, STATUS="serving")
        notifier.close()
        assert messages(manager) == ["READY=1\nSTATUS=serving"]


@pytest.mark.parametrize("address", ["vsock:2:9999", "run/notify", "/" + "x" * 107, "/" + "\N{SNOWMAN}" * 36])
def test_an_address_at_which_nobody_can_be_is_told(address: str) -> None:
    assert unreachable({"NOTIFY_SOCKET": address}).startswith("NOTIFY_SOCKET")


@pytest.mark.parametrize("address", ["", "/run/systemd/notify", "@abstract", "/" + "x" * 106])
def test_an_address_at_which_somebody_may_be_is_not(address: str) -> None:
    assert unreachable({"NOTIFY_SOCKET": address} if address else {}) == ""


@pytest.mark.parametrize("address", ["", "/no/such/socket", "vsock:2:9999", "/" + "x" * 200])
def test_without_a_manager_nothing_happens(address: str) -> None:
    notifier = Notifier(address)
    notifier.send(READY=1)
    notifier.store("name", 0)
    assert notifier.flush(5.0) == math.inf
    barrier = notifier.barrier()
    if address:
        assert os.read(barrier, 1) == b"", "nobody has it, so nobody is waited for"
        os.close(barrier)
    else:
        assert barrier == -1
    notifier.close()


def test_a_status_is_said_once_per_change(manager: socket.socket, notifier: Notifier) -> None:
    for text in ("starting", "starting", "serving", "starting"):
        notifier.status(text)
    assert messages(manager) == ["STATUS=starting", "STATUS=serving", "STATUS=starting"]


def test_a_status_is_one_short_line_whatever_it_is_made_of(manager: socket.socket, notifier: Notifier) -> None:
    notifier.status("two\nlines,\ta NUL \0, bytes that are no text \udcff" + "é" * 5000)
    (message,) = messages(manager)
    assert message.startswith("STATUS=two lines, a NUL , bytes that are no text é")
    assert len(message.encode()) < 4096, "NOTIFY_BUFFER_MAX of systemd, which ignores what is longer"
    assert one_line("short") == "short"


def test_text_that_cannot_be_encoded_does_no_harm(manager: socket.socket, notifier: Notifier) -> None:
    notifier.send(STATUS="\udcff")
    assert messages(manager) == ["STATUS=?"]


def test_what_a_full_manager_does_not_take_waits_in_order(manager: socket.socket, notifier: Notifier) -> None:
    fill(manager)
    mine, theirs = os.pipe()
    notifier.store("listener", theirs)
    os.close(theirs)  # the caller's; the message has one of its own
    notifier.send(READY=1)
    assert notifier.flush(5.0) == 5.1
    others = messages(manager)
    assert set(others) == {"STATUS=of another service"}
    assert os.get_blocking(mine)
    assert not readable(mine, within=0), "the descriptor is still there"
    notifier.send(STATUS="serving")
    assert notifier.flush(5.1) == math.inf
    assert messages(manager) == ["FDSTORE=1\nFDPOLL=0\nFDNAME=listener", "READY=1", "STATUS=serving"]
    assert os.read(mine, 1) == b"", "nobody has it any more"
    os.close(mine)


def test_a_barrier_ends_when_the_manager_has_let_go_of_all_else(manager: socket.socket, notifier: Notifier) -> None:
    notifier.unstore("listener")
    barrier = notifier.barrier()
    assert not readable(barrier, within=0)
    assert messages(manager) == [
        "FDSTOREREMOVE=1\nFDNAME=listener",
        "FDSTORE=1\nFDPOLL=0\nFDNAME=forkful=barrier",
        "FDSTOREREMOVE=1\nFDNAME=forkful=barrier",
    ]
    assert os.read(barrier, 1) == b""
    os.close(barrier)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, math.inf),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, math.inf),
        ({"WATCHDOG_USEC": "0"}, math.inf),
        ({"WATCHDOG_USEC": "often"}, math.inf),
        ({"WATCHDOG_USEC": ""}, math.inf),
    ],
)
def test_watchdog_is_fed_twice_as_often_as_it_must(environ: dict[str, str], seconds: float) -> None:
    assert watchdog_interval(environ, 7) == seconds
