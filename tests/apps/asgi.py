"""ASGI applications without a framework: an echo with a lifespan, one that refuses to start, a WebSocket echo."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from stages import tell  # type: ignore[import-not-found]  # beside this file, as an operator has it

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def gate() -> None:
    """Wait at the gate without blocking the loop."""
    loop = asyncio.get_running_loop()
    fd = os.open(os.environ["GATE"], os.O_RDONLY | os.O_NONBLOCK)
    ready = loop.create_future()

    def look() -> None:
        try:
            if os.read(fd, 1) and not ready.done():
                ready.set_result(None)
        except BlockingIOError:
            pass

    loop.add_reader(fd, look)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
        os.close(fd)


async def lifespan(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    tell(f"startup {os.getpid()}")
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    tell(f"shutdown {os.getpid()}")
    await send({"type": "lifespan.shutdown.complete"})


async def body_of(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        piece: bytes = message.get("body", b"")
        body += piece
        if not message.get("more_body"):
            return body


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Gives the body back, or what stands behind the path's slash."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await chat(receive, send)
        return
    body = await body_of(receive) or scope["path"][1:].encode()
    match body:
        case b"wait":
            tell(f"started {os.getpid()}")
            await gate()
        case b"block":
            tell(f"started {os.getpid()}")
            with open(os.environ["GATE"], "rb", buffering=0) as file:  # noqa: PTH123  # that is the fault
                file.read(1)
        case b"leave":
            tell("waiting")
            assert (await receive())["type"] == "http.disconnect"
            tell("disconnected")
            return
        case b"fail":
            raise ValueError("the application's own mistake")
        case b"nothing":
            return
        case b"stream":
            await stream(send)
            return
    await answer(send, body)


async def stream(send: Send) -> None:
    """Server-sent events for as long as the client stays."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    try:
        number = 0
        while True:
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            number += 1
            await asyncio.sleep(0.01)
    except OSError:
        tell("the reader left")
        raise


async def chat(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            tell(f"disconnected {message['code']}")
            return
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def refuses(scope: Message, receive: Receive, send: Send) -> None:
    """Says at start-up that it cannot."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database is away"})


async def ignorant(scope: Message, receive: Receive, send: Send) -> None:
    """Knows nothing of lifespan, and says so by raising, as the specification has it."""
    assert scope["type"] == "http"
    await answer(send, b"served")
    await receive()


async def indifferent(scope: Message, receive: Receive, send: Send) -> None:
    """Returns from a lifespan without a word."""
    if scope["type"] == "http":
        await answer(send, b"served")
        await receive()


def hidden(*args: Any) -> Awaitable[None]:
    """Nobody can see what it takes."""
    return ignorant(*args)


async def count(scope: Message, receive: Receive, send: Send) -> None:
    """Counts a body without keeping it."""
    if scope["type"] != "http":
        raise RuntimeError("only http")
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await answer(send, b"%d" % size)
