"""Between the installation of another version and the upgrade to it nobody runs a mixture of the two."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, read_all
from tests.kit.installation import Installation
from tests.kit.web import get

Doors = Callable[[str], Door]

ROOT = Path(__file__).parent.parent.parent
#: None of the next version's modules gets along with those of the first, whichever is imported.
INCOMPATIBLE = {
    str(path.relative_to(ROOT)): "raise RuntimeError('a module of version 2 in a process of version 1')"
    for folder in ("conf", "handlers", "worker", "master")
    for path in (ROOT / folder).rglob("*.py")
}
HANDLERS = {
    "classic:EchoHandler": ("--preload",),
    "forkful.handlers.echo:EchoStream": ("--threads", "3"),
    "loops:echo": (),
    "loops:Echo": ("--event-loop", "asyncio", "--preload"),
    "wsgi:echo": ("--preload",),
    "wsgi:echo ": ("--threads", "3"),
    "asgi:echo": ("--preload",),
    "asgi:echo ": (),
}


@pytest.mark.parametrize(("handler", "flags"), HANDLERS.items(), ids=HANDLERS)
def test_whatever_is_killed_comes_back_as_the_version_that_runs(
    handler: str,
    flags: tuple[str, ...],
    serve: Serve,
    doors: Doors,
    installation: Installation,
) -> None:
    door, handler = doors("tcp"), handler.strip()
    server = serve(handler, *flags, binds=[door], env=installation.environment)

    def asked() -> str:
        if "sgi" in handler:
            return get(door, "/hello").text
        with door.connect() as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            return read_all(client).decode()

    first = server.workers()[0]
    installation.install("2.0", INCOMPATIBLE)
    server.kill(first)
    second = server.wait_for_workers(1, besides=[first])[0]
    assert asked() == "hello"

    mold = server.child("mold")
    server.kill(mold)
    server.wait_until(lambda: server.child("mold") != mold, what="another mold")
    server.kill(second)
    server.wait_for_workers(1, besides=[first, second])
    assert asked() == "hello"

    admin = server.child("admin")
    server.kill(admin)
    server.wait_until(lambda: server.child("admin") != admin, what="another admin child")
    assert server.status()["version"] == "1.0"
    assert server.metrics().sum("forkful_worker_starts_total") == 3
    assert "version 2" not in server.log

    installation.install("3.0")
    upgrade = server.run("upgrade", "--wait")
    assert upgrade.returncode == 0, upgrade.stderr
    assert (asked(), server.status()["version"]) == ("hello", "3.0")
