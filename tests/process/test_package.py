"""The package itself: `python -m forkful` is the command line, `forkful.__version__` what is installed."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest

from tests.conftest import Serve
from tests.kit.door import Door


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_python_m_forkful_is_the_command_line(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    server = serve(
        script=[sys.executable, "-m", "forkful", "serve", "classic:EchoHandler", "--bind", door.url], binds=[door]
    )
    assert door.ask(b"x") == b"x"
    told = python("-m", "forkful", "status", "--admin", f"unix://{server.admin.path}")
    assert "classic:EchoHandler" in told.stdout, told.stderr
    assert server.reload().returncode == 0
    assert server.run("upgrade", "--wait").returncode == 0
    stopped = python("-m", "forkful", "stop", "--wait", "--admin", f"unix://{server.admin.path}")
    assert stopped.returncode == 0, stopped.stderr
    assert server.wait_exit() == 0


@pytest.mark.parametrize("arguments", [("--version",), ("--help",)])
def test_it_says_what_forkful_says(arguments: tuple[str, ...]) -> None:
    by_name = python("-m", "forkful.master.cli.main", *arguments).stdout
    of_package = python("-m", "forkful", *arguments).stdout
    assert of_package.splitlines()[1:] == by_name.splitlines()[1:]
    assert "version" in of_package


def test_version_is_what_is_installed() -> None:
    assert python("-c", "import forkful; print(forkful.__version__)").stdout.strip() == version("forkful")
    assert python("-c", "from forkful import __version__").returncode == 0
    assert "no attribute 'verson'" in python("-c", "import forkful; forkful.verson").stderr


def test_importing_it_costs_no_more_than_it_is_worth() -> None:
    loaded = python("-c", "import sys, forkful; print('importlib.metadata' in sys.modules)").stdout.strip()
    assert loaded == python("-c", "import sys; print('importlib.metadata' in sys.modules)").stdout.strip()
