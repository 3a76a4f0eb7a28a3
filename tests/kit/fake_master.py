"""A master that is only a channel: the admin child's other end, for tests that need no processes.

Can go wrong: nobody asks what a test waits for: `queue.Empty`.
"""

import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from forkful.conf.plan import MasterPlan
from forkful.master.admin import server
from forkful.master.admin.gate import Gate
from forkful.master.admin.master_client import MasterClient
from forkful.master.model.facts import Facts, Pool
from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard
from tests.kit.wait import PATIENCE


def pool(name: str = "main", number: int = 0, workers: int = 2) -> Pool:
    """A healthy pool; the test's own process stands for each worker."""
    return {
        "name": name,
        "number": number,
        "handler": "app:Handler",
        "target": workers,
        "threads": 1,
        "preload": False,
        "trouble": "",
        "throttled_for": 0.0,
        "starts": workers + 1,
        "exits": {"crash": 1},
        "departed_cpu_seconds": 1.5,
        "listeners": [
            {
                "address": "tcp://127.0.0.1:7000",
                "index": 0,
                "kind": "stream",
                "queue": 3,
                "limit": 128,
                "drops": None,
                "certificates": [{"name": "localhost", "expires": 2e9}],
            },
            {
                "address": "udp://[::]:53",
                "index": 1,
                "kind": "datagram",
                "queue": None,
                "limit": None,
                "drops": 7,
                "certificates": [],
            },
        ],
        "workers": [
            {
                "slot": slot,
                "pid": os.getpid(),
                "generation": 3,
                "phase": "READY",
                "age": 61.0,
                "row": 257 + slot,
                "lanes": 1,
            }
            for slot in range(workers)
        ],
    }


def facts() -> Facts:
    """A healthy service. Its pid is this process's parent, so that this process may stand for its workers."""
    now = time.time()
    return {
        "name": "forkful",
        "pid": os.getppid(),
        "version": "0.1.0",
        "phase": "RUNNING",
        "generation": 3,
        "started_at": now - 3600,
        "ready": True,
        "reason": "",
        "reload": {
            "successful": True,
            "finished_at": now - 60,
            "success_at": now - 60,
            "message": "",
            "traceback": "",
        },
        "counters": {"reloads": {"success": 2, "failure": 1}, "upgrades": {"success": 0, "failure": 0}},
        "pools": [pool()],
        "molds": [{"generation": 3, "pid": 1, "phase": "READY"}],
        "admin": ["tcp://127.0.0.1:9464"],
        "settings": "",
    }


class Known(MasterClient):
    """A master whose answer is known, for those who only ask for facts."""

    def __init__(self) -> None:
        self.answer = facts()

    def facts(self, timeout: float = 0.0) -> Facts:
        del timeout
        return self.answer


class FakeMaster:
    """Answers questions for facts with `facts`, and commands by `answers`; a command not in there gets no answer."""

    def __init__(self) -> None:
        self._channel, self.theirs = Channel.pair()
        self._sending = threading.Lock()  # tests say something, too
        self.facts = facts()
        self.board = Scoreboard()
        self.answers: dict[type[messages.Order], Callable[[int], messages.ToAdmin]] = {
            messages.TellFacts: lambda number: messages.Facts(number, {**self.facts})
        }
        self.seen_to_turn = threading.Event()
        self.heard: queue.SimpleQueue[messages.Question] = queue.SimpleQueue()  # without those for facts
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        while not self._channel.closed:
            poller.poll()
            for question in self._channel.receive(messages.FROM_ADMIN):
                if isinstance(question, messages.Awake):
                    self.seen_to_turn.set()
                    continue
                assert isinstance(question, messages.Question)
                if question.order != messages.TellFacts():
                    self.heard.put(question)
                if answer := self.answers.get(type(question.order)):
                    self.say(answer(question.id))

    def will_answer(self, order: type[messages.Order], message: str, *, ok: bool = True, traceback: str = "") -> None:
        self.answers[order] = lambda number: messages.Answer(number, ok, message, traceback)

    def say(self, message: messages.ToAdmin) -> None:
        with self._sending:
            self._channel.send(message)

    def next_heard(self) -> messages.Question:
        return self.heard.get(timeout=PATIENCE)

    def die(self) -> None:
        self._channel.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._channel.close()


class Doors:
    """The admin child's listeners, as the master would hand them down."""

    def __init__(self, folder: Path) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(folder / "admin.sock"))
        self.unix.listen()
        self.tcp_address = f"tcp://127.0.0.1:{self.tcp.getsockname()[1]}"
        self.unix_address = f"unix://{folder / 'admin.sock'}"

    def close(self) -> None:
        self.tcp.close()
        self.unix.close()


@contextmanager
def running(master: FakeMaster, folder: Path, gate: Gate | None = None) -> Iterator[Doors]:
    """Run the admin child's loop in a thread; leaving is the master's death, which must end it."""
    doors = Doors(folder)
    try:
        with child_of(master, doors, gate):
            yield doors
    finally:
        doors.close()


@contextmanager
def child_of(master: FakeMaster, doors: Doors, gate: Gate | None = None) -> Iterator[threading.Thread]:
    """The same, for listeners that others have before and after it; the thread ends earlier if told to leave."""
    gate = gate or Gate(frozenset({"localhost", "x"}), sockets=(doors.unix_address,))

    def serve() -> None:
        server.serve(master.theirs, master.board, [doors.tcp, doors.unix], gate, MasterPlan(), is_first=True)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        master.die()
        thread.join(PATIENCE)
        master.theirs.close()
        for fd in {master.board.fd, master.board._readable}:  # noqa: SLF001  # its memory stays, for who still reads
            os.close(fd)
        assert not thread.is_alive(), "the end of the channel is the end of the admin child"
