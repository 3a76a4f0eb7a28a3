"""The options of shared sockets, as the settings have them: set where a socket is bound, and again where they change.

What is accepted has them of its listener. Each is set only where it differs from what the socket has, so a socket that
somebody else made keeps what he set and we say nothing of.
Can go wrong: the kernel refuses one: `OSError`, whose text names it. It may also give less than was asked: `lacks`.
"""

import contextlib
import errno
import math
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Self

from forkful.conf.address import Address
from forkful.conf.light import dataclass
from forkful.conf.multicast import Group
from forkful.conf.plan import PoolPlan

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE, _SO_BUF_LOCK = 32, 33, 72  # asm-generic/socket.h
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29  # linux/in.h, linux/in6.h
_IFNAMSIZ = 16
_PROBES, _MOST_BETWEEN = 3, 75.0  # of a peer that is silent; seconds, the kernel's own


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Those of one address, by their keys. The defaults are what a new socket has."""

    reuse_port: bool = False  # before bind(2), and never after
    write_timeout: float = 0.0
    keepalive_idle: float = 0.0
    nodelay: bool = False
    defer_accept: float = 0.0
    receive_buffer: int = 0
    send_buffer: int = 0
    bind_device: str = ""
    broadcast: bool = False
    multicast: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: PoolPlan, address: Address) -> Self:
        """`plan` as it is at that address. HTTP has a clock of its own for who takes nothing, which tells more."""
        values = {each.name: getattr(plan, each.name) for each in fields(cls)}
        if address.scheme.startswith("http"):
            values["write_timeout"] = 0.0
        return cls(**values)

    def interfaces(self) -> Iterator[str]:
        """Those it needs."""
        yield from filter(None, (self.bind_device, *(Group.parse(text).interface for text in self.multicast)))


FRESH: Final = SocketOptions()


def apply(sock: socket.socket, now: SocketOptions, before: SocketOptions | None) -> None:
    """Give a socket its options; None: whatever it has. Raises OSError, after all that could be set."""
    troubles: list[OSError] = []
    for key, (fits, put) in _PUT.items():
        value, had = getattr(now, key), getattr(before, key) if before is not None else None
        if value == had or not fits(sock):
            continue
        try:
            put(sock, value)
        except OSError as error:
            troubles.append(OSError(error.errno, f"{key} = {value}: {error.strerror}"))
    if is_internet_datagram(sock):
        troubles += _join_and_leave(sock, now.multicast, before.multicast if before is not None else tuple(_joined()))
    if troubles:
        raise OSError(troubles[0].errno, "; ".join(str(error.strerror) for error in troubles))


def missing(options: SocketOptions) -> str:
    """The interface that there is not; "": all are there."""
    known = {name for _, name in socket.if_nameindex()}
    return next((name for name in options.interfaces() if name not in known), "")


def lacks(sock: socket.socket, options: SocketOptions) -> Iterator[str]:
    """What the kernel gave less of than was asked."""
    for key, option, limit in (
        ("receive_buffer", socket.SO_RCVBUF, "net.core.rmem_max"),
        ("send_buffer", socket.SO_SNDBUF, "net.core.wmem_max"),
    ):
        asked = getattr(options, key)
        got = sock.getsockopt(socket.SOL_SOCKET, option) // 2  # it shows twice as much, for what it keeps beside
        if asked > got and _PUT[key][0](sock):
            yield f"{key} is {got:,} bytes and not {asked:,}: raise {limit}"


# -- which sockets have which ------------------------------------------------------------------------------------------


def is_tcp(sock: socket.socket) -> bool:
    return sock.type == socket.SOCK_STREAM and _is_internet(sock)


def is_internet_datagram(sock: socket.socket) -> bool:
    return sock.type == socket.SOCK_DGRAM and _is_internet(sock)


def _is_internet(sock: socket.socket) -> bool:
    return sock.family in {socket.AF_INET, socket.AF_INET6}


def _sends(sock: socket.socket) -> bool:
    """Connections of a Unix socket have a buffer of their own, whatever their listener has, unix(7)."""
    return _is_internet(sock) or sock.type == socket.SOCK_DGRAM


# -- how each is set ---------------------------------------------------------------------------------------------------


def _limit_writes(sock: socket.socket, seconds: float) -> None:
    with contextlib.suppress(OSError):  # a protocol other than TCP, behind a descriptor that somebody handed to us
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(seconds * 1000))


def _keep_alive(sock: socket.socket, idle: float) -> None:
    """Ask a peer that is silent for `idle` seconds three times within as long again, tcp(7)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(idle))
    if idle:
        between = math.ceil(min(idle / _PROBES, _MOST_BETWEEN))
        values = {socket.TCP_KEEPIDLE: math.ceil(idle), socket.TCP_KEEPINTVL: between, socket.TCP_KEEPCNT: _PROBES}
    else:
        values = {each: _new(sock, socket.IPPROTO_TCP, each) for each in _KEEPS}
    for option, value in values.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


