"""The files of Unix sockets: their permissions, their owner, and paths as others spell them."""

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit import passable
from tests.kit.door import door_of
from tests.kit.server import Server

ECHO = "forkful.handlers.echo:EchoStream"
UMASK = ("sh", "-c", 'umask 0027 && exec "$@"', "sh")


def answers(server: Server) -> bool:
    with door_of(server.listeners()[0]).connect() as client:
        client.send(b"hello")
        return client.recv(100) == b"hello"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("scheme", ["unix", "unixgram"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [((), 0o640), (("--umask", "0"), 0o666), (("--socket-mode", "0666"), 0o666), (("--socket-mode", "0600"), 0o600)],
)
def test_socket_has_the_permissions_that_are_said_else_0666_less_the_umask(
    flags: tuple[str, ...], expected: int, scheme: str, serve: Serve, folder: Path
) -> None:
    handler = ECHO if scheme == "unix" else "forkful.handlers.echo:EchoDatagram"
    server = serve(handler, "--bind", f"{scheme}:{folder}/app.sock", *flags, binds=[], wrapper=UMASK)

    assert mode(folder / "app.sock") == expected
    assert answers(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become others")
@pytest.mark.parametrize(
    ("said", "expected"),
    [((), (54321, 54323)), (("--socket-owner", ":54324"), (54321, 54324)), (("--socket-owner", "0:0"), (0, 0))],
)
def test_socket_is_the_workers_own_unless_another_owner_is_said(
    said: tuple[str, ...], expected: tuple[int, int], serve: Serve, folder: Path
) -> None:
    flags = ("--user", "54321", "--group", "54323", *said)
    server = serve(ECHO, "--bind", f"unix:{folder}/app.sock", *flags, binds=[], wrapper=passable.wrapper(), cwd=folder)
    found = (folder / "app.sock").lstat()

    assert (found.st_uid, found.st_gid) == expected
    assert answers(server)


def test_a_reload_changes_the_permissions_of_the_socket_that_stays(serve: Serve, folder: Path) -> None:
    text = f'[pool.main]\nhandler = "{ECHO}"\nbind = "unix:{folder}/app.sock"\n'
    server = serve(binds=[], config=f'{text}socket_mode = "0600"\n')
    inode = (folder / "app.sock").lstat().st_ino
    server.configure(f'{text}socket_mode = "0660"\n')
    assert server.reload().returncode == 0
    assert (mode(folder / "app.sock"), (folder / "app.sock").lstat().st_ino) == (0o660, inode)
    (folder / "app.sock").chmod(0o606)
    assert server.reload().returncode == 0
    assert mode(folder / "app.sock") == 0o606, "what nobody changed in the settings is left to who changed it by hand"


def test_link_that_somebody_put_in_its_place_is_told_and_left_alone(serve: Serve, folder: Path) -> None:
    text = f'[pool.main]\nhandler = "{ECHO}"\nbind = "unix:{folder}/app.sock"\n'
    server = serve(binds=[], config=f'{text}socket_mode = "0600"\n')
    victim = folder / "victim"
    victim.write_text("precious")
    victim.chmod(0o600)
    (folder / "app.sock").unlink()
    (folder / "app.sock").symlink_to(victim)
    server.configure(f'{text}socket_mode = "0666"\n')
    assert server.reload().returncode == 0

    assert mode(victim) == 0o600
    assert f"unix://{folder}/app.sock stays as it is" in server.log


def test_path_may_be_relative_to_the_working_directory(serve: Serve, folder: Path) -> None:
    server = serve(ECHO, "--bind", "unix:app.sock", "--chdir", str(folder), binds=[], cwd=Path("/"))

    assert server.listeners() == [f"unix://{folder}/app.sock"]
    assert answers(server)


def test_what_is_said_of_sockets_that_there_are_not_is_named(serve: Serve) -> None:
    server = serve(ECHO, "--socket-mode", "0666")

    assert "--socket-mode is not used: pool main has no Unix socket with a path" in server.log


SCRIPT = """
import os
from socketserver import BaseRequestHandler
from forkful.master import UnixStreamServer

class Echo(BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(100))

if __name__ == "__main__":
    UnixStreamServer("app.sock", Echo, workers=1{keywords}).serve_forever()
"""


@pytest.mark.parametrize(("keywords", "expected"), [("", 0o750), (", socket_mode='0606'", 0o606)])
def test_script_has_the_permissions_that_it_gave_its_socket_unless_it_says_others(
    keywords: str, expected: int, serve: Serve, folder: Path
) -> None:
    (folder / "program.py").write_text(SCRIPT.format(keywords=keywords))
    server = serve(script=[*UMASK, sys.executable, "program.py"], binds=[], cwd=folder)

    assert mode(folder / "app.sock") == expected
    assert answers(server)
