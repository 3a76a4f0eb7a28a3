"""The drop-in servers: `socketserver`'s classes whose `serve_forever` makes this process the master of a pool.

    from forkful.master import TCPServer          # instead of: from socketserver import TCPServer

    with TCPServer(("localhost", 9999), MyTCPHandler) as server:
        server.serve_forever()

Plain and Forking classes serve one connection per worker process at a time, Threading ones 16 by threads. Keywords
(`workers=`, `threads=`, any option of a pool by its key) set the rest, environment variables override them. SIGHUP
executes the script again in place: probed first, same process id, same socket.
Can go wrong: settings that are wrong, a handler that cannot serve: `serve_forever` raises `SystemExit` with the
code. In a thread other than the main one there are no signals, so there it serves as the standard library does.
"""

import errno
import json
import logging
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from forkful.conf import descriptors
from forkful.conf.address import Address, Kind
from forkful.conf.directory import interpreter, started_in
from forkful.conf.plan import Plan
from forkful.handlers import binding
from forkful.handlers.server import stock
from forkful.master import main
from forkful.master.model import document
from forkful.master.supervisor import handover, reload, upgrade
from forkful.master.supervisor.handover import Kept
from forkful.master.supervisor.loop import Loop
from forkful.master.system import early, identity, kept_code, socket_file
from forkful.master.system.listeners import Listener, name_of
from forkful.master.system.socket_file import Access

log = logging.getLogger("forkful.master")

descriptors.complete()  # before the script binds its socket
STARTED_IN = started_in()  # before it goes elsewhere
sys.executable = interpreter(STARTED_IN)

THREADS = 16  # of a worker of a Threading class
FORKS = 16  # workers of a Forking class: connections at a time


class _HandOver:
    """What the last image of this script left, if this one was executed by a reload: until somebody takes it."""

    def __init__(self) -> None:
        fd = os.environ.pop(upgrade.STATE_VARIABLE, None)
        self.kept: Kept | None = handover.read(document.read(int(fd))["state"]) if fd else None

    def socket_of(self, address: Address) -> socket.socket | None:
        """That of a listener."""
        held = self.kept.listeners() if self.kept is not None else ()
        return next((listener.sock for listener in held if listener.address == address), None)


@cache
def _hand_over() -> _HandOver:
    return _HandOver()


def is_handed_over() -> bool:
    """Whether there is something that nobody has taken yet."""
    return _hand_over().kept is not None


def take_over() -> Kept | None:
    """Take what the last image left. What this script serves next starts anew."""
    left, _hand_over().kept = _hand_over().kept, None
    return left


class _ScriptSocket(binding.LateSocket):
    """A script's own listening socket. To bind it is to take what the last image of the script left, if it did."""

    __slots__ = ("inherited", "server")
    server: "PoolServer"

    def bind(self, address: Any, /) -> None:  # Any: as typeshed has it
        wanted = address_of(self, address)
        held = _hand_over().socket_of(wanted)
        self.tried = True
        self.server.bound_to, self.server.is_known = wanted, held is not None
        self.inherited = held is not None
        if held is not None:
            os.dup2(held.fileno(), self.fileno(), inheritable=False)
        elif upgrade.PROBE_VARIABLE in os.environ:
            loopback = "::1" if self.family == socket.AF_INET6 else "127.0.0.1"
            super().bind("" if self.family == socket.AF_UNIX else (loopback, 0))
        else:
            super().bind(address)

    def setsockopt(self, level: int, option: int, *value: Any) -> None:  # Any: a number or bytes
        try:
            super().setsockopt(level, option, *value)
        except OSError as error:
            # A membership of a group: what was inherited has it.
            if error.errno != errno.EADDRINUSE or not getattr(self, "inherited", False):
                raise


def address_of(sock: socket.socket, where: Any) -> Address:  # Any: as typeshed has it, a tuple, a path or a name
    """Where a script asks to listen, as a plan says it."""
    datagram = sock.type == socket.SOCK_DGRAM
    if sock.family == socket.AF_UNIX:
        path = os.fsdecode(where)
        absolute = f"@{path[1:]}" if path.startswith("\0") else os.path.abspath(path)  # noqa: PTH100  # of a str
        return Address("unixgram" if datagram else "unix", path=absolute)
    host, port = where[:2]
    everywhere = "::" if sock.family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104  # as theirs  # nosec B104
    return Address("udp" if datagram else "tcp", host=host or everywhere, port=port)


