"""Pictures: `forkful top` and the status page of a service with two pools under a load that comes and goes.

    python -m tests.bench pictures --seconds 120

It writes `top.svg` and `page.png` into `deploy/reference/`, which the README shows.
Can go wrong: Chromium or wrk is not installed: exit code 2.
"""

import argparse
import base64
import io
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from forkful.master.cli import top
from forkful.master.cli.client import Client
from forkful.master.cli.commands import fetch
from tests.bench.apps import hello
from tests.bench.server import ROOT
from tests.kit.door import Door, door_of, host_port, open_door
from tests.kit.environment import short
from tests.kit.server import CLI, Server
from tests.peers.browser import Browser

FOLDER = ROOT / "deploy" / "reference"
WIDTH = 84  # columns of the terminal
SIZE = (1000, 845)  # of the page
CONFIG = """
[admin]
bind = ["unix://{folder}/admin.sock", "tcp://127.0.0.1:0"]
[pool.web]
handler = "{wsgi}"
bind = ["{web}"]
workers = 3
[pool.chat]
handler = "forkful.handlers.echo:EchoStream"
bind = ["{chat}"]
workers = 2
threads = 8
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench pictures", description="Pictures for the README.")
    parser.add_argument("--seconds", type=int, default=120, help="of load before the pictures (default 120)")
    seconds = parser.parse_args(arguments).seconds
    if missing := [name for name in ("wrk", "chromium") if not shutil.which(name)]:
        print(f"bench: no {', '.join(missing)}: apt install it", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory(prefix="forkful-", dir=short(tempfile.gettempdir())) as folder,
        ExitStack() as life,
    ):
        web, chat = open_door("tcp", Path(folder)), open_door("tcp", Path(folder))
        server = life.enter_context(_serving(Path(folder), web, chat))
        _load(server, web, chat, seconds)
        (FOLDER / "top.svg").write_text(_terminal(server))
        browser = life.enter_context(Browser(Path(folder)))
        (FOLDER / "page.png").write_bytes(_page(server, browser))
    print(f"written: {FOLDER / 'top.svg'}, {FOLDER / 'page.png'}")
    return 0


@contextmanager
def _serving(folder: Path, web: Door, chat: Door) -> Iterator[Server]:
    server = Server(folder, [web, chat])
    config = folder / "forkful.toml"
    config.write_text(CONFIG.format(folder=folder, wsgi=f"{hello.__name__}:wsgi", web=web.url, chat=chat.url))
    server.launch([*CLI, "serve", "-c", str(config)], cwd=ROOT, env={})
    try:
        server.wait_ready()
        yield server
    finally:
        server.finish()


def _load(server: Server, web: Door, chat: Door, seconds: int) -> None:
    """Waves of requests, a few connections that stay, and a reload when two thirds are over."""
    staying = [chat.connect() for _ in range(5)]
    end, reloaded = time.monotonic() + seconds, False
    while (left := end - time.monotonic()) > 0:
        connections = round(6 + 5 * math.sin(left / 9))
        subprocess.run(
            ["wrk", "-t1", f"-c{connections}", "-d2", f"http://{host_port(web)}/"], check=True, capture_output=True
        )
        for client in staying:
            client.sendall(b"how are you?\n")
            client.recv(100)
        if not reloaded and left < seconds / 3:
            server.hup()
            staying, reloaded = [chat.connect() for _ in range(5)], True


def _terminal(server: Server) -> str:
    """One drawing of `top`, as a terminal of `WIDTH` columns shows it."""
    client = Client(f"unix://{server.admin.path}")
    before = fetch(client)
    time.sleep(1)  # as `top` does between two drawings
    now = fetch(client)
    console = Console(record=True, width=WIDTH, force_terminal=True, file=io.StringIO())
    console.print(top.drawing(now, top.rates(before, now), client))
    return console.export_svg(title="forkful top")


def _page(server: Server, browser: Browser) -> bytes:
    (address,) = [address for address in server.status()["admin"] if address.startswith("tcp")]
    with browser.page() as page:
        page.resize(*SIZE)
        page.open(f"http://{host_port(door_of(address))}/")
        page.run("await new Promise(done => setTimeout(done, 3000))")  # until it has drawn itself twice
        return base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"])
