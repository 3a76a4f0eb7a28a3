"""What a worker is doing right now, asked of a healthy one without harm; and why a worker left, in words."""

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from signal import SIGABRT, SIGKILL, SIGSEGV, SIGTERM, SIGUSR2, Signals

import pytest

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.load import Load
from tests.kit.wait import gone

Doors = Callable[[str], Door]
EXITS = "forkful_worker_exits_total"


# -- stacks of the healthy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", ["1", "2"])
def test_stacks_command_tells_what_each_lane_does_for_whom_and_since_when(
    threads: str, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", threads, binds=[door])
    workers = server.workers()
    with door.connect() as client:
        peer = client.getsockname()
        client.sendall(b"wait")
        server.events.expect("started")
        result = server.run("stacks")
        assert result.returncode == 0, result.stderr
        log = server.wait_for_log("in wait_at_the_gate")
        server.events.let_through()
        assert client.recv(10) == b"wait", "it was not harmed"

    assert re.search(rf"lane \d, busy for {peer[0]}:{peer[1]} since \d+\.\d+ s:", log)
    assert ("idle" in log) == (threads == "2")
    assert server.workers() == workers


def test_stacks_of_one_pool_and_of_one_slot(serve: Serve) -> None:
    text = "".join(
        f'[pool.{name}]\nhandler = "classic:EchoHandler"\nbind = ["tcp://127.0.0.1:0"]\nworkers = 2\n'
        for name in ("one", "two")
    )
    server = serve(binds=[], config=text)

    assert server.run("stacks", "two[1]").returncode == 0
    server.wait_for_log("worker two[1] gen=1: stacks of")
    assert server.log.count(": stacks of ") == 1
    assert server.run("stacks", "one").returncode == 0
    server.wait_for_log(": stacks of ", count=3)
    assert "worker two[0] gen=1: stacks of" not in server.log

    assert server.run("stacks", "three").returncode != 0
    assert server.run("stacks", "one[7]").returncode != 0


def test_usr2_shows_even_a_worker_that_is_stuck_in_c_and_does_no_harm(serve: Serve, doors: Doors, app: App) -> None:
    app.write(
        "import ctypes, os\nfrom socketserver import BaseRequestHandler\n"
        "from stages import tell\n"
        "class Handler(BaseRequestHandler):\n"
        "    def stuck_in_c(self):\n"
        "        gate = os.open(os.environ['GATE'], os.O_RDONLY)\n"
        "        tell('started')\n"
        "        ctypes.PyDLL(None).read(gate, ctypes.create_string_buffer(1), 1)\n"  # PyDLL holds the interpreter
        "    def handle(self):\n"
        "        self.request.recv(100)\n"
        "        self.stuck_in_c()\n"
        "        self.request.sendall(b'still alive')\n"
    )
    door = doors("tcp")
    apps = Path(__file__).parent.parent / "apps"
    server = serve(app.handler, binds=[door], cwd=app.folder, env={"PYTHONPATH": str(apps)})
    worker = server.workers()[0]
    with door.connect() as client:
        client.sendall(b"x")
        server.events.expect("started")
        os.kill(worker, SIGUSR2)
        server.wait_for_log("in stuck_in_c")
        server.events.let_through()
        assert client.recv(100) == b"still alive"
    assert server.workers() == {0: worker}


@pytest.mark.parametrize("handler", ["classic:EchoHandler", "classic:DatagramEcho"])
def test_stacks_asked_for_again_and_again_under_load_cost_no_request(handler: str, serve: Serve, doors: Doors) -> None:
    door = doors("udp" if "Datagram" in handler else "tcp")
    server = serve(handler, "-w", "2", "--threads", "2", binds=[door])
    workers = server.workers()
    with Load(door) as load:
        for _ in range(20):
            for worker in workers.values():
                os.kill(worker, SIGUSR2)
            load.more(3)
    assert server.workers() == workers


def test_stacks_go_to_the_log_file_also_after_it_was_rotated(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    server = serve("classic:EchoHandler", "--log-file", str(log), binds=[doors("tcp")])
    log.rename(tmp_path / "service.log.1")
    assert server.run("logs", "reopen").returncode == 0
    server.wait_until(log.exists, what="a new log file")
    server.run("stacks")
    server.wait_until(lambda: "stacks of" in log.read_text(), what="stacks in words")
    os.kill(server.workers()[0], SIGUSR2)
    server.wait_until(lambda: "most recent call first" in log.read_text(), what="stacks by faulthandler")


# -- reasons -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "reason", "words"),
    [
        (SIGKILL, "signal", "killed by SIGKILL (Killed)"),
        (SIGTERM, "signal", "exit code 0"),
        (SIGABRT, "crash", "killed by SIGABRT (Aborted)"),
        (SIGSEGV, "crash", "killed by SIGSEGV (Segmentation fault)"),
    ],
)
def test_reason_of_an_exit_is_in_the_log_in_words_and_counted(
    number: Signals, reason: str, words: str, serve: Serve, doors: Doors
) -> None:
    server = serve("classic:EchoHandler", binds=[doors("tcp")])
    worker = server.workers()[0]
    os.kill(worker, number)
    gone(worker)
    server.wait_for_workers(1, besides=[worker])

    lines = [line for line in server.log.splitlines() if f"pid={worker}: " in line]
    assert [line for line in lines if f"({reason}), {words}" in line], lines
    assert sum("used up" in line for line in lines) == (number == SIGTERM)
    exits = {dict(labels)["reason"]: n for (name, labels), n in server.metrics().items() if name == EXITS and n}
    assert exits == {reason: 1}


def test_every_reason_is_a_metric_from_the_beginning(serve: Serve) -> None:
    metrics = serve("classic:EchoHandler").metrics()
    reasons = {dict(labels)["reason"] for (name, labels) in metrics if name == EXITS}

    assert reasons >= {
        *("max_requests", "max_age", "max_rss", "timeout", "oom", "signal", "crash"),
        *("boot_failed", "reload", "scale_down", "stop"),
    }


def test_requests_that_were_in_flight_are_told_with_the_death(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", "3", binds=[door])
    with ExitStack() as stack:
        clients = [stack.enter_context(door.connect()) for _ in range(2)]
        for client in clients:
            client.sendall(b"wait")
            server.events.expect("started")
        server.kill(server.workers()[0])
        server.wait_for_log("2 requests were in flight")
    server.wait_for_workers(1)
    assert server.metrics().sum("forkful_requests_total", outcome="lost") == 2
