"""Hooks: functions of the user's at moments of a worker's life, for every kind of handler, also where one fails."""

import sys
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.server import Server
from tests.process.test_dropin import script

ORDER = ("on_load", "post_fork", "worker_ready", "worker_drain", "worker_exit")
TCP, UDP, HTTP = ("tcp://127.0.0.1:0", "udp://127.0.0.1:0", "http://127.0.0.1:0")
AWAITED = (
    '{ on_load = "hooked:on_load", post_fork = "hooked:worker_start", '
    'worker_ready = ["hooked:later", "hooked:slowly"], worker_drain = "hooked:slowly", worker_exit = "hooked:slowly" }'
)
#: By pool: the address, the handler, further lines, and the event loop that its hooks run on.
POOLS = {
    "lanes": (TCP, "Lane", "", "none"),
    "threads": (TCP, "Lane", "threads = 3", "none"),
    "own": (TCP, "own", "", "none"),
    "wsgi": (HTTP, "wsgi", 'interface = "wsgi"', "none"),
    "asgi": (HTTP, "asgi", 'interface = "asgi"', "uvloop"),
    "coroutine": (TCP, "coroutine", 'event_loop = "asyncio"', "asyncio"),
    "datagrams": (UDP, "Datagrams", "", "uvloop"),
    "awaited": (HTTP, "asgi", 'interface = "asgi"', "uvloop"),
    "awaited-too": (TCP, "coroutine", 'event_loop = "asyncio"', "asyncio"),
}


def settings(*, preload: bool) -> str:
    tables = [
        f'[pool.{name}]\nhandler = "hooked:{handler}"\nbind = "{bind}"\n{more}\npreload = {str(preload).lower()}\n'
        f"hooks = {AWAITED if name.startswith('awaited') else repr('hooked')}\n"
        for name, (bind, handler, more, _) in POOLS.items()
    ]
    return "[master]\ngraceful_timeout = 10\n" + "\n".join(tables)


@pytest.mark.parametrize("preload", [False, True], ids=["each worker imports", "preload"])
def test_every_kind_of_handler_has_its_hooks_called_in_their_order(serve: Serve, preload: bool) -> None:  # see its id
    server = serve(config=settings(preload=preload), binds=[])
    workers = {name: server.workers(name)[0] for name in POOLS}
    (mold,) = [mold["pid"] for mold in server.status()["molds"]]
    server.signal(SIGTERM)
    assert server.wait_exit() == 0

    lines = [line.split() for line in everything(server)]
    for name, (_, _, _, loop) in POOLS.items():
        mine = [line for line in lines if line[0] == name]
        called = [line[1] for line in mine]
        start = ["on_load", "post_fork"] if preload else ["post_fork", "on_load"]
        ready = ["worker_ready"] * (2 if name.startswith("awaited") else 1)
        assert called == [*start, *ready, "worker_drain", "worker_exit"], name
        for _, hook, slot, pid, generation, ran_on, here, *how in mine:
            in_mold = preload and hook == "on_load"
            assert (slot, int(pid)) == (("None", mold) if in_mold else ("0", workers[name])), (name, hook)
            assert (generation, here) == ("1", "True")
            assert ran_on == ("none" if hook in ORDER[:2] else loop), (name, hook)
            assert how == (["slowly"] if name.startswith("awaited") and hook not in ORDER[:2] else [])


def everything(server: Server) -> list[str]:
    """All events, once the service has ended."""
    server.events.note("over")
    found = []
    while (line := server.events.next()) != "over":
        found.append(line)
    return found


GOOD = "def {0}(hook):\n    pass\n"
BAD = "def {0}(hook):\n    raise LookupError('nobody listens')\n"
ASYNC = "async def {0}(hook):\n    pass\n"
FOREIGN = "def {0}(server, worker):\n    pass\n"


def test_a_hook_that_fails_at_the_start_is_a_reload_that_fails(
    serve: Serve, doors: Callable[[str], Door], app: App
) -> None:
    door = doors("tcp")
    module = app.folder / "moments.py"
    module.write_text(GOOD.format("post_fork"))
    server = serve(app.handler, "--hooks", "moments", "--preload", binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    before = server.workers()
    for text, hook, word in (
        (BAD, "on_load", "nobody listens"),
        (BAD, "post_fork", "nobody listens"),
        (BAD, "worker_ready", "nobody listens"),
        ("raise LookupError('nobody listens')\n", "on_load", "nobody listens"),
        (ASYNC, "worker_drain", "a coroutine function"),
        (FOREIGN, "worker_exit", "called with one argument"),
    ):
        failed = server.metrics().sum("forkful_hook_failures_total", hook=hook)
        module.write_text(text.format(hook))
        result = server.reload()
        assert result.returncode == 1
        assert f"hook {hook}" in result.stderr + result.stdout
        assert word in result.stderr + result.stdout
        assert server.metrics().sum("forkful_hook_failures_total", hook=hook) == failed + 1
        assert server.status()["pools"][0]["failed_hooks"][hook] == failed + 1

    assert server.workers() == before
    assert server.status()["generation"] == 1


def test_a_hook_that_fails_at_the_end_is_told_and_costs_nothing(
    serve: Serve, doors: Callable[[str], Door], app: App
) -> None:
    door = doors("tcp")
    (app.folder / "moments.py").write_text(BAD.format("worker_drain") + BAD.format("worker_exit"))
    server = serve(app.handler, "--hooks", "moments", binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    assert server.reload().returncode == 0

    def told() -> bool:
        failed = server.status()["pools"][0]["failed_hooks"]
        return bool(failed["worker_drain"] == failed["worker_exit"] == 1)

    server.wait_until(told, what="two failures")
    assert server.metrics().sum("forkful_worker_deaths_total") == 0
    assert "handlers/hooks.py" not in server.log
    assert server.log.count("nobody listens") == 6, "in a line and in its traceback, each"


def test_a_hook_that_hangs_ends_with_its_worker(serve: Serve, doors: Callable[[str], Door], app: App) -> None:
    door = doors("tcp")
    hang = "import time\ndef {0}(hook):\n    time.sleep(600)\n"
    (app.folder / "moments.py").write_text(hang.format("worker_drain") + hang.format("worker_exit"))
    server = serve(app.handler, "--hooks", "moments", "--graceful-timeout", "1", binds=[door], cwd=app.folder)
    server.signal(SIGTERM)

    assert server.wait_exit() == 0


def test_a_script_that_became_a_service_has_hooks(serve: Serve, tmp_path: Path) -> None:
    keywords = (
        ', workers=1, hooks={"on_load": "moments:tell", "post_fork": "moments:tell", "worker_exit": "__main__:tell"}'
    )
    (tmp_path / "moments.py").write_text(
        "import os\ndef tell(hook):\n    print(hook.hook, hook.slot, file=open(os.environ['EVENTS'], 'a'))\n"
    )
    path = script(tmp_path, "TCPServer", keywords=keywords)
    path.write_text(path.read_text().replace("SUFFIX =", "from moments import tell\nSUFFIX =", 1))
    server = serve(script=[sys.executable, str(path)], binds=[], cwd=tmp_path)
    server.signal(SIGTERM)
    assert server.wait_exit() == 0

    assert everything(server) == ["on_load None", "post_fork 0", "worker_exit 0"]
