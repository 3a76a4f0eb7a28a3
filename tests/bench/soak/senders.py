"""Who tells the monitor how they are: `statsd`, the standard library's syslog, `logger`, and Graphite over TCP."""

import logging
import logging.handlers
import re
import select
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

import requests
import statsd

from tests.bench.soak.applications import Crew, pool_of
from tests.bench.soak.ledger import Balance, Ledger
from tests.kit.admin import Metrics
from tests.kit.door import Door, host_port

NAME = "monitor"
_PAGE = 10.0  # seconds


class Senders:
    """Each datagram or line is one, and is counted here once it was sent."""

    def __init__(self, ledger: Ledger) -> None:
        self._crew = Crew(ledger, NAME)
        self._ledger = ledger
        self._line: socket.socket | None = None
        self._sent = Counter[str]()
        self._lock = threading.Lock()
        self._ended = 0  # connections of lines: what was on its way then may be in nobody's hands

    def start(self, doors: Mapping[str, list[Door]]) -> None:
        (counts,), (_, log), (lines, _), (page,) = (doors[name] for name in ("statsd", "datagrams", "lines", "page"))
        self._page = f"http://{host_port(page)}/metrics"
        self._lines = lines
        for _ in range(3):
            client = statsd.StatsClient(*_where(counts), prefix="soak")
            self._crew.send(lambda client=client: self._tell("statsd", client.incr, "sent"), 40)  # type: ignore[misc]  # of a lambda's default
        handler = logging.handlers.SysLogHandler(_where(log))
        handler.setFormatter(logging.Formatter("soak: %(message)s"))
        record = logging.LogRecord("soak", logging.ERROR, "", 0, "it goes on", None, None)
        self._crew.send(lambda: self._tell("syslog", handler.emit, record), 10)
        if logger := shutil.which("logger"):
            host, _, port = host_port(log).rpartition(":")
            command = [logger, "-n", host, "-P", port, "-d", "-t", "soak", "it goes on"]
            self._crew.send(lambda: self._tell("syslog", subprocess.run, command), 0.2)
        self._crew.send(self._say_line, 10)

    def _tell(self, what: str, tell: object, *arguments: object) -> None:
        assert callable(tell)
        tell(*arguments)
        self._count(what)

    def _count(self, what: str) -> None:
        with self._lock:
            self._sent[what] += 1
        self._crew.count(f"{what} sent")

    def _say_line(self) -> None:
        """As who sends to Graphite: on one connection, which is made anew when it has ended."""
        if self._line is not None and _has_ended(self._line):
            self._line.close()
            self._line = None
            self._ended += 1
            self._crew.notice("told to come again")
        try:
            if self._line is None:
                self._line = self._lines.connect(10)
            self._line.sendall(b"soak.load 0.5\n")
        except OSError as error:
            self._crew.notice("connection torn", error)
            self._line, self._ended = None, self._ended + 1
            return
        self._count("graphite")

    def stop(self) -> None:
        self._crew.stop()
        if self._line is not None:
            self._line.close()

    def balances(self, metrics: Metrics) -> Iterator[Balance]:
        text = requests.get(self._page, timeout=_PAGE).text
        kills = self._ledger.done_to(NAME, "worker killed")
        dropped = {
            pool: int(metrics.sum("forkful_datagrams_dropped_total", pool=pool_of(NAME, pool)))
            for pool in ("statsd", "datagrams")
        }
        in_hand = "one in the hands of each worker that was killed"
        for what, name, pool in (
            ("statsd", "soak_sent_total", "statsd"),
            ("syslog", "syslog_messages_total", "datagrams"),
        ):
            counted = _sum(text, name) + dropped[pool]
            note = f" ({dropped[pool]} dropped by the kernel)" if dropped[pool] else ""
            yield Balance(NAME, f"{what}, and datagrams dropped", self._sent[what], counted, kills, in_hand + note)
        at_most = 3 * kills + self._ended
        counted = _sum(text, 'monitor_lines_total{protocol="graphite"}')
        yield Balance(NAME, "lines of Graphite", self._sent["graphite"], counted, at_most, "on connections that ended")


def _where(door: Door) -> tuple[str, int]:
    host, _, port = host_port(door).rpartition(":")
    return host, int(port)


def _has_ended(sock: socket.socket) -> bool:
    """Nothing is said to us: whatever comes is the end."""
    ready, _, _ = select.select([sock], [], [], 0)
    return bool(ready)


def _sum(text: str, name: str) -> int:
    found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return int(sum(float(number) for number in found))
