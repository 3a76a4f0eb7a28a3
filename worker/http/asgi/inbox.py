"""The inbox of a WebSocket: messages that its application has yet to read, and the tasks of its call that wait for one.

Can go wrong: nothing here; how much may wait is for `WebSocket` to say.
"""

import asyncio
from collections import deque
from typing import Final

from forkful.handlers.asgi import Message

ENTRY: Final = 256  # what a message costs beside its bytes: an empty one is not free


class Inbox:
    """`size` is what waits in it; `goodbye` the last that the application is told, and again, should it ask again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *first: Message) -> None:
        self._loop = loop
        self._messages = deque((message, 0) for message in first)
        self._readers: list[asyncio.Future[None]] = []
        self.size = 0  # bytes
        self.goodbye: Message | None = None

    def put(self, message: Message, length: int) -> None:
        """A message with so many bytes in it."""
        size = length + ENTRY
        self._messages.append((message, size))
        self.size += size
        if self._readers:
            self._wake()

    def clear(self) -> None:
        """Forget what nobody has read."""
        self._messages.clear()
        self.size = 0

    def end(self, goodbye: Message) -> None:
        """Nothing comes any more. Only the first one counts."""
        if self.goodbye is None:
            self.goodbye = goodbye
            self._wake()

    async def take(self) -> Message:
        """The next one, as soon as there is one."""
        while not self._messages:
            if self.goodbye is not None:
                return {**self.goodbye}
            await self._news()
        message, size = self._messages.popleft()
        self.size -= size
        return message

    async def _news(self) -> None:
        """A future for each task: cancelling one cancels what it waits for. An `Event` costs twice as much."""
        reader = self._loop.create_future()
        self._readers.append(reader)
        try:
            await reader
        except BaseException:
            if reader in self._readers:
                self._readers.remove(reader)
            raise

    def _wake(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(None)
