"""Before and after: what a change costs, `python -m tests.bench before FORKFUL`, in CPU per answered request.

FORKFUL is the command of a virtual environment into which another version is installed. Both versions serve
the applications of this checkout, in the same rounds and by turns, so that the machine's other work hits both alike.
Leaves with 1 where this version costs more than `TARGET` of the other.
Can go wrong: a version does not start with these options: `ServerError` with the end of its log.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.bench import table
from tests.bench.comparison import Rounds, against, compare
from tests.bench.contenders import ECHO, forkful
from tests.bench.figure import Verdict
from tests.bench.hello import ASGI, BALANCED, KEPT, VARYING, WSGI
from tests.bench.load import Drive, Load
from tests.bench.server import Contender
from tests.bench.wrk import BROWSER, Wrk

TARGET = 1.03
APPS = "tests.bench.apps.aio"


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: a contender, and what is sent to it."""

    name: str
    contender: Contender
    load: Drive


_BROWSER = Wrk(headers=BROWSER)
_CLOSE, _PERSISTENT, _DATAGRAM = (
    Load("close", connections=16),
    Load("persistent", connections=50),
    Load("datagram", connections=32, timeout=1.0),
)
LINES = (
    Line("tcp", forkful("sync", f"{ECHO}:Once"), _CLOSE),
    Line("stream", forkful("StreamRequestHandler", f"{ECHO}:OnceStream"), _CLOSE),
    Line("lanes", forkful("threads = 16", f"{ECHO}:Once", "--threads", "16"), _CLOSE),
    Line("persistent", forkful("50 persistent", f"{ECHO}:Until", "--threads", "50"), _PERSISTENT),
    Line("udp", forkful("datagram", f"{ECHO}:Datagram", datagram=True), _DATAGRAM),
    Line("protocol", forkful("protocol, kept", f"{APPS}:Until"), _PERSISTENT),
    Line("coroutine", forkful("coroutine, kept", f"{APPS}:until"), _PERSISTENT),
    Line("protocol-close", forkful("protocol, one connection per request", f"{APPS}:Once"), _CLOSE),
    Line("coroutine-close", forkful("coroutine, one connection per request", f"{APPS}:once"), _CLOSE),
    Line("http", forkful("WSGI, keep-alive", WSGI), KEPT),
    Line("browser", forkful("WSGI, 11 fields, all alike", WSGI), _BROWSER),
    Line("varying", forkful("WSGI, 11 fields, each with its own", WSGI), VARYING),
    Line("close", forkful("WSGI, Connection: close", WSGI), Wrk(headers=("Connection: close",))),
    Line("threads", forkful("WSGI, threads = 4", WSGI, "--threads", "4"), KEPT),
    Line("asgi", forkful("ASGI, keep-alive", ASGI), KEPT),
    Line("balanced", forkful("WSGI behind a balancer", WSGI), BALANCED),
    Line("asgi-balanced", forkful("ASGI behind a balancer", ASGI), BALANCED),
    Line("asgi-varying", forkful("ASGI, 11 fields, each with its own", ASGI), VARYING),
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench before", description=__doc__.splitlines()[0])
    parser.add_argument("forkful", metavar="FORKFUL", help="the command of the other version")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(line.name for line in LINES)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with fresh processes (default 5)")
    asked = parser.parse_intermixed_args(arguments)
    lines = named(parser, asked.names) or LINES
    print(table.HEADER, flush=True)
    worse = False
    for line in lines:
        old = replace(line.contender, name="before", argv=by(asked.forkful, line.contender.argv))
        new = replace(line.contender, name="after")
        figure = against(
            line.contender.name, compare([old, new], line.load, Rounds(asked.rounds)), ("after", "before"), TARGET
        )
        worse = worse or figure.verdict is Verdict.FAIL
        print(table.line(figure), flush=True)
    return int(worse)


def named(parser: argparse.ArgumentParser, names: Sequence[str]) -> list[Line]:
    """The lines of these names, in the table's order; a name that is none ends the command."""
    if unknown := set(names) - {line.name for line in LINES}:
        parser.error(f"no line {', '.join(sorted(unknown))}")
    return [line for line in LINES if line.name in names]


def by(forkful: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The same command line by another version's command."""
    return (forkful, *argv[argv.index("serve") :])
