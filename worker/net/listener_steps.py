"""Which steps the connections of a pool pass, as its settings have it.

What the settings say was checked when they were read.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from forkful.conf.plan import PoolPlan
from forkful.handlers.secured import Tls
from forkful.worker.ipc.boot_error import BootError
from forkful.worker.net.admission import Admission
from forkful.worker.net.peer_limits import PeerLimits
from forkful.worker.net.steps import Reason, Step, Steps

if TYPE_CHECKING:
    from forkful.conf.tls import ServerContext


def admission(plan: PoolPlan) -> Admission | None:
    """Who may connect; None: everyone."""
    return Admission(plan.allow, plan.deny) if plan.allow or plan.deny else None


Doorkeeper = Callable[[Any], Reason | None]  # Any: an address of the socket module


def doorkeeper(plan: PoolPlan, limits: PeerLimits | None = None) -> Doorkeeper | None:
    """Who may not send this datagram, and why not; None: nobody is asked. Raises `BootError`."""
    if plan.proxy_protocol != "off":  # a descriptor's; of others it is known when the settings are read
        raise BootError("proxy_protocol is set for a datagram socket, and datagrams have no PROXY header: leave it out")
    who = admission(plan)
    if who is None and limits is None:
        return None

    def refuse(peer: Any) -> Reason | None:  # Any: as above
        if who is not None and not who.permits(peer):
            return Reason.DENIED
        return Reason.RATE if limits is not None and limits.refuses(peer) else None

    return refuse


def steps(plan: PoolPlan, handshake: Step | None = None, limits: PeerLimits | None = None) -> Steps:
    """In their order. Datagrams pass none of them, but are asked for (`doorkeeper`)."""
    found: list[Step] = []
    if plan.proxy_protocol != "off":
        from forkful.worker.net.proxy_protocol import ProxyProtocol  # noqa: PLC0415  # others do without

        found.append(ProxyProtocol(plan.proxy_protocol, plan.proxy_allow_from))
    if (who := admission(plan)) is not None:
        found.append(who)
    if limits is not None:
        found.append(limits)
    if handshake is not None:
        found.append(handshake)
    return Steps(tuple(found), plan.handshake_timeout)


def handshake(tls: Tls | None) -> Step | None:
    """Of TLS, for a lane."""
    if tls is None:
        return None
    from forkful.worker.net.tls import Handshake  # noqa: PLC0415  # others do without ssl: 20 ms and 5 MB

    return Handshake(tls.context, suppress_ragged_eofs=tls.suppress_ragged_eofs)


def engine_handshake(context: "ServerContext | None") -> Step | None:
    """Of TLS, for an event loop."""
    if context is None:
        return None
    from forkful.worker.net.tls import EngineHandshake  # noqa: PLC0415  # as above

    return EngineHandshake(context)
