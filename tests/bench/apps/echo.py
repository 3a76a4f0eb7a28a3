"""Echo handlers: one reply per connection, many per connection, one per datagram."""

from socketserver import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler


class Once(BaseRequestHandler):
    """The classic program: one read, one reply, the end."""

    def handle(self) -> None:
        self.request.sendall(self.request.recv(1024))


class OnceStream(StreamRequestHandler):
    """The same through the two file objects of the standard library."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read1(1024))


class Until(BaseRequestHandler):
    """Replies until the peer has had enough."""

    def handle(self) -> None:
        while data := self.request.recv(1024):
            self.request.sendall(data)


class Datagram(BaseRequestHandler):
    """A datagram back to where it came from."""

    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(data, self.client_address)


class DatagramFile(DatagramRequestHandler):
    """The same through the two `BytesIO` of the standard library."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read())


class Greeting(BaseRequestHandler):
    """Speaks first, as SMTP does."""

    def handle(self) -> None:
        self.request.sendall(b"220 at your service")
        self.request.recv(1024)
