"""A worker by itself: what the machine, the network and other processes do to it."""

import os
import resource
import socket

import pytest

from forkful.worker.ipc import messages, scoreboard
from tests.kit.wait import until
from tests.process.lone_worker import DATAGRAM, ECHO, PACKETS, Cast, Connect, Listen, ask


def leave_few_descriptors() -> None:
    """Some for what a worker opens, and less than 30 for connections."""
    while (last := os.open(os.devnull, os.O_RDONLY)) < 300:
        pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.mark.parametrize("empty", [[], [0, 1], [1]])
def test_one_lane_serves_several_listeners(empty: list[int], cast: Cast, listen: Listen, connect: Connect) -> None:
    listeners = [listen("tcp"), listen("unix")]
    worker = cast(ECHO, listeners, threads=1)
    for listener in listeners * 2:
        with connect(listener) as client:
            assert ask(client, b"x") == b"x"
    worker.until_done(4)
    assert worker.row()[scoreboard.ACCEPTED : scoreboard.ACCEPTED + 2] == [2, 2]
    worker.drain(empty)
    assert worker.wait() == 0


def test_a_listener_that_others_made_non_blocking_is_served(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener], threads=2)
    listener.setblocking(False)
    for _ in range(6):
        with connect(listener) as client:
            assert ask(client, b"x") == b"x"
    worker.until_done(6)
    worker.drain()
    assert worker.wait() == 0


def test_running_out_of_descriptors_pauses_and_goes_on(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener], threads=40, prepare=leave_few_descriptors)
    clients = [connect(listener) for _ in range(30)]
    for client in clients:
        client.sendall(b"x")
    until(lambda: "EMFILE" in worker.log.read_text(), what="trouble in the log")
    for client in clients:
        assert client.recv(1) == b"x"
        client.close()
    log = worker.log.read_text()
    assert log.count("cannot accept: EMFILE") == 1
    assert "ulimit -n" in log
    worker.drain([0])
    assert worker.wait() == 0


def test_a_worker_without_descriptors_can_be_drained(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("tcp")
    worker = cast(ECHO, [listener], threads=40, prepare=leave_few_descriptors)
    clients = [connect(listener) for _ in range(30)]
    until(lambda: "EMFILE" in worker.log.read_text(), what="trouble in the log")
    worker.channel.send(messages.Stacks())
    worker.drain()
    worker.event(messages.Draining)
    for client in clients:
        client.close()
    assert worker.wait() == 0
    assert worker.done() < 30


@pytest.mark.parametrize(("kind", "size"), [("udp", 65_507), ("unixgram", 200_000)])
def test_a_datagram_may_be_as_long_as_they_get(
    kind: str, size: int, cast: Cast, listen: Listen, connect: Connect
) -> None:
    listener = listen(kind)
    cast(PACKETS, [listener])
    client = connect(listener)
    assert len(ask(client, bytes(size), 300_000)) == size


def test_a_reply_that_met_nobody_is_survived(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("udp")
    listener.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR: replies' errors are reported on the shared socket
    worker = cast(PACKETS, [listener])
    for _ in range(5):
        with connect(listener) as client:
            client.send(b"and gone")
    client = connect(listener)
    client.settimeout(0.05)
    for _ in range(100):  # its own datagram may meet the error of an earlier one
        client.send(b"here")
        try:
            assert client.recv(9) == b"here"
            break
        except TimeoutError:
            continue
    worker.drain()
    assert worker.wait() == 0
    assert worker.count(scoreboard.ERROR) == 0


def test_a_busy_datagram_handler_can_answer_while_draining(cast: Cast, listen: Listen, connect: Connect) -> None:
    listener = listen("udp")
    worker = cast(DATAGRAM, [listener])
    client = connect(listener)
    client.send(b"hold")
    worker.until_busy()
    worker.drain()
    assert client.recv(9) == b"hold"
    assert worker.wait() == 0
