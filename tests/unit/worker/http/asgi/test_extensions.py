"""Extensions of ASGI: early hints, trailers, files by their path; and event streams when the worker leaves."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from forkful.handlers.asgi import Message, Receive, Scope, Send
from forkful.worker.net.accepted import Accepted
from tests.unit.worker.http.doors import AsgiDoor

if TYPE_CHECKING:
    from collections.abc import Callable

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TE = b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, trailers\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n"
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"2")]}
BODY: Message = {"type": "http.response.body", "body": b"ok"}
HINT: Message = {"type": "http.response.early_hint", "links": [b"</a>; rel=preload", b"</b>; rel=preload"]}
HINTED = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nLink: </b>; rel=preload\r\n\r\n"
TRAILER: Message = {"type": "http.response.trailers", "headers": [(b"X-Sum", b"7")]}
WITH_TRAILERS: Message = {**START, "headers": [*START["headers"], (b"Trailer", b"X-Sum")], "trailers": True}


def sending(*messages: Message) -> Any:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


class Heard(AsgiDoor):
    """A door, and what came out of it. `errors` are the application's."""

    def __init__(self, *messages: Message) -> None:
        super().__init__(sending(*messages))
        self.errors: list[str] = []
        self.service.failed = self._failed  # type: ignore[assignment,method-assign]  # its peer is no matter

    def _failed(self, _: object, error: BaseException, *__: str) -> None:
        self.errors.append(str(error))

    def out(self, raw: bytes) -> bytes:
        self.transport.out.clear()
        self.hear(raw)
        self.settle()
        return bytes(self.transport.out)


@pytest.mark.parametrize("order", [[HINT, START, BODY], [START, HINT, BODY], [HINT, START, HINT, BODY]])
def test_early_hints_go_before_the_answer(order: list[Message]) -> None:
    with Heard(*order) as door:
        for _ in range(2):
            heard = door.out(GET)
            assert heard.count(HINTED) == order.count(HINT)
            assert heard.startswith(HINTED)
            assert heard.removeprefix(HINTED * order.count(HINT)).startswith(b"HTTP/1.1 200 OK\r\n")
            assert heard.endswith(b"\r\n\r\nok")
        assert HINTED not in door.out(OLD)
        assert not door.errors


def test_early_hints_that_come_too_late_say_nothing() -> None:
    more = {**BODY, "body": b"o", "more_body": True}
    with Heard(START, more, HINT, {**BODY, "body": b"k"}, HINT) as door:
        assert door.out(GET).endswith(b"\r\n\r\nok")
        assert b"103" not in door.out(GET)
        assert not door.errors


def test_an_early_hint_cannot_split_an_answer() -> None:
    with Heard({**HINT, "links": [b"</a>\r\nX: y"]}, START, BODY) as door:
        assert door.out(GET).startswith(b"HTTP/1.1 500 ")
        assert "cannot be sent" in door.errors[0]


@pytest.mark.parametrize("pieces", [[BODY], [{**BODY, "body": b"o", "more_body": True}, {**BODY, "body": b"k"}]])
def test_trailers_go_where_the_client_takes_them(pieces: list[Message]) -> None:
    rest = {**TRAILER, "headers": [(b"X-More", b"8")]}
    with Heard(WITH_TRAILERS, *pieces, {**TRAILER, "more_trailers": True}, rest) as door:
        heard = door.out(TE)
        head, _, body = heard.partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert b"Trailer: X-Sum" in head
        assert b"Content-Length" not in head
        assert body.endswith(b"\r\n0\r\nX-Sum: 7\r\nX-More: 8\r\n\r\n")
        assert not door.transport.over

        for raw in (GET, TE.replace(b"GET", b"HEAD"), OLD):
            heard = door.out(raw)
            assert b"Content-Length: 2" in heard
            assert b"railer" not in heard
            assert b"X-Sum" not in heard
        assert not door.errors


@pytest.mark.parametrize("field", [b"Content-Length", b"Transfer-Encoding", b"Host", b"Set-Cookie", b"X\r\nY"])
def test_trailers_say_nothing_that_comes_too_late(field: bytes) -> None:
    with Heard(WITH_TRAILERS, BODY, {**TRAILER, "headers": [(field, b"1")]}) as door:
        heard = door.out(TE)
        assert field not in heard.partition(b"\r\n\r\n")[2]
        assert door.transport.aborted
        assert "cannot be sent" in door.errors[0]


@pytest.mark.parametrize(
    "messages",
    [(WITH_TRAILERS, BODY), (WITH_TRAILERS, BODY, BODY), (START, BODY, TRAILER), (WITH_TRAILERS, TRAILER), (TRAILER,)],
)
def test_what_is_out_of_order_is_refused(messages: tuple[Message, ...]) -> None:
    with Heard(*messages) as door:
        door.out(TE)
        assert door.errors


def test_an_application_is_told_what_the_client_takes() -> None:
    told: list[set[str]] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        told.append(set(scope["extensions"]))
        for message in (START, BODY):
            await send(message)

    with AsgiDoor(app) as door:
        for raw in (GET, TE, OLD):
            door.hear(raw)
            door.settle()
    files = {"http.response.pathsend", "http.response.zerocopysend"}
    hint, last = "http.response.early_hint", "http.response.trailers"
    assert told == [{*files, hint}, {*files, hint, last}, files]


