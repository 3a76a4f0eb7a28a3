"""Loading: what an operator may write, and what the errors say."""

import http.server
import importlib
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forkful.handlers import binding, load
from forkful.handlers.load import LoadError, Reference


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on the path, where a test writes `users_module.py`, forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield tmp_path / "users_module.py"
    for name in set(sys.modules) - before:
        del sys.modules[name]


REFERENCES = {
    "chat:Handler": Reference("chat:Handler", "chat", "Handler"),
    "a.b.c:D.e": Reference("a.b.c:D.e", "a.b.c", "D.e"),
    "app:make()": Reference("app:make()", "app", "make", call=True),
    "app:make('x', 2, key=[1, None])": Reference(
        "app:make('x', 2, key=[1, None])", "app", "make", call=True, args=("x", 2), kwargs=(("key", [1, None]),)
    ),
}


@pytest.mark.parametrize("text", REFERENCES)
def test_a_reference_is_read(text: str) -> None:
    assert load.parse(text) == REFERENCES[text]


NO_REFERENCES = {
    "app": "write app:NAME",
    "": "expected module:attribute",
    "app:": "expected module:attribute",
    "app:1st": "expected module:attribute",
    "app/handler.py:H": "expected module:attribute",
    "app:make(x)": "literal arguments only",
    "app:make(open('f'))": "literal arguments only",
    "app:make)(": "expected module:attribute",
    "app:make()()": "literal arguments only",
    "app:make(**{'a': 1})": "literal arguments only",
}


@pytest.mark.parametrize("text", NO_REFERENCES)
def test_what_is_no_reference_is_told_with_what_would_be_right(text: str) -> None:
    with pytest.raises(LoadError) as caught:
        load.parse(text)
    assert NO_REFERENCES[text] in str(caught.value)


FAILURES = {
    "a module that is not there": ("users_modul:x", "", "no module 'users_modul'; is it users_module?"),
    "a package that is a module": ("users_module.sub:x", "", "users_module is a module, not a package"),
    "a misspelt attribute": ("users_module:Handlr", "class Handler: pass", "no attribute 'Handlr'; is it Handler?"),
    "a misspelt part": ("users_module:Handler.mak", "class Handler: make = 1", "users_module.Handler has no attribute"),
    "an import of its own": ("users_module:x", "import no_such_thing", "importing it failed: ModuleNotFoundError"),
    "a syntax error": ("users_module:x", "def (", "importing it failed: SyntaxError"),
    "an exception": ("users_module:x", "1 / 0", "importing it failed: ZeroDivisionError"),
    "an exit": ("users_module:x", "raise SystemExit(7)", "importing it failed: SystemExit: 7"),
    "a call that fails": ("users_module:f(1)", "def f(x): return 1 / 0", "the call failed: ZeroDivisionError"),
    "a call that exits": ("users_module:f()", "import sys\ndef f(): sys.exit()", "the call failed: SystemExit"),
    "a call with wrong arguments": ("users_module:f(1)", "def f(): pass", "the call failed: TypeError"),
    "a call of what is not callable": ("users_module:f()", "f = 1", "leave out the parentheses"),
    "serving while loading": (
        "users_module:s",
        "import socketserver as s\ns.BaseServer(('', 80), None).serve_forever()",
        'under `if __name__ == "__main__":`',
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_to_load_is_one_error_that_says_why(case: str, module: Path) -> None:
    text, source, message = FAILURES[case]
    module.write_text(source)
    with pytest.raises(LoadError) as caught:
        load.load(text)
    assert message in str(caught.value)


def test_the_traceback_shows_only_the_users_frames(module: Path) -> None:
    module.write_text("def deep():\n    raise LookupError('here')\n\ndeep()\n")
    with pytest.raises(LoadError) as caught:
        load.load("users_module:x")
    frames = [line for line in caught.value.traceback.splitlines() if line.startswith("  File")]
    assert len(frames) == 2
    assert all("users_module.py" in frame for frame in frames)


def test_what_is_loaded_is_the_object_or_what_the_call_gives(module: Path) -> None:
    module.write_text("class A:\n    b = 5\n    def __init__(self, x=0): self.x = x\n")
    assert load.load("users_module:A.b") == 5
    made = load.load("users_module:A(x=3)")
    assert getattr(made, "x", None) == 3


def test_preloading_imports_and_calls_nothing(module: Path) -> None:
    module.write_text("calls = []\ndef make(): calls.append(1)\n")
    load.preload("users_module:make()")
    assert sys.modules["users_module"].calls == []
    with pytest.raises(LoadError):
        load.preload("users_module:maker()")


def test_the_working_directory_comes_first_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/elsewhere"])
    load.prepare_path("/here")
    load.prepare_path("/here")
    assert sys.path == ["/here", "/elsewhere"]


def test_servers_made_while_loading_do_not_bind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address: tuple[str, int] = taken.getsockname()
        with binding.late_binding():
            tcp = socketserver.TCPServer(address, socketserver.BaseRequestHandler)
            web = http.server.HTTPServer(address, http.server.BaseHTTPRequestHandler)
            udp = socketserver.ThreadingUDPServer(address, socketserver.BaseRequestHandler)
        unix_address = f"/nowhere/{threading.get_ident()}"
        with binding.late_binding(), binding.late_binding():  # as when a factory is called while loading
            unix = socketserver.UnixStreamServer(unix_address, socketserver.BaseRequestHandler)
        for server in (tcp, web, udp, unix):
            assert server.server_address == (unix_address if server is unix else address)
            server.server_close()
        assert web.server_port == address[1]
        with pytest.raises(OSError, match="in use"):
            socketserver.TCPServer(address, socketserver.BaseRequestHandler)
