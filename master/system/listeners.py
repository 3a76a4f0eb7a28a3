"""Listeners: the sockets that the master holds, one per address, shared by all who serve it.

The master binds and keeps them; children inherit the descriptors. An address that stays in the plan keeps its very
socket, with all that is queued on it.
Can go wrong: an address cannot be bound: `BindError`, which names the address, the reason, and who holds the port.
"""

import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from forkful.conf import file_rights
from forkful.conf.address import Address, Kind
from forkful.conf.light import dataclass
from forkful.master.system import packet_filter, socket_file, socket_options, unix_queue
from forkful.master.system.socket_file import Access
from forkful.master.system.socket_options import FRESH, SocketOptions

_SO_MEMINFO, _SK_MEMINFO_DROPS = 55, 8  # linux/sock_diag.h
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
#: Over a TCP header: load the flags; if SYN is set, take nothing, otherwise everything.
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
_TCPI_UNACKED = struct.Struct("24xII")  # of a listening socket: its accept queue, and the queue's limit


_AS_IT_IS = Access()


class BindError(Exception):
    """An address cannot be listened on. The message is for the operator."""


@dataclass(slots=True)
class PeerGroup:
    """`others` are the sockets of the slots after the first; peers are spread over the first `slots` of all."""

    others: list[socket.socket]
    slots: int


@dataclass(frozen=True, slots=True)
class Listener:
    """One bound socket. `address` is what the plan says, `bound` what the kernel gave (a port for port 0).

    With `group` each slot has a socket of its own, and `sock` is the first one's.
    """

    address: Address
    bound: str
    kind: Kind
    sock: socket.socket
    inode: tuple[int, int] = (0, 0)  # of a Unix socket's file that we made: device and inode
    group: PeerGroup | None = field(default=None, compare=False)

    @property
    def sockets(self) -> list[socket.socket]:
        """All of them, by slot where there are several."""
        return [self.sock, *(self.group.others if self.group is not None else ())]

    @property
    def is_open(self) -> bool:
        return self.sock.fileno() >= 0

    def close(self) -> None:
        """Close this process's descriptors. The file of a Unix socket stays; see `remove_file`."""
        for sock in reversed(self.sockets):
            sock.close()

    def remove_file(self) -> None:
        """Remove the file of a Unix socket, if it is still the one that we made."""
        with contextlib.suppress(OSError), file_rights.at(self.address.path):
            found = os.stat(self.address.path, follow_symlinks=False)
            if self.inode == (found.st_dev, found.st_ino):
                Path(self.address.path).unlink()


def turn_away(listener: Listener) -> None:
    """Let nobody new into a queue, for all who share it, so that it can be emptied and closed with no one in it.

    TCP: new SYNs are dropped, and tried again by the peer's kernel a second later, when nobody listens any more; what
    is in the middle of its handshake comes through. Unix: the file is removed. Only for sockets that we bound: one
    that was handed to us may be served by others after us.
    """
    if listener.sock.family == socket.AF_UNIX:
        listener.remove_file()
        return
    if listener.kind is not Kind.STREAM or listener.address.scheme == "fd":
        return
    with contextlib.suppress(OSError):  # a kernel without it: then as well as can be
        packet_filter.attach(listener.sock, _SO_ATTACH_FILTER, _NO_SYN)


