"""A worker's life: signals, hello, load, ready, serve, drain, leave.

Can go wrong: the handler cannot be loaded (code 4) or something else fails before it is ready (code 3), which the
master is told with the traceback; a lane fails (code 1).
"""

import contextlib
import itertools
import logging
import os
import socket
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING

from forkful.conf import logs
from forkful.conf.address import SECURE
from forkful.conf.plan import PoolPlan
from forkful.handlers import draining
from forkful.handlers.binding import held
from forkful.handlers.hooks import HookError
from forkful.handlers.inheritance import inheritance
from forkful.handlers.kinds import ASYNC, Form, Served, classify
from forkful.handlers.load import LoadError, load
from forkful.handlers.server import build, serves_in_turn
from forkful.handlers.unseen_metrics import unseen_metrics
from forkful.worker.blocking import server_life
from forkful.worker.blocking.drain import Drain
from forkful.worker.blocking.held import Held
from forkful.worker.blocking.lane import After, Lane
from forkful.worker.blocking.lanes import Lanes
from forkful.worker.blocking.listener import Listener
from forkful.worker.blocking.listening_socket import ListeningSocket
from forkful.worker.blocking.outcome import log_what_threads_raise
from forkful.worker.hooks import WorkerHooks
from forkful.worker.ipc import bequest, messages, reload_messages
from forkful.worker.ipc.assignment import Assignment
from forkful.worker.ipc.boot_error import BootError
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import PID, Scoreboard
from forkful.worker.net import peer_limits
from forkful.worker.net.peer_limits import PeerLimits
from forkful.worker.process import imports, leaving, prompts, signals, stacks
from forkful.worker.process.control import Control

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("forkful.worker")

FAILED, UNBOOTABLE, UNLOADABLE = 1, 3, 4  # exit codes
_LAST_WORDS = 5.0  # seconds that a long traceback may take on its way to the master


def run(assignment: Assignment, board: Scoreboard, channel: Channel) -> int:
    """Live as the worker in this assignment and return the exit code. Main thread; the caller ends by `os._exit`."""
    if assignment.server is not None:
        leaving.begin_anew()
    code = _live(assignment, board, channel)
    if code in (0, FAILED):
        leaving.leave(assignment.graceful_timeout)
    _flush()
    return code


def _live(assignment: Assignment, board: Scoreboard, channel: Channel) -> int:
    """From signals to the end of the last request."""
    board.confine(assignment.row, assignment.lanes)
    board.row(assignment.row)[PID] = os.getpid()
    wakeup = signals.Wakeup()
    control = Control(assignment, channel, wakeup)
    signals.take(wakeup, control.awake, control.nudged)
    belongings: list[Callable[[], object]] = [x.close for x in (wakeup.read, wakeup.write, channel.sock, board)]
    signals.let_go_in_children(belongings)
    stacks.on_signals(assignment.log)
    draining().reset()
    inheritance().anew()
    inheritance().by(partial(_bequeath, control), lambda: control.tell(messages.Heir()))
    control.tell(messages.Hello(os.getpid()))
    if assignment.lanes > 1:
        control.awake()
    else:
        control.doze()
    hooks = WorkerHooks(assignment, control.tell)
    try:
        held.set(assignment.listeners)
        hooks.before_load()
        if (limits := peer_limits.of(assignment, board)) is not None:
            belongings.append(limits.close)
        served = _served(assignment, control)
        hooks.loaded(served.form)
        _offer_protocols(assignment, served)
        logs.adopt_root()
        _name_unseen_metrics(assignment)
        if served.form in ASYNC:
            return _run_loop(assignment, board, channel, served, control, limits, hooks)
        if served.form is Form.OWN:
            return _run_own(assignment, board, served, control, hooks)
        listeners, lanes = _boot(assignment, board, served, control, limits)
        hooks.ready()
        # `reply` stays: a child may answer its datagram.
        belongings += [partial(socket.socket.close, listener.sock) for listener in listeners]
        signals.take(wakeup, control.awake, control.nudged)  # whatever the user's code has done to them meanwhile
    except LoadError as error:
        return _fail(control, "load", str(error), error.traceback)
    except HookError as error:
        hooks.told(error)
        return _fail(control, "boot", str(error), error.traceback)
    except BootError as error:
        return _fail(control, "boot", str(error), error.traceback)
    except Exception as error:  # noqa: BLE001  # whatever it was, the master is told
        return _fail(control, "boot", f"{type(error).__name__}: {error}", traceback.format_exc())
    code = _serve(assignment, control, listeners, lanes)
    hooks.exit()
    return code


def _follow(assignment: Assignment, control: Control) -> None:
    """With `reload`: tell who sits at a prompt, and what is imported."""
    if assignment.log.developing:
        prompts.follow(lambda now: control.tell(reload_messages.AtPrompt(now)))
        imports.follow(control.tell)


def _serve(assignment: Assignment, control: Control, listeners: list[Listener], lanes: Lanes) -> int:
    """From ready to the end of the last request."""
    control.tell(messages.Ready())
    has_own_socket = assignment.plan.affinity == "peer"
    inheritance().begin(must_know=has_own_socket)
    if has_own_socket:  # which the worker before us may still take from
        control.turn.wait()
    if assignment.server is None:  # else the script's own process has called it
        server_life.serve(listeners[0], lanes.serve)
    else:
        lanes.serve()
    draining().is_said(assignment.graceful_timeout)
    _close(listeners)
    inheritance().finish()
    if has_own_socket:
        control.tell(messages.Passed())
    return FAILED if lanes.failed else 0


def _bequeath(control: Control, data: bytes) -> None:
    fd = bequest.seal(data)
    try:
        control.tell(messages.Bequest(), _LAST_WORDS, [fd])
    finally:
        os.close(fd)


