"""Programs with a loop of their own, given the shared sockets by `owns_loop`: served, reloaded, drained and counted."""

# ruff: noqa: PLC0415  # each client is imported by the test that is about it

import contextlib
import ftplib
import smtplib
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.load import Load
from tests.kit.wait import PATIENCE


def port(door: Door) -> int:
    assert isinstance(door.address, tuple)
    return door.address[1]


def ask_websocket(door: Door) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port(door)}", proxy=None) as client:
        client.send("hello")
        assert client.recv(PATIENCE) == "hello"


def ask_rpc(door: Door) -> None:
    import rpyc

    client: Any = rpyc.connect("127.0.0.1", port(door))
    with contextlib.closing(client):
        assert client.root.echo("hello") == "hello"


def ask_ftp(door: Door) -> None:
    with ftplib.FTP() as client:
        client.connect("127.0.0.1", port(door), timeout=PATIENCE)
        client.login()
        assert "owners.py" in client.nlst()


def ask_mail(door: Door) -> None:
    with smtplib.SMTP("127.0.0.1", port(door), timeout=PATIENCE) as client:
        assert client.sendmail("a@example.org", ["b@example.org"], "Subject: hello\r\n\r\nhello\r\n") == {}


def ask_shell(door: Door) -> None:
    script = (
        "import asyncio, asyncssh, sys\n"
        "async def ask():\n"
        "    async with asyncssh.connect('127.0.0.1', int(sys.argv[1]), known_hosts=None, username='x') as client:\n"
        "        print((await client.run('hello')).stdout, end='')\n"
        "asyncio.run(ask())\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(port(door))],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert found.stdout == "hello\n", found.stderr


def ask_web(door: Door) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port(door)}/", timeout=PATIENCE) as reply:
        assert reply.read() == b"hypercorn"


PROGRAMS = {
    "websocket": ask_websocket,
    "rpc": ask_rpc,
    "ftp": ask_ftp,
    "mail": ask_mail,
    "shell": ask_shell,
    "web": ask_web,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_serves_its_own_clients_through_a_reload_a_kill_and_a_stop(
    program: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door, ask = doors("tcp"), PROGRAMS[program]
    server = serve(f"owners:{program}", "--workers", "2", "--graceful-timeout", "10", binds=[door])
    ask(door)
    server.hup()
    for _ in range(3):  # the old workers have closed what they share with these
        ask(door)
    killed = server.workers()[0]
    server.kill(killed, SIGKILL)
    server.wait_for_workers(2, besides=[killed])
    ask(door)
    server.signal(SIGTERM)

    assert server.wait_exit() == 0
    assert "graceful_timeout" not in server.log


@pytest.mark.parametrize("program", ["plain", "streams"])
@pytest.mark.parametrize("loop", ["auto", "asyncio"])
def test_accept_loop_loses_nothing_through_reloads(
    program: str, loop: str, serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve(f"owners:{program}", "--workers", "2", "--event-loop", loop, binds=[door])
    with Load(door, shut=True) as load:
        for _ in range(3):
            load.more(20)
            server.hup()
        load.more(20)
    if (program, loop) != ("streams", "auto"):  # uvloop accepts in C, out of our sight
        metrics = server.metrics_at_rest()
        assert metrics.sum("forkful_connections_accepted_total", pool="main") == load.ok


def test_datagram_loop_is_drained_while_it_waits(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("udp")
    server = serve("owners:datagrams", "--workers", "2", binds=[door])
    with Load(door) as load:
        load.more(20)
        server.hup()
        load.more(20)


def test_stop_lets_the_program_accept_what_was_in_the_queue_and_finish_it(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("owners:plain", binds=[door])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(door.connect()) for _ in range(20)]
        server.signal(SIGTERM)
        for client in clients:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
        assert [client.recv(100) for client in clients] == [b"hello"] * 20
    assert server.wait_exit() == 0


def test_ready_is_when_the_program_takes_its_socket_and_a_failure_before_fails_the_start(serve: Serve) -> None:
    server = serve("owners:gives_up", "--workers", "1", ready=False)
    server.may_log_tracebacks = True

    assert server.wait_exit() == 3
    assert "returned, and nobody had asked it to drain" in server.log


def test_program_that_breaks_down_is_replaced(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("owners:breaks_down", "--workers", "1", binds=[door])
    server.may_log_tracebacks = True
    before = server.workers()
    door.connect().close()
    server.wait_for_workers(1, besides=list(before.values()))

    assert server.metrics().sum("forkful_worker_exits_total", reason="crash") == 1
    assert "broke down" in server.log


def test_connection_is_active_until_the_program_closes_it(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve("owners:plain", binds=[door])
    with door.connect() as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        assert server.metrics().sum("forkful_connections_active", pool="main") == 1
    server.metrics_at_rest()
