"""`idle_timeout`, `read_timeout`, `write_timeout`: a client that holds still has its place no longer than that.

Whatever its handler waits by, without its help, without a traceback, and with an outcome of its own. Who moves stays.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ask, Serve
from tests.kit.door import Door, read_all
from tests.kit.server import Server
from tests.kit.shared import Kinds, Share
from tests.kit.wait import PATIENCE

ECHOES = {
    "a lane": ("classic:EchoHandler", ()),
    "lanes": ("classic:EchoHandler", ("--threads", "3")),
    "a lane that reads lines": ("classic:LineHandler", ()),
    "a lane of the standard library's HTTP": ("http.server:SimpleHTTPRequestHandler", ()),
    "a server with hooks": ("ownserver:Hooked", ()),
    "a coroutine": ("loops:echo", ()),
    "a coroutine on asyncio": ("loops:echo", ("--event-loop", "asyncio")),
    "a protocol": ("loops:Echo", ()),
    "a protocol with slots": ("loops:SlottedBuffered", ()),
    "a protocol on asyncio": ("loops:Echo", ("--event-loop", "asyncio")),
}
ODD = {
    "Deaf": ("idle_timeout", "read_timeout"),
    "Selecting": ("idle_timeout",),
    "Careless": ("idle_timeout", "read_timeout"),
    "Secured": ("idle_timeout",),
}
MOVING: Kinds = {
    **{handler: (handler, ("--threads", "2")) for handler in ("still:Deaf", "still:Selecting", "still:Lines")},
    **{handler: (handler, ()) for handler in ("loops:echo", "loops:Echo")},
}
PUSHING = {handler: (handler, ()) for handler in ("still:Pushing", "still:pushing")}
FLOODING = {handler: (handler, ()) for handler in ("still:Flooding", "still:flooding")}
LIMIT = "0.4"
FLAG = {name: f"--{name.replace('_', '-')}" for name in ("idle_timeout", "read_timeout", "write_timeout")}


def outcomes(asked: Server | Share) -> dict[str, float]:
    metrics = asked.metrics_at_rest()
    found = {name: metrics.sum("forkful_requests_total", outcome=name) for name in ("ok", "error", "reset", "timeout")}
    return {name: count for name, count in found.items() if count}


def ended(client: socket.socket) -> bool:
    """Wait until the other side has ended it."""
    client.settimeout(PATIENCE)
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        read_all(client)
    return True


@pytest.mark.parametrize("limit", ["idle_timeout", "read_timeout"])
@pytest.mark.parametrize("kind", ECHOES)
def test_a_silent_client_loses_its_place_and_others_are_served(kind: str, limit: str, share: Ask) -> None:
    mine = share(kind, ECHOES, FLAG[limit], LIMIT)

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(mine.door.connect()) for _ in range(5)]  # more than lanes
        assert [ended(client) for client in clients] == [True] * 5
    assert outcomes(mine) == {"timeout": 5}
    assert "Traceback" not in mine.server.log


@pytest.mark.parametrize(("kind", "limit"), [(kind, limit) for kind, limits in ODD.items() for limit in limits])
def test_no_handler_is_asked_for_its_help(
    kind: str, limit: str, serve: Serve, doors: Callable[[str], Door], certificate: Path
) -> None:
    door = doors("tcp")
    server = serve(f"still:{kind}", FLAG[limit], LIMIT, binds=[door], env={"CERTIFICATE": str(certificate)})

    for _ in range(2):
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(door.connect())
            if kind == "Secured":
                trust = ssl.create_default_context(cafile=str(certificate))
                client = stack.enter_context(trust.wrap_socket(client, server_hostname="localhost"))
            assert ended(client)
    assert outcomes(server) == {"timeout": 2}
    assert "Traceback" not in server.log


@pytest.mark.parametrize("limit", ["idle_timeout", "read_timeout"])
def test_a_tls_connection_is_ended_as_well(
    limit: str, serve: Serve, doors: Callable[[str], Door], certificate: Path
) -> None:
    door = doors("tcp")
    server = serve("securing:documented", FLAG[limit], LIMIT, binds=[door], env={"CERTIFICATE": str(certificate)})
    trust = ssl.create_default_context(cafile=str(certificate))
    with trust.wrap_socket(door.connect(), server_hostname="localhost") as client:
        assert ended(client)
    assert sum(outcomes(server).values()) == 1
    assert "Traceback" not in server.log


@pytest.mark.parametrize("limit", ["idle_timeout", "read_timeout"])
@pytest.mark.parametrize("handler", MOVING)
def test_a_client_that_moves_stays(handler: str, limit: str, share: Ask) -> None:
    more = () if limit == "idle_timeout" else (FLAG[limit], "1.5")
    mine = share(handler, MOVING, "--idle-timeout", "1.5", *more)
    door = mine.door

    with door.connect() as silent, door.connect() as client:
        told = select.poll()
        told.register(silent, select.POLLIN)
        rounds = 0
        while not told.poll(100):  # for as long as it takes to end somebody else
            client.sendall(b"x\n")
            assert client.recv(100)
            rounds += 1
        assert rounds > 3
        client.sendall(b"x\n")
        assert client.recv(100)
    assert outcomes(mine) == {"timeout": 1, "ok": 1}


@pytest.mark.parametrize("handler", PUSHING)
@pytest.mark.parametrize("limit", ["idle_timeout", "read_timeout"])
def test_a_handler_that_has_the_ball_is_left_alone(limit: str, handler: str, share: Ask) -> None:
    mine = share(handler, PUSHING, FLAG[limit], LIMIT)

    with mine.door.connect() as client:
        heard = b""
        while heard.count(b"tick") < 40:  # 2 s
            piece = client.recv(1000)
            assert piece
            heard += piece
    assert "timeout" not in outcomes(mine)


@pytest.mark.parametrize("handler", FLOODING)
def test_who_takes_nothing_of_what_is_sent_is_cut_off(handler: str, share: Ask) -> None:
    mine = share(handler, FLOODING, "--write-timeout", "0.5")

    with mine.door.connect():
        mine.wait_for(1, "forkful_requests_total", outcome="timeout")
    assert "Traceback" not in mine.server.log


def test_more_silent_clients_than_lanes_stop_no_service(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    serve("classic:EchoHandler", "--threads", "2", "--read-timeout", LIMIT, binds=[door])

    with contextlib.ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(door.connect())
        assert door.ask(b"honest") == b"honest"
