"""The master has no descriptor left: what it cannot start it tries again, a reload fails, and nobody is served less."""

import os
import resource

import pytest

from tests.conftest import Serve
from tests.kit import processes
from tests.kit.door import Door, door_of
from tests.kit.load import Load
from tests.kit.server import Server
from tests.kit.wait import gone


def serving(serve: Serve) -> tuple[Server, Door]:
    """It binds for itself: what is handed down may have a number beyond the limit, and no limit is lower than that."""
    server = serve("classic:EchoHandler", "--workers", "2", "--bind", "tcp://127.0.0.1:0", binds=[])
    return server, door_of(server.listeners()[0])


def starve(server: Server, spare: int = 0) -> None:
    """Let the master open so many more descriptors and no others."""
    taken = processes.descriptors(server.pid)
    free = [number for number in range(len(taken) + spare + 1) if number not in taken]
    limit_to(server, free[spare])


def limit_to(server: Server, soft: int) -> None:
    hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("victim", ["worker", "mold", "admin"])
def test_child_that_cannot_be_replaced_is_replaced_once_there_are_descriptors(victim: str, serve: Serve) -> None:
    server, door = serving(serve)
    server.metrics()
    pid = server.child(victim)
    starve(server)
    server.kill(pid)
    server.wait_for_log("Too many open files")
    with Load(door) as load:
        load.more(20)

    limit_to(server, 1000)
    server.wait_until(lambda: server.child(victim) != pid, what=f"another {victim}")
    server.wait_until(lambda: server.admin.path.exists() and server.metrics(), what="an admin child")
    server.wait_for_workers(2, besides=[pid])


@pytest.mark.parametrize(("command", "spares"), [("reload", (0, 2, 4, 5)), ("upgrade", (4, 5))])
def test_reload_or_upgrade_that_gets_no_descriptor_says_so_and_changes_nothing(
    command: str, spares: tuple[int, ...], serve: Serve
) -> None:
    server, door = serving(serve)
    said = []
    with Load(door) as load:
        for spare in spares:
            starve(server, spare)
            result = server.run(command, "--wait")
            said.append(result.stderr)
            assert "Too many open files" in result.stderr or result.returncode == 0, result.stderr
            limit_to(server, 1000)
            server.wait_for_workers(2)
        load.more(20)
    assert said[0], "with so few it fails"
    assert server.run(command, "--wait").returncode == 0


def test_worker_whose_mold_gets_no_descriptor_is_cast_once_there_are_some(serve: Serve) -> None:
    server, _ = serving(serve)
    mold = server.child("mold")
    taken = processes.descriptors(mold)
    first = next(number for number in range(len(taken) + 1) if number not in taken)
    hard = resource.prlimit(mold, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(mold, resource.RLIMIT_NOFILE, (first + 2, hard))  # the lifeline, and half a pipe
    (victim, _) = server.workers().values()
    before = len(taken)
    os.kill(victim, 9)
    gone(victim)
    server.wait_for_log("cannot fork: [Errno 24]", count=2)
    assert len(processes.descriptors(mold)) == before, "nothing is left of what failed"

    resource.prlimit(mold, resource.RLIMIT_NOFILE, (1000, hard))
    server.wait_for_workers(2, besides=[victim])
