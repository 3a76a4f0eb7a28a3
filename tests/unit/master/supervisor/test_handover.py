"""The hand-over: every field of every record in it comes out of it as it went in."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import pytest

from forkful.conf.address import Address
from forkful.conf.plan import Plan, PoolPlan
from forkful.master.model.journal import Journal
from forkful.master.supervisor import handover
from forkful.master.supervisor.handover import Kept
from forkful.master.supervisor.state import State
from forkful.master.system.listeners import Listener
from forkful.master.system.metrics_dir import Outer
from forkful.worker.ipc import messages, records, scoreboard
from forkful.worker.ipc.bequest import Bequest
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.peer_table import PeerMemory
from forkful.worker.ipc.scoreboard import Scoreboard

OWN = {"waiters", "again", "revives", "board", "scratch"}  # of the upgrade itself, the memory, and a lock

#: What of the state the next image does without, and why.
DROPPED = {
    "argv": "it is handed over beside the state",
    "directory": "the next image is in it, and has its name in $PWD",
    "version": "the next image's own",
    "notifier": "opened anew",
    "by": "it is for the old admin child, whom the next image gives a time of its own",
    "stop": "a service that stops is not upgraded",
    "exit_code": "a service that stops is not upgraded",
    "start_failure": "a service that failed to start is not upgraded",
    "transaction": "its waiters, and what is asked for after it, go on; the rest is done when the image is executed",
    "unread": "everybody is looked at again",
    "strikes": "throttles begin anew with new code",
    "trouble": "said anew by the next worker that cannot boot",
    "strangers": "reaped by the next image itself, which asks the kernel again",
    "watch_watcher": "set by the loop",
    "watch": "a watcher notices that its channel is closed; the next image has its own",
    "scratch": "made anew around its descriptor, which is handed over",
    "oom_kills": "counted from the execution on",
    "rounds": "looks begin anew",
    "stored": "taken at the first start only",
    "forgotten": "told to the manager when the first generation serves",
    "kept": "the manager is told anew, which changes nothing",
    "watchdog_every": "read anew from the environment",
    "watchdog_at": "due at once",
    "adopted": "the script's listener is one of the generation's by now",
    "probe": "a probe is not upgraded",
    "terminal": "looked at anew",
    "server": "the script makes it anew",
    "own": "the loop's",
    "watch_mold": "the loop's",
    "watch_worker": "the loop's",
    "watch_admin": "the loop's",
    "watch_helper": "the loop's",
    "watch_barrier": "the loop's",
    "watch_command": "the loop's",
    "waiting": "a program that waits for its turn is for what happened before",
    "outputs": "pipes that end with the image: who still writes there has no reader",
    "killed": "who is killed twice notices nothing",
    "told": "of what waits, which is nothing",
    "until": "a service that stops is not upgraded",
    "stops": "a service that stops is not upgraded",
    "unwatch": "the loop's",
    "unheard": "the loop's",
}

TABLES = (
    "commands",
    "workers",
    "targets",
    "leaving",
    "listening",
    "manager",
    "generations",
)  # each field is named by itself
OTHER_NAMES = {"running": "commands", "names": "leaving", "count": "generations"}  # in what is handed over


def flat(state: State) -> dict[str, object]:
    """What the state knows, by its name, without the tables that it is in."""
    found = {f.name: getattr(state, f.name) for f in fields(State)}
    for table in [found.pop(name) for name in TABLES]:
        found |= {OTHER_NAMES.get(f.name, f.name): getattr(table, f.name) for f in fields(table)}
    return found


class Made:
    """Values of all kinds, each another one and none a default; descriptors are closed at the end."""

    def __init__(self) -> None:
        self.numbers = count(1_000)
        self.sockets: list[socket.socket] = []

    def socket(self) -> socket.socket:
        self.sockets.append(socket.socket(socket.AF_UNIX))
        return self.sockets[-1]

    def plan(self) -> Plan:
        address = Address("tcp", host="127.0.0.1", port=next(self.numbers))
        return Plan((PoolPlan("main", "app:Handler", (address,), workers=next(self.numbers)),))

    def journal(self) -> Journal:
        journal = Journal()
        journal.starts["main"] = next(self.numbers)
        journal.exits["main"]["crash"] = next(self.numbers)
        journal.reloads["failure"] = journal.upgrades["success"] = next(self.numbers)
        return journal

    def value(self, kind: Any) -> Any:  # Any: an annotation, and a value of it
        known = {socket.socket: self.socket, Plan: self.plan, Journal: self.journal}
        known |= {
            Channel: lambda: Channel(self.socket()),
            Bequest: lambda: Bequest(self.socket().fileno(), self.value(int)),
            PeerMemory: lambda: PeerMemory(self.socket().fileno(), self.value(str)),
            bool: lambda: True,
            str: lambda: f"word {next(self.numbers)}",
        }
        known |= {int: lambda: next(self.numbers), float: lambda: next(self.numbers) + 0.5}
        if kind in known:
            return known[kind]()
        if is_dataclass(kind):
            hints = get_type_hints(kind)
            return cast("Any", kind)(**{f.name: self.value(hints[f.name]) for f in fields(kind)})
        if isinstance(kind, type) and issubclass(kind, Enum):
            return [*kind][-1]
        origin, inner = get_origin(kind), get_args(kind)
        if origin is dict:
            return {self.value(inner[0]): self.value(inner[1]) for _ in range(2)}
        if origin is tuple and inner[1:] != (...,):
            return tuple(self.value(part) for part in inner)
        if origin in (list, set, tuple):
            return origin(self.value(inner[0]) for _ in range(2))
        return self.value(next(part for part in inner if part is not type(None)))


@pytest.fixture
def made() -> Iterator[Made]:
    made = Made()
    yield made
    for sock in made.sockets:
        sock.close()


def listeners(thing: object) -> Iterator[Listener]:
    """All that stand anywhere in it."""
    if isinstance(thing, Listener):
        yield thing
    elif is_dataclass(thing):
        for f in fields(thing):
            yield from listeners(getattr(thing, f.name))
    elif isinstance(thing, dict):
        yield from listeners([*thing.values()])
    elif isinstance(thing, list | tuple | set):
        for each in thing:
            yield from listeners(each)


def assert_same(before: Any, after: Any, at: str = "Kept") -> None:  # Any: whatever stands in a record
    """Field by field; descriptors by their number."""
    assert type(before) is type(after), at
    if isinstance(before, socket.socket | Channel):
        assert before.fileno() == after.fileno(), at
    elif isinstance(before, Journal):
        assert vars(before) == vars(after), at
    elif is_dataclass(before):
        for f in fields(before):
            assert_same(getattr(before, f.name), getattr(after, f.name), f"{at}.{f.name}")
    elif isinstance(before, list | tuple):
        assert len(before) == len(after), at
        for number, pair in enumerate(zip(before, after, strict=True)):
            assert_same(*pair, f"{at}[{number}]")
    elif isinstance(before, dict) and not isinstance(before, Counter):
        assert list(before) == list(after), at
        for key in before:
            assert_same(before[key], after[key], f"{at}[{key!r}]")
    else:
        assert before == after, at


def forget(kept: Kept) -> None:
    """It took descriptors that are the test's."""
    channels = [*kept.channels.values(), kept.admin.channel]
    channels += [g.mold.channel for g in (kept.current, *kept.retired) if g is not None and g.mold is not None]
    for channel in channels:
        if channel is not None:
            channel.sock.detach()
    for listener in {id(x): x for x in listeners(kept)}.values():
        for sock in listener.sockets:
            sock.detach()


