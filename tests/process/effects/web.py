"""The effects of the options of HTTP: limits, deadlines, what an application is told, the access log."""

import json
import select
import time
from pathlib import Path
from typing import Any

from tests.kit.wait import PATIENCE
from tests.kit.web import get, talk
from tests.process.effects import AnyEffect, Check, Effect, Elsewhere, Service

WEB = "web"
SECTION = {"handler": "optioned:web", "bind": ["http://127.0.0.1:0"]}
POOLS: dict[str, dict[str, Any]] = {  # Any: what TOML takes
    WEB: SECTION,
    "living": {"handler": "optioned:living", "bind": ["http://127.0.0.1:0"]},
    "either": {"handler": "optioned:ambiguous", "bind": ["http://127.0.0.1:0"]},
}


def boundary(request: str) -> Check:
    """Such a request just fits, and is refused with the code of its limit when it is one longer."""

    def check(service: Service, limit: int) -> None:
        fits, beyond = (talk(service.door(WEB), sized(request, limit + more)).split()[1] for more in (0, 1))
        assert (fits, beyond) == (b"200", {"line": b"414", "body": b"413"}.get(request, b"431"))

    return check


def within_and_beyond(service: Service, limit: int) -> None:
    """A head that is well within the limit passes, and one that is a little beyond it does not."""
    small, large = (talk(service.door(WEB), sized("head", limit + more)).split()[1] for more in (-50, 50))
    assert (small, large) == (b"200", b"431")


def sized(what: str, size: int) -> bytes:
    """A request whose line, fields, longest field or body is of this size."""
    line, fields, body = "GET / HTTP/1.1", ["Host: x", "Connection: close"], ""
    match what:
        case "line":
            line = f"GET /{'x' * (size - len(line))} HTTP/1.1"
        case "fields":
            fields += [f"X-{n}: x" for n in range(size - len(fields))]
        case "field":
            fields.append("X: " + "x" * (size - len("X: ")))
        case "head":
            many = size - len("\r\n".join([line, *fields, "", ""]))
            fields += ["X: " + "x" * 75] * (many // 80)
            fields.append("X: " + "x" * (many % 80 - len("X: \r\n")))
        case "body":
            line, body = "POST / HTTP/1.1", "x" * size
            fields.append(f"Content-Length: {size}")
    return "\r\n".join([line, *fields, "", body]).encode()


def patience(begun: bytes, code: bytes) -> Check:
    """Whoever goes no further is waited for so long, and not so long as the option's other value says."""

    def check(service: Service, seconds: float) -> None:
        with service.door(WEB).connect() as client:
            client.sendall(begun)
            if not code:
                assert client.recv(65_536).startswith(b"HTTP/1.1 200")
            began = time.monotonic()
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
            took = time.monotonic() - began
        assert answer.split()[1:2] == ([code] if code else [])
        assert seconds * 0.9 <= took
        assert seconds > 1 or took < LONG * 0.9

    return check


LONG, SHORT = 4.0, 0.4
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


def takes_nothing(service: Service, seconds: float) -> None:
    """Whoever reads nothing of what he asked for is cut off after so long."""
    with service.door(WEB).connect() as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100)
        began = time.monotonic()
        poll = select.poll()
        poll.register(client, select.POLLRDHUP)
        assert poll.poll(PATIENCE * 1000)
        took = time.monotonic() - began
    assert seconds * 0.9 <= took
    assert seconds > 1 or took < LONG * 0.9


def script_name(service: Service, path: str) -> None:
    answer = json.loads(get(service.door(WEB), f"{path}/x").text)
    assert (answer["SCRIPT_NAME"], answer["PATH_INFO"]) == (path, "/x")


def believed(service: Service, proxies: str) -> None:
    answer = json.loads(get(service.door(WEB), "/", X_Forwarded_For="192.0.2.7").text)
    assert answer["REMOTE_ADDR"] == ("192.0.2.7" if proxies == "127.0.0.1" else "127.0.0.1")


def kind(service: Service, interface: str) -> None:
    assert get(service.door("either"), "/").text == interface


def lives(service: Service, lifespan: str) -> None:
    assert get(service.door("living"), "/").text == {"off": "not started", "on": "started"}[lifespan]


def access_file(service: Service, path: str) -> None:
    mark = f"/seen-in-{Path(path).name}"
    get(service.door(WEB), mark)
    service.server.wait_until(lambda: mark in text(Path(path)), what=f"a line in {path}")


def access_lines(service: Service, template: str) -> None:
    get(service.door(WEB), "/lined")
    wanted = "GET /lined as told" if template != "json" else '"path": "/lined"'
    files = [service.folder / "access1", service.folder / "access2"]
    service.server.wait_until(lambda: any(wanted in text(file) for file in files), what=f"{wanted} in a log")


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


EFFECTS: dict[str, AnyEffect] = {
    "limit_request_line": Effect(200, 300, boundary("line"), WEB),
    "limit_request_fields": Effect(10, 20, boundary("fields"), WEB),
    "limit_request_field_size": Effect(100, 200, boundary("field"), WEB),
    "limit_request_head": Effect(600, 900, within_and_beyond, WEB),
    "limit_request_body": Effect(50, 500, boundary("body"), WEB),
    "websocket_max_size": Elsewhere(
        "process/test_websockets.py", "test_the_settings_for_websockets_hold_at_the_start_and_after_a_reload"
    ),
    "websocket_compression": Elsewhere(
        "process/test_websockets.py", "test_the_settings_for_websockets_hold_at_the_start_and_after_a_reload"
    ),
    "websocket_ping_interval": Elsewhere(
        "process/test_websockets.py", "test_the_settings_for_websockets_hold_at_the_start_and_after_a_reload"
    ),
    "keep_alive": Effect(LONG, SHORT, patience(HEAD + b"\r\n", b""), WEB),
    "header_timeout": Effect(LONG, SHORT, patience(HEAD, b"408"), WEB),
    "body_timeout": Effect(
        LONG, SHORT, patience(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx", b"408"), WEB
    ),
    "write_timeout": Effect(LONG, SHORT, takes_nothing, WEB),
    "root_path": Effect("/one", "/two", script_name, WEB),
    "forwarded_allow_ips": Effect("127.0.0.1", "192.0.2.1", believed, WEB),
    "lifespan": Effect("off", "on", lives, "living"),
    "interface": Effect("wsgi", "asgi", kind, "either"),
    "access_log": Effect("FOLDER/access1", "FOLDER/access2", access_file),
    "access_log_format": Effect("%(m)s %(U)s as told", "json", access_lines, WEB),
}
