"""An echo that counts with `prometheus_client`, the way the library's documentation says."""

from socketserver import BaseRequestHandler

from prometheus_client import Counter, Gauge, Histogram

ECHOES = Counter("app_echoes_total", "Requests echoed.", ["length"])
SIZES = Histogram("app_echo_size_bytes", "Their sizes.", buckets=(10, 100, 1000))
OPEN = Gauge("app_echoes_open", "Echoes in progress.", multiprocess_mode="livesum")


class Counted(BaseRequestHandler):
    def handle(self) -> None:
        with OPEN.track_inprogress():
            data = self.request.recv(1024)
            ECHOES.labels(length=str(len(data))).inc()
            SIZES.observe(len(data))
            self.request.sendall(data)