def test_every_field_of_every_record_is_written_and_read_back(made: Made) -> None:
    kept: Kept = made.value(Kept)
    document, fds = handover.write(kept, listeners(kept))
    there = json.loads(json.dumps(document))
    handover.check(there)
    back = handover.read(there)

    try:
        assert_same(kept, back)
        assert {sock.fileno() for sock in made.sockets} <= set(fds), "each of them survives the exec"
    finally:
        forget(back)


def test_what_the_state_hands_over_is_in_the_next_state(made: Made, tmp_path: Path) -> None:
    (tmp_path / "forkful-metrics-x").mkdir()
    kept: Kept = made.value(Kept)
    before, after = State(Scoreboard(), [], "1"), State(Scoreboard(), [], "2")
    handover.restore(before, kept)
    before.pid, before.pid_file, before.multiprocess = kept.pid, kept.pid_file, kept.multiprocess
    before.scratch = Outer(tmp_path / "forkful-metrics-x")
    document, _ = handover.dump(before)
    back = handover.read(json.loads(json.dumps(document)))
    handover.restore(after, back)

    try:
        for f in fields(Kept):
            if f.name not in OWN:
                assert_same(getattr(kept, f.name), getattr(back, f.name), f.name)
            if f.name not in OWN | {"pid", "pid_file", "multiprocess"}:  # those are the next image's to find out
                assert_same(getattr(kept, f.name), flat(after)[f.name], f.name)
        assert after.transaction is not None
        assert (after.transaction.waiters, after.transaction.again) == (kept.waiters, kept.again)
        assert after.transaction.revives is kept.revives
    finally:
        forget(back)


