"""Pushing: where metrics are sent to who does not scrape: StatsD by UDP or a Unix socket, OTLP by HTTP.

Can go wrong: no such address, or the library is missing: each comes back as a `Mistake`.
"""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Self
from urllib.parse import urlsplit

from forkful.conf.light import dataclass
from forkful.conf.mistakes import Mistake
from forkful.conf.settings import Settings

PORT = 8125  # where StatsD listens, if nobody says otherwise
_HOST = re.compile(r"(?:udp://)?(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:/\s]+))(?::(?P<port>[0-9]+))?")


@dataclass(frozen=True, slots=True)
class StatsdAddress:
    """A Unix socket of datagrams at `path`, else UDP."""

    host: str = ""
    port: int = PORT
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """As Gunicorn has it: HOST:PORT, or unix:PATH. Raises `ValueError`."""
        if text.startswith("unix:"):
            return cls(path=text.removeprefix("unix:").removeprefix("//"))
        match = _HOST.fullmatch(text)
        if match is None or not 0 < int(match["port"] or PORT) < 65_536:  # noqa: PLR2004  # RFC 768
            raise ValueError("no host and port")
        return cls(match["v6"] or match["host"], int(match["port"] or PORT))


def weigh(settings: Settings) -> Iterator[Mistake]:
    """What cannot be pushed to."""
    statsd, otlp = settings.master["statsd_host"], settings.master["otlp_endpoint"]
    if statsd.value:
        try:
            StatsdAddress.parse(statsd.value)
        except ValueError:
            hint = 'write HOST:PORT, like "127.0.0.1:8125", or a Unix socket, like "unix:/run/datadog/dsd.socket"'
            yield Mistake(statsd.place, f"{statsd.value!r} is no address of StatsD", hint)
        if not _is_there("statsd"):
            yield Mistake(statsd.place, "it needs a library", "pip install 'forkful[statsd]'")
    if otlp.value:
        url = urlsplit(otlp.value)
        if url.scheme not in {"http", "https"} or not url.hostname:
            hint = 'write a URL, like "http://127.0.0.1:4318"'
            yield Mistake(otlp.place, f"{otlp.value!r} is no endpoint of OTLP over HTTP", hint)
        if not _is_there("opentelemetry.exporter.otlp.proto.http.metric_exporter"):
            yield Mistake(otlp.place, "it needs a library", "pip install 'forkful[otlp]'")


def unused(settings: Settings) -> Iterator[str]:
    """Warnings for what has no effect."""
    if not settings.master["statsd_host"].value:
        for key in ("statsd_prefix", "dogstatsd_tags"):
            if (said := settings.master[key]).value:
                yield f"{said.place} is not used: there is no statsd_host"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # nor the package that it is in
        return False
