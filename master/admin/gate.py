"""The gate: for whom the pages are, of those who come over TCP.

A page of the web can have its visitors' browsers ask us and read the answer, by a name of its own that suddenly means
our address (DNS rebinding). The browser then says that name in `Host`: so a name has to be one of ours. An address in
its place was looked up by nobody, and is always good. Probes are told how it is, but not why, whoever they ask for.
Can go wrong: the file of the token cannot be read: then nobody comes in over TCP.
"""

import os
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from forkful.conf import file_rights
from forkful.conf.address import Address
from forkful.conf.light import dataclass
from forkful.conf.plan import AdminPlan

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_MOST = 4096  # bytes of a token
_PORT = re.compile(r":[0-9]*$")


@dataclass(frozen=True, slots=True)
class Gate:
    """`names` may begin with `*.`; `token` None: none is wanted, "": there is none that would do.

    `sockets` says where commands are taken, for those who ask elsewhere.
    """

    names: frozenset[str] = frozenset()
    token: str | None = None
    sockets: tuple[str, ...] = ()

    @classmethod
    def of(cls, access: AdminPlan, addresses: Iterable[Address]) -> Self:
        """Made by the master's rights: the file may be root's alone."""
        addresses = list(addresses)
        sockets = tuple(str(address) for address in addresses if address.is_unix)
        own = socket.gethostname().lower()
        names = {"localhost", "*.localhost", own, own.partition(".")[0], *access.allowed_hosts}
        names |= {address.host.lower() for address in addresses if address.host}
        return cls(frozenset(names - {"", "*"} | ({"*"} & {*access.allowed_hosts})), _token(access.token_file), sockets)

    def knows(self, host: str) -> bool:
        """Whether this `Host` is a name of ours. Who says none is no browser."""
        name = _PORT.sub("", host.strip()).lower().rstrip(".")
        if not name or "*" in self.names or name in self.names:
            return True
        import ipaddress  # noqa: PLC0415  # of the admin child; the master only makes gates

        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return any(name.endswith(each[1:]) for each in self.names if each.startswith("*."))
        return True

    def trusts(self, environ: "WSGIEnvironment") -> bool:
        """Whether this request brings the token, if one is wanted."""
        if self.token is None:
            return True
        import hmac  # noqa: PLC0415  # as above

        scheme, _, said = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        is_same = hmac.compare_digest(said.strip().encode("latin-1"), self.token.encode())
        return bool(self.token) and scheme.lower() == "bearer" and is_same


def _token(path: str) -> str | None:
    if not path:
        return None
    try:
        with file_rights.at(path):
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.read(fd, _MOST).decode().strip()
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return ""
