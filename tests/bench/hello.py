"""Hello: HTTP beside its peers in CPU per answered request, the same application for all, our metrics and limits on."""

from dataclasses import replace

from tests.bench.comparison import Rounds, Scores, against, compare, cost
from tests.bench.contenders import bjoern, forkful, granian, gunicorn, nginx, uvicorn, waitress
from tests.bench.figure import Figure
from tests.bench.server import Contender
from tests.bench.wrk import BROWSER, Wrk

WSGI, ASGI = "tests.bench.apps.hello:wsgi", "tests.bench.apps.hello:asgi"
STARLETTE = "tests.bench.apps.sites:starlette"
OURS, GRANIAN, GUNICORN, BJOERN, UVICORN = "forkful", "Granian", "Gunicorn gthread", "bjoern", "uvicorn"
WAITRESS, NGINX, MANY = "waitress", "nginx return 200", "Granian, up to 512 threads, its default"
ONE = "Granian, 1 blocking thread"
KEPT = Wrk()
VARYING = Wrk(headers=BROWSER, drawn="varying")
IDENTICAL, VARIED = 0.75, 0.85  # of Granian, where heads are alike, and where each has a cookie of its own
BALANCED = Wrk(headers=BROWSER[:-1], drawn="balanced")


def _peers() -> list[Contender]:
    """Granian with one thread for the application, as we have; of itself it would have up to half its backlog."""
    return [
        forkful(OURS, WSGI),
        granian(GRANIAN, WSGI, "--blocking-threads", "1"),
        gunicorn(GUNICORN, WSGI, "-k", "gthread", "--threads", "4"),
        bjoern(BJOERN, WSGI),
    ]


def kept(rounds: Rounds) -> list[Figure]:
    """WSGI, the application called in the event loop, 50 connections that stay: `Host` alone in the head."""
    scores = compare([*_peers(), granian(MANY, WSGI), waitress(WAITRESS, WSGI), nginx(NGINX)], KEPT, rounds)
    return [
        *_targets("keep-alive", scores, IDENTICAL),
        against(f"keep-alive / {MANY}", scores, (OURS, MANY)),
        cost("for comparison: waitress, per request", scores, WAITRESS),
        cost("for comparison: nginx `return 200`, per request", scores, NGINX),
    ]


def browser(rounds: Rounds) -> list[Figure]:
    """A browser's eleven header fields: always the same, and with a cookie that differs from request to request.

    We keep what a head of fields came to for the next one that is the same; the second shows what is left without.
    """
    return [
        *_targets("11 fields, all alike", compare(_peers(), Wrk(headers=BROWSER), rounds), IDENTICAL),
        *_targets("11 fields, each with its own", compare(_peers(), VARYING, rounds), VARIED),
    ]


def balancer(rounds: Rounds) -> list[Figure]:
    """Behind a balancer: each request is another client's, nothing that is drawn comes twice. README claims this."""
    one = compare(_peers(), BALANCED, rounds)
    four = [
        forkful(OURS, WSGI, "--threads", "4"),
        granian(GRANIAN, WSGI, "--blocking-threads", "4"),
        gunicorn(GUNICORN, WSGI, "-k", "gthread", "--threads", "4"),
        bjoern(BJOERN, WSGI),
    ]
    threaded = compare(four, BALANCED, rounds)
    asgi_ = compare(
        [forkful(OURS, ASGI), uvicorn(UVICORN, ASGI), granian(GRANIAN, ASGI, interface="asgi")], BALANCED, rounds
    )
    return [
        against(f"WSGI, balanced / {GRANIAN}", one, (OURS, GRANIAN), 0.9),
        against(f"WSGI, balanced / {BJOERN}", one, (OURS, BJOERN), 1.5),
        against(f"WSGI, balanced / {GUNICORN}", one, (OURS, GUNICORN)),
        against(f"WSGI, balanced, threads = 4 / {GRANIAN}, 4 threads", threaded, (OURS, GRANIAN), 0.9),
        against(f"WSGI, balanced, threads = 4 / {BJOERN}", threaded, (OURS, BJOERN), 1.5),
        against(f"WSGI, balanced, threads = 4 / {GUNICORN}", threaded, (OURS, GUNICORN)),
        against(f"ASGI, balanced / {UVICORN}", asgi_, (OURS, UVICORN), 0.6),
        against(f"ASGI, balanced / {GRANIAN}", asgi_, (OURS, GRANIAN), 1.2),
    ]


