"""Servers from PyPI as their documentation makes them: one function each, and not a line of ours in the server.

Each is imported by its own function: a worker pays for the one that it serves.
"""

# ruff: noqa: PLC0415  # as said above

import asyncio
import os
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forkful.handlers import draining, owns_loop

Listeners = Sequence[socket.socket]
ANY_PORT = ("127.0.0.1", 0)


def redis() -> Any:
    """fakeredis: a server of socketserver with a `shutdown` of its own, by which it tells its connections."""
    from fakeredis import TcpFakeServer

    return TcpFakeServer(ANY_PORT)


def dns() -> Any:
    """dnslib: the server of socketserver within its `DNSServer`."""
    from dnslib import QTYPE, RR, A
    from dnslib.server import BaseResolver, DNSLogger, DNSServer

    class Resolver(BaseResolver):  # type: ignore[misc]  # it has no types
        def resolve(self, request: Any, handler: Any) -> Any:
            reply = request.reply()
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A("192.0.2.1"), ttl=60))
            return reply

    return DNSServer(Resolver(), port=0, address="127.0.0.1", logger=DNSLogger("-request,-reply")).server


def dns_tcp() -> Any:
    from dnslib.server import DNSServer

    return DNSServer(dns().resolver, port=0, address="127.0.0.1", tcp=True, logger=dns().logger).server


def osc() -> Any:
    """python-osc: a threading UDP server with a dispatcher; it answers what its handler returns."""
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import ThreadingOSCUDPServer

    dispatcher = Dispatcher()
    dispatcher.map("/echo", lambda _address, *values: ("/echo", *values))
    return ThreadingOSCUDPServer(ANY_PORT, dispatcher)


def json_rpc() -> Any:
    """jsonrpclib-pelix."""
    from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCServer

    server = SimpleJSONRPCServer(ANY_PORT, logRequests=False)
    server.register_function(lambda a, b: a + b, "add")
    return server


def webdav() -> Any:
    """WsgiDAV, a WSGI application."""
    from wsgidav.wsgidav_app import WsgiDAVApp

    return WsgiDAVApp(
        {
            "provider_mapping": {"/": os.environ["ROOT"]},
            "simple_dc": {"user_mapping": {"*": True}},
            "logging": {"enable": False},
            "property_manager": False,
            "lock_storage": False,
            "verbose": 1,
        }
    )


def web() -> Any:
    """Werkzeug's development server, one of `http.server`'s family, with an application in it."""
    from werkzeug.serving import make_server
    from werkzeug.wrappers import Request, Response

    @Request.application
    def app(request: Request) -> Response:
        return Response(request.args.get("say", ""))

    return make_server("127.0.0.1", 0, app)


def smb() -> Any:
    """impacket's SMB server, a threading server of socketserver, with one share."""
    import configparser

    from impacket.smbserver import SMBSERVER

    config = configparser.ConfigParser()
    config["global"] = {
        "server_name": "FORKFUL",
        "server_os": "UNIX",
        "server_domain": "WORKGROUP",
        "log_file": "None",
        "rpc_apis": "yes",
        "credentials_file": "",
        "challenge": "A" * 16,
        "SMB2Support": "True",
        "anonymous_logon": "True",
    }
    config["IPC$"] = {"comment": "", "read only": "yes", "share type": "3", "path": ""}
    config["SHARE"] = {"comment": "", "read only": "yes", "share type": "0", "path": os.environ["ROOT"]}
    server = SMBSERVER(ANY_PORT, config_parser=config)
    server.processConfigFile()
    return server


def dicom() -> Any:
    """pynetdicom: its threads are its associations, and its `shutdown` wants to be told of by an entity."""
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
    from pynetdicom.transport import ThreadedAssociationServer

    entity = AE("FORKFUL")
    entity.add_supported_context(Verification)
    return entity.make_server(ANY_PORT, server_class=ThreadedAssociationServer)


@owns_loop
async def hl7_mllp(listeners: Listeners) -> None:
    """hl7's MLLP server, which is asyncio's with its own streams."""
    from hl7.mllp import start_hl7_server

    async def acknowledge(reader: Any, writer: Any) -> None:
        while not writer.is_closing():
            try:
                message = await reader.readmessage()
            except asyncio.IncompleteReadError:
                break
            writer.writemessage(message.create_ack())
            await writer.drain()
        writer.close()

    server = await start_hl7_server(acknowledge, sock=listeners[0])
    await _until_drained(server)


@owns_loop
async def modbus(listeners: Listeners) -> None:
    """pymodbus: its server object is given the listening socket of the pool."""
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    device = SimDevice(1, simdata=[SimData(0, count=16, values=17, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=ANY_PORT)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server.callback_new_connection, sock=listeners[0])
    await _until_drained(listening)


@owns_loop
async def mail(listeners: Listeners) -> None:
    """aiosmtpd."""
    from aiosmtpd.handlers import Sink
    from aiosmtpd.smtp import SMTP

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), loop=loop, hostname="mail"), sock=listeners[0])
    await _until_drained(server)


@owns_loop
async def websocket(listeners: Listeners) -> None:
    """websockets."""
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    _on_drain(told.set)
    async with serve(echo, sock=listeners[0]):
        await told.wait()
        # Not by its `close`, nor asyncio's: it answers 503 to who is in the middle of the handshake then.
        loop.remove_reader(listeners[0].fileno())
        await _others()


@owns_loop
def ftp(listeners: Listeners) -> None:
    """pyftpdlib."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    FTPHandler.authorizer = DummyAuthorizer()
    FTPHandler.authorizer.add_anonymous(str(Path(os.environ["ROOT"])))
    server = FTPServer(listeners[0], FTPHandler)
    while not draining().is_set():
        server.serve_forever(timeout=0.1, blocking=False, handle_exit=False)
    server.close()
    while server.ioloop.socket_map:
        server.ioloop.loop(timeout=0.1, blocking=False)


def _close_rpc(server: Any) -> None:
    """Once its clients have left: `close` would cut them."""
    while server.clients:
        time.sleep(0.02)
    server.close()


@owns_loop
def rpc(listeners: Listeners) -> None:
    """rpyc."""
    import rpyc
    from rpyc.utils.server import ThreadedServer

    class Service(rpyc.Service):  # type: ignore[misc]  # it has no types
        def exposed_add(self, a: int, b: int) -> int:
            return a + b

    server = ThreadedServer(Service, hostname="127.0.0.1", port=0)
    server.listener.close()
    server.listener = listeners[0]
    listeners[0].settimeout(0.5)
    draining().add_callback(lambda: threading.Thread(target=_close_rpc, args=(server,)).start())
    server.start()


def _on_drain(callback: Any) -> None:
    loop = asyncio.get_running_loop()
    draining().add_callback(lambda: loop.call_soon_threadsafe(callback))


async def _until_drained(server: asyncio.Server) -> None:
    """Until it is told to close and its connections are over."""
    _on_drain(server.close)
    await server.wait_closed()
    await _others()


async def _others() -> None:
    """Until the tasks of all connections are over."""
    for _ in range(5):  # a connection that was accepted in this turn has its task in the next
        await asyncio.sleep(0)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
