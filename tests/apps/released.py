"""Applications that say how many of their requests are still there; the cyclic collector is off."""

import asyncio
import gc
import weakref
from collections.abc import Iterable
from typing import Any

gc.disable()


class Kept:
    """Something of a request's."""


ALIVE: "weakref.WeakSet[Kept]" = weakref.WeakSet()
START = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/event-stream")]}


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] in ("http", "websocket")
    if scope["path"] != "/alive":
        mine = scope["kept"] = Kept()
        ALIVE.add(mine)
    await WAYS.get(scope["path"], count)(receive, send)


async def count(_: Any, send: Any) -> None:
    await send({**START, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(ALIVE)})


async def fail(_: Any, __: Any) -> None:
    raise ValueError


async def fail_late(_: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    raise ValueError


async def stream(_: Any, send: Any) -> None:
    """Never waits for anything but `send`."""
    await send(START)
    while True:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})


async def watch(receive: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_file(_: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.pathsend", "path": __file__})


async def wait(receive: Any, send: Any) -> None:
    await asyncio.sleep(0.1)
    await count(receive, send)


async def read(receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await count(receive, send)


async def talk(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def pour(receive: Any, send: Any) -> None:
    """Never waits for anything but `send`."""
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "text": "x"})


WAYS = {
    "/raise": fail,
    "/late": fail_late,
    "/stream": stream,
    "/watch": watch,
    "/file": send_file,
    "/slow": wait,
    "/read": read,
    "/chat": talk,
    "/pour": pour,
}


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/alive":
        mine = environ["kept"] = Kept()
        ALIVE.add(mine)
    match environ["PATH_INFO"]:
        case "/raise":
            raise ValueError
        case "/read":
            environ["wsgi.input"].read()
        case "/file":
            start_response("200 OK", [])
            result: Iterable[bytes] = environ["wsgi.file_wrapper"](open(__file__, "rb"))  # noqa: PTH123, SIM115
            return result
    write = start_response("200 OK", [])
    match environ["PATH_INFO"]:
        case "/late":
            write(b"one")
            raise ValueError
        case "/stream" | "/watch":
            return iter(lambda: b"x" * 65_536, b"")
    return [b"%d" % len(ALIVE)]
