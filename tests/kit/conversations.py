"""What is said to each of the sites in `tests/apps`, and what they answer: the same behind every server.

    answers = APPLICATIONS["django"].ask(door)

Can go wrong: what clients raise.
"""

import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.kit.door import Door
from tests.kit.wait import until
from tests.kit.web import Answer, Web, get

PATIENCE = 60.0
FORM = "multipart/form-data; boundary=xxx"
TOLD = ("Content-Type", "Content-Encoding", "Content-Range", "Location", "Cache-Control", "Vary", "Allow", "X-Marked")
ALLOWED = "Access-Control-Allow-Origin"

Answers = dict[str, object]


@dataclass(frozen=True, slots=True)
class Application:
    """One site: where it is, and what is said to it. `oracle` is the server that its authors test it with."""

    handler: str
    ask: Callable[[Door], Answers]
    oracle: str = "Gunicorn"


def form(size: int) -> bytes:
    head = b'--xxx\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    return head + b"x" * size + b"\r\n--xxx--\r\n"


def told(answer: Answer) -> tuple[Any, ...]:
    """Status, body, and those fields of an answer that do not depend on the server."""
    text = re.sub(r"(?s)<.*", "a page", answer.body.decode("latin-1")) if answer.status >= 400 else ""
    body: Any = text or (answer.body if len(answer.body) < 2000 else (len(answer.body), zlib.crc32(answer.body)))
    return answer.status, body, *(answer.headers.get(name) for name in (*TOLD, ALLOWED))


def common(web: Web, paths: list[str]) -> Answers:
    said: Answers = {f"{number} {path}": told(web.ask(path)) for number, path in enumerate(paths)}
    for size in (10, 3_000_000):
        said[f"upload {size}"] = told(web.ask("/upload", "POST", form(size), Content_Type=FORM))
    return said


def streams(door: Door) -> list[str]:
    """Four at a time: none sees what another set."""
    with ThreadPoolExecutor(4) as pool:
        return [answer.text for answer in pool.map(lambda who: get(door, f"/stream?who={who}"), "abcd")]


def counted(web: Web) -> tuple[Any, ...]:
    """A session, which counts."""
    cookie = web.ask("/session").headers["Set-Cookie"].partition(";")[0]
    return told(web.ask("/session", Cookie=cookie))


def flask(door: Door) -> Answers:
    with Web(door, PATIENCE) as web:
        said = common(web, ["/orm?name=anna", "/orm?name=bob", "/async", "/run", "/async"])
    return said | {"streams": streams(door)}


def django(door: Door) -> Answers:
    with Web(door, PATIENCE) as web:
        paths = ["/orm?name=anna", "/orm?name=bob", "/async", "/run", "/async", "/rows", "/file", "/nope"]
        said = common(web, paths)
        said["session"] = counted(web)
        said["closed"] = told(web.ask("/closed"))
    return said | {"streams": streams(door)}


def async_django(door: Door) -> Answers:
    with Web(door, PATIENCE) as web:
        said = common(web, ["/orm?name=anna", "/orm?name=bob", "/sync?name=carl", "/undone", "/rows"])
        said |= {path: told(web.ask(path)) for path in ("/file", "/gathered", "/nope")}
        said["session"] = counted(web)
    return said | {"streams": streams(door)}


def files(web: Web) -> Answers:
    """Conditions, ranges and HEAD, as caches and players ask."""
    said: Answers = {}
    for path in ("/static/page.txt", "/static/big.bin", "/static/nothing"):
        first = web.ask(path)
        tag = first.headers.get("ETag", "none")
        said[f"{path} whole"], said[f"{path} head"] = told(first), told(web.ask(path, "HEAD"))
        said[f"{path} not modified"] = told(web.ask(path, If_None_Match=tag))
        said[f"{path} part"] = told(web.ask(path, Range="bytes=10-19"))
        said[f"{path} end"] = told(web.ask(path, Range="bytes=-5"))
        said[f"{path} beyond"] = told(web.ask(path, Range="bytes=9999999-"))[0]
        said[f"{path} packed"] = told(web.ask(path, Accept_Encoding="gzip"))
    return said


