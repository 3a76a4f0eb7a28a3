"""An arrival: a connection between accept(2) and its protocol, on an event loop.

It is on its way through the listener's steps. The loop watches its descriptor where a step has to wait, and its
deadline, so it holds up nobody; it is counted as open and in flight, with its start, like what is being served.
Can go wrong: a step refuses or takes too long: counted by its reason, and the connection is closed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from forkful.worker.net import tls_outcome
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.address_words import in_words
from forkful.worker.net.steps import MOMENT, Reason, Refused, Steps, Want, refusal_cell

if TYPE_CHECKING:
    from forkful.worker.eventloop.accounting import Accounting

logger = logging.getLogger("forkful.worker")

Serve = Callable[[Accepted], object]


class Arrivals:
    """Those at one listener. `serve` is called with each connection that all steps let through."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, steps: Steps, accounting: "Accounting", cell: int, serve: Serve
    ) -> None:
        self.loop = loop
        self.steps = steps
        self.accounting = accounting
        self.serve = serve
        self._cell = cell

    def begin(self, sock: socket.socket, peer: Any) -> None:  # Any: an address, of many shapes
        """Take a connection that was just accepted through the steps."""
        sock.setblocking(False)
        _Arrival(self, Accepted.now(sock, peer)).begin()

    def refused(self, accepted: Accepted, reason: Reason) -> None:
        tls_outcome.count(self.accounting.row, accepted, reason)
        self.accounting.row[refusal_cell(self._cell, reason)] += 1


class _Arrival:
    """One of them. It is a flight of the accounting's until it is served or refused."""

    def __init__(self, arrivals: Arrivals, accepted: Accepted) -> None:
        self._arrivals = arrivals
        self._accepted = accepted
        self._walk: Iterator[Want] = arrivals.steps.walk(accepted)
        self._timer: asyncio.TimerHandle | None = None
        self._moment: asyncio.TimerHandle | None = None
        self._stop_watching: Callable[[int], object] | None = None
        self._fd = -1  # that is watched; a step may put another socket in its place

    def __str__(self) -> str:
        return f"arrival of {in_words(self._accepted.peer)}"

    def begin(self) -> None:
        self._arrivals.accounting.arrive(self, self._accepted.since)
        self._go_on()

    def _go_on(self) -> None:
        """As far as it goes without waiting."""
        self._unwatch()
        try:
            want = next(self._walk, None)
        except Refused as refused:
            self._refuse(refused.reason, str(refused))
        except OSError as error:
            self._refuse(Reason.GONE, str(error))
        except Exception:
            logger.exception("a step failed for %s", in_words(self._accepted.peer))
            self._refuse(Reason.PROTOCOL, "a step failed")
        else:
            if want is None:
                self._end()
                tls_outcome.count(self._arrivals.accounting.row, self._accepted)
                self._arrivals.serve(self._accepted)
            else:
                self._watch(want)

    def _watch(self, want: Want) -> None:
        loop, self._fd = self._arrivals.loop, self._accepted.sock.fileno()
        if want is Want.MOMENT:
            self._moment = loop.call_later(MOMENT, self._go_on)
        elif want is Want.READ:
            loop.add_reader(self._fd, self._go_on)
            self._stop_watching = loop.remove_reader
        else:
            loop.add_writer(self._fd, self._go_on)
            self._stop_watching = loop.remove_writer
        if self._timer is None and self._arrivals.steps.timeout:
            self._timer = loop.call_later(self._arrivals.steps.timeout, self._late)

    def _unwatch(self) -> None:
        if self._moment is not None:
            self._moment.cancel()
            self._moment = None
        if self._stop_watching is not None:
            self._stop_watching(self._fd)
            self._stop_watching = None

    def _late(self) -> None:
        self._unwatch()
        self._refuse(Reason.TIMEOUT, f"it took longer than {self._arrivals.steps.timeout:g} s")

    def _refuse(self, reason: Reason, why: str) -> None:
        logger.debug("refused %s: %s", in_words(self._accepted.peer), why)
        self._arrivals.refused(self._accepted, reason)
        self._end()
        self._accepted.sock.close()
        if self._accepted.left is not None:
            self._accepted.left()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._arrivals.accounting.depart(self)
