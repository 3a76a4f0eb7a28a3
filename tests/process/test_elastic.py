"""A pool between two numbers grows with its load, and an operator's number is the last word."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from signal import SIGTTIN

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door, read_all
from tests.kit.load import Load

Doors = Callable[[str], Door]
TARGET = "forkful_workers_target"


def config(door: Door, handler: str = "stages:Staged", least: int = 1, most: int = 4) -> str:
    return f'[pool.main]\nhandler = "{handler}"\nbind = ["{door.url}"]\nworkers = {{ min = {least}, max = {most} }}\n'


def test_pool_grows_while_its_lanes_are_busy_and_never_beyond_its_most(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(binds=[door], config=config(door, most=3))
    assert len(server.workers()) == 1
    with ExitStack() as stack:
        clients = [stack.enter_context(door.connect()) for _ in range(5)]
        for client in clients:
            client.sendall(b"wait")
        for _ in range(3):
            server.events.expect("started")
        server.wait_for_workers(3)
        assert "its lanes are busy" in server.log
        server.events.let_through(5)
        assert [read_all(client) for client in clients] == [b"wait"] * 5
    assert server.metrics().sum(TARGET, pool="main") == 3
    server.now_holds_more()


def test_ramp_of_real_load_grows_a_pool_and_loses_nothing(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(binds=[door], config=config(door, "patient:Busy", most=3))

    def client() -> None:
        while not over.is_set():
            if door.ask(b"20") != b"20":
                lost.append("a request")

    over, lost = threading.Event(), list[str]()
    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        server.wait_for_workers(3)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not lost
    server.now_holds_more()


def test_calm_pool_stays_as_it_is(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(binds=[door], config=config(door, "classic:EchoHandler"))
    with Load(door, clients=1) as load:
        load.more(400)
    assert server.metrics().sum(TARGET, pool="main") == 1


def test_connections_that_do_nothing_do_not_grow_a_pool_of_event_loops(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(binds=[door], config=config(door, "loops:echo"))
    with ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(door.connect())
            client.sendall(b"x")
            assert client.recv(10) == b"x"
        server.wait_until(lambda: server.metrics().sum("forkful_oldest_request_seconds") > 3.5, what="long enough")
        assert server.metrics().sum("forkful_requests_in_flight") == 3
        assert server.metrics().sum(TARGET, pool="main") == 1


def test_event_loop_that_has_the_cpu_all_the_time_grows_its_pool(serve: Serve, doors: Doors, app: App) -> None:
    app.write(
        "import asyncio, time\n"
        "class Handler(asyncio.Protocol):\n"
        "    def connection_made(self, transport):\n"
        "        self.transport = transport\n"
        "    def data_received(self, data):\n"
        "        end = time.thread_time() + 0.02\n"
        "        while time.thread_time() < end:\n"
        "            pass\n"
        "        self.transport.write(data)\n"
    )
    door = doors("tcp")
    server = serve(binds=[door], config=config(door, app.handler, most=2), cwd=app.folder)
    with door.connect() as one, door.connect() as other:
        clients = [one, other]

        def grown() -> bool:
            for client in clients:
                client.sendall(b"x")
            assert [client.recv(10) for client in clients] == [b"x", b"x"]
            return len(server.workers()) == 2 if server.log.count("its lanes are busy") else False

        server.wait_until(grown, what="a second worker")
    server.now_holds_more()


def test_event_loop_that_is_blocked_grows_its_pool(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(binds=[door], config=config(door, "blocking:Blocking", most=2))
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.wait_for_workers(2)
        server.events.let_through()
        assert client.recv(10) == b"wait"
    server.now_holds_more()


def test_number_that_an_operator_sets_is_the_last_word(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(binds=[door], config=config(door))
    server.signal(SIGTTIN)
    server.wait_for_workers(2)
    with busy(door, 3):
        for _ in range(2):
            server.events.expect("started")
        server.wait_until(lambda: server.metrics().sum("forkful_oldest_request_seconds") > 2.5, what="long enough")
        assert server.metrics().sum(TARGET, pool="main") == 2
        server.events.let_through(3)
    assert server.run("scale", "main", "5").returncode == 0, "also beyond its most"
    server.wait_for_workers(5)
    server.now_holds_more()


def test_target_survives_a_reload(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(binds=[door], config=config(door, most=2))
    with busy(door, 2):
        server.events.expect("started")
        server.wait_for_workers(2)
        server.events.let_through(2)
    server.hup()
    assert len(server.wait_for_workers(2)) == 2
    server.now_holds_more()


@contextmanager
def busy(door: Door, count: int) -> Iterator[None]:
    """So many requests that wait at the gate; inside, the gate is to be opened."""
    with ExitStack() as stack:
        clients = [stack.enter_context(door.connect()) for _ in range(count)]
        for client in clients:
            client.sendall(b"wait")
        yield
        assert [read_all(client) for client in clients] == [b"wait"] * count
