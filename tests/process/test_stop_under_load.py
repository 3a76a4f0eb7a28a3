"""A stop in the middle of traffic: who reached us is answered, everybody else is refused, and nobody is reset."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.door import Door, door_of
from tests.kit.load import Load, Outcome
from tests.kit.server import Server
from tests.kit.web import WebLoad


def the_master(server: Server) -> None:
    server.signal(SIGTERM)


def its_process_group(server: Server) -> None:
    """As supervisors do with `stopasgroup`."""
    os.killpg(server.pid, SIGTERM)


def each_process_and_the_master_last(server: Server) -> None:
    """As systemd does by default, and platforms that tell every process of a container."""
    for pid in sorted(processes.session(server.pid), key=lambda pid: (pid == server.pid, pid)):
        os.kill(pid, SIGTERM)


TELL = (the_master, its_process_group, each_process_and_the_master_last)
HANDLERS = {
    "tcp://127.0.0.1:0": "classic:EchoHandler",
    "tcp://[::1]:0": "classic:EchoHandler",
    "unix://{folder}/echo.sock": "classic:EchoHandler",
    "http://127.0.0.1:0": "wsgi:echo",
    "unixgram://{folder}/echo.sock": "classic:DatagramEcho",
}


@pytest.mark.parametrize("tell", TELL)
@pytest.mark.parametrize("bind", HANDLERS)
def test_nobody_is_reset_by_a_stop_in_the_middle_of_traffic(
    bind: str, tell: Callable[[Server], None], serve: Serve, tmp_path: object
) -> None:
    server = serve(HANDLERS[bind], "--workers", "2", "--bind", bind.format(folder=tmp_path), binds=())
    [address] = server.listeners()
    kind = WebLoad if bind.startswith("http") else Load
    with kind(door_of(address), clients=6, may_lose={Outcome.REFUSED}) as load:
        load.more(100)
        tell(server)
        assert server.wait_exit() == 0
    assert set(load.accounting) == {Outcome.OK, Outcome.REFUSED}, str(load)


@pytest.mark.parametrize("tell", TELL)
@pytest.mark.parametrize("kind", ["tcp", "unix", "udp", "unixgram"])
def test_who_is_in_flight_or_queued_is_answered_whoever_is_told(
    kind: str, tell: Callable[[Server], None], serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors(kind)
    handler = "patient:Datagrams" if kind in ("udp", "unixgram") else "stages:Staged"
    server = serve(handler, "--workers", "1", binds=[door])
    with ExitStack() as life:
        clients = [life.enter_context(door.connect()) for _ in range(8)]
        clients[0].sendall(b"wait")
        server.events.expect("started")
        for client in clients[1:]:
            client.sendall(b"queued")
        tell(server)
        server.wait_for(lambda record: "STOPPING" in record, what="STOPPING=1")
        server.events.let_through()
        assert [client.recv(10) for client in clients] == [b"wait", *[b"queued"] * 7]
    assert server.wait_exit() == 0
