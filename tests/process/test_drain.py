"""A stop loses nothing that reached us, nor does anything else for which a worker leaves."""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from signal import SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTTOU, SIGWINCH

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door, read_all
from tests.kit.load import Load
from tests.kit.server import APPS, Server
from tests.kit.wait import gone, readable, until

Doors = Callable[[str], Door]
EXITS = "forkful_worker_exits_total"


def begin_to_stop(server: Server) -> None:
    server.signal(SIGTERM)
    server.wait_for(lambda record: record.get("STOPPING") == "1", what="STOPPING=1")


# -- the stop ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_requests_that_are_complete_in_the_queue_when_term_comes_are_answered(
    kind: str, threads: str, serve: Serve, doors: Doors
) -> None:
    door = doors(kind)
    server = serve("stages:Staged", "--threads", threads, binds=[door])
    with ExitStack() as stack:
        busy = [stack.enter_context(door.connect()) for _ in range(int(threads))]
        for client in busy:
            client.sendall(b"wait")
            server.events.expect("started")
        queued = [stack.enter_context(door.connect()) for _ in range(6)]
        for client in queued:
            client.sendall(b"complete")
        begin_to_stop(server)
        server.wait_for_log("draining (stop)")
        server.events.let_through(len(busy))
        assert [read_all(client) for client in (*busy, *queued)] == [b"wait"] * len(busy) + [b"complete"] * 6
    assert server.wait_exit() == 0


@pytest.mark.parametrize("kind", ["udp", "unixgram"])
def test_datagrams_that_are_in_the_queue_when_term_comes_are_answered(kind: str, serve: Serve, doors: Doors) -> None:
    door = doors(kind)
    server = serve("patient:Datagrams", binds=[door])
    with ExitStack() as stack:
        busy = stack.enter_context(door.connect())
        busy.send(b"wait")
        server.events.expect("started")
        queued = [stack.enter_context(door.connect()) for _ in range(6)]
        for client in queued:
            client.send(b"complete")
        begin_to_stop(server)
        server.wait_for_log("draining (stop)")
        server.events.let_through()
        assert [client.recv(100) for client in (busy, *queued)] == [b"wait", *[b"complete"] * 6]
    assert server.wait_exit() == 0


def test_queue_of_an_event_loop_is_answered_too(serve: Serve, doors: Doors, app: App) -> None:
    app.write(
        "import time\nfrom stages import tell, wait_at_the_gate\n"
        "async def Handler(reader, writer):\n"
        "    data = await reader.read(100)\n"
        "    if data == b'wait':\n"
        "        tell('started')\n"
        "        wait_at_the_gate()\n"
        "    writer.write(data)\n"
    )
    door = doors("tcp")
    server = serve(app.handler, binds=[door], cwd=app.folder, env={"PYTHONPATH": str(APPS)})
    with ExitStack() as stack:
        busy = stack.enter_context(door.connect())
        busy.sendall(b"wait")
        server.events.expect("started")  # the loop is blocked, as by code that does not know better
        queued = [stack.enter_context(door.connect()) for _ in range(6)]
        for client in queued:
            client.sendall(b"complete")
        begin_to_stop(server)
        server.wait_for_log("draining (stop)")
        server.events.let_through()
        assert [read_all(client) for client in (busy, *queued)] == [b"wait", *[b"complete"] * 6]
    assert server.wait_exit() == 0


