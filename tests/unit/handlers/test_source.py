"""What a handler is by its source alone: the same as when it is imported, or nothing is said."""

import importlib
import inspect
import signal
import socket
from pathlib import Path

import pytest

from forkful.handlers.binding import release
from forkful.handlers.kinds import classify
from forkful.handlers.load import LoadError, load, parse
from forkful.handlers.source import kind_of
from tests.kit.server import APPS

SOURCE = """
raise SystemExit("it was imported")
import asyncio, socketserver, http.server as web
from socketserver import *
from xmlrpc.server import SimpleXMLRPCServer
from forkful.handlers import owns_loop
from . import nowhere

class Stream(StreamRequestHandler): ...
class Below(Stream): ...
class Plain(socketserver.BaseRequestHandler): ...
class Packets(socketserver.DatagramRequestHandler): ...
class Server(ThreadingMixIn, socketserver.UDPServer): ...
class Odd(TCPServer):
    socket_type = 2
class Protocol(asyncio.Protocol): ...
class Datagrams(asyncio.DatagramProtocol): ...
class Web(web.SimpleHTTPRequestHandler): ...
class Application:
    def __init__(self, name): ...
    def __call__(self, environ, start_response): ...
class Modern(Application):
    async def __call__(self, scope, receive, send): ...
class Strange(nowhere.Base, StreamRequestHandler): ...

def handle(sock, address): ...
def packet(data, address): ...
def either(one, two): ...
async def talk(reader, writer): ...
def wsgi(environ, start_response): ...
async def asgi(scope, receive, send): ...
@owns_loop
def own(listeners): ...
def make(): return SimpleXMLRPCServer(("", 0))
def make_udp(port=0):
    address = ("", port)
    return Server(address, Packets)
def make_local():
    server = Server(("", 0), Packets)
    return server

app = Application("x")
modern = Modern("x")
server = SimpleXMLRPCServer(("", 0))
alias = talk
twice = talk
if app:
    twice = packet
"""
KINDS = {
    "Stream": "stream",
    "Below": "stream",
    "Plain": "stream",
    "Packets": "datagram",
    "Server": "datagram",
    "Odd": "",
    "Protocol": "stream",
    "Datagrams": "datagram",
    "Web": "stream",
    "Strange": "",
    "handle": "stream",
    "packet": "datagram",
    "either": "",
    "talk": "stream",
    "wsgi": "http",
    "asgi": "http",
    "own": "",
    "make": "stream",
    "make()": "stream",
    "make_udp(7)": "datagram",
    "make_local": "",
    "app": "http",
    "modern": "http",
    "server": "stream",
    "alias": "stream",
    "twice": "",
    "absent": "",
    "app.attribute": "",
}


@pytest.mark.parametrize("what", KINDS)
def test_kind_is_told_by_the_source_or_not_at_all(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "unimported"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "program.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert kind_of(parse(f"unimported.program:{what}")) == KINDS[what]


@pytest.mark.parametrize("text", ["nowhere:x", "math:sin", "sys:exit", "os.path:join"])
def test_module_without_a_source_tells_nothing(text: str) -> None:
    assert kind_of(parse(text)) == ""


@pytest.mark.parametrize("module", sorted(path.stem for path in APPS.glob("*.py") if path.stem != "leaving"))
def test_what_the_source_of_a_program_says_is_what_it_is(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APPS))
    for variable in ("EVENTS", "GATE", "ROOT"):
        monkeypatch.setenv(variable, "/nowhere")
    wrong = {}
    for name in _public(module):
        text = f"{module}:{name}"
        said = kind_of(parse(text))
        if not said:
            continue
        try:
            served = classify(text, load(text))
        except LoadError:
            continue
        release(served.target)
        if served.kind != said:
            wrong[text] = (said, served.kind)
    assert wrong == {}


def _public(module: str) -> list[str]:
    patience, ended_by = socket.getdefaulttimeout(), signal.getsignal(signal.SIGTERM)
    try:
        found = vars(importlib.import_module(module))
    except BaseException:  # noqa: BLE001  # those that a test has fail
        return []
    finally:
        socket.setdefaulttimeout(patience)  # one of them sets both, and other tests are of this process, too
        signal.signal(signal.SIGTERM, ended_by)
    own = {name for name, value in found.items() if getattr(value, "__module__", module) == module}
    return [name for name in sorted(own) if not name.startswith("_") and not inspect.ismodule(found[name])]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from flask import Flask\napp = Flask(__name__)\n", "app"),
        ("import flask\ndef make():\n    return flask.Flask('x')\n", "make()"),
        ("from starlette.applications import Starlette\napp = Starlette()\n", "app"),
        ("from django.core.wsgi import get_wsgi_application\napp = get_wsgi_application()\n", "app"),
        ("from aiosmtpd.smtp import SMTP\nclass Mail(SMTP): ...\n", "Mail"),
    ],
    ids=["flask", "flask in a factory", "starlette", "django", "aiosmtpd"],
)
def test_well_known_applications_need_not_be_imported(
    source: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "well_known.py").write_text(f"raise SystemExit\n{source}")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert kind_of(parse(f"well_known:{name}")) == ("stream" if name == "Mail" else "http")
