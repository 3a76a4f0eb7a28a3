"""All lanes of a worker. Lane 0 is the main thread, which some handlers expect.

Can go wrong: a lane fails for a reason that no module here expects. Then the worker drains and leaves with code 1: a
worker with a lane less is worse than a new one.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence

from forkful.worker.blocking import datagram, server_life, still, stream
from forkful.worker.blocking.drain import Drain
from forkful.worker.blocking.lane import After, Lane, Source, blocking, polled
from forkful.worker.blocking.listener import Listener

logger = logging.getLogger("forkful.worker")


class Lanes:
    """Runs the lanes over the listeners, and waits until all have left."""

    def __init__(self, lanes: Sequence[Lane], listeners: Sequence[Listener], drain: Drain, after: After) -> None:
        self._lanes = lanes
        self._listeners = listeners
        self._drain = drain
        self._after = after
        self._actions = server_life.actions(listeners)
        self._pid = os.getpid()
        self.failed = False

    def serve(self) -> None:
        """Run lane 0 here and the others in threads of their own; return when the last has left and nothing is held."""
        threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"lane {lane.number}", daemon=True)
            for lane in self._lanes[1:]
        ]
        for thread in threads:
            thread.start()
        if threads and self._actions is not None:
            threading.Thread(target=self._act, args=(self._actions,), name="service_actions", daemon=True).start()
        limits = self._listeners[0].limits
        if limits.idle:
            arguments = self._lanes, limits, self._lanes[0].left
            threading.Thread(target=still.watch, args=arguments, name="still connections", daemon=True).start()
        self._run(self._lanes[0])
        for thread in threads:
            thread.join()
        self._lanes[0].held.wait()

    def _run(self, lane: Lane) -> None:
        lane.enter()
        try:
            self._loop(lane)
        except BaseException:
            if os.getpid() != self._pid:
                logger.error("a handler forked, and its child returned into the worker: the child ends here")  # noqa: TRY400  # how it failed is no news
                os._exit(0)
            logger.critical("lane %d failed; this worker leaves", lane.number, exc_info=True)
            self.failed = True
            os.kill(os.getpid(), signal.SIGTERM)
        lane.left.set()
        self._drain.kicked.wait()  # the kernel may give a thread's number away once it has ended

    def _act(self, actions: Callable[[], object]) -> None:
        """The `service_actions` beside lanes, all of which may be busy. A single lane calls them between requests."""
        while not self._lanes[0].left.wait(server_life.EVERY):
            actions()

    def _loop(self, lane: Lane) -> None:
        aside = self._actions if len(self._lanes) == 1 else None
        if len(self._lanes) < len(self._listeners) or aside is not None:
            sources = [_source(lane, each, self._after) for each in self._listeners]
            polled(sources, self._drain.bell, aside, server_life.EVERY)
            return
        listener = self._listeners[lane.number % len(self._listeners)]
        if listener.is_direct:
            (datagram if listener.is_datagram else stream).direct(lane, listener, self._after, self._drain.bell)
        else:
            blocking(_source(lane, listener, self._after), self._drain.bell)


def _source(lane: Lane, listener: Listener, after: After) -> Source:
    return datagram.source(lane, listener, after) if listener.is_datagram else stream.source(lane, listener, after)
