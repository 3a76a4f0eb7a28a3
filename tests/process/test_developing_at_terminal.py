"""`serve --reload` at a real terminal: debuggers and `input()`, colours, and Ctrl-C."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pexpect
import pytest

from tests.kit.admin import Admin
from tests.kit.app import App
from tests.kit.door import Door, door_of
from tests.kit.environment import without_ours
from tests.kit.server import CLI
from tests.kit.wait import PATIENCE, until
from tests.kit.web import Answer, get

WSGI = """\
import pdb

TEXT = {text!r}

def Handler(environ, start_response):
    said = TEXT
    match environ["PATH_INFO"]:
        case "/break":
            breakpoint()
        case "/trace":
            pdb.set_trace()
        case "/post":
            try:
                said = said[99]
            except IndexError as error:
                pdb.post_mortem(error.__traceback__)
        case "/ask":
            said = input("what? ")
        case "/print":
            print("no line", end="")
        case "/fail":
            raise LookupError("there is no such page")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
"""
ASGI = """\
async def Handler(scope, receive, send):
    assert scope["type"] == "http"
    said = {text!r}
    if scope["path"] == "/break":
        breakpoint()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": said.encode()}})
"""


class Session:
    """A server in the foreground of a terminal of its own."""

    def __init__(self, app: App, folder: Path, environ: dict[str, str]) -> None:
        self.admin = Admin(folder / "admin.sock")
        command = [*CLI, "serve", app.handler, "--reload", "--bind", "http://127.0.0.1:0", "--graceful-timeout", "1"]
        self.terminal = pexpect.spawn(
            command[0],
            [*command[1:], "--admin-bind", f"unix://{self.admin.path}"],
            cwd=str(app.folder),
            env=dict(without_ours(os.environ)) | {"TERM": "xterm"} | environ,
            timeout=PATIENCE,
            encoding="utf-8",
            dimensions=(50, 500),
        )
        self.terminal.delaybeforesend = None

    def expect(self, text: str) -> str:
        self.terminal.expect_exact(text)
        return str(self.terminal.before)

    def type(self, line: str) -> None:
        self.terminal.sendline(line)

    @property
    def door(self) -> Door:
        return door_of(self.admin.status()["pools"][0]["listeners"][0]["address"])


@contextmanager
def session(app: App, folder: Path, **environ: str) -> Iterator[Session]:
    one = Session(app, folder, environ)
    try:
        one.expect("1 worker(s) ready")
        yield one
        one.terminal.sendintr()
        one.terminal.expect(pexpect.EOF, timeout=5)
        one.terminal.close()
        assert one.terminal.exitstatus == 0
    finally:
        one.terminal.close(force=True)


def asking(door: Door, path: str) -> "SimpleQueue[Answer]":
    answers: SimpleQueue[Answer] = SimpleQueue()
    threading.Thread(target=lambda: answers.put(get(door, path)), daemon=True).start()
    return answers


@pytest.mark.parametrize("source", [WSGI, ASGI], ids=["WSGI", "ASGI"])
def test_debugger_has_the_terminal_and_its_time_also_through_a_reload(source: str, app: App, tmp_path: Path) -> None:
    app.write(source.format(text="one"))
    with session(app, tmp_path) as serving:
        door = serving.door
        answer = asking(door, "/break")
        serving.expect("(Pdb)")
        app.write(source.format(text="two"))
        until(
            lambda: serving.admin.status()["generation"] == 2, what="the new code, while somebody sits at the old one"
        )
        assert get(door, "/").text == "two"
        serving.type("import threading; threading.Event().wait(2)")
        serving.expect("(Pdb)")
        serving.type("p 6 * 7")
        serving.expect("42")
        serving.type("!said = 'thought of'")
        serving.type("c")
        assert answer.get(timeout=PATIENCE).text == "thought of", "longer than graceful_timeout"
        until(lambda: len(serving.admin.status()["pools"][0]["workers"]) == 1, what="the old worker's end")


def test_other_prompts_prints_and_tracebacks(app: App, tmp_path: Path) -> None:
    app.write(WSGI.format(text="one"))
    with session(app, tmp_path) as serving:
        door = serving.door
        for path in ("/trace", "/post"):
            answer = asking(door, path)
            serving.expect("(Pdb)")
            serving.type("c" if path == "/trace" else "q")
            assert answer.get(timeout=PATIENCE).text == "one"
        answer = asking(door, "/ask")
        serving.expect("what? ")
        serving.type("this")
        assert answer.get(timeout=PATIENCE).text == "this"
        get(door, "/print")
        serving.expect("no line")
        serving.expect('"GET /print HTTP/1.1" \x1b[32m200\x1b[0m')
        assert get(door, "/fail").status == 500
        serving.expect("error in GET '/fail' from 127.0.0.1:")
        shown = serving.expect("\x1b[1m\x1b[31mLookupError\x1b[0m: there is no such page")
        assert f"\x1b[35m{app.path}\x1b[0m" in shown
        assert "exchange.py" not in shown, "our own frames help nobody"


def test_without_colours(app: App, tmp_path: Path) -> None:
    app.write(WSGI.format(text="one"))
    with session(app, tmp_path, NO_COLOR="1", FORCE_COLOR="1") as serving:
        get(serving.door, "/fail")
        shown = serving.expect("LookupError: there is no such page")
        assert "\x1b" not in shown
