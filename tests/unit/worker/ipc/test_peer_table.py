"""The table of peers: exact between workers, whole when they are killed, and nobody is pushed out of it."""

import fcntl
import gc
import os
import signal
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from forkful.worker.ipc import peer_table
from forkful.worker.ipc.peer_table import HOLDERS, SETS, WAYS, Limits, Outcome, PeerMemory, PeerTable
from forkful.worker.ipc.scoreboard import SEAT, UNCOUNTED, Scoreboard

TWO = Limits(most=2, rate=0)
ENTERED, UNCOUNTED_, CROWDED, LEAVING, RATE = (
    Outcome.ENTERED,
    Outcome.UNCOUNTED,
    Outcome.CROWDED,
    Outcome.LEAVING,
    Outcome.RATE,
)


def key(number: int) -> bytes:
    return bytes(10) + b"\xff\xff" + number.to_bytes(4, "big")


@dataclass
class Pool:
    """A scoreboard and a table, and workers of this process."""

    board: Scoreboard
    memory: PeerMemory
    rows: list[int] = field(default_factory=list)

    def worker(self) -> PeerTable:
        self.rows.append(self.board.allocate(1, pool=0, slot=0, generation=1))
        return PeerTable(self.memory.fd, self.board, self.rows[-1])

    def gone(self, worker: PeerTable) -> None:
        """Its master has noticed that it is dead."""
        self.board.fold(self.rows[self.rows.index(worker.row)], 1)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(Scoreboard(), peer_table.make())
    yield pool
    os.close(pool.board.fd)
    pool.memory.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nanoseconds, as the table reads them."""
    now = [10**12]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])
    return now


def test_an_address_has_so_many_connections_in_all_workers_together(pool: Pool) -> None:
    one, two = pool.worker(), pool.worker()
    _, first = one.enter(key(1), TWO)
    _, second = two.enter(key(1), TWO)

    assert one.enter(key(1), TWO) == two.enter(key(1), TWO) == (CROWDED, 0)
    assert one.enter(key(2), TWO)[0] is ENTERED, "others are not concerned"
    two.leave(second)
    assert one.enter(key(1), TWO)[0] is ENTERED
    one.leave(first)
    assert two.enter(key(1), TWO)[0] is ENTERED
    assert two.enter(key(1), TWO)[0] is CROWDED


def test_what_a_dead_worker_has_counted_is_nothing(pool: Pool) -> None:
    one, two = pool.worker(), pool.worker()
    assert [one.enter(key(1), TWO)[0], two.enter(key(1), TWO)[0], two.enter(key(1), TWO)[0]] == [
        ENTERED,
        ENTERED,
        CROWDED,
    ]
    pool.gone(one)
    assert two.enter(key(1), TWO)[0] is ENTERED

    three = pool.worker()  # it has the row of the first
    assert three.row == one.row
    assert three.enter(key(1), TWO)[0] is CROWDED
    pool.gone(two)
    assert [three.enter(key(1), TWO)[0] for _ in range(3)] == [ENTERED, ENTERED, CROWDED]


def test_more_workers_than_an_entry_has_room_for_count_together(pool: Pool) -> None:
    workers = [pool.worker() for _ in range(3 * HOLDERS)]
    many = Limits(most=len(workers), rate=0)

    assert {worker.enter(key(1), many)[0] for worker in workers} == {ENTERED}
    assert {worker.enter(key(1), many)[0] for worker in workers} == {CROWDED}


def test_one_at_its_limit_may_just_be_leaving_unless_it_was_refused_within_a_second(
    pool: Pool, clock: list[int]
) -> None:
    worker, one = pool.worker(), Limits(most=1, rate=0)
    worker.enter(key(1), one)

    assert worker.enter(key(1), one, last=False)[0] is LEAVING
    assert worker.enter(key(1), one, last=False)[0] is LEAVING
    assert worker.enter(key(1), one, last=True)[0] is CROWDED
    assert worker.enter(key(1), one, last=False)[0] is CROWDED
    clock[0] += 1_000_000_001
    assert worker.enter(key(1), one, last=False)[0] is LEAVING


@pytest.mark.parametrize("rate", [1, 3, 10, 1000])
def test_so_many_come_at_once_and_then_so_many_a_second(rate: int, pool: Pool, clock: list[int]) -> None:
    workers, limits = [pool.worker(), pool.worker()], Limits(0, rate)
    told = [workers[n % 2].enter(key(1), limits)[0] for n in range(2 * rate)]
    assert told == [ENTERED] * rate + [RATE] * rate

    begun, entered = clock[0], 0
    while clock[0] < begun + 5 * 10**9:
        clock[0] += 10**9 // (3 * rate)  # three times as often as it may
        entered += workers[entered % 2].enter(key(1), limits)[0] is ENTERED
    assert 5 * rate - 1 <= entered <= 5 * rate
    clock[0] += 60 * 10**9
    assert [workers[0].enter(key(1), limits)[0] for _ in range(rate + 1)] == [ENTERED] * rate + [RATE]


def test_who_is_refused_for_its_connections_uses_up_no_rate(pool: Pool, clock: list[int]) -> None:
    worker, limits = pool.worker(), Limits(most=1, rate=2)
    _, cell = worker.enter(key(1), limits)
    for _ in range(5):
        assert worker.enter(key(1), limits)[0] is CROWDED
    worker.leave(cell)
    assert clock
    assert [worker.enter(key(1), limits)[0]] == [ENTERED]


def test_a_spray_of_addresses_pushes_nobody_out(pool: Pool, clock: list[int]) -> None:
    worker, limits = pool.worker(), Limits(most=3, rate=10)
    honest = [key(n) for n in range(200)]
    for each in honest:
        for _ in range(3):
            assert worker.enter(each, limits)[0] is ENTERED
    outcomes = Counter[Outcome]()
    for number in range(40_000):
        clock[0] += 10_000  # 100,000 a second
        outcome, cell = worker.enter(key(10**6 + number), limits)
        outcomes[outcome] += 1
        if cell:
            worker.leave(cell)

    assert {worker.enter(each, limits)[0] for each in honest} == {CROWDED}, "each of them is still counted"
    assert set(outcomes) <= {ENTERED, UNCOUNTED_}
    assert outcomes[UNCOUNTED_] < 4_000


def test_a_full_table_lets_in_who_comes_counts_it_and_forgets_nobody(pool: Pool) -> None:
    worker = pool.worker()
    room, held = SETS * WAYS, dict[int, int]()
    for number in range(room * 11 // 10):
        outcome, cell = worker.enter(key(number), TWO)
        assert outcome in (ENTERED, UNCOUNTED_)
        if cell:
            held[number] = cell
    assert room * 0.85 < len(held) < room
    assert pool.board.row(worker.row)[UNCOUNTED] == room * 11 // 10 - len(held)

    assert [number for number in held if worker.enter(key(number), TWO)[0] is not ENTERED] == []
    assert [number for number in held if worker.enter(key(number), TWO)[0] is not CROWDED] == []


def test_addresses_are_spread_by_a_secret_of_the_table(pool: Pool) -> None:
    """Who fills a set of one table has chosen nothing for another."""
    other = peer_table.make()
    tables = [pool.worker(), PeerTable(other.fd, pool.board, pool.board.allocate(1, pool=0, slot=1, generation=1))]
    full = [[n for n in range(100_000) if table.set_of(key(n)) == 7] for table in tables]
    other.close()

    assert all(len(each) > WAYS for each in full)
    assert len(set(full[0]) & set(full[1])) < WAYS


@contextmanager
def child(what: Callable[[], object]) -> Iterator[int]:
    """A process that does this, and then waits to be killed."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            what()
            os.write(write, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(write)
    assert os.read(read, 1) == b"x"
    os.close(read)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_lock_ends_with_its_holder_and_meanwhile_nobody_waits_for_long(pool: Pool) -> None:
    worker = pool.worker()
    number = worker.set_of(key(1))
    with child(lambda: fcntl.lockf(pool.memory.fd, fcntl.LOCK_EX, 1, number)):
        assert worker.enter(key(1), TWO) == (UNCOUNTED_, 0)
        assert worker.enter(key(2), TWO) == (UNCOUNTED_, 0), "for a second nobody is counted"
    worker.try_again()
    assert [worker.enter(key(1), TWO)[0] for _ in range(3)] == [ENTERED, ENTERED, CROWDED]


def test_processes_at_once_let_in_exactly_the_limit(pool: Pool) -> None:
    read, write = os.pipe()
    limits, rows = Limits(500, 0), [pool.board.allocate(1, pool=0, slot=n, generation=1) for n in range(4)]
    pids = []
    for row in rows:
        pid = os.fork()
        if pid == 0:
            try:
                worker = PeerTable(pool.memory.fd, pool.board, row)
                entered = sum(worker.enter(key(1), limits)[0] is ENTERED for _ in range(400))
                os.write(write, entered.to_bytes(4, "big"))
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    counts = [int.from_bytes(os.read(read, 4), "big") for _ in pids]
    os.close(read)
    os.close(write)

    assert sum(counts) == 500
    assert pool.worker().enter(key(1), limits)[0] is CROWDED


def test_threads_at_once_leave_no_count_behind(pool: Pool) -> None:
    worker, limits = pool.worker(), Limits(8, 0)
    wrong: list[Outcome] = []

    def come_and_go() -> None:
        for _ in range(500):
            outcome, cell = worker.enter(key(1), limits)
            if outcome is not ENTERED:
                wrong.append(outcome)
            worker.leave(cell)

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert [worker.enter(key(1), limits)[0] for _ in range(9)] == [ENTERED] * 8 + [CROWDED]


def test_a_finalizer_in_the_midst_of_the_table_waits_for_nobody(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cycle:
        pass

    worker, one = pool.worker(), Limits(1, 0)
    _, cell = worker.enter(key(1), one)
    dropped = Cycle()
    dropped.self = dropped  # type: ignore[attr-defined]
    weakref.finalize(dropped, partial(worker.leave, cell))
    del dropped
    hold = worker._hold  # noqa: SLF001  # the midst

    def collect(number: int) -> bool:
        gc.collect()
        return hold(number)

    monkeypatch.setattr(worker, "_hold", collect)
    assert worker.enter(key(2), one)[0] is ENTERED
    assert worker.enter(key(1), one)[0] is ENTERED, "it was lowered afterwards"


def test_a_child_of_a_worker_lowers_nothing(pool: Pool) -> None:
    worker, one = pool.worker(), Limits(1, 0)
    _, cell = worker.enter(key(1), one)

    def lower() -> None:
        worker.leave(cell)
        worker.close()
        worker.leave(cell)

    with child(lower):
        assert worker.enter(key(1), one)[0] is CROWDED


@pytest.mark.parametrize("junk", [b"\xff", b"\x01\x80", b"\0", None])
def test_whatever_somebody_writes_into_it_costs_limits_and_nothing_else(junk: bytes | None, pool: Pool) -> None:
    worker = pool.worker()
    worker.enter(key(1), TWO)
    fill = os.urandom(peer_table.SIZE) if junk is None else (junk * peer_table.SIZE)[: peer_table.SIZE]
    os.pwrite(pool.memory.fd, fill, 0)

    for number in range(300):
        outcome, cell = worker.enter(key(number), Limits(2, 5))
        assert isinstance(outcome, Outcome)
        if cell:
            worker.leave(cell)
    worker.leave(5)
    assert pool.board.row(worker.row)[SEAT]


def test_nobody_can_take_the_memory_away_from_who_reads_it(pool: Pool) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(pool.memory.fd, 0)
