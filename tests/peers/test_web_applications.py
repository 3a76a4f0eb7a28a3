"""Sites of frameworks run as their authors meant, whatever the loop and the number of threads.

Gunicorn and uvicorn are the oracles: `python -m tests.bench applications` prints who answers what as a table.
"""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.conversations import APPLICATIONS, Answers, prepare
from tests.kit.door import Door
from tests.kit.oracles import oracle
from tests.kit.web import get, talk

Doors = Callable[[str], Door]
_wanted: dict[tuple[str, str], Answers] = {}


def wanted(app: str, server: str, doors: Doors, folder: Path) -> Answers:
    """What the oracle answers; it is asked once."""
    if (app, server) not in _wanted:
        door = doors("tcp")
        with oracle(server, APPLICATIONS[app].handler, door, prepare(folder)):
            _wanted[app, server] = APPLICATIONS[app].ask(door)
    return _wanted[app, server]


CASES = [
    (app, loop, threads)
    for app, site in APPLICATIONS.items()
    for loop in ("uvloop", "asyncio")
    for threads in ((1, 4) if site.oracle == "Gunicorn" else (1,))
]


@pytest.mark.parametrize(("app", "loop", "threads"), CASES)
def test_a_site_answers_as_it_does_behind_its_authors_server(
    app: str, loop: str, threads: int, serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    site, door = APPLICATIONS[app], doors("tcp")
    (tmp_path / "ours").mkdir()
    flags = ("--threads", str(threads), "--event-loop", loop)
    server = serve(site.handler, *flags, binds=[door], env=prepare(tmp_path / "ours"), ready=False)
    server.wait_ready(within=60)
    answers = site.ask(door)

    kind = f"{site.oracle}, 4 threads" if threads == 4 else site.oracle
    (tmp_path / "theirs").mkdir()
    theirs = wanted(app, kind, doors, tmp_path / "theirs")
    assert {key: answers[key] for key in theirs if answers[key] != theirs[key]} == {}, "where we differ"
    assert answers == theirs
    assert "Traceback" not in server.log
    assert all(
        text == "".join(f"{number}:True;" for number in range(20))
        for text in answers.get("streams", [])  # type: ignore[attr-defined]  # texts
    )


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_early_hints_leave_as_they_do_behind_gunicorn(version: bytes, serve: Serve, doors: Doors) -> None:
    ours, theirs = doors("tcp"), doors("tcp")
    raw = b"GET / HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % version
    serve("websites:hinting", binds=[ours])
    with oracle("Gunicorn", "websites:hinting", theirs, {}):
        wanted, _, last = talk(theirs, raw).rpartition(b"HTTP/1.1 200 OK")

    assert talk(ours, raw).rpartition(b"HTTP/1.1 200 OK")[0] == wanted
    assert wanted.count(b"Link: ") == (2 if version == b"1.1" else 0)
    assert last.endswith(b"ok")


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_client_that_does_not_read_is_no_time_of_the_application(threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("websites:endless", "--threads", threads, binds=[door])

    with door.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(10)
        server.wait_until(
            lambda: server.metrics().sum("forkful_oldest_request_seconds") == 0, what="a clock that stands still"
        )
        if threads == "4":
            assert get(door, "/small").body == b"small"
    server.wait_until(lambda: server.metrics().sum("forkful_connections_active") == 0, what="the end of the call")


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_body_that_comes_slowly_is_no_time_of_the_application(threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("websites:endless", "--threads", threads, binds=[door])

    with door.connect() as client:
        client.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 "), "it reads"
        server.wait_until(
            lambda: server.metrics().sum("forkful_oldest_request_seconds") == 0, what="a clock that stands still"
        )
        client.sendall(bytes(3_000_000))
        assert client.recv(1000).endswith(b"3000000")


def test_an_idle_connection_does_not_hold_a_stop(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("websites:endless", "--keep-alive", "75", binds=[door])

    with door.connect() as client:
        client.sendall(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(1000).endswith(b"small")
        server.signal(signal.SIGTERM)  # with a connection that is kept and idle
        assert client.recv(1) == b"", "it is told to go, politely"
    assert server.wait_exit() == 0
