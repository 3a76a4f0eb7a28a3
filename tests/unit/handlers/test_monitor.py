"""The monitor's lines, as a table: what each adds to which series, and which are refused for what reason."""

from pathlib import Path

import pytest

from forkful.handlers import Tally
from forkful.handlers.examples.monitor.collector import Collector, Lines
from forkful.handlers.examples.monitor.store import MEMBERS, Store

FIVE = '{app="su",facility="auth",host="mymachine.example.com",severity="crit"}'


def collector(folder: Path, most: int = 1000, most_of_one: int = 100) -> Collector:
    return Collector(Store(Tally("monitor", folder=str(folder)), most, most_of_one))


def told(made: Collector) -> dict[str, list[float]]:
    """Every series that is not 0, as /metrics names it."""
    found = {(series.family + series.labels).decode(): cells for series, cells in made.store.totals()}
    return {name: cells for name, cells in found.items() if any(cells) and not name.startswith("monitor_lines")}


@pytest.mark.parametrize(
    ("lines", "series", "value"),
    [
        (b"a.b-c:1|c\na.b-c:2|c", "a_b_c_total", 3),
        (b"hits:3|c|@0.1|#env:prod,up", 'hits_total{env="prod",up=""}', 30),
        (b"hits:1|c|#b:2,a:1\nhits:1|c|#a:1,b:2", 'hits_total{a="1",b="2"}', 2),
        (b"many:1:2:3|c|#x:y", 'many_total{x="y"}', 6),
        (b"done_total:1|c|c:container|T1656581400", "done_total", 1),
        (b"temp:20|g\ntemp:+3|g\ntemp:-5|g", "temp", 18),
        (b"took:320|ms", "took_seconds", 0.32),
        (b"size:7|h|@0.5", "size", 14),
        (b"9lives:1|g", "_9lives", 1),
        (b'q:1|g|#k:a"b\\c,__name__:x', r'q{k="a\"b\\c",tag___name__="x"}', 1),
        (b"disk.used;host=a 4.5 1600000000\r\ndisk.used;host=a 3 1500000000", 'disk_used{host="a"}', 4.5),
        (b"load 0.5 -1", "load", 0.5),
        (
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - 'su root'",
            f"syslog_messages_total{FIVE}",
            1,
        ),
        (b"<34>Oct 11 22:14:15 mymachine.example.com su: 'su root' failed", f"syslog_messages_total{FIVE}", 1),
        (b"<34>Oct 11 22:14:15 mymachine.example.com su[123]: a: b", f"syslog_messages_total{FIVE}", 1),
        (
            b"<13>Nov  3 12:00:00 cron: no: host",
            'syslog_messages_total{app="cron",facility="user",host="",severity="notice"}',
            1,
        ),
        (b"<191>so be it", 'syslog_messages_total{app="",facility="local7",host="",severity="debug"}', 1),
    ],
)
def test_line_is_counted(lines: bytes, series: str, value: float, tmp_path: Path) -> None:
    made = collector(tmp_path)
    made.take(lines)

    assert {name: pytest.approx(cells[0]) for name, cells in told(made).items()} == {series: value}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nothing", "line"),
        (b"a b c d", "line"),
        (b"a:1|x", "line"),
        (b"a:1|c|@0", "line"),
        (b"_sc|up|0", "line"),
        (b"<192>too much", "line"),
        (b":1|c", "line"),
        (b"a:b|c", "number"),
        (b"a:1_0|c", "number"),
        (b"a:nan|g", "number"),
        (b"a inf 1", "number"),
        (b"a:-1|c", "negative"),
        (b"x" * 600 + b":1|c", "long"),
    ],
)
def test_line_is_refused(line: bytes, reason: str, tmp_path: Path) -> None:
    made = collector(tmp_path)
    made.take(line)

    assert told(made) == {f'monitor_refused_total{{reason="{reason}"}}': [1.0]}


def test_labels_beyond_the_limit_of_a_name_share_one_series_and_its_sum_stays_right(tmp_path: Path) -> None:
    made = collector(tmp_path, most_of_one=10)
    for number in range(50):
        made.take(b"hits:1|c|#user:%d" % number)

    found = {name: cells for name, cells in told(made).items() if name.startswith("hits")}
    assert (len(found), sum(cells[0] for cells in found.values())) == (11, 50)
    assert found['hits_total{overflow="true"}'] == [40.0]


def test_names_beyond_the_limit_are_refused_and_those_that_are_known_go_on(tmp_path: Path) -> None:
    made = collector(tmp_path, most=20)
    for number in range(50):
        made.take(b"name%d:1|c" % number)
    made.take(b"name0:1|c|#new:label")

    found = told(made)
    assert found["name0_total"] == found['name0_total{overflow="true"}'] == [1.0]
    assert found['monitor_refused_total{reason="series"}'] == [50.0 + 9 - 20]  # nine are the monitor's own


def test_a_set_counts_its_members_once_over_all_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forkful.handlers.examples.monitor.store.WINDOW", 1e9)
    one, other = collector(tmp_path), collector(tmp_path)
    for number in range(100):
        one.take(b"users:%d|s" % number)
        other.take(b"users:%d|s" % (number + 50))
    assert told(one)["users"] == [0.0, 150.0]

    for number in range(MEMBERS + 10):
        one.take(b"users:%d|s" % number)
    assert told(one)["users"] == [0.0, MEMBERS]
    assert told(one)['monitor_refused_total{reason="members"}'] == [10.0]


def test_two_workers_agree_on_a_gauge(tmp_path: Path) -> None:
    one, other = collector(tmp_path), collector(tmp_path)
    for made, line in ((one, b"g:5|g"), (other, b"g:+2|g"), (one, b"g:-1|g"), (other, b"g:10|g"), (one, b"g:+1|g")):
        made.take(line)

    assert told(one)["g"] == told(other)["g"] == [11.0]


def test_messages_after_their_length_may_come_in_any_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = collector(tmp_path)
    monkeypatch.setattr("forkful.handlers.examples.monitor.collector._collector", lambda: made)
    messages = [b"<13>Oct 11 22:14:15 h app: one\ntwo", b"<13>1 - h app - - - three"]
    said = b"".join(b"%d %s" % (len(message), message) for message in messages)
    lines = Lines.__new__(Lines)
    rest = b""
    for byte in said:
        rest = lines.whole(rest + bytes([byte]))

    assert rest == b""
    assert told(made)['syslog_messages_total{app="app",facility="user",host="h",severity="notice"}'] == [2.0]
