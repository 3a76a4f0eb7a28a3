"""A door: a socket the test binds itself, hands down as `fd://N`, and knocks at as a client.

Can go wrong: only what sockets do; a client's wait ends with `TimeoutError`.
"""

import itertools
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kit.wait import PATIENCE

SockAddress = tuple[str, int] | str
_BACKLOG = 2048
_number = itertools.count()


@dataclass
class Door:
    """Where a server listens, as clients see it. `listener` is the test's own descriptor until it is handed down."""

    family: socket.AddressFamily
    kind: socket.SocketKind
    address: SockAddress
    listener: socket.socket | None = None

    @property
    def url(self) -> str:
        assert self.listener is not None, "this door was handed down already"
        return f"fd://{self.listener.fileno()}"

    @property
    def inode(self) -> int:
        assert self.listener is not None, "this door was handed down already"
        return os.fstat(self.listener.fileno()).st_ino

    def close(self) -> None:
        """Give up the test's own reference, so that the kernel queues nothing for a server that is gone."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None

    def connect(self, timeout: float = PATIENCE) -> socket.socket:
        """A client's socket, connected (for datagrams: fixed to this peer, bound where a reply needs it)."""
        client = socket.socket(self.family, self.kind)
        try:
            client.settimeout(timeout)
            if self.family == socket.AF_UNIX and self.kind == socket.SOCK_DGRAM:
                client.bind(f"\0forkful-test-{os.getpid()}-{next(_number)}")  # abstract: leaves no file, unix(7)
            client.connect(self.address)
        except BaseException:
            client.close()
            raise
        return client

    def connect_from(self, host: str, timeout: float = PATIENCE) -> socket.socket:
        """A client with this address."""
        client = socket.socket(self.family, self.kind)
        try:
            client.settimeout(timeout)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((host, 0))
            client.connect(self.address)
        except BaseException:
            client.close()
            raise
        return client

    def is_refused(self, host: str, data: bytes = b"") -> bool:
        """Whether a client with this address is hung up on, without an answer to `data` or a greeting."""
        try:
            with self.connect_from(host) as client:
                client.sendall(data)
                return client.recv(1) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True

    def ask(self, data: bytes, timeout: float = PATIENCE) -> bytes:
        """Send one request and return the whole reply: to the end of the stream, or one datagram."""
        with self.connect(timeout) as client:
            client.sendall(data)
            if self.kind == socket.SOCK_DGRAM:
                return client.recv(65_535)
            return read_all(client)

    def at(self, host: str) -> "Door":
        """The same port by another name, for a listener on every interface."""
        assert isinstance(self.address, tuple)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return Door(family, self.kind, (host, self.address[1]))


def queue_limit(door: Door) -> int:
    """How many may wait to be accepted there, as ss(8) shows it of a stream."""
    where, column = (["-t", f"sport = :{door.address[1]}"], 2)
    if isinstance(door.address, str):
        where, column = (["-x", f"src {door.address}"], 3)
    shown = subprocess.run(["ss", "-Hln", *where], capture_output=True, text=True, check=True).stdout
    (line,) = shown.splitlines()
    return int(line.split()[column])


def read_all(client: socket.socket) -> bytes:
    """Everything to the end of the stream."""
    return b"".join(iter(lambda: client.recv(65_536), b""))


def open_door(kind: str, folder: Path) -> Door:
    """Bind `tcp`, `tcp6`, `tcp*`, `udp`, `udp6`, `udp*`, `unix` or `unixgram` where nobody else is, and listen."""
    if kind.startswith("unix"):
        path = str(folder / f"{kind}{next(_number)}.sock")
        family, how = socket.AF_UNIX, socket.SOCK_DGRAM if kind == "unixgram" else socket.SOCK_STREAM
        where: SockAddress = path
    else:
        family = socket.AF_INET if kind in ("tcp", "udp") else socket.AF_INET6
        how = socket.SOCK_DGRAM if kind.startswith("udp") else socket.SOCK_STREAM
        where = ({"6": "::1", "*": "::"}.get(kind[-1], "127.0.0.1"), 0)
    listener = socket.socket(family, how)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if kind.endswith("*") else 1)
    listener.bind(where)
    if how == socket.SOCK_STREAM:
        listener.listen(_BACKLOG)
    bound = listener.getsockname()
    return Door(family, how, bound if isinstance(bound, str) else bound[:2], listener)


def host_port(door: Door) -> str:
    """Where a TCP or UDP door is, as programs are told."""
    assert isinstance(door.address, tuple)
    return f"{door.address[0]}:{door.address[1]}"


def door_of(url: str) -> Door:
    """The door behind an address as the status page shows it."""
    scheme, _, rest = url.partition("://")
    kind = socket.SOCK_DGRAM if scheme in ("udp", "unixgram") else socket.SOCK_STREAM
    if url.startswith("unix:@"):
        return Door(socket.AF_UNIX, kind, f"\0{url.removeprefix('unix:@')}")
    if scheme.endswith("unix") or scheme == "unixgram":
        return Door(socket.AF_UNIX, kind, rest)
    host, _, port = rest.rpartition(":")
    host = host.strip("[]")
    if host in ("*", "0.0.0.0", "::"):
        host = "127.0.0.1"
    return Door(socket.AF_INET6 if ":" in host else socket.AF_INET, kind, (host, int(port)))
