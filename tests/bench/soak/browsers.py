"""Who asks the web server: `requests` on kept connections and on new ones, and `websockets`."""

import itertools
import threading
import time
from collections.abc import Iterator, Mapping

import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.bench.soak.applications import EXAMPLES, Crew, pool_of
from tests.bench.soak.ledger import Balance, Ledger
from tests.kit.admin import Metrics
from tests.kit.door import Door, host_port

NAME = "web"
KEPT, NEW, SOCKETS = 4, 2, 3
_TIMEOUT = 60.0  # seconds: while there is no worker they wait
_IDLE = (
    1.5  # seconds, of the two of `keep_alive`: it may end as we ask, and we have to ask again (RFC 9112 section 9.3.1)
)
_GOODBYES = frozenset({1001, 1012})
_PATHS = ("/files/readme.txt", "/api/", "/wsgi/x", "/files/", "/")


class Browsers:
    """Each answer is looked at: it must be the right one."""

    def __init__(self, ledger: Ledger) -> None:
        self._crew, self._ledger = Crew(ledger, NAME), ledger
        self._readme = (EXAMPLES / "web/site/files/readme.txt").read_bytes()
        self._kept = threading.local()
        self._answered = self._lost = 0
        self._lock = threading.Lock()

    def start(self, doors: Mapping[str, list[Door]]) -> None:
        ((door,),) = doors.values()
        self._url = f"http://{host_port(door)}"
        numbers = itertools.count()
        for _ in range(KEPT):
            self._crew.send(lambda: self._ask(_PATHS[next(numbers) % len(_PATHS)], kept=True), 10)
        for _ in range(NEW):
            self._crew.send(lambda: self._ask(_PATHS[next(numbers) % len(_PATHS)], kept=False), 5)
        for _ in range(SOCKETS):
            talk = _Talk(f"ws://{host_port(door)}/echo", self._crew)
            self._crew.send(talk.say, 5)

    def _ask(self, path: str, *, kept: bool) -> None:
        known = getattr(self._kept, "session", None)
        session = known or requests.Session()
        idle = time.monotonic() - self._kept.used_at if known is not None else 0.0
        self._kept.session = session if kept else None
        self._crew.count("requests sent")
        try:
            reply = session.get(self._url + path, timeout=_TIMEOUT, headers={} if kept else {"Connection": "close"})
        except requests.RequestException as error:
            self._kept.session = None
            with self._lock:
                self._lost += 1
            if idle > _IDLE:
                self._crew.count("requests on connections that had been idle for too long")
                return
            self._crew.notice("request lost", f"after {idle:.1f} s idle: {error!r}")
            return
        finally:
            if not kept:
                session.close()
        self._kept.used_at = time.monotonic()
        with self._lock:
            self._answered += 1
        self._crew.count("requests answered")
        if reply.status_code != requests.codes.ok:
            self._crew.notice("answer refused", f"{path}: {reply.status_code} {reply.text[:60]!r}")
        elif path.endswith("readme.txt") and reply.content != self._readme:
            self._crew.notice("answer wrong", f"{path}: {reply.content[:60]!r}")

    def stop(self) -> None:
        self._crew.stop()

    def balances(self, metrics: Metrics) -> Iterator[Balance]:
        """One that is killed between an answer and its count has answered; so one may be missing for each client."""
        pool = pool_of(NAME, "web")
        counted = sum(
            int(metrics.sum("forkful_http_responses_total", pool=pool, code=code)) for code in ("2xx", "4xx", "5xx")
        )
        at_most = self._ledger.done_to(NAME, "worker killed") * (KEPT + NEW) + self._lost
        why = "lost, or answered by a worker that was killed before it had counted"
        yield Balance(NAME, "requests, and answers", self._answered + self._lost, counted, at_most, why)


class _Talk:
    """One who talks to the echo, and comes again."""

    def __init__(self, url: str, crew: Crew) -> None:
        self._url, self._crew = url, crew
        self._socket: ClientConnection | None = None
        self._numbers = itertools.count()

    def say(self) -> None:
        said = f"message {next(self._numbers)}"
        try:
            if self._socket is None:
                self._socket = connect(self._url, open_timeout=_TIMEOUT, ping_interval=None)
        except (OSError, ConnectionClosed, EOFError) as error:
            self._crew.notice("request lost", f"the handshake: {error!r}")
            return
        except Exception as error:  # noqa: BLE001  # the library has many, of answers that are no handshake
            self._crew.notice("answer refused", f"the handshake: {error!r}")
            return
        self._crew.count("messages sent")
        try:
            self._socket.send(said)
            heard = self._socket.recv(_TIMEOUT)
        except (ConnectionClosed, OSError) as error:
            code = self._socket.close_code
            self._crew.notice("told to come again" if code in _GOODBYES else "connection torn", f"{code} {error!r}")
            self._socket = None
            self._crew.count("messages without an answer")
            return
        self._crew.count("messages answered")
        if heard != said:
            self._crew.notice("answer wrong", f"{heard!r} to {said!r}")
