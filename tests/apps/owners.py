"""Programs that accept for themselves, each given the shared sockets by the few lines that `owns_loop` asks for."""

# ruff: noqa: PLC0415  # each program is imported by the function that serves it alone

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forkful.handlers import draining, owns_loop

Listeners = Sequence[socket.socket]


def _on_drain(callback: Callable[[], object]) -> None:
    """In the thread of the running loop."""
    loop = asyncio.get_running_loop()
    draining().add_callback(lambda: loop.call_soon_threadsafe(callback))


@owns_loop
def plain(listeners: Listeners) -> None:
    """An accept loop as everyone has written one: blocked in accept(2), a thread for each connection."""
    threads = []
    while True:
        try:
            conn, _ = listeners[0].accept()
        except OSError:
            break
        threads.append(threading.Thread(target=_echo, args=(conn,)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _echo(conn: socket.socket) -> None:
    with conn:
        while data := conn.recv(65_536):
            conn.sendall(data)


@owns_loop
def datagrams(listeners: Listeners) -> None:
    while True:
        try:
            data, peer = listeners[0].recvfrom(65_536)
        except OSError:
            return
        listeners[0].sendto(data, peer)


@owns_loop
async def streams(listeners: Listeners) -> None:
    """asyncio's own server, without our acceptor."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, sock=listeners[0])
    _on_drain(server.close)
    await server.wait_closed()
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


@owns_loop
async def websocket(listeners: Listeners) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, sock=listeners[0]) as server:
        _on_drain(lambda: server.close(close_connections=False))
        await server.wait_closed()


def _close_rpc(server: Any) -> None:
    """Once its clients have left: `close` would cut them."""
    while server.clients:
        time.sleep(0.02)
    server.close()


@owns_loop
def rpc(listeners: Listeners) -> None:
    import rpyc
    from rpyc.utils.server import ThreadedServer

    class Service(rpyc.Service):  # type: ignore[misc]  # it has no types
        def exposed_pid(self) -> int:
            return os.getpid()

        def exposed_echo(self, text: str) -> str:
            return text

    server = ThreadedServer(Service, hostname="127.0.0.1", port=0)
    server.listener.close()
    server.listener = listeners[0]
    listeners[0].settimeout(0.5)
    draining().add_callback(lambda: threading.Thread(target=_close_rpc, args=(server,)).start())
    server.start()


@owns_loop
def ftp(listeners: Listeners) -> None:
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(Path.cwd()))

    class Handler(FTPHandler):  # type: ignore[misc]  # it has no types
        pass

    Handler.authorizer = authorizer
    server = FTPServer(listeners[0], Handler)
    while not draining().is_set():
        server.serve_forever(timeout=0.1, blocking=False, handle_exit=False)
    server.close()
    while server.ioloop.socket_map:
        server.ioloop.loop(timeout=0.1, blocking=False)


@owns_loop
async def mail(listeners: Listeners) -> None:
    from aiosmtpd.smtp import SMTP

    class Sink:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # its name
            return f"250 {len(envelope.content)} bytes in {os.getpid()}"

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), loop=loop, hostname="mail"), sock=listeners[0])
    _on_drain(server.close)
    await server.wait_closed()
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


@owns_loop
async def shell(listeners: Listeners) -> None:
    import asyncssh

    class Anyone(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    def answer(process: Any) -> None:
        process.stdout.write(f"{process.command}\n")
        process.exit(0)

    acceptor = await asyncssh.listen(
        sock=listeners[0],
        server_factory=Anyone,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=answer,
    )
    _on_drain(acceptor.close)
    await acceptor.wait_closed()
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


@owns_loop
async def web(listeners: Listeners) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hypercorn"})

    config = Config()
    config.bind = [f"fd://{listeners[0].fileno()}"]
    config.graceful_timeout = 5
    stop = asyncio.Event()
    _on_drain(stop.set)
    await serve(app, config, shutdown_trigger=stop.wait)


@owns_loop
def gives_up(listeners: Listeners) -> None:
    """Returns at once, as one that forgot to wait."""


@owns_loop
def breaks_down(listeners: Listeners) -> None:
    try:
        listeners[0].accept()
    except OSError:
        return
    raise RuntimeError("broke down")
