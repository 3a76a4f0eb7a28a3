"""Echo, for streams and datagrams: what the built-in configuration serves, and the first thing to try.

A peer that vanishes ends its own connection.
"""

from socketserver import BaseRequestHandler

_CHUNK = 65_536


class EchoStream(BaseRequestHandler):
    """Sends back what it receives until the peer has said all: RFC 862."""

    def handle(self) -> None:
        receive, send = self.request.recv, self.request.sendall
        while data := receive(_CHUNK):
            send(data)


class EchoDatagram(BaseRequestHandler):
    """Sends each datagram back to where it came from: RFC 862."""

    def handle(self) -> None:
        data, sock = self.request
        if self.client_address:  # a Unix datagram from a socket without a name cannot be answered
            sock.sendto(data, self.client_address)
