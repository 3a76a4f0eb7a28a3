"""Outcomes: what a request that did not end well counts as, and what the log says."""

import array
import errno
import logging
import os
import socket
import socketserver
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from forkful.worker.blocking.listener import Listener
from forkful.worker.blocking.outcome import Outcomes
from forkful.worker.ipc.scoreboard import CELLS, ERROR, REFUSED, RESET, TIMEOUT
from forkful.worker.net.address_words import in_words

NAMES = {ERROR: "error", RESET: "reset", REFUSED: "refused", TIMEOUT: "timeout"}
IP_RECVERR = 11


class Case:
    """One listener, one lane's row, one connection."""

    def __init__(self, sock: socket.socket, client: socket.socket, request: socket.socket) -> None:
        server = socketserver.TCPServer(("", 0), socketserver.BaseRequestHandler, bind_and_activate=False)
        server.socket.close()
        server.socket, server.server_address = sock, sock.getsockname()
        self.listener = Listener.of(sock, 0, 0, server)
        self.row = memoryview(array.array("Q", [0] * CELLS))
        self.client, self.request = client, request

    def fail(self, error: BaseException, request: Any = None) -> str:
        """Count a failure; the name of the outcome."""
        before = list(self.row)
        outcomes = Outcomes(self.row, self.listener)
        try:
            raise error  # noqa: TRY301  # as a handler would
        except BaseException as caught:  # noqa: BLE001  # as a lane does
            outcomes.failed(caught, self.request if request is None else request, ("127.0.0.1", 99))
        (cell,) = [cell for cell in range(CELLS) if self.row[cell] != before[cell]]
        return NAMES[cell]


@pytest.fixture
def tcp() -> Iterator[Case]:
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        socket.create_connection(sock.getsockname()) as client,
        sock.accept()[0] as request,
    ):
        case = Case(sock, client, request)
        with case.listener.dead:
            yield case


@pytest.fixture
def udp() -> Iterator[Case]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        case = Case(sock, sock, sock)
        with case.listener.dead, case.listener.reply:
            yield case


def reset(case: Case) -> None:
    case.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    case.client.close()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_what_a_handler_raises_is_an_error_and_one_record_with_peer_and_traceback(
    error: BaseException, tcp: Case, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "forkful.worker"):
        assert tcp.fail(error) == "error"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "127.0.0.1:99" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize(
    "error", [ConnectionResetError(errno.ECONNRESET, "reset"), BrokenPipeError(errno.EPIPE, "pipe")]
)
def test_a_peer_that_resets_is_not_an_error_of_ours(
    error: OSError, tcp: Case, caplog: pytest.LogCaptureFixture
) -> None:
    reset(tcp)
    with caplog.at_level(logging.INFO, "forkful.worker"):
        assert tcp.fail(error) == "reset"
        tcp.request.close()
        assert tcp.fail(error) == "reset"
    assert not caplog.records


def test_a_connection_of_the_handlers_own_that_fails_is_an_error(tcp: Case) -> None:
    assert tcp.fail(ConnectionResetError(errno.ECONNRESET, "the database is gone")) == "error"
    assert tcp.fail(ConnectionRefusedError(errno.ECONNREFUSED, "no database")) == "error"
    assert tcp.fail(TimeoutError("the database is slow")) == "error"


def test_a_peer_that_is_too_slow_is_a_timeout(tcp: Case) -> None:
    tcp.request.settimeout(0.001)
    with pytest.raises(TimeoutError) as caught:
        tcp.request.recv(1)
    assert tcp.fail(caught.value) == "timeout"
    assert tcp.fail(TimeoutError(errno.ETIMEDOUT, "of the kernel's, elsewhere")) == "error"


def test_a_datagrams_reply_that_met_nobody_is_a_reset(udp: Case) -> None:
    request = (b"data", udp.request)
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert udp.fail(refused, request) == "error"
    udp.request.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    assert udp.fail(refused, request) == "reset"
    assert udp.fail(ValueError("no"), request) == "error"


def test_an_overridden_handle_error_is_asked_instead_of_the_log(tcp: Case, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []
    tcp.listener.hooks = frozenset({"handle_error"})
    tcp.listener.server.handle_error = lambda *about: told.append(about)  # type: ignore[method-assign]
    assert tcp.fail(ValueError("no")) == "error"
    assert told == [(tcp.request, ("127.0.0.1", 99))]
    assert not caplog.records
    assert tcp.fail(SystemExit(1)) == "error"  # not an Exception: the standard library does not call it either
    assert len(told) == len(caplog.records) == 1

    tcp.listener.server.handle_error = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
    assert tcp.fail(ValueError("the first")) == "error"
    record = caplog.records[-1]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert isinstance(record.exc_info[1].__context__, ValueError)


def test_refused_is_counted(tcp: Case) -> None:
    Outcomes(tcp.row, tcp.listener).refused()
    assert tcp.row[REFUSED] == 1


def test_a_local_peer_is_told_by_its_process(caplog: pytest.LogCaptureFixture, tcp: Case) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Outcomes(tcp.row, tcp.listener).failed(ValueError("no"), ours, "")
    assert f"process {os.getpid()} of user {os.getuid()}" in caplog.text


ADDRESSES = {
    ("127.0.0.1", 80): "127.0.0.1:80",
    ("::1", 80, 0, 0): "[::1]:80",
    "/run/app.sock": "/run/app.sock",
    b"\0abstract": "@abstract",
    "": "a local socket without a name",
    None: "a local socket without a name",
}


@pytest.mark.parametrize("peer", ADDRESSES)
def test_an_address_in_words(peer: object) -> None:
    assert in_words(peer) == ADDRESSES[peer]  # type: ignore[index]
