"""The WSGI side of a request (PEP 3333): the environ's constant part, `wsgi.errors`, `wsgi.file_wrapper`.

What an application does wrong is found where its answer is sent.
"""

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

# Any: PEP 3333 leaves the values of an environ and the traceback of an exc_info open.
Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

log = logging.getLogger("forkful.app")


class Readable(Protocol):
    """What `wsgi.file_wrapper` is given."""

    def read(self, size: int, /) -> bytes: ...


class FileWrapper:
    """`wsgi.file_wrapper`: an iterable over a file, which the server may send by `sendfile` instead."""

    def __init__(self, filelike: Readable, blksize: int = 65_536) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self.blksize):
            yield block


class ErrorLog(io.TextIOBase):
    """`wsgi.errors`: lines written here are records of the log."""

    def __init__(self) -> None:
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            log.error("%s", line)
        return len(text)

    def flush(self) -> None:
        if self._rest:
            log.error("%s", self._rest)
            self._rest = ""


#: What `worker.http.wsgi` says of each request.
_OF_THE_REQUEST = (
    *("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "RAW_URI", "REMOTE_ADDR", "REMOTE_PORT"),
    *("wsgi.input", "wsgi.early_hints"),
)


def template(*, name: str, port: str, scheme: str = "http", threads: bool, processes: bool) -> Environ:
    """What is the same in every environ of one listener.

    What each request says in any case has its place already, so that a copy need not grow for what a head brings.
    """
    return dict.fromkeys(_OF_THE_REQUEST, "") | {
        "SCRIPT_NAME": "",
        "SERVER_NAME": name,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "forkful",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": ErrorLog(),
        "wsgi.multithread": threads,
        "wsgi.multiprocess": processes,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
    }
