"""`[pool.NAME.listener."ADDRESS"]`: what one address of a pool has for itself, on every loop, also after a reload."""

import stat
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import door_of, queue_limit
from tests.kit.server import Server
from tests.process.test_admission import is_served

HANDLERS = {
    "a lane": 'handler = "classic:LineHandler"',
    "lanes": 'handler = "classic:LineHandler"\nthreads = 3',
    "a coroutine": 'handler = "loops:echo"',
    "a coroutine on asyncio": 'handler = "loops:echo"\nevent_loop = "asyncio"',
    "WSGI": 'handler = "wsgi:about"\ninterface = "wsgi"',
}
TCP = "127.0.0.1:0"


def config(handler: str, unix: Path, *, tcp: str, apart: str) -> str:
    bind = f'[pool.main]\n{handler}\nbind = ["{TCP}", "unix:{unix}"]\nbacklog = 64\ndeny = ["127.0.0.1"]\n'
    return f'{bind}[pool.main.listener."{TCP}"]\n{tcp}\n[pool.main.listener."unix:{unix}"]\n{apart}\n'


def served(server: Server) -> list[bool]:
    return [is_served(door_of(url)) for url in server.listeners()]


def limits(server: Server) -> list[int]:
    return [queue_limit(door_of(url)) for url in server.listeners()]


@pytest.mark.parametrize("kind", HANDLERS)
def test_each_address_of_a_pool_follows_its_own_table(kind: str, serve: Serve, tmp_path: Path) -> None:
    unix, handler = tmp_path / "web.sock", HANDLERS[kind]
    first = config(handler, unix, tcp="backlog = 32", apart='deny = ["unix"]\nsocket_mode = "0601"')
    server = serve(config=first)

    assert served(server) == [False, False]
    assert limits(server) == [32, 64]
    assert stat.S_IMODE(unix.stat().st_mode) == 0o601

    server.configure(config(handler, unix, tcp="backlog = 16\ndeny = []", apart='socket_mode = "0610"'))
    assert server.reload().returncode == 0
    assert served(server) == [True, True]
    assert limits(server) == [16, 64]
    assert stat.S_IMODE(unix.stat().st_mode) == 0o610
