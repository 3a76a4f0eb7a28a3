"""TLS beside its peers: handshakes, and bodies of 1 MB, in CPU per answer, one process each on one core.

wrk takes up its session again where a server lets it (an EC key on P-256, as most have today).
Can go wrong: openssl is missing, which makes the certificate.
"""

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.comparison import Rounds, Scores, against, compare
from tests.bench.contenders import PYTHON, forkful, granian, nginx_secured, uvicorn
from tests.bench.figure import Figure
from tests.bench.server import Contender
from tests.bench.wrk import Wrk

WSGI, ASGI = "tests.bench.apps.secure:wsgi", "tests.bench.apps.secure:asgi"
OURS, OURS_ASGI, GRANIAN, UVICORN, NGINX = "forkful", "forkful, ASGI", "Granian", "uvicorn", "nginx"
GUNICORN = "Gunicorn gthread"
_NEW = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]


def secure(rounds: Rounds) -> list[Figure]:
    """Handshakes first, then bodies on connections that stay."""
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        Path(folder).chmod(0o755)  # nginx serves a file in it, as somebody else
        certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        command = ["openssl", "req", "-x509", *_NEW, "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
        contenders = _contenders(str(certificate), str(key))
        shaken = compare(contenders, Wrk(scheme="https", headers=("Connection: close",), connections=16), rounds)
        bodies = compare(contenders, Wrk(scheme="https", path="/body", connections=4), rounds)
    return [*_figures("a handshake", shaken), *_figures("a body of 1 MB", bodies)]


def _contenders(certificate: str, key: str) -> list[Contender]:
    ours = ("--certfile", certificate, "--keyfile", key)
    bound = (PYTHON, "-m", "gunicorn", WSGI, "-b", "127.0.0.1:{port}", "-w", "1", "-k", "gthread", "--threads", "4")
    peers = [
        granian(GRANIAN, WSGI, "--blocking-threads", "1", "--ssl-certificate", certificate, "--ssl-keyfile", key),
        uvicorn(UVICORN, ASGI, "--ssl-certfile", certificate, "--ssl-keyfile", key),
        replace(uvicorn(GUNICORN, WSGI), argv=(*bound, "--chdir", ".", *ours), needs="gunicorn"),
        nginx_secured(NGINX, certificate, key),
    ]
    return [
        forkful(OURS, WSGI, *ours),
        forkful(OURS_ASGI, ASGI, *ours),
        *(replace(each, secure=True) for each in peers),
    ]


def _figures(what: str, scores: Scores) -> list[Figure]:
    """A core's worth of them is a million microseconds over this."""
    pairs = [(OURS, GRANIAN), (OURS, GUNICORN), (OURS_ASGI, UVICORN), (OURS, NGINX)]
    return [against(f"{what}: {ours} / {theirs}", scores, (ours, theirs)) for ours, theirs in pairs]