def _name_unseen_metrics(assignment: Assignment) -> None:
    """Say which metrics of the handler's are not on the page; one worker of a pool says it for all."""
    if assignment.slot == 0 and (unseen := unseen_metrics()):
        logger.warning("%s: not on /metrics, since they exist in one process only: %s", assignment, ", ".join(unseen))


def warm(plan: PoolPlan, target: object) -> None:
    """Import what this handler will be served with, so that workers share it. For the mold, after `load.preload`."""
    if target is None:
        return
    form = classify(plan.handler, target, schemes=_schemes(plan), interface=plan.interface).form
    if form in ASYNC:
        from forkful.worker import loop_worker  # noqa: PLC0415  # as below

        loop_worker.warm(form, plan.event_loop, mounted=bool(plan.root_path))


def _fail(control: Control, kind: str, message: str, trace: str) -> int:
    if imports.are_followed():  # what is to be mended is in one of these
        imports.tell(control.tell, imports.named_in(trace))
    control.tell(messages.Failed(kind, messages.cut(message), messages.cut(trace)), _LAST_WORDS)
    return UNLOADABLE if kind == "load" else UNBOOTABLE


def _run_loop(  # noqa: PLR0913, PLR0917  # all that a worker has
    assignment: Assignment,
    board: Scoreboard,
    channel: Channel,
    served: Served,
    control: Control,
    limits: PeerLimits | None,
    hooks: WorkerHooks,
) -> int:
    """Serve by the event loop, which listens to signals and to the master itself."""
    from forkful.worker import loop_worker  # noqa: PLC0415  # 40 ms and 11 MB that only this worker pays for

    control.hand_over()
    return loop_worker.serve(assignment, board, channel, served, limits, hooks, lambda: control.tell(messages.Ready()))


def _run_own(assignment: Assignment, board: Scoreboard, served: Served, control: Control, hooks: WorkerHooks) -> int:
    """Have the program serve by the loop of its own; it says by itself when it is ready."""
    from forkful.worker import own_worker  # noqa: PLC0415  # only such a program pays for it

    control.awake()  # the main thread is the program's: whatever it does with signals, the master is heard
    run = own_worker.serve(assignment, board.row(assignment.row), served, control, _counter(assignment, control))
    hooks.ready()  # who accepts for himself says only later that he does
    well = run()
    if well:  # it may have seen that it drains before we have said so to all
        draining().is_said(assignment.graceful_timeout)
    hooks.exit()
    return 0 if well else FAILED


def _boot(
    assignment: Assignment, board: Scoreboard, served: Served, control: Control, limits: PeerLimits | None
) -> tuple[list[Listener], Lanes]:
    """From the handler to lanes that may start."""
    sockets = _sockets(assignment)
    servers = build(served, sockets, lambda: None if draining().is_set() else control.retire("shutdown"))
    if assignment.slot == 0 and assignment.lanes == 1:
        told = f"{assignment}: {served.text} is made for threads, but threads is 1: one at a time is served"
        serves_in_turn(servers[0], partial(logger.warning, "%s", told))
    listeners = [
        Listener.of(sock, position, cell, server, assignment.plan.at(address), limits, assignment.context(position))
        for position, (sock, cell, server, address) in enumerate(
            zip(sockets, assignment.numbers, servers, assignment.plan.bind, strict=True)
        )
    ]
    for listener in listeners:
        log_what_threads_raise(listener)
    held = Held(board.row(assignment.row))
    lanes = [Lane(number, board.row(assignment.row + number), held) for number in range(assignment.lanes)]
    control.drain = Drain(listeners, lanes, draining())
    server_life.shut_down_with(draining(), listeners)
    return listeners, Lanes(lanes, listeners, control.drain, _counter(assignment, control))


def _sockets(assignment: Assignment) -> list[ListeningSocket]:
    """Socket objects for the shared descriptors. A default timeout of the user's must not reach them."""
    default = socket.getdefaulttimeout()
    socket.setdefaulttimeout(None)
    try:
        return [ListeningSocket(fileno=fd) for fd in assignment.listeners]
    finally:
        socket.setdefaulttimeout(default)


def _served(assignment: Assignment, control: Control) -> Served:
    _follow(assignment, control)
    if assignment.server is None:
        plan = assignment.plan
        return classify(plan.handler, load(plan.handler), schemes=_schemes(plan), interface=plan.interface)
    return classify(type(assignment.server).__name__, assignment.server)


def _schemes(plan: PoolPlan) -> set[str]:
    return {SECURE.get(address.scheme, address.scheme) for address in plan.bind} - {"", "fd"}


def _offer_protocols(assignment: Assignment, served: Served) -> None:
    """By ALPN, where the operator does not say it: what the handler turned out to be."""
    for context, address in zip(assignment.contexts, assignment.plan.bind, strict=False):
        if context is not None and served.form in {Form.WSGI, Form.ASGI} and not assignment.plan.at(address).alpn:
            context.offer(["http/1.1"])


def _counter(assignment: Assignment, control: Control) -> After:
    """What counts requests for `max_requests`, over all lanes and without a lock."""
    if not assignment.plan.max_requests:
        return None
    jitter = int.from_bytes(os.urandom(4)) % (assignment.plan.max_requests_jitter + 1)
    limit = assignment.plan.max_requests + jitter
    tickets = itertools.count(1)

    def count() -> None:
        if next(tickets) == limit:
            control.retire("max_requests")

    return count


def _close(listeners: list[Listener]) -> None:
    """Give servers that clean up after themselves the chance to."""
    for listener in listeners:
        if "server_close" in listener.hooks:
            try:
                listener.server.server_close()
            except BaseException:
                logger.exception("%s: server_close failed", listener)


def _flush() -> None:
    """Let everything out that is still in buffers."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
