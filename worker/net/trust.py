"""Trust: which proxies are believed about who the client is, by `forwarded_allow_ips` and `proxy_allow_from`.

Can go wrong: a text that is no network, which is said when the settings are read.
"""

import ipaddress
from collections.abc import Iterable

from forkful.worker.net import networks
from forkful.worker.net.networks import Networks

_KNOWN = 4096  # peers remembered: proxies are few, and each sends many requests


class Trust:
    """Addresses and networks whose word counts. A Unix socket's peer counts where anybody does."""

    __slots__ = ("_everyone", "_known", "_networks")

    def __init__(self, trusted: Networks, *, everyone: bool = False) -> None:
        self._networks = trusted
        self._everyone = everyone
        self._known: dict[str, bool] = {}

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Trust":
        """Read addresses, CIDR networks or "*". Raises ValueError, whose message names the text."""
        said = [text.strip() for text in texts if text.strip()]
        found = Networks(ipaddress.ip_network(text, strict=False) for text in said if text != "*")
        return cls(found, everyone="*" in said)

    def believes(self, host: str) -> bool:
        """Whether this peer is a proxy of ours; "" is a Unix socket's."""
        if self._everyone:
            return True
        if not host:
            return bool(self._networks)
        known = self._known.get(host)
        if known is None:
            known = self._look(host)
            if len(self._known) < _KNOWN:
                self._known[host] = known
        return known

    def holds(self, packed: bytes) -> bool:
        """The same of the bytes of an address in a field, which seldom comes twice."""
        return self._everyone or self._networks.hold(packed)

    def _look(self, host: str) -> bool:
        try:
            _, packed = networks.read(host.partition("%")[0])
        except ValueError:
            return False
        return self._networks.hold(packed)


NOBODY = Trust(Networks(()))
