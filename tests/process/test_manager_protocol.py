"""The order of what a service manager hears, and what it must never be left with, as systemd's service.c reads it.

Type=notify-reload (systemd 253) is a protocol: after its HUP systemd takes only a RELOADING=1 whose MONOTONIC_USEC is
not before the HUP, and then waits for a READY=1.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP, SIGTERM

import pytest

from forkful.master.system.sd_notify import BARRIER
from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door, door_of
from tests.kit.notify import Record
from tests.kit.server import Server
from tests.kit.wait import readable

Doors = Callable[[str], Door]

_GATED = "import os, pathlib\npathlib.Path(os.environ['GATE']).open('rb', buffering=0).read(1)\n"


def states(records: list[Record]) -> list[str]:
    """The words of the protocol, in the order in which they came."""
    return [word for record in records for word in ("RELOADING", "READY", "STOPPING") if word in record]


def gate(app: App) -> None:
    """The next import of the application waits at the gate."""
    app.write(_GATED + app.path.read_text())


def wait_for(server: Server, word: str) -> Record:
    return server.wait_for(lambda record: word in record, what=word)


def test_reload_that_is_asked_for_during_another_is_told_anew(serve: Serve, app: App) -> None:
    """Or systemd, which asked for the second, would take the end of the first for its own, or wait for ever."""
    server = serve(app.handler, "--preload", cwd=app.folder)
    gate(app)
    server.signal(SIGHUP)
    wait_for(server, "RELOADING")
    server.child("mold gen=2")
    asked = time.monotonic_ns() // 1000
    server.signal(SIGHUP)
    server.events.let_through()
    wait_for(server, "READY")
    again = wait_for(server, "RELOADING")
    assert int(again["MONOTONIC_USEC"]) >= asked
    server.events.let_through()
    wait_for(server, "READY")
    assert states(server.notifications.collect()) == ["READY", *["RELOADING", "READY"] * 2]
    assert server.status()["generation"] == 3


def test_reload_that_is_asked_for_during_the_start_comes_after_it(serve: Serve, app: App) -> None:
    gate(app)
    server = serve(app.handler, "--preload", cwd=app.folder, ready=False)
    server.child("mold gen=1")
    server.signal(SIGHUP)
    app.echo(suffix=b" of the second")
    server.events.let_through()
    server.wait_ready()
    wait_for(server, "RELOADING")
    wait_for(server, "READY")
    assert server.status()["generation"] == 2


def test_stop_in_the_middle_of_a_reload_first_ends_that(serve: Serve, app: App) -> None:
    server = serve(app.handler, "--preload", cwd=app.folder)
    gate(app)
    server.signal(SIGHUP)
    wait_for(server, "RELOADING")
    server.child("mold gen=2")
    server.signal(SIGTERM)
    assert server.wait_exit() == 0
    assert states(server.notifications.collect()) == ["READY", "RELOADING", "READY", "STOPPING"]


def test_start_that_fails_says_why_in_its_status(serve: Serve, app: App) -> None:
    app.write("raise OSError('the database is away')\n")
    server = serve(app.handler, cwd=app.folder, ready=False)
    server.may_log_tracebacks = True
    assert server.wait_exit() == 4
    last = [record["STATUS"] for record in server.notifications.collect() if "STATUS" in record][-1]
    assert "the start failed" in last
    assert "the database is away" in last


def test_failure_with_words_that_are_no_text_is_told_as_well_as_can_be(serve: Serve, app: App) -> None:
    """Names of files may be any bytes, os.fsdecode(); the manager takes UTF-8 only."""
    server = serve(app.handler, cwd=app.folder)
    server.may_log_tracebacks = True
    app.write("raise OSError('no file \\udcff there\\n' + 'x' * 9000)\n")
    server.hup()
    record = server.wait_for(lambda record: "failed" in record.get("STATUS", ""), what="a STATUS that says so")
    assert "no file" in record["STATUS"]
    assert len(record["STATUS"].encode()) < 4096
    app.echo()
    server.hup()
    assert server.status()["reload"]["successful"]


def test_what_the_manager_says_is_for_the_master_and_not_for_handlers(serve: Serve, app: App, doors: Doors) -> None:
    """A program of systemd's that fails beneath a handler would report on us, and a library think it is the service."""
    app.write(
        "import os\nfrom socketserver import BaseRequestHandler\n"
        "class Handler(BaseRequestHandler):\n"
        "    def handle(self):\n"
        "        self.request.sendall(' '.join(os.environ).encode())\n"
    )
    door = doors("tcp")
    env = {
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "x",
        "WATCHDOG_USEC": "60000000",
        "WATCHDOG_PID": "1",
    }
    serve(app.handler, binds=[door], cwd=app.folder, env=env)
    seen = set(door.ask(b"").decode().split())
    assert "PATH" in seen
    assert not {*env, "NOTIFY_SOCKET"} & seen


# -- the store ---------------------------------------------------------------------------------------------------------


def config(*binds: str) -> str:
    return f'[pool.main]\nhandler = "stages:Staged"\nbind = {[*binds]}\nworkers = 1\n'.replace("'", '"')


def start_with_store(serve: Serve, text: str) -> Server:
    server = serve(binds=[], config=text, ready=False)
    server.notifications.keeps = True
    server.wait_ready()
    return server


def test_socket_of_a_reload_that_failed_is_not_left_in_the_store(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    """There clients would wait in it for nobody, and its address be taken."""
    first, free = f"unix://{tmp_path}/first.sock", "tcp://127.0.0.1:0"
    server = start_with_store(serve, config(first))
    assert len(server.notifications.store) == 1
    with doors("tcp").listener or socket.socket() as other:
        taken = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        server.configure(config(first, free, taken))
        server.hup()
        assert not server.status()["reload"]["successful"]
        server.notifications.collect()
        assert len(server.notifications.store) == 1


def test_stop_takes_the_sockets_out_of_the_store_before_their_queues_are_emptied(serve: Serve) -> None:
    """Kept open by the manager they would take in clients whom nobody serves, until it resets them."""
    server = start_with_store(serve, config("tcp://127.0.0.1:0"))
    (door,) = [door_of(url) for url in server.listeners()]
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.signal(SIGTERM)
        server.wait_for_log("stopping gracefully")
        readable(within=0.2)  # a manager that takes its time is waited for
        assert "draining" not in server.log
        server.wait_for(
            lambda record: record.get("FDNAME") == BARRIER and "FDSTOREREMOVE" in record, what="the barrier"
        )
        assert server.notifications.store == {}
        server.wait_for_log("draining")
        with pytest.raises((ConnectionRefusedError, TimeoutError)):
            door.connect(timeout=0.5)
        server.events.let_through()
        assert client.recv(10) == b"wait"
    assert server.wait_exit() == 0


# -- sockets that are none of ours -------------------------------------------------------------------------------------


def test_descriptor_of_the_masters_own_is_no_address_and_stays_what_it_is(serve: Serve) -> None:
    server = serve(binds=[], config=config("tcp://127.0.0.1:0"))
    open_ = processes.descriptors(server.pid)
    own = {link: fd for fd, link in open_.items() if link.startswith("socket:")}
    (listener,) = server.listening_inodes()
    for fd in (own.pop(listener), own.popitem()[1], own.popitem()[1]):
        server.configure(config("tcp://127.0.0.1:0", f"fd://{fd}"))
        server.hup()
        assert not server.status()["reload"]["successful"]
    assert processes.descriptors(server.pid) == open_
    server.configure(config("tcp://127.0.0.1:0"))
    server.hup()
    assert server.status()["reload"]["successful"]
    os.kill(server.pid, 0)
