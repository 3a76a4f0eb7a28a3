"""Servers that put TLS around their listening socket, in the ways that are documented."""

import os
import socketserver
import ssl
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

from stages import tell  # type: ignore[import-not-found]  # beside this file, as an operator has it


def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(os.environ["CERTIFICATE"])
    return made


class Said(BaseHTTPRequestHandler):
    """Says how the connection is secured."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{type(self.connection).__name__} {self.connection.version()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class Upper(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            if line == b"wait\n":
                tell("started")
            self.wfile.write(line.upper())


def documented() -> HTTPServer:
    """As `http.server` and `ssl` show it."""
    httpd = ThreadingHTTPServer(("localhost", 0), Said)
    httpd.socket = context().wrap_socket(httpd.socket, server_side=True)
    return httpd


def for_clients() -> HTTPServer:
    """Python would tell at the first handshake."""
    httpd = HTTPServer(("localhost", 0), Said)
    made = ssl.create_default_context()
    made.check_hostname = False
    httpd.socket = made.wrap_socket(httpd.socket, server_side=True)
    return httpd


class InBind(HTTPServer):
    """When it is bound."""

    def __init__(self) -> None:
        super().__init__(("localhost", 0), Said)

    def server_bind(self) -> None:
        super().server_bind()
        self.socket = context().wrap_socket(self.socket, server_side=True)


class InActivate(socketserver.ThreadingTCPServer):
    """When it listens, as pymodbus' ModbusTlsServer does; it minds how connections end."""

    def __init__(self) -> None:
        super().__init__(("localhost", 0), Upper)

    def server_activate(self) -> None:
        self.socket = context().wrap_socket(self.socket, server_side=True, suppress_ragged_eofs=False)
        super().server_activate()


def werkzeug() -> Any:  # Any: werkzeug's own class
    from werkzeug.serving import make_server  # noqa: PLC0415  # the others do without

    def about(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [environ["wsgi.url_scheme"].encode()]

    return make_server("127.0.0.1", 0, about, ssl_context=context(), threaded=True)


class Strange:
    """What some libraries for TLS put in place of a socket."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock

    def accept(self) -> Any:
        return self.sock.accept()

    def fileno(self) -> int:
        return int(self.sock.fileno())

    def close(self) -> None:
        self.sock.close()


def strange() -> HTTPServer:
    httpd = HTTPServer(("localhost", 0), Said)
    httpd.socket = Strange(httpd.socket)  # type: ignore[assignment]  # that is the point
    return httpd
