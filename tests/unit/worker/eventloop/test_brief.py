"""A brief transport, beside the loop's own: the same protocols meet the same clients, and both see the same.

Real sockets, both loops. The oracle is `create_server` of the same loop.
"""

import asyncio
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, Final

import pytest

from forkful.worker.eventloop.brief import Briefs, Manner
from tests.kit.turns import turn

PATIENCE: Final = 20.0
MUCH: Final = 6_000_000  # more than sockets hold


class Seen(asyncio.Protocol):
    """Notes what it is told. What came in pieces counts as one."""

    transport: Any  # Any: of either kind
    says_the_last = True  # whether it may be asked if a request is the last of its connection

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = b""
        self.paused = False
        self.lost = asyncio.get_running_loop().create_future()

    def note(self, what: str) -> None:
        if self.events[-1:] != [what]:
            self.events.append(what)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.note("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.note("data, though reading is paused" if self.paused else "data")

    def eof_received(self) -> bool | None:
        self.note("eof")
        return None

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.note(f"lost {type(error).__name__}")
        self.lost.set_result(None)


class Once(Seen):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)
        self.transport.close()
        self.transport.close()
        self.note(f"closing {self.transport.is_closing()}")


class Echo(Seen):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


class InPieces(Seen):
    """What was written before it was closed arrives, whatever it was written as."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(bytearray(b"one "))
        self.transport.writelines([b"two ", memoryview(b"three ")])
        self.transport.write(b"")
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.note("not all is sent")


class Greets(Echo):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(b"hello ")


class ClosesAtOnce(Seen):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(b"no")
        self.transport.close()


class Much(Seen):
    """More than the sockets take before the client reads; then it closes, which waits for what is unsent."""

    said = threading.Event()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(bytes(MUCH))
        self.transport.write(b"end")
        self.note(f"unsent {self.transport.get_write_buffer_size() > 0}")
        self.transport.close()
        self.said.set()


class MuchWithoutAnythingHeld(Much):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)
        self.note(str(self.transport.get_write_buffer_limits()))


class SaysItIsDone(Seen):
    """Closes its side, and listens on."""

    says_the_last = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self.data) == len(data):
            self.transport.write(b"that is all")
            self.transport.write_eof()


class Aborts(Seen):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.abort()
        self.note(f"closing {self.transport.is_closing()}")


class Fails(Seen):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        raise ValueError("a mistake in a protocol")


class Rests(Echo):
    """Pauses reading some turns after it has had something, and goes on after a while."""

    says_the_last = False
    turns = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self.data) == len(data):
            self.wait(self.turns)

    def wait(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self.wait, turns - 1)
            return
        self.transport.pause_reading()
        self.paused = True
        asyncio.get_running_loop().call_later(0.05, self.go_on)

    def go_on(self) -> None:
        self.paused = False
        self.transport.resume_reading()


class RestsOneTurnLater(Rests):
    turns = 1


class RestsTwoTurnsLater(Rests):
    turns = 2


class RestsThreeTurnsLater(Rests):
    turns = 3


class AbortsOneTurnLater(Rests):
    turns = 1

    def wait(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self.wait, turns - 1)
            return
        self.transport.abort()


class ClosesOneTurnLater(AbortsOneTurnLater):
    def wait(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self.wait, turns - 1)
            return
        self.transport.write(b" and bye")
        self.transport.close()


class Buffered(asyncio.BufferedProtocol):
    """Echoes; for one that hands its connection over."""

    def __init__(self, before: "HandsOver") -> None:
        self.before = before
        self.buffer = bytearray(100)

    def get_buffer(self, _: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.before.note("buffered")
        self.before.transport.write(b"buffered " + self.buffer[:nbytes])

    def connection_lost(self, error: Exception | None) -> None:
        self.before.connection_lost(error)


class HandsOver(Seen):
    says_the_last = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)
        self.transport.set_protocol(Buffered(self))


Client = Callable[[socket.socket], bytes]


def says_hello(sock: socket.socket) -> bytes:
    sock.sendall(b"hello")
    return until_end(sock)


def reads_what_is_said(sock: socket.socket) -> bytes:
    """Not before: how much the sockets take would be a matter of who is quicker."""
    sock.sendall(b"hello")
    assert Much.said.wait(PATIENCE)
    Much.said.clear()
    return until_end(sock)


def talks(sock: socket.socket) -> bytes:
    """Ten times, each after the answer to the one before."""
    heard = b""
    for number in range(10):
        sock.sendall(b"%d" % number)
        heard += sock.recv(100)
    sock.shutdown(socket.SHUT_WR)
    return heard + until_end(sock)


def says_all_at_once(sock: socket.socket) -> bytes:
    sock.sendall(b"hello " * 10_000)
    sock.shutdown(socket.SHUT_WR)
    return until_end(sock)


def says_two_things(sock: socket.socket) -> bytes:
    sock.sendall(b"one")
    heard = sock.recv(100)
    sock.sendall(b"two")
    sock.shutdown(socket.SHUT_WR)
    return heard + until_end(sock)


def says_nothing(sock: socket.socket) -> bytes:
    sock.shutdown(socket.SHUT_WR)
    return until_end(sock)


def resets(sock: socket.socket) -> bytes:
    sock.sendall(b"hello")
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    return b""


def readable(sock: socket.socket) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    assert poll.poll(PATIENCE * 1000)


def until_end(sock: socket.socket) -> bytes:
    heard = b""
    while piece := sock.recv(1_000_000):
        heard += piece
    return heard


CASES: Final = [
    (Once, says_hello), (Echo, talks), (Echo, says_all_at_once), (Echo, says_nothing), (InPieces, says_hello),
    (Greets, talks), (ClosesAtOnce, until_end), (Much, reads_what_is_said),
    (MuchWithoutAnythingHeld, reads_what_is_said),
    (SaysItIsDone, says_two_things), (Aborts, says_hello), (Fails, says_hello), (Rests, says_two_things),
    (RestsOneTurnLater, says_two_things), (RestsTwoTurnsLater, says_two_things),
    (RestsThreeTurnsLater, says_two_things), (Rests, says_all_at_once), (RestsOneTurnLater, says_all_at_once),
    (AbortsOneTurnLater, says_hello), (ClosesOneTurnLater, says_hello), (HandsOver, talks), (Echo, resets),
]  # fmt: skip
MANNERS: Final = {"at once": Manner(), "later": Manner(turns=2), "in moments": Manner(is_last=lambda _: True)}


async def outcome(make: type[Seen], client: Client, manner: Manner | None, when: str) -> tuple[bytes, list[str], bytes]:
    """What the client and the protocol saw; `manner` None: with a transport of the loop's. `when` the client speaks:
    before its connection is accepted, or after."""
    loop = asyncio.get_running_loop()
    made: list[Seen] = []

    def factory() -> Seen:
        made.append(make())
        return made[-1]

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sock:
        sock.settimeout(PATIENCE)
        accepted, peer = listener.accept()
        talk = None
        if when == "before" and client is not until_end:
            talk = loop.run_in_executor(None, client, sock)
            await loop.run_in_executor(None, readable, accepted)
        if manner is None:
            await loop.connect_accepted_socket(factory, accepted)
        else:
            Briefs(loop, manner, is_tcp=True).begin(accepted, peer, factory())
        if talk is None:
            talk = loop.run_in_executor(None, client, sock)
        heard = await asyncio.wait_for(talk, PATIENCE)
        await asyncio.wait_for(made[0].lost, PATIENCE)
        await turn()
        await turn()
    return heard, made[0].events, made[0].data


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("make", "client", "manner"),
    [(*case, manner) for case in CASES for manner in MANNERS if manner != "in moments" or case[0].says_the_last],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_protocol_and_client_see_what_they_see_with_the_loops_own(
    loop: asyncio.AbstractEventLoop, make: type[Seen], client: Client, manner: str, when: str
) -> None:
    expected = loop.run_until_complete(outcome(make, client, None, when))
    assert loop.run_until_complete(outcome(make, client, MANNERS[manner], when)) == expected
