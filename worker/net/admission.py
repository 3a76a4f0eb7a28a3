"""Admission: who may connect at all, by the networks of `allow` and `deny`.

What is denied is refused even if it is allowed; where somebody is allowed, nobody else is. An IPv4 client is one on
every socket, also where the kernel shows it as ::ffff:a.b.c.d.
The networks were checked when the settings were read.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any

from forkful.worker.net.accepted import Accepted
from forkful.worker.net.steps import Reason, Refused, Want

LOCAL = "unix"  # stands for the clients of Unix sockets, which have no address
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Admission:
    """The step, and the question for datagrams, which pass none."""

    waits = False

    def __init__(self, allow: Iterable[str], deny: Iterable[str]) -> None:
        self._allow = Networks(allow)
        self._deny = Networks(deny)

    def permits(self, peer: Any) -> bool:  # Any: an address of the socket module
        return peer not in self._deny and (not self._allow or peer in self._allow)

    def __call__(self, accepted: Accepted) -> Iterable[Want]:
        if not self.permits(accepted.peer):
            raise Refused(Reason.DENIED, "not in allow, or in deny")
        return ()


class Networks:
    """A list of them, as the settings have it."""

    def __init__(self, texts: Iterable[str]) -> None:
        said = tuple(texts)
        self._local = LOCAL in said
        self._networks = tuple(_plain(ipaddress.ip_network(text, strict=False)) for text in said if text != LOCAL)

    def __bool__(self) -> bool:
        return self._local or bool(self._networks)

    def __contains__(self, peer: Any) -> bool:  # Any: as above
        if not isinstance(peer, tuple):
            return self._local
        if not self._networks:
            return False
        address = ipaddress.ip_address(peer[0])
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._networks)


def _plain(network: Network) -> Network:
    """An IPv4 network is one, also where it is written as IPv6 has it."""
    if not isinstance(network, ipaddress.IPv6Network) or not network.subnet_of(_MAPPED):
        return network
    mapped = network.network_address.ipv4_mapped
    return ipaddress.IPv4Network((int(mapped or 0), network.prefixlen - _MAPPED.prefixlen))
