"""The metrics: what the service exposes to Prometheus, each with its name, its help and where its figure comes from.

https://prometheus.io/docs/practices/naming/ and https://prometheus.io/docs/specs/om/open_metrics_spec/. A "request" is
one call of a handler: a connection, a datagram or an HTTP request. Imports prometheus_client (54 ms, 14 MB), so only
the admin child imports this, once somebody asks.
Can go wrong: the master does not answer (`NoAnswerError`); handlers' own metrics that cannot be written are left out.
"""

import gzip
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import field
from itertools import accumulate

from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from forkful.conf.light import dataclass
from forkful.master.admin import service_metrics
from forkful.master.admin.view import PoolView, View, Viewer, by_slot, in_phase
from forkful.master.model.fleet import Phase
from forkful.master.model.fleet import Reason as ExitReason
from forkful.worker.ipc import scoreboard
from forkful.worker.net.queue_wait import EVERY
from forkful.worker.net.steps import Reason, refusal_cell
from forkful.worker.net.tls_outcome import Outcome

log = logging.getLogger("forkful.admin")

Handlers = Callable[[Collection[int]], Iterable[Metric]]  # given the molds' pids, the handlers' own metrics
Sample = tuple[tuple[str, ...], float]  # label values after the pool's, and the figure
_LE = (*map(floatToGoString, scoreboard.BOUNDS), "+Inf")
_QUEUE_LE = (*map(floatToGoString, scoreboard.QUEUE_BOUNDS), "+Inf")


@dataclass(frozen=True, slots=True)
class Family:
    """A metric that each pool has: its samples are labelled with the pool's name and `labels`."""

    make: type[CounterMetricFamily] | type[GaugeMetricFamily]
    name: str
    help: str
    samples: Callable[[PoolView], Iterable[Sample]]
    labels: tuple[str, ...] = field(default=())


def _one(figure: Callable[[PoolView], float]) -> Callable[[PoolView], Iterable[Sample]]:
    return lambda view: (((), figure(view)),)


def _workers(view: PoolView) -> Iterator[Sample]:
    for phase in Phase:
        yield (phase.name.lower(),), in_phase(view, phase.name)


def _exits(view: PoolView) -> Iterator[Sample]:
    exits = view.facts["exits"]
    for reason in {**{reason.value: 0 for reason in ExitReason}, **exits}:  # from 0, so that rate() sees the first one
        yield (reason,), exits.get(reason, 0)


def _taken(kind: str) -> Callable[[PoolView], Iterable[Sample]]:
    def samples(view: PoolView) -> Iterator[Sample]:
        for listener in view.facts["listeners"]:
            if listener["kind"] == kind:
                yield (listener["address"],), view.cell(scoreboard.ACCEPTED + listener["index"])

    return samples


def _refusals(view: PoolView) -> Iterator[Sample]:
    for listener in view.facts["listeners"]:
        for reason in Reason:  # from 0, as above
            figure = view.cell(refusal_cell(listener["index"], reason))
            yield (listener["address"], reason.name.lower()), figure


def _handshakes(view: PoolView) -> Iterator[Sample]:
    for outcome in Outcome:  # from 0, as above
        yield (outcome.name.lower(),), view.cell(scoreboard.HANDSHAKES + outcome)


def _expiries(view: PoolView) -> Iterator[Sample]:
    for listener in view.facts["listeners"]:
        for found in listener["certificates"]:
            yield (listener["address"], found["name"]), found["expires"]


def _queues(view: PoolView) -> Iterator[Sample]:
    return (((each["address"],), each["queue"]) for each in view.facts["listeners"] if each["queue"] is not None)


def _limits(view: PoolView) -> Iterator[Sample]:
    return (((each["address"],), each["limit"]) for each in view.facts["listeners"] if each["limit"] is not None)


def _drops(view: PoolView) -> Iterator[Sample]:
    return (((each["address"],), each["drops"]) for each in view.facts["listeners"] if each["drops"] is not None)


def _drops_by_slot(view: PoolView) -> Iterator[Sample]:
    for each in view.facts["listeners"]:
        for slot, drops in enumerate(each.get("slots", ())):
            yield (each["address"], str(slot)), drops


_GAUGE, _COUNTER = GaugeMetricFamily, CounterMetricFamily
_LISTENER = ("listener",)

