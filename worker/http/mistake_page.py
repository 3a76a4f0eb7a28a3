"""The page that browsers get with `reload` while the newest code cannot be loaded: what is wrong, until it is mended.

Only a GET or HEAD that asks for HTML, as browsers do, is answered by it; others are served by the code that there is.
The page asks again and again, by a field of its own, whether it is out of date, and then loads what it stands for.
Can go wrong: nothing. What it shows is the message and the traceback, escaped, and nothing else.
"""

import hashlib
from base64 import b64encode
from collections.abc import Awaitable, Iterable
from html import escape
from typing import TYPE_CHECKING, Final

from forkful.handlers import asgi, wsgi
from forkful.worker.http.access_log import Access

if TYPE_CHECKING:
    from forkful.worker.http.wire import Subject

ASKS: Final = "Forkful-Mistake"  # the field by which the page asks; its value is which mistake it shows
_SCRIPT: Final = """
const shown = document.documentElement.dataset.mistake;
async function ask() {
  try {
    const answer = await fetch(location.href, {headers: {"Forkful-Mistake": shown}, cache: "no-store"});
    if (answer.headers.get("Forkful-Mistake") !== shown) { location.reload(); return; }
  } catch { }
  setTimeout(ask, 250);
}
setTimeout(ask, 250);
"""
_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 70em; margin: 3em auto; padding: 0 1em }
h1 { font-size: 1.3em; border-left: .3em solid #c33; padding-left: .6em }
pre { overflow: auto; padding: 1em; background: #8882; border-radius: .4em; line-height: 1.4 }
"""


def _hash(text: str) -> str:
    return "'sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_POLICY: Final = f"default-src 'none'; connect-src 'self'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}"


class Mistake:
    """What is wrong now, if anything is; there is one in a worker, `MISTAKE`."""

    def __init__(self) -> None:
        self.page = b""
        self.name = ""

    def show(self, message: str, traceback: str) -> None:
        """This is wrong from now on. Workers of code that was mended are others."""
        self.name = hashlib.sha256(f"{message}\n{traceback}".encode(errors="replace")).hexdigest()[:16]
        self.page = _page(self.name, message, traceback)


MISTAKE: Final = Mistake()


def _page(name: str, message: str, traceback: str) -> bytes:
    trace = f"<pre>{escape(traceback.strip())}</pre>" if traceback.strip() else ""
    return f"""<!doctype html>
<html lang="en" data-mistake="{name}"><meta charset="utf-8"><title>The application cannot be loaded</title>
<style>{_STYLE}</style>
<h1>{escape(message)}</h1>
{trace}
<p>This page goes away by itself once it is mended. Until then other clients are served by the code of before, if there
was any.</p>
<script>{_SCRIPT}</script>
</html>
""".encode(errors="replace")


def _answer(method: str, accept: str, asked: str | None) -> tuple[bytes, list[tuple[str, str]]] | None:
    """The body and the fields of our answer; None: this is the application's."""
    if method not in {"GET", "HEAD"}:
        return None
    fields = [("Cache-Control", "no-store"), (ASKS, MISTAKE.name or "none")]
    if asked is not None:
        return b"", [("Content-Type", "text/plain"), ("Content-Length", "0"), *fields]
    if not MISTAKE.page or "text/html" not in accept.lower():
        return None
    length = ("Content-Length", str(len(MISTAKE.page)))
    html = [("Content-Type", "text/html; charset=utf-8"), length, ("Content-Security-Policy", _POLICY)]
    return b"" if method == "HEAD" else MISTAKE.page, [*html, *fields]


def for_wsgi(app: wsgi.Application) -> wsgi.Application:
    """The application, with the page before it."""
    key = f"HTTP_{ASKS.upper().replace('-', '_')}"

    def shown(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        asked = environ.get(key)
        answer = _answer(environ["REQUEST_METHOD"], environ.get("HTTP_ACCEPT", ""), asked)
        if answer is None:
            return app(environ, start_response)
        body, fields = answer
        start_response("200 OK" if asked is not None else "500 Internal Server Error", fields)
        return [body]

    return shown


def for_asgi(app: asgi.Application) -> asgi.Application:
    """The application, with the page before it."""

    def shown(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return app(scope, receive, send)
        said: dict[bytes, bytes] = dict(scope["headers"])
        asked = said.get(ASKS.lower().encode())
        accept = said.get(b"accept", b"").decode("latin-1")
        answer = _answer(scope["method"], accept, None if asked is None else "")
        if answer is None:
            return app(scope, receive, send)
        return _send(send, *answer, status=500 if asked is None else 200)

    return shown


class Watched(Access):
    """An access log without what the page asks four times a second."""

    def request(self, subject: "Subject", status: int, length: int, took_ns: int) -> None:
        if not subject.field(ASKS):
            super().request(subject, status, length, took_ns)


async def _send(send: asgi.Send, body: bytes, fields: list[tuple[str, str]], *, status: int) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
