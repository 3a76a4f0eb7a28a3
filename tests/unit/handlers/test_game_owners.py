"""Who has a room: one worker, until it is gone or has handed it over; and the arena's door, with what strangers say."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from forkful.handlers.examples.game import owners
from forkful.handlers.examples.game.arena import Arena
from forkful.handlers.examples.game.owners import Workers

ELSEWHERE = 1  # the process of somebody else, which does not end


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))


def test_room_is_its_workers_until_that_is_gone_though_it_says_nothing() -> None:
    ours, theirs = Workers(), Workers()
    with subprocess.Popen(["sleep", "60"]) as other:
        theirs.give("r", other.pid)
        assert not ours.claim("r")
        other.kill()
    assert ours.claim("r")
    assert ours.claim("r")


def test_room_that_is_handed_over_waits_for_its_heir(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, heirs = Workers(), Workers()
    assert ours.claim("r")
    ours.give("r", 0)
    assert not ours.claim("r")
    heirs.give("r", os.getpid())
    assert ours.claim("r")
    ours.give("r", 0)
    monkeypatch.setattr(owners, "LEASE", -1.0)  # nobody came for it
    ours.give("r", 0)
    assert ours.claim("r")


class Transport:
    """What the arena says, by address."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, Any]] = []  # Any: an address

    def sendto(self, data: bytes, address: Any) -> None:  # Any: as above
        self.said.append((data, address))

    def is_closing(self) -> bool:
        return True


@pytest.fixture
def arena() -> Arena:
    made = Arena()
    made.connection_made(Transport())
    return made


def say(arena: Arena, data: bytes, address: tuple[str, int] = ("192.0.2.1", 5)) -> list[bytes]:
    transport: Transport = arena._transport  # noqa: SLF001  # the test's own
    transport.said.clear()
    arena.datagram_received(data, address)
    assert all(to == address for _, to in transport.said)
    return [data for data, _ in transport.said]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"J",
        b"J{",
        b"J[]",
        b"J\xff\xfe",
        b'J{"cookie": "\xc3\xa9"}',
        b"J" + json.dumps({"cookie": "x", "room": "r" * 1000, "name": ["\0"], "token": None}).encode(),
        b"I",
        b"I" + bytes(7),
        b"I" + bytes(6) + b"\xff",
        b"L",
        b"?",
        b"E",
        b"S" + bytes(100),
        bytes(1400),
    ],
)
def test_what_a_stranger_says_is_answered_with_less_and_kept_by_nobody(data: bytes, arena: Arena) -> None:
    answers = say(arena, data)

    assert len(answers) <= 1
    assert sum(map(len, answers)) <= len(data)
    assert not arena.rooms
    assert not arena.seats


def test_arena_does_not_answer_an_arena(arena: Arena) -> None:
    for answer in (b"?", b"E", b"N", b"C0123456789abcdef", b"W{}", b"H{}", b"S" + bytes(30)):
        assert say(arena, answer) == []
