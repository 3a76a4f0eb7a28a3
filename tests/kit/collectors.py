"""Who collects metrics that are pushed: StatsD over UDP, OTLP over HTTP."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, TypeVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

Key = tuple[str, frozenset[tuple[str, str]]]
_LINE = re.compile(r"(?P<name>[^:|]+):(?P<value>[^|]+)\|(?P<kind>[cg])(?:\|#(?P<tags>.*))?")


class StatsdReceiver:
    """Adds up what DogStatsD is told."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self.host = f"127.0.0.1:{self._sock.getsockname()[1]}"
        self.counters: dict[Key, float] = {}
        self.gauges: dict[Key, float] = {}

    def hear(self) -> None:
        """Take what has come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                for line in self._sock.recv(65_536).decode().splitlines():
                    self._take(line)

    def _take(self, line: str) -> None:
        match = _LINE.fullmatch(line)
        assert match is not None, line
        tags = (tag.partition(":") for tag in filter(None, (match["tags"] or "").split(",")))
        key = (match["name"], frozenset((name, value) for name, _, value in tags))
        if match["kind"] == "c":
            self.counters[key] = self.counters.get(key, 0.0) + float(match["value"])
        else:
            self.gauges[key] = float(match["value"])

    def close(self) -> None:
        self._sock.close()


class Collector(HTTPServer):
    """Takes what is exported, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Export)
        self.taken: list[tuple[str, ExportMetricsServiceRequest]] = []
        self.status = 200


class _Export(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server  # Any: ours
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.taken.append((self.path, ExportMetricsServiceRequest.FromString(body)))
        self.send_response(server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


S = TypeVar("S", bound=HTTPServer)


def collecting() -> contextlib.AbstractContextManager[Collector]:
    return running(Collector())


@contextlib.contextmanager
def running(server: S) -> Iterator[S]:
    """It serves in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def figures(request: ExportMetricsServiceRequest) -> dict[str, Any]:  # Any: protobuf's
    (of_resource,) = request.resource_metrics
    (of_scope,) = of_resource.scope_metrics
    return {metric.name: metric for metric in of_scope.metrics}
