"""Trust: which proxies are believed about who the client is, by `forwarded_allow_ips` and `proxy_allow_from`.

Can go wrong: a text that is no network, which is said when the settings are read.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_KNOWN = 4096  # hosts remembered


@dataclass(frozen=True, slots=True)
class Trust:
    """Addresses and networks whose word counts. A Unix socket's peer counts where anybody does."""

    networks: tuple[Network, ...] = ()
    everyone: bool = False
    _known: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Trust":
        """Read addresses, CIDR networks or "*". Raises ValueError, whose message names the text."""
        networks: list[Network] = []
        everyone = False
        for text in texts:
            if text.strip() == "*":
                everyone = True
            elif text.strip():
                networks.append(ipaddress.ip_network(text.strip(), strict=False))
        return cls(tuple(networks), everyone)

    def believes(self, host: str) -> bool:
        """Whether this peer is a proxy of ours; "" is a Unix socket's."""
        if self.everyone:
            return True
        if not host:
            return bool(self.networks)
        known = self._known.get(host)
        if known is None:
            known = self._look(host)
            if len(self._known) < _KNOWN:
                self._known[host] = known
        return known

    def _look(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)


NOBODY = Trust()