def wait_for_nobody(listener: Listener) -> None:
    """Take in whom `defer_accept` keeps out, who believes to be connected: the kernel asks again, and queues an answer.

    Only of sockets that we bound, as above.
    """
    if socket_options.is_tcp(listener.sock) and listener.address.scheme != "fd":
        with contextlib.suppress(OSError):  # closed, or a protocol that has no such thing
            socket_options.defer(listener.sock, 0.0)


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What the kernel says of a listener. None: it does not say for this kind of socket."""

    length: int | None = None
    limit: int | None = None
    drops: int | None = None
    slots: tuple[int, ...] = ()  # the drops of each slot, where each has a socket of its own


def bind(
    address: Address,
    *,
    backlog: int = 2048,
    access: Access = _AS_IT_IS,
    options: SocketOptions = FRESH,
    stored: int | None = None,
) -> Listener:
    """Bind and listen; raise `BindError`. `stored` is the descriptor of a socket that was bound to it before.

    `access` is for the file of a Unix socket.
    """
    inode = (0, 0)
    sock = None
    try:
        sock = kept = _stored(address, stored) if stored is not None else None
        if sock is None:
            own = address.scheme != "fd"
            sock = _bound(address, options, access.mode) if own else _adopt(address)
        if address.has_file:
            inode = socket_file.identify(address.path) if kept else socket_file.made(address.path, access)
        socket_options.apply(sock, options, None if kept else FRESH)
        kind = Kind.DATAGRAM if sock.type == socket.SOCK_DGRAM else Kind.STREAM
        if kind is Kind.STREAM:
            sock.listen(backlog)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise BindError(_explain(address, error)) from error
    sock.set_inheritable(False)
    sock.settimeout(None)
    return Listener(address, name_of(sock, address), kind, sock, inode)


def change(listener: Listener, backlog: int, now: SocketOptions, before: SocketOptions) -> None:
    """Give a socket in use another queue, and other options: the kernel takes them, and drops nobody. Raises OSError.

    What is accepted from then on has the options.
    """
    if listener.kind is Kind.STREAM:
        listener.sock.listen(backlog)
    for sock in listener.sockets:
        socket_options.apply(sock, now, before)


def name_of(sock: socket.socket, address: Address) -> str:
    """The address in use, as an operator would write it: `tcp://127.0.0.1:41234`."""
    where = sock.getsockname()
    scheme = address.scheme
    if scheme in ("", "fd"):
        unix = sock.family == socket.AF_UNIX
        names = ("unixgram", "udp") if sock.type == socket.SOCK_DGRAM else ("unix", "tcp")
        scheme = names[0] if unix else names[1]
    if sock.family == socket.AF_UNIX:
        path = where.decode(errors="replace") if isinstance(where, bytes) else where
        if not path.startswith(("/", "\0")):  # a script bound it relative to its directory: that says nothing elsewhere
            path = address.path or path
        return str(Address(scheme, path=path.replace("\0", "@", 1)))
    host = "*" if address.host == "*" else where[0] + _zone(where)
    return str(Address(scheme, host=host, port=where[1]))


def _zone(where: Sequence[Any]) -> str:  # Any: texts and numbers
    """`%INTERFACE` of a link-local address, which is nothing without it; the number where the name is gone."""
    host, _, _, number = where if len(where) == len(("host", "port", "flow", "scope")) else (*where[:2], 0, 0)
    if not number or "%" in host:
        return ""
    try:
        return f"%{socket.if_indextoname(number)}"
    except OSError:
        return f"%{number}"


def queue_facts(listener: Listener) -> QueueFacts:
    """Ask the kernel how full a listener's queue is, and what it dropped: a getsockopt(2), for Unix streams 17 us."""
    sock = listener.sock
    with contextlib.suppress(OSError):
        if listener.kind is Kind.DATAGRAM and sock.family != socket.AF_UNIX:
            drops = tuple(map(_drops, listener.sockets))
            return QueueFacts(drops=sum(drops), slots=drops if listener.group is not None else ())
        if listener.kind is Kind.STREAM and sock.family != socket.AF_UNIX:
            raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCPI_UNACKED.size)
            length, limit = _TCPI_UNACKED.unpack(raw)
            return QueueFacts(length=length, limit=limit)
        if listener.kind is Kind.STREAM and (told := unix_queue.queue(sock)) is not None:
            return QueueFacts(*told)
    return QueueFacts()


def _drops(sock: socket.socket) -> int:
    drops: int = struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))[_SK_MEMINFO_DROPS]
    return drops


def _adopt(address: Address) -> socket.socket:
    """Take over an open descriptor. It is ours from now on, and closed when no pool has its address any more.

    What is not for us is left alone: behind the number may be anything that this process has open.
    """
    if not stat.S_ISSOCK(os.fstat(address.fd).st_mode):
        raise OSError(errno.ENOTSOCK, "is open, but not a socket")
    with socket.socket(fileno=os.dup(address.fd)) as seen:
        if seen.family not in _FAMILIES or seen.type not in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            raise OSError(errno.EPROTONOSUPPORT, f"is a socket of a kind that is not served: {_words(seen)}")
        if seen.type == socket.SOCK_STREAM and _is_connected(seen):
            raise OSError(errno.EISCONN, "is a connection, and not a listening socket; a .socket unit says Accept=no")
        if not seen.getsockname() or (seen.family != socket.AF_UNIX and seen.getsockname()[1] == 0):
            raise OSError(errno.EDESTADDRREQ, "is a socket without an address")
    os.set_inheritable(address.fd, False)
    return socket.socket(fileno=address.fd)


