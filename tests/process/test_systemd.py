"""What a service manager hears and gives, against one that implements its protocol: sd_notify(3), sd_listen_fds(3)."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.app import App
from tests.kit.door import Door, door_of
from tests.kit.manager import kept, starting_with
from tests.kit.notify import Record
from tests.kit.server import APPS, Server
from tests.kit.wait import TooLateError, until

Doors = Callable[[str], Door]


def says(**wanted: str) -> Callable[[Record], bool]:
    return lambda record: wanted.items() <= record.items()


# -- notifications -----------------------------------------------------------------------------------------------------


def test_ready_is_said_only_when_every_pool_has_all_its_workers(serve: Serve, app: App) -> None:
    app.write(
        "import os, pathlib\npathlib.Path(os.environ['GATE']).open('rb', buffering=0).read(1)\n" + app.path.read_text()
    )
    text = "".join(
        f'[pool.{name}]\nhandler = "{handler}"\nbind = ["tcp://127.0.0.1:0"]\nworkers = 2\n'
        for name, handler in (("quick", "forkful.handlers.echo:EchoStream"), ("slow", app.handler))
    )
    server = serve(binds=[], config=text, cwd=app.folder, ready=False)
    server.wait_for_log("worker quick[0]")
    server.events.let_through(1)
    server.wait_for_log("worker slow[")
    assert not any("READY" in record for record in server.notifications.collect())
    server.events.let_through(1)
    server.wait_ready()
    assert server.log.count("ready after") == 4
    server.wait_for(says(STATUS="serving"), what="a STATUS in words")


def test_reload_is_told_with_the_time_of_its_beginning_and_its_end(serve: Serve) -> None:
    server = serve("classic:EchoHandler")
    before = time.monotonic_ns() // 1000
    server.signal(SIGHUP)
    record = server.wait_for(says(RELOADING="1"), what="RELOADING=1")
    assert before <= int(record["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    server.wait_for(says(READY="1"), what="READY=1")


def test_reload_that_fails_is_over_too_and_the_status_says_why(serve: Serve, app: App) -> None:
    server = serve(app.handler, cwd=app.folder)
    server.may_log_tracebacks = True
    app.write("raise OSError('the database is away')\n")
    server.hup()
    record = server.wait_for(lambda record: "failed" in record.get("STATUS", ""), what="a STATUS that says so")
    assert "the database is away" in record["STATUS"]
    app.echo()
    server.hup()
    server.wait_for(says(STATUS="serving"), what="a STATUS that all is well")


def test_stop_is_told_with_the_time_it_may_take_and_what_is_missing(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--graceful-timeout", "40", "--drain-delay", "0.1", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        server.signal(SIGTERM)
        record = server.wait_for(says(STOPPING="1"), what="STOPPING=1")
        assert int(record["EXTEND_TIMEOUT_USEC"]) >= 40.1e6
        assert record["STATUS"] == "stopping"
        server.events.let_through()
        assert client.recv(10) == b"wait"
    assert server.wait_exit() == 0


def test_watchdog_is_fed_at_half_its_time_and_only_while_the_loop_turns(serve: Serve) -> None:
    server = serve("classic:EchoHandler", env={"WATCHDOG_USEC": "400000"})
    times = []
    for _ in range(4):
        server.wait_for(says(WATCHDOG="1"), what="WATCHDOG=1", within=2.0)
        times.append(time.monotonic())
    assert 0.1 < (times[-1] - times[0]) / 3 < 0.4

    server.signal(SIGSTOP)
    server.notifications.skip()
    with pytest.raises(TooLateError):
        server.wait_for(says(WATCHDOG="1"), what="WATCHDOG=1 of a master that is stopped", within=0.6)
    server.signal(SIGCONT)
    server.wait_for(says(WATCHDOG="1"), what="WATCHDOG=1", within=2.0)


def test_watchdog_for_another_process_is_none_of_ours(serve: Serve) -> None:
    server = serve("classic:EchoHandler", env={"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    with pytest.raises(TooLateError):
        server.wait_for(says(WATCHDOG="1"), what="WATCHDOG=1", within=0.5)


def test_watchdog_is_fed_on_after_an_upgrade(serve: Serve) -> None:
    server = serve("classic:EchoHandler", env={"WATCHDOG_USEC": "400000"})
    server.signal(SIGUSR2)
    server.wait_for_log("upgraded in place")
    server.notifications.skip()
    server.wait_for(says(WATCHDOG="1"), what="WATCHDOG=1", within=2.0)
    server.wait_for_log("upgrade: generation 2 serves")


# -- sockets -----------------------------------------------------------------------------------------------------------


def test_sockets_are_given_to_the_pools_of_their_names(serve: Serve, doors: Doors) -> None:
    sockets = {"two": doors("tcp"), "one": doors("tcp")}
    text = '[pool.one]\nhandler = "classic:EchoHandler"\n[pool.two]\nhandler = "classic:LineHandler"\n'
    serve(binds=list(sockets.values()), config=text, wrapper=starting_with(sockets))

    assert sockets["one"].ask(b"echo\n") == b"echo\n"
    with sockets["two"].connect() as client:
        client.sendall(b"upper\n")
        assert client.recv(100) == b"UPPER\n"


def config(tmp_path: Path, *more: str) -> str:
    binds = ["tcp://127.0.0.1:0", f"unix://{tmp_path}/kept.sock", *more]
    return (
        f'[pool.main]\nhandler = "stages:Staged"\nbind = {binds}\n'.replace("'", '"')
        + '[pool.dgram]\nhandler = "classic:DatagramEcho"\nbind = ["udp://127.0.0.1:0"]\n'
    )


def start_with_store(serve: Serve, text: str) -> Server:
    server = serve(binds=[], config=text, ready=False)
    server.notifications.keeps = True
    server.wait_ready()
    return server


def crash(server: Server) -> dict[str, Door]:
    """Kill the master; give what the manager has kept for its successor."""
    server.signal(SIGKILL)
    server.wait_exit()
    until(lambda: not processes.session(server.pid), what="an empty session", within=2.0)
    server.was_killed()
    store = server.notifications.store
    return {name: kept(store.pop(name)) for name in [*store]}


def test_queues_survive_a_crash_of_the_master_in_the_managers_store(serve: Serve, tmp_path: Path) -> None:
    text = config(tmp_path)
    first = start_with_store(serve, text)
    listeners = [door_of(url) for url in first.listeners()]
    (datagrams,) = [door_of(url) for url in first.listeners("dgram")]
    sockets = crash(first)
    assert len(sockets) == 3

    waiting = [door.connect() for door in (*listeners, datagrams)]
    for client in waiting:
        client.sendall(b"is anybody there")
    second = serve(binds=list(sockets.values()), config=text, wrapper=starting_with(sockets))
    for client in waiting:
        assert client.recv(100) == b"is anybody there"
        client.close()
    assert [door_of(url).address for url in second.listeners()] == [door.address for door in listeners]


def test_slots_of_peers_survive_a_crash_of_the_master_in_the_managers_store(serve: Serve) -> None:
    """With what waits in each of them, and each peer in its own."""
    text = '[pool.main]\nhandler = "flows:Lane"\nbind = ["udp://127.0.0.1:0"]\naffinity = "peer"\nworkers = 3\n'
    first = start_with_store(serve, text)
    (door,) = [door_of(url) for url in first.listeners()]
    with ExitStack() as stack:
        peers = [stack.enter_context(door.connect()) for _ in range(20)]
        before = [peer.send(b"1") and peer.recv(100).split()[1] for peer in peers]
        sockets = crash(first)
        assert len(sockets) == 3
        for peer in peers:
            peer.send(b"2")
        serve(binds=list(sockets.values()), config=text, wrapper=starting_with(sockets))
        heard = [peer.recv(100).split() for peer in peers]
    assert [answer[:2] for answer in heard] == [[b"2", inode] for inode in before]
    assert len(set(before)) == 3


def test_stored_socket_that_no_pool_has_any_more_is_closed_and_forgotten(serve: Serve, tmp_path: Path) -> None:
    first = start_with_store(serve, config(tmp_path, f"unix://{tmp_path}/old.sock"))
    sockets = crash(first)
    second = serve(binds=list(sockets.values()), config=config(tmp_path), wrapper=starting_with(sockets))
    removed = [record for record in second.notifications.collect() if "FDSTOREREMOVE" in record]
    assert ["old.sock" in record["FDNAME"] for record in removed] == [True]
    with pytest.raises(ConnectionRefusedError):
        door_of(f"unix://{tmp_path}/old.sock").connect()


def test_stored_unix_socket_whose_file_is_gone_is_bound_anew(serve: Serve, tmp_path: Path) -> None:
    text = config(tmp_path)
    sockets = crash(start_with_store(serve, text))
    (tmp_path / "kept.sock").unlink()
    second = serve(binds=list(sockets.values()), config=text, wrapper=starting_with(sockets))

    assert door_of(f"unix://{tmp_path}/kept.sock").ask(b"x") == b"x"
    said = [record for record in second.notifications.collect() if "kept.sock" in record.get("FDNAME", "")]
    words = [next(word for word in record if word != "FDNAME") for record in said]
    assert words == ["FDSTOREREMOVE", "FDSTORE"], "or the old one would be in the store beside the new, and come back"


def test_address_that_a_reload_removes_is_removed_from_the_store(serve: Serve, tmp_path: Path) -> None:
    server = start_with_store(serve, config(tmp_path, f"unix://{tmp_path}/old.sock"))
    assert len(server.notifications.store) == 4
    server.configure(config(tmp_path))
    server.hup()
    server.wait_for(says(FDSTOREREMOVE="1"), what="FDSTOREREMOVE=1")
    assert len(server.notifications.store) == 3


# -- other parents -----------------------------------------------------------------------------------------------------


def test_as_pid_1_it_reaps_strangers_orphans_and_still_knows_its_own(serve: Serve, doors: Doors, app: App) -> None:
    """In a pid namespace of its own, as in a container: whoever loses its parent becomes a child of the master."""
    app.write(
        "import os\nfrom socketserver import BaseRequestHandler\n"
        "class Handler(BaseRequestHandler):\n"
        "    def handle(self):\n"
        "        if self.request.recv(100) == b'orphan':\n"
        "            if os.fork() == 0:\n"
        "                if os.fork() == 0:\n"
        "                    os.read(os.open(os.environ['GATE'], os.O_RDONLY), 1)\n"
        "                    os._exit(3)\n"
        "                os._exit(0)\n"
        "            os.wait()\n"
        "        self.request.sendall(b'%d' % os.getpid())\n"
    )
    door = doors("tcp")
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    server = serve(app.handler, "-w", "2", binds=[door], cwd=app.folder, wrapper=inside)
    server.now_holds_more()
    assert "master pid=1," in server.log
    (master,) = [pid for pid in processes.session(server.pid) if processes.parent(pid) == server.pid]

    def children() -> int:
        """Zombies too, proc_pid_task_children(5)."""
        return len(Path(f"/proc/{master}/task/{master}/children").read_text().split())

    before = children()
    for _ in range(3):
        door.ask(b"orphan")
    assert children() == before + 3, "the orphans have a new parent"
    server.events.let_through(3)
    server.wait_until(lambda: children() == before, what="no orphan and no zombie")
    workers = server.workers()
    assert sorted(workers) == [0, 1]
    assert int(door.ask(b"who")) in workers.values()
    metrics = server.metrics()
    assert metrics.sum("forkful_worker_starts_total") == 2
    assert metrics.sum("forkful_worker_exits_total") == 0

    os.kill(master, SIGTERM)
    assert server.wait_exit() == 0


def test_as_pid_1_it_hears_a_stop_that_comes_before_its_handlers_are_there(serve: Serve, app: App) -> None:
    """The kernel drops a signal of the default disposition for process 1; whoever stops the container then waits."""
    app.write("from stages import *\ntell('imported')\nwait_at_the_gate()\nHandler = globals()['Staged']\n")
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    env = {"PYTHONPATH": str(APPS)}
    # The scheme is the handler's to say, and its source does not, so it is imported to read the settings.
    flags = ("--bind", "127.0.0.1:0")
    server = serve(app.handler, *flags, binds=[], cwd=app.folder, env=env, wrapper=inside, ready=False)
    server.events.expect("imported")
    assert "master pid=1," not in server.log
    (first,) = [pid for pid in processes.session(server.pid) if processes.parent(pid) == server.pid]
    os.kill(first, SIGTERM)
    assert server.wait_exit() == 0, "nothing serves yet, so it ends at once"
    assert "serving" not in server.log
