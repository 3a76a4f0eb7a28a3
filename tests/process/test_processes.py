"""The process tree as `ps` shows it, and what each process may and may not hold."""

import json
import sys
from collections.abc import Callable

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door

Doors = Callable[[str], Door]


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker imports", "preload"])
def test_titles_say_who_is_who(preload: tuple[str, ...], serve: Serve, doors: Doors) -> None:
    server = serve("classic:EchoHandler", "--workers", "2", *preload, binds=[doors("tcp")])

    expected = [
        "forkful: admin",
        "forkful: master",
        "forkful: mold gen=1",
        "forkful: worker main[0] gen=1",
        "forkful: worker main[1] gen=1",
    ]
    server.wait_until(lambda: sorted(processes.session(server.pid).values()) == expected, what=f"the titles {expected}")
    server.hup()
    server.wait_until(
        lambda: (
            sorted(processes.session(server.pid).values()) == [title.replace("gen=1", "gen=2") for title in expected]
        ),
        what="the same of generation 2",
    )


def test_name_is_the_first_word_of_the_titles(serve: Serve, doors: Doors) -> None:
    server = serve("classic:EchoHandler", "--name", "parcels", binds=[doors("tcp")])

    titles = processes.session(server.pid).values()
    assert all(title.startswith("parcels: ") for title in titles), titles


def test_workers_are_children_of_the_master(serve: Serve, doors: Doors) -> None:
    server = serve("classic:EchoHandler", "--workers", "3", binds=[doors("tcp")])

    assert {processes.parent(pid) for pid in server.workers().values()} == {server.pid}
    assert processes.parent(server.child("admin")) == server.pid


def test_user_code_is_never_imported_by_the_master_or_the_admin_child(serve: Serve, app: App) -> None:
    app.write(
        app.path.read_text()
        + "import os\nfrom pathlib import Path\n"
        + "with Path(os.environ['EVENTS']).open('a') as events:\n    events.write(f'imported {os.getpid()}\\n')\n"
    )
    server = serve(app.handler, "--workers", "2", cwd=app.folder)
    importers = {int(server.events.expect("imported").split()[1]) for _ in range(2)}

    assert importers == set(server.workers().values())


def test_preload_imports_once_in_the_mold(serve: Serve, app: App) -> None:
    app.write(
        app.path.read_text()
        + "import os\nfrom pathlib import Path\n"
        + "with Path(os.environ['EVENTS']).open('a') as events:\n    events.write(f'imported {os.getpid()}\\n')\n"
    )
    server = serve(app.handler, "--workers", "2", "--preload", cwd=app.folder)
    assert int(server.events.next().split()[1]) == server.child("mold")

    victim = server.workers()[0]
    server.kill(victim)
    server.wait_for_workers(2, besides=[victim])
    server.hup()
    assert int(server.events.next().split()[1]) == server.child("mold gen=2"), "the next import is that of the reload"


def test_mold_that_starts_a_thread_is_reported(serve: Serve, app: App) -> None:
    app.write(
        app.path.read_text()
        + "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    server = serve(app.handler, "--preload", cwd=app.folder)

    assert any("thread" in line and "WARNING" in line for line in server.log.splitlines()), server.log


def test_auto_is_what_affinity_and_cgroup_allow_and_the_log_says_how(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--workers", "auto", wrapper=["taskset", "--cpu-list", "0"])

    assert len(server.workers()) == 1
    assert "affinity" in server.log


def test_web_concurrency_sets_the_workers_that_nobody_else_sets(serve: Serve) -> None:
    assert len(serve("classic:EchoHandler", env={"WEB_CONCURRENCY": "3"}).workers()) == 3
    assert len(serve("classic:EchoHandler", "-w", "2", env={"WEB_CONCURRENCY": "3"}).workers()) == 2


def test_port_in_the_environment_is_listened_on_when_nobody_says_where(serve: Serve) -> None:
    server = serve("classic:EchoHandler", binds=[], env={"PORT": "0"})
    (url,) = server.listeners()

    assert not url.endswith(":0")
    assert not url.endswith(":8000")


@pytest.mark.parametrize("threads", ["1", "4"])
def test_worker_holds_no_descriptor_that_is_not_its_own(threads: str, serve: Serve, doors: Doors) -> None:
    server = serve("classic:EchoHandler", "--workers", "3", "--threads", threads, binds=[doors("tcp")])
    listeners = server.listening_inodes()
    own = [processes.sockets(pid) - listeners for pid in server.workers().values()]

    assert len(listeners) == 1
    assert not own[0] & own[1] & own[2], "a lifeline that several hold never ends"
    assert not any(a & b for n, a in enumerate(own) for b in own[n + 1 :])


def test_descriptors_are_not_inherited_by_what_a_handler_runs(serve: Serve, doors: Doors, app: App) -> None:
    door = doors("tcp")
    app.write(
        "import subprocess\nfrom socketserver import BaseRequestHandler\n"
        "class Handler(BaseRequestHandler):\n"
        "    def handle(self):\n"
        "        self.request.recv(100)\n"
        "        out = subprocess.run(['ls', '/proc/self/fd'], close_fds=False, capture_output=True).stdout\n"
        "        self.request.sendall(out)\n"
    )
    serve(app.handler, binds=[door], cwd=app.folder)

    assert {int(fd) for fd in door.ask(b"which").split()} <= {0, 1, 2, 3}, "only ls' own"


MANY = """
import os, sys
for _ in range(1100):
    os.dup(0)
for fd in range(3, 1100):
    os.set_inheritable(fd, True)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_descriptors_beyond_those_that_select_knows_are_no_trouble(threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--threads", threads, binds=[door], wrapper=[sys.executable, "-c", MANY])
    assert max(processes.descriptors(server.child("mold"))) > 1023
    assert door.ask(b"served") == b"served"
    worker = server.workers()[0]
    server.kill(worker)
    server.wait_for_workers(1, besides=[worker])
    server.hup()
    assert server.reload().returncode == 0
    assert server.run("stacks").returncode == 0
    server.wait_for_log("stacks of")


def test_log_as_json_is_one_object_per_line(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("faulty:Faulty", "--log-format", "json", binds=[door])
    door.ask(b"raise")
    server.wait_for_log("LookupError")
    server.may_log_tracebacks = True

    records = [json.loads(line) for line in server.log.splitlines()]
    assert all(isinstance(record, dict) and "message" in record for record in records)


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize(
    ("kinds", "handler"), [(["tcp"], "EchoHandler"), (["udp"], "DatagramEcho"), (["tcp", "unix"], "EchoHandler")]
)
def test_idle_service_wakes_for_nothing(
    kinds: list[str], handler: str, threads: str, serve: Serve, doors: Doors
) -> None:
    own = [doors(kind) for kind in kinds]
    server = serve(f"classic:{handler}", "--workers", "2", "--threads", threads, binds=own)
    for door in own:
        assert door.ask(b"x") == b"x"

    server.wait_until_idle()
