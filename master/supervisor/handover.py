"""The hand-over: the state as a document, from one image of the master to the next in the same process.

Descriptors stay open across the exec under their numbers; everything else is JSON, made from records and read back by
one walk (`forkful.worker.ipc.records`), so that a field of a record cannot be forgotten on one side. What is not in the
document (timers of throttles, reloads that wait) starts anew.
Can go wrong: another version that cannot go on from this one's document, messages or scoreboard: `HandoverError`, which
the probe finds, by reading the very document, before anything has changed.
"""

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from forkful.conf.light import dataclass
from forkful.conf.plan import Plan
from forkful.master.model.document import Document
from forkful.master.model.fleet import Worker
from forkful.master.model.journal import Journal
from forkful.master.policy.transaction import Stage
from forkful.master.supervisor.admin_child import AdminRecord
from forkful.master.supervisor.command_runs import Run
from forkful.master.supervisor.generations import Generation, Generations, Spare
from forkful.master.supervisor.state import State
from forkful.master.supervisor.transaction import Kind, LastReload, Transaction
from forkful.master.supervisor.workers import Leaving, Targets, Workers
from forkful.master.system.listeners import Listener
from forkful.worker.ipc import messages, records, scoreboard
from forkful.worker.ipc.bequest import Bequest
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.peer_table import PeerMemory
from forkful.worker.ipc.records import Codec, RecordError

VERSION = 2  # of what the document means; what it looks like is seen when it is read


class HandoverError(Exception):
    """This image cannot continue from what the last one left."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What goes on. `waiters`, `again` and `revives` are the upgrade's own."""

    pid: int
    pid_file: str
    board: int  # a descriptor
    started_at: float
    generations: int
    tokens: int
    pools: dict[str, int]
    numbers: dict[tuple[str, str], int]
    adjusted: dict[str, int]
    manual: set[str]
    paused: bool
    departed_cpu: dict[str, float]
    journal: Journal
    last_reload: LastReload
    multiprocess: str  # prometheus_client's directory, if it is ours to remove
    leaving: dict[int, str]
    current: Generation | None
    retired: list[Generation]
    fleet: dict[int, Worker]
    channels: dict[int, Channel]
    admin: AdminRecord
    waiters: list[int]
    again: tuple[Kind, list[int]] | None
    revives: bool
    tables: dict[str, PeerMemory] = field(default_factory=dict)  # of peers, by pool
    bequests: dict[tuple[str, int], Bequest] = field(default_factory=dict)
    spare: Spare | None = None
    commands: dict[int, Run] = field(default_factory=dict)
    scratch: int = -1  # the descriptor by which what `multiprocess` lies in is locked

    def listeners(self) -> Iterator[Listener]:
        """Of all generations."""
        for generation in [*self.retired, *([self.current] if self.current is not None else [])]:
            for row in generation.listeners.values():
                yield from row


def dump(state: State) -> tuple[Document, list[int]]:
    """The state as a document, and the descriptors that must survive the exec."""
    transaction = state.transaction or Transaction(Stage.READING)
    kept = Kept(
        pid=state.pid,
        pid_file=state.pid_file,
        board=state.board.fd,
        started_at=state.started_at,
        generations=state.generations.count,
        tokens=state.workers.tokens,
        pools=state.listening.pools,
        numbers=state.listening.numbers,
        adjusted=state.targets.adjusted,
        manual=state.targets.manual,
        paused=state.targets.paused,
        departed_cpu=state.workers.departed_cpu,
        journal=state.journal,
        last_reload=state.last_reload,
        multiprocess=state.multiprocess if state.scratch is not None else "",
        leaving=state.leaving.names,
        current=_open(state.current) if state.current is not None else None,
        retired=[_open(generation) for generation in state.generations.retired],
        fleet=state.workers.fleet,
        channels=state.workers.channels,
        admin=state.admin,
        waiters=transaction.waiters,
        again=transaction.again,
        revives=transaction.revives,
        tables=state.listening.tables,
        bequests=state.workers.bequests,
        spare=state.generations.spare,
        commands=state.commands.running,
        scratch=state.scratch.fileno() if state.scratch is not None else -1,
    )
    open_ones = {x.sock.fileno(): x for x in [*state.every_listener(), *state.admin.listeners] if x.is_open}
    return write(kept, open_ones.values())


def _open(generation: Generation) -> Generation:
    """Without the listeners that are closed here already and left to the workers that have them."""
    listeners = {pool: tuple(x for x in row if x.is_open) for pool, row in generation.listeners.items()}
    return replace(generation, listeners=listeners)


