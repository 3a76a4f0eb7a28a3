"""An address: where a pool or the admin child listens, as the operator writes it.

Can go wrong: text that is no address raises `AddressError`, whose message says what would be right.
"""

import os
import re
from enum import Enum
from typing import Self

from forkful.conf.light import dataclass


class Kind(Enum):
    """What a socket carries."""

    STREAM = "stream"
    DATAGRAM = "datagram"


class AddressError(ValueError):
    """This text is not an address; the message says why and shows a right one."""


INTERNET = {"tcp": Kind.STREAM, "tls": Kind.STREAM, "http": Kind.STREAM, "https": Kind.STREAM, "udp": Kind.DATAGRAM}
UNIX = {"unix": Kind.STREAM, "http+unix": Kind.STREAM, "unixgram": Kind.DATAGRAM}
SCHEMES = (*INTERNET, *UNIX, "fd")
SECURE = {"tls": "tcp", "https": "http"}  # what each is within TLS
STORED = "forkful="  # begins the names of sockets that the master left in the manager's store; no pool is named so

SUN_PATH = 107  # bytes: sizeof(sockaddr_un.sun_path) - 1, unix(7)
_PORTS = 65535
_EXAMPLES = "tcp://127.0.0.1:7000, udp://[::]:53, unix:///run/app.sock, fd://3, HOST:PORT or :PORT"


@dataclass(frozen=True, slots=True)
class Address:
    """One place to listen. `scheme` is one of `SCHEMES`, or "" where the handler decides (`HOST:PORT`).

    `host` "*" is every interface, both families in one socket; `port` 0 lets the kernel choose. `whose` tells apart
    those that are written alike and mean a port each. A `path` that is relative to the working directory is made
    absolute by who knows that.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1
    whose: str = ""

    @property
    def kind(self) -> Kind | None:
        """What it carries; None where only the handler (plain) or the descriptor itself (`fd:`) can tell."""
        return INTERNET.get(self.scheme) or UNIX.get(self.scheme)

    @property
    def is_unix(self) -> bool:
        return self.scheme in UNIX

    @property
    def is_secure(self) -> bool:
        """Whether it says TLS."""
        return self.scheme in SECURE

    @property
    def is_abstract(self) -> bool:
        """Whether it is a name without a file, unix(7): `unix:@NAME`. "" is one that the kernel finds."""
        return self.is_unix and self.path[:1] in ("@", "")

    @property
    def has_file(self) -> bool:
        """Whether it is a Unix socket that has permissions and an owner."""
        return self.is_unix and self.path.startswith("/")

    @property
    def unix_name(self) -> str:
        """What bind(2) and connect(2) take for it."""
        return f"\0{self.path[1:]}" if self.path.startswith("@") else self.path

    def __str__(self) -> str:
        if self.scheme == "fd":
            return f"fd://{self.fd}"
        if self.is_unix:
            return f"{self.scheme}:{'//' if self.path[:1] in ('/', '') else ''}{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        whose = f" ({self.whose})" if self.whose else ""
        return f"{self.scheme}://{host}:{self.port}{whose}" if self.scheme else f"{host}:{self.port}{whose}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address as an operator writes it; raise `AddressError`."""
        scheme, separator, rest = text.strip().partition("://")
        if not separator:
            scheme, rest = "", text.strip()
            unix = rest.partition(":")  # unix:/run/app.sock and unix:@name, as others spell them
            if unix[0] in UNIX:
                scheme, rest = unix[0], unix[2]
        if scheme and scheme not in SCHEMES:
            raise AddressError(f"{text!r}: {scheme!r} is not a scheme; use one of {', '.join(SCHEMES)}")
        if scheme == "fd":
            if not re.fullmatch(r"[0-9]{1,9}", rest):
                raise AddressError(f"{text!r}: a descriptor is a number, like fd://3")
            return cls("fd", fd=int(rest))
        if scheme in UNIX:
            return cls(scheme, path=_unix_path(text, rest, may_be_relative=not separator))
        host, port = _host_and_port(text, rest)
        return cls(scheme, host=host, port=port)


def _unix_path(text: str, path: str, *, may_be_relative: bool) -> str:
    named = path.startswith("@") and path != "@"
    a_path = path and path[0] != "@" and not path.endswith("/") and (may_be_relative or path[0] == "/")
    if not (named or a_path) or "\0" in path:
        raise AddressError(
            f"{text!r}: a Unix socket needs a path, like unix:///run/app.sock (three slashes) or unix:app.sock, or an "
            "abstract name, like unix:@app"
        )
    if problem := too_long(path):
        raise AddressError(f"{text!r}: {problem}")
    return path


def too_long(path: str) -> str:
    """What is wrong with the length of a Unix socket's path; empty if nothing is."""
    length = len(os.fsencode(path))
    return f"the path of a Unix socket may have {SUN_PATH} bytes, this one has {length}" if length > SUN_PATH else ""


def _host_and_port(text: str, rest: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.]*(?:%[^\]\s/]+)?)\]|(?P<host>[^:\[\]/]*)):(?P<port>[0-9]+)/?", rest)
    if match is None:
        hint = "; IPv6 goes in brackets, like [::1]:7000" if rest.count(":") > 1 else ""
        raise AddressError(f"{text!r}: not HOST:PORT{hint}; write an address like {_EXAMPLES}")
    port = int(match["port"])
    if port > _PORTS:
        raise AddressError(f"{text!r}: a port is at most {_PORTS}")
    host = match["v6"] if match["v6"] is not None else match["host"]
    return host or "*", port