def by_path(path: object, *fields: tuple[bytes, bytes]) -> tuple[Message, Message]:
    return {**START, "headers": fields}, {"type": "http.response.pathsend", "path": path}


@pytest.mark.parametrize(
    ("fields", "body"), [([], b"0123456789"), ([(b"Content-Length", b"10")], b"0123456789"),
                         ([(b"Content-Length", b"4")], b"0123")]
)  # fmt: skip
def test_a_file_is_read_where_nothing_may_pass_the_transport(
    fields: list[tuple[bytes, bytes]], body: bytes, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with Heard(*by_path(str(tmp_path / "file"), *fields)) as door, socket.socket() as sock:
        door.connection.accepted = Accepted(sock, ("192.0.2.7", 4711), 0, secure=True)
        heard = door.out(GET)
        assert b"Content-Length: %d" % len(body) in heard
        assert heard.partition(b"\r\n\r\n")[2] == body
        assert door.out(GET.replace(b"GET", b"HEAD")).endswith(b"\r\n\r\n")
        assert not door.errors


def part(file: object, **said: object) -> Message:
    return {"type": "http.response.zerocopysend", "file": file, **said}


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ({}, b"23456789"),  # from where it is
        ({"offset": 0}, b"0123456789"),
        ({"offset": 4, "count": 3}, b"456"),
        ({"count": 99}, b"23456789"),
        ({"offset": 10}, b""),
        ({"offset": 99, "count": 1}, b""),
    ],
)
@pytest.mark.parametrize("kind", ["a file", "its number"])
def test_a_part_of_an_open_file_is_sent(said: dict[str, object], body: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with (tmp_path / "file").open("rb") as file:
        file.seek(2)
        which = file if kind == "a file" else file.fileno()
        with Heard({**START, "headers": []}, part(which, **said)) as door:
            for _ in range(2):
                heard = door.out(GET)
                assert b"Content-Length: %d\r\n" % len(body) in heard
                assert heard.partition(b"\r\n\r\n")[2] == body
            assert door.out(GET.replace(b"GET", b"HEAD")).endswith(b"\r\n\r\n")
            assert not door.errors
        assert file.tell() == 2, "its position is its owner's"


def test_parts_of_files_mix_with_other_pieces_of_a_body(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with (tmp_path / "file").open("rb") as file:
        start, more = {**START, "headers": []}, {**BODY, "more_body": True}
        first, last = part(file, offset=0, count=2, more_body=True), part(file, offset=8)
        with Heard(start, first, more, last) as door:
            assert door.out(GET).partition(b"\r\n\r\n")[2] == b"2\r\n01\r\n2\r\nok\r\n2\r\n89\r\n0\r\n\r\n"
            assert not door.errors


@pytest.mark.parametrize("said", [{"offset": -1}, {"count": -1}, {"count": 3, "offset": 9}])
def test_a_part_that_is_none_is_a_500(said: dict[str, object]) -> None:
    with Path(__file__).open("rb") as file, Path("/proc/self/mounts").open("rb") as other:
        declared = {**START, "headers": [(b"Content-Length", b"99999999")]}
        for one in (file, other):
            with Heard(declared, part(one, **said)) as door:
                assert door.out(GET).startswith(b"HTTP/1.1 500 ")
                assert len(door.errors) == 1


@pytest.mark.parametrize("what", ["nothing", "a folder", "a FIFO", "shorter"])
def test_a_path_that_cannot_be_sent_is_a_500(what: str, tmp_path: Path) -> None:
    make: dict[str, Callable[[], tuple[Message, Message]]] = {
        "nothing": lambda: by_path(str(tmp_path / "nothing")),
        "a folder": lambda: by_path(str(tmp_path)),
        "a FIFO": lambda: by_path(str(fifo(tmp_path))),
        "shorter": lambda: by_path(str(Path(__file__)), (b"Content-Length", b"99999999")),
    }
    with Heard(*make[what]()) as door:
        assert door.out(GET).startswith(b"HTTP/1.1 500 ")
        assert len(door.errors) == 1


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


EVENTS: Message = {**START, "headers": [(b"Content-Type", b"text/event-stream; charset=utf-8")]}
DOWNLOAD: Message = {**START, "headers": [(b"Content-Type", b"text/csv")]}
PIECE: Message = {**BODY, "more_body": True}


@pytest.mark.parametrize(("start", "told"), [(EVENTS, True), (DOWNLOAD, False)])
@pytest.mark.parametrize("early", [False, True])
def test_event_streams_learn_of_a_stop_and_downloads_go_on(start: Message, told: bool, early: bool) -> None:
    seen: list[str] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start)
        await send(PIECE)
        seen.append((await receive())["type"])

    with AsgiDoor(app) as door:
        if early:
            door.service.drain()
        door.hear(GET)
        door.settle()
        door.service.drain()
        door.settle()
        assert seen == (["http.disconnect"] if told else [])
        if told:
            assert door.transport.closed
            assert bytes(door.transport.out).endswith(b"2\r\nok\r\n"), "half an answer never looks whole"
            assert not door.service.lasting
