"""Steps that wait for their client, driven by a lane and by an event loop: the same step, and the same outcomes."""

import array
import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from forkful.worker.blocking.arrivals import walk
from forkful.worker.eventloop.accept_balance import AcceptBalance
from forkful.worker.eventloop.acceptor import SteppedAcceptor
from forkful.worker.eventloop.accounting import Accounting
from forkful.worker.eventloop.arrivals import Arrivals
from forkful.worker.eventloop.coroutines import StreamService
from forkful.worker.ipc.scoreboard import ACCEPTED, ACTIVE, ARRIVING, CELLS, SINCE, STARTED, Scoreboard
from forkful.worker.loop_worker import make_loop
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.steps import Reason, Refused, Steps, Want, refusal_cell
from tests.kit.turns import turn

CELL = 3  # of the listener


class Name:
    """A step that takes the client's name from a line before all else, as the PROXY protocol does."""

    waits = True

    def __call__(self, accepted: Accepted) -> Iterator[Want]:
        line = b""
        while not line.endswith(b"\n"):
            try:
                piece = accepted.sock.recv(1)
            except BlockingIOError:
                yield Want.READ
                continue
            if not piece:
                raise Refused(Reason.GONE, "in its name")
            line += piece
        if line == b"?\n":
            raise Refused(Reason.PROTOCOL, "no name")
        accepted.peer = line.decode().strip()


class Fails:
    waits = False

    def __call__(self, accepted: Accepted) -> Iterator[Want]:
        raise ValueError("a mistake in a step")


@dataclass
class Case:
    """A connection, what its client does, and what becomes of it."""

    said: tuple[bytes, ...]
    outcome: str | Reason
    timeout: float = 10.0
    steps: tuple[object, ...] = field(default_factory=lambda: (Name(),))


CASES = {
    "at once": Case((b"ada\nrest",), "ada"),
    "bit by bit": Case((b"a", b"d", b"a\nrest"), "ada"),
    "twice": Case((b"a\nada\nrest",), "ada", steps=(Name(), Name())),
    "nonsense": Case((b"?\nrest",), Reason.PROTOCOL),
    "silence": Case((b"ada",), Reason.TIMEOUT, timeout=0.05),
    "an end": Case((b"ad", b""), Reason.GONE),
    "without a deadline": Case((b"ada\nrest",), "ada", timeout=0.0),
}


def speak(client: socket.socket, pieces: tuple[bytes, ...]) -> Iterator[None]:
    for piece in pieces:
        if piece:
            client.sendall(piece)
        else:
            client.shutdown(socket.SHUT_WR)
        yield


@pytest.mark.parametrize("name", CASES)
def test_a_lane_takes_a_connection_through_its_steps(name: str) -> None:
    case = CASES[name]
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(7.0)  # the user's default, which a step must not change
        for _ in speak(client, case.said):
            pass
        accepted = Accepted.now(server, "")
        if isinstance(case.outcome, Reason):
            with pytest.raises(Refused) as refused:
                walk(Steps(case.steps, case.timeout), accepted)  # type: ignore[arg-type]  # steps, as above
            assert refused.value.reason is case.outcome
        else:
            walk(Steps(case.steps, case.timeout), accepted)  # type: ignore[arg-type]  # as above
            assert (accepted.peer, server.recv(9), server.gettimeout()) == (case.outcome, b"rest", 7.0)


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop = make_loop(request.param)
    yield loop
    loop.close()


def through(loop: asyncio.AbstractEventLoop, case: Case) -> tuple[list[Accepted], "memoryview[int]"]:
    """Take the case's connection through its steps on this loop; those that were served, and the row."""
    row = memoryview(array.array("Q", [0] * CELLS))
    served: list[Accepted] = []
    accounting = Accounting(row, loop)
    client, server = socket.socketpair()

    async def run() -> None:
        over = asyncio.Event()
        accounting.on_change = over.set
        steps = Steps(case.steps, case.timeout)  # type: ignore[arg-type]  # as above
        arrivals = Arrivals(loop, steps, accounting, CELL, served.append)
        words = speak(client, case.said)
        next(words)
        arrivals.begin(server, "")
        for _ in words:
            assert (row[ARRIVING], row[ACTIVE], bool(row[SINCE])) == (1, 1, True)
            await turn()
        await asyncio.wait_for(over.wait(), 10)

    with client:
        loop.run_until_complete(run())
    assert (row[ARRIVING], row[ACTIVE], row[SINCE], row[STARTED]) == (0, 0, 0, 0)
    return served, row


@pytest.mark.parametrize("name", CASES)
def test_a_loop_takes_a_connection_through_the_same_steps(name: str, loop: asyncio.AbstractEventLoop) -> None:
    case = CASES[name]
    served, row = through(loop, case)

    refusals = {reason: row[refusal_cell(CELL, reason)] for reason in Reason}
    if isinstance(case.outcome, Reason):
        assert (served, refusals) == ([], {reason: reason is case.outcome for reason in Reason})
    else:
        (accepted,) = served
        with accepted.sock:
            assert (accepted.peer, accepted.sock.recv(9), sum(refusals.values())) == (case.outcome, b"rest", 0)


def test_a_step_that_fails_refuses_its_connection_and_says_so(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    served, row = through(loop, Case((b"ada\n",), Reason.PROTOCOL, steps=(Name(), Fails())))

    assert (served, row[refusal_cell(CELL, Reason.PROTOCOL)]) == ([], 1)
    assert "a mistake in a step" in caplog.text


def test_who_comes_after_a_step_asks_the_record_and_not_the_socket(loop: asyncio.AbstractEventLoop) -> None:
    row = memoryview(array.array("Q", [0] * CELLS))
    accounting = Accounting(row, loop)
    service = StreamService(loop, accounting, greet)

    async def run(listener: socket.socket) -> bytes:
        acceptor = SteppedAcceptor(
            loop,
            listener,
            CELL,
            AcceptBalance(Scoreboard(), 0, row),
            accounting,
            service,
            service.maker(None),
            limit=9,
            steps=Steps((Name(),), 10.0),
        )
        acceptor.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"ada\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await service.close()
        acceptor.stop()
        return answer

    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert loop.run_until_complete(run(listener)) == b"hello ada"
    assert (row[ACCEPTED + CELL], row[STARTED], row[ARRIVING]) == (1, 1, 0)


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello " + writer.get_extra_info("peername").encode())
