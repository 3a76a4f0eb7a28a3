"""Options of a pool that are for its listeners, and for connections whatever their handler is.

Those with `listener=True` may be said of one address alone, under `[pool.NAME.listener."ADDRESS"]`.
"""

from forkful.conf.option import Form, Option, Scope

_P = Scope.POOL

LISTENER: tuple[Option, ...] = (
    Option(
        "write_timeout",
        _P,
        Form.SECONDS,
        60.0,
        "How long a client may take nothing of what is sent to it. Then its connection is cut. 0: no limit.",
    ),
    Option(
        "idle_timeout",
        _P,
        Form.SECONDS,
        0.0,
        "How long a TCP connection may be silent in both directions. Then it is ended. Not for HTTP. 0: no limit.",
    ),
    Option(
        "read_timeout",
        _P,
        Form.SECONDS,
        0.0,
        "How long a handler may wait for its client to send. Then the connection is ended. Not for HTTP. 0: no limit.",
    ),
    Option(
        "allow",
        _P,
        Form.NETWORKS,
        (),
        "Who may connect: networks, addresses, or unix for Unix sockets. Empty: everyone. The flag may be repeated.",
        listener=True,
    ),
    Option(
        "deny",
        _P,
        Form.NETWORKS,
        (),
        "Who may not connect, even if allow names them. The handler never sees them.",
        listener=True,
    ),
    Option(
        "max_connections_per_ip",
        _P,
        Form.COUNT,
        0,
        "The most connections that an address (of IPv6: a /64) has in the whole pool. More are closed. 0: no limit.",
        most=100_000,
    ),
    Option(
        "max_rate_per_ip",
        _P,
        Form.COUNT,
        0,
        "The most connections or datagrams of an address in a second, and at once; of IPv6: of a /64. 0: no limit.",
        most=1_000_000,
    ),
    Option(
        "handshake_timeout",
        _P,
        Form.SECONDS,
        10.0,
        "How long a new connection may take until the handler has it. Unset: at most half of timeout. 0: no limit.",
        listener=True,
    ),
    Option(
        "backlog",
        _P,
        Form.COUNT,
        2048,
        "How many connections may wait in the kernel until they are accepted.",
        least=1,
        most=65535,
        listener=True,
    ),
    Option(
        "reuse_port",
        _P,
        Form.SWITCH,
        default=False,
        help="Set SO_REUSEPORT, so that other programs may listen on the same port.",
        reload=False,
        upgrade=False,
        listener=True,
    ),
    Option(
        "socket_mode",
        _P,
        Form.MODE,
        -1,
        "The permissions of Unix sockets, like 0660. Unset: 0666 less the umask.",
        least=-1,
        most=0o777,
        listener=True,
    ),
    Option(
        "socket_owner",
        _P,
        Form.OWNER,
        "",
        "The owner of Unix sockets. Unset: the user and group of the workers.",
        listener=True,
    ),
)
