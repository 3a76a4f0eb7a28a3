"""The access log: Gunicorn's atoms, JSON, and clients that would like to write it themselves."""

import json
from typing import Any

from forkful.handlers.asgi import Receive, Scope, Send
from forkful.handlers.wsgi import Environ, StartResponse
from forkful.worker.http.access_log import COMMON, Access
from tests.unit.worker.http.doors import AsgiDoor
from tests.unit.worker.http.wire import Client

EVIL = b'GET /a?"q HTTP/1.1\r\nHost: a\r\nUser-Agent: x" 200 - "forged\xff\\\r\nReferer: r\tr\r\n\r\n'


class Lines:
    """A log that a test can read."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.extras: list[Any] = []

    def info(self, line: str, /, *, extra: "dict[str, object] | None" = None) -> None:
        self.lines.append(line)
        self.extras.append(extra)


def logged(template: str, request: bytes, *, fields: bool = False) -> Lines:
    lines = Lines()
    Client(access=Access(lines, template, fields=fields)).say(request)
    return lines


def test_a_line_in_the_common_format() -> None:
    (line,) = logged(COMMON, b"GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: ua\r\n\r\n").lines

    assert line.startswith("192.0.2.7 - - [")
    assert line.endswith('] "GET /a?b HTTP/1.1" 200 9 "-" "ua"')


def test_every_atom_has_a_value() -> None:
    (line,) = logged(
        "%(m)s %(U)s %(q)s %(H)s %(B)s %(T)s %(M)s %(D)s %(L)s %(p)s %({x-a}i)s %({nope}i)s",
        EVIL.replace(b"Host", b"X-A: 5\r\nHost"),
    ).lines

    words = line.split(" ")
    assert words[:5] == ["GET", "/a", '\\"q', "HTTP/1.1", "10"]
    assert words[-2:] == ["5", "-"]


def test_atoms_of_the_answer_the_environ_and_the_user() -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["myapp.tenant"] = "t\n1"
        start_response("200 OK", [("X-Cache", 'hit"'), ("Set-Cookie", "a"), ("set-cookie", "b")])
        return [b""]

    lines = Lines()
    template = (
        "%({x-cache}o)s %({Set-Cookie}o)s %({x-b}o)s %({myapp.tenant}e)s %({SERVER_NAME}e)s %({nope}e)s %(u)s 5%%"
    )
    client = Client(app, access=Access(lines, template))
    for credentials in ("Basic YW5uYTpzZWNyZXQ=", "basic YW5uYTpzZWNyZXQ=", "Basic !!", "Bearer abc", "Basic"):
        client.say(f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: {credentials}\r\n\r\n".encode())

    common = 'hit\\" a, b - t\\n1 server.test -'
    assert lines.lines == [f"{common} {user} 5%" for user in ("anna", "anna", "-", "-", "-")]


def test_fields_of_an_asgi_answer() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-cache", b"hit")]})
        await send({"type": "http.response.body"})

    lines = Lines()
    with AsgiDoor(app) as door:
        door.service.access = Access(lines, "%({X-Cache}o)s %({Host}i)s %({x}e)s %(h)s")
        door.hear(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        door.settle()

    assert lines.lines == ["hit a - 192.0.2.7"]


def test_a_client_that_left_before_its_answer_is_logged_as_such() -> None:
    async def app(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        await receive()

    lines = Lines()
    with AsgiDoor(app) as door:
        door.service.access = Access(lines, "%(s)s")
        door.hear(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        door.settle()
        door.connection.connection_lost(None)
        door.settle()

    assert lines.lines == ["499"]


def test_a_client_of_a_unix_socket_has_no_address() -> None:
    lines = Lines()
    Client(access=Access(lines, "%(h)s"), address=None).say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    assert lines.lines == ["-"]


def test_a_client_cannot_forge_a_field() -> None:
    (line,) = logged(COMMON, EVIL).lines

    assert line.endswith('"r\\tr" "x\\" 200 - \\"forged\\xff\\\\"')
    assert line.isprintable()


def test_json_lines_cannot_be_forged_either() -> None:
    (line,) = logged("json", EVIL).lines

    record = json.loads(line)
    assert "\n" not in line
    assert record["user_agent"] == 'x" 200 - "forged\xff\\'
    assert (record["method"], record["path"], record["query"], record["status"]) == ("GET", "/a", '"q', 200)


def test_in_a_log_of_objects_the_record_is_one() -> None:
    lines = logged("json", EVIL, fields=True)

    assert lines.extras[0]["status"] == 200


def test_what_was_refused_is_logged_too() -> None:
    (line,) = logged("%(s)s", b"nonsense\r\n\r\n").lines

    assert line == "400"
