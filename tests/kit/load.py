"""Load that counts: clients that number each request and sort each reply, so that loss is counted and not guessed.

Can go wrong: something was lost that the test did not say may be: an `AssertionError` at the end of the load.
"""

import itertools
import socket
import threading
from collections import Counter
from collections.abc import Collection
from enum import Enum
from typing import Self

from tests.kit.door import Door, read_all
from tests.kit.wait import PATIENCE, TooLateError

_PACE = 0.002  # seconds between two requests of one client: load, not a benchmark


class Outcome(Enum):
    """What became of one request."""

    OK = "ok"
    RESET = "reset"  # the connection was reset, or ended without an answer
    REFUSED = "refused"
    TIMEOUT = "timeout"  # for datagrams: lost
    WRONG = "wrong"


LOSSES = frozenset(Outcome) - {Outcome.OK}


class Load:
    """Clients of an echo server at one door, from `start` to `stop`, which asserts that nothing was lost.

    What `may_lose` names is not asserted: the test looks at the accounting itself.
    """

    def __init__(
        self,
        door: Door,
        *,
        clients: int = 3,
        timeout: float = 10.0,
        may_lose: Collection[Outcome] = (),
        shut: bool = False,
        hold: float = 0.0,
    ) -> None:
        self.accounting: Counter[Outcome] = Counter()
        self.remarks: list[str] = []  # the first few that were not ok, in words
        self._may_lose = frozenset(may_lose)
        self._door = door
        self._shut = shut
        self._hold = hold  # seconds for which a client keeps its handler waiting for what it has to say
        self._timeout = timeout
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]

    @property
    def bad(self) -> dict[str, int]:
        return {outcome.value: count for outcome, count in self.accounting.items() if outcome is not Outcome.OK}

    @property
    def ok(self) -> int:
        return self.accounting[Outcome.OK]

    def start(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def more(self, count: int, *, within: float = PATIENCE) -> None:
        """Wait until so many more requests were answered well."""
        with self._changed:
            wanted = self.ok + count
            if not self._changed.wait_for(lambda: self.ok >= wanted, within):
                raise TooLateError(f"{wanted - self.ok} of {count} answers missing after {within:g} s; {self}")

    def stop(self) -> Self:
        """Let each client finish the request it has, and assert that nothing was lost."""
        self._finish()
        assert self.ok or self._may_lose, "the load never reached the server"
        assert self.accounting.keys() <= self._may_lose | {Outcome.OK}, str(self)
        return self

    def _finish(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(self._timeout + PATIENCE)
            assert not thread.is_alive(), "a client is stuck"

    def __str__(self) -> str:
        return f"ok={self.ok} bad={self.bad} {self.remarks}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.stop()
        else:  # it is what has to be shown
            self._finish()

    def _client(self) -> None:
        one = self._datagrams if self._door.kind == socket.SOCK_DGRAM else self._stream
        while not self._stop.is_set():
            number = next(self._numbers)
            payload = b"request %d" % number
            try:
                outcome, remark = one(payload)
            except (ConnectionRefusedError, FileNotFoundError) as error:  # a Unix socket's way to say so
                outcome, remark = Outcome.REFUSED, repr(error)
            except BlockingIOError as error:  # a full queue of a Unix socket, connect(2)
                outcome, remark = Outcome.REFUSED, repr(error)
            except TimeoutError as error:
                outcome, remark = Outcome.TIMEOUT, repr(error)
            except OSError as error:
                outcome, remark = Outcome.RESET, repr(error)
            with self._changed:
                self.accounting[outcome] += 1
                if outcome is not Outcome.OK and len(self.remarks) < 5:
                    self.remarks.append(f"{number}: {outcome.value} {remark}")
                self._changed.notify_all()
            self._stop.wait(_PACE)

    def _stream(self, payload: bytes) -> tuple[Outcome, str]:
        with self._door.connect(self._timeout) as client:
            if self._hold:
                threading.Event().wait(self._hold)
            client.sendall(payload)
            if self._shut:  # for an echo that goes on until its client has said all
                client.shutdown(socket.SHUT_WR)
            reply = read_all(client)
        if not reply:
            return Outcome.RESET, "the stream ended without an answer"
        return (Outcome.OK, "") if reply == payload else (Outcome.WRONG, repr(reply))

    def _datagrams(self, payload: bytes) -> tuple[Outcome, str]:
        with self._door.connect(self._timeout) as client:
            client.send(payload)
            reply = client.recv(65_535)
        return (Outcome.OK, "") if reply == payload else (Outcome.WRONG, repr(reply))
