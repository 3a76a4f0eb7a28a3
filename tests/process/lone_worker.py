"""A worker without a master: forked by the test around a listener, with a scoreboard and a channel of its own.

Can go wrong: what is waited for does not come: `TooLateError` with the worker's log.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from forkful.conf import logs
from forkful.conf.address import Address
from forkful.conf.plan import LogPlan, PoolPlan
from forkful.handlers.inheritance import inheritance
from forkful.worker import main
from forkful.worker.ipc import messages, scoreboard
from forkful.worker.ipc.assignment import Assignment
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard
from tests.kit.wait import TooLateError, readable, until

PATIENCE = 10.0

ECHO, PACKETS = "forkful.handlers.echo:EchoStream", "forkful.handlers.echo:EchoDatagram"
ASK, DATAGRAM = "alone:Ask", "alone:Datagram"  # in tests/apps

Event = TypeVar("Event", bound=messages.FromWorker)
Listen = Callable[[str], socket.socket]
Connect = Callable[[socket.socket], socket.socket]


@dataclass
class LoneWorker:
    """One worker process, and what a master would hold of it."""

    pid: int
    board: Scoreboard
    assignment: Assignment
    channel: Channel
    log: Path
    heard: list[messages.FromWorker] = field(default_factory=list)
    code: int | None = None

    def event(self, kind: type[Event]) -> Event:
        """Wait for an event of the worker."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for message in self.heard:
                if isinstance(message, kind):
                    return message
            if self.channel.closed or not readable(self.channel.fileno(), within=deadline - time.monotonic()):
                raise TooLateError(f"no {kind.__name__} but {self.heard}\n{self.log.read_text()}")
            self.hear()

    def hear(self) -> None:
        """Take what it has said meanwhile."""
        for message in self.channel.receive(messages.FROM_WORKER):
            assert not isinstance(message, messages.Refused), message
            self.heard.append(message)

    def drain(self, empty: list[int] | None = None, timeout: float = PATIENCE) -> None:
        self.channel.send(messages.Drain(tuple(empty or ()), timeout))

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; the exit code, or minus the signal."""
        if self.code is None:
            fd = os.pidfd_open(self.pid)
            try:
                if not readable(fd, within=PATIENCE):
                    raise TooLateError(f"worker {self.pid} did not end\n{self.log.read_text()}")
            finally:
                os.close(fd)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def row(self, lane: int = 0) -> list[int]:
        return self.board.row(self.assignment.row + lane).tolist()

    def done(self) -> int:
        """Requests finished, over all lanes."""
        rows = [self.row(lane) for lane in range(self.assignment.lanes)]
        return sum(sum(row[scoreboard.BUCKETS : scoreboard.BUCKETS + len(scoreboard.BOUNDS) + 1]) for row in rows)

    def count(self, cell: int) -> int:
        return sum(self.row(lane)[cell] for lane in range(self.assignment.lanes))

    def until_done(self, requests: int) -> None:
        until(lambda: self.done() >= requests, what=f"{requests} requests done", within=PATIENCE)

    def until_busy(self, lanes: int = 1) -> None:
        until(
            lambda: sum(bool(self.row(n)[scoreboard.SINCE]) for n in range(self.assignment.lanes)) >= lanes,
            what=f"{lanes} busy lanes",
            within=PATIENCE,
        )


Cast = Callable[..., LoneWorker]


@contextlib.contextmanager
def caster(directory: Path) -> Iterator[Cast]:
    """Cast workers: `cast(handler, [sockets], threads=1, ...plan)`. At the end none may be left."""
    workers: list[LoneWorker] = []

    def cast(
        handler: str,
        listeners: list[socket.socket],
        *,
        ready: bool = True,
        graceful_timeout: float = PATIENCE,
        prepare: Callable[[], object] | None = None,
        server: object = None,
        **plan: Any,
    ) -> LoneWorker:
        inheritance()._takers.clear()  # noqa: SLF001  # of modules that tests in this process have imported
        log = directory / f"worker{len(workers)}.log"
        board = Scoreboard()
        threads = plan.get("threads", 1)
        bind = tuple(Address("fd", fd=sock.fileno()) for sock in listeners)
        assignment = Assignment(
            plan=PoolPlan(name="lone", handler=handler, bind=plan.pop("bind", bind), **plan),
            pool=0,
            slot=0,
            generation=1,
            row=board.allocate(threads, pool=0, slot=0, generation=1),
            lanes=threads,
            listeners=tuple(sock.fileno() for sock in listeners),
            numbers=tuple(range(len(listeners))),
            graceful_timeout=graceful_timeout,
            log=LogPlan(level="debug", file=str(log)),
            server=server,
        )
        ours, theirs = Channel.pair()
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                ours.close()
                for worker in workers:
                    worker.channel.close()
                logs.configure(assignment.log, str(assignment))
                if prepare:
                    prepare()
                code = main.run(assignment, board, theirs)
            except BaseException:  # noqa: BLE001  # this is the end of the process
                logs.LOGGER.exception("the worker failed")
            finally:
                os._exit(code)
        theirs.close()
        worker = LoneWorker(pid, board, assignment, ours, log)
        workers.append(worker)
        if ready:
            worker.event(messages.Ready)
        return worker

    try:
        yield cast
    finally:
        for worker in workers:
            if worker.code is None:
                os.kill(worker.pid, signal.SIGKILL)
                os.waitpid(worker.pid, 0)
            worker.channel.close()
            os.close(worker.board.fd)


def ask(client: socket.socket, question: bytes, size: int = 100) -> bytes:
    """Send, and receive what comes back."""
    client.sendall(question)
    return client.recv(size)