FAMILIES = (
    Family(_GAUGE, "workers", "Workers by state.", _workers, ("state",)),
    Family(_GAUGE, "workers_target", "Workers that the pool should have.", _one(lambda v: v.facts["target"])),
    Family(_COUNTER, "worker_starts", "Workers started.", _one(lambda v: v.facts["starts"])),
    Family(_COUNTER, "worker_exits", "Workers that have left, by reason.", _exits, ("reason",)),
    Family(
        _COUNTER,
        "worker_deaths",
        "Workers that died: killed, crashed, stuck or out of memory. Not those who were told to leave, or were "
        "tried in a reload that failed.",
        _one(lambda v: v.facts.get("deaths", 0)),
    ),
    Family(
        _GAUGE,
        "pool_throttled_seconds",
        "Seconds until the next start of a worker, delayed because workers died early. 0: not delayed.",
        _one(lambda v: v.facts["throttled_for"]),
    ),
    Family(
        _GAUGE,
        "worker_resident_memory_bytes",
        "Resident memory of the worker in a slot; of two workers while one replaces the other.",
        lambda v: (((str(slot),), size) for slot, size in by_slot(v).items()),
        ("slot",),
    ),
    Family(
        _COUNTER,
        "worker_cpu_seconds",
        "CPU time, user and system, of all workers, past ones included.",
        _one(lambda v: v.cpu_seconds),
    ),
    Family(_COUNTER, "connections_accepted", "Connections taken from a stream listener.", _taken("stream"), _LISTENER),
    Family(_COUNTER, "datagrams_received", "Datagrams taken from a datagram listener.", _taken("datagram"), _LISTENER),
    Family(
        _COUNTER,
        "datagrams_dropped",
        "Datagrams that the kernel dropped because the buffer was full.",
        _drops,
        _LISTENER,
    ),
    Family(
        _COUNTER,
        "slot_datagrams_dropped",
        "With affinity: the same, by the slot whose buffer was full.",
        _drops_by_slot,
        (*_LISTENER, "slot"),
    ),
    Family(
        _COUNTER,
        "refused",
        "Connections and datagrams that never reached the handler, by reason.",
        _refusals,
        ("listener", "reason"),
    ),
    Family(
        _COUNTER,
        "peers_moved",
        "With affinity: the shares of all peers that another worker got, as the number of workers changed, added up.",
        _one(lambda v: v.facts.get("peers_moved", 0.0)),
    ),
    Family(
        _COUNTER,
        "hook_failures",
        "Functions of the setting hooks that failed, by moment. Of pools that have such functions.",
        lambda v: (((hook,), count) for hook, count in v.facts.get("failed_hooks", {}).items()),
        ("hook",),
    ),
    Family(
        _COUNTER,
        "uncounted_arrivals",
        "Connections and datagrams let in although max_connections_per_ip or max_rate_per_ip could not be asked: there "
        "was no room to count another address.",
        _one(lambda v: v.cell(scoreboard.UNCOUNTED)),
    ),
    Family(
        _COUNTER,
        "tls_handshakes",
        "TLS handshakes by how they ended. resumed: with a session that the client knew; ok: whole ones.",
        _handshakes,
        ("result",),
    ),
    Family(
        _GAUGE,
        "tls_certificate_expiry_timestamp_seconds",
        "Until when a listener's certificate is valid.",
        _expiries,
        ("listener", "name"),
    ),
    Family(_GAUGE, "listen_queue_length", "Connections waiting to be accepted.", _queues, _LISTENER),
    Family(_GAUGE, "listen_queue_limit", "How many connections may wait to be accepted.", _limits, _LISTENER),
    Family(_GAUGE, "connections_active", "Connections open now.", _one(lambda v: v.totals.connections)),
    Family(
        _COUNTER,
        "requests",
        "Finished calls of the handler, by outcome. lost: the worker died during the call.",
        lambda v: (((outcome,), count) for outcome, count in v.requests.items()),
        ("outcome",),
    ),
    Family(
        _COUNTER,
        "http_responses",
        "HTTP answers by the class of their status. 100 and 103, which precede an answer, are not counted.",
        lambda v: (((code,), count) for code, count in v.responses.items()),
        ("code",),
    ),
    Family(_GAUGE, "requests_in_flight", "Calls of the handler in progress.", _one(lambda v: v.totals.in_flight)),
    Family(
        _GAUGE,
        "oldest_request_seconds",
        "Age of the oldest call of the handler in progress; 0: none.",
        _one(lambda v: v.oldest_seconds),
    ),
    Family(
        _COUNTER,
        "busy_seconds",
        "Time that lanes were busy with calls of the handler, also with those that go on, and event loops with work.",
        _one(lambda v: v.busy_seconds),
    ),
    Family(
        _COUNTER,
        "loop_busy_seconds",
        "Time that event loops had work or were blocked, measured every two seconds. A loop that only waits is idle.",
        _one(lambda v: v.seconds(scoreboard.LOOP_BUSY)),
    ),
    Family(_GAUGE, "lanes", "Threads that can serve, and event loops.", _one(lambda v: v.totals.lanes)),
    Family(
        _GAUGE,
        "lanes_busy",
        "Threads that serve now. An event loop does not count: it has room for more.",
        _one(lambda v: v.totals.lanes_busy),
    ),
    Family(
        _COUNTER,
        "received_bytes",
        "Bytes received, counted at the latest when a connection closes; on Unix sockets for HTTP only.",
        _one(lambda v: v.cell(scoreboard.RECEIVED)),
    ),
    Family(
        _COUNTER,
        "sent_bytes",
        "Bytes sent on connections, counted at the latest when a connection closes; on Unix sockets for HTTP only.",
        _one(lambda v: v.cell(scoreboard.SENT)),
    ),
)


