"""A service whose HTTP path is compiled: it says so, and source that lies beside another version's code counts.

They are collected where the installation has the library: `python -m tests.bench compiled` makes one.
"""

from collections.abc import Callable

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.installation import Installation
from tests.kit.web import get

Doors = Callable[[str], Door]


@pytest.mark.parametrize("handler", ["wsgi:echo", "asgi:echo"])
def test_it_says_that_it_is_compiled(handler: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve(handler, binds=[door])

    assert get(door, "/hello").text == "hello"
    assert server.status()["code"] == "compiled"
    assert server.metrics().sum("forkful_build_info", code="compiled") == 1


@pytest.mark.parametrize("edited", ["worker/http/fields.py", "worker/ipc/scoreboard.py"])
def test_source_that_was_edited_counts_and_that_is_said(
    edited: str, serve: Serve, doors: Doors, installation: Installation
) -> None:
    installation.install("1.0", {edited: "# edited"})
    door = doors("tcp")
    server = serve("wsgi:echo", binds=[door], env=installation.environment)

    assert get(door, "/hello").text == "hello"
    assert server.status()["code"] == "pure"
    assert server.log.count(f"forkful.{edited[:-3].replace('/', '.')}") == 1


def test_an_upgrade_changes_what_serves(serve: Serve, doors: Doors, installation: Installation) -> None:
    door = doors("tcp")
    server = serve("wsgi:echo", binds=[door], env=installation.environment)
    assert server.status()["code"] == "compiled"

    installation.install("2.0", {"worker/http/fields.py": "# edited"})
    assert server.run("upgrade", "--wait").returncode == 0
    assert (server.status()["code"], get(door, "/hello").text) == ("pure", "hello")

    installation.install("3.0")
    assert server.run("upgrade", "--wait").returncode == 0
    assert (server.status()["code"], get(door, "/hello").text) == ("compiled", "hello")
