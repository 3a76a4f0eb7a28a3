"""Gunicorn's classes of workers, and what an application that ran under one needs here.

Known by the names that people write: short ones, dotted ones, `egg:gunicorn#NAME`, and a class of one's own by what it
descends from. Of a class that nobody knows only its name is told.
"""

from collections.abc import Iterable
from typing import Any, Final

from forkful.conf.light import dataclass
from forkful.conf.moving.table import Verdict

_OWN = "its own loop: wrap it with forkful.handlers.owns_loop, and give the wrapped one as the handler"
_GREENLETS = (
    "calls run in threads, not in greenlets: 32 at a time in each worker, and clients that wait cost none; take "
    "monkey.patch_all() out of the application"
)
_SOCKETS = (
    "WebSockets below WSGI, by a hijacked socket, are not here: make the application ASGI, with socketio.ASGIApp of "
    "python-socketio, Quart or Starlette"
)


@dataclass(frozen=True, slots=True)
class Served:
    """What a class means. `overlaps`: requests ran beside each other, so that Gunicorn's timeout was a heartbeat.

    `threads`: how many, where Gunicorn did not say it with threads; `connections`: whether it heeded
    worker_connections.
    """

    interface: str = ""  # "": the handler tells
    verdict: Verdict = Verdict.SAME
    told: str = ""
    overlaps: bool = True
    threads: int = 0
    heeds_threads: bool = False
    heeds_connections: bool = False


SYNC: Final = Served(
    "wsgi", Verdict.BETTER, "slow clients are held by an event loop and block no worker", overlaps=False
)
GTHREAD: Final = Served(
    "wsgi", Verdict.BETTER, "slow clients are held by an event loop and take no thread",
    heeds_threads=True, heeds_connections=True,
)  # fmt: skip
GREEN: Final = Served("wsgi", Verdict.NONE, _GREENLETS, threads=32, heeds_connections=True)
UVICORN: Final = Served("asgi", Verdict.SAME, "ASGI is served by itself; uvicorn is not needed")

KNOWN: Final[dict[str, Served]] = {
    "sync": SYNC,
    "gthread": GTHREAD,
    "gevent": GREEN,
    "gevent_wsgi": GREEN,
    "gevent_pywsgi": GREEN,
    "eventlet": GREEN,
    "meinheld": Served(
        "wsgi", Verdict.SAME, "the event loop here is uvloop, and speaks keep-alive, too", overlaps=False
    ),
    "tornado": Served("", Verdict.NONE, f"a WSGI application is served as it is; tornado.web.Application has {_OWN}"),
    "asgi": Served("asgi", heeds_connections=True),
    "uvicorn": UVICORN,
    "aiohttp": Served("", Verdict.NONE, f"an aiohttp application is neither WSGI nor ASGI and has {_OWN}"),
    "sanic": Served("asgi", Verdict.SAME, "a Sanic application is ASGI"),
    "websocket": Served("", Verdict.NONE, _SOCKETS),
}

_NAMES: Final[dict[str, str]] = {
    "gunicorn.workers.sync.SyncWorker": "sync",
    "gunicorn.workers.gthread.ThreadWorker": "gthread",
    "gunicorn.workers.ggevent.GeventWorker": "gevent",
    "gunicorn.workers.ggevent.GeventPyWSGIWorker": "gevent",
    "gunicorn.workers.geventlet.EventletWorker": "eventlet",
    "gunicorn.workers.gtornado.TornadoWorker": "tornado",
    "gunicorn.workers.gasgi.ASGIWorker": "asgi",
    "uvicorn.workers.UvicornWorker": "uvicorn",
    "uvicorn.workers.UvicornH11Worker": "uvicorn",
    "uvicorn_worker.UvicornWorker": "uvicorn",
    "uvicorn_worker.UvicornH11Worker": "uvicorn",
    "uvicorn_worker._workers.UvicornWorker": "uvicorn",
    "meinheld.gmeinheld.MeinheldWorker": "meinheld",
    "egg:meinheld#gunicorn_worker": "meinheld",
    "aiohttp.GunicornWebWorker": "aiohttp",
    "aiohttp.GunicornUVLoopWebWorker": "aiohttp",
    "aiohttp.worker.GunicornWebWorker": "aiohttp",
    "aiohttp.worker.GunicornUVLoopWebWorker": "aiohttp",
    "aiohttp.GunicornTokioWebWorker": "aiohttp",
    "sanic.worker.GunicornWorker": "sanic",
    "geventwebsocket.gunicorn.workers.GeventWebSocketWorker": "websocket",
    "flask_sockets.worker": "websocket",
}


def served(worker_class: Any, threads: int) -> Served:  # Any: a text, or {"class": ..., "bases": [...]}
    """What a value of worker_class means beside so many threads."""
    match worker_class:
        case {"class": str(name), "bases": list(bases)}:
            names = [name, *bases]
        case _:
            names = [str(worker_class).strip()]
    known, own = _found(names), False
    if known is None and "uvicorn" in names[0].lower():
        known, own = UVICORN, True
    if known is None:
        return Served("", Verdict.NONE, f"{names[0]} is not known here; the handler decides how it is served")
    if known is SYNC and threads > 1:
        return GTHREAD
    if own or canonical(names[0]) not in KNOWN:
        told = f"{known.told}; what {names[0]} changes in its class is not read".removeprefix("; ")
        return Served(
            known.interface, known.verdict, told, overlaps=known.overlaps, threads=known.threads,
            heeds_threads=known.heeds_threads, heeds_connections=known.heeds_connections,
        )  # fmt: skip
    return known


def _found(names: Iterable[str]) -> Served | None:
    return next((KNOWN[short] for short in map(canonical, names) if short in KNOWN), None)


def is_own(name: str) -> bool:
    """Whether it is a class that is somewhere to be imported, and that is not known here."""
    return canonical(name) not in KNOWN and "." in name and ":" not in name


def canonical(name: str) -> str:
    """The short name of a class that is known by several."""
    return _NAMES.get(name, name.removeprefix("egg:gunicorn#"))
