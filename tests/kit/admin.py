"""The admin child as a client sees it: HTTP over its Unix socket, the status page as a dict, the metrics as numbers.

Can go wrong: nobody answers: `OSError`; the page is not what the contract says: the test's `KeyError`.
"""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.kit.wait import PATIENCE

Json = dict[str, Any]  # Any: what JSON gives


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


class Metrics(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """One scrape: values by name and labels."""

    def sum(self, name: str, **labels: str) -> float:
        """The sum over every sample of this name that carries at least these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(value for (sample, own), value in self.items() if sample == name and wanted <= own)

    def counters(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What must never fall."""
        endings = ("_total", "_count", "_sum", "_bucket")
        return {key: value for key, value in self.items() if key[0].endswith(endings)}


class Admin:
    """A client of one admin socket; a connection per request, as `curl --unix-socket` makes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, page: str) -> tuple[int, str]:
        """Fetch a page: HTTP status and text."""
        connection = _UnixConnection(self.path)
        try:
            connection.request("GET", page)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    def status(self) -> Json:
        code, text = self.get("/status.json")
        assert code == 200, text
        page = json.loads(text)
        assert isinstance(page, dict)
        return page

    def metrics(self) -> Metrics:
        code, text = self.get("/metrics")
        assert code == 200, text
        return Metrics(
            ((sample.name, frozenset(sample.labels.items())), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        )
