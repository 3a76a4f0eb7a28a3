"""A mold: the process of one generation that imports its handlers once and casts workers when asked.

It forks twice, so that a worker is orphaned at once and becomes a child of the master, its subreaper. With `preload`
the handlers' modules are imported before the first cast; a module that cannot be imported is told to the master, and
each worker of that pool then tries for itself. Keys for TLS are read while the mold is still who the master is; workers
inherit the contexts, and with them what tickets are encrypted by, so a client's session goes on with any of them.
Can go wrong: the kernel refuses a fork: told to the master as `cast_failed`. The master dies: a mold that imports dies
at once, and one that casts stays for a moment, to see that its workers have noticed.
"""

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import setproctitle

from forkful.conf import logs, python_variables
from forkful.conf.light import dataclass
from forkful.conf.plan import Plan
from forkful.handlers import binding, load
from forkful.handlers.hooks import HookError, Hooks
from forkful.master.supervisor import secrets
from forkful.master.system import identity, privileges, spawn
from forkful.worker import main as worker
from forkful.worker.ipc import messages, reload_messages
from forkful.worker.ipc.assignment import Assignment
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.scoreboard import Scoreboard
from forkful.worker.process import imports, prompts
from forkful.worker.process.signals import KICK

log = logging.getLogger("forkful.mold")

_NUDGES = (0.02, 0.05, 0.1, 0.2)  # seconds of pause before each


@dataclass(frozen=True, slots=True)
class PoolShape:
    """What all workers of a pool in this generation share: its number, its listeners, and their numbers."""

    number: int
    listeners: tuple[int, ...]  # descriptors
    numbers: tuple[int, ...]
    peers: int = -1  # the descriptor of its table of peers, if it has limits by address
    own: int = 0  # how many descriptors come with each cast: the listeners of that slot


