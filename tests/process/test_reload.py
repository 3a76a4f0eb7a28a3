"""A reload is a transaction: the new generation is whole before the old one is touched, and nothing is lost."""

from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door, door_of
from tests.kit.load import Load

Doors = Callable[[str], Door]

MANY = 8  # reloads one after the other; the bench (`chaos`, `flows`) has more


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker imports", "preload"])
def test_hup_serves_the_new_code(preload: tuple[str, ...], serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--workers", "2", *preload, binds=[door], cwd=app.folder)
    before = server.workers()
    app.echo(suffix=b" two")
    server.hup()

    assert [door.ask(b"version") for _ in range(6)] == [b"version two"] * 6
    after = server.wait_for_workers(2, besides=list(before.values()))
    assert set(after) == set(before), "the same slots"
    assert server.status()["generation"] == 2


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_old_code_answers_nobody_once_the_reload_is_over(
    kind: str, threads: str, serve: Serve, doors: Doors, app: App
) -> None:
    door = doors(kind)
    server = serve(app.handler, "--workers", "2", "--preload", "--threads", threads, binds=[door], cwd=app.folder)
    for version in range(6):
        app.echo(suffix=b" %d" % version)
        server.hup()
        assert door.ask(b"version") == b"version %d" % version


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_reloads_under_load_lose_nothing(kind: str, serve: Serve, doors: Doors) -> None:
    door = doors(kind)
    handler = "classic:DatagramEcho" if kind == "udp" else "classic:EchoHandler"
    server = serve(handler, "--workers", "2", "--preload", binds=[door])
    with Load(door) as load:
        load.more(10)
        for _ in range(MANY):
            server.hup()
        load.more(10)

    metrics = server.metrics_at_rest()
    assert server.status()["generation"] == 1 + MANY
    assert metrics.sum("forkful_reloads_total", result="success") == MANY
    assert metrics.sum("forkful_requests_total", pool="main") == load.ok, "every request was counted, once"


def test_reload_wait_returns_when_the_new_generation_serves(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--workers", "2", binds=[door], cwd=app.folder)
    app.echo(suffix=b" two")
    result = server.reload()

    assert result.returncode == 0, result.stderr
    assert door.ask(b"version") == b"version two"


def test_connection_in_progress_is_finished_by_the_old_worker(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--workers", "1", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        old = int(server.events.expect("started").split()[1])
        server.hup()
        assert door.ask(b"meanwhile") == b"meanwhile", "the new worker serves while the old one finishes"
        server.events.let_through()
        assert client.recv(10) == b"wait"
    assert server.wait_for_workers(1, besides=[old])


def test_second_hup_during_a_reload_is_not_forgotten(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    server = serve(app.handler, "--workers", "2", binds=[door], cwd=app.folder)
    server.signal(SIGHUP)
    server.wait_for(lambda record: record.get("RELOADING") == "1", what="RELOADING=1")
    app.echo(suffix=b" late")
    server.hup()

    def late() -> bool:
        return door.ask(b"version") == b"version late"

    server.wait_until(late, what="the code of the second HUP")


# -- settings ----------------------------------------------------------------------------------------------------------


def config(*binds: str, workers: int = 2, handler: str = "classic:EchoHandler") -> str:
    return f'[pool.main]\nhandler = "{handler}"\nbind = {list(binds)}\nworkers = {workers}\n'.replace("'", '"')


def test_unchanged_address_keeps_its_very_socket(serve: Serve) -> None:
    server = serve(binds=[], config=config("tcp://127.0.0.1:0"))
    (url,) = server.listeners()
    inodes = server.listening_inodes()
    server.configure(config("tcp://127.0.0.1:0", workers=3))
    with Load(door_of(url)) as load:
        load.more(10)
        server.hup()
        server.wait_for_workers(3)
        load.more(10)
    assert server.listening_inodes() == inodes
    server.now_holds_more()


def test_address_is_added_and_another_removed_and_the_kept_one_loses_nothing(serve: Serve, tmp_path: Path) -> None:
    kept, gone, new = (str(tmp_path / f"{name}.sock") for name in ("kept", "gone", "new"))
    server = serve(binds=[], config=config(f"unix://{kept}", f"unix://{gone}"))
    assert door_of(f"unix://{gone}").ask(b"x") == b"x"
    server.configure(config(f"unix://{kept}", f"unix://{new}"))
    with Load(door_of(f"unix://{kept}")) as load:
        load.more(10)
        server.hup()
        load.more(10)

    assert door_of(f"unix://{new}").ask(b"x") == b"x"
    server.wait_until(lambda: not Path(gone).exists(), what="the removed address is gone")
    assert server.listeners() == [f"unix://{kept}", f"unix://{new}"]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_one_listener_or_several_is_waited_for_well_whatever_it_was_before(
    before: int, after: int, serve: Serve, tmp_path: Path
) -> None:
    """A lane blocks on one listener and polls several; whether a socket blocks is the open file's, so all workers'."""
    urls = [f"unix://{tmp_path}/{number}.sock" for number in range(2)]
    server = serve(binds=[], config=config(*urls[:before]))
    server.configure(config(*urls[:after]))
    with Load(door_of(urls[0])) as load:
        load.more(10)
        server.hup()
        server.wait_for_workers(2)
        load.more(10)
    assert [door_of(url).ask(b"x") for url in urls[:after]] == [b"x"] * after
    server.wait_until_idle()
    server.now_holds_more()


def test_pool_is_added_and_another_removed(serve: Serve, tmp_path: Path) -> None:
    def pool(name: str) -> str:
        return f'[pool.{name}]\nhandler = "classic:EchoHandler"\nbind = ["unix://{tmp_path}/{name}.sock"]\n'

    server = serve(binds=[], config=pool("one") + pool("two"))
    untouched = server.workers("one")
    server.configure(pool("one") + pool("three"))
    server.hup()

    assert door_of(f"unix://{tmp_path}/three.sock").ask(b"x") == b"x"
    server.wait_until(lambda: not (tmp_path / "two.sock").exists(), what="the removed pool's socket is gone")
    assert [entry["name"] for entry in server.status()["pools"]] == ["one", "three"]
    assert set(server.workers("one")) == set(untouched)


def test_settings_of_workers_change_with_a_reload(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    url = door.url
    server = serve(binds=[door], config=config(url, workers=1))
    server.configure(config(url, workers=3, handler="classic:PidHandler"))
    server.hup()
    workers = server.wait_for_workers(3)

    assert int(door.ask(b"who")) in workers.values()
    server.now_holds_more()


def test_many_reloads_leave_no_descriptor_behind_in_any_process(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "2", binds=[door])
    server.hup()
    server.wait_for_workers(2)

    def counts() -> list[int]:
        kinds = [server.pid, server.child("admin"), *server.workers().values()]
        return [len(processes.descriptors(pid)) for pid in kinds]

    before = counts()
    for _ in range(MANY):
        server.hup()
    server.wait_for_workers(2)
    server.wait_until(lambda: counts() == before, what=f"as many descriptors as before: {before}")
