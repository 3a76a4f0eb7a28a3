"""A peer group: the sockets of one UDP address, one for each slot, and the kernel's rule by which a peer has its own.

They are a SO_REUSEPORT group, socket(7), in the order of the slots, with a program (classic BPF) that gives the number
of the socket from the peer's address and port (`forkful.master.policy.steering`). Not the kernel's own choice, which
counts every socket of the group: one that another program of our user adds, or that a handler binds for a connection of
its own, would move everybody. With the program it gets nothing.
The first socket is bound alone: if anybody is there, that fails. No socket is closed before the last: the kernel puts
the last one in the place of one that is closed.
Can go wrong: somebody else has joined, so that a socket more would not have the next number: `OSError`, in words.
"""

import errno
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from forkful.conf.plan import PoolPlan
from forkful.master.policy import steering
from forkful.master.system import packet_filter, socket_options
from forkful.master.system.listeners import Listener, PeerGroup
from forkful.master.system.packet_filter import Step
from forkful.master.system.socket_options import FRESH, SocketOptions

_SO_ATTACH_REUSEPORT_CBPF: Final = 51  # asm-generic/socket.h
_NET: Final = -0x100000 & 0xFFFFFFFF  # SKF_NET_OFF: from the network header on

# linux/bpf_common.h, as numbers: what is loaded into A, kept in X and M[], and done with it.
_LD_WORD, _LD_BYTE, _LD_MEM, _LD_NUMBER, _LD_HALF_AT_X, _LDX_IP_LENGTH = 0x20, 0x30, 0x60, 0x00, 0x48, 0xB1
_LDX_NUMBER, _ST, _TAX, _TXA, _RSH, _MUL, _XOR_X = 0x01, 0x02, 0x07, 0x87, 0x74, 0x24, 0xAC
_JEQ, _JGE, _RET, _RET_A = 0x15, 0x35, 0x06, 0x16

_UDP, _IPV6_LENGTH = 17, 40
_FEWEST = 2  # sockets: one alone is no group, and takes no rule


def form(listener: Listener, slots: int, stored: list[socket.socket], options: SocketOptions) -> Listener:
    """Make a group of a socket that is bound, and of those that were `stored` after it. Raises OSError."""
    listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    formed = replace(listener, group=PeerGroup(stored, 0))
    try:
        for sock in stored:
            socket_options.apply(sock, options, None)
        grow(formed, max(slots, _FEWEST), options)
        steer(formed, slots)
    except OSError:
        formed.close()
        raise
    return formed


def grow(listener: Listener, slots: int, options: SocketOptions) -> None:
    """Have a socket for each of so many slots. Nobody is sent to a new one yet. Raises OSError."""
    group = listener.group
    assert group is not None
    if len(listener.sockets) >= slots:
        return
    if len(_inodes(listener.sock)) > len(listener.sockets):
        raise OSError(errno.EADDRINUSE, "another program has joined it, so it can have no more slots")
    while len(listener.sockets) < slots:
        group.others.append(_another(listener.sock, options))


def of_slot(listeners: Iterable[Listener], slot: int, plan: PoolPlan) -> list[int]:
    """The descriptors of a slot's own sockets, made where there are none yet. Raises OSError."""
    found = []
    for listener in listeners:
        if listener.group is not None:
            grow(listener, slot + 1, SocketOptions.of(plan.at(listener.address), listener.address))
            found.append(listener.sockets[slot].fileno())
    return found


def steer(listener: Listener, slots: int) -> None:
    """Spread peers over the first `slots` sockets from now on; for whom, `steering` says. Raises OSError."""
    assert listener.group is not None
    packet_filter.attach(listener.sock, _SO_ATTACH_REUSEPORT_CBPF, program(slots))
    listener.group.slots = slots


def program(slots: int) -> list[Step]:
    """The rule as the kernel has it: `steering.slot_of`, step by step."""
    ipv6 = [*_folded(8, 4), (_ST, 0, 0, 0), (_LD_BYTE, 0, 0, _NET + 6), (_JEQ, 0, 3, _UDP)]
    ipv6 += [(_LDX_NUMBER, 0, 0, _IPV6_LENGTH), (_LD_HALF_AT_X, 0, 0, _NET), (_JEQ, 1, 1, 0)]
    ipv6 += [(_LD_NUMBER, 0, 0, 0)]  # headers in between: the address alone
    ipv4 = [*_folded(12, 1), (_ST, 0, 0, 0), (_LDX_IP_LENGTH, 0, 0, _NET), (_LD_HALF_AT_X, 0, 0, _NET)]
    ipv4 += [(_JEQ, len(ipv6), len(ipv6), 0)]  # past the other one
    steps = [(_LD_BYTE, 0, 0, _NET), (_RSH, 0, 0, 4), (_JEQ, 0, len(ipv4), 4), *ipv4, *ipv6]
    steps += [(_TAX, 0, 0, 0), (_LD_MEM, 0, 0, 0), (_XOR_X, 0, 0, 0)]  # with the port, which is in A
    for shift, factor in zip((16, 13), steering.MIX, strict=True):
        steps += [*_shifted(shift), (_MUL, 0, 0, factor)]
    steps += [*_shifted(16), (_TAX, 0, 0, 0)]
    for slot, die, below in steering.weights(slots):
        steps += [(_TXA, 0, 0, 0), (_MUL, 0, 0, die), (_JGE, 1, 0, below), (_RET, 0, 0, slot)]
    return [*steps, (_RET, 0, 0, 0)]


def _folded(start: int, words: int) -> Iterator[Step]:
    """The words of an address, brought together in A."""
    for word in range(words):
        yield _TAX, 0, 0, 0
        yield _LD_WORD, 0, 0, _NET + start + 4 * word
        if word:
            yield _XOR_X, 0, 0, 0
        yield _MUL, 0, 0, steering.FOLD


def _shifted(shift: int) -> Iterator[Step]:
    """`A ^= A >> shift`."""
    yield from ((_TAX, 0, 0, 0), (_RSH, 0, 0, shift), (_XOR_X, 0, 0, 0))


def _another(first: socket.socket, options: SocketOptions) -> socket.socket:
    """One more at the very address of the first. Raises OSError."""
    sock = socket.socket(first.family, first.type)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if first.family == socket.AF_INET6:
            v6only = first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        socket_options.bind_device(sock, options.bind_device)
        sock.bind(first.getsockname())
        socket_options.apply(sock, options, FRESH)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def _inodes(sock: socket.socket) -> set[int]:
    """Of all sockets at the address of this one, anybody's: proc_net(5)."""
    mine = os.fstat(sock.fileno()).st_ino
    name = "udp6" if sock.family == socket.AF_INET6 else "udp"
    rows = [line.split() for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    at = next((row[1] for row in rows if int(row[9]) == mine), None)
    return {int(row[9]) for row in rows if row[1] == at}
