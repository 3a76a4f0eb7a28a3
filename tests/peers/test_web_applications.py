"""Django and Flask run as their authors meant, with one thread and with several; Gunicorn is the oracle."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.web import Answer, Web, get

Doors = Callable[[str], Door]
APPS = Path(__file__).parents[1] / "apps"
FORM = "multipart/form-data; boundary=xxx"


def form(size: int) -> bytes:
    head = b'--xxx\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    return head + b"x" * size + b"\r\n--xxx--\r\n"


@contextlib.contextmanager
def gunicorn(app: str, door: Door, threads: int, database: Path) -> Iterator[None]:
    """Gunicorn on the same address, until the end of the block."""
    assert door.listener is not None
    words = [
        sys.executable,
        "-m",
        "gunicorn",
        app,
        "--bind",
        f"fd://{door.listener.fileno()}",
        "--threads",
        str(threads),
    ]
    process = subprocess.Popen(
        words,
        cwd=APPS,
        env={**os.environ, "DATABASE": str(database)},
        pass_fds=[door.listener.fileno()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.text


def asked(door: Door, app: str) -> dict[str, object]:
    """What a site answers, by what it was asked."""
    said: dict[str, object] = {}
    paths = ["/orm?name=anna", "/orm?name=bob", "/async", "/run", "/async"]
    if app == "django_app":
        paths += ["/rows", "/file", "/nope"]
    with Web(door, 60) as web:
        for number, path in enumerate(paths):
            answer = web.ask(path)
            said[f"{number} {path}"] = (answer.status, re.sub(r"(?s)<.*", "a page", answer.text)[:2000])
        for size in (10, 3_000_000):
            said[f"upload {size}"] = told(web.ask("/upload", "POST", form(size), Content_Type=FORM))
        if app == "django_app":
            cookie = web.ask("/session").headers["Set-Cookie"].partition(";")[0]
            said["session"] = told(web.ask("/session", Cookie=cookie))
            said["closed"] = told(web.ask("/closed"))
    with ThreadPoolExecutor(4) as pool:
        said["streams"] = [a.text for a in pool.map(lambda who: get(door, f"/stream?who={who}"), "abcd")]
    return said


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("app", ["django_app", "flask_app"])
def test_a_site_answers_as_it_does_behind_gunicorn(
    app: str, loop: str, threads: int, serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    ours, theirs = doors("tcp"), doors("tcp")
    flags = ("--threads", str(threads), "--event-loop", loop)
    database = {"DATABASE": str(tmp_path / "ours.sqlite3")}
    server = serve(f"websites:{app}", *flags, binds=[ours], env=database, ready=False)
    server.wait_ready(within=60)
    said = asked(ours, app)
    with gunicorn(f"websites:{app}", theirs, threads, tmp_path / "theirs.sqlite3"):
        wanted = asked(theirs, app)

    assert said == wanted
    assert said["0 /orm?name=anna"] == (200, "1 no loop")
    assert said["2 /async"] == (200, "from a coroutine True")
    assert all(text == "".join(f"{n}:True;" for n in range(20)) for text in said["streams"])  # type: ignore[attr-defined]
    assert "Traceback" not in server.log


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
