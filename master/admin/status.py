"""The status: the whole house as one document, for /status.json, the status page and `forkful status`.

It is the master's facts with what the scoreboard and the kernel add to each pool and each worker.
Can go wrong: nothing; a document from another version may lack what this one shows (`KeyError` to its readers).
"""

import time

from forkful.master.admin.view import PoolView, View
from forkful.master.model import facts
from forkful.worker.ipc import scoreboard
from forkful.worker.ipc.scoreboard import BOUNDS, BUCKETS, Scoreboard


class WorkerStatus(facts.Worker):
    """`requests` are the calls of the handler that have ended; `resident_bytes` 0: the process is gone."""

    requests: int
    in_flight: int
    resident_bytes: int


class PoolStatus(facts.PoolBasics):
    """`taken` are connections or datagrams by listener; `requests` the handler's ended calls by outcome."""

    requests: dict[str, int]
    taken: dict[str, int]
    in_flight: int
    connections: int
    lanes: int
    oldest_seconds: float
    busy_seconds: float
    cpu_seconds: float
    received_bytes: int
    sent_bytes: int
    workers: list[WorkerStatus]


class Status(facts.Basics):
    """`at` is when it was taken, unix seconds: two of them make a rate."""

    at: float
    pools: list[PoolStatus]


def document(view: View, board: Scoreboard) -> Status:
    """Put a view into the shape that leaves the house."""
    house = view.facts
    return {
        "name": house["name"],
        "pid": house["pid"],
        "version": house["version"],
        "phase": house["phase"],
        "generation": house["generation"],
        "started_at": house["started_at"],
        "ready": house["ready"],
        "reason": house["reason"],
        "reload": house["reload"],
        "counters": house["counters"],
        "molds": house["molds"],
        "admin": house["admin"],
        "at": time.time(),
        "pools": [_pool(pool, board) for pool in view.pools],
    }


def _pool(view: PoolView, board: Scoreboard) -> PoolStatus:
    pool, totals = view.facts, view.totals
    return {
        "name": pool["name"],
        "number": pool["number"],
        "handler": pool["handler"],
        "target": pool["target"],
        "threads": pool["threads"],
        "loop": pool["loop"],
        "preload": pool["preload"],
        "trouble": pool["trouble"],
        "throttled_for": pool["throttled_for"],
        "starts": pool["starts"],
        "exits": pool["exits"],
        "listeners": pool["listeners"],
        "requests": dict(view.requests),
        "taken": {each["address"]: view.cell(scoreboard.ACCEPTED + each["index"]) for each in pool["listeners"]},
        "in_flight": totals.in_flight,
        "connections": totals.connections,
        "lanes": totals.lanes,
        "oldest_seconds": view.oldest_seconds,
        "busy_seconds": view.seconds(scoreboard.BUSY),
        "cpu_seconds": view.cpu_seconds,
        "received_bytes": view.cell(scoreboard.RECEIVED),
        "sent_bytes": view.cell(scoreboard.SENT),
        "workers": [_worker(worker, view, board) for worker in pool["workers"]],
    }


def _worker(worker: facts.Worker, view: PoolView, board: Scoreboard) -> WorkerStatus:
    totals = board.worker(worker["row"], worker["lanes"])
    usage = view.usage.get(worker["pid"])
    return {
        **worker,
        "requests": sum(totals.cells[BUCKETS : BUCKETS + len(BOUNDS) + 1]),
        "in_flight": totals.in_flight,
        "resident_bytes": usage.resident_bytes if usage else 0,
    }


def ended(pool: PoolStatus) -> int:
    """All calls of the handler that have ended, however they went."""
    return sum(pool["requests"].values())


def failed(pool: PoolStatus) -> int:
    """The calls that went wrong for a reason of ours: an error, a timeout, a worker's death."""
    return sum(pool["requests"].get(outcome, 0) for outcome in ("error", "timeout", "lost"))


def ready(pool: PoolStatus) -> int:
    return sum(worker["phase"] == "READY" for worker in pool["workers"])


def waiting(pool: PoolStatus) -> int:
    """Connections that wait in the listeners' queues."""
    return sum(each["queue"] or 0 for each in pool["listeners"])


def restarts(pool: PoolStatus) -> int:
    """Workers that died, so that others had to be started; leaving when told to is not dying."""
    return sum(pool["exits"].get(reason, 0) for reason in ("timeout", "oom", "signal", "crash", "boot_failed"))
