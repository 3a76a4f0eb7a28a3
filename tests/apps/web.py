"""Programs on `http.server`, as people write them."""

from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler

Files = SimpleHTTPRequestHandler


class Pages(BaseHTTPRequestHandler):
    """Keeps its connections open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(f"you asked for {self.path}\n".encode())

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
