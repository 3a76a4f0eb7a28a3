"""A reload that fails: the old generation never notices, and whoever asked is told why."""

from collections.abc import Callable
from signal import SIGHUP, SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.app import BROKEN, App
from tests.kit.door import Door
from tests.kit.load import Load

Doors = Callable[[str], Door]
PRELOAD = pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker imports", "preload"])


@PRELOAD
@pytest.mark.parametrize(("source", "word"), BROKEN.values(), ids=BROKEN)
def test_old_generation_keeps_serving_when_the_new_one_cannot_boot(
    source: str, word: str, preload: tuple[str, ...], serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--workers", "2", *preload, binds=[door], cwd=app.folder)
    before = server.workers()
    server.may_log_tracebacks = True
    app.write(source)
    with Load(door) as load:
        load.more(5)
        result = server.reload()
        load.more(5)

    assert result.returncode != 0
    assert word in result.stdout + result.stderr
    assert word in server.log
    assert server.workers() == before, "the very same workers"
    metrics = server.metrics()
    assert metrics.sum("forkful_config_last_reload_successful") == 0
    assert metrics.sum("forkful_reloads_total", result="failure") == 1
    status = server.status()
    assert status["generation"] == 1
    assert word in status["reload"]["message"] + status["reload"]["traceback"]
    assert server.admin.get("/readyz")[0] == 200, "it serves, so it is ready"


def test_reload_wait_prints_the_failing_traceback(serve: Serve, app: App) -> None:
    server = serve(app.handler, cwd=app.folder)
    server.may_log_tracebacks = True
    app.write("def connect():\n    raise ConnectionError('no route to the database')\nconnect()\n")
    result = server.reload()

    said = result.stdout + result.stderr
    assert "Traceback" in said
    assert 'versioned.py", line 2, in connect' in said
    assert "no route to the database" in said


BROKEN_SETTINGS = {
    "not TOML": ("[pool.main\n", "forkful.toml"),
    "an unknown key": ('[pool.main]\nhandler = "classic:EchoHandler"\nworker = 3\n', "workers"),
    "a wrong type": ('[pool.main]\nhandler = "classic:EchoHandler"\nworkers = "many"\n', "workers"),
    "an address that is none": ('[pool.main]\nhandler = "classic:EchoHandler"\nbind = ["tcp:/x"]\n', "tcp:/x"),
    "no file at all": ("", "forkful.toml"),
}


@pytest.mark.parametrize(("text", "word"), BROKEN_SETTINGS.values(), ids=BROKEN_SETTINGS)
def test_old_settings_are_kept_when_the_new_ones_are_broken(text: str, word: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    good = f'[pool.main]\nhandler = "classic:EchoHandler"\nworkers = 2\nbind = ["{door.url}"]\n'
    server = serve(binds=[door], config=good)
    before = server.workers()
    server.configure(text)
    with Load(door) as load:
        result = server.reload()
        load.more(5)

    assert result.returncode != 0
    assert word in result.stdout + result.stderr
    assert server.workers() == before

    server.configure(good)
    assert server.reload().returncode == 0, "and once mended it goes on"


def test_address_in_use_fails_the_reload_and_is_named(serve: Serve, doors: Doors) -> None:
    door, taken = doors("tcp"), doors("tcp")
    assert isinstance(taken.address, tuple)
    url, busy = door.url, f"tcp://127.0.0.1:{taken.address[1]}"
    text = '[pool.main]\nhandler = "classic:EchoHandler"\nbind = [{}]\n'
    server = serve(binds=[door], config=text.format(f'"{url}"'))
    server.configure(text.format(f'"{url}", "{busy}"'))
    result = server.reload()

    assert result.returncode != 0
    assert busy.removeprefix("tcp://") in result.stdout + result.stderr
    assert door.ask(b"still") == b"still"


@PRELOAD
def test_mended_code_is_taken_by_the_next_reload(
    preload: tuple[str, ...], serve: Serve, doors: Doors, app: App
) -> None:
    door = doors("tcp")
    server = serve(app.handler, *preload, binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    app.write("raise OSError\n")
    assert server.reload().returncode != 0
    app.echo(suffix=b" mended")
    assert server.reload().returncode == 0

    assert door.ask(b"it is") == b"it is mended"
    assert server.metrics().sum("forkful_config_last_reload_successful") == 1


def test_hang_while_importing_ends_with_the_boot_timeout(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--boot-timeout", "0.5", binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    app.write("import threading\nthreading.Event().wait()\n")
    with Load(door) as load:
        server.signal(SIGHUP)
        server.wait_for_log("reload failed")
        load.more(5)
    server.wait_for_workers(1)
    assert server.pool()["exits"] == {"reload": 1}
    assert server.pool()["deaths"] == server.metrics().sum("forkful_worker_deaths_total") == 0


def test_stop_during_a_reload_that_hangs_stops(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    app.write("import threading\nthreading.Event().wait()\n")
    server.signal(SIGHUP)
    server.wait_for(lambda record: record.get("RELOADING") == "1", what="RELOADING=1")
    assert door.ask(b"served") == b"served"
    server.signal(SIGTERM)
    assert server.wait_exit(within=5.0) == 0
