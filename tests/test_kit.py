"""The test kit's own instruments: a loss that is not seen would make every other test worthless."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.kit.door import Door
from tests.kit.load import LOSSES, Load, Outcome
from tests.kit.wait import TooLateError, until

Doors = Callable[[str], Door]
Answer = Callable[[socket.socket, int], None]
RESET = struct.pack("ii", 1, 0)


def echo(client: socket.socket, _number: int) -> None:
    client.sendall(client.recv(100))


def reset_each_third(client: socket.socket, number: int) -> None:
    if number % 3 == 0:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    else:
        echo(client, number)


def say_nothing_each_third(client: socket.socket, number: int) -> None:
    if number % 3:
        echo(client, number)


def lie_each_third(client: socket.socket, number: int) -> None:
    data = client.recv(100)
    client.sendall(data if number % 3 else b"something else")


@contextmanager
def streams(door: Door, answer: Answer) -> Iterator[None]:
    """A server in a thread that answers connections so, one after the other."""
    listener = door.listener
    assert listener is not None

    def run() -> None:
        with suppress(OSError):
            for number in range(1_000_000):
                client, _ = listener.accept()
                with client:
                    answer(client, number)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RD)
    thread.join()


def test_load_that_is_served_well_has_nothing_to_complain_about(doors: Doors) -> None:
    door = doors("tcp")
    with streams(door, echo), Load(door) as load:
        load.more(50)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reset_each_third, Outcome.RESET),
        (say_nothing_each_third, Outcome.RESET),
        (lie_each_third, Outcome.WRONG),
    ],
)
def test_load_sees_each_loss_on_streams(answer: Answer, outcome: Outcome, doors: Doors) -> None:
    door = doors("tcp")
    with streams(door, answer), Load(door, clients=1, may_lose={outcome}) as load:
        load.more(20)
    assert abs(load.accounting[outcome] - load.ok / 2) <= 2


@pytest.mark.parametrize(("answer", "outcome"), [(reset_each_third, Outcome.RESET), (lie_each_third, Outcome.WRONG)])
def test_load_that_lost_something_fails_unless_that_was_allowed(answer: Answer, outcome: Outcome, doors: Doors) -> None:
    door = doors("tcp")
    with streams(door, answer):
        for allowed in ((), LOSSES - {outcome}):
            load = Load(door, clients=1, may_lose=allowed).start()
            load.more(5)
            with pytest.raises(AssertionError, match=outcome.value):
                load.stop()


def test_load_that_reached_nobody_fails(doors: Doors) -> None:
    door = doors("tcp")
    load = Load(door, clients=0).start()
    with pytest.raises(AssertionError, match="never reached"):
        load.stop()


def test_load_does_not_hide_what_failed_before(doors: Doors) -> None:
    door = doors("tcp")
    door.close()
    with pytest.raises(ZeroDivisionError), Load(door, clients=1):
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_load_sees_that_nobody_listens(kind: str, doors: Doors) -> None:
    door = doors(kind)
    door.close()
    with Load(door, clients=1, may_lose={Outcome.REFUSED}) as load:
        until(lambda: load.accounting[Outcome.REFUSED] > 3, what="refusals in the accounting")
    assert load.ok == 0


def test_load_counts_a_datagram_without_an_answer_as_lost(doors: Doors) -> None:
    door = doors("udp")
    with Load(door, clients=1, timeout=0.01, may_lose={Outcome.TIMEOUT}) as load:
        until(lambda: load.accounting[Outcome.TIMEOUT] > 3, what="losses in the accounting")
    assert load.ok == 0


def test_until_ends_with_what_it_waited_for() -> None:
    with pytest.raises(TooLateError, match="a blue moon"):
        until(lambda: False, what="a blue moon", within=0.02)
