"""What is said of a pool's sockets and has no effect there, since none is of that kind: told, never dropped in silence.

An address whose kind only the handler or a descriptor tells (`HOST:PORT`, `fd://N`) counts as any of them.
"""

from collections.abc import Callable, Iterator
from typing import Final

from forkful.conf.address import Address, Kind
from forkful.conf.settings import Settings


def _may_be(kind: Kind | None, address: Address) -> bool:
    """Whether it may be an IP socket, of this kind."""
    return not address.is_unix and (kind is None or address.kind in {kind, None})


def _may_be_secure(address: Address) -> bool:
    return address.is_secure or address.scheme in ("", "fd")


_TLS: Final = ("certfile", "certificates", "ca_certs", "ciphers", "alpn")

#: By option: whether it can have an effect at an address, and what such an address is.
_NEEDS: Final[dict[str, tuple[Callable[[Address], bool], str]]] = {
    "socket_mode": (lambda address: address.has_file, "Unix socket with a path"),
    "socket_owner": (lambda address: address.has_file, "Unix socket with a path"),
    "keepalive_idle": (lambda address: _may_be(Kind.STREAM, address), "TCP address"),
    "nodelay": (lambda address: _may_be(Kind.STREAM, address), "TCP address"),
    "defer_accept": (lambda address: _may_be(Kind.STREAM, address), "TCP address"),
    "receive_buffer": (lambda address: _may_be(None, address), "IP address"),
    "send_buffer": (lambda address: not (address.is_unix and address.kind is Kind.STREAM), "IP address"),
    "bind_device": (lambda address: _may_be(None, address), "IP address"),
    "broadcast": (lambda address: _may_be(Kind.DATAGRAM, address), "UDP address"),
    "multicast": (lambda address: _may_be(Kind.DATAGRAM, address), "UDP address"),
    "idle_timeout": (lambda address: _may_be(Kind.STREAM, address), "TCP address"),
    "read_timeout": (lambda address: address.kind is not Kind.DATAGRAM, "connections, only datagrams"),
    "max_connections_per_ip": (lambda address: _may_be(Kind.STREAM, address), "TCP address"),
    **dict.fromkeys(_TLS, (_may_be_secure, "TLS address")),
    "max_rate_per_ip": (lambda address: _may_be(None, address), "IP address"),
}


def unused(settings: Settings) -> Iterator[str]:
    """A warning for each."""
    for name, pool in settings.pools.items():
        addresses = pool["bind"].value
        apart = [(addresses[position], own) for position, own in settings.listeners.get(name, {}).items()]
        for key, (serves, what) in _NEEDS.items():
            said = pool[key]
            if said.place != "default" and said.value and not any(serves(address) for address in addresses):
                yield f"{said.place} is not used: pool {name} has no {what}"
            for address, own in apart:
                if key in own and own[key].value and not serves(address):
                    yield f"{own[key].place} is not used: {address} is no {what}"
