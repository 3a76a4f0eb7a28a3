"""Judges what became of whatever a client said, in whatever pieces, at either door.

    complaints = judge(data)

Nothing escapes from the connection; what it accepted is what an independent parser (h11) finds there, and no more;
each request has one answer that a client's parser accepts; after a refusal nothing is answered; how the bytes were cut
makes no difference; and what waits in memory is bounded.
Can go wrong: that is the question; each complaint is a sentence.
"""

import random
import re
from collections.abc import Iterator
from itertools import pairwise
from zlib import crc32

import h11

from forkful.worker import http_fields, http_response
from forkful.worker.http_wire import BEHIND
from tests.unit.http.doors import AsgiDoor, Seen, Spoken, WsgiDoor

PIECEWISE = 600  # bytes of an input that is also said byte by byte
TABLES = (http_fields.LINES, http_fields.WSGI_FIELDS, http_fields.ASGI_FIELDS, http_response._lines)  # noqa: SLF001


_SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n\0]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*")


def dechunk(data: bytes) -> tuple[bytes, bytes] | None:
    """(body, what is behind it), or None. For two things that RFC 9112 section 7.1 allows and h11 does not: more than
    20 digits, and space before an extension."""
    body = b""
    while True:
        line, end, data = data.partition(b"\r\n")
        match = _SIZE.fullmatch(line)
        if match is None or not end:
            return None
        size = int(match[1], 16)
        if not size:
            break
        if data[size : size + 2] != b"\r\n":
            return None
        body, data = body + data[:size], data[size + 2 :]
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end or (line and not _TRAILER.fullmatch(line)):
            return None
        if not line:
            return body, data


class Reference:
    """What h11 makes of a stream: requests, one after the other, until the first that it does not accept."""

    def __init__(self, data: bytes) -> None:
        self.requests: list[tuple[h11.Request, bytes]] = []
        while data.startswith(b"\r\n"):
            data = data[2:]
        while data:
            found = self._one(data)
            if found is None:
                return
            request, body, data = found
            self.requests.append((request, body))
            while data.startswith(b"\r\n"):  # RFC 9112 section 2.2
                data = data[2:]

    @staticmethod
    def _one(data: bytes) -> tuple[h11.Request, bytes, bytes] | None:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        parser.receive_data(data)
        request: h11.Request | None = None
        body = b""
        try:
            while True:
                event: object = parser.next_event()
                match event:
                    case h11.Request() as found:
                        request = found
                    case h11.Data(data=piece):
                        body += piece
                    case h11.EndOfMessage():
                        assert request is not None
                        return request, body, parser.trailing_data[0]
                    case _:
                        return None
        except h11.RemoteProtocolError:
            head, end, rest = data.partition(b"\r\n\r\n")
            decoded = dechunk(rest) if request is not None and end and b"transfer-encoding" in head.lower() else None
            return (request, *decoded) if request is not None and decoded is not None else None

    def persistent(self, number: int) -> bool:
        """Whether the connection lives on after this request, if the server wants it to (RFC 9112 section 9.3)."""
        request = self.requests[number][0]
        lines = [value for name, value in request.headers if name == b"connection"]
        words = {word.strip(b" \t").lower() for line in lines for word in line.split(b",")}
        if b"close" in words:
            return False
        return request.http_version == b"1.1" or b"keep-alive" in words


def as_wsgi(request: h11.Request, body: bytes) -> tuple[tuple[str, str], ...]:
    """The fields as PEP 3333 wants them."""
    environ: dict[str, str] = {}
    for name, value in _fields(request):
        key = name.upper().replace("-", "_")
        if "_" in name or key == "TRANSFER_ENCODING":
            continue
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        glue = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{glue}{value}" if key in environ else value
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        environ["CONTENT_LENGTH"] = str(len(body))
    return tuple(sorted(environ.items()))


def as_asgi(request: h11.Request, body: bytes) -> tuple[tuple[str, str], ...]:  # noqa: ARG001  # as the other
    return tuple(_fields(request))


