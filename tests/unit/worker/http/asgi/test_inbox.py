"""The inbox: who waits for a message, and is cancelled while others wait."""

import asyncio

from forkful.worker.http.asgi.inbox import ENTRY, Inbox
from tests.kit.turns import turn


def test_a_task_that_is_cancelled_takes_neither_the_message_nor_the_others_with_it() -> None:
    async def scene() -> None:
        inbox = Inbox(asyncio.get_running_loop())
        first, second = (asyncio.ensure_future(inbox.take()) for _ in range(2))
        await turn()
        first.cancel()
        await turn()
        inbox.put({"type": "one"}, 3)

        assert inbox.size == 3 + ENTRY
        assert await second == {"type": "one"}
        assert first.cancelled()
        assert not inbox.size

    asyncio.run(scene())


def test_who_is_cancelled_when_the_message_is_there_already_leaves_it_to_the_next() -> None:
    async def scene() -> None:
        inbox = Inbox(asyncio.get_running_loop())
        first = asyncio.ensure_future(inbox.take())
        await turn()
        inbox.put({"type": "one"}, 3)
        first.cancel()
        await asyncio.wait([first])

        assert await inbox.take() == {"type": "one"}

    asyncio.run(scene())


def test_all_who_wait_are_told_of_the_end() -> None:
    async def scene() -> None:
        inbox = Inbox(asyncio.get_running_loop())
        waiting = [asyncio.ensure_future(inbox.take()) for _ in range(3)]
        await turn()
        inbox.end({"type": "over"})
        inbox.end({"type": "over, again"})

        assert await asyncio.gather(*waiting) == [{"type": "over"}] * 3

    asyncio.run(scene())
