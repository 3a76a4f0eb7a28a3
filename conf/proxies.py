"""What is said of PROXY headers and cannot be, or is dangerous.

Can go wrong: nothing; an address that only a descriptor or a name tells counts as public.
"""

import ipaddress
from collections.abc import Iterator

from forkful.conf.address import Address, Kind
from forkful.conf.mistakes import Mistake
from forkful.conf.plan import PoolPlan
from forkful.conf.settings import Settings
from forkful.conf.values import Said

_KEY, _WHO, _OFF = "proxy_protocol", "proxy_allow_from", "off"


def refused(settings: Settings) -> Iterator[Mistake]:
    """Headers for datagrams, which have none here."""
    for name, address, section in settings.each_address():
        if section[_KEY].value != _OFF and address.kind is Kind.DATAGRAM:
            yield _no_header(_place(name, section[_KEY]), address)


def without_connections(pool: PoolPlan) -> Iterator[Mistake]:
    """The same once a handler has said what plain addresses are."""
    for address in pool.bind:
        if pool.at(address).proxy_protocol != _OFF and address.kind is Kind.DATAGRAM:
            yield _no_header(f"[pool.{pool.name}] {_KEY}", address)


def _no_header(place: str, address: Address) -> Mistake:
    return Mistake(place, f"{address} is for datagrams, which have no PROXY header", "leave it out for this address")


def warnings(settings: Settings) -> Iterator[str]:
    """For the log and for `forkful check`."""
    for name, address, section in settings.each_address():
        key, who = section[_KEY], section[_WHO]
        if key.value == _OFF:
            if who.place != "default":
                yield f"{who.place} is not used: {_KEY} is off"
        elif not who.value.strip():
            yield f"{_place(name, who)}: {_WHO} names nobody, so no PROXY header is believed at {address}"
        elif "*" in (text.strip() for text in who.value.split(",")) and is_public(address):
            yield (
                f'{who.place}: with {_WHO} = "*" whoever reaches {address} may say to be anybody, past allow, deny and '
                "limits by address: name the proxies, or bind an address that only they reach"
            )


def is_public(address: Address) -> bool:
    """Whether others than this machine and its own network may reach it, as far as it tells."""
    if address.is_unix or address.host == "localhost":
        return False
    try:
        host = ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        return True
    return host.is_unspecified or not (host.is_private or host.is_loopback or host.is_link_local)


def _place(pool: str, said: Said) -> str:
    return said.place if said.place != "default" else f"[pool.{pool}] (default)"
