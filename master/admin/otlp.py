"""OTLP: the metrics as OpenTelemetry has them, in one request over HTTP at each turn.

https://opentelemetry.io/docs/specs/otlp/. Names, labels and figures are those of /metrics: what only grows
is a sum, histograms have their bounds. Headers, certificates and compression are said by the library's variables.
Can go wrong: nobody is there, or does not want it (`PushError`); the next turn tells the whole state again.
"""

import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as OtlpMetric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric
from prometheus_client.samples import Sample

from forkful.master.admin.push import PushError

_PATIENCE: Final = 4  # seconds, less than until the next turn
_PATH: Final = "/v1/metrics"

Labels = tuple[tuple[str, str], ...]


class Otlp:
    """One who collects."""

    def __init__(self, endpoint: str, service: str) -> None:
        self._endpoint = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + _PATH
        self._exporter = OTLPMetricExporter(endpoint=self._endpoint, timeout=_PATIENCE)
        self._resource = Resource.create({"service.name": service})
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what it says at each turn, we say once

    def __str__(self) -> str:
        return f"OTLP at {self._endpoint}"

    def close(self) -> None:
        self._exporter.shutdown()

    def push(self, families: Sequence[Metric]) -> None:
        """Send how everything is. Raises `PushError`."""
        now = time.time_ns()
        metrics = [metric for family in families for metric in _translated(family, now)]
        scope = ScopeMetrics(InstrumentationScope("forkful"), metrics, "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        if self._exporter.export(data, timeout_millis=_PATIENCE * 1000) is not MetricExportResult.SUCCESS:
            raise PushError("it does not answer, or does not want them")


def _translated(family: Metric, now: int) -> Iterator[OtlpMetric]:
    """A family of Prometheus' as metrics of OpenTelemetry's."""
    if family.type == "histogram":
        points = list(_histograms(family.samples, now))
        yield OtlpMetric(family.name, family.documentation, "", Histogram(points, AggregationTemporality.CUMULATIVE))
        return
    by_name: dict[str, list[NumberDataPoint]] = {}
    for sample in family.samples:
        if not sample.name.endswith("_created") and math.isfinite(sample.value):
            point = NumberDataPoint(sample.labels, 0, now, float(sample.value))
            by_name.setdefault(sample.name, []).append(point)
    for name, numbers in by_name.items():
        grows = family.type in {"counter", "summary"} and name.endswith(("_total", "_sum", "_count"))
        kind = Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=True) if grows else Gauge(numbers)
        yield OtlpMetric(name, family.documentation, "", kind)


def _histograms(samples: Iterable[Sample], now: int) -> Iterator[HistogramDataPoint]:
    """Each with the counts between its bounds, where Prometheus has all that is below."""
    below: dict[Labels, list[tuple[float, int]]] = {}
    sums: dict[Labels, float] = {}
    for sample in samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        if "le" in sample.labels:
            below.setdefault(labels, []).append((float(sample.labels["le"]), int(sample.value)))
        elif sample.name.endswith("_sum"):
            sums[labels] = sample.value
    for labels, found in below.items():
        found.sort()
        totals = [total for _, total in found]
        counts = [total - before for total, before in zip(totals, [0, *totals], strict=False)]
        bounds = [bound for bound, _ in found if math.isfinite(bound)]
        nothing = (math.inf, -math.inf)  # no least and no most is known
        yield HistogramDataPoint(dict(labels), 0, now, totals[-1], sums.get(labels, 0.0), counts, bounds, *nothing)
