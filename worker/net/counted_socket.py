"""A connection: an ordinary `socket.socket` that looks at the kernel's byte counts before it closes.

So handlers' sockets stay unwrapped, cost nothing per call, and a handler may close its own.
Can go wrong: after a reset the count of what was received can be off by one, since a FIN counts as a byte and the
kernel no longer tells whether there was one.
"""

import os
import socket
import struct
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from forkful.handlers.proxied import ProxyHeader
from forkful.worker.net.incoming_file import incoming_file

# struct tcp_info, linux/tcp.h: state at 0, bytes_received at 128, notsent_bytes at 144, bytes_sent and bytes_retrans
# at 200 and 208 (since Linux 4.19).
_INFO = struct.Struct("<B127xQ8xI52xQQ")
INFO_SIZE: Final = _INFO.size
NOTHING: Final = bytes(INFO_SIZE)
#: state, received, unsent, sent, sent again: received is less one if the state is above `FIN_SEEN`.
read_info: Final = _INFO.unpack
FIN_SEEN: Final = 5  # TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK and CLOSING are above, net/tcp_states.h

TCP: Final = int(socket.IPPROTO_TCP)
TCP_INFO: Final = socket.TCP_INFO


class AcceptedSocket(socket.socket):
    """An accepted socket. `taken` are descriptor and inode, once it was detached; `closed` is of one that is `Told`.

    `patience` and `too_late` are of one whose reads wait for so long only (`patient_socket`). `said` is what a proxy
    said of it: then its ends are the client's and where that connected to, as everywhere.
    """

    __slots__ = ("closed", "patience", "said", "taken", "too_late")
    said: ProxyHeader
    taken: tuple[int, int]
    closed: Callable[[], object]
    patience: float
    too_late: Callable[[], object]

    @property
    def proxy_header(self) -> ProxyHeader | None:
        """For handlers. None: there was none."""
        return getattr(self, "said", None)

    def getpeername(self) -> Any:  # Any: as of socket
        header = self.proxy_header
        return super().getpeername() if header is None or header.source is None else header.source

    def getsockname(self) -> Any:  # Any: as above
        header = self.proxy_header
        return super().getsockname() if header is None or header.source is None else header.destination

    def makefile(self, mode: Any = "r", buffering: Any = None, **kwargs: Any) -> Any:  # Any: as of socket, overloaded
        if mode == "rb" and buffering == -1 and not kwargs:  # as StreamRequestHandler asks for it
            return incoming_file(self)
        return super().makefile(mode, buffering, **kwargs)

    def detach(self) -> int:
        fd = super().detach()
        if fd >= 0:
            self.taken = fd, os.fstat(fd).st_ino
        return fd

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:  # Any: as of pickle
        """To another process by `multiprocessing`, which knows `socket.socket` by its exact type only."""
        from multiprocessing.reduction import DupFd  # noqa: PLC0415  # whoever gets here has it already

        return _rebuild, (DupFd(self.fileno()), self.family, self.type, self.proto)


class Connection(AcceptedSocket):
    """Of TCP. `info` is what the kernel said before it was closed; it does not exist until then."""

    __slots__ = ("info",)
    info: bytes

    def _real_close(self) -> None:  # what socket.close() calls once no file object uses the socket any more
        if not hasattr(self, "info"):
            try:
                self.info = self.getsockopt(TCP, TCP_INFO, INFO_SIZE)
            except OSError:  # detached before, as by ssl: what went over it then is not known
                self.info = NOTHING
        super()._real_close()  # type: ignore[misc]  # typeshed does not have it


class Uncounted(AcceptedSocket):
    """Of a kind that the kernel counts no bytes for."""

    __slots__ = ()


class Told(AcceptedSocket):
    """One that calls `closed` in the end. Objects become one only then: asking each for it would cost 1 us."""

    __slots__ = ()

    def _real_close(self) -> None:
        is_shell = self.fileno() < 0  # detached: the connection is somebody else's
        super()._real_close()  # type: ignore[misc]  # as above
        if not is_shell:
            self.closed()


_TOLD: dict[type[AcceptedSocket], type[AcceptedSocket]] = {}  # by the class without it


def _told(kind: type[AcceptedSocket]) -> type[AcceptedSocket]:
    if kind not in _TOLD:
        _TOLD[kind] = type(f"Told{kind.__name__}", (Told, kind), {"__slots__": ()})
    return _TOLD[kind]


def tell_when_closed(sock: Any, call: Callable[[], object]) -> None:  # Any: attributes are set
    """Have `call` called once this socket, of any class, is closed by whoever does that; in place of the last one."""
    if isinstance(sock, AcceptedSocket):
        sock.closed = call
        if not isinstance(sock, Told):
            sock.__class__ = _told(type(sock))
    else:
        sock._real_close = _closing(weakref.ref(sock), call)  # noqa: SLF001  # what close() calls in the end


def _closing(reference: "weakref.ref[Any]", call: Callable[[], object]) -> Callable[[], None]:  # Any: a socket
    """What closes a socket, and tells; without a reference to it, for it may be dropped instead."""

    def close() -> None:
        sock = reference()
        is_shell = sock is None or sock.fileno() < 0
        if sock is not None:
            type(sock)._real_close(sock)  # noqa: SLF001  # as above
        if not is_shell:
            call()

    return close


class Once:
    """Calls something at the first call, whichever thread that comes from."""

    __slots__ = ("_left",)

    def __init__(self, call: Callable[[], object]) -> None:
        self._left = [call]

    def __call__(self) -> None:
        with suppress(IndexError):
            self._left.pop()()


def _rebuild(descriptor: Any, family: int, kind: int, proto: int) -> socket.socket:  # Any: multiprocessing's DupFd
    return socket.socket(family, kind, proto, fileno=descriptor.detach())


def abandoned(fd: int) -> Connection:
    """Close a descriptor that no socket could be made of, and give a closed one in its place."""
    os.close(fd)
    sock = Connection.__new__(Connection)
    sock._io_refs = 0  # type: ignore[attr-defined]  # noqa: SLF001  # what __init__ sets, and close() looks at
    sock.info = NOTHING
    return sock


def last_info(request: Any) -> bytes:  # Any: a socket, an SSLSocket, a datagram
    """What the kernel has counted for a request: asked now if its socket is open, else what was noted at its close."""
    try:
        info: bytes = request.getsockopt(TCP, TCP_INFO, INFO_SIZE)
    except (OSError, AttributeError):
        info = getattr(request, "info", NOTHING)
    return info


def traffic(info: bytes) -> tuple[int, int]:
    """Bytes received and sent, as an application sees them."""
    if len(info) != INFO_SIZE:
        return 0, 0
    state, received, unsent, sent, again = read_info(info)
    return received - (state > FIN_SEEN and received > 0), sent - again + unsent


def acceptor(listener: socket.socket) -> Callable[[], tuple[int, Any]]:  # Any: as of accept
    """The C half of `socket.accept`, which gives a descriptor; the other half looks up two enums (1 us)."""
    accept: Callable[[], tuple[int, Any]] = listener._accept  # type: ignore[attr-defined]  # noqa: SLF001  # not public
    return accept


def is_counted(sock: socket.socket) -> bool:
    """Whether the kernel counts bytes for sockets like this one: TCP, and a kernel that knows these fields."""
    try:
        return sock.family != socket.AF_UNIX and len(sock.getsockopt(TCP, TCP_INFO, INFO_SIZE)) == INFO_SIZE
    except OSError:
        return False
