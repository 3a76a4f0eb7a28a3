"""Admission: who may connect at all, by the networks of `allow` and `deny`.

What is denied is refused even if it is allowed; where somebody is allowed, nobody else is. An IPv4 client is one on
every socket, also where the kernel shows it as ::ffff:a.b.c.d.
The networks were checked when the settings were read.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any

from forkful.worker.net import networks
from forkful.worker.net.accepted import Accepted
from forkful.worker.net.steps import Reason, Refused, Want

LOCAL = "unix"  # stands for the clients of Unix sockets, which have no address


class Admission:
    """The step, and the question for datagrams, which pass none."""

    waits = False

    def __init__(self, allow: Iterable[str], deny: Iterable[str]) -> None:
        self._allow = Listed(allow)
        self._deny = Listed(deny)

    def permits(self, peer: Any) -> bool:  # Any: an address of the socket module
        return peer not in self._deny and (not self._allow or peer in self._allow)

    def __call__(self, accepted: Accepted) -> Iterable[Want]:
        if not self.permits(accepted.peer):
            raise Refused(Reason.DENIED, "not in allow, or in deny")
        return ()


class Listed:
    """Networks, and perhaps the clients of Unix sockets, as the settings have them."""

    def __init__(self, texts: Iterable[str]) -> None:
        said = tuple(texts)
        self._local = LOCAL in said
        self._networks = networks.Networks(ipaddress.ip_network(text, strict=False) for text in said if text != LOCAL)

    def __bool__(self) -> bool:
        return self._local or bool(self._networks)

    def __contains__(self, peer: Any) -> bool:  # Any: as above
        if not isinstance(peer, tuple):
            return self._local
        return bool(self._networks) and self._networks.hold(networks.read(peer[0].partition("%")[0])[1])
