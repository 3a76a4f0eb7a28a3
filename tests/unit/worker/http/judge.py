"""Judges what became of whatever a client said, in whatever pieces, at each door.

    complaints = judge(data)

Nothing escapes from the connection; what it accepted is what an independent parser finds there, and no more; each
request has its answer, whole, and no other; after a refusal nothing is answered; how the bytes were cut, and behind
which door, makes no difference; what is begun is counted and ended, also when the client leaves in the middle; and
what waits in memory is bounded.
Can go wrong: that is the question; each complaint is a sentence.
"""

import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from types import GetSetDescriptorType, MemberDescriptorType
from zlib import crc32

import h11

from forkful.worker.http import fields, response
from forkful.worker.http.http1 import CONTINUE
from forkful.worker.http.limits import Limits
from forkful.worker.ipc.scoreboard import ACTIVE, BOUNDS, BUCKETS, SENT, SINCE, STARTED
from tests.unit.worker.http.doors import LIMITS, AsgiDoor, Seen, Spoken, WsgiDoor, pieces_for
from tests.unit.worker.http.reference import Reference, as_asgi, as_wsgi, origin_form

PIECEWISE = 600  # bytes of an input that is also said byte by byte
TABLES = (
    fields.LINES,
    fields.WSGI_FIELDS,
    fields.ASGI_FIELDS,
    fields.WSGI_NAMES,
    fields.ASGI_NAMES,
    fields.MET,
    response._lines,  # noqa: SLF001
)
LEARNED = 4096  # entries that each of them may have
FLOOD = 600_000  # bytes that are said to somebody who does not take them
HELD = 350_000  # bytes of memory that may come of it: what waits unread on both sides of a request, doubled
SMALL = Limits(body=LIMITS.body, fields=20, field_size=1000)  # a head alone may not be as long as a flood
AFTER_ALL = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Answer = tuple[int, bytes]  # its status, -1: it cannot be parsed; its body, or what follows a 101


