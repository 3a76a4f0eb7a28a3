"""Releases by symbolic link: the link is switched, a reload serves the new one, and the old one can be deleted."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.conftest import Serve
from tests.kit.door import door_of
from tests.kit.load import Load
from tests.kit.server import CLI, Server

HANDLER = """
from socketserver import BaseRequestHandler
from release import VERSION

class Handler(BaseRequestHandler):
    def handle(self):
        data = self.request.recv(1024)
        if data == b"later":
            import later
            data = later.VERSION
        self.request.sendall(VERSION if data == b"version" else data)
"""
SCRIPT = """
from forkful.master import TCPServer
from app import Handler

if __name__ == "__main__":
    TCPServer(("127.0.0.1", 0), Handler, workers=2).serve_forever()
"""
SETTINGS = """
[pool.main]
handler = "app:Handler"
bind = ["tcp://127.0.0.1:0"]
workers = 2
"""
IN_SHELL = ("sh", "-c", 'cd "$CURRENT" && exec "$@"', "sh")  # which says where in $PWD, as an operator's does
PLAIN = ("app:Handler", "--workers", "2", "--bind", "tcp://127.0.0.1:0")


class Releases:
    """Releases in a folder, and the link `current` to one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.current = folder, folder / "current"

    def make(self, version: str) -> Path:
        release = self.folder / version
        release.mkdir()
        (release / "app.py").write_text(HANDLER)
        (release / "script.py").write_text(SCRIPT)
        (release / "forkful.toml").write_text(SETTINGS)
        (release / ".venv").symlink_to(sys.prefix)
        for module in ("release", "later"):
            (release / f"{module}.py").write_text(f"VERSION = b'{version}'\n")
        return release

    def switch(self, version: str) -> None:
        """As `ln -sfn` and `mv -T` do it."""
        new = self.folder / "new"
        new.symlink_to(version)
        new.rename(self.current)


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    folder = tmp_path / "srv"
    folder.mkdir()
    found = Releases(folder)
    found.make("one")
    found.switch("one")
    return found


def by_shell(serve: Serve, releases: Releases) -> Server:
    return serve(*PLAIN, binds=[], wrapper=IN_SHELL, env={"CURRENT": str(releases.current)})


def by_shell_with_preload(serve: Serve, releases: Releases) -> Server:
    return serve(*PLAIN, "--preload", binds=[], wrapper=IN_SHELL, env={"CURRENT": str(releases.current)})


def by_chdir(serve: Serve, releases: Releases) -> Server:
    return serve(*PLAIN, "--chdir", str(releases.current), binds=[], cwd=Path("/"))


def by_settings_within(serve: Serve, releases: Releases) -> Server:
    """A manager has gone to where the link leads, and says nothing of it."""
    return serve("-c", str(releases.current / "forkful.toml"), binds=[], cwd=releases.current, env={"PWD": "/"})


def by_settings_relative(serve: Serve, releases: Releases) -> Server:
    return serve("-c", "forkful.toml", binds=[], wrapper=IN_SHELL, env={"CURRENT": str(releases.current)})


def by_script(serve: Serve, releases: Releases) -> Server:
    return serve(script=[*IN_SHELL, sys.executable, "script.py"], binds=[], env={"CURRENT": str(releases.current)})


def by_script_elsewhere(serve: Serve, releases: Releases) -> Server:
    return serve(script=[sys.executable, str(releases.current / "script.py")], binds=[], cwd=Path("/"))


def by_interpreter_within(serve: Serve, releases: Releases) -> Server:
    """Each release brings its virtual environment."""
    command = [*IN_SHELL, ".venv/bin/python", *CLI[1:], "serve", *PLAIN]
    return serve(script=command, binds=[], env={"CURRENT": str(releases.current)})


def by_script_and_interpreter_within(serve: Serve, releases: Releases) -> Server:
    command = [*IN_SHELL, ".venv/bin/python", "script.py"]
    return serve(script=command, binds=[], env={"CURRENT": str(releases.current)})


WAYS = (
    by_interpreter_within,
    by_script_and_interpreter_within,
    by_shell,
    by_shell_with_preload,
    by_chdir,
    by_settings_within,
    by_settings_relative,
    by_script,
    by_script_elsewhere,
)


TWICE = (by_shell, by_script, by_interpreter_within)  # also from the second release to a third


@pytest.mark.parametrize("start", WAYS, ids=lambda start: start.__name__)
def test_reload_serves_where_the_link_leads_now_and_workers_come_back_without_the_old_release(
    start: Callable[[Serve, Releases], Server], serve: Serve, releases: Releases
) -> None:
    server = start(serve, releases)
    door = door_of(server.listeners()[0])
    assert door.ask(b"version") == b"one"
    rounds = (("one", "two"), ("two", "three"))
    for old, new in rounds if start in TWICE else rounds[:1]:
        releases.make(new)
        with Load(door) as load:
            load.more(10)
            releases.switch(new)
            result = server.run("reload", "--wait", within=60)
            assert result.returncode == 0, result.stderr
            load.more(10)
        shutil.rmtree(releases.folder / old)
        before = server.wait_for_workers(2)
        assert door.ask(b"version") == new.encode()
        assert door.ask(b"later") == new.encode(), "what is imported later is of the same release"
        for pid in before.values():
            server.kill(pid, SIGKILL)
        after = server.wait_for_workers(2, besides=[*before.values()])
        if new == "two":
            assert server.run("upgrade", "--wait", within=60).returncode == 0
            after = server.wait_for_workers(2, besides=[*after.values()])
        assert door.ask(b"version") == new.encode()
        where = {os.readlink(f"/proc/{pid}/cwd") for pid in after.values()}  # noqa: PTH115  # the kernel's word
        if start is not by_script_elsewhere:
            assert where == {str(releases.folder / new)}


def test_reload_whose_directory_is_gone_fails_with_its_name_and_the_old_one_serves_on(
    serve: Serve, releases: Releases
) -> None:
    server = by_shell(serve, releases)
    door = door_of(server.listeners()[0])
    releases.current.unlink()
    result = server.reload()

    assert result.returncode == 1
    assert f"cannot enter {releases.current}" in result.stderr
    assert door.ask(b"version") == b"one"
    releases.switch("one")
    assert server.reload().returncode == 0
