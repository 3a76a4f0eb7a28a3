"""The files of a folder over HTTP: safe paths, conditions, compressed variants, cache headers, directory pages.

Starlette knows 304, several ranges and 416, and sends where a server has no `http.response.zerocopysend`. A path is
opened, and the kernel asked where that is: a link that leads out of the root is none, and what was looked at is what is
sent, whatever becomes of the name meanwhile.
Can go wrong: the disk is slow: looking up a name holds this worker's loop (a folder on the network wants more workers).
"""

import asyncio
import errno
import mimetypes
import os
import re
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from starlette.datastructures import Headers, QueryParams
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from forkful.handlers.examples.web import listing
from forkful.handlers.examples.web.negotiation import codings, holds, names_of, ranges, span
from forkful.handlers.examples.web.packing import Packer

#: The best first; each lies beside its file, as `python -m whitenoise.compress FOLDER` makes them.
_VARIANTS: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
_PACKED_FROM, _PACKED_TO = 1024, 4 << 20  # bytes of a file that is compressed when it is asked for
#: A name with a hash of its content in it, as bundlers write them, never means anything else: app.0a1b2c3d.js
_HASHED = re.compile(r"[.-][0-9a-f]{8,64}\.")
_SHRINKS = re.compile(r"text/.*|application/(javascript|wasm|.*json|.*xml)|image/svg\+xml|font/[ot]tf")
#: What the system's own table may lack, or say otherwise.
_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".md": "text/markdown"} | {
    ".wasm": "application/wasm", ".webp": "image/webp", ".avif": "image/avif", ".woff2": "font/woff2",
}  # fmt: skip
_BUSY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})  # the file may be there for all that
_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Found(NamedTuple):
    """What a path leads to, open."""

    fd: int
    status: os.stat_result
    is_folder: bool


class Files(StaticFiles):
    """An ASGI application: the files of `root`.

    `max_age`: seconds for which a browser need not ask again. Without `index_pages` a folder has no page of its own.
    """

    def __init__(self, root: str, *, max_age: int = 60, index_pages: bool = True) -> None:
        self._root = Path(root).resolve()
        if not self._root.is_dir():
            raise NotADirectoryError(f"{root} is no folder that could be served")
        self._below = f"{self._root}/".replace("//", "/")
        self._max_age, self._index_pages = max_age, index_pages
        self._packer = Packer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        with ExitStack() as opened:  # until the answer is sent
            try:
                answer = await self._answer(scope, opened)
            except ValueError:  # above the root; a NUL
                answer = _error(400, "Bad Request")
            except PermissionError:
                answer = _error(403, "Forbidden")
            except OSError as error:
                busy = error.errno in _BUSY
                answer = (
                    _error(503, "Service Unavailable", **{"Retry-After": "1"}) if busy else _error(404, "Not Found")
                )
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, opened: ExitStack) -> ASGIApp:
        if scope["method"] not in ("GET", "HEAD"):
            return _error(405, "Method Not Allowed", Allow="GET, HEAD")
        path, mount = scope["path"], scope.get("root_path", "")
        names = names_of(path.removeprefix(mount))
        if any(name.startswith(".") and (depth or name != ".well-known") for depth, name in enumerate(names)):
            raise FileNotFoundError("hidden, as .git and .env are; /.well-known/ is for all (RFC 8615)")
        found = self._open(names, opened)
        means_folder = path.endswith(("/", "/.", "/..")) or not names
        if not found.is_folder:
            if means_folder:
                raise NotADirectoryError
            return await self._file(scope, names, found, opened)
        if not means_folder:  # links in its page are relative; made of names, `//host` leads nowhere else
            query = scope["query_string"].decode("latin-1")
            return RedirectResponse(quote("/".join([mount, *names, ""])) + (query and f"?{query}"), 301)
        if index := self._beside([*names, "index.html"], opened, 0):
            return await self._file(scope, [*names, "index.html"], index, opened)
        if not self._index_pages:
            raise PermissionError
        by = QueryParams(scope["query_string"]).get("by", "")
        shown = await asyncio.to_thread(listing.page, str(self._root.joinpath(*names)), self._below, names, mount, by)
        fields = {"Cache-Control": "no-cache", "Content-Security-Policy": listing.POLICY}
        return GZipMiddleware(HTMLResponse(shown, headers=fields))

    def _open(self, names: list[str], opened: ExitStack) -> Found:
        """Raises `OSError` for what is not there, or not ours to show."""
        fd = os.open(self._below + "/".join(names), _OPEN)
        opened.callback(os.close, fd)
        status, where = os.fstat(fd), os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115  # Path is slow
        is_folder = stat.S_ISDIR(status.st_mode)
        if not f"{where}/".startswith(self._below) or not (is_folder or stat.S_ISREG(status.st_mode)):
            raise FileNotFoundError
        return Found(fd, status, is_folder)

    def _beside(self, names: list[str], opened: ExitStack, since: int) -> Found | None:
        """A file of this name that is not older (ns): a variant of what was changed since is none."""
        try:
            found = self._open(names, opened)
        except OSError:
            return None
        return None if found.is_folder or found.status.st_mtime_ns < since else found

    async def _file(self, scope: Scope, names: list[str], found: Found, opened: ExitStack) -> ASGIApp:
        """A file, as a whole or in part; its variant if there is one and the client takes it."""
        request = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status = found.status
        media, fields = _described(names[-1], self._max_age, status.st_mtime_ns, status.st_size)
        fields, coding, body = fields.copy(), "", b""
        if _SHRINKS.fullmatch(media):
            fields["vary"] = "Accept-Encoding"
            if "range" not in request:  # a part is one of the file itself
                taken = codings(request.get("accept-encoding", ""))
                coding, found, body = await self._variant(taken, names, found, opened)
        if coding:
            fields |= {"content-encoding": coding, "etag": f'{fields["etag"][:-1]}-{coding}"'}
        if not holds(request, fields["etag"], status.st_mtime):
            return _error(412, "Precondition Failed")
        if self.is_not_modified(Headers(fields), Headers(request)):
            return NotModifiedResponse(Headers(fields))
        if body:
            return Response(body, headers=fields, media_type=media)
        return _sent(scope, request, found, fields)

    async def _variant(
        self, taken: set[str], names: list[str], found: Found, opened: ExitStack
    ) -> tuple[str, Found, bytes]:
        """The coding, what is to be sent, or the bytes where no file has them."""
        for coding, suffix in _VARIANTS.items():
            beside = [*names[:-1], names[-1] + suffix]
            if coding in taken and (variant := self._beside(beside, opened, found.status.st_mtime_ns)):
                return coding, variant, b""
        if "gzip" in taken and _PACKED_FROM <= found.status.st_size <= _PACKED_TO:
            packed = await self._packer.gzip(found.fd, found.status)
            return "gzip" if packed else "", found, packed
        return "", found, b""