class Stay:
    """One client's stay: what the application saw, what the client heard, how it ended.

    `late`: dice for a client that does not read at once, and an application that does not act at once.
    """

    def __init__(self, door: Spoken, pieces: list[bytes], *, late: random.Random | None = None) -> None:
        self.complaints: list[str] = []
        self._door, self._late, self._most = door, late, sum(map(len, pieces)) + 10
        sent, connected = door.row[SENT], door.row[ACTIVE]
        door.connect()
        transport = door.transport
        rest = self._say(pieces)
        self._read()
        self.heard = bytes(transport.out)
        self.over = transport.over
        self.method = door.last.method
        self.seen = door.seen
        if self.over:
            for piece in rest or [AFTER_ALL]:
                if not transport.closed:
                    door.hear(piece)
                    door.settle()
            if bytes(transport.out) != self.heard:
                self.complaints.append("something was answered after the end")
        door.connection.eof_received()
        if not transport.closed:
            door.settle()
        door.connection.connection_lost(None)
        door.settle()
        if door.row[SENT] - sent != len(transport.out):
            self.complaints.append(f"{len(transport.out)} bytes were sent, {door.row[SENT] - sent} were counted")
        self.complaints += uncounted(door, connected)
        self.answers = self._answers()

    def _say(self, pieces: list[bytes]) -> list[bytes]:
        """Say the pieces, as long as anybody reads; return those that were not said."""
        door, waiting = self._door, deque(pieces)
        transport = door.transport
        while waiting and not transport.over:
            if not transport.paused:
                door.hear(waiting.popleft())
                if self._now():
                    door.settle()
            if transport.paused or self._now():
                self._read()
                if transport.paused and not door.connection.stalled:
                    self.complaints.append("reading is paused, and nothing is there that could go on")
                    break
        return list(waiting)

    def _now(self) -> bool:
        return self._late is None or self._late.random() < 0.5  # an even chance

    def _read(self) -> None:
        """The client takes what was sent, as long as more comes of it."""
        for _ in range(self._most):  # more pieces than bytes that asked for them
            self._door.settle()
            if not self._door.connection.stalled:
                return
            self._door.transport.drained()
        self.complaints.append("sending never ends")

    def _answers(self) -> list[Answer]:
        """The answers, each as a client's parser has it."""
        found: list[Answer] = []
        rest = self.heard
        methods = [seen.method.encode() for seen in self.seen]
        while rest and (rest != CONTINUE or self.over):  # RFC 9110 section 10.1.1: the answer comes after the body
            refusing = len(found) >= len(methods)
            method = (b"HEAD" if self.method == b"HEAD" else b"GET") if refusing else methods[len(found)]
            answer, rest = self._answer(method, rest)
            found.append(answer)
        return found

    def _answer(self, method: bytes, data: bytes) -> tuple[Answer, bytes]:
        parser = h11.Connection(h11.CLIENT)
        wanted = [("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        parser.send(h11.Request(method=method, target="/", headers=wanted))
        parser.send(h11.EndOfMessage())
        parser.receive_data(data)
        status, body = -1, b""
        try:
            while True:
                match parser.next_event():
                    case h11.InformationalResponse(status_code=101) | h11.Response(status_code=101):
                        return (101, parser.trailing_data[0]), b""
                    case h11.Response(status_code=status):
                        continue
                    case h11.Data(data=piece):
                        body += piece
                    case h11.EndOfMessage():
                        return (status, body), parser.trailing_data[0]
                    case h11.NEED_DATA if self.over:
                        parser.receive_data(b"")
                    case h11.NEED_DATA | h11.PAUSED | h11.ConnectionClosed():
                        return (-1, body), b""
        except h11.RemoteProtocolError:
            return (-1, body), b""


def uncounted(door: Spoken, connected: int) -> Iterator[str]:
    """The scoreboard once the client is gone; as many are connected as before it came."""
    row = door.row
    done = sum(row[BUCKETS : BUCKETS + len(BOUNDS) + 1])
    if row[STARTED] != done or row[SINCE] or row[ACTIVE] != connected:
        yield f"{row[STARTED]} requests began, {done} were counted; in flight: {row[SINCE]}, connected: {row[ACTIVE]}"


def leave(door: Spoken, pieces: list[bytes], wanted: list[Seen], dice: random.Random) -> Iterator[str]:
    """A client that leaves in the middle, whatever is under way."""
    connected = door.row[ACTIVE]
    door.connect()
    for piece in pieces[: dice.randrange(len(pieces) + 1)]:
        if not door.transport.over and not door.transport.paused:
            door.hear(piece)
            if dice.random() < 0.5:  # an even chance
                door.settle()
    door.connection.connection_lost(None)
    door.settle()
    if door.seen != wanted[: len(door.seen)]:
        yield f"it saw {door.seen}"
    yield from uncounted(door, connected)


def flood(door: Spoken, data: bytes, filler: bytes) -> Iterator[str]:
    """One that goes on and on and reads nothing, while the application is stuck."""
    door.connect()
    transport = door.transport
    door.hear(data)
    door.settle()
    said, filler = 0, filler * (8192 // len(filler) + 1)
    while said < FLOOD and not transport.over and not transport.paused:
        door.hear(bytes(bytearray(filler)))  # each time another object: it is their memory that is counted
        said += len(filler)
    if (size := held(door.connection)) > HELD:
        yield f"{size} bytes wait after {said}"
    door.connection.connection_lost(None)
    door.settle()


def held(connection: object) -> int:
    """Bytes of memory that a connection has of what its client said, without bodies in files and parts of messages."""
    size, known, waiting = -getattr(connection, "_parts_size", 0), set[int](), [connection]
    while waiting:
        thing = waiting.pop()
        if id(thing) in known:
            continue
        known.add(id(thing))
        match thing:
            case bytes() | bytearray() | str():
                size += sys.getsizeof(thing)
            case list() | tuple() | deque():
                size += sys.getsizeof(thing)
                waiting += thing
            case dict():
                waiting += [*thing, *thing.values()]
            case _ if type(thing).__name__ in OURS:
                bases = type(thing).__mro__
                slots = (name for base in bases for name, what in vars(base).items() if isinstance(what, ATTRIBUTES))
                waiting += [getattr(thing, name, None) for name in slots]
                waiting += vars(thing).values() if hasattr(thing, "__dict__") else ()
    return size


#: What has a place in an instance, in source by `__slots__` and where it is compiled.
ATTRIBUTES = MemberDescriptorType, GetSetDescriptorType
OURS = {
    *("HttpConnection", "WsgiExchange", "Body", "Outbox", "Request", "Fields", "Chunks", "Exchange", "WebSocket"),
    *(
        "Frames",
        "Handshake",
        "Protocol",
        "ServerProtocol",
        "StreamReader",
        "PerMessageDeflate",
        "Frame",
    ),  # websockets's below ours
}


@dataclass(frozen=True, slots=True)
class Way:
    """How an application is reached."""

    name: str
    fields: Callable[[h11.Request, bytes], tuple[tuple[str, str], ...]]
    quick: Spoken
    slow: Spoken
    stuck: Spoken


def judge(data: bytes) -> list[str]:
    """All that is wrong with what became of this input."""
    reference = Reference(data)
    dice = random.Random(crc32(data))
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 12)))
    cut = [piece for a, b in pairwise([0, *cuts, len(data)]) if (piece := data[a:b])]
    single = [data[n : n + 1] for n in range(len(data))] if len(data) <= PIECEWISE else cut
    whole = [data] if data else []
    complaints, all_stays = [], []
    with ExitStack() as stack:
        for way in _ways(stack):
            stays = {"whole": Stay(way.quick, whole), "again": Stay(way.quick, whole), "cut": Stay(way.quick, cut)}
            stays |= {"bytes": Stay(way.quick, single), "third time": Stay(way.quick, whole)}
            stays["late"] = Stay(way.slow, cut, late=dice)
            for how, stay in stays.items():
                found = [*examine(stay, reference, way.fields), *difference(stay, stays["whole"])]
                complaints += [f"{way.name}, {how}: {complaint}" for complaint in found]
            found = [*leave(way.slow, cut, stays["whole"].seen, dice)]
            if data and dice.random() < 0.2:  # it takes its time
                found += flood(way.stuck, data, data[dice.randrange(len(data)) :])
            complaints += [f"{way.name}: {complaint}" for complaint in found]
            all_stays.append(stays["whole"])
    if not reference.upgrades():  # RFC 9110 section 7.8: WSGI's doors ignore what ASGI's may find no good handshake
        complaints += (f"not the same at two doors: {what}" for what in unlike(all_stays))
    return complaints + [f"a table has {len(table)} entries" for table in TABLES if len(table) > LEARNED]


