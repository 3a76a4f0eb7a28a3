"""Hosts by name: a name that means an address of each family, like localhost, is listened to on all of them.

Can go wrong: the name is not known: left as it is, and binding it says so.
"""

import contextlib
import ipaddress
import socket
from dataclasses import replace

from forkful.conf.address import INTERNET, Address


def spread(address: Address) -> tuple[Address, ...]:
    """The addresses that this one means. Port 0 stays one: its families would get a port each."""
    named = address.scheme in INTERNET and address.port and address.host not in ("", "*") and not _is_numeric(address)
    if not named:
        return (address,)
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return (address,)
    names = {str(where[0]) for *_, where in found}
    if address.host == "localhost":  # whatever the file of hosts has forgotten: RFC 6761, 6.3
        names |= {"127.0.0.1", "::1"}
    here = sorted(name for name in names if _is_here(name))
    return tuple(replace(address, host=name) for name in here) or (address,)


def _is_numeric(address: Address) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(address.host.partition("%")[0]))
    return False


def _is_here(name: str) -> bool:
    """Whether this machine has the address: a family may be switched off, whatever the names say."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((name, 0))
    except OSError:
        return False
    return True
