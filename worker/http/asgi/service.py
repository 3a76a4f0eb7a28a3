"""Serves one ASGI application: its lifespan, its tasks, its WebSockets.

`Lifespan` says no at start-up.
"""

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from forkful.handlers.asgi import Application, Lifespan
from forkful.worker.eventloop.coroutines import CLEANUP
from forkful.worker.http.asgi.scope import AsgiGateway
from forkful.worker.http.http1 import HttpConnection
from forkful.worker.http.service import HttpService

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from forkful.worker.eventloop.acceptor import Make
    from forkful.worker.eventloop.accounting import Accounting
    from forkful.worker.http.access_log import Access
    from forkful.worker.http.asgi.call import Farewelled
    from forkful.worker.http.limits import Limits
    from forkful.worker.net.local_address import LocalAddress
    from forkful.worker.net.trust import Trust


#: A task may begin at once, without a turn of the loop; most requests are answered within it.
EAGER: Final = sys.version_info >= (3, 12)
NAME: Final = "request"  # a name made up for each would cost as much as the task; stacks say which request it is


class AsgiService(HttpService):
    """Serves one ASGI application."""

    def __init__(  # noqa: PLR0913  # one place where it all meets
        self,
        loop: asyncio.AbstractEventLoop,
        accounting: "Accounting",
        limits: "Limits",
        app: Application,
        lifespan: Lifespan,
        *,
        trust: "Trust",
        access: "Access | None" = None,
    ) -> None:
        super().__init__(loop, accounting, limits, trust=trust, access=access)
        self.app = app
        self.lifespan = lifespan
        self.tasks: set[asyncio.Task[None]] = set()
        self.lasting: set[Farewelled] = set()
        self.held = 0  # bytes that WebSockets hold for their applications
        self.draining = self.ending = False  # asked to finish; out of time, so that tasks are cancelled

    def maker(self, local: "LocalAddress") -> "Make[HttpConnection]":
        return partial(HttpConnection, self, AsgiGateway(self, local))

    @property
    def busy(self) -> int:
        return len(self.tasks)

    def drain(self) -> None:
        super().drain()
        self.draining = True
        for one in tuple(self.lasting):
            one.drain()

    async def close(self) -> None:
        self.ending = True
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=CLEANUP)
        await self.lifespan.shutdown()
        await super().close()

    def spawn(self, coroutine: "Coroutine[Any, Any, None]", *, at_once: bool = True) -> "asyncio.Task[None]":
        """A task of the application's, which a drain waits for; it leaves `tasks` by itself at its end.

        `at_once`: not where more of the request may have come already, which an early answer would take no notice of.
        """
        context = self.lifespan.context.copy()  # never that of the request before, which may run this
        if self.loop.get_task_factory() is not None:
            task = self.loop.create_task(coroutine, context=context)
        elif EAGER and at_once:
            task = asyncio.Task(coroutine, loop=self.loop, name=NAME, context=context, eager_start=True)  # type: ignore[call-arg]  # 3.12
        else:
            task = asyncio.Task(coroutine, loop=self.loop, name=NAME, context=context)
        if not task.done():
            self.tasks.add(task)
        return task