def write(kept: Kept, listeners: Iterable[Listener]) -> tuple[Document, list[int]]:
    """These as a document, and the descriptors that it names."""
    fds = [kept.board, *([kept.scratch] if kept.scratch >= 0 else [])]

    def keep(thing: socket.socket | Channel | PeerMemory | Bequest) -> int:
        fds.append(thing.fileno())
        return thing.fileno()

    own = _codecs(keep, _never, _never, _never)
    refer = {Listener: Codec(lambda listener: listener.sock.fileno(), _never)}
    document = {
        "version": VERSION,
        "messages": messages.layout(),
        "scoreboard": scoreboard.LAYOUT,
        "listeners": [records.plain(listener, own) for listener in listeners],
        "kept": records.plain(kept, own | refer),
    }
    return document, fds


def read(document: Document) -> Kept:
    """What the last image left, with its descriptors. Raise `HandoverError`."""
    return _read(document, _socket, lambda fd: Channel(_socket(fd)), _memory)


def check(document: Document) -> None:
    """Whether this version could continue from such a document, for the probe; raise `HandoverError`."""
    if document.get("version") != VERSION:
        raise HandoverError(f"the running master hands over version {document.get('version')}, this takes {VERSION}")
    _compare("messages", document.get("messages", {}), messages.layout())
    _compare("scoreboard", document.get("scoreboard", {}), scoreboard.LAYOUT)
    _read(document, _number, _number, _number)


def _compare(what: str, theirs: Mapping[str, object], ours: Mapping[str, object]) -> None:
    """What those who run now say or write must mean the same here. More may be known here: they do without."""
    other = [name for name, meaning in theirs.items() if ours.get(name) != meaning]
    if other or not theirs:
        where = f"{', '.join(other[:5])}{', ...' if other[5:] else ''}" if other else "everything"
        raise HandoverError(
            f"the {what} of the running version and of this one differ ({where}), so its workers cannot go on under "
            "this one: restart the service instead of upgrading it"
        )


def _read(
    document: Document, sock: Callable[[int], Any], channel: Callable[[int], Any], memory: Callable[[int], Any]
) -> Kept:  # Any: for the probe
    own = _codecs(_never, sock, channel, memory)
    try:
        entries = {_number(entry["sock"]): entry for entry in document["listeners"]}
        listeners = {fd: records.read(Listener, entry, own, lenient=True) for fd, entry in entries.items()}
        refer = {Listener: Codec(_never, listeners.__getitem__)}
        kept: Kept = records.read(Kept, document["kept"], own | refer, lenient=True)
    except (RecordError, LookupError, TypeError) as error:
        raise HandoverError(f"what the running master hands over cannot be read by this version: {error}") from error
    return kept


def _codecs(
    write: Callable[[Any], object],
    sock: Callable[[Any], Any],
    channel: Callable[[Any], Any],
    memory: Callable[[Any], Any],
) -> dict[type, Codec]:  # Any: as Codec has it
    return {
        socket.socket: Codec(write, sock),
        Channel: Codec(write, channel),
        Bequest: Codec(lambda x: [write(x), x.token], lambda raw: Bequest(memory(raw[0]), int(raw[1]))),
        PeerMemory: Codec(lambda x: [write(x), x.layout], lambda raw: PeerMemory(memory(raw[0]), str(raw[1]))),
        Plan: Codec(lambda plan: json.loads(plan.to_json()), lambda raw: Plan.from_json(json.dumps(raw))),
        Journal: Codec(Journal.to_dict, Journal.of),
    }


def _number(fd: object) -> int:
    if type(fd) is not int:
        raise RecordError(f"{fd!r:.40} is no descriptor")
    return fd


def _memory(fd: object) -> int:
    number = _number(fd)
    os.set_inheritable(number, False)
    return number


def _socket(fd: object) -> socket.socket:
    number = _number(fd)
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)  # no settimeout(): O_NONBLOCK is the open file's, and the workers' affair


def _never(_: object) -> object:
    raise AssertionError("a table for reading does not write, nor the other way round")


def restore(state: State, kept: Kept) -> None:
    """Fill a new state with what the last image left, and the upgrade go on in it."""
    state.started_at = kept.started_at
    state.listening.go_on(kept.pools, kept.numbers, kept.tables)
    state.targets = Targets(kept.adjusted, kept.manual, kept.paused)
    state.journal, state.last_reload = kept.journal, kept.last_reload
    state.leaving = Leaving(kept.leaving)
    state.generations = Generations(kept.current, kept.retired, kept.generations, kept.spare)
    state.workers = Workers(
        kept.fleet, kept.channels, kept.tokens, departed_cpu=kept.departed_cpu, bequests=kept.bequests
    )
    state.admin = kept.admin
    state.commands.go_on(kept.commands)
    state.transaction = Transaction(
        Stage.READING, Kind.UPGRADE, waiters=kept.waiters, again=kept.again, revives=kept.revives
    )
