"""The status: the whole service as one document, for /status.json, the status page and `forkful status`.

It is the master's facts with what the scoreboard and the kernel add to each pool and each worker.
Can go wrong: a document from another version may lack what this one shows (`KeyError` to its readers).
"""

import time

from forkful.master.admin.view import PoolView, View
from forkful.master.model import facts
from forkful.worker.ipc import scoreboard
from forkful.worker.ipc.scoreboard import BOUNDS, BUCKETS, Scoreboard

MAX_LANES = 256  # of a worker, that are told one by one


class WorkerStatus(facts.Worker):
    """`requests` are the calls of the handler that have ended; `resident_bytes` 0: the process is gone.

    `lane_seconds` says of each lane for how long it has been busy with what it does, 0: idle; at most `MAX_LANES` of
    them. `is_loop`: its one lane is an event loop, which serves many at once.
    """

    requests: int
    in_flight: int
    resident_bytes: int
    lane_seconds: list[float]
    is_loop: bool


class PoolStatus(facts.PoolBasics):
    """`taken` are connections or datagrams by listener; `requests` the handler's ended calls by outcome.

    `responses` are HTTP answers by class, where the pool gives any. `buckets` counts calls by duration, up to each of
    `scoreboard.BOUNDS` and above the last.
    """

    requests: dict[str, int]
    responses: dict[str, int]
    taken: dict[str, int]
    in_flight: int
    connections: int
    lanes: int
    lanes_busy: int
    oldest_seconds: float
    busy_seconds: float
    duration_seconds: float
    buckets: list[int]
    cpu_seconds: float
    received_bytes: int
    sent_bytes: int
    workers: list[WorkerStatus]


class Status(facts.Basics):
    """`at` is when it was taken, unix seconds: two of them make a rate."""

    at: float
    pools: list[PoolStatus]


def document(view: View, board: Scoreboard) -> Status:
    """Put a view into the shape that leaves the service."""
    service = view.facts
    return {
        "name": service["name"],
        "pid": service["pid"],
        "version": service["version"],
        "phase": service["phase"],
        "generation": service["generation"],
        "started_at": service["started_at"],
        "ready": service["ready"],
        "reason": service["reason"],
        "reload": service["reload"],
        "counters": service["counters"],
        "molds": service["molds"],
        "admin": service["admin"],
        "settings": service.get("settings", ""),  # not known to a master that was upgraded from an older version
        "bake": service.get("bake"),
        "spare": service.get("spare"),
        "code": service.get("code", "pure"),
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
        "preload": pool["preload"],
        "trouble": pool["trouble"],
        "throttled_for": pool["throttled_for"],
        "starts": pool["starts"],
        "exits": pool["exits"],
        "deaths": pool.get("deaths", 0),
        "failed_hooks": pool.get("failed_hooks", {}),
        "listeners": pool["listeners"],
        "requests": dict(view.requests),
        "responses": view.responses,
        "taken": {each["address"]: view.cell(scoreboard.ACCEPTED + each["index"]) for each in pool["listeners"]},
        "in_flight": totals.in_flight,
        "connections": totals.connections,
        "lanes": totals.lanes,
        "lanes_busy": totals.lanes_busy,
        "oldest_seconds": view.oldest_seconds,
        "busy_seconds": view.busy_seconds,
        "duration_seconds": view.duration_seconds,
        "buckets": list(view.buckets),
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
        "lane_seconds": _lane_seconds(worker, board),
        "is_loop": _is_loop(worker, board),
    }


def _lane_seconds(worker: facts.Worker, board: Scoreboard) -> list[float]:
    now = time.monotonic_ns()
    rows = (board.row(worker["row"] + lane) for lane in range(min(worker["lanes"], MAX_LANES)))
    return [round(max(0, now - since) / 1e9, 3) if (since := row[scoreboard.SINCE]) else 0.0 for row in rows]


def _is_loop(worker: facts.Worker, board: Scoreboard) -> bool:
    return bool(board.row(worker["row"])[scoreboard.OVERLAPS])
