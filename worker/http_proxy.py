"""Whom we believe about the client: proxies in `forwarded_allow_ips`, and what they say of it.

`Forwarded` (RFC 7239) is preferred to `X-Forwarded-*`. The client is the last address in the chain that is not itself
a trusted proxy; what stands before it was said by the client and may be a lie. Pure functions.
Can go wrong: a header that makes no sense: it is not believed.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_KNOWN = 4096  # hosts remembered
_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*', re.ASCII)


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


@dataclass(frozen=True, slots=True)
class Origin:
    """What a trusted proxy said; empty texts: nothing."""

    host: str = ""
    port: str = ""
    scheme: str = ""


def origin(trust: Trust, *, forwarded: str, for_: str, proto: str) -> Origin:
    """Read the fields of a request that came from a trusted proxy (several lines joined by commas)."""
    if forwarded:
        hops = [_parse_hop(element) for element in _split(forwarded)]
        chain = [hop.get("for", "") for hop in hops]
        at = _client(trust, chain)
        if at is not None:
            host, port = _node(chain[at])
            return Origin(host, port, _scheme(hops[at].get("proto", "") or proto))
        return Origin(scheme=_scheme(hops[-1].get("proto", "") or proto) if hops else "")
    chain = [part.strip() for part in for_.split(",")] if for_ else []
    at = _client(trust, chain)
    host, port = _node(chain[at]) if at is not None else ("", "")
    return Origin(host, port, _scheme(proto.rpartition(",")[2]))


def _client(trust: Trust, chain: list[str]) -> int | None:
    """The position of the last hop that is no proxy of ours; the first if all are; None if there is no address."""
    for position in range(len(chain) - 1, -1, -1):
        host = _node(chain[position])[0]
        if not host:
            return position + 1 if position + 1 < len(chain) else None
        if not trust.believes(host):
            return position
    return 0 if chain else None


def _node(text: str) -> tuple[str, str]:
    """(address, port) of a hop: 192.0.2.1, 192.0.2.1:80, [2001:db8::1]:80, 2001:db8::1. Empty if it is none."""
    text = text.strip().strip('"')
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        return str(ipaddress.ip_address(host)), port if port.isascii() and port.isdecimal() else ""
    except ValueError:
        return "", ""


def _scheme(text: str) -> str:
    text = text.strip().lower()
    return text if text in ("http", "https", "ws", "wss") else ""


def _split(value: str) -> list[str]:
    """Elements of a list, with commas in quoted texts left alone."""
    return [part for part in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', value) if part.strip()]


def _parse_hop(element: str) -> dict[str, str]:
    return {name.lower(): value.strip('"') for name, value in _PAIR.findall(element)}
