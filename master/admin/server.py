"""The admin child's loop: it serves its listeners and reads its channel from the master.

Can go wrong: a page that fails is a 500 and a log record. When the channel ends the master has ended, and this process
ends too. When it is to be replaced, it answers first whom it has taken, and leaves the others in the queue.
"""

import logging
import os
import queue
import selectors
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

from forkful.conf import logs
from forkful.conf.plan import MasterPlan
from forkful.master.admin import sinks
from forkful.master.admin.app import App
from forkful.master.admin.gate import Gate
from forkful.master.admin.handler_metrics import HandlerMetrics
from forkful.master.admin.http_server import HttpServer
from forkful.master.admin.master_client import GONE, REPLACED, MasterClient
from forkful.master.admin.recorder import Recorder
from forkful.master.admin.view import Viewer
from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard

log = logging.getLogger("forkful.admin")


class Folder:
    """The one thread that folds dead processes' metric files, for all who died since it last looked."""

    def __init__(self, handlers: HandlerMetrics) -> None:
        self._handlers = handlers
        self._gone: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="fold", daemon=True).start()

    def tell(self, pid: int) -> None:
        self._gone.put(pid)

    def _run(self) -> None:
        while True:
            try:
                self._handlers.fold()
            except OSError as problem:  # a full disk, a directory that was removed: the next death tries again
                log.warning("cannot add up the metric files of dead workers: %s", problem)
            self._gone.get()
            while not self._gone.empty():
                self._gone.get()


def serve(  # noqa: PLR0913  # all that an admin child has
    channel: Channel,
    board: Scoreboard,
    listeners: list[socket.socket],
    gate: Gate,
    plan: MasterPlan,
    *,
    is_first: bool,
) -> None:
    """The loop: hears the master and takes requests, until the channel ends or we are to leave."""
    master = MasterClient(channel)
    viewer = Viewer(master, board)
    handlers = _handler_metrics()
    folder = Folder(handlers) if handlers else None
    collect = handlers.collect if handlers else None
    recorder = Recorder(viewer, pusher=sinks.pusher(plan, collect, is_first=is_first))
    app = App(master, viewer, collect, recorder.history, gate)
    with selectors.DefaultSelector() as selector, closing(HttpServer(listeners, app, selector)) as server:
        selector.register(channel, selectors.EVENT_READ)
        master.awake()  # so that it is seen when we hang; until now we were importing
        while True:
            ready = selector.select(server.tidy(time.monotonic()))
            for message in channel.receive(messages.TO_ADMIN):
                _hear(message, master, recorder, folder, server)
            if channel.closed or server.has_rested(time.monotonic()):
                break  # and who is in the queue is the next admin child's, where there is an upgrade
            for key, _ in ready:
                if key.data:
                    key.data()
    recorder.over.set()
    master.hang_up(GONE if channel.closed else REPLACED)
    server.finish()


def _hear(
    message: messages.ToAdmin | messages.Refused,
    master: MasterClient,
    recorder: Recorder,
    folder: Folder | None,
    server: HttpServer,
) -> None:
    if not isinstance(message, messages.Executing):
        master.is_back()
    match message:
        case messages.Executing():
            master.executes()
        case messages.Gone(pid=pid):
            recorder.tell()
            if folder:
                folder.tell(pid)
        case messages.Reopen():
            logs.reopen()
        case messages.Facts() | messages.Answer():
            master.answered(message)
        case messages.Wake():
            master.awake()
        case messages.Leave():
            server.rest(time.monotonic())
        case messages.Refused(why=why):
            log.warning("ignored a message from the master that this version does not know: %s", why)


def _handler_metrics() -> HandlerMetrics | None:
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if not directory:
        return None
    try:
        return HandlerMetrics(Path(directory))
    except OSError as problem:
        log.warning("handlers' own metrics are not on /metrics: %s", problem)
        return None
