"""A multicast group as an operator writes it: `GROUP`, or `GROUP%INTERFACE`.

Can go wrong: text that is no group: ValueError.
"""

import ipaddress
import re
from typing import Self

from forkful.conf.address import Address, Kind
from forkful.conf.light import dataclass

INTERFACE = re.compile(r"[^\s/:]{1,15}")  # IFNAMSIZ - 1; the kernel takes no others
_EVERYWHERE = {"0.0.0.0": 4, "::": 6}  # noqa: S104  # a name for it, nothing is bound  # nosec B104


@dataclass(frozen=True, slots=True)
class Group:
    """`interface` "": whichever the kernel's routes say, which is one alone."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    interface: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        host, zone, interface = text.strip().partition("%")
        address = ipaddress.ip_address(host)
        if not address.is_multicast or (zone and not INTERFACE.fullmatch(interface)):
            raise ValueError("no group")
        return cls(address, interface)

    def __str__(self) -> str:
        return f"{self.address}%{self.interface}" if self.interface else str(self.address)

    def reaches(self, bound: Address) -> bool:
        """Whether a socket there gets what is sent to the group: where it has every address, or the group's own.

        What somebody else has bound may do.
        """
        if bound.scheme == "fd" or bound.host == "*":
            return True
        if bound.is_unix or bound.kind is Kind.STREAM:
            return False
        return _EVERYWHERE.get(bound.host) == self.address.version or bound.host.partition("%")[0] == str(self.address)
