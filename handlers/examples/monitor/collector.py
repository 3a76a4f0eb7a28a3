"""The collector: lines of StatsD, Graphite and syslog, each told by how it begins, become numbers in the store.

`collect` is for datagrams, with one line or more in each; `Lines` for connections. It knows StatsD with DogStatsD's
tags and several values in a line, Graphite's plaintext with tags, syslog of RFC 5424, 3164, and over TCP 6587.
Can go wrong: a line that cannot be understood, or has no room: counted by reason in `monitor_refused_total`.
"""

import contextlib
import functools
import math
import re
import socket
import threading
import time
from bisect import bisect_left
from socketserver import BaseRequestHandler
from typing import Final

from forkful.handlers import draining
from forkful.handlers.examples.monitor.store import BOUNDS, COUNTER, GAUGE, HISTOGRAM, SET, Series, Store, open_store

Name = tuple[bytes, bytes, bytes]  # of a series: kind, family, labels
#: line: of no protocol; number: none, or not finite; negative: of a counter; long: a name, with its tags; series: no
#: room for a new name, or it is one of another kind; members: more than a set may have in a window.
_REASONS = (b"line", b"number", b"negative", b"long", b"series", b"members")
_OURS: Final[dict[bytes, Name]] = {
    **{each: (COUNTER, b"monitor_refused_total", b'{reason="%s"}' % each) for each in _REASONS},
    **{
        each: (COUNTER, b"monitor_lines_total", b'{protocol="%s"}' % each)
        for each in (b"statsd", b"graphite", b"syslog")
    },
}
_KINDS: Final = {b"c": COUNTER, b"g": GAUGE, b"ms": HISTOGRAM, b"h": HISTOGRAM, b"d": HISTOGRAM, b"s": SET}
_NAME_MOST, _LINE_MOST, _WRITTEN_MOST = 512, 65_536, 50_000  # bytes, bytes, ways to write series that are remembered
_COUNTED = re.compile(rb"(\d{1,5}) (?=<)")  # RFC 6587, 3.4.1
_OTHER, _FIRST = re.compile(rb"[^a-zA-Z0-9_]"), re.compile(rb"^(?=\d|__)")
_RFC5424 = re.compile(rb"<(\d{1,3})>1 \S+ (\S+) (\S+) \S+ \S+ (?=-|\[)")
_RFC3164 = re.compile(  # its time, its host and its tag may be missing
    rb"<(\d{1,3})>(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8} |\d{4}-\d\d-\d\dT\S+ )?"
    rb"(?:([\w.:%-]*[\w.%-]) (?=[^\s:\[]{1,64}[:\[]))?(?:([^\s:\[]{1,64})(?:\[[^\]\s]*\])?:)?"
)
_FACILITIES = b"kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock".split()
_FACILITIES += [b"local%d" % number for number in range(8)]
_SEVERITIES = b"emerg alert crit err warning notice info debug".split()


class Refused(ValueError):  # noqa: N818  # no error of ours: a line that is not counted, and one of _REASONS
    pass


def _number(text: bytes) -> float:
    try:
        number = float(text.replace(b"_", b"x"))
    except ValueError:
        raise Refused(b"number") from None
    if not math.isfinite(number):
        raise Refused(b"number")
    return number


@functools.lru_cache(10_000)
def _name(kind: bytes, family: bytes, suffix: bytes, between: bytes, tags: tuple[bytes, ...]) -> Name:
    """A series as `/metrics` writes it: what is no letter and no digit becomes `_`, tags labels in their order."""
    if not family:
        raise Refused(b"line")
    family = _FIRST.sub(b"_", _OTHER.sub(b"_", family).removesuffix(suffix)) + suffix
    pairs = (tag.partition(between) for tag in tags if tag)
    labels = {_FIRST.sub(b"tag_", _OTHER.sub(b"_", key)): value.decode(errors="replace") for key, _, value in pairs}
    quoted = {key.decode(): text.replace("\\", r"\\").replace('"', r"\"") for key, text in labels.items()}
    written = ",".join(f'{key}="{quoted[key]}"' for key in sorted(quoted)).encode()
    if len(family) + len(written) > _NAME_MOST:
        raise Refused(b"long")
    return kind, family, b"{%s}" % written if written else b""


def _syslog(line: bytes) -> Name:
    if (found := _RFC5424.match(line) or _RFC3164.match(line)) is None or int(found[1]) >= len(_FACILITIES) * 8:
        raise Refused(b"line")
    facility, severity = divmod(int(found[1]), 8)
    labels = {b"app": found[3] or b"", b"facility": _FACILITIES[facility], b"host": found[2] or b""}
    labels[b"severity"] = _SEVERITIES[severity]
    return _name(COUNTER, b"syslog_messages", b"_total", b"=", tuple(b"=".join(each) for each in labels.items()))


