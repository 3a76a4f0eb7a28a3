"""The stand-in by the clock: who waits for how long, what the admin child shows meanwhile, and what comes of it."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from forkful.conf.address import Address, Kind
from forkful.master.policy.throttle import Strikes
from forkful.master.supervisor.stand_in import BEGINNING, GRACE, HOPELESS, LONG, PATIENCE, StandIn
from forkful.master.supervisor.state import State
from forkful.master.system.listeners import Listener
from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard

NOW = 1000.0


@dataclass
class Scene:
    """A master with an admin child that takes nobody, and one client that waits; the time is the test's."""

    state: State
    child: Channel
    process: "subprocess.Popen[bytes]"
    client: socket.socket
    watched: dict[socket.socket, Callable[[float], None]] = field(default_factory=dict)
    stand_in: StandIn = field(init=False)

    def __post_init__(self) -> None:
        self.stand_in = StandIn(self.state, self.watched.__setitem__, lambda sock: self.watched.pop(sock, None))
        self.stand_in.advance(NOW)
        self.come()

    def come(self) -> None:
        """What the selector tells of: somebody is in the queue."""
        (listener,) = self.state.admin.listeners
        self.watched[listener.sock](NOW)

    def heard(self) -> list[object]:
        return [*self.child.receive(messages.TO_ADMIN)]

    def answer(self) -> bytes:
        self.client.settimeout(0)
        try:
            return self.client.recv(1000)
        except BlockingIOError:
            return b""


@pytest.fixture
def scene() -> Iterator[Scene]:
    state = State(board=Scoreboard(), argv=[], version="1")
    sock = socket.create_server(("127.0.0.1", 0))
    state.admin.listen(Listener(Address("tcp", host="127.0.0.1"), "tcp://127.0.0.1:0", Kind.STREAM, sock))
    ours, theirs = Channel.pair()
    with subprocess.Popen(["sleep", "60"]) as process, socket.create_connection(sock.getsockname()) as client:
        state.admin.started(process.pid, ours, NOW)
        client.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        scene = Scene(state, theirs, process, client)
        yield scene
        scene.stand_in.close()
        process.kill()
    for thing in (sock, ours, theirs):
        thing.close()


def test_child_that_shows_that_it_turns_keeps_who_waits(scene: Scene) -> None:
    now = NOW + LONG
    for _ in range(50):  # a machine that has no time for it
        assert scene.stand_in.advance(now) <= now + PATIENCE
        scene.state.admin.turns()
        now += GRACE
        scene.stand_in.advance(now)
        assert scene.answer() == b""
        scene.come()
        now += LONG
    assert scene.heard() == [messages.Wake()] * 50
    assert scene.process.poll() is None


@pytest.mark.parametrize("deaths", [HOPELESS - 1, HOPELESS])
def test_command_waits_for_the_next_child_unless_many_have_died_in_a_row(
    scene: Scene, deaths: int, tmp_path: Path
) -> None:
    admin = scene.state.admin
    admin.gone()
    admin.strike(lambda _: Strikes(deaths))
    path = str(tmp_path / "a")
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as client:
        sock.bind(path)
        sock.listen()
        client.connect(path)
        client.sendall(b"POST /upgrade?wait=1 HTTP/1.1\r\n\r\n")
        admin.listen(Listener(Address("unix", path=path), f"unix://{path}", Kind.STREAM, sock))
        scene.stand_in.advance(NOW)
        scene.watched[sock](NOW)
        for now in (NOW + LONG, NOW + LONG + GRACE, NOW + LONG + 2 * GRACE):
            scene.stand_in.advance(now)
        client.settimeout(0)
        if deaths < HOPELESS:
            with pytest.raises(BlockingIOError):
                client.recv(1000)
        else:
            head, _, body = client.recv(1000).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            document = json.loads(body)
            assert (document["ok"], f"{HOPELESS} times in a row" in document["message"]) == (False, True)
        admin.listeners.pop()


def test_who_waits_for_one_that_shows_nothing_is_answered_within_a_second(scene: Scene) -> None:
    assert scene.stand_in.advance(NOW + LONG - 0.01) == NOW + LONG
    assert scene.stand_in.advance(NOW + LONG) == NOW + LONG + GRACE
    assert scene.answer() == b""
    scene.stand_in.advance(NOW + LONG + GRACE)
    assert LONG + GRACE < 0.7
    assert scene.answer().startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("has_begun", [True, False])
def test_one_that_shows_nothing_for_long_is_killed_and_not_before(scene: Scene, *, has_begun: bool) -> None:
    patience = BEGINNING
    if has_begun:
        scene.state.admin.turns()
        patience = PATIENCE
    scene.stand_in.advance(NOW + LONG)
    scene.stand_in.advance(NOW + LONG + patience - 0.01)
    assert scene.process.poll() is None
    scene.stand_in.advance(NOW + LONG + patience)
    assert scene.process.wait(10) == -signal.SIGKILL


def test_next_child_gets_its_own_time(scene: Scene) -> None:
    scene.stand_in.advance(NOW + LONG)
    if (channel := scene.state.admin.gone()) is not None:
        scene.state.admin.started(scene.process.pid + 1, channel, NOW + LONG)
    scene.stand_in.advance(NOW + LONG + GRACE)
    assert scene.answer() == b""
    assert len(scene.heard()) == 2
    scene.stand_in.advance(NOW + LONG + 2 * GRACE)
    assert scene.answer().startswith(b"HTTP/1.1 200 OK\r\n")
