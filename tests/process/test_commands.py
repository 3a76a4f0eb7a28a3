"""Programs that the master runs: what they are told, as whom they run, and how they are bounded."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit import passable
from tests.kit.app import App
from tests.kit.door import Door
from tests.kit.server import Server
from tests.kit.wait import gone

TELL = """["sh", "-c", '''
cat  # of /dev/null
echo "told $FORKFUL_EVENT"
echo "$FORKFUL_EVENT/$FORKFUL_RESULT/$FORKFUL_POOL/$FORKFUL_PID/$FORKFUL_COUNT/$FORKFUL_REASON" >$EVENTS''']"""
EVENTS = ("on_ready", "on_reload", "on_worker_lost", "on_stop")


def lines(**commands: str) -> str:
    return "".join(f"{name} = {command}\n" for name, command in commands.items())


def ran(server: Server, event: str, result: str) -> float:
    return server.metrics().sum("forkful_commands_total", event=event, result=result)


def test_each_event_is_told_to_its_program(serve: Serve, doors: Callable[[str], Door], app: App) -> None:
    door = doors("tcp")
    config = (
        f'[master]\n{lines(**dict.fromkeys(EVENTS, TELL))}[pool.main]\nhandler = "{app.handler}"\nbind = "{door.url}"\n'
    )
    server = serve(config=config, binds=[door], cwd=app.folder)
    server.may_log_tracebacks = True
    assert server.events.next() == f"on_ready/success//{server.pid}/1/"
    (worker,) = server.workers().values()
    server.kill(worker)
    assert server.events.next() == f"on_worker_lost//main/{worker}/1/signal"
    server.wait_for_workers(1)
    assert server.reload().returncode == 0
    assert server.events.next() == f"on_reload/success//{server.pid}/1/"
    app.write("raise ValueError('two\\nlines')\n")
    assert server.reload().returncode == 1
    assert server.events.expect("on_reload/failure//").endswith("ValueError: two lines")
    server.wait_until(lambda: ran(server, "on_reload", "success") == 2, what="the end of the program")
    assert ran(server, "on_worker_lost", "success") == 1
    server.signal(SIGTERM)
    assert server.events.next() == f"on_stop/graceful//{server.pid}/1/SIGTERM"
    assert server.wait_exit() == 0
    assert all(f"told {event}" in server.log for event in EVENTS)


def test_a_crash_loop_runs_one_program_at_a_time_and_what_hangs_is_killed(
    serve: Serve, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    hang = '["sh", "-c", "echo $$ $FORKFUL_COUNT >$EVENTS; sleep 600 & sleep 600"]'
    config = (
        f"[master]\ngraceful_timeout = 1\ncommand_timeout = 5\n{lines(on_worker_lost=hang, on_stop=hang)}"
        f'[pool.main]\nhandler = "classic:EchoHandler"\nbind = "{door.url}"\nworkers = 4\n'
    )
    server = serve(config=config, binds=[door])
    victim, *others = server.workers().values()
    server.kill(victim)
    first, count = server.events.next().split()
    for worker in others:
        server.kill(worker)
    server.wait_until(lambda: ran(server, "on_worker_lost", "merged") == 2, what="three deaths that are told together")
    assert count == "1"
    assert server.log.count("its program still runs") == 1
    gone(int(first))
    second, count = server.events.next().split()
    assert count == "3"
    assert not running("sleep 600", int(first)), "the whole group was killed"
    assert ran(server, "on_worker_lost", "timeout") == 1
    server.signal(SIGTERM)
    server.events.next()
    assert server.wait_exit() == 0, "after graceful_timeout, whatever programs do"
    assert not running("sleep 600", int(second))


def running(command: str, group: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            if words == command and os.getpgid(int(entry.name)) == group:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_an_upgrade_leaves_a_program_its_deadline(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    config = (
        f'[master]\ncommand_timeout = 12\non_ready = "sleep 601"\n'
        f'[pool.main]\nhandler = "classic:EchoHandler"\nbind = "{door.url}"\n'
    )
    server = serve(config=config, binds=[door])
    server.usr2()
    server.wait_until(lambda: ran(server, "on_ready", "timeout") == 1, what="its end")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that any user may enter and write."""
    folder = Path(tempfile.mkdtemp(prefix="forkful-commands-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_programs_run_as_the_workers_user_unless_root_is_said(serve: Serve, open_folder: Path) -> None:
    said = f'["sh", "-c", "id -u >{open_folder}/$FORKFUL_EVENT"]'
    pool = '[pool.main]\nhandler = "forkful.handlers.echo:EchoStream"\nbind = "tcp://127.0.0.1:0"\n'
    config = f"[master]\nuser = 54321\n{lines(on_ready=said, on_reload=said)}{pool}"
    server = serve(config=config, binds=[], cwd=Path("/"), wrapper=passable.wrapper())
    server.wait_until(lambda: ran(server, "on_ready", "success") == 1, what="the end of the program")
    assert (open_folder / "on_ready").read_text() == "54321\n"
    server.configure(config.replace("[master]", '[master]\ncommand_user = "root"'))
    assert server.reload().returncode == 0
    server.wait_until(lambda: ran(server, "on_reload", "success") == 1, what="the end of the program")
    assert (open_folder / "on_reload").read_text() == "0\n"
