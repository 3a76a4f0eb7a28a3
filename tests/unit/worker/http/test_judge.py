"""The judge of the fuzzer: it has nothing to say about what is known, and it does complain where something is wrong."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from forkful.worker import compiled
from forkful.worker.http import fields, http1
from forkful.worker.http.asgi import exchange, websocket
from forkful.worker.http.asgi.scope import AsgiGateway
from forkful.worker.http.fields import Refused
from forkful.worker.http.http1 import CONTINUE, HttpConnection
from forkful.worker.http.request import Fields, Request
from forkful.worker.http.wsgi.exchange import WsgiExchange
from tests.bench import fuzz
from tests.unit.worker.http.corpus import CASES, Case, field, get, post
from tests.unit.worker.http.doors import AsgiDoor, Spoken, WsgiDoor
from tests.unit.worker.http.judge import SMALL, TABLES, flood, judge, leave

Plant = Callable[[pytest.MonkeyPatch], object]

# fmt: off
WEBSOCKET = field(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")  # noqa: E501
# fmt: on


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_nothing_is_wrong_with_the_corpus(case: Case) -> None:
    assert judge(case.raw) == []


@pytest.mark.parametrize("path", sorted(fuzz.CORPUS.iterdir()), ids=lambda path: path.name)
def test_nothing_is_wrong_with_what_the_fuzzer_found(path: Path) -> None:
    assert judge(path.read_bytes()) == []


def test_nothing_is_wrong_with_a_hundred_more() -> None:
    known = [case.raw for case in CASES]
    dice = random.Random(1)

    for seed in range(100):
        data = fuzz.mutate(dice.choice(known), fuzz.LONGEST, seed)
        assert judge(data) == [], data


# -- planted defects -------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What is learned while something is broken is forgotten."""
    yield monkeypatch
    for table in TABLES:
        table.clear()


def answers_twice(broken: pytest.MonkeyPatch) -> None:
    once = WsgiExchange._deliver_last  # noqa: SLF001

    def twice(self: WsgiExchange, data: bytes) -> None:
        self._deliver(data)
        once(self, data)

    broken.setattr(WsgiExchange, "_deliver_last", twice)


def serves_behind_the_last(broken: pytest.MonkeyPatch) -> None:
    note = Fields.note

    def deaf(self: Fields, flag: int, value: bytes) -> None:
        if flag != fields.CONNECTION:
            note(self, flag, value)

    broken.setattr(Fields, "note", deaf)


def takes_both_lengths(broken: pytest.MonkeyPatch) -> None:
    settle = Fields.settle

    def by_coding(self: Fields, limit: int) -> None:
        if self._framing is not None and fields.CODING in self._framing:
            self._framing.pop(fields.LENGTH, None)
        settle(self, limit)

    broken.setattr(Fields, "settle", by_coding)
    broken.setattr(http1, "check_head", nothing)  # llhttp would not have it


def understands_pieces_otherwise(broken: pytest.MonkeyPatch) -> None:
    def check(_head: bytearray, since: int) -> None:
        if since:
            raise Refused(400, "planted")

    broken.setattr(fields, "check_partial", check)


def refuses_at_one_door(broken: pytest.MonkeyPatch) -> None:
    opened = AsgiGateway.open

    def picky(self: AsgiGateway, connection: HttpConnection, request: Request) -> exchange.Exchange | None:
        if request.target == b"/no":
            raise Refused(400, "planted")
        return opened(self, connection, request)

    broken.setattr(AsgiGateway, "open", picky)


BOTH = post(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"0\r\n\r\n")
MANY = b"".join(get(b"GET / HTTP/1.1", *(b"%d: x" % (n * 90 + i) for i in range(90))) for n in range(50))


def nothing(*_: Any, **__: Any) -> None: ...


def without(owner: object, name: str) -> Plant:
    return lambda broken: broken.setattr(owner, name, nothing)


only_in_source = pytest.mark.skipif(compiled.use().compiled, reason="in compiled code nothing can be planted")