def whitenoise(door: Door) -> Answers:
    with Web(door, PATIENCE) as web:
        said = files(web)
        said["application"] = told(web.ask("/small"))
        said["put"] = told(web.ask("/x", "PUT", b"x" * 100_000))
        said["written to"] = told(web.ask("/static/page.txt", "POST", b"x"))[0]
    return said


def fastapi(door: Door) -> Answers:
    with Web(door, PATIENCE) as web:
        paths = ("/items/7?q=x", "/items/seven", "/nope", "/docs", "/openapi.json", "/stream?who=a")
        said: Answers = {path: told(web.ask(path)) for path in paths}
        said["/file"] = told(web.ask("/file"))[:2]  # of one sent by its path, GZipMiddleware does not say `Vary`
        json = {"Content_Type": "application/json"}
        said["made"] = told(web.ask("/items", "POST", b'{"name": "n", "price": 1.5}', **json))
        said["done"] = until(
            lambda: (w := web.ask("/done").text).endswith('closed"]') and w, what="the background task"
        )
        said["wrong"] = told(web.ask("/items", "POST", b'{"name": 1}', **json))
        said["broken"] = told(web.ask("/items", "POST", b"{", **json))
        preflight = {"Origin": "https://a.test", "Access_Control_Request_Method": "POST"}
        said["preflight"] = told(web.ask("/items", "OPTIONS", **preflight))
        said["foreign"] = told(web.ask("/items/7", Origin="https://b.test"))
        said["packed"] = told(web.ask("/openapi.json", Accept_Encoding="gzip"))[0]
        said["raw"] = told(web.ask("/raw", "POST", b"x" * 3_000_000))
        said["chunks"] = told(web.ask("/raw", "POST", iter([b"x" * 70_000] * 20)))
        said["head"] = told(web.ask("/items/7", "HEAD"))
    said["talk"] = talk(door, "/ws", ["one", "two"])
    return said | {"streams": streams(door)}


def starlette(door: Door) -> Answers:
    with Web(door, PATIENCE) as web:
        said = files(web)
        said["events"] = told(web.ask("/events"))
        said["redirect"] = told(web.ask("/redirect"))
    said["talk"] = talk(door, "/echo", ["one", b"two", "x" * 100_000, "bye", "never heard"])
    said["refused"] = talk(door, "/deny", [])
    said["nowhere"] = talk(door, "/nope", [])[0][0]  # type: ignore[index]  # the page is each server's own
    return said


def talk(door: Door, path: str, words: list[str | bytes]) -> list[object]:
    """What comes back over a WebSocket, and how it ends."""
    assert isinstance(door.address, tuple)
    url = f"ws://127.0.0.1:{door.address[1]}{path}"
    heard: list[object] = []
    try:
        with connect(url, subprotocols=[Subprotocol("chat")], open_timeout=PATIENCE) as websocket:
            assert websocket.response is not None
            heard += [websocket.subprotocol, websocket.response.headers.get("X-Room")]
            for word in words:
                websocket.send(word)
                heard.append(websocket.recv(PATIENCE))
    except ConnectionClosed as closed:
        heard.append((closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else None)
    except InvalidStatus as refused:
        heard.append((refused.response.status_code, refused.response.body))
    return heard


APPLICATIONS = {
    "Django": Application("websites:django_app", django),
    "Flask": Application("websites:flask_app", flask),
    "whitenoise": Application("websites:noise_app", whitenoise),
    "Django, async": Application("async_sites:django_app", async_django, "uvicorn"),
    "FastAPI": Application("async_sites:fastapi_app", fastapi, "uvicorn"),
    "Starlette": Application("async_sites:starlette_app", starlette, "uvicorn"),
}


def prepare(folder: Path) -> dict[str, str]:
    """The environment in which they run, with what they need in this folder."""
    static = folder / "static"
    if not static.exists():
        static.mkdir(parents=True)
        (static / "page.txt").write_text("a page\n" * 20)
        (static / "big.bin").write_bytes(bytes(range(256)) * 12_000)
    return {"STATIC": str(static), "DATABASE": str(folder / "database.sqlite3")}
