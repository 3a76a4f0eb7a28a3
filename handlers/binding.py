"""Binding while a handler is loaded: what the master holds already is not bound again, everything else is.

A `socketserver` server made at a module's top level or in a factory may be the one that will be served: it gets the
shared socket later, with the options it asked for (`replay`). Or it is another one, of a library that shows metrics or
answers health checks in a thread: that one binds and serves as it would without us.
Can go wrong: an address is taken by somebody else. Who might be served waits without one; others are told by `OSError`.
"""

import contextlib
import errno
import os
import socket
import socketserver
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_WILD = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # names of every interface  # nosec B104
#: Why a server that may be served need not have its address: another worker has it, or only the master may.
_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL, errno.ENOENT})
#: Of the address alone, which is the master's affair.
_NOT_REPLAYED = frozenset({(socket.SOL_SOCKET, socket.SO_REUSEADDR), (socket.SOL_SOCKET, socket.SO_REUSEPORT)})
_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_OURS = os.path.dirname(__file__)  # noqa: PTH120  # to compare with other names of files
#: Beginnings of names that give what they make, or are how a server is made.
_FACTORIES = ("__init__", "__new__", "make", "create", "build", "get", "server_")

Option = tuple[int, int, Any]  # Any: of setsockopt, a number or bytes


class Held:
    """The addresses that the master holds for the pool that is loaded for. `all`: nothing may be bound at all."""

    def __init__(self) -> None:
        self.all = False
        self._names: set[tuple[int, object]] = set()

    def set(self, listeners: Iterable[int]) -> None:
        """From the descriptors of listening sockets."""
        self._names = set()
        for fd in listeners:
            with socket.socket(fileno=os.dup(fd)) as sock:
                self._names.add((sock.type, sock.getsockname()))

    def has(self, sock: socket.socket, address: object) -> bool:
        return self.all or any(kind == sock.type and _same(address, name) for kind, name in self._names)


held = Held()


def _same(wanted: object, name: object) -> bool:
    match wanted, name:
        case (str(host), int(port), *_), (str(bound), int(taken), *_):
            return port == taken and port != 0 and (bound in _WILD or host in _WILD or bound in _addresses(host))
        case _:
            return _path(wanted) == _path(name)


def _path(name: object) -> object:
    return os.path.abspath(os.fsdecode(name)) if isinstance(name, str | bytes) and name else name  # noqa: PTH100  # also "@x"


def _addresses(host: str) -> set[object]:
    try:
        return {found[4][0] for found in socket.getaddrinfo(host, None)}
    except OSError:
        return {host}


