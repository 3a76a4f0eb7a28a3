"""Files of 1 KB, 100 KB and 100 MB: the example of a web server beside nginx, Granian's static files and http.server.

Throughput is what one core can do: answers, or bytes, for a second of its CPU, which a busy machine hardly moves.
Forkful is there twice: the example (ASGI, `zerocopysend`), and whitenoise (WSGI, `wsgi.file_wrapper`).
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.comparison import Rounds, Scores, compare
from tests.bench.contenders import NGINX, PYTHON, forkful, granian, nginx
from tests.bench.figure import Figure
from tests.bench.server import Contender, Ready
from tests.bench.wrk import Wrk

#: Bytes, and at how many connections they are asked for.
SIZES = {"1 KB": (1_000, 50), "100 KB": (100_000, 50), "100 MB": (100_000_000, 2)}
OURS, NOISE, THEIRS = (
    "the example",
    "whitenoise on Forkful",
    ("nginx", "Granian, static files", "python -m http.server"),
)


def files(rounds: Rounds) -> list[Figure]:
    """For each size, each server; then a part of the big one, as a player of films asks for it."""
    with tempfile.TemporaryDirectory(prefix="bench-files-") as folder:
        Path(folder).chmod(0o755)  # nginx serves it, as somebody else
        static = Path(folder, "static")
        static.mkdir()
        Path(folder, "index.html").write_text("ready")
        for name, (size, _) in SIZES.items():
            (static / _named(name)).write_bytes(os.urandom(size))
        found: list[Figure] = []
        for name, (size, connections) in SIZES.items():
            load = Wrk(path=f"/static/{_named(name)}", connections=connections)
            found += _figures(f"a file of {name}", size, compare(_contenders(folder), load, rounds))
        part = Wrk(path=f"/static/{_named('100 MB')}", connections=2, headers=("Range: bytes=1000000-10999999",))
        servers = [each for each in _contenders(folder) if each.name != THEIRS[2]]  # it knows no ranges
        return found + _figures("10 MB of 100 MB", 10_000_000, compare(servers, part, rounds))


def _named(name: str) -> str:
    return name.replace(" ", "").lower() + ".bin"


def _contenders(folder: str) -> list[Contender]:
    served = f"root {folder}; sendfile on; tcp_nopush on; location / {{ }}"
    hello = 'location / { default_type text/plain; return 200 "Hello world\\n"; }'
    static = ("--static-path-route", "/static", "--static-path-mount", f"{folder}/static")
    std = (PYTHON, "-m", "http.server", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1", "-d", folder, "{port}")
    return [
        forkful(OURS, f"forkful.handlers.examples.web:site({folder!r})", "--interface", "asgi"),
        forkful(NOISE, f"tests.bench.apps.noise:make({folder!r})", "--interface", "wsgi"),
        replace(nginx(THEIRS[0]), configuration=NGINX.replace(hello, served)),
        granian(THEIRS[1], "tests.bench.apps.hello:asgi", *static, interface="asgi"),
        Contender(THEIRS[2], std, ready=Ready.ANSWERS, binds=True),
    ]


def _figures(what: str, size: int, scores: Scores) -> list[Figure]:
    return [_figure(f"{what}: {name}", size, scores, name) for name in scores]


def _figure(what: str, size: int, scores: Scores, name: str) -> Figure:
    """Microseconds of CPU for an answer; what a core does in a second beside it."""
    score = scores[name]
    if score.absent:
        return Figure(what, absent=score.absent)
    rate = 1e6 / score.median
    detail = f"{rate:,.0f} answers, {rate * size / 1e6:,.0f} MB in a second of a core"
    return Figure(
        what, score.median, "us", low=min(score.cost), high=max(score.cost), detail=detail, faults=score.faults
    )
