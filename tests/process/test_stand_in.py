"""The probes while the admin child is dead or hangs: a healthy service is not restarted for that."""

import contextlib
import http.client
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM, SIGUSR2

import pytest

from tests.conftest import Serve
from tests.kit.server import Server
from tests.kit.wait import gone, until

TIMEOUT = 1.0  # seconds: what Kubernetes gives a probe if nobody says otherwise


class Probe:
    """The kubelet: it connects anew for each look."""

    def __init__(self, server: Server) -> None:
        urls: list[str] = server.status()["admin"]
        self.host, _, port = next(url for url in urls if url.startswith("tcp")).removeprefix("tcp://").rpartition(":")
        self.port = int(port)

    def get(self, page: str, timeout: float = TIMEOUT, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, page)
            reply = connection.getresponse()
            return reply.status, reply.read().decode().strip()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), 10)


Start = Callable[[], tuple[Server, Probe]]


@pytest.fixture
def start(serve: Serve) -> Start:
    def launch() -> tuple[Server, Probe]:
        server = serve("classic:EchoHandler", "--admin-bind", "tcp://127.0.0.1:0", "--graceful-timeout", "20")
        return server, Probe(server)

    return launch


def test_liveness_is_answered_however_often_the_admin_child_dies(start: Start) -> None:
    server, probe = start()
    for _ in range(5):  # the pauses before the next one grow
        admin = server.wait_until(lambda: server.child("admin"), what="an admin child")
        server.kill(admin)
        assert probe.get("/livez") == (200, "the master turns")
        assert probe.get("/readyz") == (200, "ready")
    assert probe.get("/livez", method="HEAD") == (200, "")
    assert probe.get("/metrics")[0] == 503
    until(lambda: probe.get("/metrics", timeout=10)[0] == 200, what="metrics")


def test_admin_child_that_hangs_is_replaced_and_the_master_answers_meanwhile(
    start: Start,
) -> None:
    server, probe = start()
    admin = server.child("admin")
    os.kill(admin, SIGSTOP)
    codes = set()

    def replaced() -> bool:
        codes.add((*probe.get("/livez"), *probe.get("/readyz?verbose")))
        return server.child("admin") != admin

    server.wait_until(replaced, what="the end of the admin child that hangs")
    assert codes == {(200, "the master turns", 200, "ready")}
    until(lambda: probe.get("/metrics", timeout=10)[0] == 200, what="metrics")
    assert server.child("admin") != admin


#: A machine that has no time for the master's next image: it does not begin before somebody writes here.
_SLOW = """
import os, sys
from pathlib import Path
whose = Path(__file__).with_name("pid")
if "forkful.master.main" in sys.orig_argv and whose.exists() and whose.read_text() == str(os.getpid()):
    whose.unlink()
    with open(Path(__file__).with_name("gate"), "rb") as gate:
        gate.read()
"""


def test_probes_are_answered_while_the_master_executes_its_next_image(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_SLOW)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    server = serve("classic:EchoHandler", "--admin-bind", "tcp://127.0.0.1:0", env={"PYTHONPATH": str(tmp_path)})
    probe = Probe(server)
    (tmp_path / "pid").write_text(str(server.pid))
    server.signal(SIGUSR2)

    def executes() -> int:
        """A descriptor, once somebody waits to read there."""
        with contextlib.suppress(OSError):
            return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
        return 0

    opener = server.wait_until(executes, what="the execution of the next image")
    for _ in range(3):
        assert probe.get("/livez") == (200, "the master turns")
        assert probe.get("/readyz") == (200, "ready")
    os.close(opener)
    server.wait_until(lambda: server.status()["generation"] == 2, what="the end of the upgrade")
    assert probe.get("/livez") == (200, "the master turns")


def test_command_waits_for_the_next_admin_child(start: Start) -> None:
    server, _ = start()
    os.kill(server.child("admin"), SIGSTOP)
    told = server.run("scale", "main", "2")
    assert told.returncode == 0, told.stderr
    server.wait_for_workers(2)
    server.now_holds_more()


def test_service_that_stops_is_not_ready_though_its_admin_child_hangs(
    start: Start,
) -> None:
    server, probe = start()
    door = server.listeners()[0]
    with socket.create_connection(("127.0.0.1", int(door.rpartition(":")[2])), 10) as held:
        server.wait_until(lambda: server.pool()["in_flight"] == 1, what="a request in flight")
        os.kill(server.child("admin"), SIGSTOP)
        server.signal(SIGTERM)
        assert until(lambda: (told := probe.get("/readyz"))[0] == 503 and told, what="503") == (503, "stopping")
        assert probe.get("/livez")[0] == 200
        held.sendall(b"x")
        assert held.recv(9) == b"x"
    assert server.wait_exit() == 0


def test_clients_that_say_nothing_keep_no_probe_waiting(start: Start) -> None:
    server, probe = start()
    admin = server.child("admin")
    os.kill(admin, SIGSTOP)
    with ExitStack() as life:
        for said in (b"", b"GET /livez HT", b"\0" * 9000, b"GET /livez"):
            for _ in range(20):
                client = life.enter_context(probe.connect())
                client.sendall(said)
        assert probe.get("/livez") == (200, "the master turns")
        gone(admin)
        assert probe.get("/livez") == (200, "the master turns")


def test_one_that_goes_on_in_time_is_not_replaced(start: Start) -> None:
    server, probe = start()
    admin = server.child("admin")
    os.kill(admin, SIGSTOP)
    assert probe.get("/livez") == (200, "the master turns")
    os.kill(admin, SIGCONT)
    assert probe.get("/metrics", timeout=10)[0] == 200
    with pytest.raises(AssertionError):
        gone(admin, within=6.0)
    assert server.child("admin") == admin