@only_in_source
@pytest.mark.parametrize(
    ("plant", "raw", "complaint"),
    [
        (answers_twice, get(b"GET /aa HTTP/1.1"), "answers that nobody asked for: [(200, b'one'), (200, b'one')]"),
        (without(WsgiExchange, "_piece"), get(b"GET /a HTTP/1.1"), "were seen and answered [(200, b'')]"),
        (without(http1, "check_head"), field(b"X : a\r\n"), "accepted what the reference does not"),
        (without(Fields, "settle"), post(b"Content-Length: 3\r\n", b"abc"), "body=b'', "),
        (takes_both_lengths, BOTH, "accepted what the reference does not"),
        (without(exchange.Exchange, "feed"), post(b"Content-Length: 3\r\n", b"abc"), "body=b'', "),
        (serves_behind_the_last, field(b"Connection: close\r\n") + get(), "was served behind the last request"),
        (understands_pieces_otherwise, get(), "not the same as whole"),
        (refuses_at_one_door, get(b"GET /no HTTP/1.1"), "not the same at two doors"),
        (without(HttpConnection, "linger"), b"x\r\n\r\n", "refused, and the connection lives on"),
        (without(WsgiExchange, "_count"), get(), "requests began, 0 were counted"),
        (lambda broken: broken.setattr(HttpConnection, "invite", lambda self: self.transport.write(CONTINUE)),
         post(b"Expect: 100-continue\r\nContent-Length: 1\r\n", b"a"), "were sent"),
        (lambda broken: broken.setattr(fields, "LEARNED", 1 << 40), MANY, "a table has"),
    ],
)  # fmt: skip
def test_it_complains_about(plant: Plant, raw: bytes, complaint: str, broken: pytest.MonkeyPatch) -> None:
    assert judge(raw) == []
    plant(broken)
    assert complaint in "\n".join(judge(raw))


MESSAGES = b"\x81\x85\0\0\0\0hello" * 100


@only_in_source
@pytest.mark.parametrize(
    ("door", "module", "name", "data", "filler"),
    [
        (WsgiDoor, http1, "BEHIND", get(), get()),
        (WsgiDoor, http1, "BEHIND", get(), get(b"GET /other HTTP/1.1")),
        (AsgiDoor, exchange, "AHEAD", post(b"Content-Length: 900000\r\n"), b"a"),
        (AsgiDoor, websocket, "AHEAD", WEBSOCKET, MESSAGES),
    ],
)
def test_it_complains_about_memory_without_bounds(
    door: Callable[..., Spoken], module: object, name: str, data: bytes, filler: bytes, broken: pytest.MonkeyPatch
) -> None:
    def found() -> str:
        with ExitStack() as stack:
            stuck = door(slow=True, limits=SMALL)
            if isinstance(stuck, AsgiDoor):
                stack.enter_context(stuck)
            return "".join(flood(stuck, data, filler))

    assert not found()
    broken.setattr(module, name, 1 << 40)
    assert "bytes wait" in found()


def test_it_complains_about_what_a_client_that_left_leaves_behind(broken: pytest.MonkeyPatch) -> None:
    pieces = [post(b"Content-Length: 9\r\n"), b"a", b"b"]
    with AsgiDoor(slow=True) as door:
        assert not [complaint for seed in range(9) for complaint in leave(door, pieces, [], random.Random(seed))]
    broken.setattr(exchange.Exchange, "disconnect", nothing)
    with AsgiDoor(slow=True) as door:
        assert [complaint for seed in range(9) for complaint in leave(door, pieces, [], random.Random(seed))]


def test_what_escapes_and_what_hangs_is_a_complaint(broken: pytest.MonkeyPatch) -> None:
    def escaping(_: bytes) -> list[str]:
        raise KeyError("planted")

    def hanging(_: bytes) -> list[str]:
        while True:
            pass

    assert fuzz.examine(lambda _: [], b"") == []
    assert "KeyError escaped from escaping" in fuzz.examine(escaping, b"")[0]
    broken.setattr(fuzz, "HANGS", 0.05)
    assert "takes more than" in fuzz.examine(hanging, b"")[0]


def test_what_is_reported_is_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    fuzz.report(lambda data: ["planted"] if b"x" in data else [], b"a" * 50 + b"x" + b"b" * 50)

    assert capsys.readouterr().out == "fuzz: 1 complaints about b'x'\n  planted\n"
