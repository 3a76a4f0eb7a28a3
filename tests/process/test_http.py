"""HTTP by a real server: applications found out, kept connections, faults, draining, reload under load."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import until
from tests.kit.web import Web, WebLoad, get, talk

Doors = Callable[[str], Door]
GET = b"GET /%b HTTP/1.1\r\nHost: test\r\n\r\n"
LAST = b"GET /%b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

BOTH = pytest.mark.parametrize("app", ["wsgi:echo", "asgi:echo"])
INLINE_AND_POOL = pytest.mark.parametrize("threads", ["1", "4"])
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


@BOTH
@LOOPS
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_application_is_served_without_saying_what_it_is(
    app: str, loop: str, kind: str, serve: Serve, doors: Doors
) -> None:
    door = doors(kind)
    serve(app, "--event-loop", loop, binds=[door])

    with Web(door) as web:
        assert [web.ask("/", "POST", b"%d" % n).body for n in range(5)] == [b"%d" % n for n in range(5)]
        assert web.ask("/a%20b").text == "a b"
        assert web.ask("/x", "HEAD").body == b""
        assert web.ask("/", "POST", iter([b"in", b"pieces"])).body == b"inpieces"


def test_an_application_may_be_mounted_below_a_path(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve("wsgi:about", "--root-path", "/app", binds=[door])

    said = get(door, "/app/x").text.splitlines()

    assert {"SCRIPT_NAME=/app", "PATH_INFO=/x"} <= set(said)


@INLINE_AND_POOL
def test_a_pipeline_is_answered_in_order(threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve("wsgi:echo", "--threads", threads, binds=[door])

    answers = talk(door, b"".join(GET % b"%d" % n for n in range(50)) + LAST % b"last")

    bodies = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"%d" % n for n in range(50)] + [b"last"]


def test_a_pool_of_threads_serves_as_many_at_once(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:echo", "--threads", "4", binds=[door])

    with ThreadPoolExecutor(4) as clients:
        answers = [clients.submit(get, door, "/wait") for _ in range(4)]
        assert {server.events.expect("started") for _ in range(4)} == {f"started {server.workers()[0]}"}
        metrics = server.metrics()
        assert metrics.sum("forkful_oldest_request_seconds") > 0
        server.events.let_through(4)
        assert [answer.result().text for answer in answers] == ["wait"] * 4


def test_clients_that_never_stop_asking_do_not_keep_others_out_of_a_busy_pool(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:echo", "--threads", "2", binds=[door])
    answered = [0] * 12
    enough = threading.Event()

    def ask(number: int) -> None:
        with Web(door) as web:
            while not enough.is_set():
                assert web.ask("/wait").status == 200
                answered[number] += 1

    with ThreadPoolExecutor(len(answered)) as clients:
        asking = [clients.submit(ask, number) for number in range(len(answered))]
        for _ in range(5000):  # of which those that are in first would take all
            server.events.expect("started")
            server.events.let_through(1)
            if all(answered):
                break
        enough.set()
        server.events.let_through(len(answered) + 2)
        for client in asking:
            client.result()

    assert all(answered), answered


def test_requests_are_counted_with_their_outcome(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:faulty", binds=[door])
    server.may_log_tracebacks = True

    assert get(door, "/").status == 500
    assert b"half of it" in talk(door, GET % b"half")
    assert talk(door, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")

    def counted() -> bool:
        metrics = server.metrics()
        outcomes = {name: metrics.sum("forkful_requests_total", outcome=name) for name in ("ok", "error", "refused")}
        return outcomes == {"ok": 0, "error": 2, "refused": 1}

    until(counted, what="two errors and one refusal")
    assert server.log.count("ValueError: the application's own mistake") == 1
    assert server.log.count("ValueError: in the middle") == 1


@INLINE_AND_POOL
def test_half_an_answer_never_looks_whole(threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:faulty", "--threads", threads, binds=[door])
    server.may_log_tracebacks = True

    try:
        heard = talk(door, GET % b"half")
    except ConnectionResetError:
        return
    assert not heard.endswith(b"0\r\n\r\n")


@BOTH
def test_term_finishes_what_is_under_way_and_says_that_it_is_the_last(app: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(app, "--keep-alive", "0.2", binds=[door])

    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(get, door, "/wait")
        server.events.expect("started")
        server.signal(SIGTERM)
        server.wait_for_log("draining")
        server.events.let_through()
        assert answer.result().text == "wait"
    assert server.wait_exit() == 0


@pytest.mark.parametrize("threads", ["1", "3"])
def test_who_does_not_read_is_cut_off_when_the_time_is_up(threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:large", "--threads", threads, "--graceful-timeout", "1", binds=[door])

    with door.connect() as client:
        client.sendall(b"GET /1000000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        server.signal(SIGTERM)
        server.events.expect("closed")
        assert server.wait_exit() == 0

    assert "gone (stop), exit code 0" in server.log


@INLINE_AND_POOL
@pytest.mark.parametrize("app", ["wsgi:echo", "asgi:echo"])
def test_reloads_under_load_lose_nothing(app: str, threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(app, "--workers", "2", "--threads", threads, "--keep-alive", "1", binds=[door])

    with WebLoad(door, clients=4) as load:
        for _ in range(5):
            load.more(50)
            server.hup()
        load.more(50)


def test_a_killed_worker_takes_only_its_own_along(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:echo", "--workers", "2", binds=[door])
    before = set(server.workers().values())

    with door.connect() as client:
        client.sendall(GET % b"wait")
        victim = int(server.events.expect("started").split()[1])
        server.kill(victim)
        assert client.recv(100) == b""
    server.wait_for_workers(2, besides=[victim])

    assert {get(door, "/fine").text for _ in range(10)} == {"fine"}
    assert victim in before
    until(lambda: server.metrics().sum("forkful_requests_total", outcome="lost") == 1, what="one lost request")


def test_max_requests_replaces_a_worker_without_a_loss(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:echo", "--max-requests", "20", "--keep-alive", "0.3", binds=[door])

    with WebLoad(door, clients=3):
        server.wait_until(
            lambda: server.metrics().sum("forkful_worker_exits_total", reason="max_requests") >= 3, what="three exits"
        )


@pytest.mark.parametrize("format_", ["", "json"])
def test_the_access_log_is_there_when_asked_for(format_: str, serve: Serve, doors: Doors, tmp_path: Path) -> None:
    door, path = doors("tcp"), tmp_path / "access.log"
    serve("wsgi:echo", "--access-log", str(path), "--access-log-format", format_, binds=[door])

    get(door, "/one?two", User_Agent='x" 200')

    line = until(path.read_text, what="a line in the access log")
    if format_:
        assert '"path": "/one"' in line
    else:
        assert '"GET /one?two HTTP/1.1" 200 3 "-" "x\\" 200"' in line


def test_limits_are_settings(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve(
        "wsgi:echo",
        "--limit-request-body",
        "10",
        "--limit-request-fields",
        "5",
        "--header-timeout",
        "0.2",
        binds=[door],
    )

    assert get(door, "/", "POST", b"x" * 11).status == 413
    assert get(door, "/", **{f"X_{n}": "y" for n in range(9)}).status == 431
    assert talk(door, b"GET / HTT").startswith(b"HTTP/1.1 408 ")
