"""The master: fork, supervise, reload, upgrade, admin, command line; and the drop-in server classes.

`from forkful.master import TCPServer` instead of `from socketserver import TCPServer`: see `forkful.master.servers`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forkful.master.servers import (
        ForkingTCPServer,
        ForkingUDPServer,
        ForkingUnixDatagramServer,
        ForkingUnixStreamServer,
        TCPServer,
        ThreadingTCPServer,
        ThreadingUDPServer,
        ThreadingUnixDatagramServer,
        ThreadingUnixStreamServer,
        UDPServer,
        UnixDatagramServer,
        UnixStreamServer,
    )

__all__ = [
    "ForkingTCPServer",
    "ForkingUDPServer",
    "ForkingUnixDatagramServer",
    "ForkingUnixStreamServer",
    "TCPServer",
    "ThreadingTCPServer",
    "ThreadingUDPServer",
    "ThreadingUnixDatagramServer",
    "ThreadingUnixStreamServer",
    "UDPServer",
    "UnixDatagramServer",
    "UnixStreamServer",
]


def __getattr__(name: str) -> Any:  # Any: PEP 562; the classes are imported only where a script asks for one
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from forkful.master import servers  # noqa: PLC0415

    return getattr(servers, name)
