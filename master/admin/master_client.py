"""The client of the master: sends what the admin child asks, and waits for the answers, many at once.

Threads ask; the admin child's loop receives, and hands each answer to the thread that waits for it. While the master
executes its next image, which on a busy machine takes seconds, probes get what it said last.
Can go wrong: the master does not answer in time, or is gone. Both raise `NoAnswerError`.
"""

import itertools
import select
import threading
import time
from concurrent.futures import Future
from typing import cast

from forkful.master.model.facts import Facts
from forkful.worker.ipc import messages
from forkful.worker.ipc.channel import Channel

EXECUTION = 60.0  # seconds that the next image may take to begin: until then the master is taken to be well
PATIENCE = 10.0  # seconds for an answer that the master can give out of its head, or when an upgrade has executed it
GONE = "the master is gone"
REPLACED = "this admin child is replaced, and could not wait for the master's answer; ask again how it went"


class NoAnswerError(TimeoutError):
    """The master did not answer in time, or is gone."""


def _question(number: int, order: messages.Order | messages.Steer) -> messages.Question | messages.Steering:
    if isinstance(order, messages.Steer):
        return messages.Steering(number, order)
    return messages.Question(number, order)


class MasterClient:
    """The admin child's end of the channel. `tell` is for threads that want no answer."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._open: dict[int, Future[messages.Facts | messages.Answer]] = {}
        self._sending = threading.Lock()
        self._over = ""  # why nobody will answer any more
        self._last: messages.Facts | None = None  # as far as we were told any
        self._executes_until = 0.0  # monotonic seconds
        self._probing: set[int] = set()  # the questions of probes

    def facts(self, timeout: float = PATIENCE) -> Facts:
        return self._facts(timeout)

    def probe(self, timeout: float = PATIENCE) -> Facts:
        """The facts for a probe, which are the last ones while the master executes its next image."""
        return self._facts(timeout, probes=True)

    def _facts(self, timeout: float, *, probes: bool = False) -> Facts:
        answer = self._ask(messages.TellFacts(), timeout, probes=probes)
        if not isinstance(answer, messages.Facts):
            raise NoAnswerError(answer.message)
        return cast("Facts", answer.facts)

    def executes(self) -> None:
        """The master executes its next image. Probes that wait already are answered, too."""
        self._executes_until = time.monotonic() + EXECUTION
        if (last := self._last) is not None:
            for number in tuple(self._probing):
                self.answered(messages.Facts(number, last.facts))

    def is_back(self) -> None:
        """It has said something."""
        self._executes_until = 0.0

    def ask(self, order: messages.Order | messages.Steer, timeout: float | None = PATIENCE) -> messages.Answer:
        """Send an order and wait for its answer; None waits for as long as the master lives. Raise `NoAnswerError`."""
        answer = self._ask(order, timeout)
        if not isinstance(answer, messages.Answer):
            raise NoAnswerError("the master answered another question")
        return answer

    def _ask(
        self, order: messages.Order | messages.Steer, timeout: float | None, *, probes: bool = False
    ) -> messages.Facts | messages.Answer:
        number, answer = next(self._numbers), Future[messages.Facts | messages.Answer]()
        self._open[number] = answer
        if probes:
            self._probing.add(number)  # before we look: the loop may be told at any moment
        try:
            if probes and (last := self._last) is not None and time.monotonic() < self._executes_until:
                return last
            self._send(_question(number, order))
            if self._channel.closed or self._over:
                self.hang_up(self._over or GONE)
            return answer.result(timeout)
        except NoAnswerError:
            raise
        except TimeoutError:
            raise NoAnswerError(f"the master did not answer within {timeout:g} s") from None
        finally:
            self._open.pop(number, None)
            self._probing.discard(number)

    def tell(self, order: messages.Order | messages.Steer) -> None:
        """Send an order whose answer nobody waits for."""
        self._send(_question(next(self._numbers), order))

    def awake(self) -> None:
        """Tell the master that this process turns."""
        self._send(messages.Awake())

    def answered(self, message: messages.Facts | messages.Answer) -> None:
        """Hand an answer to the thread that waits for it. One that came too late is nobody's."""
        if isinstance(message, messages.Facts):
            self._last = message
        waiting = self._open.pop(message.id, None)
        if waiting is not None:
            waiting.set_result(message)

    def hang_up(self, why: str = GONE) -> None:
        """Nobody will answer any more."""
        self._over = why
        for number in tuple(self._open):
            waiting = self._open.pop(number, None)
            if waiting is not None:
                waiting.set_exception(NoAnswerError(why))

    def _send(self, message: messages.FromAdmin) -> None:
        deadline = time.monotonic() + PATIENCE
        with self._sending:
            self._channel.send(message)
            while self._channel.pending and not self._channel.closed:  # its buffer is full: it has not read for long
                poller = select.poll()
                poller.register(self._channel, select.POLLOUT)
                if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise NoAnswerError("the master does not read what it is asked")
                self._channel.flush()
