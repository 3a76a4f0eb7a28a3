"""The pool of threads beside a loop: work that blocks has all of them, and nothing that is posted is forgotten."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from forkful.worker.http.wsgi.thread_pool import Pool
from forkful.worker.ipc.scoreboard import CELLS

THREADS = 3
PATIENCE = 20.0


class Job:
    """What a thread does: the call, and what it posts to the loop."""

    def __init__(self, call: Callable[[], object], post: Callable[[], None] = lambda: None) -> None:
        self._call, self._post = call, post

    def serve(self, row: "memoryview[int]", lock: "threading.Lock | None") -> None:
        assert row
        assert (lock is None) is (threading.current_thread().name != "wsgi-0")
        self._call()
        self._post()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def pool(loop: asyncio.AbstractEventLoop) -> Iterator[Pool]:
    before = set(threading.enumerate())
    pool = Pool(loop, [memoryview(bytearray(CELLS * 8)).cast("Q") for _ in range(THREADS)])
    pool.start()
    yield pool
    stop(pool)
    assert set(threading.enumerate()) <= before


def stop(pool: Pool) -> None:
    pool.stop()
    for thread in threading.enumerate():
        if thread.name.startswith("wsgi-"):
            thread.join(PATIENCE)
            assert not thread.is_alive()


def run(loop: asyncio.AbstractEventLoop, until: asyncio.Event) -> None:
    loop.run_until_complete(asyncio.wait_for(until.wait(), PATIENCE))


def test_work_that_blocks_has_every_thread_at_once(loop: asyncio.AbstractEventLoop, pool: Pool) -> None:
    together = threading.Barrier(THREADS)  # none gets past it before all threads are there
    done = asyncio.Event()
    left = iter(range(THREADS, -1, -1))

    def count(_: object) -> None:
        if next(left) == 1:
            done.set()

    for _ in range(THREADS):
        pool.put(Job(lambda: together.wait(PATIENCE), lambda: pool.post(count, None)))
    run(loop, done)

    assert together.broken is False
    assert pool.welcome() > 1


def test_every_piece_of_work_is_done_once_and_what_it_posts_comes_in_its_order(
    loop: asyncio.AbstractEventLoop, pool: Pool
) -> None:
    posted: dict[int, list[int]] = {}
    done = asyncio.Event()
    jobs, each = 500, 3

    def take(what: tuple[int, int]) -> None:
        posted.setdefault(what[0], []).append(what[1])
        if sum(map(len, posted.values())) == jobs * each:
            done.set()

    def job(number: int) -> Job:
        def post() -> None:
            for piece in range(each):
                pool.post(take, (number, piece))

        return Job(lambda: None, post)

    def put(start: int) -> None:
        for number in range(start, start + 50):
            pool.put(job(number))

    for start in range(0, jobs, 50):
        loop.call_soon(put, start)
    run(loop, done)

    assert posted == {number: list(range(each)) for number in range(jobs)}
    assert pool.busy == 0


def test_what_raises_in_the_loop_or_in_a_thread_stops_nobody(
    loop: asyncio.AbstractEventLoop, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    done = asyncio.Event()

    def bad(_: object = None) -> None:
        raise ValueError("broken")

    for _ in range(THREADS + 1):
        pool.put(Job(bad))

    def post() -> None:
        pool.post(bad, None)
        pool.post(lambda _: done.set(), None)

    pool.put(Job(lambda: None, post))
    run(loop, done)
    stop(pool)  # another thread may still be busy with its record

    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError] * (THREADS + 2)


def test_a_busy_pool_lets_one_in_for_each_turn_in_which_something_was_done(
    loop: asyncio.AbstractEventLoop, pool: Pool
) -> None:
    gate = threading.Semaphore(0)
    done = [asyncio.Event() for _ in range(2 * THREADS + 2)]
    posted = iter(done)
    for _ in done:
        pool.put(Job(lambda: gate.acquire(timeout=PATIENCE), lambda: pool.post(lambda _: next(posted).set(), None)))
    assert [pool.welcome(), pool.welcome()] == [1, 0]

    for event in done[:2]:  # and as many as there are threads still wait
        gate.release()
        run(loop, event)
        assert [pool.welcome(), pool.welcome()] == [1, 0]

    gate.release(len(done) - 2)
    run(loop, done[-1])
    assert pool.welcome() > 1
