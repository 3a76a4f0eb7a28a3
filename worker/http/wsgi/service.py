"""Serves one WSGI application: makes its connections and knows what is the same for all of them."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from forkful.handlers.wsgi import Application
from forkful.worker.eventloop.coroutines import CLEANUP
from forkful.worker.http.budget import BODIES, Budget
from forkful.worker.http.http1 import HttpConnection
from forkful.worker.http.service import HttpService
from forkful.worker.http.wsgi.environ import WsgiGateway
from forkful.worker.net.local_address import LocalAddress

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from forkful.worker.eventloop.acceptor import Make
    from forkful.worker.eventloop.accounting import Accounting
    from forkful.worker.http.access_log import Access
    from forkful.worker.http.limits import Limits
    from forkful.worker.http.wsgi.exchange import WsgiExchange
    from forkful.worker.net.trust import Trust


TRIES: Final = 20


class Threads(Protocol):
    """What calls the application: `Pool`."""

    lock: "threading.Lock"

    @property
    def serving(self) -> "Mapping[int, object]": ...

    @property
    def threads(self) -> int: ...

    @property
    def busy(self) -> int: ...

    def welcome(self) -> int: ...

    def put(self, exchange: "WsgiExchange", /) -> None: ...

    def post(self, call: "Callable[[Any], None]", argument: Any, /) -> None: ...  # Any: what the call takes

    def room(self) -> "threading.Event": ...

    def stop(self) -> None: ...


class WsgiService(HttpService):
    """`processes`: whether other workers serve the same application."""

    def __init__(  # noqa: PLR0913  # one place where it all meets
        self,
        loop: asyncio.AbstractEventLoop,
        accounting: "Accounting",
        limits: "Limits",
        app: Application,
        pool: Threads,
        *,
        trust: "Trust",
        access: "Access | None" = None,
        processes: bool = False,
    ) -> None:
        super().__init__(loop, accounting, limits, trust=trust, access=access)
        self.app = app
        self._pool = pool
        accounting.shared = True
        self.lock, self.put, self.post, self.room = pool.lock, pool.put, pool.post, pool.room
        self._processes = processes
        self.budget = Budget(BODIES)
        self.waiting: set[WsgiExchange] = set()
        self.answers.relieved = self._relieved

    def maker(self, local: LocalAddress) -> "Make[HttpConnection]":
        threads = self._pool.threads > 1
        gateway = WsgiGateway(self, local, self.trust, threads=threads, processes=self._processes)
        return partial(HttpConnection, self, gateway)

    def welcome(self) -> int:
        return self._pool.welcome()

    def _relieved(self) -> None:
        """There is room for answers again, for whoever waits for it."""
        for exchange in tuple(self.waiting):
            exchange.resume()

    @property
    def serving(self) -> "Mapping[int, object]":
        """What each thread is busy with, by its ident; for stacks."""
        return self._pool.serving

    @property
    def busy(self) -> int:
        return self._pool.busy

    @property
    def stuck(self) -> bool:
        """A thread is in the application. One that waits for a client is not: it goes on when that is cut off."""
        return self.busy > 0

    async def close(self) -> None:
        await super().close()
        for _ in range(TRIES):
            if not self.waiting and not self.busy:
                break
            await asyncio.sleep(CLEANUP / TRIES)  # threads whose clients were cut off just now close what they have
        self._pool.stop()