def _targets(what: str, scores: Scores, of_granian: float) -> list[Figure]:
    return [
        against(f"{what} / {GRANIAN}", scores, (OURS, GRANIAN), of_granian),
        against(f"{what} / {GUNICORN}", scores, (OURS, GUNICORN), 1 / 9),
        against(f"{what} / {BJOERN}", scores, (OURS, BJOERN), 1.3),
    ]


def closing(rounds: Rounds) -> list[Figure]:
    """A connection per request, closed by the server as the client asks."""
    scores = compare([*_peers(), granian(MANY, WSGI)], Wrk(headers=("Connection: close",)), rounds)
    return [
        against(f"Connection: close / {GRANIAN}", scores, (OURS, GRANIAN), 0.85),
        against(f"Connection: close / {MANY}", scores, (OURS, MANY)),
        against(f"Connection: close / {BJOERN}", scores, (OURS, BJOERN), 1.3),
        against(f"Connection: close / {GUNICORN}", scores, (OURS, GUNICORN)),
    ]


def threads(rounds: Rounds) -> list[Figure]:
    """The application called in four threads."""
    contenders = [
        forkful(OURS, WSGI, "--threads", "4"),
        granian(GRANIAN, WSGI, "--blocking-threads", "4"),
        granian(ONE, WSGI, "--blocking-threads", "1"),
        granian(MANY, WSGI),
        gunicorn(GUNICORN, WSGI, "-k", "gthread", "--threads", "4"),
    ]
    scores = compare(contenders, KEPT, rounds)
    varied = compare([contenders[0], contenders[1], contenders[-1]], VARYING, rounds)
    return [
        against("threads = 4 / Granian, 4 blocking threads", scores, (OURS, GRANIAN), 0.85),
        against("threads = 4, 11 fields, each with its own / Granian, 4 threads", varied, (OURS, GRANIAN), VARIED),
        against(f"threads = 4, 11 fields, each with its own / {GUNICORN}", varied, (OURS, GUNICORN)),
        against(f"threads = 4 / {ONE}", scores, (OURS, ONE)),
        against(f"threads = 4 / {MANY}", scores, (OURS, MANY)),
        against(f"threads = 4 / {GUNICORN}", scores, (OURS, GUNICORN)),
    ]


def asgi(rounds: Rounds) -> list[Figure]:
    """The same over ASGI."""
    contenders = [
        forkful(OURS, ASGI),
        uvicorn(UVICORN, ASGI),
        granian(GRANIAN, ASGI, interface="asgi"),
    ]
    framework = [
        replace(each, argv=tuple(STARLETTE if word == ASGI else word for word in each.argv)) for each in contenders
    ]
    alike = compare(contenders, KEPT, rounds)
    found = {"raw": compare(contenders, VARYING, rounds), "Starlette": compare(framework, VARYING, rounds)}
    return [
        against(f"ASGI / {UVICORN}", alike, (OURS, UVICORN)),
        against(f"ASGI / {GRANIAN}", alike, (OURS, GRANIAN)),
        *(
            against(f"ASGI ({kind}), 11 fields, each with its own / {peer}", scores, (OURS, peer), goal)
            for kind, scores in found.items()
            for peer, goal in ((UVICORN, 0.6), (GRANIAN, 0.9))
        ),
    ]