def _ways(stack: ExitStack) -> Iterator[Way]:
    yield Way("wsgi", as_wsgi, WsgiDoor(), WsgiDoor(slow=True), WsgiDoor(slow=True, limits=SMALL))
    asgi = (AsgiDoor(), AsgiDoor(slow=True), AsgiDoor(slow=True, limits=SMALL))
    yield Way("asgi", as_asgi, *map(stack.enter_context, asgi))


def difference(stay: Stay, other: Stay) -> Iterator[str]:
    """Which refusal it is may depend on how much was there when it became plain."""
    if (stay.seen, stay.over, rough(stay)) != (other.seen, other.over, rough(other)):
        yield f"not the same as whole: {_told(stay)} against {_told(other)}"


def rough(stay: Stay) -> list[Answer]:
    """The answers; refusals are alike, and pings of those that do not read need not all be answered."""
    return [(4, b"") if status >= 400 else (status, b"" if status == 101 else body) for status, body in stay.answers]


def unlike(stays: list[Stay]) -> Iterator[str]:
    """What is another request at one door than at another."""
    told = {
        str(([(seen.method, origin_form(seen.target), seen.body) for seen in stay.seen], stay.over, rough(stay)))
        for stay in stays
    }
    if len(told) > 1:
        yield " against ".join(told)


def _told(stay: Stay) -> str:
    return f"{[(s.method, s.target, s.body) for s in stay.seen]} {stay.answers} over={stay.over}"


def examine(
    stay: Stay, reference: Reference, fields: Callable[[h11.Request, bytes], tuple[tuple[str, str], ...]]
) -> Iterator[str]:
    """Hold a stay against what the client said."""
    yield from stay.complaints
    for number, seen in enumerate(stay.seen):
        if number >= len(reference.requests):
            yield f"accepted what the reference does not: {seen}"
            return
        request, body = reference.requests[number]
        target = origin_form(request.target.decode("latin-1"))
        wanted = Seen(request.method.decode(), target, body, fields(request, body), seen.kind)
        if _plain(seen) != wanted:
            yield f"accepted {seen}, which is {wanted}"
        if number and not reference.persistent(number - 1):
            yield f"{seen} was served behind the last request"
    yield from _examine_answers(stay, reference)


def _plain(seen: Seen) -> Seen:
    fields = tuple((name, value.lower() if name == "transfer-encoding" else value) for name, value in seen.fields)
    return Seen(seen.method, origin_form(seen.target), seen.body, fields, seen.kind)


def _examine_answers(stay: Stay, reference: Reference) -> Iterator[str]:
    count = len(stay.seen)
    good, own = stay.answers[:count], stay.answers[count:]
    if stay.seen and stay.seen[-1].kind == "websocket":
        if own or not good or good[-1][0] not in (101, 400):
            yield f"a WebSocket was answered {stay.answers}"
        return
    wanted = [(200, b"" if s.method == "HEAD" else b"".join(pieces_for(s.target))) for s in stay.seen]
    if good != wanted:
        yield f"{count} requests were seen and answered {stay.answers}: {stay.heard!r}"
    if len(own) > 1 or not all(400 <= status < 600 for status, _ in own):
        yield f"answers that nobody asked for: {stay.answers}: {stay.heard!r}"
    if own and not stay.over:
        yield "refused, and the connection lives on"
    if not own and not stay.over and count < len(reference.requests):
        yield f"a whole request was not answered: {reference.requests[count]}"
