"""The loop: one selector on one page. Each source is one line; it sleeps until something happens or a deadline comes.

Can go wrong: nothing by itself; what the rooms raise is a broken invariant of ours, and ends the master loudly.
"""

import contextlib
import math
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

from forkful.master.policy import pools
from forkful.master.supervisor import (
    actions,
    binding,
    commands,
    delivery,
    flows,
    helpers,
    reaper,
    reload,
    requests,
    rollback,
    sampling,
    shutdown,
    succession,
    watching,
)
from forkful.master.supervisor.generations import MoldRecord
from forkful.master.supervisor.stand_in import StandIn
from forkful.master.supervisor.state import State, Watched
from forkful.master.supervisor.transaction import Helper
from forkful.master.system import terminal_signals
from forkful.master.system.terminal_signals import TerminalSignals
from forkful.worker.ipc.channel import Channel

Heard = Callable[[float], None]


class Loop:
    """Waits and dispatches. Everything that is decided or done is elsewhere."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._signals = socket.socketpair()
        self._wakeup.setblocking(False)
        self._signals.setblocking(False)
        self._came: list[int] = []  # the numbers of the signals that nobody has heard yet
        self._terminal = TerminalSignals()
        self._stand_in = StandIn(state, self._watch_fd, self._unwatch)
        state.own += [self._selector, self._wakeup, self._signals, self._terminal, self._stand_in]
        state.watch_worker = lambda token: self._watch(
            state.workers.channels[token], lambda now: reaper.hear_worker(state, token, now)
        )
        state.watch_mold = self._watch_mold
        state.watch_admin = self._watch_admin
        state.watch_watcher = self._watch_watcher
        state.watch_helper = self._watch_helper
        state.watch_command = lambda pid, fd: self._watch_fd(fd, lambda _now: commands.hear(state, pid))
        state.watch_barrier = self._watch_barrier
        state.unwatch = self._unwatch
        state.unheard = self._unheard
        self._watch_fd(self._wakeup, self._signalled)
        self._watch_fd(self._terminal, self._signalled_by_terminal)

    def run(self) -> int:
        """Turn until everybody is gone; return the exit code."""
        state = self.state
        while True:
            now = time.monotonic()
            wake_at = settle(state, now)
            if shutdown.is_over(state):
                return shutdown.finish(state)
            now = time.monotonic()
            wake_at = min(wake_at, self._stand_in.advance(now))
            for key, mask in self._selector.select(min(3600.0, max(0.0, wake_at - now))):
                now = time.monotonic()
                if mask & selectors.EVENT_WRITE and isinstance(key.fileobj, Channel):
                    key.fileobj.flush()
                if mask & selectors.EVENT_READ and self._is_watched(key.fileobj):
                    key.data(now)
            self._want_writes()

    def wake(self, number: int) -> None:
        """Act as if this signal had come. From any thread."""
        self._note(number)
        with contextlib.suppress(BlockingIOError):  # full: it wakes anyway
            self._signals.send(b"\0")

    def close(self) -> None:
        self._selector.close()
        self._wakeup.close()
        self._signals.close()
        self._terminal.close()
        self._stand_in.close()

    # -- sources -----------------------------------------------------------------------------------------------------

    def _watch_fd(self, source: socket.socket | Channel | TerminalSignals | int, heard: Heard) -> None:
        self._selector.register(source, selectors.EVENT_READ, heard)

    def _watch(self, channel: Channel, heard: Heard) -> None:
        self._watch_fd(channel, heard)

    def _watch_mold(self, mold: MoldRecord) -> None:
        self._watch(mold.channel, lambda now: reaper.hear_mold(self.state, mold, now))

    def _watch_admin(self) -> None:
        if self.state.admin.channel is not None:
            self._watch(self.state.admin.channel, lambda now: requests.hear_admin(self.state, now))

    def _watch_watcher(self) -> None:
        if self.state.watch.channel is not None:
            self._watch(self.state.watch.channel, lambda now: watching.hear(self.state, now))

    def _watch_helper(self, helper: Helper) -> None:
        for fd in (helper.stdout, helper.stderr):
            self._watch_fd(fd, lambda now: helpers.hear(self.state, helper, now))

    def _watch_barrier(self, fd: int) -> None:
        if fd >= 0:
            self._watch_fd(fd, lambda now: shutdown.barrier_is_passed(self.state, now))

    def _unwatch(self, source: Watched | socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(source)

    def _is_watched(self, source: object) -> bool:
        """Whether an earlier event of this turn has not already closed it."""
        return source in {key.fileobj for key in self._selector.get_map().values()}

    def _want_writes(self) -> None:
        """Wait for room on those channels that have more to send than their socket took."""
        for key in [*self._selector.get_map().values()]:
            if isinstance(key.fileobj, Channel):
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if key.fileobj.pending else 0)
                if events != key.events:
                    self._selector.modify(key.fileobj, events, key.data)

    # -- signals -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def signal_handlers(self) -> Iterator[None]:
        """Let signals be noted and wake the loop, and nothing else. Restored at the end.

        A byte in the wakeup descriptor wakes only: in a storm it is full, and the byte of a SIGCHLD or SIGTERM is lost.

        They may be blocked when we come out of an exec; what came meanwhile is heard now.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the master needs the main thread: signals arrive nowhere else")
        before = {number: signal.signal(number, self._note) for number in requests.SIGNALS}
        wakeup = signal.set_wakeup_fd(self._signals.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*requests.SIGNALS} - terminal_signals.NUMBERS)
        try:
            yield
        finally:
            if self.state.server is None:  # the process ends. Python takes our handlers away before it has
                signal.pthread_sigmask(signal.SIG_BLOCK, requests.SIGNALS)
                signal.set_wakeup_fd(wakeup)
            else:
                signal.set_wakeup_fd(wakeup)
                self._terminal.let_go()
                for number, handler in before.items():
                    signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _signalled(self, now: float) -> None:
        for number in self._unheard():
            if number == signal.SIGCHLD:
                reaper.reap(self.state, now)
            else:
                requests.signalled(self.state, number, now)

    def _signalled_by_terminal(self, now: float) -> None:
        for number in self._terminal.heard():
            requests.signalled(self.state, number, now)

    def _note(self, number: int, _frame: object = None) -> None:
        self._came.append(number)

    def _unheard(self) -> bytes:
        """What has come since the last time: each number once, however often it came, and a second SIGTERM last."""
        with contextlib.suppress(BlockingIOError):
            while self._wakeup.recv(1024):
                pass
        came, self._came = self._came, []
        numbers = bytes(dict.fromkeys(came)) + bytes([signal.SIGTERM] * (came.count(signal.SIGTERM) > 1))
        if terminal_signals.NUMBERS.isdisjoint(numbers) or terminal_signals.is_of_processes():
            return numbers
        return bytes(number for number in numbers if number not in terminal_signals.NUMBERS)  # a thread took them


