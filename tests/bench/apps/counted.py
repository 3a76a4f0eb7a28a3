"""An echo handler with metrics of its own, as an application has them."""

from socketserver import BaseRequestHandler

from prometheus_client import Counter, Histogram

ANSWERED = Counter("bench_answered", "Replies sent.")
LENGTH = Histogram("bench_length_bytes", "Length of the requests.", buckets=(16, 64, 256, 1024))


class Once(BaseRequestHandler):
    """One read, one reply, two metrics."""

    def handle(self) -> None:
        data = self.request.recv(1024)
        self.request.sendall(data)
        ANSWERED.inc()
        LENGTH.observe(len(data))
