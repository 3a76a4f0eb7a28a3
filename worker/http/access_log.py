"""The access log: one line for each request, in Gunicorn's atoms or as JSON; nothing a client sends can forge one.

Off by default. A format with an atom that nobody knows is a mistake in the settings.
"""

import base64
import json
import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from forkful.conf.atoms import ATOM

if TYPE_CHECKING:
    from collections.abc import Callable

    from forkful.worker.http.wire import Subject

COMMON: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
DEVELOPING: Final = '%(h)s "%(r)s" %(s)s %(B)s bytes, %(M)s ms'  # for a person at a terminal
LEFT: Final = 499  # where the client left before there was a status: nginx's word for it
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


class Sink(Protocol):
    """Where lines go: a logger."""

    def info(self, line: str, /, *, extra: "dict[str, object] | None" = None) -> object: ...


def quoted(text: str) -> str:
    """A client's text inside a line: nothing that ends a field or a line stays itself."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: "re.Match[str]") -> str:
    return "\\" + match[0] if match[0] in '"\\' else match[0].encode("unicode_escape").decode()


def _user(authorization: str) -> str:
    """Who says to be who, by Basic authentication (RFC 7617); the application may have believed it or not."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode("utf-8", "replace").partition(":")[0]
    except ValueError:
        return ""


def request_line(subject: "Subject") -> str:
    """Method and target in short, for messages."""
    return f"{subject.method.decode('latin-1')} {subject.target[:200].decode('latin-1')!r}"


class Access:
    """Writes one line per request. `template` "json" gives objects; `fields`: the log is one of objects by itself."""

    def __init__(self, sink: Sink, template: str = COMMON, *, fields: bool = False) -> None:
        self._sink = sink
        self._json = template == "json"
        self._fields = fields
        self._template = template

    def request(self, subject: "Subject", status: int, length: int, took_ns: int) -> None:
        """One request is over: its status, the bytes of its body, and how long it took."""
        if self._json:
            record = self._record(subject, status, length, took_ns)
            if self._fields:
                self._sink.info(request_line(subject), extra=record)
                return
            line = json.dumps(record)
        else:
            line = ATOM.sub(lambda match: self._atom(match, subject, status, length, took_ns), self._template)
        self._sink.info(line)

    def _record(self, subject: "Subject", status: int, length: int, took_ns: int) -> dict[str, object]:
        path, _, query = subject.target.decode("latin-1").partition("?")
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "remote": subject.remote(),
            "method": subject.method.decode("latin-1"),
            "path": path,
            "query": query,
            "protocol": "HTTP/1.1" if subject.http11 else "HTTP/1.0",
            "status": status,
            "bytes": length,
            "duration": round(took_ns / 1e9, 6),
            "referer": subject.field("referer"),
            "user_agent": subject.field("user-agent"),
            "pid": os.getpid(),
        }

    def _atom(self, match: "re.Match[str]", subject: "Subject", status: int, length: int, took: int) -> str:
        if match[0] == "%%":
            return "%"
        if match[2]:
            ask = {"i": subject.field, "o": subject.answer_field, "e": subject.variable}[match[3]]
            return quoted(ask(match[2])) or "-"
        path, _, query = subject.target.decode("latin-1").partition("?")
        protocol = "HTTP/1.1" if subject.http11 else "HTTP/1.0"
        method = subject.method.decode("latin-1")
        atoms: dict[str, Callable[[], str]] = {
            "h": lambda: subject.remote() or "-",
            "l": lambda: "-",
            "u": lambda: _user(subject.field("authorization")) or "-",
            "t": lambda: time.strftime("[%d/%b/%Y:%H:%M:%S %z]"),
            "r": lambda: f"{method} {subject.target.decode('latin-1')} {protocol}",
            "m": lambda: method,
            "U": lambda: path,
            "q": lambda: query,
            "H": lambda: protocol,
            "s": lambda: str(status),
            "B": lambda: str(length),
            "b": lambda: str(length or "-"),
            "f": lambda: subject.field("referer") or "-",
            "a": lambda: subject.field("user-agent") or "-",
            "T": lambda: str(took // 1_000_000_000),
            "D": lambda: str(took // 1000),
            "M": lambda: str(took // 1_000_000),
            "L": lambda: f"{took / 1e9:.6f}",
            "p": lambda: f"<{os.getpid()}>",
        }
        return quoted(atoms[match[1]]())
