"""With `preload` a worker has all its code from the mold: what it imported itself would be memory of its own."""

from collections.abc import Callable

import pytest

from tests.conftest import Serve
from tests.kit.door import Door

Doors = Callable[[str], Door]
ROOT = ("--root-path", "/app")
LOGGED = ("--access-log", "-")


@pytest.mark.parametrize(
    ("handler", "flags"),
    [
        ("wsgi", ()),
        ("wsgi", ROOT),
        ("wsgi", LOGGED),
        ("wsgi", ("--event-loop", "asyncio")),
        ("asgi", ()),
        ("asgi", ROOT),
        ("asgi", LOGGED),
        ("coroutine", ()),
        ("coroutine", ("--event-loop", "asyncio")),
        ("Protocol", ()),
        ("Handler", ()),
        ("Handler", ("--threads", "4")),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each) or "plain",
)
def test_a_preloaded_worker_imports_nothing_more(
    handler: str, flags: tuple[str, ...], serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    serve(f"inherited:{handler}", "--preload", *flags, binds=[door])

    with door.connect() as client:
        client.sendall(b"GET /app/x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))

    assert answer.partition(b"since the fork:")[1:] == (b"since the fork:", b" ")
