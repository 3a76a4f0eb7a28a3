"""Datagram flows: with affinity a peer has its slot whatever becomes of workers, and nothing is lost or overtaken."""

import sys
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM, SIGTTIN, SIGTTOU

import pytest

from forkful.master.policy.steering import slot_of
from tests.conftest import Serve
from tests.kit.door import Door, door_of
from tests.kit.flows import Ledger
from tests.kit.server import APPS, Server
from tests.kit.wait import readable

HANDLERS = {
    "a lane": "flows:Lane",
    "threads": "flows:threaded()",
    "uvloop": "flows:Protocol",
    "asyncio": "flows:Protocol",
}
MOST_IN_HAND = {"a lane": 1, "threads": 200, "uvloop": 64, "asyncio": 1}  # datagrams that a killed worker takes along
WHOLE = {"a lane", "uvloop"}  # of the others a part, for the time it takes; `tests.bench flows` does it all
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
    server.usr2()
    assert server.metrics().sum("forkful_upgrades_total", result="success") > 0


def test_peers_keep_their_slot_and_their_state_through_reloads_upgrades_and_kills(serve: Serve, kind: str) -> None:
    server, door = start(serve, kind)
    window = 1 if kind == "threads" else 3  # which serve a peer's datagrams at the same time, as they do anywhere
    with Ledger(door, 200, window=window) as ledger:
        ledger.more(400)
        for _ in range(3 if kind in WHOLE else 1):
            server.hup()
            ledger.more(200)
        if kind in WHOLE:
            upgrade(server)
            ledger.more(200)
        before = ledger.forgotten()
        for _ in range(2 if kind in WHOLE else 1):
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


def test_a_change_of_size_moves_only_whom_it_must_and_counts_it(serve: Serve) -> None:
    server, door = start(serve, "a lane")
    with Ledger(door, 100, window=1) as ledger:
        ledger.more(200)
        at_first = {flow.port: set(flow.sockets) for flow in ledger.flows}
        server.signal(SIGTTIN)
        server.wait_until(lambda: len(ledger.servers()) == WORKERS + 1, what="peers at the new worker")
        ledger.more(200)
        moved = {flow.port for flow in ledger.flows if flow.sockets != at_first[flow.port]}
        server.signal(SIGTTOU)
        server.wait_until(lambda: len(ledger.servers()) == WORKERS, what="peers where they were")
        ledger.stop()

    here = ip_address("127.0.0.1")
    assert moved == {port for port in at_first if slot_of(here, port, WORKERS) != slot_of(here, port, WORKERS + 1)}
    assert all(len(flow.sockets) == 1 + (flow.port in moved) for flow in ledger.flows)
    assert ledger.lost == 0
    assert server.metrics().sum("forkful_peers_moved_total") == pytest.approx(0.4)
    server.wait_for_workers(WORKERS)
    server.now_holds_more()  # the socket of the slot that is gone stays, for the next time


@pytest.mark.parametrize("kind", ["a lane", "uvloop", "asyncio"])
def test_what_waits_for_a_slot_is_answered_by_the_next_worker_of_it_in_order(serve: Serve, kind: str) -> None:
    server, door = start(serve, kind)
    with door.connect() as peer:
        peer.send(b"0")
        victim = int(peer.recv(100).split()[2])
        server.kill(victim, SIGSTOP)
        for number in range(1, 60):
            peer.send(b"%d" % number)
        server.kill(victim)
        heard = [int(peer.recv(100).split()[0]) for _ in range(58)]
    assert heard in (list(range(1, 59)), list(range(2, 60))), "but for what it had in hand"


@pytest.mark.parametrize("kind", ["a lane", "uvloop"])
def test_workers_that_are_used_up_pass_everything_on(serve: Serve, kind: str) -> None:
    text = settings(HANDLERS[kind], workers=2, more="max_requests = 150\nmax_requests_jitter = 0")
    server = serve(binds=(), config=text)
    with Ledger(door_of(server.listeners()[0]), 60) as ledger:
        ledger.more(1500, within=60)
        ledger.stop()
    assert ledger.lost == ledger.overtaken == 0
    assert not ledger.moved
    assert not ledger.forgotten()
    assert max(len(flow.servers) for flow in ledger.flows) > 2


