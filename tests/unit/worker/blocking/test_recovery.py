"""Recovery: what a lane does when taking failed, and whose fault an error is."""

import errno
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from forkful.worker.blocking import recovery
from forkful.worker.blocking.listener import Listener
from forkful.worker.blocking.recovery import Take, Taken, get_over, recover
from forkful.worker.net import accept_errors


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = socketserver.TCPServer(sock.getsockname(), socketserver.BaseRequestHandler, bind_and_activate=False)
        server.socket.close()
        server.socket = sock
        listener = Listener.of(sock, 0, 0, server)
        with listener.dead:
            yield listener


@pytest.fixture
def bell() -> Iterator[int]:
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


def fails(*numbers: int, then: Taken = ("fd", "peer")) -> Take:
    """A `take` that fails so often."""
    left = list(numbers)

    def take() -> Taken:
        if left:
            number = left.pop(0)
            raise OSError(number, os.strerror(number))
        return then

    return take


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_no_error_is_in_two_minds() -> None:
    kinds = (accept_errors.BUSY, accept_errors.THEIRS, accept_errors.EMPTY)
    assert sum(map(len, kinds)) == len(frozenset().union(*kinds))
    assert errno.EBADF not in frozenset().union(*kinds)


@pytest.mark.parametrize("number", sorted(accept_errors.THEIRS))
def test_errors_of_the_network_are_passed_over(number: int, listener: Listener, bell: int) -> None:
    assert recover(listener, fails(number, number), error(number), bell) == ("fd", "peer")


@pytest.mark.parametrize("number", [errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EFAULT])
def test_an_error_of_ours_is_raised(number: int, listener: Listener, bell: int) -> None:
    with pytest.raises(OSError, match=os.strerror(number)):
        recover(listener, fails(), error(number), bell)


def test_a_closed_listener_is_left(listener: Listener, bell: int) -> None:
    listener.close()
    assert recover(listener, fails(), error(errno.EINVAL), bell) is None


def test_running_out_is_told_once_per_episode_with_the_remedy(
    listener: Listener, bell: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recovery, "_PAUSE", 0)
    with caplog.at_level(logging.INFO, "forkful.worker"):
        assert recover(listener, fails(*[errno.EMFILE] * 50), error(errno.EMFILE), bell)
        assert recover(listener, fails(errno.EMFILE), error(errno.EMFILE), bell)  # flapping is one episode
    first, second = (each for each in caplog.messages if "left out" not in each)  # of others, summed up just now
    assert "EMFILE Too many open files" in first
    assert "ulimit -n" in first
    assert "accepting again after" in second


@pytest.mark.parametrize("number", sorted(accept_errors.BUSY))
def test_each_shortage_has_a_remedy(number: int) -> None:
    assert accept_errors.remedy(number)


def test_the_pause_ends_when_the_listener_is_closed(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_PAUSE", 60)
    lane = threading.Thread(target=get_over, args=(listener, error(errno.EMFILE)))
    lane.start()
    listener.close()
    lane.join(10)
    assert not lane.is_alive()


def test_an_empty_queue_is_waited_for_or_closes_what_is_to_be_emptied(listener: Listener, bell: int) -> None:
    with socket.create_connection(listener.sock.getsockname()):
        assert recover(listener, fails(), error(errno.EAGAIN), bell) == ("fd", "peer")
    listener.sock.accept()[0].close()
    os.eventfd_write(bell, 1)
    assert recover(listener, fails(), error(errno.EAGAIN), bell) == ("fd", "peer")
    listener.empty()
    assert recover(listener, fails(), error(errno.EAGAIN), bell) is None
    assert listener.closed.is_set()


def test_a_hook_that_fails_for_reasons_of_its_own_is_tried_again(listener: Listener, bell: int) -> None:
    listener.hooks = frozenset({"get_request"})
    assert recover(listener, fails(1, 8, 5), error(8), bell) == ("fd", "peer")  # the numbers of ssl.SSLError
    listener.sock.close()
    with pytest.raises(OSError, match="Bad file"):
        recover(listener, fails(), error(errno.EBADF), bell)


def test_closing_takes_only_this_descriptor_away(listener: Listener) -> None:
    others = listener.sock.dup()
    address = listener.sock.getsockname()
    listener.close()
    listener.close()
    with pytest.raises(OSError, match="Invalid argument"):
        listener.sock.accept()
    with pytest.raises(OSError, match="Invalid argument"):
        listener.sock.recvfrom(1)
    with others, socket.create_connection(address), others.accept()[0]:
        pass
