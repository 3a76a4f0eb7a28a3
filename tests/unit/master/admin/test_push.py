"""What is pushed to StatsD, DogStatsD and over OTLP: names and values as on /metrics, and nobody there is no harm."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from forkful.conf.pushing import StatsdAddress
from forkful.master.admin.otlp import Otlp
from forkful.master.admin.push import PushError
from forkful.master.admin.statsd import Statsd
from tests.kit.collectors import Collector, collecting, figures


def families(requests: float, open_now: float = -2.0) -> list[Metric]:
    counter = CounterMetricFamily("forkful_requests", "x", labels=["pool", "outcome"])
    counter.add_metric(["chat", "ok, really"], requests)
    counter.add_metric(["chat", "never"], 0.0)
    gauge = GaugeMetricFamily("forkful_open", "x", labels=["pool"])
    gauge.add_metric(["chat"], open_now)
    gauge.add_metric(["nobody knows"], float("nan"))
    histogram = HistogramMetricFamily("forkful_seconds", "x", labels=["pool"])
    histogram.add_metric(["chat"], [("0.5", requests - 1), ("2.0", requests), ("+Inf", requests)], 1.25)
    return [counter, gauge, histogram]


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def heard(sock: socket.socket) -> list[str]:
    found: list[str] = []
    while True:
        try:
            found += sock.recv(65_536).decode().splitlines()
        except BlockingIOError:
            return sorted(found)


SINKS = contextlib.ExitStack()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    SINKS.close()


def statsd_at(host: str, prefix: str = "", tags: str = "", *, is_first: bool = True) -> Statsd:
    made = Statsd(host, prefix, tags, is_first=is_first)
    SINKS.callback(made.close)
    return made


def otlp_at(endpoint: str) -> Otlp:
    made = Otlp(endpoint, "chat")
    SINKS.callback(made.close)
    return made


def of(sock: socket.socket, prefix: str = "", tags: str = "", *, is_first: bool = True) -> Statsd:
    return statsd_at(f"127.0.0.1:{sock.getsockname()[1]}", prefix, tags, is_first=is_first)


def test_statsd_is_told_what_has_grown_and_how_everything_is(receiver: socket.socket) -> None:
    statsd = of(receiver, "prod.")
    statsd.push(families(3))
    assert heard(receiver) == [
        "prod.forkful_open.chat:-2.0|g",
        "prod.forkful_open.chat:0|g",
        "prod.forkful_requests_total.chat.ok_really:3|c",
        "prod.forkful_seconds_bucket.chat.0_5:2|c",
        "prod.forkful_seconds_bucket.chat.2_0:3|c",
        "prod.forkful_seconds_bucket.chat.Inf:3|c",
        "prod.forkful_seconds_count.chat:3|c",
        "prod.forkful_seconds_sum.chat:1.25|c",
    ]
    statsd.push(families(5, 7.5))
    assert heard(receiver)[:2] == ["prod.forkful_open.chat:7.5|g", "prod.forkful_requests_total.chat.ok_really:2|c"]


def test_dogstatsd_has_labels_as_tags(receiver: socket.socket) -> None:
    of(receiver, tags="env:prod,team:web").push(families(3, 1.0))
    assert heard(receiver)[:2] == [
        "forkful_open:1.0|g|#env:prod,team:web,pool:chat",
        "forkful_requests_total:3|c|#env:prod,team:web,pool:chat,outcome:ok_really",
    ]


def test_an_admin_child_that_was_replaced_tells_nothing_twice(receiver: socket.socket) -> None:
    statsd = of(receiver, is_first=False)
    statsd.push(families(1000, 1.0))
    assert heard(receiver) == ["forkful_open.chat:1.0|g"]
    statsd.push(families(1002, 1.0))
    assert "forkful_requests_total.chat.ok_really:2|c" in heard(receiver)


def test_a_datagram_fits_through_any_network(receiver: socket.socket) -> None:
    gauge = GaugeMetricFamily("forkful_open", "x", labels=["pool"])
    for number in range(300):
        gauge.add_metric([f"pool-{number}"], 1.0)
    of(receiver).push([gauge])
    sizes = []
    while True:
        try:
            sizes.append(len(receiver.recv(65_536)))
        except BlockingIOError:
            break
    assert len(sizes) > 1
    assert max(sizes) <= 1432


def test_who_goes_away_is_told_and_told_everything_when_he_is_back(tmp_path: Path) -> None:
    path = tmp_path / "dsd.socket"
    statsd = statsd_at(f"unix://{path}")
    with pytest.raises(PushError, match="No such file"):
        statsd.push(families(3))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.setblocking(False)
        statsd.push(families(4))
        assert "forkful_requests_total.chat.ok_really:4|c" in heard(sock)
    with pytest.raises(PushError):
        statsd.push(families(5))


def test_a_host_that_does_not_resolve_is_no_harm() -> None:
    with pytest.raises(PushError):
        statsd_at("no-such-host.invalid:8125").push(families(1))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:8125", StatsdAddress("localhost")),
        ("10.0.0.1", StatsdAddress("10.0.0.1")),
        ("[::1]:9", StatsdAddress("::1", 9)),
        ("udp://stats:9", StatsdAddress("stats", 9)),
        ("unix:/run/dsd", StatsdAddress(path="/run/dsd")),
        ("unix:///run/dsd", StatsdAddress(path="/run/dsd")),
    ],
)
def test_addresses_are_written_as_gunicorn_has_them(text: str, address: StatsdAddress) -> None:
    assert StatsdAddress.parse(text) == address


@pytest.mark.parametrize("text", ["localhost:", "a:b", "localhost:70000", "::1", "http://x:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no host"):
        StatsdAddress.parse(text)


# -- OTLP --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def test_otlp_has_the_same_names_and_values(collector: Collector) -> None:
    otlp_at(f"http://127.0.0.1:{collector.server_port}").push(families(3))
    ((path, request),) = collector.taken
    assert path == "/v1/metrics"
    (service,) = [a for a in request.resource_metrics[0].resource.attributes if a.key == "service.name"]
    assert service.value.string_value == "chat"
    found = figures(request)
    assert found.keys() == {"forkful_requests_total", "forkful_open", "forkful_seconds"}
    total = found["forkful_requests_total"].sum
    assert (total.is_monotonic, [point.as_double for point in total.data_points]) == (True, [3.0, 0.0])
    assert {a.key: a.value.string_value for a in total.data_points[0].attributes} == {
        "pool": "chat",
        "outcome": "ok, really",
    }
    assert [point.as_double for point in found["forkful_open"].gauge.data_points] == [-2.0]
    (point,) = found["forkful_seconds"].histogram.data_points
    assert (list(point.bucket_counts), list(point.explicit_bounds)) == ([2, 1, 0], [0.5, 2.0])
    assert (point.count, point.sum) == (3, 1.25)


def test_otlp_that_is_refused_or_not_there_is_an_error(collector: Collector) -> None:
    otlp = otlp_at(f"http://127.0.0.1:{collector.server_port}/v1/metrics")
    collector.status = 400
    with pytest.raises(PushError):
        otlp.push(families(3))
    collector.status = 200
    otlp.push(families(4))