def test_what_a_slot_has_no_room_for_is_counted_with_it(serve: Serve) -> None:
    server, door = start(serve, "a lane")
    with door.connect() as peer:
        peer.send(b"1")
        pid = int(peer.recv(100).split()[2])
        slot = {pid: slot for slot, pid in server.workers().items()}[pid]
        server.kill(pid, SIGSTOP)
        for _ in range(3000):
            peer.send(b"x" * 500)
        server.kill(pid)
        drops = server.metrics()
        assert drops.sum("forkful_slot_datagrams_dropped_total", slot=str(slot)) > 0
        assert drops.sum("forkful_slot_datagrams_dropped_total") == drops.sum("forkful_datagrams_dropped_total")


@pytest.mark.parametrize("kind", ["a lane", "uvloop"])
def test_at_a_stop_every_slot_empties_its_queue(serve: Serve, kind: str) -> None:
    server, door = start(serve, kind)
    workers = server.workers().values()
    with ExitStack() as stack:
        peers = [stack.enter_context(door.connect()) for _ in range(30)]
        for worker in workers:
            server.kill(worker, SIGSTOP)
        for peer in peers:
            peer.send(b"1")
        server.signal(SIGTERM)
        server.wait_for(lambda record: record.get("STOPPING") == "1", what="STOPPING=1")
        for worker in workers:
            server.kill(worker, SIGCONT)
        assert {peer.recv(100).split()[0] for peer in peers} == {b"1"}
        assert server.wait_exit() == 0


def test_the_next_worker_takes_nothing_while_the_one_before_has_a_datagram_in_hand(
    serve: Serve, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    server = serve(binds=(), config=settings("heirs:Held"), env={"GATE": str(gate)})
    door = door_of(server.listeners()[0])
    with door.connect() as peer:
        peer.send(b"hold")
        peer.send(b"next")
        server.hup()
        assert not readable(peer.fileno(), within=0.5), "time to be overtaken in"
        gate.touch()
        first, second = peer.recv(100).split(), peer.recv(100).split()
    assert (first[0], second[0]) == (b"hold", b"next")
    assert first[1] != second[1]


def test_a_pool_with_addresses_of_both_families_has_slots_at_each(serve: Serve) -> None:
    text = settings("flows:Lane").replace('"udp://127.0.0.1:0"', '"udp://127.0.0.1:0", "udp://[::1]:0"')
    server = serve(binds=(), config=text)
    for url in server.listeners():
        with Ledger(door_of(url), 40) as ledger:
            ledger.more(80)
            ledger.stop()
        assert not ledger.moved
        assert ledger.lost == ledger.overtaken == 0
        assert len({inode for flow in ledger.flows for inode in flow.sockets}) == WORKERS


def test_a_program_that_accepts_for_itself_is_refused(serve: Serve) -> None:
    server = serve(binds=(), config=settings("heirs:own"), ready=False)
    assert server.wait_exit() == 3
    assert "leave affinity out" in server.log


SCRIPT = """
from forkful.master import UDPServer
from flows import Lane

if __name__ == "__main__":
    with UDPServer(("127.0.0.1", 0), Lane, workers=3, affinity="peer") as server:
        server.serve_forever()
"""


def test_a_script_that_serves_by_itself_has_slots_too(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(SCRIPT)
    server = serve(script=[sys.executable, str(path)], binds=(), env={"PYTHONPATH": str(APPS)})
    with Ledger(door_of(server.listeners()[0]), 40) as ledger:
        ledger.more(80)
        server.hup()
        ledger.more(80)
        ledger.stop()
    assert not ledger.moved
    assert not ledger.forgotten()
    assert ledger.lost == ledger.overtaken == 0
    assert len({inode for flow in ledger.flows for inode in flow.sockets}) == 3
