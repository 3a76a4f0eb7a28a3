"""A datagram socket on every interface that answers from the address that was asked, ip(7) IP_PKTINFO, ipv6(7).

Left to itself the kernel answers from the address of the route back, and a peer that asked another one drops that.
Who asked where is remembered by peer, so that a later answer, in whatever thread, goes the right way too.
Can go wrong: the address is gone meanwhile: the kernel chooses, as it does without us.
"""

import contextlib
import socket
import struct
from typing import Any, Self

_IP_PKTINFO, _IPV6_RECVPKTINFO, _IPV6_PKTINFO = 8, 49, 50  # linux/in.h, linux/in6.h
_V4, _V6 = struct.Struct("@I4s4s"), struct.Struct("@16sI")  # struct in_pktinfo, in6_pktinfo
_ROOM = socket.CMSG_SPACE(_V6.size) + socket.CMSG_SPACE(_V4.size)
_PEERS = 4096  # of whom it is remembered where they asked; who comes back after so many others asks again anyway
_LINK_LOCAL = (0xFE, 0x80)
_MULTICAST = 0xFF

_Control = list[tuple[int, int, bytes]]


def is_wildcard(sock: socket.socket) -> bool:
    """Whether a datagram socket is bound to every address, so that it matters which one was asked."""
    if sock.type != socket.SOCK_DGRAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    return sock.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104  # to compare with  # nosec B104


class AnsweringSocket(socket.socket):
    """What `recvfrom` gives is answered by `sendto` from where it was asked."""

    __slots__ = ("_asked",)

    @classmethod
    def on(cls, fd: int) -> Self:
        """On a descriptor, which it owns."""
        sock = cls(fileno=fd)
        sock._asked = {}
        six = sock.family == socket.AF_INET6
        level, option = (socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO) if six else (socket.IPPROTO_IP, _IP_PKTINFO)
        sock.setsockopt(level, option, 1)
        return sock

    _asked: dict[Any, _Control]  # Any: a peer's address

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:  # Any: as above
        return self.take_from(self, bufsize, flags)

    def take_from(self, sock: socket.socket, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:  # Any: as above
        """Receive from another descriptor of the same socket, to be answered through this one."""
        data, control, _, peer = sock.recvmsg(bufsize, _ROOM, flags)
        if (source := _source(control)) is not None:
            self._asked.pop(peer, None)  # the latest last
            self._asked[peer] = source
            if len(self._asked) > _PEERS:
                with contextlib.suppress(KeyError, StopIteration, RuntimeError):  # another lane was here
                    del self._asked[next(iter(self._asked))]
        return data, peer

    def sendto(self, data: Any, *arguments: Any) -> int:  # Any: its two shapes, by position
        peer = arguments[-1]
        source = self._asked.get(peer) if isinstance(peer, tuple) else None
        if source is not None:
            with contextlib.suppress(OSError):
                return self.sendmsg([data], source, arguments[0] if len(arguments) > 1 else 0, peer)
        return super().sendto(data, *arguments)


def _source(control: _Control) -> _Control | None:
    """From what came with a datagram to what makes the kernel answer from there; None: it may choose."""
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, local, _ = _V4.unpack(data[: _V4.size])
            return [(level, kind, _V4.pack(0, local, bytes(4)))]
        if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO:
            address, interface = _V6.unpack(data[: _V6.size])
            if address[0] == _MULTICAST:
                return None
            linked = address[0] == _LINK_LOCAL[0] and address[1] & 0xC0 == _LINK_LOCAL[1]
            return [(level, kind, _V6.pack(address, interface if linked else 0))]
    return None
