"""Deploying with a safety net: canaries beside the old workers, and a generation that can be had back."""

import contextlib
import json
import re
import subprocess
from collections.abc import Callable
from http import HTTPStatus
from signal import SIGHUP, SIGUSR2
from typing import Any

from tests.conftest import Serve
from tests.kit.app import ECHO, App
from tests.kit.door import Door
from tests.kit.load import Load, Outcome
from tests.kit.server import CLI, Server
from tests.kit.wait import PATIENCE
from tests.kit.web import get

Doors = Callable[[str], Door]
THREE = ("--workers", "3", "--canary", "1")
LONG = ("--bake-time", "60", "--canary-requests", "20")
SHORT = ("--bake-time", "4", "--canary-requests", "10")


def echo(line: str) -> str:
    """An echo that does this first."""
    return "import os, time\n" + ECHO.format(suffix="").replace("(self):", f"(self):\n        {line}")


FAILS, SLOW, DIES = echo("raise OSError('new')"), echo("time.sleep(0.05)"), echo("os._exit(3)")


def generations(server: Server) -> list[int]:
    """Of the ready workers, in order of their slots."""
    workers = [worker for worker in server.pool()["workers"] if worker["phase"] == "READY"]
    return sorted(worker["generation"] for worker in workers)


def wait_for(server: Server, wanted: list[int]) -> None:
    server.wait_until(lambda: generations(server) == wanted, what=f"workers of generations {wanted}")


def bake(server: Server, generation: int = 0) -> dict[str, Any]:
    """What is said of the bake, once there is one (of this generation). Whoever executes anew does not answer."""

    def there() -> dict[str, Any] | None:
        with contextlib.suppress(OSError):
            code, text = server.admin.get("/status.json")
            found = json.loads(text)["bake"] if code == HTTPStatus.OK else None
            return found if found and generation in (0, found["generation"]) else None
        return None

    return server.wait_until(there, what="canaries that are compared", within=2 * PATIENCE)


def begin(server: Server) -> "subprocess.Popen[str]":
    """Reload, and let somebody wait for what comes of it, until canaries are compared."""
    command = [*CLI, "reload", "--wait", "--admin", f"unix://{server.admin.path}"]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    bake(server)
    return waiting


