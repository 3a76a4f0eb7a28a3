"""Serves one WSGI application: makes its connections and knows what is the same for all of them.

Can go wrong: nothing here.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from forkful.handlers.wsgi import Application, template
from forkful.worker.eventloop.acceptor import AT_ONCE
from forkful.worker.eventloop.coroutines import CLEANUP
from forkful.worker.http.service import HttpService
from forkful.worker.http.wsgi.connection import WsgiConnection
from forkful.worker.http.wsgi.environ import Openings
from forkful.worker.http.wsgi.thread_pool import Pool
from forkful.worker.http.wsgi.threaded import ThreadedConnection
from forkful.worker.net.local_address import LocalAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forkful.worker.eventloop.accounting import Accounting
    from forkful.worker.http.access_log import Access
    from forkful.worker.http.forwarded import Trust
    from forkful.worker.http.limits import Limits


TRIES: Final = 20


class WsgiService(HttpService):
    """`processes`: whether other workers serve the same application."""

    put: "Callable[[ThreadedConnection], None]"
    post: "Callable[[Callable[[Any], None], Any], None]"  # Any: what the call takes

    def __init__(  # noqa: PLR0913  # one place where it all meets
        self,
        loop: asyncio.AbstractEventLoop,
        accounting: "Accounting",
        limits: "Limits",
        app: Application,
        *,
        trust: "Trust",
        access: "Access | None" = None,
        processes: bool = False,
        rows: "Sequence[memoryview[int]]" = (),  # one for each thread of the application; none: in the loop's own
    ) -> None:
        super().__init__(loop, accounting, limits, trust=trust, access=access)
        self.app = app
        self._pool = Pool(loop, rows) if rows else None
        if self._pool is not None:
            self.lock, self.put, self.post = self._pool.lock, self._pool.put, self._pool.post
            self._pool.start()
        self._processes = processes
        self.waiting: set[ThreadedConnection] = set()

    def maker(self, local: LocalAddress) -> "Callable[[], WsgiConnection]":
        common = template(
            name=local.name,
            port=str(local.port or 80),  # a Unix socket's: PEP 3333 wants one, and with 80 a URL is made without
            scheme=local.scheme,
            threads=self._pool is not None,
            processes=self._processes,
        )
        return partial(WsgiConnection if self._pool is None else ThreadedConnection, self, Openings(common))

    def welcome(self) -> int:
        return self._pool.welcome() if self._pool is not None else AT_ONCE

    @property
    def busy(self) -> int:
        return self._pool.busy if self._pool is not None else 0

    @property
    def stuck(self) -> bool:
        """A thread is in the application. One that waits for a client is not: it goes on when that is cut off."""
        return self.busy > len(self.waiting)

    async def close(self) -> None:
        await super().close()
        for _ in range(TRIES):
            if not self.waiting and not self.busy:
                break
            await asyncio.sleep(CLEANUP / TRIES)  # threads whose clients were cut off just now close what they have
        if self._pool is not None:
            self._pool.stop()
