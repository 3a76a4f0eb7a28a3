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

import json
import logging
import os
import socket
import socketserver
import subprocess
import sys
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from forkful.conf.address import Address, Kind
from forkful.conf.plan import Plan
from forkful.master import main
from forkful.master.model import document
from forkful.master.supervisor import handover, reload, upgrade
from forkful.master.supervisor.handover import Kept
from forkful.master.supervisor.loop import Loop
from forkful.master.system import kept_code
from forkful.master.system.listeners import Listener, name_of

log = logging.getLogger("forkful.master")

THREADS = 16  # of a worker of a Threading class
FORKS = 16  # workers of a Forking class: connections at a time


@cache
def _handed_over() -> Kept | None:
    """What the last image of this script left, if this one was executed by a reload."""
    fd = os.environ.pop(upgrade.STATE_VARIABLE, None)
    return handover.read(document.read(int(fd))["state"]) if fd else None


class PoolServer(socketserver.BaseServer):
    """What all of them are. Mixed in before a class of `socketserver`, whose constructor they keep."""

    socket: socket.socket
    allow_reuse_address = True
    request_queue_size = 2048
    defaults: ClassVar[dict[str, Any]] = {"workers": "auto"}  # Any: options of a pool by their keys

    def __init__(
        self,
        server_address: Any,  # Any: as typeshed has it, a tuple, a path or a name
        RequestHandlerClass: Any,  # noqa: N803  # the standard library's name
        bind_and_activate: bool = True,  # noqa: FBT001, FBT002  # its signature too
        **options: Any,
    ) -> None:
        self._options = {**self.defaults, **options}
        self._wanted = server_address
        self._is_known = False  # whether the state that was handed over has our socket already
        self._loop: Loop | None = None
        self._over = threading.Event()
        super().__init__(server_address, RequestHandlerClass, bind_and_activate)  # type: ignore[call-arg]  # a sibling's

    @property
    def is_datagram(self) -> bool:
        return self.socket.type == socket.SOCK_DGRAM

    def server_bind(self) -> None:
        """Bind as the standard library does; or take the socket that the last image of this script left."""
        kept = _handed_over()
        held = next((x for x in kept.listeners() if x.address == self._address()), None) if kept else None
        if held is not None:
            self.socket.close()
            self.socket = held.sock.dup()
            self._is_known = True
            self.server_address = self.socket.getsockname()
            return
        if upgrade.PROBE_VARIABLE in os.environ:
            unix = self.socket.family == socket.AF_UNIX
            loopback = "::1" if self.socket.family == socket.AF_INET6 else "127.0.0.1"
            self.server_address = "" if unix else (loopback, 0)
        super().server_bind()  # type: ignore[misc]  # a sibling's

    def _address(self) -> Address:
        """Where the script asked to listen, as a plan says it."""
        if self.socket.family == socket.AF_UNIX:
            path = self._wanted if isinstance(self._wanted, str) else bytes(self._wanted).decode()
            return Address("unixgram" if self.is_datagram else "unix", path=path)
        host, port = self._wanted[:2]
        return Address("udp" if self.is_datagram else "tcp", host=host or "0.0.0.0", port=port)  # noqa: S104  # as theirs

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Become the master of a pool and return when it was asked to stop."""
        if threading.current_thread() is not threading.main_thread():
            log.warning("serve_forever() outside the main thread: served by this process alone, without supervision")
            super().serve_forever(poll_interval)
            return
        address = self._address()
        probe = self._probed()
        plan = self._plan(address, probe=probe)
        listener = None if self._is_known else self._listener(address, probe=probe)
        self._over.clear()
        if not probe:
            kept_code.keep()
        try:
            code = main.run(
                plan,
                [],
                _handed_over(),
                probe=probe,
                script=main.Script(self, listener, self._started),
            )
        finally:
            _handed_over.cache_clear()  # it is used up: what this script serves next starts anew
            self._loop = None
            self._over.set()
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

    def shutdown(self) -> None:
        """Stop gracefully and wait for it, from another thread."""
        import signal  # noqa: PLC0415

        if self._loop is None:
            super().shutdown()
            return
        self._loop.wake(signal.SIGTERM)
        self._over.wait()

    def _listener(self, address: Address, *, probe: bool) -> Listener:
        """The socket as the master holds it: a descriptor of its own, for `server_close` closes ours.

        The file of a Unix socket is removed in the end if it is ours: a probe's has none, that one is the service's.
        """
        sock = socket.socket(fileno=os.dup(self.socket.fileno()))  # a socket in TLS has no dup() of its own
        sock.settimeout(None)
        kind = Kind.DATAGRAM if self.is_datagram else Kind.STREAM
        inode = (0, 0)
        if address.is_unix and not probe and Path(address.path).exists():
            found = os.stat(address.path)
            inode = (found.st_dev, found.st_ino)
        return Listener(address, name_of(sock, address), kind, sock, inode)

    def _plan(self, address: Address, *, probe: bool) -> Plan:
        """Settings from keywords and environment, read where `forkful serve` reads them too."""
        handler = self.RequestHandlerClass
        label = f"{getattr(handler, '__module__', '?')}:{getattr(handler, '__qualname__', handler)}"
        backlog = min(max(self.request_queue_size, 1), 65_535) if hasattr(self, "request_queue_size") else 2048
        said = {"handler": label, "bind": [str(address)], "backlog": backlog, **self._options}
        command = [sys.executable, "-P", "-m", "forkful.conf.reader", "--embedded", json.dumps(said)]
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


class _Threading(socketserver.ThreadingMixIn, PoolServer):
    defaults: ClassVar = {"workers": "auto", "threads": THREADS}


class _Forking(socketserver.ForkingMixIn, PoolServer):
    defaults: ClassVar = {"workers": FORKS}


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