def _nobody(_loop: Loop) -> None: ...


#: Told the loop of the master that a script becomes, once it can be told something.
on_start: Callable[[Loop], object] = _nobody


class PoolServer(socketserver.BaseServer):
    """What all of them are. Mixed in before a class of `socketserver`, whose constructor they keep."""

    socket: socket.socket
    socket_type: int
    address_family: int
    allow_reuse_address = True
    request_queue_size = 2048

    def __init__(
        self,
        server_address: Any,  # Any: as typeshed has it, a tuple, a path or a name
        RequestHandlerClass: Any,  # noqa: N803  # the standard library's name
        bind_and_activate: bool = True,  # noqa: FBT001, FBT002  # its signature too
        **options: Any,
    ) -> None:
        self._options = {**self._defaults(), **options}
        self.bound_to: Address | None = None
        self.is_known = False  # whether the state that was handed over has our socket already
        self._loop: Loop | None = None
        self._alone = False  # served by this process alone
        self._asked = False  # to shut down
        self._over = threading.Event()
        super().__init__(server_address, RequestHandlerClass, False)  # type: ignore[call-arg]  # a sibling's
        self.socket.close()
        self.socket = sock = _ScriptSocket(self.address_family, self.socket_type)
        sock.server = self
        if bind_and_activate:
            self._bind_and_activate()

    def _bind_and_activate(self) -> None:
        try:
            self.server_bind()  # type: ignore[attr-defined]  # a sibling's
            self.server_activate()
        except BaseException:
            self.server_close()
            raise

    def _defaults(self) -> dict[str, Any]:  # Any: options of a pool by their keys
        if isinstance(self, socketserver.ThreadingMixIn):
            return {"workers": "auto", "threads": THREADS}
        return {"workers": FORKS if isinstance(self, socketserver.ForkingMixIn) else "auto"}

    @property
    def is_datagram(self) -> bool:
        return self.socket.type == socket.SOCK_DGRAM

    def _is_a_workers(self) -> bool:
        """Whether we are in a worker, which serves this very object."""
        return "_forkful_leave" in self.__dict__

    @stock
    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Become the master of a pool and return when it was asked to stop."""
        if self._is_a_workers():
            super().serve_forever(poll_interval)
            return
        self._over.clear()
        try:
            if self._asked:  # before it began, as the standard library has it
                return
            if threading.current_thread() is not threading.main_thread():
                log.warning("serve_forever() outside the main thread: served by this process alone, unsupervised")
                self._alone = True
                super().serve_forever(poll_interval)
                return
            early.hand_over()
            try:
                self._become_master()
            finally:
                early.let_go()
        finally:
            self._loop, self._alone, self._asked = None, False, False
            self._over.set()

    def _become_master(self) -> None:
        address = self.bound_to or address_of(self.socket, self.server_address)
        probe = self._probed()
        plan = self._plan(address, probe=probe)
        listener = None if self.is_known else self._listener(address, probe=probe)
        if listener is not None and listener.inode != (0, 0):
            _give(listener, plan)
        script = main.Script(self, listener, self._started, STARTED_IN)
        if not probe:
            kept_code.keep()
        code = main.run(plan, [], take_over(), probe=probe, script=script)
        if code or probe:
            sys.exit(code)

    def _probed(self) -> bool:
        """Whether this script is only tried out; it ends here if it could not take over from the one that runs."""
        fd = os.environ.pop(upgrade.PROBE_VARIABLE, None)
        if fd is None:
            return False
        try:
            handover.check(document.read(int(fd))["probe"])
        except handover.HandoverError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(reload.SETTINGS_FAILED)
        return True

    def _started(self, loop: Loop) -> None:
        self._loop = loop
        on_start(loop)
        if self._asked:
            loop.wake(signal.SIGTERM)

    @stock
    def shutdown(self) -> None:
        """Stop gracefully and wait until `serve_forever` is over, from another thread; at once if it was before."""
        if self._is_a_workers():
            super().shutdown()
            return
        self._asked = True
        if self._alone:
            super().shutdown()
        elif (loop := self._loop) is not None:
            loop.wake(signal.SIGTERM)
        self._over.wait()

    def _listener(self, address: Address, *, probe: bool) -> Listener:
        """The socket as the master holds it: a descriptor of its own, for `server_close` closes ours.

        The file of a Unix socket is removed in the end if it is ours: a probe's has none, that one is the service's.
        """
        sock = socket.socket(fileno=os.dup(self.socket.fileno()))  # a socket in TLS has no dup() of its own
        sock.settimeout(None)
        kind = Kind.DATAGRAM if self.is_datagram else Kind.STREAM
        inode = (0, 0)
        if address.has_file and not probe and Path(address.path).exists():
            inode = socket_file.identify(address.path)
        return Listener(address, name_of(sock, address), kind, sock, inode)

    def _plan(self, address: Address, *, probe: bool) -> Plan:
        """Settings from keywords and environment, read where `forkful serve` reads them too."""
        handler = self.RequestHandlerClass
        label = f"{getattr(handler, '__module__', '?')}:{getattr(handler, '__qualname__', handler)}"
        backlog = min(max(self.request_queue_size, 1), 65_535) if hasattr(self, "request_queue_size") else 2048
        said = {"handler": label, "bind": [str(address)], "backlog": backlog, **self._options}
        command = [
            sys.executable,
            *descriptors.switches(),
            "-P",
            "-m",
            "forkful.conf.reader",
            "--embedded",
            json.dumps(said),
        ]
        found = subprocess.run(  # noqa: S603  # our own interpreter and module
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if found.returncode != 0:
            sys.stderr.write(found.stderr)
            sys.exit(found.returncode)
        plan = Plan.from_json(found.stdout)
        pools = tuple(replace(pool, bind=(address,), handler=label) for pool in plan.pools)
        plan = replace(plan, pools=pools)
        return replace(upgrade.private(plan), pools=tuple(replace(p, workers=1) for p in pools)) if probe else plan


def _give(listener: Listener, plan: Plan) -> None:
    """Permissions and owner of a Unix socket where they are said; else they are as the script has made it."""
    (pool,) = plan.pools
    said = identity.access(pool, plan.master)
    access = Access(said.mode if pool.socket_mode >= 0 else None, said.owner if pool.socket_owner else None)
    socket_file.change(listener.address.path, listener.inode, access)


class _Threading(socketserver.ThreadingMixIn, PoolServer):
    """Threads within each worker."""


class _Forking(socketserver.ForkingMixIn, PoolServer):
    """Processes: more workers."""


class TCPServer(PoolServer, socketserver.TCPServer):
    """`socketserver.TCPServer` as a prefork service."""


class UDPServer(PoolServer, socketserver.UDPServer):
    """`socketserver.UDPServer` as a prefork service."""


class UnixStreamServer(PoolServer, socketserver.UnixStreamServer):
    """`socketserver.UnixStreamServer` as a prefork service."""


class UnixDatagramServer(PoolServer, socketserver.UnixDatagramServer):
    """`socketserver.UnixDatagramServer` as a prefork service."""


class ThreadingTCPServer(_Threading, TCPServer):
    """`socketserver.ThreadingTCPServer` as a prefork service of threaded workers."""


class ThreadingUDPServer(_Threading, UDPServer):
    """`socketserver.ThreadingUDPServer` as a prefork service of threaded workers."""


class ThreadingUnixStreamServer(_Threading, UnixStreamServer):
    """`socketserver.ThreadingUnixStreamServer` as a prefork service of threaded workers."""


class ThreadingUnixDatagramServer(_Threading, UnixDatagramServer):
    """`socketserver.ThreadingUnixDatagramServer` as a prefork service of threaded workers."""


class ForkingTCPServer(_Forking, TCPServer):
    """`socketserver.ForkingTCPServer` as a prefork service: one connection per worker at a time."""


class ForkingUDPServer(_Forking, UDPServer):
    """`socketserver.ForkingUDPServer` as a prefork service: one datagram per worker at a time."""


class ForkingUnixStreamServer(_Forking, UnixStreamServer):
    """`socketserver.ForkingUnixStreamServer` as a prefork service: one connection per worker at a time."""


class ForkingUnixDatagramServer(_Forking, UnixDatagramServer):
    """`socketserver.ForkingUnixDatagramServer` as a prefork service: one datagram per worker at a time."""
