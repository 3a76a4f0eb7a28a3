"""The files of a folder over HTTP: safe paths, conditions, compressed variants, cache headers, directory pages.

Starlette sends them: whole by `pathsend` (sendfile), ranges, If-Range, 304. What it leaves open is here. A path is
opened, and the kernel asked where that is: a link that leads out of the root is none, and what was looked at is what is
sent, whatever becomes of the name meanwhile.
Can go wrong: the disk is slow: looking up a name holds this worker's loop (a folder on the network wants more workers).
"""

import asyncio
import mimetypes
import os
import re
import stat
from contextlib import ExitStack
from email.utils import formatdate
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
from forkful.handlers.examples.web.negotiation import codings, holds, names_of, ranges
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
            except OSError:
                answer = _error(404, "Not Found")
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
        request, status, media = Headers(scope=scope), found.status, _type_of(names[-1])
        fields = self._fields(names[-1], status)
        coding, body = "", b""
        if _SHRINKS.fullmatch(media):
            fields["Vary"] = "Accept-Encoding"
            if "range" not in request:  # a part is one of the file itself
                taken = codings(request.get("accept-encoding", ""))
                coding, found, body = await self._variant(taken, names, found, opened)
        if coding:
            fields["Content-Encoding"] = coding
            fields["ETag"] = f'{fields["ETag"][:-1]}-{coding}"'
        if not holds(request, fields["ETag"], status.st_mtime):
            return _error(412, "Precondition Failed")
        if self.is_not_modified(Headers(fields), request):
            return NotModifiedResponse(Headers(fields))
        if body:
            return Response(body, headers=fields, media_type=media)
        if "range" in request:
            wanted = ranges(request["range"], status.st_size) if scope["method"] == "GET" else ""
            others = [pair for pair in scope["headers"] if pair[0] != b"range"]
            scope["headers"] = [*others, (b"range", wanted.encode())] if wanted else others
        return FileResponse(f"/proc/self/fd/{found.fd}", 200, fields, media, stat_result=found.status)

    def _fields(self, name: str, status: os.stat_result) -> dict[str, str]:
        cached = f"public, max-age={self._max_age}"
        if _HASHED.search(name):
            cached = "public, max-age=31536000, immutable"
        elif name.endswith((".html", ".htm")):
            cached = "no-cache"  # kept, but asked for anew each time: a page names the versions of all else
        return {
            "Cache-Control": cached,
            "ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
            "Last-Modified": formatdate(status.st_mtime, usegmt=True),
            "X-Content-Type-Options": "nosniff",
        }

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


def _type_of(name: str) -> str:
    media, packed = mimetypes.guess_type(name)
    if packed:  # an archive is what it is, not what is in it
        return "application/gzip" if packed == "gzip" else "application/octet-stream"
    return _TYPES.get(Path(name).suffix.lower()) or media or "application/octet-stream"


def _error(status: int, words: str, **fields: str) -> Response:
    return PlainTextResponse(f"{status} {words}\n", status, fields)