def test_readyz_is_503_at_once_while_accepting_goes_on_for_the_drain_delay(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--drain-delay", "1", binds=[door])
    with Load(door) as load:
        begin_to_stop(server)
        code, why = server.admin.get("/readyz")
        assert (code, why.strip()) == (503, "stopping")
        load.more(20)
        load.stop()
    assert "draining" not in server.log, "all that was during the delay"
    assert server.wait_exit() == 0


def test_threaded_worker_that_is_busy_in_one_lane_refuses_who_comes_late(serve: Serve, doors: Doors) -> None:
    """Its other lane finds the queue empty and closes: nobody waits in a queue that is never served."""
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", "2", binds=[door])
    with door.connect() as busy:
        busy.sendall(b"wait")
        server.events.expect("started")
        begin_to_stop(server)

        def refused() -> bool:
            try:
                with door.connect():
                    return False
            except ConnectionRefusedError:
                return True

        server.wait_until(refused, what="a refusal while the last request is finished")
        server.events.let_through()
        assert busy.recv(10) == b"wait"
    assert server.wait_exit() == 0


def test_handler_that_does_not_finish_in_time_is_shown_and_aborted(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--graceful-timeout", "0.3", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.signal(SIGTERM)
        assert server.wait_exit(within=5.0) == 0

    assert "has not finished within graceful_timeout" in server.log
    assert "in wait_at_the_gate" in server.log
    assert "gone (timeout), killed by SIGABRT" in server.log


def test_worker_that_abort_does_not_end_is_killed(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--graceful-timeout", "0.3", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        worker = int(server.events.expect("started").split()[1])
        os.kill(worker, SIGSTOP)  # it acts on nothing but SIGKILL
        server.signal(SIGTERM)
        assert server.wait_exit(within=8.0) == 0

    assert "killed by SIGKILL" in server.log


@pytest.mark.parametrize("second", [SIGTERM, SIGINT, SIGQUIT])
def test_second_signal_makes_a_stop_quick_even_during_the_drain_delay(second: int, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--drain-delay", "60", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        begin_to_stop(server)
        os.kill(server.pid, second)
        assert server.wait_exit(within=5.0) == 0


# -- everything else for which a worker leaves -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_scaling_down_under_load_loses_nothing(kind: str, serve: Serve, doors: Doors) -> None:
    door = doors(kind)
    server = serve("classic:DatagramEcho" if kind == "udp" else "classic:EchoHandler", "-w", "4", binds=[door])
    with Load(door) as load:
        load.more(10)
        assert server.run("scale", "main", "1").returncode == 0
        server.wait_for_workers(1)
        load.more(10)
    assert server.metrics().sum(EXITS, pool="main", reason="scale_down") == 3


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_workers_that_retire_under_load_lose_nothing(kind: str, serve: Serve, doors: Doors) -> None:
    door = doors(kind)
    handler = "classic:DatagramEcho" if kind == "udp" else "classic:EchoHandler"
    server = serve(handler, "-w", "2", "--preload", "--max-requests", "10", binds=[door])
    with Load(door) as load:
        server.wait_until(
            lambda: server.metrics().sum(EXITS, pool="main", reason="max_requests") >= 5, what="five exits"
        )
    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_requests_total", pool="main") == load.ok


def test_winch_keeps_what_comes_meanwhile_in_the_queue(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "-w", "2", binds=[door])
    with Load(door) as load:
        load.more(10)
        server.signal(SIGWINCH)
        server.wait_until(lambda: not server.pool()["workers"], what="no workers")
        server.signal(SIGHUP)
        server.wait_for_workers(2)
        load.more(10)


@pytest.mark.parametrize("threads", ["1", "4"])
def test_queue_is_never_without_an_acceptor_while_the_only_worker_is_replaced(
    threads: str, serve: Serve, doors: Doors, app: App
) -> None:
    """The successor takes a second to boot: nobody waits for it."""
    slow = "import time\ntime.sleep(0.8)\n"
    app.write(slow + app.path.read_text())
    door = doors("tcp")
    server = serve(app.handler, "--threads", threads, "--max-requests", "5", binds=[door], cwd=app.folder)
    first = server.workers()[0]
    with Load(door, clients=1, timeout=0.6) as load:
        load.more(10)
        server.wait_for_workers(1, besides=[first])
        server.hup()
        load.more(5)


def test_workers_retire_one_at_a_time(serve: Serve, doors: Doors, app: App) -> None:
    """All reach their limit at once, and `surge` would allow for more: at no time more than one is replaced."""
    app.write("import time\ntime.sleep(0.2)\n" + app.path.read_text())
    door = doors("tcp")
    text = (
        f'[pool.main]\nhandler = "{app.handler}"\nbind = ["{door.url}"]\nworkers = 4\nsurge = 4\n'
        "max_requests = 3\nmax_requests_jitter = 0\n"
    )
    server = serve(binds=[door], config=text, cwd=app.folder)
    before = server.workers()
    with Load(door) as load:
        load.more(40)
        most = 0

        def replaced() -> bool:
            nonlocal most
            workers = server.pool()["workers"]
            most = max(most, len(workers))
            return not {w["pid"] for w in workers} & set(before.values())

        server.wait_until(replaced, what="all four replaced")
    assert most == 5


# -- a signal that interrupts nothing ----------------------------------------------------------------------------------

DEAF = """
import signal
from socketserver import BaseRequestHandler

class Handler(BaseRequestHandler):
    def handle(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
        self.request.sendall(self.request.recv(100))
"""


@pytest.fixture
def deaf(serve: Serve, doors: Doors, app: App) -> Server:
    """A worker with one lane that no signal will tell of a message: as if it came just before accept(2)."""
    app.write(DEAF)
    door = doors("tcp")
    server = serve(app.handler, binds=[door], cwd=app.folder)
    assert door.ask(b"served") == b"served"
    return server


def test_drain_whose_signal_was_lost_does_not_wait_for_the_next_connection(deaf: Server) -> None:
    worker = deaf.workers()[0]
    deaf.hup()
    gone(worker)
    deaf.wait_for_log(f"pid={worker}: gone (reload), exit code 0")


def test_command_whose_signal_was_lost_does_not_wait_for_the_next_connection(deaf: Server) -> None:
    assert deaf.run("stacks").returncode == 0
    deaf.wait_for_log("stacks of")


def test_end_of_the_master_whose_signal_was_lost_does_not_wait_for_the_next_connection(deaf: Server) -> None:
    deaf.kill(deaf.pid)
    until(lambda: not processes.session(deaf.pid), what="an empty session", within=2.0)
    deaf.wait_exit()
    deaf.was_killed()


# -- goodbye -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [b"wait\n", b"callback\n"])
@pytest.mark.parametrize("why", ["stop", "reload", "scale"])
def test_conversation_can_say_goodbye_when_its_worker_drains(way: bytes, why: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("patient:Polite", "--workers", "2" if why == "scale" else "1", binds=[door])
    with ExitStack() as stack:
        clients = [stack.enter_context(door.connect()) for _ in server.workers()]
        for client in clients:
            client.sendall(way)
            server.events.expect("listening")
        match why:
            case "stop":
                server.signal(SIGTERM)
            case "reload":
                server.signal(SIGHUP)
            case "scale":
                server.signal(SIGTTOU)
        chatting = clients if why != "scale" else [_first_to_speak(clients)]
        assert [client.recv(100) for client in chatting] == [b"goodbye\n"] * len(chatting)
        for client in clients:
            client.shutdown(socket.SHUT_RDWR)
    if why == "stop":
        assert server.wait_exit() == 0


def _first_to_speak(clients: list[socket.socket]) -> socket.socket:
    fds = {client.fileno(): client for client in clients}
    return fds[readable(*fds, within=5.0)[0]]


def test_conversation_that_polls_hears_of_the_drain_between_two_lines(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("patient:Polite", binds=[door])
    with door.connect() as client:
        client.sendall(b"poll\n")
        assert client.recv(100) == b"still here\n"
        client.sendall(b"again\n")
        assert client.recv(100) == b"still here\n"
        begin_to_stop(server)
        server.wait_for_log("draining (stop)")

        def goodbye() -> bool:
            client.sendall(b"and now?\n")
            return client.recv(100) == b"goodbye\n"

        server.wait_until(goodbye, what="a goodbye")
    assert server.wait_exit() == 0
