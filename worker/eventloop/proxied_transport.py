"""A transport that says who the client is as the record of its connection has it: a step may know better.

asyncio's own could be told; uvloop's, written in C, asks the kernel. So one of ours stands in front of either, and
hands on all but that. `start_tls` wants the one behind: uvloop looks at its class.
Can go wrong: nothing of its own.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from forkful.worker.eventloop.brief_transport import BriefTransport
from forkful.worker.net.accepted import Accepted

_HANDED_ON = (
    "abort", "can_write_eof", "close", "get_protocol", "get_write_buffer_limits", "get_write_buffer_size", "is_closing",
    "is_reading", "pause_reading", "resume_reading", "set_protocol", "set_write_buffer_limits", "write", "write_eof",
    "writelines",
)  # fmt: skip


class ProxiedTransport(asyncio.Transport):
    """In front of another one."""

    __slots__ = ("accepted", "behind")

    def __init__(self, behind: Any, accepted: Accepted) -> None:  # Any: a transport of either loop
        self.behind = behind
        self.accepted = accepted

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # Any: as of asyncio
        match name:
            case "proxy_header":
                return self.accepted.proxy_header
            case "peername":
                return self.accepted.peer
            case "sockname" if self.accepted.says_local:
                return self.accepted.local
        return self.behind.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:  # Any: what a loop has beside what all have
        return getattr(self.behind, name)


def _handing_on(name: str) -> Callable[..., Any]:  # Any: as of the method
    def method(self: ProxiedTransport, *args: Any) -> Any:  # Any: as above
        return getattr(self.behind, name)(*args)

    method.__name__ = name
    return method


for _name in _HANDED_ON:
    setattr(ProxiedTransport, _name, _handing_on(_name))


def proxied(transport: Any, accepted: Accepted | None) -> Any:  # Any: as above
    """What a handler gets in place of this transport: itself, where the kernel knows as much."""
    if accepted is None:
        return transport
    if accepted.proxy_header is None and accepted.peer == transport.get_extra_info("peername"):
        return transport
    return ProxiedTransport(transport, accepted)


def unwrap(loop: Any) -> None:  # Any: methods of it are replaced
    """Have `start_tls` and `sendfile` of this loop take transports of ours; of a proxied one, `start_tls` gives one."""
    plain, plain_sendfile = loop.start_tls, loop.sendfile

    async def start_tls(transport: Any, *args: Any, **kwargs: Any) -> Any:  # Any: as of asyncio
        if isinstance(transport, BriefTransport):
            return await plain(await transport.settled(paused=True), *args, **kwargs)
        if not isinstance(transport, ProxiedTransport):
            return await plain(transport, *args, **kwargs)
        secured = await plain(transport.behind, *args, **kwargs)
        return None if secured is None else ProxiedTransport(secured, transport.accepted)

    async def sendfile(transport: Any, *args: Any, **kwargs: Any) -> Any:  # Any: as above
        while isinstance(transport, BriefTransport | ProxiedTransport):
            transport = transport.behind if isinstance(transport, ProxiedTransport) else await transport.settled()
        return await plain_sendfile(transport, *args, **kwargs)

    loop.start_tls, loop.sendfile = start_tls, sendfile
