"""Why a start failed is on standard error, wherever the log goes, and the descriptors it needs are there."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door, door_of
from tests.kit.server import APPS, CLI

Doors = Callable[[str], Door]


def started(folder: Path, *arguments: str, env: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
    """A start that fails, as a service manager sees it."""
    command = [*CLI, "serve", "--admin-bind", f"unix://{folder}/a.sock", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder), **env}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder, env=environment)


@pytest.fixture
def taken() -> str:
    """An address that somebody else has. Open until the process ends: the test is about who comes second."""
    other = socket.socket()
    other.bind(("127.0.0.1", 0))
    other.listen()
    _OPEN.append(other)
    return f"tcp://127.0.0.1:{other.getsockname()[1]}"


_OPEN: list[socket.socket] = []

FAILURES = {
    "a port in use": ([], "in use", 1),
    "a log level that hides it": (["--log-level", "critical"], "in use", 1),
    "JSON": (["--log-format", "json"], "in use", 1),
}


@pytest.mark.parametrize(("flags", "word", "code"), FAILURES.values(), ids=FAILURES)
def test_a_port_in_use_is_told_on_standard_error_whatever_the_log_does(
    flags: list[str], word: str, code: int, tmp_path: Path, taken: str
) -> None:
    for log in ([], ["--log-file", str(tmp_path / "log")]):
        result = started(APPS, "classic:EchoHandler", "--bind", taken, *flags, *log, env={"TMPDIR": str(tmp_path)})

        assert result.returncode == code
        assert word in result.stderr
        assert result.stderr.count("cannot listen on") == 1, "once"


BROKEN = {
    "its import": ("raise ValueError('wrong from the start')\n", "wrong from the start", 4),
    "its death": ("import os\nos._exit(9)\n", "9", 3),
}


@pytest.mark.parametrize(("source", "word", "code"), BROKEN.values(), ids=BROKEN)
def test_a_handler_that_cannot_start_is_told_there_too(
    source: str, word: str, code: int, tmp_path: Path, app: App
) -> None:
    app.write(source)
    result = started(app.folder, app.handler, "--bind", "tcp://127.0.0.1:0", "--log-file", str(tmp_path / "log"))

    assert result.returncode == code
    assert word in result.stderr


def test_a_pid_file_of_another_service_is_told_there_too(tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()
    result = started(
        APPS, "classic:EchoHandler", "--bind", "tcp://127.0.0.1:0", "--log-file", str(tmp_path / "log"),
        "--pid", f"{tmp_path}/nowhere/x.pid", env={"TMPDIR": str(tmp_path)},
    )  # fmt: skip

    assert result.returncode == 1
    assert "nowhere" in result.stderr


@pytest.mark.parametrize("flag", ["--log-file", "--access-log"])
def test_a_log_that_cannot_be_opened_names_itself_and_the_reason(flag: str, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    result = started(
        APPS, "classic:EchoHandler", "--bind", "tcp://127.0.0.1:0", flag, str(loop), env={"TMPDIR": str(tmp_path)}
    )

    assert result.returncode == 1
    assert str(loop) in result.stderr
    assert os.strerror(40) in result.stderr
    assert "Traceback" not in result.stderr
    assert "_fd" not in result.stderr


# -- descriptors 0 to 2 ------------------------------------------------------------------------------------------------

CLOSED = {"standard error": "2>&-", "standard output": ">&-", "standard input": "<&-", "all": "<&- >&- 2>&-"}


@pytest.mark.parametrize("closed", CLOSED.values(), ids=CLOSED)
@pytest.mark.parametrize("threads", ["1", "2"])
def test_closed_standard_descriptors_are_dev_null_in_every_process(
    closed: str, threads: str, serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    door = doors("tcp")
    server = serve(
        "faulty:Faulty", "--threads", threads, "--log-file", str(tmp_path / "log"), binds=[door],
        wrapper=["sh", "-c", f'exec "$@" {closed}', "sh"],
    )  # fmt: skip
    for _ in range(3):
        door.ask(b"raise")

    for pid, title in processes.session(server.pid).items():
        opened = processes.descriptors(pid)
        assert {opened.get(fd, "closed") for fd in range(3)} <= {os.devnull, str(server.log_path)}, title
    server.hup()
    assert server.metrics_at_rest().sum("forkful_requests_total", pool="main") == 3
    server.run("upgrade", "--wait")
    assert server.metrics_at_rest().sum("forkful_requests_total", pool="main") == 3


SCRIPT = """\
import sys
from forkful.master import TCPServer
from classic import EchoHandler
with TCPServer(("127.0.0.1", 0), EchoHandler, workers=1) as server:
    server.serve_forever()
"""


def test_a_drop_in_script_has_them_too(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    wrapper = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    server = serve(script=[sys.executable, str(path)], binds=[], wrapper=wrapper, env={"PYTHONPATH": str(APPS)})

    for pid, title in processes.session(server.pid).items():
        assert {processes.descriptors(pid).get(fd) for fd in range(3)} == {os.devnull}, title


# -- the interpreter's switches ----------------------------------------------------------------------------------------


def test_switches_of_the_interpreter_reach_every_worker_also_after_an_upgrade(serve: Serve, app: App) -> None:
    app.write(
        "import json, sys\nfrom socketserver import BaseRequestHandler\n"
        "class Handler(BaseRequestHandler):\n"
        "    def handle(self):\n"
        "        self.request.recv(9)\n"
        "        said = [sys.flags.optimize, sys.warnoptions, sys._xoptions, sys.flags.dev_mode]\n"
        "        self.request.sendall(json.dumps(said).encode())\n"
    )
    switches = ["-O", "-W", "error::UserWarning", "-X", "utf8", "-X", "int_max_str_digits=5000"]
    command = [sys.executable, *switches, "-m", "forkful.master.cli.main", "serve", app.handler]
    cached = {"PYTHONDONTWRITEBYTECODE": ""}  # else -O compiles all modules at each start
    command += ["--bind", "tcp://127.0.0.1:0"]
    server = serve(script=command, binds=[], cwd=app.folder, env=cached, ready=False)
    server.wait_ready(within=60.0)

    def said() -> object:
        return json.loads(door_of(server.listeners()[0]).ask(b"x"))

    wanted = [1, ["error::UserWarning"], {"utf8": True, "int_max_str_digits": "5000"}, False]
    assert said() == wanted
    server.hup(within=60.0)
    assert said() == wanted
    assert server.run("upgrade", "--wait", within=90.0).returncode == 0
    assert said() == wanted