def _of_the_pools(view: View) -> Iterator[Metric]:
    for each in FAMILIES:
        family = each.make(f"forkful_{each.name}", each.help, labels=("pool", *each.labels))
        for pool in view.pools:
            for values, figure in each.samples(pool):
                family.add_metric((pool.facts["name"], *values), figure)
        yield family
    yield _durations(view)
    yield _queue_waits(view)


def _durations(view: View) -> Metric:
    family = HistogramMetricFamily(
        "forkful_request_duration_seconds", "Duration of calls of the handler.", labels=("pool",)
    )
    for pool in view.pools:
        family.add_metric((pool.facts["name"],), _summed(_LE, pool.buckets), pool.duration_seconds)
    return family


def _queue_waits(view: View) -> Metric:
    text = (
        f"How long one connection or datagram in {EVERY} waited in the kernel before it was taken: to about 10 ms for "
        "TCP, where what the client sent last counts, and exact for UDP; Unix sockets do not tell."
    )
    family = HistogramMetricFamily("forkful_queue_wait_seconds", text, labels=("pool",))
    for pool in view.pools:
        waits = pool.totals.cells[scoreboard.QUEUE_BUCKETS : scoreboard.QUEUE_WAITED]
        family.add_metric((pool.facts["name"],), _summed(_QUEUE_LE, waits), pool.seconds(scoreboard.QUEUE_WAITED))
    return family


def _summed(bounds: Sequence[str], counts: Sequence[int]) -> list[tuple[str, float]]:
    """A histogram's buckets as Prometheus has them: each with all that is below."""
    return [(le, float(total)) for le, total in zip(bounds, accumulate(counts), strict=True)]


class ServiceCollector(Collector):
    """One scrape: ours, the master's process, then the handlers' own, except those that take a name of ours."""

    def __init__(self, view: View, handlers: Handlers | None) -> None:
        self._view = view
        self._handlers = handlers

    def collect(self) -> Iterator[Metric]:
        ours = [*service_metrics.collect(self._view), *_of_the_pools(self._view), *self._process()]
        yield from ours
        if self._handlers:
            taken = {metric.name for metric in ours}
            molds = [mold["pid"] for mold in self._view.facts["molds"]]
            yield from (metric for metric in self._handlers(molds) if metric.name not in taken)

    def _process(self) -> Iterable[Metric]:
        try:
            return list(ProcessCollector(pid=lambda: self._view.facts["pid"], registry=None).collect())
        except (OSError, ValueError):  # an unlimited number of descriptors is not a number to it
            return ()


@dataclass(frozen=True, slots=True)
class Page:
    """The page as it is sent."""

    body: bytes
    content_type: str
    encoding: str = ""


class Exposition:
    """Makes the page of /metrics. `handlers` gives the handlers' own metrics; None where there are none."""

    def __init__(self, viewer: Viewer, handlers: Handlers | None = None) -> None:
        self._viewer = viewer
        self._handlers = handlers

    def page(self, accept: str = "", accept_encoding: str = "") -> Page:
        """Answer a scrape; `accept` chooses between Prometheus' text and OpenMetrics. Raise `NoAnswerError`."""
        encode, content_type = _encoder(accept)
        view = self._viewer.take()
        try:
            body = encode(ServiceCollector(view, self._handlers))
        except Exception:  # whatever a handler has put into its files, ours are still to be seen
            if self._handlers is None:
                raise
            log.warning("cannot show the handlers' own metrics", exc_info=True)
            body = encode(ServiceCollector(view, None))
        if "gzip" in (part.partition(";")[0].strip() for part in accept_encoding.lower().split(",")):
            return Page(gzip.compress(body, compresslevel=1), content_type, "gzip")
        return Page(body, content_type)


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is no version: its bug, and still an honest client's header
        return choose_encoder("")
