"""Orders: what operators ask of the master, by signal or over the admin child, and what the master answers.

Can go wrong: an order for a pool that does not exist, or while the service stops, is answered with why not.
"""

import contextlib
import os
import signal

from forkful.conf import logs
from forkful.master.model.events import Noted, NotUnderstood, Scaled
from forkful.master.supervisor import actions, reload, shutdown, snapshot
from forkful.master.supervisor.state import House, Kind
from forkful.worker.ipc import messages

TERM_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
SIGNALS = (
    *sorted(TERM_SIGNALS),
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
    signal.SIGCHLD,
)


def signalled(house: House, number: int, now: float) -> None:
    """Do what a signal asks for. SIGCHLD is the loop's."""
    match number:
        case signal.SIGTERM:
            shutdown.begin(house, quick=house.stop is not None, why="SIGTERM", now=now)
        case signal.SIGINT | signal.SIGQUIT:
            shutdown.begin(house, quick=True, why=signal.Signals(number).name, now=now)
        case signal.SIGHUP:
            reload.request(house, Kind.RELOAD, None, now)
        case signal.SIGUSR1:
            reopen(house)
        case signal.SIGUSR2:
            reload.request(house, Kind.UPGRADE, None, now)
        case signal.SIGTTIN | signal.SIGTTOU:
            _step(house, 1 if number == signal.SIGTTIN else -1)
        case signal.SIGWINCH if house.stop is None:
            house.paused = True
            if house.transaction is not None:
                house.transaction.revives = False
            house.journal.report(Noted("SIGWINCH: all workers retire, the sockets stay open; SIGHUP brings them back"))


def hear_admin(house: House, now: float) -> None:
    """Take what the admin child asks."""
    channel = house.admin.channel
    if channel is None:
        return
    for message in channel.receive(messages.FROM_ADMIN):
        match message:
            case messages.Question(id=question, order=order):
                _asked(house, question, order, now)
            case messages.Refused(why=why):
                _garbled(house, why)
    if channel.closed:
        house.unwatch(channel)


def _garbled(house: House, why: str) -> None:
    """It says what no admin child of ours says: reported once, killed and replaced."""
    if not house.admin.garbled:
        house.admin.garbled = True
        house.journal.report(NotUnderstood(f"admin pid={house.admin.pid}", why))
        if house.admin.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(house.admin.pid, signal.SIGKILL)


def _asked(house: House, question: int, order: messages.Order, now: float) -> None:
    match order:
        case messages.TellFacts():
            if house.admin.channel is not None:
                house.admin.channel.send(messages.Facts(question, {**snapshot.facts(house, now)}))
        case messages.Reload():
            reload.request(house, Kind.RELOAD, question, now)
        case messages.Upgrade():
            reload.request(house, Kind.UPGRADE, question, now)
        case messages.Scale(pool=pool, workers=workers):
            ok, text = _scale(house, pool, workers)
            house.answer(question, ok=ok, message=text)
        case messages.Stop(quick=quick):
            shutdown.begin(house, quick=quick, why="the stop command", now=now)
            house.answer(question, ok=True, message="stopping")
        case messages.ReopenLogs():
            reopen(house)
            house.answer(question, ok=True, message="log files are reopened")
        case messages.ShowStacks(pool=name, slot=slot):
            told = actions.tell_all(house, messages.Stacks(), pool=name, slot=slot)
            text = f"{told} workers write their stacks to the log" if told else "there is no such worker"
            house.answer(question, ok=told > 0, message=text)


def reopen(house: House) -> None:
    """Open the log files anew, here and in every child."""
    logs.reopen()
    actions.tell_all(house, messages.Reopen())
    for mold in house.molds():
        mold.channel.send(messages.Reopen())
    if house.admin.channel is not None:
        house.admin.channel.send(messages.Reopen())
    house.journal.report(Noted("log files are reopened"))


def _step(house: House, by: int) -> None:
    """One worker more or less in every pool, never below one."""
    if house.stop is not None or house.current is None:
        return
    for pool in house.current.plan.pools:
        _retarget(house, pool.name, max(1, house.target(pool) + by), "SIGTTIN" if by > 0 else "SIGTTOU")


def _scale(house: House, name: str, workers: int) -> tuple[bool, str]:
    pool = house.current.pool(name) if house.current is not None else None
    if house.stop is not None:
        return False, "the service is stopping"
    if pool is None:
        names = ", ".join(pool.name for pool in house.current.plan.pools) if house.current else "none yet"
        return False, f"there is no pool {name!r}; there are: {names}"
    if workers < 0:
        return False, "a pool has at least 0 workers"
    _retarget(house, name, workers, "the scale command")
    return True, f"pool {name}: target is {workers} workers now"


def _retarget(house: House, name: str, workers: int, why: str) -> None:
    pool = house.current.pool(name) if house.current is not None else None
    if pool is not None:
        house.adjusted[name] = workers - pool.workers
        house.manual.add(name)
        house.journal.report(Scaled(name, workers, why))
