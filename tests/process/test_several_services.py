"""Several services of one user, none of which says where it takes commands: each is reached, and none by mistake."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.environment import for_servers
from tests.kit.server import CLI, Server
from tests.kit.wait import PATIENCE

ECHO = "forkful.handlers.echo:EchoStream"
SETTINGS = f'[master]\nname = "%s"\n[pool.main]\nhandler = "{ECHO}"\nbind = "tcp://127.0.0.1:0"\n'


class Home:
    """A runtime directory that services share."""

    def __init__(self, folder: Path, serve: Serve) -> None:
        self.folder, self._serve = folder, serve
        self.environ = {"RUNTIME_DIRECTORY": str(folder)}

    def start(self, *arguments: str) -> Server:
        command = ["env", "-u", "FORKFUL_ADMIN_BIND", *CLI, "serve", *arguments]
        return self._serve(script=command, binds=[], env=self.environ)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environ = for_servers(os.environ) | self.environ
        return subprocess.run(
            [*CLI, *arguments], env=environ, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
        )

    def pid(self, *arguments: str) -> int:
        """Of the service that a command means."""
        told = self.run("status", "--json", *arguments)
        assert told.returncode == 0, told.stderr
        return int(json.loads(told.stdout)["pid"])


@pytest.fixture
def home(serve: Serve) -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="forkful-run-"))
    yield Home(folder, serve)
    shutil.rmtree(folder)


def test_command_that_could_mean_two_services_lists_them_and_does_nothing(home: Home) -> None:
    one = home.start(ECHO, "-b", "tcp://127.0.0.1:0", "-n", "parcels")
    assert home.pid() == one.pid, "the only one needs no name"
    two = home.start("forkful.handlers.page:PageHandler", "-b", "tcp://127.0.0.1:0")
    told = {command: home.run(*command) for command in (("status",), ("stop",), ("reload",), ("logs", "reopen"))}

    for result in told.values():
        assert result.returncode == 2
        lines = result.stderr.splitlines()
        assert len(lines) == 3
        for server, name in ((one, "parcels"), (two, "forkful")):
            (line,) = (line for line in lines if f"{name}, pid {server.pid}, tcp://127.0.0.1:" in line)
            assert home.pid("--admin", line.partition("--admin ")[2]) == server.pid
    assert one.running
    assert two.running
    assert home.run("stop", "--admin", line.partition("--admin ")[2]).returncode == 0
    assert two.wait_exit() == 0
    assert home.pid() == one.pid
    assert home.run("stop").returncode == 0
    assert one.wait_exit() == 0
    assert home.run("stop").returncode == 1


def test_settings_file_says_which_service_is_meant(home: Home, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.toml" for name in ("one", "two", "three")}
    for name, file in files.items():
        file.write_text(SETTINGS % "service")
        assert name in file.name
    servers = {name: home.start("-c", str(files[name])) for name in ("one", "two")}

    for name, server in servers.items():
        assert home.pid("-c", str(files[name])) == server.pid
        assert home.run("reload", "--wait", "-c", os.path.relpath(files[name])).returncode == 0
        assert "WARNING" not in server.log.replace(warning_of_port(server), "")
    missing = home.run("stop", "-c", str(files["three"]))
    assert missing.returncode == 1
    assert f"no forkful with the file {files['three']}" in missing.stderr
    assert str(servers["one"].pid) in missing.stderr
    assert home.run("stop", "-c", str(files["one"])).returncode == 0
    assert servers["one"].wait_exit() == 0
    assert home.run("stop", "-c", str(files["three"])).returncode == 1, "the only one is not the one that is meant"
    assert servers["two"].running


def warning_of_port(server: Server) -> str:
    """The port that is a service's by default may be another's."""
    return next((line for line in server.log.splitlines() if "WARNING" in line and ":9464" in line), "")


def test_second_service_says_where_it_takes_commands_without_the_usual_port(home: Home) -> None:
    home.start(ECHO, "-b", "tcp://127.0.0.1:0", "-n", "first")
    second = home.start(ECHO, "-b", "tcp://127.0.0.1:0", "-n", "second")
    warning = warning_of_port(second)

    assert "it does on unix://" in warning
    assert str(home.folder) in warning


def test_what_a_killed_service_left_is_no_service(home: Home) -> None:
    one = home.start(ECHO, "-b", "tcp://127.0.0.1:0", "-n", "one")
    (home.folder / "admin-gone.sock").touch()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(home.folder / "admin-stale.sock"))
    assert home.pid() == one.pid
