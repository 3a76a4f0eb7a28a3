"""TLS may begin on a connection that the loop has made no transport for yet."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from forkful.worker.eventloop.brief import Manner
from tests.kit.certificates import self_signed
from tests.unit.worker.eventloop.test_brief import Once, outcome, until_end


@pytest.mark.parametrize("when", ["before", "after"])
def test_tls_may_begin_on_a_connection_that_is_still_brief(
    loop: asyncio.AbstractEventLoop, tmp_path: Path, when: str
) -> None:
    pair = self_signed(tmp_path)
    theirs = ssl.create_default_context(cafile=pair.certificate)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(pair.certificate, pair.key)

    def client(sock: socket.socket) -> bytes:
        sock.sendall(b"start")
        assert sock.recv(100) == b"go on"
        with theirs.wrap_socket(sock, server_hostname="localhost") as secure:
            secure.sendall(b"hello")
            return until_end(secure)

    class Starts(Once):
        def data_received(self, data: bytes) -> None:
            self.transport.write(b"go on")
            self.task = asyncio.ensure_future(self.start())

        async def start(self) -> None:
            once = Once()
            once.lost = self.lost
            plain, running = self.transport, asyncio.get_running_loop()
            once.transport = await running.start_tls(plain, once, ours, server_side=True)
            self.note("secure")

    heard, events, _ = loop.run_until_complete(outcome(Starts, client, Manner(), when))
    assert (heard, "secure" in events) == (b"hello", True)