@dataclass(frozen=True, slots=True)
class Mold:
    """What the child of that name works with."""

    generation: int
    plan: Plan
    shapes: Mapping[str, PoolShape]
    board: Scoreboard
    channel: Channel
    server: object = None  # the drop-in mode's server object, which is here already

    def run(self) -> int:
        """Import, say ready, and cast until the master is gone."""
        spawn.ignore(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
        spawn.ignore(signal.SIGWINCH)
        contexts: secrets.Contexts = {}
        if secrets.are_needed(self.plan):
            try:
                contexts = secrets.read(self.plan, {name: shape.listeners for name, shape in self.shapes.items()})
            except secrets.Unusable as error:
                self.channel.send(messages.Unsecured(messages.cut(str(error))))
                return 1
        identity.assume(self.plan.master)
        if contexts:
            privileges.hide_memory()
        spawn.die_with_parent()
        python_variables.restore()
        load.prepare_path(str(Path.cwd()))
        logs.configure(self.plan.master.log, "mold")
        failures = self._preload()
        logs.adopt_root()
        threads = tuple(t.name for t in threading.enumerate() if t is not threading.main_thread())
        self._settle()
        self.channel.send(messages.MoldReady(failures, threads))
        spawn.outlive_parent()
        poll = select.poll()  # select() knows descriptors up to 1023 only
        poll.register(self.channel, select.POLLIN)
        while not self.channel.closed:
            poll.poll()
            for message in self.channel.receive(messages.TO_MOLD):
                match message:
                    case messages.Leave():
                        return 0
                    case messages.Reopen():
                        logs.reopen()
                    case messages.Cast():
                        self._cast(message, contexts)
                    case messages.Refused(why=why):  # and whose descriptors these are is not known any more
                        log.error("the master said what this version does not know: %s; this mold leaves", why)
                        return 1
        self._nudge_orphans()
        return 0

    def _settle(self) -> None:
        """What is here now is never collected in a worker, so its pages stay shared."""
        if not self.plan.master.reload:  # where it would take as long as all the rest
            gc.collect()
        gc.freeze()

    def _nudge_orphans(self) -> None:
        """The master is dead: do for it what `master.nudge` does, with nobody's word unread but that of its death."""
        for fd in {fd for shape in self.shapes.values() for fd in shape.listeners}:
            os.close(fd)  # the queues are the workers' alone now
        for pause in _NUDGES:
            time.sleep(pause)
            for pid in self.board.pids():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, KICK)  # ignored by default, should the number be somebody else's by now

    def _preload(self) -> dict[str, messages.NotLoaded]:
        failures = {}
        if self.plan.master.reload:
            prompts.follow(lambda now: self.channel.send(reload_messages.AtPrompt(now)))
        binding.held.set({fd for shape in self.shapes.values() for fd in shape.listeners})
        for pool in self.plan.pools:
            hooks = Hooks(pool.hooks, pool.name, self.generation)
            if pool.preload or (hooks and self.server is not None):  # whose application is here
                try:
                    hooks.on_load()
                    if self.server is None:
                        worker.warm(pool, load.preload(pool.handler))
                    hooks.find_all()
                except BaseException as error:  # noqa: BLE001  # user code may raise anything, SystemExit too
                    if isinstance(error, HookError):
                        self.channel.send(messages.LoadHookFailed(pool.name, error.hook))
                    failures[pool.name] = messages.NotLoaded(messages.cut(str(error)), messages.cut(_trace(error)))
        if self.plan.master.reload:
            imports.tell(
                self.channel.send, {path for one in failures.values() for path in imports.named_in(one.traceback)}
            )
        return failures

    def _cast(self, order: messages.Cast, contexts: secrets.Contexts) -> None:
        fds = self.channel.fds
        count = 1 + self.shapes[order.pool].own
        came, fds[:] = fds[:count], fds[count:]
        read = write = -1
        try:
            read, write = os.pipe()
            middle = os.fork()
        except OSError as error:
            for end in (read, write):
                if end >= 0:
                    os.close(end)
            self.channel.send(messages.CastFailed(order.token, f"cannot fork: {error}"))
            _close(came)
            return
        if middle == 0:
            self._between(order, came, write, contexts)
        _close([*came, write])
        pid = int(os.read(read, 20) or 0)
        os.close(read)
        with contextlib.suppress(ChildProcessError):  # the program ignores SIGCHLD, or waits for children itself
            os.waitpid(middle, 0)
        self.channel.send(
            messages.CastDone(order.token, pid) if pid else messages.CastFailed(order.token, "cannot fork")
        )

    def _between(self, order: messages.Cast, came: Sequence[int], write: int, contexts: secrets.Contexts) -> None:
        """The process between mold and worker: it lives for one more fork. Never returns."""
        try:
            pid = os.fork()
            if pid == 0:
                os.close(write)
                self._become_worker(order, contexts, *came)
            os.write(write, b"%d" % pid)
        finally:
            os._exit(0)

    def _become_worker(self, order: messages.Cast, contexts: secrets.Contexts, fd: int, *own: int) -> None:
        """Never returns."""
        code = 1
        try:
            assignment = self._assignment(order, own, secrets.of_one(contexts, order.pool))
            setproctitle.setproctitle(f"{assignment.name}: {assignment}")
            if assignment.log.format == "json":  # where each record says who wrote it
                logs.configure(assignment.log, str(assignment))
            self.channel.close()
            for other in self.channel.fds:  # of workers that are cast next: their lifelines
                os.close(other)
            ours = set(assignment.listeners)
            for shape in self.shapes.values():
                for other in {*shape.listeners} - ours:
                    os.close(other)
                    ours.add(other)  # pools may share an address
                if shape.peers not in (-1, assignment.peers):
                    os.close(shape.peers)
            code = worker.run(assignment, self.board, Channel(socket.socket(fileno=fd)))
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            log.exception("%s failed", order)
        finally:
            logs.finish()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _assignment(self, order: messages.Cast, own: tuple[int, ...], contexts: secrets.OfPool) -> Assignment:
        pool = next(pool for pool in self.plan.pools if pool.name == order.pool)
        shape = self.shapes[pool.name]
        return Assignment(
            plan=pool,
            pool=shape.number,
            slot=order.slot,
            generation=self.generation,
            row=order.row,
            lanes=order.lanes,
            listeners=shape.listeners or own,
            numbers=shape.numbers,
            contexts=contexts,
            peers=shape.peers,
            graceful_timeout=self.plan.master.graceful_timeout,
            name=self.plan.master.name,
            log=self.plan.master.log,
            server=self.server,
        )


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def _trace(error: BaseException) -> str:
    trimmed = getattr(error, "traceback", None)  # a LoadError's: the user's frames only
    return trimmed if isinstance(trimmed, str) else "".join(traceback.format_exception(error))
