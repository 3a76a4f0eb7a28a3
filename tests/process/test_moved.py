"""A service that was moved by `forkful migrate gunicorn` behaves as the Gunicorn that it was moved from, beside it."""

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.conftest import Serve
from tests.kit.certificates import self_signed
from tests.kit.door import Door, open_door
from tests.kit.oracles import running
from tests.kit.server import APPS, CLI
from tests.kit.wait import until
from tests.kit.web import get

FOLDER = "FOLDER"  # in a file: where the server's own files are; FD is the socket that it is handed


@dataclass
class Both:
    """The doors of the two, and their folders."""

    theirs: Door
    ours: Door
    folders: tuple[Path, Path]

    def answers(self, path: str = "/", **headers: str) -> tuple[Any, Any]:
        """What each says; workers have process ids of their own."""
        return tuple(_told(get(door, path, **headers).body) for door in (self.theirs, self.ours))  # type: ignore[return-value]

    def statuses(self, path: str = "/", **headers: str) -> tuple[int, int]:
        return get(self.theirs, path, **headers).status, get(self.ours, path, **headers).status


def _told(body: bytes) -> dict[str, Any]:
    return {key: value for key, value in json.loads(body).items() if key != "worker"}


def _replaces_workers(door: Door, seen: set[int]) -> bool:
    """Ask once more; whether there were more of them than there are at a time, and at one in a reload."""
    seen.add(json.loads(get(door, "/").body)["worker"])
    return len(seen) > 3


def moved(words: list[str], folder: Path) -> tuple[str, dict[str, str]]:
    """The settings file, and the variables that the report has for who starts the service."""
    output = folder / "moved.toml"
    command = [*CLI, "migrate", "gunicorn", "--output", str(output), "--", *words]
    done = subprocess.run(command, cwd=APPS, capture_output=True, text=True, timeout=30, check=True)
    lines = done.stderr.partition("For whoever starts the service")[2].partition("\n\n")[0].splitlines()[1:]
    return output.read_text(), dict(line.strip().partition("=")[::2] for line in lines)


@contextmanager
def both(serve: Serve, folder: Path, app: str, settings: str, *words: str) -> Iterator[Both]:
    """Start Gunicorn with these settings, and us with what they become."""
    folders = (folder / "theirs", folder / "ours")
    handed = (open_door("tcp", folder), open_door("tcp", folder))
    doors: tuple[Door, ...] = handed
    for each, door in zip(folders, handed, strict=True):
        each.mkdir(mode=0o777)
        each.chmod(0o777)
        assert door.listener is not None
        text = settings.replace(FOLDER, str(each)).replace("FD", f"fd://{door.listener.fileno()}")
        (each / "gunicorn.conf.py").write_text(text)
    theirs = ["-c", str(folders[0] / "gunicorn.conf.py"), *words, app]
    ours = ["-c", str(folders[1] / "gunicorn.conf.py"), *words, app]
    config, variables = moved(ours, folders[1])
    with (
        closing(handed[0]),
        running([sys.executable, "-W", "ignore", "-m", "gunicorn", *theirs, "--no-control-socket"], handed[0], {}),
    ):
        serve(config=config, binds=[handed[1]], env=variables)
        if "unix:" in settings:
            paths = [each / "app.sock" for each in folders]
            until(lambda: all(path.exists() for path in paths), what="both sockets")
            doors = tuple(Door(socket.AF_UNIX, socket.SOCK_STREAM, str(path)) for path in paths)
        yield Both(doors[0], doors[1], folders)


WSGI = """\
bind = ["unix:FOLDER/app.sock"]
workers = 2
threads = 3
umask = 7
raw_env = ["SHOP=here"]
pythonpath = "/nobody/has/this"
chdir = "/"
user = "root"
group = "nogroup"
forwarded_allow_ips = "127.0.0.1"
limit_request_line = 200
limit_request_fields = 5
limit_request_field_size = 100
max_requests = 3
accesslog = "FOLDER/access.log"
access_log_format = '%(m)s %(U)s %(s)s %(H)s %({x-id}i)s'
errorlog = "FOLDER/error.log"
loglevel = "warning"
pidfile = "FOLDER/app.pid"
proc_name = "moved"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="another user takes root")
def test_wsgi_service_is_what_it_was_under_gunicorn(serve: Serve, folder: Path) -> None:
    with both(serve, folder, "tells:application", WSGI, "--pythonpath", f"{APPS},/nobody/has/this") as two:
        theirs, ours = two.answers("/a%20b?c=d", X_Forwarded_Proto="https")
        assert ours == theirs
        assert (ours["user"], ours["cwd"], ours["shop"], ours["path"]) == (0, "/", "here", True)
        assert ours["wsgi.url_scheme"] == "https"

        for path, headers in [("/" + "x" * 300, {}), ("/", {f"A{n}": "b" for n in range(9)}), ("/", {"A": "b" * 200})]:
            their_status, our_status = two.statuses(path, **headers)
            assert 400 <= their_status < 500, "too much for it"  # it says 400 where we say what it is
            assert our_status in {414, 431}

        modes = [(each / "app.sock").stat().st_mode & 0o666 for each in two.folders]
        owners = [((each / "app.sock").stat().st_uid, (each / "app.sock").stat().st_gid) for each in two.folders]
        assert modes == [0o660, 0o660]
        assert owners[0] == owners[1]
        for each in two.folders:
            assert (each / "app.pid").read_text().strip().isdecimal()

        for door in (two.theirs, two.ours):
            until(partial(_replaces_workers, door, set[int]()), what="another worker, for max_requests is 3")

        def logged(each: Path) -> list[str]:
            lines = unquote((each / "access.log").read_text()).splitlines()  # %(U)s is as it was sent, here
            return sorted({line for line in lines if " 200 " in line})

        until(lambda: logged(two.folders[0]) == logged(two.folders[1]), what="the same lines in both access logs")


ASGI = """\
bind = "FD"
workers = 2
worker_class = "uvicorn.workers.UvicornWorker"
timeout = 3
forwarded_allow_ips = "*"
raw_env = ["SHOP=here"]
preload_app = True
"""


def test_asgi_service_is_what_it_was_under_uvicorn_s_worker(serve: Serve, folder: Path) -> None:
    with both(serve, folder, "tells:asgi", ASGI) as two:
        theirs, ours = two.answers("/a", X_Forwarded_Proto="https")

        assert ours == theirs
        assert (ours["scheme"], ours["shop"]) == ("https", "here")


TLS = """\
bind = "FD"
certfile = "CERTS/localhost.crt"
keyfile = "CERTS/localhost.key"
wsgi_app = "tells:application"
"""


def test_tls_is_spoken_as_before(serve: Serve, folder: Path) -> None:
    pair = self_signed(folder)
    with both(serve, folder, "tells", TLS.replace("CERTS", str(folder))) as two:
        for door in (two.theirs, two.ours):
            context = ssl.create_default_context(cafile=str(pair.certificate))
            with context.wrap_socket(door.connect(), server_hostname="localhost") as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: client.recv(65_536), b""))
            assert b'"wsgi.url_scheme": "https"' in answer