class LateSocket(socket.socket):
    """A server's own socket: notes what is asked of it, and does without its address while `pretended` is set."""

    __slots__ = ("asked", "error", "pretended", "tried")

    def __init__(self, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        super().__init__(family, kind, proto, fileno)
        self.asked: list[Option] = []
        self.tried = False
        self.error: OSError | None = None
        self.pretended: Any = None  # Any: an address

    def setsockopt(self, level: int, option: int, *value: Any) -> None:
        super().setsockopt(level, option, *value)
        self.asked.append((level, option, value))

    def bind(self, address: Any, /) -> None:  # Any: an address
        self.tried = True
        if _loading and held.has(self, address):
            self.error = OSError(errno.EADDRINUSE, f"the master of forkful listens on {address!r} already")
            self.pretended = address
            return
        try:
            super().bind(address)
        except OSError as error:
            if not _loading or error.errno not in _TAKEN or not _may_be_served(sys._getframe(1)):  # noqa: SLF001
                raise
            self.error, self.pretended = error, address

    def listen(self, *backlog: int) -> None:
        if self.pretended is None:
            super().listen(*backlog)

    def getsockname(self) -> Any:  # Any: as of socket
        return self.pretended if self.pretended is not None else super().getsockname()


def _may_be_served(frame: FrameType | None) -> bool:
    """Whether what is being made may be for who loads, and not by a function of an installed library for itself."""
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file != __file__ and (not file.startswith(_INSTALLED) or file.startswith(_OURS) or name == "<module>"):
            return True
        if file not in (__file__, socketserver.__file__) and not name.startswith(_FACTORIES):
            return False
        frame = frame.f_back
    return True


def replay(asked: Iterable[Option], shared: socket.socket) -> list[str]:
    """Ask the same of the shared socket; what it refused, in words. Memberships may be there, from another worker."""
    refused = []
    for level, option, value in asked:
        if (level, option) in _NOT_REPLAYED:
            continue
        try:
            shared.setsockopt(level, option, *value)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                refused.append(f"setsockopt({level}, {option}): {error.strerror}")
    return refused


# -- while loading -----------------------------------------------------------------------------------------------------


def _init(
    self: Any,  # Any: a socketserver.TCPServer whose attributes are set
    server_address: Any,
    RequestHandlerClass: Any,  # noqa: N803  # the standard library's names
    bind_and_activate: bool = True,  # noqa: FBT001, FBT002  # and signature
) -> None:
    """Stands in for `TCPServer.__init__`: the same, with a socket of ours."""
    socketserver.BaseServer.__init__(self, server_address, RequestHandlerClass)
    self.socket = LateSocket(self.address_family, self.socket_type)
    self.__dict__["_forkful_asked"] = self.socket.asked  # stays, whatever may be wrapped around the socket
    if not bind_and_activate:
        return
    try:
        self.server_bind()
        self.server_activate()
    except BaseException:
        self.server_close()
        raise


def serve_late(self: Any, poll_interval: float = 0.5) -> None:  # Any: as above
    """Stands in for `serve_forever`: not in the thread that loads, and not without an address."""
    if threading.get_ident() in _loading:
        raise RuntimeError(
            f"{type(self).__name__}.serve_forever() was called while the module was loaded; "
            'forkful serves it: put this call under `if __name__ == "__main__":`'
        )
    error = getattr(getattr(self, "socket", None), "error", None)
    if error is not None and held.all:
        threading.Event().wait()  # a process that only asks what the handler is, and ends
    if error is not None:
        raise error
    _serve_forever(self, poll_interval)


_serve_forever = socketserver.BaseServer.serve_forever
_STAND_INS: tuple[tuple[Any, str, Any], ...] = (  # Any: classes and functions that are replaced
    (socketserver.TCPServer, "__init__", _init),
    (socketserver.BaseServer, "serve_forever", serve_late),
)
_loading: list[int] = []  # threads that load, the innermost last
_before: list[Any] = []


@contextmanager
def late_binding() -> Iterator[None]:
    """While this lasts, servers made by anyone in this process do without an address that the master holds.

    So `SimpleXMLRPCServer(("localhost", 8000))` at a module's top level loads in every worker, although the master
    holds port 8000. The one that is served leaves its own socket for the shared one, in `handlers.server`.
    """
    outermost = not _loading
    _loading.append(threading.get_ident())
    if outermost:
        _before[:] = [owner.__dict__[name] for owner, name, _ in _STAND_INS]
        for owner, name, stand_in in _STAND_INS:
            setattr(owner, name, stand_in)
    try:
        yield
    finally:
        _loading.pop()
        if outermost:
            for (owner, name, _), original in zip(_STAND_INS, _before, strict=True):
                setattr(owner, name, original)


@contextmanager
def bound_nowhere() -> Iterator[None]:
    """While this lasts, servers bind nothing at all."""
    before, held.all = held.all, True
    try:
        with late_binding():
            yield
    finally:
        held.all = before


def was_never_bound(server: object) -> bool:
    """Whether it was made to be bound later, and has not been."""
    sock = getattr(server, "socket", None)
    return isinstance(sock, LateSocket) and not sock.tried


def release(server: object) -> None:
    """Give up the socket that a server has bound by itself, and the file it made: it gets the shared one."""
    sock = getattr(server, "socket", None)
    if not isinstance(sock, socket.socket) or sock.fileno() < 0:
        return
    name = getattr(sock, "pretended", None) or sock.getsockname()
    mine = getattr(sock, "pretended", None) is None and sock.family == socket.AF_UNIX and isinstance(name, str) and name
    sock.close()
    if mine and not held.has(sock, name):
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108  # a str from the kernel
