"""The desk: all that the admin child does, between its listeners and its channel to the master.

Can go wrong: a page that fails is a 500 and a log record. The end of the channel is
the end of the master, and so of this.
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
from forkful.master.admin.app import Pages
from forkful.master.admin.handler_metrics import HandlerMetrics
from forkful.master.admin.http_server import HttpServer
from forkful.master.admin.master_client import MasterClient
from forkful.master.admin.metrics import Exposition
from forkful.master.admin.recorder import Recorder
from forkful.master.admin.view import Looker
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
                log.warning("the metric files of dead workers cannot be folded: %s", problem)
            self._gone.get()
            while not self._gone.empty():
                self._gone.get()


def serve(channel: Channel, board: Scoreboard, listeners: list[socket.socket]) -> None:
    """The loop: hears the master and takes requests, until the channel ends."""
    questions = MasterClient(channel)
    census = Looker(questions, board)
    handlers = _handler_metrics()
    folder = Folder(handlers) if handlers else None
    exposition = Exposition(census, handlers.collect if handlers else None)
    recorder = Recorder(census)
    pages = Pages(questions, census, exposition, recorder.history, _unix_paths(listeners))
    with selectors.DefaultSelector() as selector, closing(HttpServer(listeners, pages, selector)) as reception:
        selector.register(channel, selectors.EVENT_READ)
        while not channel.closed:
            for key, _ in selector.select(reception.tidy(time.monotonic())):
                if key.data:
                    key.data()
            for message in channel.receive(messages.TO_ADMIN):
                _hear(message, questions, recorder, folder)
    recorder.over.set()
    questions.hang_up()
    reception.finish()


def _hear(
    message: messages.ToAdmin | messages.Refused, questions: MasterClient, recorder: Recorder, folder: Folder | None
) -> None:
    match message:
        case messages.Gone(pid=pid):
            recorder.tell()
            if folder:
                folder.tell(pid)
        case messages.Reopen():
            logs.reopen()
        case messages.Facts() | messages.Answer():
            questions.answered(message)
        case messages.Refused(why=why):
            log.warning("the master said what this version does not know: %s", why)


def _handler_metrics() -> HandlerMetrics | None:
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if not directory:
        return None
    try:
        return HandlerMetrics(Path(directory))
    except OSError as problem:
        log.warning("the handlers' own metrics are not shown: %s", problem)
        return None


def _unix_paths(listeners: list[socket.socket]) -> list[str]:
    return [f"unix://{each.getsockname()}" for each in listeners if each.family == socket.AF_UNIX]
