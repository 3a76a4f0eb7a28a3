"""What a worker leaves to the next one: any kind of server, over reloads, upgrades and recycling, but not kills."""

from itertools import count

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of
from tests.kit.server import Server

KINDS = {
    "lane": ("heirs:Lane", "tcp", ""),
    "threads": ("heirs:Lane", "tcp", "threads = 3"),
    "coroutine": ("heirs:coroutine", "tcp", ""),
    "asyncio": ("heirs:coroutine", "tcp", 'event_loop = "asyncio"'),
    "protocol": ("heirs:Protocol", "tcp", ""),
    "owns_loop": ("heirs:own", "tcp", ""),
    "WSGI": ("heirs:wsgi", "http", ""),
    "WSGI in threads": ("heirs:wsgi", "http", "threads = 2"),
    "ASGI": ("heirs:asgi", "http", ""),
    "preload": ("heirs:Lane", "tcp", "preload = true"),
}


def start(serve: Serve, handler: str, scheme: str = "tcp", more: str = "") -> tuple[Server, Door]:
    server = serve(
        binds=(),
        config=f"""
            [pool.main]
            handler = "{handler}"
            bind = ["{scheme}://127.0.0.1:0"]
            {more}
        """,
    )
    return server, door_of(server.listeners()[0])


def ask(door: Door, *, http: bool) -> tuple[int, int]:
    """What it has counted, and who it is."""
    answer = door.ask(b"GET / HTTP/1.0\r\n\r\n" if http else b"x")
    found, pid = answer.rpartition(b"\n")[2].split()
    return int(found), int(pid)


@pytest.mark.parametrize("kind", KINDS)
def test_a_count_goes_on_in_the_next_worker(kind: str, serve: Serve) -> None:
    handler, scheme, more = KINDS[kind]
    server, door = start(serve, handler, scheme, more)
    http = scheme == "http"
    for number in (1, 2, 3):
        assert ask(door, http=http)[0] == number
    (old,) = server.workers().values()
    server.hup()
    server.wait_for_workers(1, besides=[old])
    most, new = server.wait_until(lambda: found if (found := ask(door, http=http))[0] > 3 else None, what="the count")
    server.kill(new)
    server.wait_for_workers(1, besides=[old, new])
    after = server.wait_until(lambda: found if (found := ask(door, http=http))[1] != new else None, what="another one")
    assert after[0] <= 3 < most, "one that is killed leaves nothing"


def test_no_request_is_forgotten_by_recycling_and_an_upgrade(serve: Serve) -> None:
    server, door = start(serve, "heirs:Lane", "tcp", "max_requests = 4\nmax_requests_jitter = 0")
    (first,) = server.workers().values()
    asked = 0

    def counted(besides: int) -> bool:
        """Whether another worker than that one has counted all there were."""
        nonlocal asked
        asked += 1
        found, pid = ask(door, http=False)
        assert found <= asked
        return found == asked and pid != besides

    server.wait_until(lambda: counted(first), what="the count, by the next one")
    server.usr2()
    server.wait_until(lambda: counted(first), what="the count, after an upgrade")


def test_count_goes_on_in_a_slot_that_was_without_a_worker_for_a_while(serve: Serve) -> None:
    server, door = start(serve, "heirs:Lane")
    assert [ask(door, http=False)[0] for _ in range(3)] == [1, 2, 3]
    assert server.run("scale", "main", "0").returncode == 0
    server.wait_until(lambda: not server.pool()["workers"], what="no worker")
    assert server.run("scale", "main", "1").returncode == 0
    asked = count(1)
    server.wait_until(lambda: ask(door, http=False)[0] == 3 + next(asked), what="the count of all")


def test_who_asks_in_a_handler_waits_for_the_worker_before(serve: Serve) -> None:
    server, door = start(serve, "heirs:Waiting")
    assert door.ask(b"x").split()[0] == b"%d" % next(iter(server.workers().values())), "nothing was left: only a pid"
    (old,) = server.workers().values()
    server.hup()
    answer = server.wait_until(
        lambda: found if len(found := door.ask(b"x").split()) == 2 else None, what="what is left"
    )
    assert answer[0] == b"0"
    assert int(answer[1]) != old


def test_who_asks_too_early_fails_the_boot_and_hears_why(serve: Serve) -> None:
    server = serve("heirs:inherited()", ready=False)
    server.may_log_tracebacks = True
    assert server.wait_exit() == 4
    assert "use when_inherited()" in server.log
