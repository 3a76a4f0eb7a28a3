"""A small web page that says Forkful runs, for the built-in configuration.

A browser that keeps its connection idle is let go after `timeout`.
"""

import html
import os
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from forkful.conf.runtime import ADMIN_TCP

_STARTED = time.monotonic()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Forkful</title>
<link rel="icon" href="data:,">
<style>
 :root { color-scheme: light dark }
 body { font: 1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1.5rem }
 h1 { font-weight: 600; margin-bottom: 0 }
 p.lead { margin-top: 0; opacity: .75 }
 code { font: .9em ui-monospace, monospace }
 dl { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1rem } dt { opacity: .75 }
 dd { margin: 0; overflow-wrap: anywhere }
</style>
</head>
<body>
<main>
<h1>Forkful runs.</h1>
<p class="lead">It serves this page with a handler of Python's own <code>http.server</code>.</p>
<dl>
<dt>Worker</dt><dd>process %(pid)d, up for %(uptime)d s</dd>
<dt>You are</dt><dd>%(peer)s</dd>
</dl>
<p>What it counts is at <a href="%(admin)s/metrics">%(admin)s/metrics</a>,
and <code>forkful status</code> shows its workers.
Your own handler: <code>forkful serve module:Handler</code>.</p>
</main>
</body>
</html>
"""


class PageHandler(BaseHTTPRequestHandler):
    """`GET /`."""

    protocol_version = "HTTP/1.1"
    timeout = 2.0  # seconds; an idle browser does not hold a lane for longer

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        peer = self.client_address[0] if self.client_address else "on this machine"
        body = _PAGE % {
            "pid": os.getpid(),
            "uptime": time.monotonic() - _STARTED,
            "peer": html.escape(str(peer)),
            "admin": f"http://{ADMIN_TCP.host}:{ADMIN_TCP.port}",
        }
        data = body.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_GET  # noqa: N815  # the standard library's name

    def version_string(self) -> str:
        """What serves; which Python it runs on is no stranger's business."""
        return "Forkful"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
        """Say nothing: a page is not worth a line in the log."""
