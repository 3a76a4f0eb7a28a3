"""WSGI applications that say what they were asked, and some whose life a test can follow."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stages import tell, wait_at_the_gate  # type: ignore[import-not-found]  # beside this file, as an operator has it

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]
TEXT = [("Content-Type", "text/plain")]


def echo(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Gives the body back, or what stands behind the path's slash; "/wait" waits at the gate."""
    body = environ["wsgi.input"].read() or environ["PATH_INFO"][1:].encode("latin-1")
    if body == b"wait":
        tell(f"started {os.getpid()}")
        wait_at_the_gate()
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body)))])
    return [body]


def about(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """One environ variable per line, and the process."""
    start_response("200 OK", TEXT)
    lines = [f"{key}={value}" for key, value in environ.items() if isinstance(value, str)]
    lines += [f"scheme={environ['wsgi.url_scheme']}", f"pid={os.getpid()}"]
    return ["\n".join(sorted(lines)).encode("latin-1")]


def faulty(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Fails before its answer, or at "/half" in the middle of it."""
    if environ["PATH_INFO"] == "/half":
        start_response("200 OK", TEXT)
        return _half()
    raise ValueError("the application's own mistake")


def _half() -> Iterator[bytes]:
    yield b"half of it"
    raise ValueError("in the middle")


def large(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Counts a body without keeping it; answers "/N" with so many bytes; "/file/PATH" by the file wrapper."""
    if environ["REQUEST_METHOD"] == "POST":
        source, count = environ["wsgi.input"], 0
        while block := source.read(65_536):
            count += len(block)
        start_response("200 OK", TEXT)
        return [b"%d" % count]
    kind, _, path = environ["PATH_INFO"][1:].partition("/")
    if kind == "file":
        start_response("200 OK", TEXT)
        wrapper: Callable[[Any], Iterable[bytes]] = environ["wsgi.file_wrapper"]
        return wrapper(open(f"/{path}", "rb"))  # noqa: PTH123  # closed by the server
    start_response("200 OK", [*TEXT, ("Content-Length", kind)])
    return _blocks(int(kind))


def _blocks(left: int) -> Iterator[bytes]:
    block = b"x" * 65_536
    try:
        while left:
            yield block[:left]
            left -= min(left, len(block))
    finally:
        tell("closed")


def telling(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Tells of each request, and answers with what it told."""
    body = environ["wsgi.input"].read()
    said = f"{environ['REQUEST_METHOD']} {environ['RAW_URI'][:100]} {len(body)}"
    tell(f"request {said}")
    start_response("200 OK", [("X-Seen", said.encode("ascii", "backslashreplace").decode())])
    return [b""]
