"""Serves one ASGI application: its lifespan, its tasks, its WebSockets.

Can go wrong: nothing here; `Lifespan` says no at start-up.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from forkful.handlers.asgi import Application, Lifespan
from forkful.worker.http_asgi import AsgiConnection
from forkful.worker.http_service import HttpService

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from forkful.worker.aio_ledger import Ledger
    from forkful.worker.http_access import Access
    from forkful.worker.http_door import Door
    from forkful.worker.http_exchange import Farewelled
    from forkful.worker.http_limits import Limits
    from forkful.worker.http_proxy import Trust


class AsgiService(HttpService):
    """Serves one ASGI application."""

    def __init__(  # noqa: PLR0913  # one place where it all meets
        self,
        loop: asyncio.AbstractEventLoop,
        ledger: "Ledger",
        limits: "Limits",
        app: Application,
        lifespan: Lifespan,
        *,
        trust: "Trust",
        access: "Access | None" = None,
    ) -> None:
        super().__init__(loop, ledger, limits, trust=trust, access=access)
        self.app = app
        self.lifespan = lifespan
        self.tasks: set[asyncio.Task[None]] = set()
        self.sockets: set[Farewelled] = set()

    def maker(self, door: "Door") -> "Callable[[], AsgiConnection]":
        return partial(AsgiConnection, self, door)

    @property
    def busy(self) -> int:
        return len(self.tasks)

    def drain(self) -> None:
        super().drain()
        for websocket in tuple(self.sockets):
            websocket.drain()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=1.0)
        await self.lifespan.shutdown()

    def spawn(self, coroutine: "Coroutine[Any, Any, None]", name: str) -> "asyncio.Task[None]":
        """A task of the application's, which a drain waits for."""
        task: asyncio.Task[None] = self.loop.create_task(coroutine, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
