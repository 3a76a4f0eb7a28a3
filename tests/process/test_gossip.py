"""Whatever a child says: the master survives it, tells of it once, and replaces the child."""

import contextlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP

import pytest

from tests.bench import hostile
from tests.conftest import Serve
from tests.kit.app import App
from tests.kit.door import Door

Doors = Callable[[str], Door]

NONSENSE = {
    "an unknown word": b'{"is":"Sing","song":"..."}\n',
    "another child's word": b'{"is":"CastDone","token":1,"pid":1}\n',
    "a field too many": b'{"is":"Ready","really":true}\n',
    "another type": b'{"is":"Retiring","reason":["shutdown"]}\n',
    "no JSON": b"hello, master\n",
    "no text": b"\xff\x00\xfe\n",
    "brackets": b"[" * 200_000 + b"\n",
    "many": b"0\n" * 5_000,
    "no end": b"0" * 2**22,
    "too much": b'{"is":"Draining"}\n' * 5_000,
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_worker_that_says_what_no_worker_says_is_told_of_once_and_replaced(
    said: bytes, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("gossip:Gossip", "--workers", "2", binds=[door])
    before = server.workers()
    with door.connect() as client:
        client.sendall(said)
        client.shutdown(1)
        with contextlib.suppress(ConnectionResetError):
            client.recv(100)
    server.wait_until(lambda: len({*server.workers().values()} - {*before.values()}) == 1, what="one worker replaced")
    workers = server.wait_for_workers(2)

    assert server.running
    assert server.log.count("does not understand") == 1
    assert server.metrics().sum("forkful_worker_exits_total", pool="main", reason="crash") == 1
    with door.connect() as client:
        client.shutdown(1)
        assert int(client.recv(100)) in workers.values()


#: In a module, while it is imported by a worker or by a mold.
RAVE = """
import gc
from forkful.worker.ipc.channel import Channel
for each in gc.get_objects():
    if isinstance(each, Channel) and not each.closed:
        each.sock.sendall(b"0\\n")
"""


def test_worker_that_says_it_before_it_is_ready_fails_its_boot(serve: Serve, app: App) -> None:
    server = serve(app.handler, "--workers", "1", cwd=app.folder)
    before = server.workers()
    app.write(RAVE + app.path.read_text())
    reload = server.reload()

    assert reload.returncode == 1
    assert "does not understand" in reload.stderr
    assert server.workers() == before


def test_mold_that_says_what_no_mold_says_is_told_of_once_and_replaced(serve: Serve, app: App) -> None:
    server = serve(app.handler, "--preload", cwd=app.folder)
    app.write(
        "import os\nif os.path.exists('rave'):\n    os.unlink('rave')\n"
        f"{textwrap.indent(RAVE, '    ')}{app.path.read_text()}"
    )
    server.hup()
    (app.folder / "rave").touch()
    mold = server.child("mold gen=2")  # that of generation 1 may be there still
    server.kill(mold)
    server.wait_for_log("does not understand")
    server.wait_until(lambda: server.child("mold") not in (0, mold), what="another mold")

    assert server.log.count("does not understand") == 1
    assert server.workers()


def test_mold_that_names_somebody_elses_process_as_its_worker_harms_nobody(serve: Serve, app: App) -> None:
    """Its module is imported in it, and knows the channel and what will be asked."""
    server = serve(app.handler, "--preload", cwd=app.folder)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        lie = f"messages.CastDone = lambda token, pid, said=messages.CastDone: said(token, {other.pid})\n"
        app.write(f"from forkful.worker.ipc import messages\n{lie}{app.path.read_text()}")
        server.signal(SIGHUP)
        server.wait_for_log("is no new child of this master")
        app.echo()
        server.wait_until(lambda: server.status()["phase"] == "RUNNING", what="the end of the reload")

        assert other.poll() is None, "it was not signalled"
        other.kill()


@pytest.mark.parametrize("value", [1, 257, 2**31, 2**62, 2**63])
def test_scoreboard_that_a_worker_has_filled_with_anything_ends_nobody(value: int, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("gossip:Poison", "--workers", "2", "--timeout", "0", binds=[door])
    before = [*server.workers().values()]
    with door.connect() as client:
        client.sendall(b"%d" % value)
        client.shutdown(1)
        client.recv(100)
    assert server.metrics().sum("forkful_workers", pool="main") > 0
    for pid in before:
        server.kill(pid)
    server.wait_for_workers(2, besides=before)

    assert server.metrics().sum("forkful_worker_exits_total", pool="main") == 2
    with door.connect() as client:
        client.shutdown(1)
        assert client.recv(100)
    assert server.reload().returncode == 0


def test_row_that_is_not_its_own_is_none_that_a_worker_can_write(serve: Serve, doors: Doors) -> None:
    """Of another pool say, whose workers would be taken for stuck, or would accept nobody."""
    door, other = doors("tcp"), doors("tcp")
    server = serve(
        binds=[door, other],
        config=f'[pool.bad]\nhandler = "gossip:Vandal"\nbind = "{door.url}"\n'
        f'[pool.good]\nhandler = "classic:EchoHandler"\nbind = "{other.url}"\n',
    )
    before = server.workers("good")
    with door.connect() as client:
        client.sendall(b"write")
        client.shutdown(1)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b"", "it died of it"
    server.wait_for_workers(1, pool="bad")

    assert server.metrics().sum("forkful_worker_exits_total", pool="bad", reason="crash") == 1
    assert server.metrics().sum("forkful_requests_total", pool="good") == 0
    assert server.workers("good") == before
    with door.connect() as client:
        client.sendall(b"how")
        client.shutdown(1)
        said = client.recv(100)
    assert b"mprotect" not in said
    assert b"mmap" not in said


def test_worker_that_is_hostile_by_dice_ends_nobody(tmp_path: Path) -> None:
    assert hostile.play(tmp_path, seed=7, deeds=25) == []
