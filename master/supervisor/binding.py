"""Binding: which listeners a generation has. By difference: an address that stays keeps its very socket and queue.

Can go wrong: an address is taken, or there are too many: `BindError`.
"""

import os
import socket

from forkful.conf.address import Address
from forkful.conf.plan import Plan, PoolPlan
from forkful.master.model.events import ListenerClosed, Warned
from forkful.master.supervisor import actions
from forkful.master.supervisor.generations import Generation
from forkful.master.supervisor.state import State
from forkful.master.system import fd_store, identity, listeners, peer_group, socket_file, socket_options
from forkful.master.system.listeners import BindError, Listener
from forkful.master.system.socket_options import FRESH, SocketOptions


def listeners_of(state: State, plan: Plan, opened: list[Listener]) -> dict[str, tuple[Listener, ...]]:
    """The listeners of each pool: by difference, so that an address that stays keeps its very socket."""
    held = state.held()
    before = _options(state.current.plan) if state.current is not None else {}
    result = {}
    for pool in plan.pools:
        state.listening.number_pool(pool.name)
        row = []
        for address in pool.bind:
            key, own = str(address), pool.at(address)
            options = SocketOptions.of(own, address)
            if options != before.get(address) and (name := socket_options.missing(options)):
                raise BindError(f"cannot listen on {address}: there is no interface {name}; ip link lists them")
            if key not in held:
                if address.fd in {x.sock.fileno() for x in [*held.values(), *state.admin.listeners]}:
                    raise BindError(f"cannot listen on {address}: it is a socket of the master's own")
                stored = state.listening.take(fd_store.name_of(key))
                inode = os.fstat(stored).st_ino if stored is not None else 0
                held[key] = listeners.bind(
                    address,
                    backlog=own.backlog,
                    access=identity.access(own, plan.master),
                    options=options,
                    stored=stored,
                )
                opened.append(held[key])
                if stored is not None and os.fstat(held[key].sock.fileno()).st_ino != inode:
                    state.listening.has_no_use_for(fd_store.name_of(key))  # nobody could reach that one any more
            if pool.affinity == "peer" and held[key].group is None:
                formed = _with_slots(state, pool, held[key], options)
                opened[:] = [formed if x is held[key] else x for x in opened]
                held[key] = formed
            state.listening.number_address(pool.name, key, _addresses(state, plan, pool.name))
            row.append(held[key])
        result[pool.name] = tuple(row)
    return result


def _with_slots(state: State, pool: PoolPlan, listener: Listener, options: SocketOptions) -> Listener:
    """A socket for each slot, at the address of the first one; as many as were stored are those of before."""
    stored: list[socket.socket] = []
    while (fd := state.listening.take(_name(listener, len(stored) + 1))) is not None:
        stored.append(socket.socket(fileno=fd))
    try:
        return peer_group.form(listener, max(1, state.targets.of(pool)), stored, options)
    except OSError as error:
        raise BindError(f"cannot give each worker a socket at {listener.address}: {error.strerror}") from error


def _name(listener: Listener, slot: int) -> str:
    """Under which a socket is stored; of the first slot as of any listener's."""
    return fd_store.name_of(f"{listener.address} slot {slot}" if slot else str(listener.address))


def _addresses(state: State, plan: Plan, pool: str) -> set[str]:
    """Those of a pool that are wanted by the plan, or still open for a generation."""
    wanted = {str(a) for p in plan.pools if p.name == pool for a in p.bind}
    for generation in state.all_generations():
        wanted.update(str(x.address) for x in generation.listeners.get(pool, ()))
    return wanted


def give_anew(state: State, old: Plan, generation: Generation) -> None:
    """Give sockets that stay to whom the settings say now, where they said something else."""
    before = {address: identity.access(pool.at(address), old.master) for pool in old.pools for address in pool.bind}
    for pool, listener in generation.each_listener():
        access = identity.access(pool, generation.plan.master)
        if not listener.address.has_file or before.get(listener.address, access) == access:
            continue
        try:
            socket_file.change(listener.address.path, listener.inode, access)
        except OSError as error:
            state.journal.report(Warned(f"{listener.bound} stays as it is: {error.strerror or error}"))


def _options(plan: Plan) -> dict[Address, SocketOptions]:
    return {address: SocketOptions.of(pool.at(address), address) for pool in plan.pools for address in pool.bind}


def change_options(state: State, old: Plan | None, generation: Generation) -> None:
    """Give sockets the queues and options that the settings say now."""
    before = _options(old) if old is not None else {}
    for pool, listener in generation.each_listener():
        if not listener.is_open:
            continue
        now = SocketOptions.of(pool, listener.address)
        was = before.get(listener.address, FRESH)
        told = []
        try:
            listeners.change(listener, pool.backlog, now, was)
        except OSError as error:
            told.append(error.strerror)
        if now != was:
            told += socket_options.lacks(listener.sock, now)
        for trouble in told:
            state.journal.report(Warned(f"{listener.bound}: {trouble}"))


def keep_in_store(state: State, generation: Generation) -> None:
    """Have the manager keep the listeners that are the service's from now on, in place of those that are not.

    Not before: a generation that failed would leave sockets behind in which clients wait for nobody.
    """
    for name in state.listening.take_forgotten():
        state.manager.notifier.unstore(name)
    if state.server is not None:
        return  # drop-in mode: the script binds for itself, and would find its address taken
    for listener in (x for row in generation.listeners.values() for x in row):
        if listener.address.scheme != "fd":  # whoever handed that one to us keeps it
            store(state, listener)


def store(state: State, listener: Listener) -> None:
    """Have the manager keep what it does not keep yet of a listener, which no script has bound."""
    if state.server is not None:
        return
    for slot, sock in enumerate(listener.sockets):
        if (name := _name(listener, slot)) not in state.listening.kept:
            state.manager.notifier.store(name, sock.fileno())
            state.listening.keep(name)


def forget(state: State, listener: Listener) -> None:
    """Have the manager drop a listener."""
    for slot, _ in enumerate(listener.sockets):
        name = _name(listener, slot)
        state.listening.drop(name)
        state.manager.notifier.unstore(name)


def bury(state: State) -> None:
    """Let go of the listeners that only generations of the past hold, and of these once they have no workers left.

    The listeners at once: their workers empty the queues and close, and where we kept a socket open longer it would
    take in clients whom nobody will serve.
    """
    if state.current is None:
        return  # the first start was given up: its listeners are the stop's to close, when their queues are empty
    present = [state.current, state.transaction.candidate if state.transaction is not None else None]
    kept = {str(x.address) for g in present if g is not None for row in g.listeners.values() for x in row}
    for generation in [*state.generations.retired]:
        if state.generations.is_spare(generation):
            continue  # it may be had back; its listeners are all the current one's, too
        actions.dismiss_mold(state, generation)  # it casts nobody any more, and has the sockets too
        gone = [x for row in generation.listeners.values() for x in row if str(x.address) not in kept]
        for listener in gone:
            if listener.is_open:
                forget(state, listener)
                state.journal.report(ListenerClosed(listener.bound))
                listener.close()
        if not any(worker.generation == generation.number for worker in state.workers.fleet.values()):
            state.generations.bury(generation)
            listeners.close_all(gone)
