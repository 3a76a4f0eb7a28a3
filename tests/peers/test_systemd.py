"""systemd's own tools on the units we hand out, and the unit's commands run as it writes them."""

import configparser
import os
import shutil
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.server import CLI
from tests.peers.neighbour import DEPLOY, find

FOLDER = DEPLOY / "systemd"
PROGRAM = "/srv/forkful/.venv/bin/forkful"


class Unit(configparser.RawConfigParser):
    """A unit file; a key that may stand several times (`Environment=`) keeps the last."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#", ";"))
        self.read_string(path.read_text())

    def optionxform(self, optionstr: str) -> str:
        return optionstr

    def command(self, key: str) -> list[str]:
        """A command line of [Service], with the installed program replaced by the one under test."""
        program, *arguments = self["Service"][key].split()
        assert program == PROGRAM
        return [*CLI, *arguments]


UNIT = Unit(FOLDER / "forkful.service")


def test_systemd_verifies_the_units(tmp_path: Path) -> None:
    verify = find("systemd-analyze", package="systemd")
    program = shutil.which("true")
    assert program
    for unit in ("forkful.service", "forkful.socket"):
        (tmp_path / unit).write_text((FOLDER / unit).read_text().replace(PROGRAM, program))
    units = [str(tmp_path / "forkful.service"), str(tmp_path / "forkful.socket")]

    checked = subprocess.run([verify, "verify", *units], capture_output=True, text=True, timeout=60, check=False)

    said = [line for line in (checked.stdout + checked.stderr).splitlines() if "forkful" in line]
    assert (checked.returncode, said) == (0, []), checked.stderr


def test_unit_gives_the_service_the_time_it_asks_for() -> None:
    master = tomllib.loads((FOLDER / "forkful.toml").read_text())["master"]
    needed = master["drain_delay"] + master["graceful_timeout"]

    assert int(UNIT["Service"]["TimeoutStopSec"]) >= needed + 5
    assert UNIT["Service"]["KillMode"] == "mixed"


def test_settings_file_is_right_as_it_is() -> None:
    checked = subprocess.run(
        [*CLI, "check", "-c", str(FOLDER / "forkful.toml")], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The settings file as it is, with ports and paths of this test's own."""
    text = (FOLDER / "forkful.toml").read_text()
    for said, instead in (
        ('"tcp://*:7000"', '"tcp://127.0.0.1:0"'),
        ('handler = "forkful.handlers.echo:EchoStream"', 'handler = "operator_app:Handler"'),
        ("drain_delay = 5", "drain_delay = 0"),
    ):
        assert said in text
        text = text.replace(said, instead)
    path = tmp_path / "forkful.toml"
    path.write_text(text)
    return path


def test_commands_of_the_unit_start_reload_and_stop_the_service(serve: Serve, settings: Path, tmp_path: Path) -> None:
    app = tmp_path / "operator_app.py"
    app.write_text("from classic import EchoHandler as Handler\n")
    start = [part.replace("/etc/forkful/forkful.toml", str(settings)) for part in UNIT.command("ExecStart")]
    assert str(settings) in start
    python_path = {"PYTHONPATH": str(DEPLOY.parent / "tests" / "apps")}
    server = serve(script=start, cwd=tmp_path, env=python_path, binds=[])

    def reload() -> "subprocess.CompletedProcess[str]":
        """ExecReload, which finds the server as the unit tells it."""
        environment = os.environ | {"FORKFUL_ADMIN": f"unix://{server.admin.path}"}
        return subprocess.run(
            UNIT.command("ExecReload"), env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    assert reload().returncode == 0
    app.write_text("from classic import NoSuchHandler as Handler\n")
    failed = reload()
    assert failed.returncode != 0
    assert "NoSuchHandler" in failed.stdout + failed.stderr
    server.may_log_tracebacks = True


def test_systemd_hands_its_socket_over(serve: Serve, tmp_path: Path) -> None:
    """systemd-socket-activate listens, and starts the server for the first client, who waits in the queue."""
    activate = find("systemd-socket-activate", package="systemd")
    path = tmp_path / "service.sock"
    kept = ("NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "FORKFUL_ADMIN_BIND", "EVENTS", "GATE", "PYTHONDONTWRITEBYTECODE")
    command = [activate, f"--listen={path}", "--fdname=main", *(f"--setenv={name}" for name in kept)]
    server = serve(script=[*command, *CLI, "serve", "classic:EchoHandler"], binds=[], ready=False)
    server.wait_for_log("Listening on")

    assert Door(socket.AF_UNIX, socket.SOCK_STREAM, str(path)).ask(b"hello") == b"hello"
    server.wait_ready()
    path.unlink()