def _words(sock: socket.socket) -> str:
    """A socket's family and type: AF_VSOCK SOCK_SEQPACKET."""
    return " ".join(getattr(part, "name", str(part)) for part in (sock.family, sock.type))


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _stored(address: Address, fd: int) -> socket.socket | None:
    """Take over a socket that the manager kept, unless nobody can reach it: its file may be gone."""
    sock = _adopt(Address("fd", fd=fd))
    with contextlib.suppress(OSError):  # there is none, if the last master did not turn clients away at its end
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    if address.has_file and not Path(address.path).exists():
        sock.close()
        return None
    return sock


def _bound(address: Address, options: SocketOptions, mode: int | None) -> socket.socket:
    type_ = socket.SOCK_DGRAM if address.kind is Kind.DATAGRAM else socket.SOCK_STREAM
    if address.is_unix:
        return _bound_unix(address, type_, mode)
    family, where = _resolve(address, type_)
    sock = socket.socket(family, type_)
    try:
        if type_ == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address.host == "*" else 1)
        socket_options.bind_device(sock, options.bind_device)
        sock.bind(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve(address: Address, type_: socket.SocketKind) -> tuple[int, tuple[object, ...]]:
    if address.host == "*":
        dual = socket.has_dualstack_ipv6()
        return (socket.AF_INET6, ("::", address.port)) if dual else (socket.AF_INET, ("0.0.0.0", address.port))  # noqa: S104  # "*" asks for it  # nosec B104
    found = socket.getaddrinfo(address.host, address.port, type=type_, flags=socket.AI_PASSIVE)
    family, _, _, _, where = found[0]
    return family, where


def _bound_unix(address: Address, type_: int, mode: int | None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, type_)
    try:
        if not address.has_file:
            sock.bind(address.unix_name)
        else:
            with file_rights.at(address.path):
                _bind_file(sock, address.path, mode)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_file(sock: socket.socket, path: str, mode: int | None) -> None:
    _remove_stale(path, sock.type)
    umask = os.umask(0o777 & ~mode) if mode is not None else 0
    try:
        sock.bind(path)
    finally:
        if mode is not None:
            os.umask(umask)


def _remove_stale(path: str, type_: int) -> None:
    """Remove a socket file that nobody listens on; a file that is no socket, or is in use, stays and is an error."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "is a file, and not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, type_) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, "a process listens on it") from None
        else:
            raise OSError(errno.EADDRINUSE, "a process listens on it")


_HINTS = {
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE, a Unix socket a directory we may write to",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
    errno.ENODEV: "no interface has that name; ip link lists them",
    errno.ENOENT: "its directory does not exist",
    errno.EBADF: "no such descriptor is open; was it handed down to this process?",
}


def _explain(address: Address, error: OSError) -> str:
    number = errno.errorcode.get(error.errno or 0, "")
    words = error.strerror or str(error)
    text = f"cannot listen on {address}: {words}" + (f" ({number})" if number else "")
    if error.errno == errno.EADDRINUSE and not address.is_unix:
        holder = _holder(address)
        return text + (f"; {holder} holds it" if holder else "; some process holds it that we may not see")
    hint = _HINTS.get(error.errno or 0)
    return f"{text}: {hint}" if hint else text


def _holder(address: Address) -> str:
    """Say which process holds a port, where the kernel lets us see it."""
    import psutil  # noqa: PLC0415  # 2 MB of every process, for a sentence that is hardly ever said

    kind = "udp" if address.kind is Kind.DATAGRAM else "tcp"
    try:
        for found in psutil.net_connections(kind):
            open_here = found.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            if found.laddr and found.laddr.port == address.port and open_here and found.pid:
                process = psutil.Process(found.pid)
                words = " ".join(process.cmdline()).strip()  # who sets his title pads it
                return f"process {found.pid} ({words[:80] or process.name()})"
    except (psutil.Error, OSError):
        pass
    return ""


def close_all(listeners: Iterable[Listener]) -> None:
    for listener in listeners:
        listener.close()
        listener.remove_file()
