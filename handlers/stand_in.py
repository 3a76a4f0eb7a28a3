"""What stands in for a web application that cannot be loaded, with `reload`: it says so, and no more.

Browsers are shown what is wrong by the worker itself, before this is asked.
"""

from collections.abc import Iterable

from forkful.handlers.wsgi import Environ, StartResponse

TEXT = b"The application cannot be loaded. Its server's log says why, and waits for a change of its files.\n"


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI application."""
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(TEXT)))]
    start_response("500 Internal Server Error", [*fields, ("Cache-Control", "no-store")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [TEXT]
