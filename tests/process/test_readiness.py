"""/readyz: ready while every pool can serve, whatever else goes on."""

from collections.abc import Callable
from signal import SIGTTIN

from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.server import Server
from tests.process.test_start_interrupted import slow

Doors = Callable[[str], Door]


def is_ready(server: Server) -> bool:
    return server.admin.get("/readyz")[0] == 200


def test_pool_stays_ready_while_it_heals_grows_and_shrinks(serve: Serve, app: App) -> None:
    server = serve(slow(app), "--workers", "2", cwd=app.folder, ready=False)
    server.events.let_through(2)
    server.wait_ready()
    server.kill(server.workers()[0])
    server.wait_until(lambda: len(server.workers()) == 1, what="one worker")
    assert is_ready(server), "one is missing"
    server.events.let_through()
    server.wait_for_workers(2)
    server.signal(SIGTTIN)
    server.wait_until(lambda: server.pool()["target"] == 3, what="a higher target")
    assert is_ready(server), "it grows"
    server.events.let_through()
    server.wait_for_workers(3)
    assert server.run("scale", "main", "1").returncode == 0
    assert is_ready(server), "it shrinks"
    server.wait_for_workers(1)
    server.now_holds_more()


def test_pool_that_is_scaled_to_nothing_is_not_ready(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--workers", "2")
    assert server.run("scale", "main", "0").returncode == 0
    assert not is_ready(server)
    assert server.run("scale", "main", "1").returncode == 0
    server.wait_until(lambda: is_ready(server), what="a ready worker")