def test_canaries_that_fail_are_rolled_back_and_nobody_else_notices(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, *THREE, *LONG, binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    app.write(FAILS)
    with Load(door, may_lose={Outcome.RESET}) as load:
        load.more(20)
        result = server.reload()
        wait_for(server, [1, 1, 1])
        load.more(100)

    assert result.returncode == 1
    assert "generation 2 is rolled back: pool main: " in result.stderr
    assert "requests failed" in result.stderr
    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_requests_total", outcome="error") == load.bad["reset"], "the canary's own, no other"
    assert metrics.sum("forkful_reloads_total", result="rolled_back") == 1
    assert metrics.sum("forkful_rollbacks_total", reason="canary") == 1
    assert metrics.sum("forkful_config_last_reload_successful") == 0
    assert "requests failed" in server.run("status").stdout


def test_canaries_that_are_no_worse_are_followed_by_all(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    flags = (*THREE, *SHORT, "--canary-latency", "1000%")  # the machine may have no time for one of them
    server = serve(app.handler, *flags, binds=[door], cwd=app.folder)
    with Load(door) as load:
        load.more(20)
        result = server.reload()
        load.more(100)

    assert (result.returncode, result.stderr) == (0, "")
    assert "generation 2 serves; its canaries ended " in result.stdout
    assert "too few" not in result.stdout
    assert generations(server) == [2, 2, 2]
    assert server.metrics().sum("forkful_reloads_total", result="success") == 1


def test_canaries_that_are_slow_are_rolled_back(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, *THREE, *SHORT, "--threads", "4", binds=[door], cwd=app.folder)
    app.write(SLOW)
    with Load(door, clients=6) as load:
        result = server.reload()
        wait_for(server, [1, 1, 1])
        load.more(50)

    assert result.returncode == 1
    assert "a request takes " in result.stderr


def test_canaries_that_die_are_rolled_back_without_waiting(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, *THREE, *LONG, binds=[door], cwd=app.folder)
    app.write(DIES)
    with Load(door, may_lose={Outcome.RESET}) as load:
        result = server.reload()
        wait_for(server, [1, 1, 1])
        load.more(50)

    assert result.returncode == 1
    assert re.search("pool main: [23] deaths of new workers, 0 of old ones", result.stderr)  # as quickly as they come


def test_bake_without_requests_is_passed_and_says_so(serve: Serve, app: App) -> None:
    server = serve(app.handler, "--workers", "4", "--canary", "50%", "--bake-time", "1s", cwd=app.folder)
    result = server.reload()

    assert result.returncode == 0
    assert "pool main had too few requests to compare (0 new, 0 old; canary_requests is 50)" in result.stdout


def test_bake_ends_by_hand_either_way(serve: Serve, app: App) -> None:
    server = serve(app.handler, *THREE, *LONG, cwd=app.folder)
    assert server.run("reload", "--abort").stderr == "no canary is compared now\n"
    waiting = begin(server)
    assert generations(server) == [1, 1, 2]
    assert server.metrics().sum("forkful_canary_baking") == 1
    assert "rollback" not in server.run("rollback", "--wait").stdout
    aborted = server.run("reload", "--abort")

    assert (aborted.returncode, aborted.stdout) == (0, "generation 2 is rolled back\n")
    assert "aborted by hand" in waiting.communicate()[1]
    assert waiting.returncode == 1
    wait_for(server, [1, 1, 1])
    waiting = begin(server)
    assert server.run("reload", "--promote").returncode == 0
    assert "generation 3 serves" in waiting.communicate()[0]
    assert waiting.returncode == 0
    assert generations(server) == [3, 3, 3]
    assert server.metrics().sum("forkful_rollbacks_total", reason="abort") == 1
    server.now_holds_more()  # the old mold


def test_reload_during_a_bake_takes_the_canaries_place_and_a_stop_ends_both(serve: Serve, app: App) -> None:
    server = serve(app.handler, *THREE, *LONG, cwd=app.folder)
    waiting = begin(server)
    server.signal(SIGHUP)

    assert "another one was asked for meanwhile" in waiting.communicate()[1]
    assert waiting.returncode == 1
    bake(server, 3)
    wait_for(server, [1, 1, 3])
    assert server.run("scale", "main", "5").returncode == 0
    wait_for(server, [1, 1, 1, 1, 3])
    server.signal(SIGUSR2)
    bake(server, 4)
    wait_for(server, [1, 1, 1, 1, 4])  # and this is how it is stopped
    server.now_holds_more()


def test_old_generation_is_had_back_by_hand(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--workers", "2", "--bake-time", "60", binds=[door], cwd=app.folder)
    refused = server.run("rollback", "--wait")
    assert (refused.returncode, refused.stderr[:36]) == (1, "there is no generation to go back to")
    app.echo(b" (new)")
    assert server.reload().returncode == 0
    assert door.ask(b"hello") == b"hello (new)"
    result = server.run("rollback", "--wait")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(
        "generation 1 serves again; code and settings on disk are still those of generation 2"
    )
    assert door.ask(b"hello") == b"hello"
    assert generations(server) == [1, 1]
    assert server.run("rollback", "--wait").returncode == 1, "it went back once"
    assert server.metrics().sum("forkful_rollbacks_total", reason="command") == 1
    assert server.metrics().sum("forkful_generation") == 1
    assert server.reload().returncode == 0
    assert door.ask(b"hello") == b"hello (new)", "what is on disk"
    assert generations(server) == [3, 3]
    server.now_holds_more()  # the old mold


def test_old_generation_comes_back_by_itself_where_the_new_one_is_in_a_crash_loop(
    serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--workers", "2", "--bake-time", "60", binds=[door], cwd=app.folder)
    app.write(DIES)
    assert server.reload().returncode == 0
    with Load(door, may_lose={Outcome.RESET}) as load:
        wait_for(server, [1, 1])
        load.more(20)

    reload = server.status()["reload"]
    assert reload["successful"] is False
    assert reload["message"] == "generation 2 was rolled back: workers of pool main die again and again"
    assert server.metrics().sum("forkful_rollbacks_total", reason="crash_loop") == 1


def test_spare_outlives_an_upgrade_that_fails_and_is_replaced_by_one_that_does_not(serve: Serve, app: App) -> None:
    server = serve(app.handler, "--workers", "1", "--bake-time", "60", cwd=app.folder)
    assert server.status()["spare"] is None
    assert server.run("upgrade", "--wait").returncode == 0
    assert server.status()["spare"]["generation"] == 1
    app.write("broken")
    server.may_log_tracebacks = True
    assert server.run("upgrade", "--wait").returncode == 1
    assert server.status()["spare"]["generation"] == 1
    assert server.run("rollback", "--wait").returncode == 0
    assert generations(server) == [1]


def test_settings_that_came_with_a_canary_go_with_it(serve: Serve, doors: Doors, app: App) -> None:
    door, other = doors("tcp"), doors("tcp")
    url, more = door.url, other.url
    master = '[master]\ncanary = "1"\nbake_time = 60\n'
    pool = '[pool.{}]\nhandler = "versioned:Handler"\nworkers = {}\nbind = ["{}"]\n'
    server = serve(config=master + pool.format("main", 2, url), binds=[door, other], cwd=app.folder)
    server.configure(master + pool.format("main", 4, "tcp://127.0.0.1:0") + pool.format("more", 1, more))
    waiting = begin(server)

    assert generations(server) == [1, 2], "no more workers than before"
    assert len(server.listeners()) == 2
    assert other.ask(b"x") == b"x"
    assert server.run("reload", "--abort").returncode == 0
    assert "aborted by hand" in waiting.communicate()[1]
    wait_for(server, [1, 1])
    server.wait_until(lambda: [each["name"] for each in server.status()["pools"]] == ["main"], what="one pool")
    assert len(server.listeners()) == 1
    assert door.ask(b"x") == b"x"


def test_generation_whose_code_or_address_is_gone_is_not_kept_and_says_why(
    serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    url = door.url
    text = '[master]\nbake_time = 60\n[pool.main]\nhandler = "versioned:Handler"\nbind = {}\npreload = {}\n'
    server = serve(config=text.format([url, "tcp://127.0.0.1:0"], "true"), binds=[door], cwd=app.folder)
    server.configure(text.format([url], "false"))
    assert server.reload().returncode == 0
    assert "generation 1 cannot be had back: tcp://127.0.0.1:" in server.log
    assert server.reload().returncode == 0
    assert "generation 2 cannot be had back: no process has the code of pool main: it does not preload" in server.log
    assert server.run("rollback", "--wait").returncode == 1


WORSE = "import time\nFAT = bytearray(100_000_000)\n" + ECHO.format(suffix="").replace(
    "(self):", "(self):\n        time.sleep(0.02)\n        raise OSError('new')"
)


def test_bounds_are_those_of_the_new_settings(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    url, pool = door.url, '[pool.main]\nhandler = "versioned:Handler"\nworkers = 2\nthreads = 4\nbind = ["{}"]\n'
    master = '[master]\ncanary = "1"\nbake_time = 4\ncanary_requests = 10\n'
    loose = 'canary_errors = "100%"\ncanary_latency = "100000%"\ncanary_memory = "1000%"\n'
    server = serve(config=master + pool.format(url), binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    app.write(WORSE)
    server.configure(master + loose + pool.format(url))
    with Load(door, may_lose={Outcome.RESET}) as load:
        load.more(20)
        result = server.reload()

    assert (result.returncode, result.stderr) == (0, ""), "whatever it does"
    assert "too few" not in result.stdout


FLASK = """\
from flask import Flask
app = Flask(__name__)

@app.get("/")
def index():
    {line}
    return "well"
"""


def test_flask_that_answers_500_is_rolled_back(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    app.write(FLASK.format(line="pass"))
    flags = ("--workers", "2", "--canary", "1", *LONG, "--threads", "4")
    server = serve("versioned:app", *flags, binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    app.write(FLASK.format(line="raise RuntimeError('new')"))
    waiting = begin(server)
    server.wait_until(lambda: waiting.poll() is not None or get(door, "/") is None, what="the roll-back")

    assert waiting.returncode == 1
    assert "requests failed" in waiting.communicate()[1]
    wait_for(server, [1, 1])
    assert [get(door, "/").status for _ in range(20)] == [200] * 20
