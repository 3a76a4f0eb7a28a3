"""StatsD: the metrics as counters' increments and gauges, in datagrams; with tags where DogStatsD is meant.

https://github.com/statsd/statsd/blob/master/docs/metric_types.md and
https://docs.datadoghq.com/developers/dogstatsd/datagram_shell. A name is that of /metrics. Labels are tags with
DogStatsD; StatsD has none, so there their values follow the name, after dots.
Can go wrong: nobody is there (`PushError`): increments that were not sent are sent with the next.
"""

import math
import re
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.samples import Sample
from statsd.client.base import StatsClientBase
from statsd.client.udp import Pipeline

from forkful.conf.pushing import StatsdAddress
from forkful.master.admin.push import PushError

_RESOLVED_FOR: Final = 60.0  # seconds for which a host's address is believed
_DATAGRAM: Final = 1432  # bytes that go through any Ethernet in one piece
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NO_TAG = re.compile(r"[|,\s]+")
_SUMS = ("_total", "_bucket", "_sum", "_count")  # what only grows, by the end of its name
_GROWING = {"counter", "histogram", "summary"}

Key = tuple[str, tuple[tuple[str, str], ...]]


class _Client(StatsClientBase):  # type: ignore[misc]  # untyped
    """The library's, over a connected socket that never blocks and says what is wrong."""

    _maxudpsize = _DATAGRAM

    def __init__(self, sock: socket.socket, prefix: str) -> None:
        self._sock = sock
        self._prefix = prefix

    def _send(self, data: str) -> None:
        self._sock.send(data.encode())

    def pipeline(self) -> "_Batch":
        return _Batch(self)


class _Batch(Pipeline):  # type: ignore[misc]  # untyped
    tags = ""

    def _prepare(self, stat: str, value: str, rate: float) -> Any:  # Any: the library's
        return f"{super()._prepare(stat, value, rate)}{self.tags}"


class Statsd:
    """One who collects, and what he has been told."""

    def __init__(self, host: str, prefix: str, tags: str, *, is_first: bool) -> None:
        self._host = host
        self._address = StatsdAddress.parse(host)
        self._prefix = prefix.rstrip(".")
        self._has_tags = bool(tags)
        self._tags = [tag.strip() for tag in tags.split(",") if tag.strip()]
        self._told: dict[Key, float] = {}
        self._counts_from_zero = is_first
        self._client: _Client | None = None
        self._sock: socket.socket | None = None
        self._resolved_at = -math.inf

    def __str__(self) -> str:
        return f"StatsD at {self._host}"

    def push(self, families: Sequence[Metric]) -> None:
        """Send what has grown, and how everything is. Raises `PushError`."""
        try:
            client = self._connected()
            for family in families:
                told = dict(self._send(client, family))
                self._told |= told
        except OSError as error:
            self.close()
            raise PushError(error.strerror or str(error)) from error
        self._counts_from_zero = True  # a new series has grown since

    def _send(self, client: _Client, family: Metric) -> Iterator[tuple[Key, float]]:
        """What has been told of counters once the whole family is sent."""
        told: list[tuple[Key, float]] = []
        with client.pipeline() as batch:
            for sample in family.samples:
                if sample.name.endswith("_created") or not math.isfinite(sample.value):
                    continue
                name, batch.tags = self._named(sample)
                if not (family.type in _GROWING and sample.name.endswith(_SUMS)):
                    batch.gauge(name, sample.value)
                    continue
                key = (sample.name, tuple(sorted(sample.labels.items())))
                before = self._told.get(key, 0.0 if self._counts_from_zero else sample.value)
                grown = sample.value - before if sample.value >= before else sample.value
                told.append((key, sample.value))
                if grown:
                    batch.incr(name, _short(grown))
        yield from told

    def _named(self, sample: Sample) -> tuple[str, str]:
        """Its name, and its tags as they follow the value."""
        if not self._has_tags:
            values = (_NO_NAME.sub("_", value).strip("_") or "none" for value in sample.labels.values())
            return ".".join([sample.name, *values]), ""
        labels = [f"{name}:{_NO_TAG.sub('_', value)}" for name, value in sample.labels.items()]
        tags = [*self._tags, *labels]
        return sample.name, f"|#{','.join(tags)}" if tags else ""

    def _connected(self) -> _Client:
        now = time.monotonic()
        if self._client is not None and now - self._resolved_at < _RESOLVED_FOR:
            return self._client
        self.close()
        self._resolved_at = now
        self._sock = self._connect()
        self._sock.setblocking(False)
        self._client = _Client(self._sock, self._prefix)
        return self._client

    def _connect(self) -> socket.socket:
        where = self._address
        if where.path:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            target: Any = where.path  # Any: as its family has it
        else:
            family, kind, proto, _, target = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_DGRAM)[0]
            sock = socket.socket(family, kind, proto)
        try:
            sock.connect(target)
        except OSError:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._client = self._sock = None


def _short(value: float) -> str:
    """As few digits as say it."""
    return f"{value:.10g}" if value != int(value) else str(int(value))
