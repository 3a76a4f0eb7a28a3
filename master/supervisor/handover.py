"""The hand-over: the house as a document, from one image of the master to the next in the same process.

Descriptors stay open across the exec under their numbers; everything else is JSON. What is not in the document (timers
of throttles, reloads that wait) starts anew.
Can go wrong: a document of another version: `HandoverError`, which the probe finds before anything has changed.
"""

import json
import math
import os
import socket
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from forkful.conf.address import Address, Kind
from forkful.conf.plan import Plan
from forkful.master.model.document import Document
from forkful.master.model.fleet import Patience, Phase, Reason, Worker
from forkful.master.supervisor.state import AdminRecord, Generation, House, LastReload, MoldRecord, Stage, Transaction
from forkful.master.supervisor.state import Kind as TransactionKind
from forkful.master.system.listeners import Listener
from forkful.worker.ipc.channel import Channel

VERSION = 1


class HandoverError(Exception):
    """This image cannot continue from what the last one left."""


def dump(house: House) -> tuple[Document, list[int]]:
    """The house as a document, and the descriptors that must survive the exec."""
    fds: list[int] = [house.board.fd]

    def keep(fd: int) -> int:
        fds.append(fd)
        return fd

    listeners = house.listeners()
    document: Document = {
        "version": VERSION,
        "pid": house.pid,
        "pid_file": house.pid_file,
        "board": house.board.fd,
        "started_at": house.started_at,
        "generations": house.generations,
        "tokens": house.tokens,
        "pools": house.pools,
        "numbers": [[pool, address, number] for (pool, address), number in house.numbers.items()],
        "adjusted": house.adjusted,
        "manual": sorted(house.manual),
        "departed_cpu": house.departed_cpu,
        "journal": house.journal.to_dict(),
        "last_reload": asdict(house.last_reload),
        "multiprocess": house.multiprocess if house.is_tidy else "",
        "leaving": [[pid, what] for pid, what in house.leaving.items()],
        "listeners": [_listener(listener, keep) for listener in listeners.values()],
        "generation_list": [_generation(generation, keep) for generation in _kept(house)],
        "fleet": [_worker(worker, keep(house.channels[token].fileno())) for token, worker in house.fleet.items()],
        "admin": {
            "listeners": [_listener(listener, keep) for listener in house.admin.listeners],
            "pid": house.admin.pid,
            "channel": keep(house.admin.channel.fileno()) if house.admin.channel is not None else -1,
        },
        "waiters": house.transaction.waiters if house.transaction is not None else [],
        "again": _again(house.transaction),
        "paused": house.paused,
        "revives": house.transaction is None or house.transaction.revives,
    }
    return document, fds


def _again(transaction: Transaction | None) -> tuple[str, list[int]] | None:
    if transaction is None or transaction.again is None:
        return None
    kind, waiters = transaction.again
    return kind.value, waiters


def _kept(house: House) -> Iterable[Generation]:
    """The generations that go on, the current one last."""
    return [*house.retired, *([house.current] if house.current is not None else [])]


def _listener(listener: Listener, keep: Any) -> Document:  # Any: a callback of `dump`
    return {
        "address": asdict(listener.address),
        "bound": listener.bound,
        "kind": listener.kind.value,
        "fd": keep(listener.sock.fileno()),
        "inode": list(listener.inode),
    }


def _generation(generation: Generation, keep: Any) -> Document:  # Any: a callback of `dump`
    mold = generation.mold
    return {
        "number": generation.number,
        "plan": json.loads(generation.plan.to_json()),
        "listeners": {pool: [str(x.address) for x in row if x.is_open] for pool, row in generation.listeners.items()},
        "mold": None
        if mold is None
        else {"pid": mold.pid, "channel": keep(mold.channel.fileno()), "ready": mold.ready},
    }


def _worker(worker: Worker, fd: int) -> Document:
    return {
        "token": worker.token,
        "pool": worker.pool,
        "slot": worker.slot,
        "generation": worker.generation,
        "pid": worker.pid,
        "phase": worker.phase.name,
        "born": worker.born,
        "ready_at": worker.ready_at if math.isfinite(worker.ready_at) else None,
        "deadline": worker.deadline if math.isfinite(worker.deadline) else None,
        "patience": worker.patience.name,
        "retiring": worker.retiring.value if worker.retiring else None,
        "leaving": worker.leaving.value if worker.leaving else None,
        "mold": worker.mold,
        "row": worker.row,
        "lanes": worker.lanes,
        "channel": fd,
    }


