"""An upgrade in place: process id, sockets and counters stay, everything else is new, and nothing is lost."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.installation import Installation
from tests.kit.load import Load
from tests.kit.server import Server

Doors = Callable[[str], Door]
REQUESTS = "forkful_requests_total"


def config(url: dict[str, str], **keys: object) -> str:
    """A pool for each kind of socket."""
    more = "".join(f"{key} = {str(value).lower()}\n" for key, value in keys.items())
    return "".join(
        f'[pool.{kind}]\nhandler = "classic:{"DatagramEcho" if kind == "udp" else "EchoHandler"}"\n'
        f'bind = ["{url[kind]}"]\nworkers = 2\n{more}'
        for kind in url
    )


def wait_for_version(server: Server, version: str) -> None:
    server.wait_until(lambda: server.status()["version"] == version, what=f"version {version}")


def test_upgrades_under_load_keep_the_process_id_and_lose_nothing(
    serve: Serve, doors: Doors, installation: Installation
) -> None:
    opened = {kind: doors(kind) for kind in ("tcp", "udp", "unix")}
    text = config({kind: door.url for kind, door in opened.items()}, preload=True)
    server = serve(binds=list(opened.values()), config=text, env=installation.environment)
    last = server.metrics().counters()
    with ExitStack() as stack:
        loads = {kind: stack.enter_context(Load(door, clients=1)) for kind, door in opened.items()}
        for number in range(1, 5):
            installation.install(f"1.{number}")
            server.usr2()
            wait_for_version(server, f"1.{number}")
            now = server.metrics().counters()
            fallen = {key: (value, now.get(key)) for key, value in last.items() if now.get(key, -1) < value}
            assert not fallen
            last = now
            for load in loads.values():
                load.more(5)

    assert server.running, "the process that was started is the master still"
    metrics = server.metrics()
    assert metrics.sum("forkful_upgrades_total", result="success") == 4
    assert {kind: metrics.sum(REQUESTS, pool=kind, outcome="ok") for kind in loads} == {
        kind: load.ok for kind, load in loads.items()
    }
    for kind in loads:
        starts = metrics.sum("forkful_worker_starts_total", pool=kind)
        exits = metrics.sum("forkful_worker_exits_total", pool=kind)
        assert starts - exits == len(server.wait_for_workers(2, pool=kind))


# -- upgrades that fail ------------------------------------------------------------------------------------------------

HANG = "import threading\nthreading.Event().wait()"
FAST = ("--boot-timeout", "0.7")
BROKEN = {
    "it does not import": ({"conf/__init__.py": "import no_such_module_anywhere"}, "no_such_module_anywhere"),
    "its master does not import": (
        {"master/system/spawn.py": "import no_such_module_anywhere"},
        "no_such_module_anywhere",
    ),
    "it refuses the settings": (
        {
            "conf/__init__.py": "import sys\n"
            "if 'forkful.conf.reader' in sys.orig_argv: sys.exit('there is no such flag')"
        },
        "there is no such flag",
    ),
    "it takes another hand-over": ({"master/supervisor/handover.py": "VERSION = 99"}, "99"),
    "its records have another field": (
        {
            "master/model/fleet.py": "from dataclasses import field\n"
            "@dataclass(frozen=True, slots=True)\nclass Worker(Worker):\n    weight: int = field(kw_only=True)"
        },
        "has no weight",
    ),
    "its scoreboard is another": (
        {"worker/ipc/scoreboard.py": "BUSY, SENT = SENT, BUSY\nLAYOUT |= {'busy': BUSY, 'sent': SENT}"},
        "scoreboard of the running version and of this one differ (busy, sent)",
    ),
    "its messages are others": (
        {
            "worker/ipc/messages.py": "@dataclass(frozen=True, slots=True)\nclass Drain:\n    patience: float\n"
            "TO_WORKER = Vocabulary(Drain, Reopen, Stacks)"
        },
        "messages of the running version and of this one differ (Drain to a worker",
    ),
    "its canary dies": ({"worker/main.py": "def run(*_):\n    os._exit(7)"}, "exit code 7"),
    "its canary cannot load the handler": (
        {"worker/main.py": "def load(_):\n    raise LookupError('no handlers here')"},
        "no handlers here",
    ),
    "its canary hangs": ({"worker/main.py": f"def run(*_):\n    {HANG.replace(chr(10), '; ')}"}, "boot_timeout"),
    "its mold hangs": (
        {"master/supervisor/mold.py": f"def _hang(*_):\n    {HANG.replace(chr(10), '; ')}\nMold.run = _hang"},
        "boot_timeout",
    ),
    "it hangs": (
        {
            "master/__init__.py": "import sys\n"
            f"if 'forkful.master.main' in sys.orig_argv:\n    {HANG.replace(chr(10), '; ')}"
        },
        "was not back in time",
    ),
}


@pytest.mark.parametrize(("changes", "word"), BROKEN.values(), ids=BROKEN)
def test_upgrade_that_is_broken_changes_nothing_and_says_why(
    changes: dict[str, str], word: str, serve: Serve, doors: Doors, installation: Installation
) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "2", *FAST, binds=[door], env=installation.environment)
    server.may_log_tracebacks = True
    workers = server.workers()
    installation.install("2.0", changes)
    with Load(door) as load:
        result = server.run("upgrade", "--wait")
        load.more(10)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert word in said
    assert word in server.log
    assert server.status()["version"] == "1.0"
    assert server.workers() == workers, "no worker was touched"
    assert server.metrics().sum("forkful_upgrades_total", result="failure") == 1

    installation.install("3.0")
    result = server.run("upgrade", "--wait")
    assert result.returncode == 0, result.stderr
    server.wait_until(lambda: server.status()["version"] == "3.0", what="version 3.0")
