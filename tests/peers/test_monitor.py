"""The monitor with real clients: the `statsd` package, `logger`, collectd, a browser; exact whatever befalls it."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any
from urllib.request import urlopen

import pytest
import statsd
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Serve
from tests.kit.admin import Metrics
from tests.kit.door import Door, door_of
from tests.peers.browser import Browser
from tests.peers.neighbour import find

Doors = Callable[[str], Door]
MODULE = "forkful.handlers.examples.monitor"


class Monitor:
    """A running one, by its addresses."""

    def __init__(
        self, serve: Serve, doors: Doors, folder: Path, *, rules: str = "", most: int = 0, buffer: str = "1M"
    ) -> None:
        self.lines, self.syslog, self.page = doors("tcp"), doors("udp"), doors("tcp")
        (folder / "rules.toml").write_text(rules or "alert = []")
        config = f"""
            [pool.statsd]
            handler = "{MODULE}:collect"
            bind = ["udp://127.0.0.1:0"]
            workers = 2
            affinity = "peer"
            receive_buffer = "{buffer}"
            [pool.syslog]
            handler = "{MODULE}:collect"
            bind = ["{self.syslog.url}"]
            [pool.lines]
            handler = "{MODULE}:Lines"
            bind = ["{self.lines.url}"]
            threads = 8
            timeout = 0
            [pool.page]
            handler = "{MODULE}:page"
            bind = ["{self.page.url}"]
        """
        environment = {
            "MONITOR_RULES": str(folder / "rules.toml"),
            "MONITOR_ADMIN": str(folder / "server1" / "admin.sock"),
            "MONITOR_SERIES_OF_ONE": str(most),
        }
        self.server = serve(binds=[self.lines, self.syslog, self.page], config=config, env=environment)
        self.statsd = door_of(self.server.listeners("statsd")[0])
        self.url = "http://{}:{}/".format(*self.page.address)

    @contextmanager
    def client(self) -> Iterator[Any]:  # Any: of a package without types
        client = statsd.StatsClient(*self.statsd.address)
        with closing(client):
            yield client

    def metrics(self) -> Metrics:
        """What Prometheus would read."""
        with urlopen(f"{self.url}metrics", timeout=20) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = [sample for family in families for sample in family.samples]
            return Metrics({(each.name, frozenset(each.labels.items())): each.value for each in samples})

    def wait_for(self, name: str, value: float, **labels: str) -> None:
        self.server.wait_until(
            lambda: self.metrics().sum(name, **labels) == value, what=f"{name} {value}; it is {self.metrics()}"
        )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def test_real_clients_are_counted_exactly_through_a_kill_a_reload_and_an_upgrade(
    serve: Serve, doors: Doors, tmp_path: Path, stack: ExitStack
) -> None:
    monitor = Monitor(serve, doors, tmp_path)
    server = monitor.server
    clients = [stack.enter_context(monitor.client()) for _ in range(8)]
    fates: list[Callable[[], object]] = [
        lambda: server.kill(server.workers("statsd")[0]),
        server.hup,
        server.usr2,
        list,
    ]
    for number, befalls in enumerate(fates, 1):
        stays = monitor.lines.connect()
        stays.sendall(b"plant.power;site=a %d -1\nplant.last %d -1" % (number, number))
        befalls()
        stays.shutdown(socket.SHUT_WR)
        assert stays.recv(1) == b""
        stays.close()
        for client in clients:
            for _ in range(50):
                client.incr("hits", 2)
                client.timing("took", 120)
            client.gauge("depth", 3, delta=True)
            with client.pipeline() as packed:  # both in one datagram
                packed.incr("packed")
                packed.incr("packed")
        for kind, arguments in (
            ("udp", ["-d"]),
            ("udp", ["-d", "--rfc3164"]),
            ("tcp", ["-T"]),
            ("tcp", ["-T", "--octet-count"]),
        ):
            host, port = map(str, (monitor.syslog if kind == "udp" else monitor.lines).address)
            where = ["-n", host, "-P", port, "-p", "local0.err", "-t", "app"]
            subprocess.run([find("logger"), *where, *arguments, "a message"], check=True, timeout=20)
        monitor.wait_for("hits_total", number * 8 * 50 * 2)  # a worker that is killed has nothing in hand
        monitor.wait_for("took_seconds_count", number * 8 * 50)
        monitor.wait_for("packed_total", number * 8 * 2)
        monitor.wait_for("depth", number * 8 * 3)
        monitor.wait_for("syslog_messages_total", number * 4, app="app", facility="local0", severity="err")
        monitor.wait_for("plant_power", number, site="a")
        monitor.wait_for("plant_last", number)
    assert monitor.metrics().sum("monitor_refused_total") == 0
    assert server.metrics().sum("forkful_datagrams_dropped_total") == 0


def test_what_the_kernel_drops_is_all_that_is_missing_and_is_shown(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    monitor = Monitor(serve, doors, tmp_path, buffer="8K")
    sent, workers = 3000, monitor.server.workers("statsd").values()
    with monitor.statsd.connect() as client:
        for pid in workers:  # so that the buffer is full, however fast they are
            os.kill(pid, SIGSTOP)
        for _ in range(sent):
            client.send(b"burst:1|c")
        for pid in workers:
            os.kill(pid, SIGCONT)

    def balance() -> bool:
        metrics = monitor.metrics()
        return metrics.sum("burst_total") + metrics.sum("monitor_kernel_drops_total") == sent

    monitor.server.wait_until(balance, what="all that was sent, counted or dropped")
    assert monitor.metrics().sum("monitor_kernel_drops_total") > 0


def test_collectd_writes_to_it(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    program = find("collectd", package="collectd-core")
    monitor = Monitor(serve, doors, tmp_path)
    host, port = map(str, monitor.lines.address)
    settings = tmp_path / "collectd.conf"
    settings.write_text(f"""
        Hostname "here"
        FQDNLookup false
        BaseDir "{tmp_path}"
        PIDFile "{tmp_path}/collectd.pid"
        Interval 1
        LoadPlugin load
        LoadPlugin write_graphite
        <Plugin write_graphite>
          <Node "monitor">
            Host "{host}"
            Port "{port}"
            Protocol "tcp"
          </Node>
        </Plugin>
    """)
    with subprocess.Popen([program, "-f", "-C", settings], stdin=subprocess.DEVNULL) as collectd:
        try:
            monitor.server.wait_until(lambda: "here_load_load_shortterm" in str(monitor.metrics()), what="its load")
        finally:
            collectd.terminate()
    assert monitor.metrics().sum("monitor_refused_total") == 0
    assert monitor.metrics().sum("monitor_lines_total", protocol="graphite") >= 3


def test_the_page_is_live_and_alerts(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    rules = """
        [[alert]]
        name = "Too hot"
        series = "temp*"
        above = 90
    """
    monitor = Monitor(serve, doors, tmp_path, rules=rules, most=20)
    with monitor.client() as client, Browser(tmp_path) as browser, browser.page() as page:
        client.gauge("temp", 70)
        for number in range(30):
            client.incr(f"hits,{number}")
        page.open(monitor.url)

        def shows(what: str) -> None:
            monitor.server.wait_until(lambda: page.run(f"return {what}"), what=what)

        shows("document.querySelectorAll('figure').length > 20")
        shows("document.querySelector('#family-temp b').textContent === '70'")
        assert page.run("return document.querySelectorAll('#alerts li').length") == 0
        client.gauge("temp", 95)
        shows("document.querySelector('#alerts li')?.textContent.startsWith('Too hot: temp is 95')")
        assert monitor.metrics().sum("monitor_alerts", alert="Too hot") == 1
        points = page.run("return history.get('temp').length")
        monitor.server.hup()
        shows(f"history.get('temp').length > {points}")  # the browser is back, and what was seen before is there
        assert page.complaints() == []
        client.gauge("temp", 20)
        shows("document.querySelectorAll('#alerts li').length === 0")


def test_rules_that_cannot_be_fail_a_reload_and_the_old_ones_stay(serve: Serve, doors: Doors, tmp_path: Path) -> None:
    monitor = Monitor(serve, doors, tmp_path)
    monitor.server.may_log_tracebacks = True
    (tmp_path / "rules.toml").write_text('[[alert]]\nname = "x"\nseries = "y"\nover = 3')
    answer = monitor.server.reload()

    assert answer.returncode == 1
    assert "over" in answer.stderr
    monitor.wait_for("monitor_lines_total", 0)
