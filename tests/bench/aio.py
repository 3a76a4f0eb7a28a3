"""Event loops: TCP echo of 64 bytes by a protocol and by a coroutine, beside the same on bare uvloop, in CPU."""

from tests.bench.comparison import Rounds, against, compare
from tests.bench.contenders import floor, forkful
from tests.bench.figure import Figure
from tests.bench.load import Load

APPS = "tests.bench.apps.aio"
BARE_PROTOCOL, BARE_STREAMS = "bare uvloop protocol", "bare uvloop streams"
BARE_EPOLL = "bare epoll, accept, recv, send, close"
PROTOCOL, STREAMS = "forkful protocol", "forkful coroutine"


def aio(rounds: Rounds) -> list[Figure]:
    """Fifty connections, ping-pong; then one connection per request."""
    kept = compare(
        [
            floor(BARE_PROTOCOL, "aio", "protocol", "Until"),
            forkful(PROTOCOL, f"{APPS}:Until"),
            floor(BARE_STREAMS, "aio", "streams", "until"),
            forkful(STREAMS, f"{APPS}:until"),
        ],
        Load("persistent", connections=50),
        rounds,
    )
    once = compare(
        [
            floor(BARE_PROTOCOL, "aio", "protocol", "Once"),
            forkful(PROTOCOL, f"{APPS}:Once"),
            floor(BARE_STREAMS, "aio", "streams", "once"),
            forkful(STREAMS, f"{APPS}:once"),
            floor(BARE_EPOLL, "brief"),
        ],
        Load("close", connections=16),
        rounds,
    )
    return [
        against("protocol / the same on bare uvloop", kept, (PROTOCOL, BARE_PROTOCOL), 1.05),
        against("coroutine / the same on bare uvloop", kept, (STREAMS, BARE_STREAMS), 1.1),
        against("one connection per request: protocol / bare uvloop", once, (PROTOCOL, BARE_PROTOCOL), 1.0),
        against("for comparison: by hand, with the calls alone / bare uvloop", once, (BARE_EPOLL, BARE_PROTOCOL)),
        against("one connection per request: coroutine / bare uvloop", once, (STREAMS, BARE_STREAMS), 1.0),
    ]
