"""How the first start fails: its exit code, and a message that says what to change. Nothing is left running."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door

Doors = Callable[[str], Door]

MISTAKES = {
    "an unknown flag": (["--wrokers", "2"], "", ["--wrokers", "--workers"]),
    "a number that is none": (["--workers", "many"], "", ["workers", "many"]),
    "an address that is none": (["--bind", "tcp:/x"], "", ["tcp:/x"]),
    "an unknown key": ([], '[pool.main]\nhandler = "classic:EchoHandler"\nwrokers = 2\n', ["wrokers", "workers"]),
    "not TOML": ([], "[pool.main\n", ["forkful.toml"]),
    "every mistake at once": (
        [],
        '[master]\ngraceful_timout = 3\n[pool.main]\nhandler = "classic:EchoHandler"\nworkers = "x"\nthreads = -1\n',
        ["graceful_timout", "graceful_timeout", "workers", "threads"],
    ),
}


@pytest.mark.parametrize(("flags", "config", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_in_the_settings_is_exit_code_1_and_is_named(
    flags: list[str], config: str, words: list[str], serve: Serve
) -> None:
    server = serve("" if config else "classic:EchoHandler", *flags, binds=[], config=config, ready=False)

    assert server.wait_exit() == 1
    for word in words:
        assert word in server.log


def test_address_in_use_is_exit_code_1_and_names_the_address_and_its_holder(serve: Serve, doors: Doors) -> None:
    taken = doors("tcp")
    assert isinstance(taken.address, tuple)
    server = serve("classic:EchoHandler", "--bind", f"tcp://127.0.0.1:{taken.address[1]}", binds=[], ready=False)

    assert server.wait_exit() == 1
    assert f"127.0.0.1:{taken.address[1]}" in server.log
    assert os.strerror(98).lower() in server.log.lower()
    assert str(os.getpid()) in server.log, "the process that holds it"


def test_host_that_is_not_ours_is_exit_code_1(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--bind", "tcp://192.0.2.1:0", binds=[], ready=False)

    assert server.wait_exit() == 1
    assert "192.0.2.1" in server.log
    assert "assign" in server.log


def test_descriptor_that_is_not_there_is_exit_code_1(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--bind", "fd://77", binds=[], ready=False)

    assert server.wait_exit() == 1
    assert "fd://77" in server.log


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker imports", "preload"])
@pytest.mark.parametrize(
    ("handler", "word"),
    [
        ("no_such_module:Handler", "no_such_module"),
        ("classic:NoSuchHandler", "NoSuchHandler"),
        ("classic:os", "os"),
    ],
)
def test_handler_that_cannot_be_loaded_is_exit_code_4(
    handler: str, word: str, preload: tuple[str, ...], serve: Serve
) -> None:
    server = serve(handler, *preload, ready=False)

    assert server.wait_exit() == 4
    assert word in server.log
    server.may_log_tracebacks = True


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker imports", "preload"])
def test_module_with_an_error_is_exit_code_4_and_shows_its_traceback(
    preload: tuple[str, ...], serve: Serve, app: App
) -> None:
    app.write("def helper():\n    raise ValueError('wrong from the start')\nhelper()\n")
    server = serve(app.handler, *preload, cwd=app.folder, ready=False)
    server.may_log_tracebacks = True

    assert server.wait_exit() == 4
    assert 'versioned.py", line 2, in helper' in server.log
    assert "wrong from the start" in server.log


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker imports", "preload"])
def test_worker_that_cannot_boot_is_exit_code_3(preload: tuple[str, ...], serve: Serve, app: App) -> None:
    app.write("import os\nos._exit(9)\n")
    server = serve(app.handler, "--workers", "2", *preload, cwd=app.folder, ready=False)

    assert server.wait_exit() == 3
    assert "9" in server.log


def test_handler_for_datagrams_at_a_stream_address_is_refused_in_words(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--bind", "nonsense://x", binds=[], ready=False)

    assert server.wait_exit() == 1
    assert "nonsense" in server.log


def test_admin_address_in_use_is_a_warning_and_the_service_serves(serve: Serve, doors: Doors) -> None:
    door, taken = doors("tcp"), doors("tcp")
    assert isinstance(taken.address, tuple)
    busy = f"tcp://127.0.0.1:{taken.address[1]}"
    server = serve("classic:EchoHandler", "--admin-bind", busy, binds=[door])

    assert door.ask(b"served") == b"served"
    assert server.admin.get("/livez")[0] == 200, "the other admin address works"
    warnings = [line for line in server.log.splitlines() if "WARNING" in line and busy.removeprefix("tcp://") in line]
    assert len(warnings) == 1


def test_stale_unix_socket_of_a_killed_server_is_replaced(serve: Serve, tmp_path: Path) -> None:
    path = f"{tmp_path}/stale.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    serve("classic:EchoHandler", "--bind", f"unix://{path}", binds=[])

    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(b"fresh")
        assert client.recv(10) == b"fresh"


def test_unix_socket_that_is_served_by_another_is_not_stolen(serve: Serve, doors: Doors) -> None:
    taken = doors("unix")
    server = serve("classic:EchoHandler", "--bind", f"unix://{taken.address}", binds=[], ready=False)

    assert server.wait_exit() == 1
    assert str(taken.address) in server.log
    taken.connect().close()
