"""Whom we believe about the client: proxies in `forwarded_allow_ips`, and what they say of it.

The client is the last address in the chain that is not itself a trusted proxy; what stands before it was said by the
client and may be a lie. So may a field be that the proxy neither writes nor removes: `X-Forwarded-For` and `-Proto`
count before `Forwarded` (RFC 7239), because proxies that write those pass a client's `Forwarded` on as it is, and
those that write `Forwarded` are few. Pure functions.
Can go wrong: a header that makes no sense: it is not believed.
"""

import re
from typing import Final, NamedTuple

from forkful.worker.net import networks
from forkful.worker.net.trust import Trust

_PAIR = re.compile(r'\s*(?:([!#$%&\'*+.^_`|~\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*)?([;,]|\Z)', re.ASCII)
_PORT = re.compile("[0-9]{1,5}")
_LAST_PORT = 65_535
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}  # as applications know them


class Origin(NamedTuple):
    """What a trusted proxy said; empty texts: nothing."""

    host: str = ""
    port: str = ""
    scheme: str = ""


def origin(trust: Trust, *, forwarded: str, for_: str, proto: str) -> Origin:
    """Read the fields of a request that came from a trusted proxy (several lines joined by commas)."""
    if not forwarded and "," not in for_ and ":" not in for_:  # nearly all: one proxy says one address of IPv4
        try:
            return Origin(networks.read(for_)[0], "", _scheme(proto))
        except ValueError:  # none, or more around it
            pass
    hops = _hops(forwarded) if forwarded else []
    chain = [part for part in for_.split(",") if part.strip()] if "," in for_ or not for_.strip() else [for_]
    at, host, port = _client(trust, chain or [hop.get("for", "") for hop in hops])
    if not proto and hops:
        proto = hops[-1 if at is None or chain else at].get("proto", "")
    return Origin(host, port, _scheme(proto))


def _client(trust: Trust, chain: list[str]) -> tuple[int | None, str, str]:
    """The last hop that is no proxy of ours: its position, address and port; the first if all are; None: no address."""
    at, host, port = None, "", ""
    for position in range(len(chain) - 1, -1, -1):
        text, after = _split(chain[position])
        try:
            read, packed = networks.read(text.partition("%")[0])  # a zone is the proxy's own, and may be any text
        except ValueError:
            break
        at, host, port = position, read, after
        if not position or not trust.holds(packed):  # nobody stands before the first
            break
    return at, host, port if port and _PORT.fullmatch(port) and int(port) <= _LAST_PORT else ""


def _split(text: str) -> tuple[str, str]:
    """(address, port) of a hop: 192.0.2.1, 192.0.2.1:80, [2001:db8::1]:80, 2001:db8::1."""
    host = text.strip().strip('"')
    if ":" not in host:
        return host, ""
    if host.startswith("["):
        host, _, port = host[1:].partition("]")
        return host, port.removeprefix(":")
    if host.count(":") == 1:
        host, _, port = host.partition(":")
        return host, port
    return host, ""


def _scheme(proto: str) -> str:
    """The last one; a proxy may say "wss" of what began as HTTP."""
    return _SCHEMES.get(proto) or _SCHEMES.get(proto.rpartition(",")[2].strip().lower(), "")


def _hops(value: str) -> list[dict[str, str]]:
    """The elements of `Forwarded`. None if one is malformed: with a quote that a client left open, what a proxy adds
    would be part of the client's."""
    hops: list[dict[str, str]] = [{}]
    at = 0
    while at < len(value):
        pair = _PAIR.match(value, at)
        if pair is None:
            return []
        name, said, end = pair.groups()
        if name:
            hops[-1][name.lower()] = said.strip('"')
        if end == ",":
            hops.append({})
        at = pair.end()
    return [hop for hop in hops if hop]
