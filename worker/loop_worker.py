"""The event loop of a worker: accepts on its listeners, serves what the handler is, and drains.

    code = serve(assignment, board, channel, served, ready)

One loop, in the main thread. It wakes for sockets, for messages of the master, for signals and for deadlines.
With nothing connected it has no timer.
Can go wrong: an application's start-up fails: `BootError`, before anything is accepted. What handlers do wrong later
is sorted where they are called.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from forkful.conf import logs
from forkful.handlers.farewell import draining
from forkful.handlers.inheritance import inheritance
from forkful.handlers.kinds import DATAGRAM, Form, Served
from forkful.worker import services
from forkful.worker.eventloop.accept_balance import AcceptBalance
from forkful.worker.eventloop.acceptor import Acceptor, BriefAcceptor, Make, SteppedAcceptor
from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.eventloop.datagrams import Datagrams, Endpoint
from forkful.worker.eventloop.master_link import Heeded, MasterLink
from forkful.worker.eventloop.proxied_transport import unwrap
from forkful.worker.eventloop.task_stacks import dump, tasks
from forkful.worker.ipc import bequest, messages, reload_messages
from forkful.worker.ipc.scoreboard import ACCEPTING
from forkful.worker.net.listener_steps import doorkeeper, engine_handshake, steps
from forkful.worker.net.local_address import LocalAddress
from forkful.worker.net.steps import Steps
from forkful.worker.process import stacks
from forkful.worker.services import Service, make_service

if TYPE_CHECKING:
    from forkful.worker.hooks import WorkerHooks
    from forkful.worker.ipc.assignment import Assignment
    from forkful.worker.ipc.channel import Channel
    from forkful.worker.ipc.scoreboard import Scoreboard
    from forkful.worker.net.peer_limits import PeerLimits

logger = logging.getLogger("forkful.worker")

TURNS: Final = 3  # of the loop, between accepting a connection and its `connection_made`, and one to spare
#: Seconds before the end of graceful_timeout at which what is left is cut short; of short ones a quarter.
CUT: Final = 1.0
QUICK: Final = (signal.SIGINT, signal.SIGQUIT)


def make_loop(which: str) -> asyncio.AbstractEventLoop:
    """`which` is "uvloop", "asyncio", or "auto": uvloop where it is installed."""
    if which != "asyncio":
        try:
            import uvloop  # noqa: PLC0415  # 41 ms and 12 MB that only this worker pays for
        except ImportError:
            if which == "uvloop":
                raise
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def warm(form: Form, event_loop: str = "auto", *, mounted: bool = False) -> None:
    """Import what such a worker needs, so that workers share it. For the mold."""
    services.warm(form, mounted=mounted)
    if event_loop != "asyncio":
        with contextlib.suppress(ImportError):  # then asyncio's own will do, or the worker says so
            import uvloop  # noqa: F401, PLC0415  # as in `make_loop`


def serve(  # noqa: PLR0913, PLR0917  # all that a worker has
    assignment: "Assignment",
    board: "Scoreboard",
    channel: "Channel",
    served: Served,
    limits: "PeerLimits | None",
    hooks: "WorkerHooks",
    ready: Callable[[], None],
) -> int:
    """Serve until told to leave, and return the exit code. `ready` is called once connections are accepted."""
    loop = make_loop(assignment.plan.event_loop)
    asyncio.set_event_loop(loop)
    try:
        worker = LoopWorker(loop, assignment, board, channel, served, limits, hooks)
        return _run(loop, loop.create_task(worker.run(ready)), assignment)
    finally:
        with contextlib.suppress(Exception):
            loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, turn: "asyncio.Task[int]", assignment: "Assignment") -> int:
    """Until it is over. What wants to end the process from within a callback or a task ends that and nothing else."""
    while True:
        try:
            return loop.run_until_complete(turn)
        except (SystemExit, KeyboardInterrupt) as error:
            if turn.done():
                raise
            what = type(error).__name__
            logger.exception("%s: the handler raised %s, which ends no worker", assignment, what)


class LoopWorker:
    """One worker's time on its loop, from start-up to leaving."""

    def __init__(  # noqa: PLR0913, PLR0917  # as above
        self,
        loop: asyncio.AbstractEventLoop,
        assignment: "Assignment",
        board: "Scoreboard",
        channel: "Channel",
        served: Served,
        limits: "PeerLimits | None",
        hooks: "WorkerHooks",
    ) -> None:
        self.loop = loop
        self.assignment = assignment
        self.channel = channel
        self.served = served
        self.row = board.row(assignment.row)
        self.accounting = Accounting(self.row, loop)
        self.balance = AcceptBalance(board, assignment.pool, self.row)
        self.rows = [board.row(assignment.row + lane) for lane in range(assignment.lanes)]
        self.limits = limits
        self.hooks = hooks
        self.doors: list[Acceptor | Endpoint] = []
        self.service: Service | None = None
        self.left = asyncio.Event()
        self.code = 0
        self._turn = asyncio.Event()  # nobody before us takes anything more from what is ours alone
        self._serving = False
        self._draining = False
        self._emptying = 0
        self._cut_at = 0.0  # of the loop's time: when what is left is cut short

    async def run(self, ready: Callable[[], None]) -> int:
        """Start, serve, drain, stop."""
        self.loop.set_exception_handler(self._exception)
        self._listen()
        self.accounting.limit, self.accounting.last_request = self._last_request()
        inheritance().by(self._bequeath, lambda: self.loop.call_soon_threadsafe(self.channel.send, messages.Heir()))
        has_slot = self.assignment.plan.affinity == "peer"
        endpoints = self._endpoints() if self.served.kind == DATAGRAM else []
        if endpoints:
            self.doors += endpoints
            await self.hooks.ready_on(self.loop)
            if not has_slot:
                await self._start(endpoints)
        else:
            self.service = await make_service(self.loop, self.accounting, self.assignment, self.served, self.rows)
            await self.hooks.ready_on(self.loop)
            self._open_listeners(self.service)
        if not self._draining:
            self.row[ACCEPTING] = 1
            self._serving = True
            ready()
            inheritance().begin(must_know=has_slot)
        if has_slot:
            await self._turn.wait()
            await self._start(endpoints)
        await self.left.wait()
        self.row[ACCEPTING] = 0
        await self.hooks.drained(max(0.0, self._cut_at - self.loop.time()))
        if self.service is not None:
            await self.service.close()
        inheritance().finish()
        await self.hooks.exit_on()
        if has_slot:
            self.channel.send(messages.Passed())
        return self.code

    # -- listeners ---------------------------------------------------------------------------------------------------

    def _open_listeners(self, service: Service) -> None:
        pool = self.assignment.plan
        unwrap(self.loop)
        for position, (fd, cell, address) in enumerate(
            zip(self.assignment.listeners, self.assignment.numbers, pool.bind, strict=True)
        ):
            plan, context = pool.at(address), self.assignment.context(position)
            sock = socket.socket(fileno=fd)
            make = service.maker(LocalAddress.of(sock, secure=context is not None))
            passed = steps(plan, engine_handshake(context), self.limits)
            acceptor = self._acceptor(sock, cell, service, make, passed)
            self.doors.append(acceptor)
            if not self._draining:
                acceptor.start()

    def _acceptor(
        self,
        sock: socket.socket,
        cell: int,
        service: Service,
        make: Make[asyncio.BaseProtocol],
        passed: Steps,
    ) -> Acceptor:
        limit = self.assignment.plan.max_connections
        common = (self.loop, sock, cell, self.balance, self.accounting, service, make)
        if passed:
            return SteppedAcceptor(*common, limit=limit, steps=passed)
        return BriefAcceptor(*common, limit=limit, manner=service.manner)

    def _endpoints(self) -> list[Endpoint]:
        plan = self.assignment.plan
        return [
            Endpoint(
                self.loop,
                socket.socket(fileno=fd),
                Datagrams(self.served.target(), self.accounting, cell, doorkeeper(plan.at(address), self.limits)),
            )
            for fd, cell, address in zip(self.assignment.listeners, self.assignment.numbers, plan.bind, strict=True)
        ]

    async def _start(self, endpoints: Sequence[Endpoint]) -> None:
        """Take datagrams, unless we were told to stop before we had begun."""
        for endpoint in endpoints:
            if not endpoint.stopped:
                await endpoint.start()

    # -- what the master and signals say -----------------------------------------------------------------------------

    def _listen(self) -> None:
        self.loop.add_signal_handler(signal.SIGTERM, self._asked_to_leave)
        for number in QUICK:
            self.loop.add_signal_handler(number, self._leave)
        MasterLink(self.loop, self.channel, heed=self._heed, show=self._show, gone=self._orphaned).open()

    def _heed(self, message: Heeded) -> None:
        match message:
            case messages.Drain(empty=empty, timeout=timeout):
                self.drain(empty, timeout)
            case messages.Inherited(some=some):
                inheritance().came(bequest.read(self.channel.fds.pop(0)) if some else b"")
                self._turn.set()
            case messages.Reopen():
                logs.reopen()
                stacks.on_signals(self.assignment.log)
            case reload_messages.Mistaken(message=why, traceback=trace):
                from forkful.worker.http.mistake_page import MISTAKE  # noqa: PLC0415  # stream pools do without HTTP

                MISTAKE.show(why, trace)
            case messages.Refused(why=why):
                logger.warning(
                    "%s: ignored a message from the master that this version does not know: %s", self.assignment, why
                )

    def _show(self) -> None:
        dump(self.assignment, self.loop, self.accounting, self.service)

    def _orphaned(self) -> None:
        self.loop.call_later(self.assignment.graceful_timeout, self._leave)
        logger.warning("%s: the master has ended; this worker finishes its requests and leaves", self.assignment)
        self.drain(range(len(self.doors)))

    def _last_request(self) -> tuple[int, Callable[[], None]]:
        plan = self.assignment.plan
        limit = plan.max_requests and plan.max_requests + random.randint(0, plan.max_requests_jitter)  # no secret

        def retire() -> None:  # called in the thread of that request, if the application has some
            self.loop.call_soon_threadsafe(self.channel.send, messages.Retiring("max_requests"))

        return limit, retire

    # -- leaving -----------------------------------------------------------------------------------------------------

    def drain(self, empty: Collection[int] = (), timeout: float | None = None) -> None:
        """Stop accepting, listeners at the positions in `empty` only once their queue is; then finish and leave.

        What is not finished shortly before `timeout` (seconds) is cut short. Asked again, it stops emptying.
        """
        if self._draining:
            for local in self.doors:
                local.stop()
            self._turn.set()
            return
        self._draining = True
        timeout = self.assignment.graceful_timeout if timeout is None else timeout
        self._cut_at = self.loop.time() + timeout - min(CUT, timeout / 4)
        self.loop.call_at(self._cut_at, self._cut_short)
        self.row[ACCEPTING] = 0
        self._emptying = 1
        for position, local in enumerate(self.doors):
            if position in empty:
                self._emptying += 1
                local.empty(self._emptied)
            else:
                local.stop()
        if self._emptying == 1 or self.channel.closed:
            self._turn.set()  # which means nothing now: the door is closed, or there is nobody to say it
        if self.service is not None:
            self.service.drain()
        self.channel.send(messages.Draining())
        draining().begin()
        self.accounting.on_change = self._look
        self._emptied()

    def _asked_to_leave(self) -> None:
        """As `process.control` does: the master has a successor ready first, or stops us like all others."""
        if self._draining or self.channel.closed or not self._serving:
            self.drain()
        else:
            self.channel.send(messages.Retiring("signal"))

    def _emptied(self) -> None:
        self._emptying -= 1
        self._look()

    def _look(self, turns: int = TURNS) -> None:
        """Leave once nothing is left to do, not even a connection that was accepted and has not begun."""
        if self._emptying or self.accounting.connections or self.left.is_set():
            return
        if turns:
            self.loop.call_soon(self._look, turns - 1)
            return
        if self.service is not None and self.service.busy:
            self.loop.call_later(0.05, self._look)  # a thread is in the application; its client is gone already
            return
        self._leave()

    def _cut_short(self) -> None:
        """Time is nearly up: end what can be ended, in order. What cannot is for the master, which kills."""
        if self.left.is_set() or (self.service is not None and self.service.stuck):
            return
        text = tasks(self.loop, self.accounting, flights_only=True)
        left = f"{self.accounting.connections} connections are cut short" + (f", among them\n{text}" if text else "")
        logger.warning("%s: graceful_timeout is nearly over; %s", self.assignment, left)
        self._leave()

    def _leave(self) -> None:
        self.left.set()
        self._turn.set()

    def _bequeath(self, data: bytes) -> None:
        """From a callback of the loop, or from any thread while it turns."""
        fd = bequest.seal(data)

        def send() -> None:
            self.channel.flush()  # nothing may be before a descriptor
            try:
                self.channel.send(messages.Bequest(), [fd])
            finally:
                os.close(fd)

        if threading.current_thread() is threading.main_thread():
            send()
        else:
            self.loop.call_soon_threadsafe(send)

    def _exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG002  # Any: asyncio's
        """What a callback or a forgotten task of the user's raised: one record. It is no request's outcome."""
        error = context.get("exception")
        if isinstance(error, ConnectionError):
            logger.debug("%s", context.get("message"), exc_info=error)
            return
        logger.error(
            "%s: %s", self.assignment, context.get("message", "an exception in the event loop"), exc_info=error
        )
