"""An inheritance: what a worker leaves to the one after it in its slot, so that a server keeps its state.

    from forkful.handlers import bequeath, when_inherited

    when_inherited(lambda left: sessions.update(json.loads(left or b"{}")))
    bequeath(lambda: json.dumps(sessions).encode())

A worker leaves something once, for a reload, an upgrade or a recycling: what a function gives that it named, when it
has nothing in hand any more, or what it hands over itself between the moment when it drains and its end.
One that is killed leaves nothing, and then b"" is inherited.
With `affinity = "peer"` a worker takes its first datagram after it has inherited. Other pools accept meanwhile, and
inherit once the worker before has left something, or is gone.
Can go wrong: it is bequeathed too early, twice or too much, or asked for before it can be known: a `RuntimeError`,
a `ValueError`, which say so. Outside of a worker nothing is left and nothing inherited.
"""

import logging
import sys
import threading
from collections.abc import Callable
from typing import Final

from forkful.handlers.farewell import draining

logger = logging.getLogger("forkful.worker")

BEQUEST_MAX: Final = 16 * 1024 * 1024  # bytes

Taker = Callable[[bytes], object]
Data = bytes | bytearray | memoryview
Maker = Callable[[], Data]


class Inheritance:
    """Of this process, which may be both an heir and one who leaves something."""

    def __init__(self) -> None:
        self.anew()

    def anew(self) -> None:
        """A new worker was forked, or none is here; who asked at the import is remembered."""
        self._lock = threading.Lock()
        self._known = threading.Event()
        self._takers: list[Taker] = getattr(self, "_takers", [])
        self._maker: Maker | None = getattr(self, "_maker", None)
        self._data = b""
        self._leave: Callable[[bytes], object] | None = None
        self._ask: Callable[[], object] | None = None
        self._asked = self._left = self._serves = False

    # -- for the worker ----------------------------------------------------------------------------------------------

    def by(self, leave: Callable[[bytes], object], ask: Callable[[], object]) -> None:
        """How this worker leaves something, and asks for what was left to it: `came` answers."""
        self._leave, self._ask = leave, ask

    def begin(self, *, must_know: bool = False) -> None:
        """It serves from now on, so whoever was before it will leave: ask, if somebody here wants to know."""
        with self._lock:
            self._serves = True
            wanted = must_know or bool(self._takers)
        if wanted:
            self._request()

    def came(self, data: bytes) -> None:
        """This is what was left to us."""
        with self._lock:
            self._data = data
            takers, self._takers = self._takers, []
            self._known.set()
        for taker in takers:
            _give(taker, data)

    def finish(self) -> None:
        """It has nothing in hand any more, and leaves."""
        if self._maker is None or self._left or not draining().is_set():
            return
        try:
            self.leave(self._maker())
        except Exception:
            logger.exception("nothing is bequeathed: %r failed", self._maker)

    def _request(self) -> None:
        with self._lock:
            asks, self._asked = not self._asked, True
        if asks and self._ask is not None:
            self._ask()

    # -- for handlers ------------------------------------------------------------------------------------------------

    def leave(self, data: Data | Maker) -> None:
        if callable(data):
            self._maker = data
            return
        data = bytes(memoryview(data))
        if len(data) > BEQUEST_MAX:
            raise ValueError(f"{len(data)} bytes are too many to bequeath: at most {BEQUEST_MAX}")
        if self._leave is None:
            return
        if not draining().is_set():
            raise RuntimeError("this worker does not drain yet: bequeath() belongs into a callback of draining()")
        with self._lock:
            again, self._left = self._left, True
        if again:
            raise RuntimeError("this worker has bequeathed already, which it may do once")
        self._leave(data)

    def wait(self, timeout: float | None) -> bytes:
        if self._ask is None or self._known.is_set():
            return self._data
        if not self._serves:
            raise RuntimeError(
                "inherited() is known only once this worker serves, as the one before it serves until then: ask in "
                "the handler, or use when_inherited()"
            )
        self._request()
        if not self._known.is_set() and _on_a_loop():
            raise RuntimeError(
                "inherited() would block this event loop until the worker before this one has left: use "
                "when_inherited(), or await asyncio.to_thread(inherited)"
            )
        if not self._known.wait(timeout):
            raise TimeoutError(f"after {timeout:g} s the worker before this one has neither left anything nor gone")
        return self._data

    def call(self, taker: Taker) -> None:
        with self._lock:
            if known := self._known.is_set():
                serves = False
            else:
                self._takers.append(taker)
                serves = self._serves
        if known:
            _give(taker, self._data)
        elif serves:
            self._request()


def _on_a_loop() -> bool:
    if (asyncio := sys.modules.get("asyncio")) is None:  # 40 ms and 11 MB that not every worker pays for
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _give(taker: Taker, data: bytes) -> None:
    try:
        taker(data)
    except Exception:
        logger.exception("a callback for what is inherited failed: %r", taker)


_inheritance = Inheritance()


def inheritance() -> Inheritance:
    """That of this process, for the worker itself."""
    return _inheritance


def bequeath(data: Data | Maker) -> None:
    """Leave this to the worker after this one in its slot, at most `BEQUEST_MAX` bytes: once, while this one drains.

    Or name a function that gives it, at any time: it is called when this worker has nothing in hand any more.
    """
    _inheritance.leave(data)


def inherited(timeout: float | None = None) -> bytes:
    """What the worker before this one in its slot left, b"" if nothing; waits until it is known, or `TimeoutError`."""
    return _inheritance.wait(timeout)


def when_inherited(callback: Taker) -> None:
    """Have `callback(data)` called once it is known what was left; for the time of import, and for event loops.

    It runs on the event loop, or where there is none on the worker's control thread. In a pool with affinity that is
    before the first datagram.
    """
    _inheritance.call(callback)