def restore(house: House, document: Document) -> None:
    """Fill a new house with what the last image left, and the upgrade go on in it."""
    if document["version"] != VERSION:
        raise HandoverError(f"the running master hands over version {document['version']}, this one takes {VERSION}")
    listeners = {str(x.address): x for x in map(_to_listener, document["listeners"])}
    house.started_at = document["started_at"]
    house.generations, house.tokens = document["generations"], document["tokens"]
    house.pools = document["pools"]
    house.numbers = {(pool, address): number for pool, address, number in document["numbers"]}
    house.adjusted, house.departed_cpu = document["adjusted"], document["departed_cpu"]
    house.manual = set(document["manual"])
    house.journal.restore(document["journal"])
    house.last_reload = LastReload(**document["last_reload"])
    house.leaving = dict(document["leaving"])
    generations = [_to_generation(entry, listeners) for entry in document["generation_list"]]
    *house.retired, house.current = generations
    for entry in document["fleet"]:
        worker = _to_worker(entry)
        house.fleet[worker.token] = worker
        house.channels[worker.token] = _to_channel(entry["channel"])
    admin = document["admin"]
    house.admin = AdminRecord([_to_listener(entry) for entry in admin["listeners"]], admin["pid"])
    house.admin.ready_at = 0.0
    if admin["channel"] >= 0:
        house.admin.channel = _to_channel(admin["channel"])
    house.transaction = Transaction(Stage.READING, TransactionKind.UPGRADE, waiters=document["waiters"])
    house.paused, house.transaction.revives = document.get("paused", False), document.get("revives", True)
    if again := document.get("again"):
        house.transaction.again = (TransactionKind(again[0]), again[1])


def running(document: Document) -> Plan:
    """What the last image served."""
    return Plan.from_json(json.dumps(document["generation_list"][-1]["plan"]))


def check(document: Document) -> None:
    """Whether this version could continue from such a document, for the probe; raise `HandoverError`."""
    if document.get("version") != VERSION:
        raise HandoverError(f"the running master hands over version {document.get('version')}, this takes {VERSION}")


def _to_channel(fd: int) -> Channel:
    os.set_inheritable(fd, False)
    return Channel(socket.socket(fileno=fd))


def _to_listener(entry: Document) -> Listener:
    os.set_inheritable(entry["fd"], False)
    sock = socket.socket(fileno=entry["fd"])  # no settimeout(): O_NONBLOCK is the open file's, and the workers' affair
    inode = (entry["inode"][0], entry["inode"][1])
    return Listener(Address(**entry["address"]), entry["bound"], Kind(entry["kind"]), sock, inode)


def _to_generation(entry: Document, listeners: dict[str, Listener]) -> Generation:
    mold = entry["mold"]
    rows = {pool: tuple(listeners[key] for key in keys) for pool, keys in entry["listeners"].items()}
    generation = Generation(entry["number"], Plan.from_json(json.dumps(entry["plan"])), rows)
    if mold is not None:
        generation.mold = MoldRecord(entry["number"], mold["pid"], _to_channel(mold["channel"]), mold["ready"])
    return generation


def _to_worker(entry: Document) -> Worker:
    return Worker(
        token=entry["token"],
        pool=entry["pool"],
        slot=entry["slot"],
        generation=entry["generation"],
        pid=entry["pid"],
        phase=Phase[entry["phase"]],
        born=entry["born"],
        ready_at=math.inf if entry["ready_at"] is None else entry["ready_at"],
        deadline=math.inf if entry["deadline"] is None else entry["deadline"],
        patience=Patience[entry["patience"]],
        retiring=Reason(entry["retiring"]) if entry["retiring"] else None,
        leaving=Reason(entry["leaving"]) if entry["leaving"] else None,
        mold=entry["mold"],
        row=entry["row"],
        lanes=entry["lanes"],
    )