def _fields(request: h11.Request) -> Iterator[tuple[str, str]]:
    """With the host of an absolute target in place of the field (RFC 9112 section 3.2.2)."""
    host = _authority(request)
    if host:
        yield "host", host
    for name, value in request.headers:
        if not (host and name == b"host"):
            text = value.decode("latin-1")
            yield name.decode(), text.lower() if name == b"transfer-encoding" else text


def _authority(request: h11.Request) -> str:
    scheme, mark, rest = request.target.decode("latin-1").partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return ""
    return rest.partition("/")[0].partition("?")[0]


def _path(target: str) -> str:
    """The origin form of a target; ASGI does not tell an empty query from none."""
    target = target.removesuffix("?") if target.count("?") == 1 else target
    if target.startswith("/") or target == "*":
        return target
    rest = target.partition("://")[2]
    at = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    path = rest[at:]
    return path if path.startswith("/") else "/" + path


class Outcome:
    """One client's stay: what the application saw, what the client heard, how it ended."""

    def __init__(self, door: Spoken, pieces: list[bytes], *, late: random.Random | None = None) -> None:
        door.connect()
        self.complaints: list[str] = []
        waiting = list(pieces)
        transport = door.transport
        while waiting and not transport.over:
            if not transport.paused:
                door.hear(waiting.pop(0))
                door.settle()
                self._bounded(door, len(waiting[0]) if waiting else 0)
            if transport.paused or late is None or late.random() < 0.5:  # an even chance
                self._read(door)
                if transport.paused and not door.connection.stalled:
                    self.complaints.append("reading is paused, and nothing is there that could go on")
                    break
        self._read(door)
        door.settle()
        self.heard = bytes(transport.out)
        self.over = transport.over
        self.method: bytes = getattr(door.connection, "method", b"")
        if self.over:
            for piece in waiting or [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]:
                if not transport.closed:
                    door.hear(piece)
                    door.settle()
            if bytes(transport.out) != self.heard:
                self.complaints.append("something was answered after the end")
        self.seen = door.seen
        door.connection.eof_received()
        if not transport.closed:
            door.settle()
        door.connection.connection_lost(None)
        door.settle()

    def _read(self, door: Spoken) -> None:
        """The client takes what was sent, as long as more comes of it."""
        for _ in range(10_000):
            if not door.connection.stalled:
                return
            door.transport.drained()
            door.settle()
        self.complaints.append("sending never ends")

    def _bounded(self, door: Spoken, piece: int) -> None:
        pending = getattr(door.connection, "pending", b"")
        if len(pending) > BEHIND + piece + 1_000_000:
            self.complaints.append(f"{len(pending)} bytes wait")

    def answers(self) -> list[int]:
        """The statuses of the answers, each parsed as a client would; -1: one that cannot be parsed."""
        found: list[int] = []
        rest = self.heard
        methods = [seen.method.encode() for seen in self.seen]
        while rest:
            refusing = len(found) >= len(methods)
            method = (b"HEAD" if self.method == b"HEAD" else b"GET") if refusing else methods[len(found)]
            status, rest = self._answer(method, rest)
            found.append(status)
            if status in (-1, 101):
                break
        return found

    def _answer(self, method: bytes, data: bytes) -> tuple[int, bytes]:
        parser = h11.Connection(h11.CLIENT)
        parser.send(
            h11.Request(
                method=method, target="/", headers=[("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
            )
        )
        parser.send(h11.EndOfMessage())
        parser.receive_data(data)
        status = -1
        try:
            while True:
                event = parser.next_event()
                match event:
                    case h11.InformationalResponse(status_code=101):
                        return 101, b""
                    case h11.Response(status_code=status):
                        if status == 101:
                            return 101, b""
                    case h11.EndOfMessage():
                        return status, parser.trailing_data[0]
                    case h11.NEED_DATA if self.over:
                        parser.receive_data(b"")
                    case h11.NEED_DATA | h11.PAUSED | h11.ConnectionClosed():
                        return -1, b""
        except h11.RemoteProtocolError:
            return -1, b""


def judge(data: bytes) -> list[str]:
    """All that is wrong with what became of this input."""
    reference = Reference(data)
    dice = random.Random(crc32(data))
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 12)))
    cut = [piece for a, b in pairwise([0, *cuts, len(data)]) if (piece := data[a:b])]
    single = [data[n : n + 1] for n in range(len(data))] if len(data) <= PIECEWISE else cut
    whole = [data] if data else []
    wanted = {"whole": whole, "again": whole, "cut": cut, "bytes": single}
    complaints = []
    with AsgiDoor() as asgi, AsgiDoor(slow=True) as slow_asgi:
        doors: list[tuple[str, Spoken, Spoken]] = [
            ("wsgi", WsgiDoor(), WsgiDoor(slow=True)),
            ("asgi", asgi, slow_asgi),
        ]
        for name, door, slow in doors:
            outcomes = {how: Outcome(door, pieces) for how, pieces in wanted.items()}
            outcomes["third time"] = Outcome(door, whole)
            outcomes["slow"] = Outcome(slow, cut, late=dice)
            for how, outcome in outcomes.items():
                found = [*_examine(outcome, reference, as_wsgi if name == "wsgi" else as_asgi)]
                if not same(outcome, outcomes["whole"]):
                    found.append(f"not the same as whole: {_told(outcome)} against {_told(outcomes['whole'])}")
                complaints += [f"{name}, {how}: {complaint}" for complaint in found]
    complaints += [f"a table has {len(table)} entries" for table in TABLES if len(table) > http_fields.LEARNED]
    return complaints