def _sent(scope: Scope, request: dict[str, str], found: Found, fields: dict[str, str]) -> ASGIApp:
    """All of the file, or what of it the client wants."""
    size, wanted = found.status.st_size, ""
    if scope["method"] == "GET" and request.get("if-range") in (None, fields["etag"], fields["last-modified"]):
        wanted = ranges(request.get("range", ""), size)
    part = span(wanted, size)
    if part and "http.response.zerocopysend" in scope.get("extensions", {}):
        if wanted:
            fields["content-range"] = f"bytes {part[0]}-{part[1] - 1}/{size}"
        return _Part(found.fd, fields, part[0], part[1] - part[0])
    scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
    if wanted:
        scope["headers"].append((b"range", wanted.encode()))
    return FileResponse(f"/proc/self/fd/{found.fd}", 200, fields, stat_result=found.status)


@dataclass(frozen=True, slots=True)
class _Part:
    """An answer: a part of a file, or all of it, straight from its descriptor by `sendfile(2)`."""

    fd: int
    fields: dict[str, str]
    offset: int
    length: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # as ASGI has it
        fields = {**self.fields, "content-length": str(self.length)}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
        status = 206 if "content-range" in fields else 200
        await send({"type": "http.response.start", "status": status, "headers": raw})
        part = {"file": self.fd, "offset": self.offset, "count": self.length}
        await send({"type": "http.response.zerocopysend", **part})


@lru_cache(4096)
def _described(name: str, max_age: int, changed: int, size: int) -> tuple[str, dict[str, str]]:
    """The media type by the name's end, and the fields of a file that was changed then (ns)."""
    media, packed = mimetypes.guess_type(name)
    media = _TYPES.get(Path(name).suffix.lower()) or media or "application/octet-stream"
    if packed:  # an archive is what it is, not what is in it
        media = "application/gzip" if packed == "gzip" else "application/octet-stream"
    cached = f"public, max-age={max_age}"
    if _HASHED.search(name):
        cached = "public, max-age=31536000, immutable"
    elif media == "text/html":
        cached = "no-cache"  # kept, but asked for anew each time: a page names the versions of all else
    return media, {
        "content-type": f"{media}; charset=utf-8" if media.startswith("text/") else media,
        "cache-control": cached,
        "etag": f'"{changed:x}-{size:x}"',
        "last-modified": formatdate(changed // 10**9, usegmt=True),
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }


def _error(status: int, words: str, **fields: str) -> Response:
    return PlainTextResponse(f"{status} {words}\n", status, fields)
