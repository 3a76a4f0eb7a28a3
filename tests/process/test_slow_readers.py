"""Clients who are slow to read what they asked for: they cost neither their worker nor others anything."""

import contextlib
import select
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.door import Door
from tests.kit.server import Server
from tests.kit.wait import PATIENCE
from tests.kit.web import get

Doors = Callable[[str], Door]
MB = 1 << 20
BIG = 12 * MB  # more than the kernel keeps of a connection
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


@contextlib.contextmanager
def asking(door: Door, path: str) -> Iterator[socket.socket]:
    """A client that has asked, whose kernel keeps little of the answer."""
    with socket.socket(door.family) as client:
        client.settimeout(PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(door.address)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        yield client


def take(client: socket.socket, size: int) -> int:
    """Read at least so many bytes; how many it were."""
    got = 0
    while got < size:
        piece = client.recv(65_536)
        if not piece:
            break
        got += len(piece)
    return got


def cut(client: socket.socket) -> None:
    """Wait until the connection ends, without reading from it."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    assert poll.poll(PATIENCE * 1000), "not cut off"


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOLDER", str(tmp_path))


@pytest.mark.parametrize(("app", "kind"), [("wsgi", "pieces"), ("wsgi", "whole"), ("asgi", "pieces")])
def test_a_slow_reader_costs_nobody_his_worker(app: str, kind: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(f"readers:{app}", "--threads", "4", "--timeout", "1", binds=[door])
    workers = server.workers()

    with asking(door, f"/{kind}?{BIG}") as client:
        got = take(client, MB)
        for _ in range(10):  # 2.5 s
            assert get(door, "/pause").body == b"pause"
            got += take(client, MB)
        got += take(client, 2 * BIG)

    assert got > BIG, "with its head"
    assert server.workers() == workers
    assert "timeout" not in server.log


@LOOPS
@pytest.mark.parametrize("kind", ["pieces", "written"])
def test_the_clock_of_the_only_thread_stands_still_for_a_client(
    loop: str, kind: str, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("readers:wsgi", "--event-loop", loop, binds=[door])

    with asking(door, f"/{kind}?{BIG}") as client:
        take(client, 1)
        server.wait_until(
            lambda: server.metrics().sum("forkful_oldest_request_seconds") == 0, what="a clock that stands still"
        )
        assert take(client, 2 * BIG) > BIG - 65_536
    assert get(door, "/small").body == b"small"


@LOOPS
@pytest.mark.parametrize(
    ("app", "kind"),
    [("wsgi", "pieces"), ("wsgi", "written"), ("wsgi", "whole"), ("wsgi", "file"), ("asgi", "pieces"),
     ("asgi", "whole")],
)  # fmt: skip
def test_who_takes_nothing_is_cut_off(loop: str, app: str, kind: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(f"readers:{app}", "--write-timeout", "0.5", "--event-loop", loop, binds=[door])
    workers = server.workers()

    with asking(door, f"/{kind}?{BIG}") as client:
        take(client, 1)
        cut(client)
    assert get(door, "/small").body == b"small"
    assert server.workers() == workers
    held(server, 0)


def held(server: Server, connections: int) -> None:
    server.wait_until(
        lambda: server.metrics().sum("forkful_connections_active") == connections, what=f"{connections} connections"
    )


@pytest.mark.parametrize(
    ("app", "kind", "loop"), [("wsgi", "pieces", "uvloop"), ("wsgi", "file", "asyncio"), ("asgi", "whole", "uvloop")]
)
def test_who_takes_a_little_is_not_cut_off(loop: str, app: str, kind: str, serve: Serve, doors: Doors) -> None:
    """So little that the kernel takes nothing more of us meanwhile."""
    door = doors("tcp")
    serve(f"readers:{app}", "--write-timeout", "1", "--threads", "2", "--event-loop", loop, binds=[door])

    with asking(door, f"/{kind}?{BIG}") as client:
        got = take(client, 1)
        for _ in range(10):  # 2.5 s
            assert get(door, "/pause").body == b"pause"
            got += take(client, 32_768)
        assert got + take(client, 2 * BIG) > BIG


def test_what_waits_for_many_slow_readers_is_bounded(serve: Serve, doors: Doors) -> None:
    door = doors("unix")  # the kernel keeps 200 KB of each
    server = serve("readers:wsgi", "--threads", "4", binds=[door])
    (worker,) = server.workers().values()
    before = processes.resident(worker)
    count = 200

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(asking(door, f"/pieces?{MB}")) for _ in range(count)]
        server.wait_until(lambda: processes.resident(worker) - before > 60 * MB, what="answers that wait")
        for _ in range(100):
            server.metrics()  # time goes by
        assert processes.resident(worker) - before < 110 * MB, "200 MB were asked for"
        with ThreadPoolExecutor(count) as pool:
            assert all(got > MB for got in pool.map(lambda client: take(client, 2 * MB), clients))
    assert get(door, "/small").body == b"small"


@LOOPS
@pytest.mark.parametrize("app", ["wsgi", "asgi"])
def test_files_that_were_sent_are_closed(loop: str, app: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(f"readers:{app}", "--event-loop", loop, binds=[door])
    (worker,) = server.workers().values()
    assert get(door, "/small").body == b"small"
    held(server, 0)
    before = len(processes.descriptors(worker))

    for _ in range(10):
        assert len(get(door, f"/file?{MB}").body) == MB
    with asking(door, f"/file?{BIG}") as client:
        take(client, 1)
    server.wait_until(lambda: len(processes.descriptors(worker)) == before, what="as many descriptors as before")
