"""Metrics that are pushed are those that are scraped."""

import math
from collections.abc import Callable
from contextlib import closing

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Serve
from tests.kit.collectors import Key, StatsdReceiver, collecting, figures
from tests.kit.door import Door
from tests.kit.server import Server

#: What goes on while nothing happens, or is a time that a scrape itself takes.
MOVING = ("process_", "forkful_worker_cpu_seconds", "forkful_worker_resident_memory_bytes")


def scraped(server: Server) -> tuple[dict[Key, float], dict[Key, float]]:
    """Counters that have grown, and gauges, but for those that move by themselves."""
    counters: dict[Key, float] = {}
    gauges: dict[Key, float] = {}
    for family in text_string_to_metric_families(server.admin.get("/metrics")[1]):
        for sample in family.samples:
            if sample.name.startswith(MOVING) or not math.isfinite(sample.value):
                continue
            labels = frozenset((name, value.replace(" ", "_")) for name, value in sample.labels.items())
            if family.type in {"counter", "histogram"}:
                counters[sample.name, labels] = sample.value
            else:
                gauges[sample.name, labels] = sample.value
    return {key: value for key, value in counters.items() if value}, gauges


def test_what_is_pushed_is_what_is_scraped(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    with closing(StatsdReceiver()) as statsd, collecting() as otlp:
        config = (
            f'[master]\nstatsd_host = "{statsd.host}"\ndogstatsd_tags = "env:test"\n'
            f'otlp_endpoint = "http://127.0.0.1:{otlp.server_port}"\n'
            f'[pool.main]\nhandler = "classic:EchoHandler"\nbind = "{door.url}"\nworkers = 2\n'
        )
        server = serve(config=config, binds=[door])
        for _ in range(20):
            assert door.ask(b"x") == b"x"
        server.wait_until(lambda: server.metrics().sum("forkful_requests_total") == 20, what="the count of all")
        counters, gauges = scraped(server)
        own = ("env", "test")

        def told() -> bool:
            statsd.hear()
            found = {key: statsd.counters.get((key[0], key[1] | {own})) for key in counters}
            return all(value is not None and math.isclose(value, counters[key]) for key, value in found.items())

        server.wait_until(told, what="the same counters", within=30.0)
        known = {(name, labels - {own}) for name, labels in statsd.counters if not name.startswith(MOVING)}
        assert known == {*counters}
        found = {(name, labels - {own}): value for (name, labels), value in statsd.gauges.items()}
        assert {key: value for key, value in found.items() if not key[0].startswith(MOVING)} == gauges
        _, last = otlp.taken[-1]
        metrics = figures(last)
        (requests,) = [p for p in metrics["forkful_requests_total"].sum.data_points if p.as_double]
        assert requests.as_double == 20
        assert {name for name, _ in gauges} <= metrics.keys()