def test_every_field_of_the_state_is_handed_over_or_dropped_for_a_reason() -> None:
    handed, known = {f.name for f in fields(Kept)} - OWN | {"board"}, {*flat(State(Scoreboard(), [], "1"))}

    assert handed <= known
    assert known - handed == {*DROPPED}


def test_listener_of_two_generations_is_one_again(made: Made) -> None:
    kept: Kept = made.value(Kept)
    (old, *_), current = kept.retired, kept.current
    assert current is not None
    old.listeners["main"] = current.listeners["main"] = made.value(tuple[Listener, ...])
    document, _ = handover.write(kept, listeners(kept))
    back = handover.read(json.loads(json.dumps(document)))

    try:
        assert back.current is not None
        assert back.retired[0].listeners["main"][0] is back.current.listeners["main"][0]
    finally:
        forget(back)


@pytest.mark.parametrize("version", [1, 99, None, "2"])
def test_document_of_another_version_is_refused(version: object, made: Made) -> None:
    document, _ = handover.write(made.value(Kept), [])

    with pytest.raises(handover.HandoverError, match=f"version {version}"):
        handover.check(document | {"version": version})


def test_field_that_only_the_next_version_has_may_have_a_default_and_one_that_it_lost_is_refused(made: Made) -> None:
    kept: Kept = made.value(Kept)
    document, _ = handover.write(kept, listeners(kept))
    (worker, *_) = document["kept"]["fleet"]
    del worker[1]["quiet"]
    handover.check(document)
    worker[1]["weight"] = 3

    with pytest.raises(handover.HandoverError, match="has weight too much"):
        handover.check(document)


@pytest.mark.parametrize("what", ["messages", "scoreboard"])
def test_what_running_children_use_must_mean_the_same_and_may_be_less(what: str, made: Made) -> None:
    kept: Kept = made.value(Kept)
    document, _ = handover.write(kept, listeners(kept))
    first, *rest = document[what]
    handover.check(document | {what: {name: document[what][name] for name in rest}})

    for other in ({**document[what], first: "else"}, {**document[what], "more": 1}, {}):
        with pytest.raises(handover.HandoverError, match=f"the {what} of the running version"):
            handover.check(document | {what: other})


def test_nothing_in_a_record_is_of_a_kind_that_the_walk_does_not_know() -> None:
    assert records.shape(Kept)
    assert messages.layout()
    assert scoreboard.LAYOUT
