"""The ASGI side of an application's life: lifespan events around it (ASGI 3, lifespan 2.0).

Can go wrong: start-up fails or takes the application down: `LifespanError`, which is a failure to boot. An application
that does not know lifespan says so by raising, as the specification has it, and is served without, unless it must.
"""

import asyncio
import contextvars
import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# Any: ASGI leaves the values of its messages and scopes open.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("forkful.app")

VERSIONS = {"version": "3.0", "spec_version": "2.4"}
#: For HTTP uvicorn's: from 2.4 on Starlette no longer looks whether the client of a stream is there, until it sends.
HTTP_VERSIONS = {"version": "3.0", "spec_version": "2.3"}


class LifespanError(Exception):
    """The application refused to start; `traceback` is text, empty where the message says it all."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.traceback = trace


class Lifespan:
    """One application's `lifespan` call. `state` is what it shares with its requests. `required`: it must have one."""

    def __init__(self, app: Application, loop: asyncio.AbstractEventLoop, *, required: bool = False) -> None:
        self._required = required
        self.state: dict[str, Any] = {}
        self.context = contextvars.copy_context()  # of the start-up; each request begins in a copy
        self._app = app
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._answer: asyncio.Future[Message] = loop.create_future()
        self._asked = self._started = False

    async def startup(self) -> None:
        """Run the application's start-up. Raises `LifespanError`."""
        self._said.put_nowait({"type": "lifespan.startup"})
        self._task = self._loop.create_task(self._run(), name="lifespan", context=self.context)
        await self._first()
        if self._answer.done():
            answer = self._answer.result()
            if answer["type"] == "lifespan.startup.failed":
                self._task.cancel()
                message = str(answer.get("message") or "").strip()
                text, _, last = message.rpartition("\n")
                raise LifespanError(
                    f"the application's start-up failed: {last or 'it gave no reason'}", message if text else ""
                )
            self._started = True
            return
        error = self._task.exception() if not self._task.cancelled() else None
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise LifespanError(f"the application's start-up ended with {error!r}", _trace(error))
        self._task = None  # it does not know lifespan; so be it
        if self._required:
            raise LifespanError("lifespan is on, and the application has none", _trace(error) if error else "")
        if error is not None and self._asked:
            log.warning("the application's start-up failed; it is served without, as ASGI has it", exc_info=error)
        elif error is not None:
            log.debug("the application does not support lifespan: %r", error)

    async def shutdown(self) -> None:
        """Run the application's shutdown, if it has one."""
        if self._task is None or not self._started:
            return
        self._answer = self._loop.create_future()
        self._said.put_nowait({"type": "lifespan.shutdown"})
        await self._first()
        if self._answer.done() and self._answer.result()["type"] == "lifespan.shutdown.failed":
            log.error(
                "the application's shutdown failed: %s", self._answer.result().get("message") or "no reason given"
            )
        elif self._task.done() and not self._task.cancelled() and self._task.exception() is not None:
            log.error("the application's shutdown failed", exc_info=self._task.exception())

    async def _first(self) -> None:
        """Until the application answered, or its call is over."""
        waiting: set[asyncio.Future[Any]] = {self._answer}
        if self._task is not None:
            waiting.add(self._task)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": VERSIONS.copy(), "state": self.state}
        await self._app(scope, self._tell, self._hear)

    async def _tell(self) -> Message:
        self._asked = True
        return await self._said.get()

    async def _hear(self, message: Message) -> None:
        kind = message["type"]
        wanted = "lifespan.shutdown." if self._started else "lifespan.startup."
        if not kind.startswith(wanted) or self._answer.done():
            raise RuntimeError(f"unexpected lifespan message {kind!r}")
        self._answer.set_result(message)


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
