"""WebSocket echo, 50 connections that each wait for their message to come back, beside uvicorn and Granian, in CPU.

The client sends frames that were made once and compares what comes with what must: it is the server that is measured.
Nobody compresses, since the client does not offer it (RFC 7692).
Can go wrong: no handshake, or another frame than the one sent: a fault beside the figure.
"""

import os
import selectors
import socket
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import quantiles

from tests.bench.comparison import Rounds, against, compare
from tests.bench.contenders import forkful, granian, uvicorn
from tests.bench.cores import pinned
from tests.bench.figure import Figure
from tests.bench.load import LoadError, Outcome

APP = "tests.bench.apps.socket_echo:asgi"
OURS, UVICORN, GRANIAN = "forkful", "uvicorn with websockets", "Granian"
SIZES = {"64 bytes": 64, "16 KB": 16_384}
PATIENCE = 10.0
GOAL = 0.9
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
BINARY, MASKED, MEDIUM, SMALL = 0x82, 0x80, 126, 125  # RFC 6455, section 5.2


def frame(payload: bytes, mask: bytes = b"") -> bytes:
    """A binary message in one frame; a client's is masked."""
    bit = MASKED if mask else 0
    size = len(payload)
    head = bytes([BINARY, bit | size]) if size <= SMALL else bytes([BINARY, bit | MEDIUM]) + size.to_bytes(2, "big")
    if not mask:
        return head + payload
    key = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


@dataclass(slots=True)
class _Client:
    """One connection with a message in flight."""

    sock: socket.socket
    began: float = 0.0
    got: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Messages:
    """The load."""

    size: int
    connections: int = 50

    @property
    def missing(self) -> str:
        return ""

    def drive(self, address: str, seconds: float, core: int) -> Outcome:
        payload = os.urandom(self.size)
        with pinned(core), ExitStack() as stack:
            clients = [_Client(stack.enter_context(_open(address))) for _ in range(self.connections)]
            return _exchange(clients, frame(payload, os.urandom(4)), frame(payload), seconds)


def _open(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(HANDSHAKE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        if not (data := sock.recv(4096)):
            raise LoadError(f"no handshake: {answer!r}")
        answer += data
    if b" 101 " not in answer[:15]:
        raise LoadError(f"no handshake: {answer!r}")
    return sock


def _exchange(clients: list[_Client], sent: bytes, wanted: bytes, seconds: float) -> Outcome:
    times: list[float] = []
    errors: Counter[str] = Counter()
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
            _send(client, sent)
        waiting = len(clients)
        while waiting:
            ready = selector.select(PATIENCE)
            if not ready:
                errors["timeout"] += waiting
                break
            for key, _ in ready:
                client = key.data
                client.got += client.sock.recv(1 << 16) or b"\0" * len(wanted)  # an end is no message
                if len(client.got) < len(wanted):
                    continue
                now = time.monotonic()
                if client.got == wanted:
                    times.append(now - client.began)
                else:
                    errors["wrong"] += 1
                if client.got == wanted and now - began < seconds:
                    _send(client, sent)
                else:
                    selector.unregister(client.sock)
                    waiting -= 1
    found = sorted(times) if len(times) > 1 else [0.0, 0.0]
    steps = quantiles(found, n=100)
    count = len(times) + sum(errors.values())
    return Outcome(count, len(times), time.monotonic() - began, dict(errors), steps[49] * 1e6, steps[98] * 1e6)


def _send(client: _Client, sent: bytes) -> None:
    client.got.clear()
    client.began = time.monotonic()
    client.sock.sendall(sent)


def web_socket(rounds: Rounds) -> list[Figure]:
    """Both sizes."""
    theirs = granian(GRANIAN, APP, "--ws", interface="asgi")
    contenders = [
        forkful(OURS, APP, "--interface", "asgi"),
        uvicorn(UVICORN, APP, "--ws", "websockets-sansio"),
        replace(theirs, argv=tuple(word for word in theirs.argv if word != "--no-ws")),
    ]
    figures = []
    for name, size in SIZES.items():
        scores = compare(contenders, Messages(size), rounds)
        figures.append(against(f"websocket echo, {name} / {UVICORN}", scores, (OURS, UVICORN), GOAL))
        figures.append(against(f"websocket echo, {name} / {GRANIAN}", scores, (OURS, GRANIAN)))
    return figures
