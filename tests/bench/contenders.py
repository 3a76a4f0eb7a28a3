"""The contenders: the command line of each server that is measured."""

import sys
from dataclasses import replace
from pathlib import Path

from tests.bench.server import Contender, Ready

PYTHON = sys.executable
FORKFUL = (PYTHON, "-m", "forkful", "serve")
ECHO = "tests.bench.apps.echo"


def floor(name: str, module: str, *arguments: str, datagram: bool = False) -> Contender:
    """One of our floors, by its module."""
    return Contender(name, (PYTHON, "-m", f"tests.bench.floors.{module}", *arguments, "{fd}"), datagram)


def stdlib(kind: str, handler: str, *, datagram: bool = False) -> Contender:
    """A server class of the standard library, with a handler of apps/echo.py."""
    return Contender(kind, (PYTHON, "-m", "tests.bench.floors.stdlib", kind, handler, "{fd}"), datagram)


def forkful(
    name: str, handler: str, *options: str, datagram: bool = False, workers: int = 1, wildcard: bool = False
) -> Contender:
    """Ourselves. The admin child only listens on a socket of its own: no port, no race."""
    words = (*FORKFUL, handler, "-b", "fd://{fd}", "-w", str(workers), "--admin-bind", "unix://{tmp}/admin.sock")
    return Contender(name, words + options, datagram, wildcard=wildcard)


def gunicorn(name: str, application: str, *options: str, workers: int = 1) -> Contender:
    """The peer."""
    words = (PYTHON, "-m", "gunicorn", application, "-b", "fd://{fd}", "-w", str(workers), "--chdir", ".")
    return Contender(name, words + options, needs="gunicorn")


def granian(name: str, application: str, *options: str, workers: int = 1, interface: str = "wsgi") -> Contender:
    """It binds for itself."""
    words = ("granian", application, "--interface", interface, "--port", "{port}", "--no-ws", "--workers", str(workers))
    return Contender(name, (PYTHON, "-m", *words, *options), ready=Ready.ANSWERS, binds=True, needs="granian")


def uvicorn(name: str, application: str, *options: str, workers: int = 1) -> Contender:
    """With its fastest loop and parser. It binds for itself: by `--fd` it has no TCP_NODELAY and waits for ACKs."""
    words = ("uvicorn", application, "--port", "{port}", "--workers", str(workers), "--no-access-log")
    best = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning")
    return Contender(name, (PYTHON, "-m", *words, *best, *options), ready=Ready.ANSWERS, binds=True, needs="uvicorn")


def bjoern(name: str, application: str) -> Contender:
    """It has no command line, and has to be compiled."""
    there = Contender(name, (PYTHON, "-m", "tests.bench.floors.wsgi", "bjoern", application, "{fd}"), needs="bjoern")
    return replace(there, install="apt install libev-dev, then pip install '.[bench-c]'")


def waitress(name: str, application: str) -> Contender:
    """With its usual four threads."""
    return Contender(name, (PYTHON, "-m", "tests.bench.floors.wsgi", "waitress", application, "{fd}"), needs="waitress")


NGINX = """\
daemon off;
worker_processes 1;
pid %(tmp)s/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path %(tmp)s/body;
    proxy_temp_path %(tmp)s/proxy;
    fastcgi_temp_path %(tmp)s/fastcgi;
    uwsgi_temp_path %(tmp)s/uwsgi;
    scgi_temp_path %(tmp)s/scgi;
    server {
        listen 127.0.0.1:%(port)s reuseport;
        location / { default_type text/plain; return 200 "Hello world\\n"; }
    }
}
"""


def nginx(name: str) -> Contender:
    """No Python at all: what the kernel and HTTP cost."""
    words = ("/usr/sbin/nginx", "-c", "{tmp}/conf", "-e", "stderr")
    there = Contender(name, words, ready=Ready.ANSWERS, binds=True, needs="/usr/sbin/nginx", configuration=NGINX)
    return replace(there, install="apt install nginx-light")


def nginx_secured(name: str, certificate: str, key: str) -> Contender:
    """The same by TLS; a body of 1 MB is a file's, which it sends by copying as everybody here."""
    there = nginx(name)
    body = Path(certificate).with_name("body")
    body.write_bytes(bytes(1_000_000))
    secured = NGINX.replace("reuseport;", f"ssl reuseport; ssl_certificate {certificate}; ssl_certificate_key {key};")
    served = secured.replace("location / {", f"location = /body {{ root {body.parent}; }}\n        location / {{")
    return replace(there, configuration=served)