def settle(state: State, now: float) -> float:
    """Decide and act until nothing is left to do now; return when to ask again (monotonic seconds)."""
    while True:
        steps = [shutdown.advance(state, now), reload.advance(state, now), rollback.advance(state, now)]
        steps.append(sampling.advance(state, now))
        succession.advance(state)
        flows.advance(state)
        wanted, wake_at = pools.decide(state.wanted(), state.workers.fleet.values(), now)
        changed = [actions.carry_out(state, action, now) for action in wanted]
        binding.bury(state)
        steps += [
            delivery.advance(state, now),
            actions.see_off(state, now),
            _keep_helpers(state, now),
            watching.advance(state, now),
            commands.advance(state, now),
            state.manager.give_sign(now),
        ]
        wake_at = min(wake_at, *steps, state.manager.give_sign(now))
        if wake_at > now and not any(changed):
            _say_status(state)
            return min(wake_at, state.manager.notifier.flush(now))


def _keep_helpers(state: State, now: float) -> float:
    """See that the current generation has a mold, and the master its admin child; return when to try again."""
    if state.stop is not None and state.stop.draining:
        return math.inf
    wake_at: list[float] = []
    if state.current is not None and state.current.mold is None:
        actions.start_mold(state, state.current, now)
        wake_at += [state.current.mold_strikes.not_before]
    if state.current is not None and state.current.mold is not None:
        wake_at += [actions.watch_over_mold(state, state.current.mold, now)]
    is_due = state.admin.replace_at <= now and state.transaction is None  # whose end somebody may wait for
    if is_due or state.admin.leaves_by <= now:
        actions.replace_admin(state, now)
    wake_at += [state.admin.replace_at, state.admin.leaves_by]
    if not state.admin.pid and state.wants_admin():
        actions.start_admin(state, now)
        wake_at += [state.admin.strikes.not_before]
    return min((time_ for time_ in wake_at if time_ > now), default=math.inf)


def _say_status(state: State) -> None:
    _, text = state.readiness()
    if not text:
        last = state.last_reload
        text = "serving" if last.successful else f"serving; the last reload failed: {last.message}"
    state.manager.notifier.status(text)
