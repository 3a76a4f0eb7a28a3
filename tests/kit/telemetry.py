"""Who receives what an application tells of itself: Sentry's envelopes, OTLP's spans, read by their own libraries.

Can go wrong: what is no envelope and no span ends its connection, and the sender is told nothing.
"""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sentry_sdk.envelope import Envelope

from tests.kit.wait import PATIENCE


class Telemetry(ThreadingHTTPServer):
    """Takes both. While `is_open` is not set, senders of errors wait for their answer, and further ones queue up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.is_open = threading.Event()
        self.is_open.set()
        self.errors: list[Any] = []  # Any: Sentry's events are JSON
        self.spans: list[tuple[dict[str, Any], dict[str, Any]]] = []  # attributes of resource and span; Any: protobuf's

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SENTRY_DSN": f"http://key@127.0.0.1:{self.server_port}/1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server_port}",
        }

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = _attributes(of_resource.resource)
                self.spans += [(resource, _attributes(span)) for of in of_resource.scope_spans for span in of.spans]
        else:
            assert path == "/api/1/envelope/", path
            assert self.is_open.wait(PATIENCE)
            event = Envelope.deserialize(body).get_event()
            self.errors += [event] if event is not None else []


def _attributes(message: Any) -> dict[str, Any]:  # Any: protobuf's
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


class _Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server  # Any: ours
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.take(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
