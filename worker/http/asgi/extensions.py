"""What ASGI's extensions need: early hints, trailers, files by their path or open.

Can go wrong: trailers that say what a recipient must know before the body, `BadResponse`; a path that is no file,
`OSError` or `BadResponse`.
"""

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from forkful.handlers.asgi import Message
from forkful.worker.http import response
from forkful.worker.http.response import BadResponse, Meaning

if TYPE_CHECKING:
    from forkful.worker.http.request import Request

EVENTS: Final = b"text/event-stream"
BLOCK: Final = 262_144  # bytes of a file that are read at a time where it has to be read
#: Framing, routing, authentication, and what says how the body is to be read: RFC 9110 section 6.5.1.
_NEVER_LAST: Final = frozenset(
    b"authorization cache-control content-encoding content-range content-type host max-forwards set-cookie".split()
)

Fields = Iterable[tuple[Any, Any]]  # Any: as the application gave them


def offered(request: "Request") -> dict[str, dict[str, Any]]:  # Any: of each extension its own
    """What an application may send in answer to this request beside what every server takes."""
    files: dict[str, dict[str, Any]] = {"http.response.pathsend": {}, "http.response.zerocopysend": {}}
    if not request.fields.http11:
        return files
    files["http.response.early_hint"] = {}
    if request.fields.trailers:
        files["http.response.trailers"] = {}
    return files


def takes_trailers(te: bytes) -> bool:
    """Whether a client says so in this field (RFC 9110 section 10.1.4)."""
    return b"trailers" in (word.partition(b";")[0].strip().lower() for word in te.split(b","))


def without_length(fields: Fields) -> list[tuple[Any, Any]]:
    """Trailers come behind chunks, which have no Content-Length."""
    return [(name, value) for name, value in fields if bytes(name).lower() != b"content-length"]


def announcement(fields: Fields) -> list[bytes]:
    """The lines of `Trailer`, which is the application's to say where there are trailers."""
    made = (response.examine(name, value) for name, value in fields if bytes(name).lower() == b"trailer")
    return [one.line for one in made if isinstance(one, Meaning)]


def trailer_lines(fields: Fields) -> list[bytes]:
    """Trailers, checked."""
    lines = []
    for name, value in fields:
        made = response.examine(bytes(name), bytes(value))
        if isinstance(made, Meaning) or bytes(name).lower() in _NEVER_LAST:
            raise BadResponse(f"{bytes(name).decode('latin-1')} cannot be sent behind a body")
        lines.append(made)
    return lines


def is_event_stream(fields: Fields) -> bool:
    return any(bytes(name).lower() == b"content-type" and bytes(value).startswith(EVENTS) for name, value in fields)


def open_file(path: Any) -> tuple[int, int, int]:  # Any: as above
    """(descriptor, 0, size) of a file that is to be sent. One that would have to be waited for is none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise BadResponse(f"{path!r} is no file that can be sent")
    return fd, 0, status.st_size


def open_span(message: Message) -> tuple[int, int, int]:
    """(descriptor of our own, offset, length) of what `http.response.zerocopysend` names of an open file."""
    file, offset, count = message["file"], message.get("offset"), message.get("count")
    fd = file if isinstance(file, int) else file.fileno()
    status = os.fstat(fd)
    offset = os.lseek(fd, 0, os.SEEK_CUR) if offset is None else int(offset)
    if not stat.S_ISREG(status.st_mode) or offset < 0 or (count is not None and count < 0):
        raise BadResponse(f"{count} bytes from {offset} of {file!r} are nothing that can be sent")
    left = max(0, status.st_size - offset)
    return os.dup(fd), offset, left if count is None else min(int(count), left)
