"""IP addresses and networks as numbers: what `allow`, `deny` and the lists of proxies ask for each client.

An IPv4 address is one also where IPv6 shows it (::ffff:192.0.2.1). `ipaddress` costs ten times as much for each.
Can go wrong: a text that is no address: `ValueError`.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_PREFIX: Final = _MAPPED.network_address.packed[:12]
_FOUR: Final = 4  # bytes

_Masked = tuple[tuple[int, frozenset[int]], ...]  # masks, and what networks with that mask leave of their addresses


def read(text: str) -> tuple[str, bytes]:
    """(the usual spelling, the 4 or 16 bytes) of an address without a zone. inet_pton(3) takes IPv4 in one spelling."""
    try:
        if ":" not in text:
            return text, socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError) as error:
        raise ValueError(f"{text!r} is not an address") from error
    if packed.startswith(_PREFIX):
        packed = packed[12:]
        return socket.inet_ntop(socket.AF_INET, packed), packed
    spelled = socket.inet_ntop(socket.AF_INET6, packed)
    return (spelled if "." not in spelled else str(ipaddress.IPv6Address(packed))), packed


class Networks:
    """Some of them, of both families."""

    __slots__ = ("_four", "_six")

    def __init__(self, networks: Iterable[Network]) -> None:
        plain = [_plain(network) for network in networks]
        self._four = _masked(network for network in plain if network.version == _FOUR)
        self._six = _masked(network for network in plain if network.version != _FOUR)

    def __bool__(self) -> bool:
        return bool(self._four or self._six)

    def hold(self, packed: bytes) -> bool:
        """Whether one of them has the address with these bytes, as `read` gives them."""
        number = int.from_bytes(packed)
        for mask, left in self._four if len(packed) == _FOUR else self._six:  # noqa: SIM110  # any() costs twice as much
            if number & mask in left:
                return True
        return False


def _plain(network: Network) -> Network:
    """An IPv4 network is one, also where it is written as IPv6 has it."""
    if not isinstance(network, ipaddress.IPv6Network) or not network.subnet_of(_MAPPED):
        return network
    mapped = network.network_address.ipv4_mapped
    return ipaddress.IPv4Network((int(mapped or 0), network.prefixlen - _MAPPED.prefixlen))


def _masked(networks: Iterable[Network]) -> _Masked:
    found: dict[int, set[int]] = {}
    for network in networks:
        found.setdefault(int(network.netmask), set()).add(int(network.network_address))
    return tuple((mask, frozenset(left)) for mask, left in found.items())