_KEEPS = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)


def _new(sock: socket.socket, level: int, option: int) -> int:
    """What a new socket of this kind has."""
    with socket.socket(sock.family, sock.type) as other:
        return other.getsockopt(level, option)


def _nodelay(sock: socket.socket, value: bool) -> None:  # noqa: FBT001  # the option's value
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, value)


def defer(sock: socket.socket, seconds: float) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, math.ceil(seconds))


def _buffer(option: int, force: int, lock: int) -> Callable[[socket.socket, int], None]:
    """A buffer's size, beyond the limit of the system where we may; 0: as the kernel finds right."""

    def put(sock: socket.socket, size: int) -> None:
        if size:
            try:
                sock.setsockopt(socket.SOL_SOCKET, force, size)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, option, size)
            return
        sock.setsockopt(socket.SOL_SOCKET, option, _new(sock, socket.SOL_SOCKET, option) // 2)
        held = sock.getsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK)
        sock.setsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK, held & ~lock)

    return put


def bind_device(sock: socket.socket, name: str) -> None:
    """Only by this interface; "": by any. Before bind(2), else others find it in use that are of another one."""
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _IFNAMSIZ).rstrip(b"\0") == name.encode():
        return  # to do it again takes a right that to do it does not
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")


def _broadcast(sock: socket.socket, value: bool) -> None:  # noqa: FBT001  # the option's value
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, value)


#: By key: which sockets can have it, and what sets it.
_PUT: Final[dict[str, tuple[Callable[[socket.socket], bool], Callable[[socket.socket, Any], None]]]] = {  # Any: a value
    "write_timeout": (is_tcp, _limit_writes),
    "keepalive_idle": (is_tcp, _keep_alive),
    "nodelay": (is_tcp, _nodelay),
    "defer_accept": (is_tcp, defer),
    "receive_buffer": (_is_internet, _buffer(socket.SO_RCVBUF, _SO_RCVBUFFORCE, 2)),
    "send_buffer": (_sends, _buffer(socket.SO_SNDBUF, _SO_SNDBUFFORCE, 1)),
    "bind_device": (_is_internet, bind_device),
    "broadcast": (is_internet_datagram, _broadcast),
}


# -- multicast ---------------------------------------------------------------------------------------------------------


def _join_and_leave(sock: socket.socket, now: tuple[str, ...], before: tuple[str, ...]) -> Iterator[OSError]:
    """Be a member of these groups, and get what is sent to them alone; also of an interface that was made anew."""
    for text in before:
        if text not in now:
            with contextlib.suppress(OSError):  # its interface is gone, or it was no member
                _member(sock, Group.parse(text), joins=False)
    for text in now:
        try:
            _member(sock, Group.parse(text), joins=True)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:  # it is one already
                hint = "" if "%" in text else f"; name an interface, {text}%eth0"
                yield OSError(error.errno, f"multicast {text}: {error.strerror}{hint}")
    if now or before:
        with contextlib.suppress(OSError):  # a kernel without it: then it gets what others here joined, too
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, not now)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, not now)


def _joined() -> Iterator[str]:
    """All that anybody here has joined, proc(5): only who has done it can leave."""
    for family, file in ((socket.AF_INET, "igmp"), (socket.AF_INET6, "igmp6")):
        name = ""
        with contextlib.suppress(OSError):  # a kernel without that family
            for line in Path(f"/proc/self/net/{file}").read_text().splitlines()[family == socket.AF_INET :]:
                words = line.split()
                if family == socket.AF_INET6:
                    yield f"{socket.inet_ntop(family, bytes.fromhex(words[2]))}%{words[1]}"
                elif line[0].isdigit():
                    name = words[1]
                else:
                    yield f"{socket.inet_ntop(family, int(words[0], 16).to_bytes(4, sys.byteorder))}%{name}"


def _member(sock: socket.socket, group: Group, *, joins: bool) -> None:
    """Join or leave, if the socket is of that family."""
    index = socket.if_nametoindex(group.interface) if group.interface else 0
    packed = group.address.packed
    if group.address.version == 6:  # noqa: PLR2004  # IPv6
        if sock.family == socket.AF_INET6:
            option = socket.IPV6_JOIN_GROUP if joins else socket.IPV6_LEAVE_GROUP
            sock.setsockopt(socket.IPPROTO_IPV6, option, packed + struct.pack("=I", index))  # struct ipv6_mreq
    elif sock.family == socket.AF_INET or not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        option = socket.IP_ADD_MEMBERSHIP if joins else socket.IP_DROP_MEMBERSHIP
        sock.setsockopt(socket.IPPROTO_IP, option, packed + bytes(4) + struct.pack("=i", index))  # struct ip_mreqn
