"""Datagram flows: with affinity a peer has its slot whatever becomes of workers, and nothing is lost or overtaken."""

from signal import SIGUSR2

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, door_of
from tests.kit.flows import Ledger
from tests.kit.server import Server

HANDLERS = {
    "a lane": "flows:Lane",
    "threads": "flows:threaded()",
    "uvloop": "flows:Protocol",
    "asyncio": "flows:Protocol",
}
MOST_IN_HAND = {"a lane": 1, "threads": 200, "uvloop": 64, "asyncio": 1}  # datagrams that a killed worker takes along
WORKERS = 4


def settings(handler: str, loop: str = "auto", *, workers: int = WORKERS, more: str = "") -> str:
    return f"""
        [pool.main]
        handler = "{handler}"
        bind = ["udp://127.0.0.1:0"]
        workers = {workers}
        affinity = "peer"
        event_loop = "{loop}"
        {more}
    """


@pytest.fixture(params=HANDLERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def start(serve: Serve, kind: str) -> tuple[Server, Door]:
    server = serve(binds=(), config=settings(HANDLERS[kind], kind if kind in {"uvloop", "asyncio"} else "auto"))
    return server, door_of(server.listeners()[0])


def upgrade(server: Server) -> None:
    server.notifications.skip()
    server.signal(SIGUSR2)
    server.wait_for(lambda record: record.get("RELOADING") == "1", what="RELOADING=1")
    server.wait_for(lambda record: record.get("READY") == "1", what="READY=1 after an upgrade", within=60)
    assert server.metrics().sum("forkful_upgrades_total", result="success") > 0


def test_peers_keep_their_slot_and_their_state_through_reloads_upgrades_and_kills(serve: Serve, kind: str) -> None:
    server, door = start(serve, kind)
    window = 1 if kind == "threads" else 3  # which serve a peer's datagrams at the same time, as they do anywhere
    with Ledger(door, 200, window=window) as ledger:
        ledger.more(400)
        for _ in range(3):
            server.hup()
            ledger.more(200)
        upgrade(server)
        ledger.more(200)
        before = ledger.forgotten()
        for _ in range(2):
            victim = ledger.servers()[0]
            server.kill(victim)
            ledger.leave(victim)
        ledger.stop()

    assert not ledger.moved
    assert len({inode for flow in ledger.flows for inode in flow.sockets}) == WORKERS
    assert ledger.overtaken == 0
    assert ledger.lost <= 2 * MOST_IN_HAND[kind]
    assert not before, "all that was known of a peer is handed on"
    assert len(ledger.forgotten()) <= 2, "only who was killed leaves nothing"
    assert server.metrics().sum("forkful_peers_moved_total") == 0