def _told(outcome: Outcome) -> str:
    return f"{[(s.method, s.target, s.body) for s in outcome.seen]} {outcome.answers()} over={outcome.over}"


def same(one: Outcome, other: Outcome) -> bool:
    """Which refusal it is may depend on how much was there when it became plain."""
    statuses = ([status // 100 if status < 400 else 4 for status in each.answers()] for each in (one, other))
    return (one.seen, one.over) == (other.seen, other.over) and next(statuses) == next(statuses)


def _examine(outcome: Outcome, reference: Reference, fields: object) -> Iterator[str]:
    yield from outcome.complaints
    assert callable(fields)
    accepted = outcome.seen
    for number, seen in enumerate(accepted):
        if number >= len(reference.requests):
            yield f"accepted what the reference does not: {seen}"
            return
        request, body = reference.requests[number]
        wanted = Seen(
            request.method.decode(), _path(request.target.decode("latin-1")), body, fields(request, body), seen.kind
        )
        if _origin(seen) != wanted and seen.kind == "http":
            yield f"accepted {seen}, which is {wanted}"
        if number and not reference.persistent(number - 1):
            yield f"{seen} was served behind the last request"
    yield from _examine_answers(outcome, reference)


def _origin(seen: Seen) -> Seen:
    fields = tuple((name, value.lower() if name == "transfer-encoding" else value) for name, value in seen.fields)
    return Seen(seen.method, _path(seen.target), seen.body, fields, seen.kind)


def _examine_answers(outcome: Outcome, reference: Reference) -> Iterator[str]:
    answers = outcome.answers()
    if any(seen.kind == "websocket" for seen in outcome.seen):
        return
    count = len(outcome.seen)
    good, own = answers[:count], answers[count:]
    if good != [200] * count:
        yield f"{count} requests were seen and answered {answers}: {outcome.heard!r}"
    if len(own) > 1 or not all(400 <= status < 600 for status in own):
        yield f"answers that nobody asked for: {answers}: {outcome.heard!r}"
    if own and not outcome.over:
        yield "refused, and the connection lives on"
    if not own and not outcome.over and count < len(reference.requests):
        yield f"a whole request was not answered: {reference.requests[count]}"