class Collector:
    """One worker's way from lines to cells."""

    def __init__(self, store: Store) -> None:
        self.store, self._own = store, store.tally.own
        self._written: dict[tuple[bytes, bytes], tuple[Series, float]] = {}
        self._mutex = threading.Lock()  # for who has more than one thread
        self._ours = {each: self._find(name).cell for each, name in _OURS.items()}

    def take(self, data: bytes) -> None:
        """Count what is in a datagram, or in a line of a connection."""
        with self._mutex:
            for line in data.split(b"\n") if b"\n" in data else (data,):
                if line := line.rstrip(b"\r\0"):
                    try:
                        self._line(line)
                    except Refused as refused:
                        self._own[self._ours[refused.args[0]]] += 1

    def _line(self, line: bytes) -> None:
        own, ours = self._own, self._ours
        head, _, rest = line.partition(b":")
        values, bar, how = rest.partition(b"|")
        if line[:1] == b"<":
            own[ours[b"syslog"]] += 1
            own[self._find(_syslog(line)).cell] += 1
        elif bar:
            own[ours[b"statsd"]] += 1
            series, weight = self._written.get((head, how)) or self._learn(head, how)
            for value in values.split(b":") if b":" in values else (values,):
                self._value(series, weight, value)
        else:
            own[ours[b"graphite"]] += 1
            path, *numbers = line.split()
            if len(numbers) not in (1, 2):
                raise Refused(b"line")
            family, *tags = path.split(b";")
            number, when = _number(numbers[0]), _number(numbers[-1]) if numbers[1:] else -1.0
            series = self._find(_name(GAUGE, family, b"", b"=", tuple(tags)))
            self.store.put(series.cell, number, when if when > 0 else time.time())

    def _value(self, series: Series, weight: float, value: bytes) -> None:
        kind, family, _, cell = series
        if kind == SET:
            if not self.store.join(cell, value):
                raise Refused(b"members")
            return
        number = _number(value)
        if kind == COUNTER:
            if number < 0:
                raise Refused(b"negative")
            self._own[cell] += number * weight
        elif kind == GAUGE:
            self.store.put(cell, number, 0.0 if value[:1] in b"+-" else time.time())
        else:
            number = number / 1000 if family.endswith(b"_seconds") else number
            self._own[cell] += number * weight
            self._own[cell + 1 + bisect_left(BOUNDS, number)] += weight

    def _learn(self, head: bytes, how: bytes) -> tuple[Series, float]:
        """What stands around the value in `head:value|how`: the series, and what a value counts for."""
        letters, *fields = how.split(b"|")
        by_sign = {field[:1]: field[1:] for field in fields}
        rate, tags = _number(by_sign.get(b"@", b"1")), by_sign.get(b"#", b"")
        if (kind := _KINDS.get(letters)) is None or not 0 < rate <= 1:
            raise Refused(b"line")
        suffix = b"_total" if kind == COUNTER else b"_seconds" if letters == b"ms" else b""
        series = self._find(_name(kind, head, suffix, b":", tuple(tags.split(b","))))
        if len(self._written) >= _WRITTEN_MOST:
            self._written.clear()
        self._written[head, how] = series, 1 / rate
        return series, 1 / rate

    def _find(self, name: Name) -> Series:
        if (series := self.store.find(*name)) is None:
            raise Refused(b"series")
        return series


@functools.cache
def _collector() -> Collector:
    return Collector(open_store())


def collect(data: bytes, _address: object) -> None:
    """A datagram's handler."""
    _collector().take(data)


def _end(connection: socket.socket) -> None:
    """Take no more from it than the kernel has already."""
    with contextlib.suppress(OSError):  # it is gone
        socket.socket.shutdown(connection, socket.SHUT_RD)  # not that of an SSLSocket, which forgets its keys


class Lines(BaseRequestHandler):
    """A connection's: lines, or messages after their length. One that never ends is ended when its worker drains."""

    def handle(self) -> None:
        end = functools.partial(_end, self.request)
        draining().add_callback(end)
        rest = b""
        while (data := self.request.recv(_LINE_MOST)) and len(rest) < _LINE_MOST:
            rest = self.whole(rest + data)
        _collector().take(rest)
        draining().remove_callback(end)

    def whole(self, data: bytes) -> bytes:
        """Count all that are whole, and return what remains."""
        while True:
            counted = _COUNTED.match(data)
            begin = counted.end() if counted else 0
            end = begin + int(counted[1]) if counted else data.find(b"\n")
            if not 0 <= end <= len(data) or not data:
                return data
            _collector().take(data[begin:end])
            data = data[end:] if counted else data[end + 1 :]
