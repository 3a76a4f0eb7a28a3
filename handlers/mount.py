"""An application below a path of its own: SCRIPT_NAME for WSGI, `root_path` for ASGI.

A proxy in front may have taken that path away before it passed a request on, or not; the application sees the same.
"""

from collections.abc import Awaitable, Iterable
from urllib.parse import quote

from forkful.handlers import asgi, wsgi


def mounted_wsgi(app: wsgi.Application, root: str) -> wsgi.Application:
    """PEP 3333: SCRIPT_NAME is where the application is, PATH_INFO what is below it."""
    name = root.encode().decode("latin-1")

    def mounted(environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        environ["SCRIPT_NAME"] = name
        if _is_below(path, name):
            environ["PATH_INFO"] = path[len(name) :]
        return app(environ, start_response)

    return mounted


def mounted_asgi(app: asgi.Application, root: str) -> asgi.Application:
    """ASGI: `path` has `root_path` in it."""

    raw = quote(root, safe="/!$&'()*+,;=:@~").encode()

    def mounted(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> Awaitable[None]:
        scope["root_path"] = root
        if not _is_below(scope["path"], root):
            scope["path"] = root + scope["path"]
            scope["raw_path"] = raw + scope["raw_path"]
        return app(scope, receive, send)

    return mounted


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")
