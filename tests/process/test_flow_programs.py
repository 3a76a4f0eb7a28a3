"""Servers from PyPI that keep what they know of a peer in memory: with affinity they serve it as one process does."""

# ruff: noqa: PLC0415  # each client is imported by the test that is about it

import asyncio
import ssl
import subprocess
import threading
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.apps import flow_programs
from tests.conftest import Serve
from tests.kit.door import Door, door_of

WORKERS = 4


def settings(handler: str, affinity: str) -> str:
    return (
        f'[pool.main]\nhandler = "flow_programs:{handler}()"\nbind = ["udp://127.0.0.1:0"]\n'
        f'workers = {WORKERS}\naffinity = "{affinity}"\n'
    )


# -- python-osc, blocking ----------------------------------------------------------------------------------------------


def osc_counts(door: Door, peers: int, times: int) -> list[list[Any]]:
    """What each peer is told."""
    from pythonosc.osc_message import OscMessage
    from pythonosc.osc_message_builder import OscMessageBuilder

    request = OscMessageBuilder("/count").build().dgram
    with ExitStack() as stack:
        clients = [stack.enter_context(door.connect()) for _ in range(peers)]
        told: list[list[Any]] = [[] for _ in clients]
        for _ in range(times):
            for client, heard in zip(clients, told, strict=True):
                client.send(request)
                heard.extend(OscMessage(client.recv(1000)).params)
        return told


def test_osc_counts_each_peer_as_one_process_does(serve: Serve) -> None:
    with flow_programs.osc() as oracle:
        alone = threading.Thread(target=oracle.serve_forever, daemon=True)
        alone.start()
        host, port = oracle.server_address
        expected = osc_counts(door_of(f"udp://{host}:{port}"), 20, 5)
        oracle.shutdown()
        alone.join()
    server = serve(binds=(), config=settings("osc", "peer"))
    assert osc_counts(door_of(server.listeners()[0]), 20, 5) == expected == [[1, 2, 3, 4, 5]] * 20
    spread = serve(binds=(), config=settings("osc", "none"))
    assert osc_counts(door_of(spread.listeners()[0]), 20, 5) != expected, "or there is nothing to have affinity for"


# -- aioquic, on the event loop ----------------------------------------------------------------------------------------


def certificate(folder: Path) -> dict[str, str]:
    names = {"CERTIFICATE": str(folder / "cert.pem"), "KEY": str(folder / "key.pem")}
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-out", names["CERTIFICATE"], "-keyout", names["KEY"]], check=True, capture_output=True
    )
    return names


class Client:
    """A connection with one stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self) -> int:
        """Who serves it."""
        self.writer.write(b"who\n")
        pid, word = (await asyncio.wait_for(self.reader.readline(), 15)).split()
        assert word == b"who"
        return int(pid)


async def connected(stack: AsyncExitStack, port: int) -> Client:
    from aioquic.asyncio.client import connect
    from aioquic.quic.configuration import QuicConfiguration

    configuration = QuicConfiguration(is_client=True, verify_mode=ssl.CERT_NONE, idle_timeout=60)
    connection = await stack.enter_async_context(connect("127.0.0.1", port, configuration=configuration))
    client = Client(*await connection.create_stream())
    stack.callback(client.writer.close)
    return client


def test_quic_connections_stay_with_their_worker_while_others_die(serve: Serve, tmp_path: Path) -> None:
    server = serve(binds=(), config=settings("quic", "peer"), env=certificate(tmp_path))
    port = urlsplit(server.listeners()[0]).port or 0

    async def converse() -> None:
        async with AsyncExitStack() as stack:
            clients = [await connected(stack, port) for _ in range(12)]
            before = [await client.ask() for client in clients]
            assert [await client.ask() for client in clients] == before
            victim = Counter(before).most_common()[-1][0]
            await asyncio.to_thread(server.kill, victim)
            await asyncio.to_thread(server.wait_for_workers, WORKERS, besides=[victim])
            stay = [(client, pid) for client, pid in zip(clients, before, strict=True) if pid != victim]
            assert [await client.ask() for client, _ in stay] == [pid for _, pid in stay]
            assert len(stay) > len(clients) / 2
            assert await (await connected(stack, port)).ask() in server.workers().values()

    asyncio.run(converse())
