"""The push: the metrics of /metrics, sent every few seconds to who does not scrape.

It has a thread of its own, which sends what the recorder has seen: it asks the master nothing, and nobody waits.
Can go wrong: who collects them is not there, or not any more: told once, and tried again at each turn.
"""

import logging
import queue
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

from prometheus_client import Metric

from forkful.master.admin.metrics import Handlers, ServiceCollector
from forkful.master.admin.view import View

log = logging.getLogger("forkful.admin")


class PushError(Exception):
    """It cannot be sent; the message says why."""


class Sink(Protocol):
    """Who collects. `str()` names it for the log."""

    def push(self, families: Sequence[Metric]) -> None:
        """Send them. Raises `PushError`."""
        ...


class Pusher:
    """Sends each view that it is given to every sink."""

    def __init__(self, sinks: Iterable[Sink], handlers: Handlers | None) -> None:
        self._sinks = list(sinks)
        self._handlers = handlers
        self._failed: set[Sink] = set()
        self._views: queue.SimpleQueue[View] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="push", daemon=True).start()

    def see(self, view: View) -> None:
        """This is how it is now."""
        self._views.put(view)

    def _run(self) -> None:
        while True:
            view = self._views.get()
            while not self._views.empty():  # one was slow: what it has missed is told by the last
                view = self._views.get()
            self.push(view)

    def push(self, view: View) -> None:
        try:
            families = list(ServiceCollector(view, self._handlers).collect())
        except Exception:
            log.exception("metrics cannot be pushed")
            return
        for sink in self._sinks:
            self._push(sink, families)

    def _push(self, sink: Sink, families: Sequence[Metric]) -> None:
        try:
            sink.push(families)
        except PushError as error:
            if sink not in self._failed:
                log.warning("metrics are not pushed to %s: %s; it is tried again", sink, error)
            self._failed.add(sink)
        except Exception:
            if sink not in self._failed:
                log.exception("metrics are not pushed to %s; it is tried again", sink)
            self._failed.add(sink)
        else:
            if sink in self._failed:
                log.info("metrics are pushed to %s again", sink)
            self._failed.discard(sink)
