"""Turns of an event loop: for tests that wait until what is ready is done, and for no time."""

import asyncio


async def turn() -> None:
    """One turn of the running loop; unlike `sleep(0)`, after all that was ready when it began."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_soon(over.set_result, None)
    await over
