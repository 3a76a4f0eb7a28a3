"""The hostile worker: whatever a worker may say to its master or write on the scoreboard, by dice, and nothing ends it.

    python -m tests.bench hostile --seconds 600 --seed 1

A real service has a pool whose handler does as it is told (`tests/apps/gossip.py`), on the real channel and board, and
another one that only echoes. After each deed the other pool must answer, with the same workers, and so must the
pages of the master. In the end that must be as small as it was, with as many descriptors, and its log short.
Can go wrong: any of that is not so: each complaint is a line, with the seed and the number of the deed.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGTERM

from tests.kit import processes
from tests.kit.door import Door, open_door
from tests.kit.environment import short
from tests.kit.server import APPS, CLI, Server

GROWTH = 48 * 2**20  # bytes that the master may grow by
LOGGED = 40_000  # bytes of the log for each deed: two messages, each cut, and the lines about a death
_WORDS = (
    "Hello",
    "Ready",
    "Retiring",
    "Draining",
    "Failed",
    "CastDone",
    "CastFailed",
    "MoldReady",
    "Question",
    "Drain",
)
_KEYS = (
    "pid",
    "reason",
    "kind",
    "message",
    "traceback",
    "token",
    "failures",
    "threads",
    "id",
    "order",
    "is",
    "timeout",
)
_FRESH = 20  # deeds between reloads, which forgive deaths: else the throttle would leave nobody to be hostile


def value(dice: random.Random, depth: int = 0) -> object:
    """Whatever JSON can say."""
    simple = (
        None,
        True,
        -1,
        0,
        1,
        2,
        2**31,
        2**63,
        -(2**64),
        10**400,
        1e308,
        "",
        "x",
        "timeout",
        "\ud800",
        "\x1b[2J\n[",
        "A" * 5_000,
    )
    if depth > 3 or dice.random() < 0.7:  # deep enough
        return dice.choice(simple)
    if dice.random() < 0.5:  # as often
        return [value(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {dice.choice(_KEYS): value(dice, depth + 1) for _ in range(dice.randrange(4))}


def message(dice: random.Random) -> bytes:
    said = {"is": dice.choice(_WORDS)} | {dice.choice(_KEYS): value(dice) for _ in range(dice.randrange(5))}
    return json.dumps(said).encode() + b"\n"


def right(dice: random.Random) -> bytes:
    """What a worker may say, when it should not."""
    words = (
        b'{"is":"Hello","pid":%d}\n' % dice.choice((-1, 0, 1, 2, 2**31, 2**63)),
        b'{"is":"Ready"}\n',
        b'{"is":"Draining"}\n',
        b'{"is":"Retiring","reason":"%s"}\n' % dice.choice((b"max_requests", b"signal", b"oom", b"", b"nonsense")),
        json.dumps(
            {"is": "Failed", "kind": "load", "message": "m" * dice.choice((1, 10**6)), "traceback": "\x1b[2J"}
        ).encode()
        + b"\n",
    )
    return b"".join(dice.choice(words) for _ in range(dice.randrange(1, 8)))


#: What it can do: the first byte is what the handler does with the rest.
DEEDS: dict[str, Callable[[random.Random], bytes]] = {
    "messages by dice": lambda dice: b"s" + b"".join(message(dice) for _ in range(dice.randrange(1, 6))),
    "right words at the wrong time": lambda dice: b"s" + right(dice),
    "bytes": lambda dice: b"s" + dice.randbytes(dice.randrange(1, 3_000)) + dice.choice((b"", b"\n")),
    "depth": lambda dice: (
        b"s" + dice.choice((b"[", b'{"is":', b'{"a":[')) * dice.randrange(1, 200_000) + dice.choice((b"", b"\n"))
    ),
    "no end": lambda dice: b"s" + dice.choice((b"0", b'{"is":"Ready"', b'"')) * dice.randrange(1, 4 * 10**5),
    "no pause": lambda dice: b"s" + dice.choice((b"0\n", b"\n", b'{"is":"Draining"}\n')) * dice.randrange(1, 50_000),
    "descriptors": lambda dice: b"f" + bytes([dice.randrange(1, 250)]) + dice.choice((b"x", b"x\n", message(dice))),
    "rows": lambda dice: b"r" + dice.randbytes(8),
    "half an end": lambda _: b"c1",
    "an end": lambda _: b"c",
}


def do(door: Door, deed: bytes) -> None:
    """Have a worker do it. It may die of it, and be asked while there is none."""
    with suppress(OSError), door.connect(5.0) as client:
        client.sendall(deed)
        client.shutdown(1)
        client.recv(100)


@contextmanager
def service(folder: Path) -> Iterator[tuple[Server, Door, Door]]:
    bad, good = open_door("tcp", folder), open_door("tcp", folder)
    (folder / "server").mkdir()
    server = Server(folder / "server", [bad, good])
    server.may_log_tracebacks = True
    server.configure(
        f'[admin]\nbind = "unix://{server.admin.path}"\n[master]\ngraceful_timeout = 1\n'
        f'[pool.bad]\nhandler = "gossip:Hostile"\nbind = "{bad.url}"\nworkers = 2\ntimeout = 0\npreload = true\n'
        f'[pool.good]\nhandler = "classic:EchoHandler"\nbind = "{good.url}"\nworkers = 2\npreload = true\n'
    )
    server.launch([*CLI, "serve", "-c", str(server.folder / "forkful.toml")], cwd=APPS, env={})
    try:
        server.wait_ready()
        yield server, bad, good
    finally:
        server.finish()


def play(folder: Path, seed: int, *, seconds: float = 0.0, deeds: int = 0) -> list[str]:
    """Play until the time is over, or so many deeds are done. What is wrong, in words."""
    dice, complaints, done = random.Random(seed), list[str](), 0
    with service(folder) as (server, bad, good):
        memory, descriptors = processes.resident(server.pid), len(processes.descriptors(server.pid))
        workers, until = server.workers("good"), time.monotonic() + seconds
        while not complaints and (done < deeds or time.monotonic() < until):
            name = dice.choice([*DEEDS])
            do(bad, DEEDS[name](dice))
            done += 1
            complaints += [f"seed {seed}, deed {done} ({name}): {wrong}" for wrong in _wrong(server, good, workers)]
            if done % _FRESH == 0 and not complaints:
                complaints += [] if server.reload().returncode == 0 else [f"seed {seed}, deed {done}: no reload"]
                workers = server.workers("good")
        if not complaints:
            complaints += _left(server, memory, descriptors, done)
            server.wait_for_workers(2, pool="bad")
            server.signal(SIGTERM)
            if (code := server.wait_exit()) != 0:
                complaints.append(f"exit code {code}")
        print(f"hostile: seed {seed}, {done} deeds, {len(complaints)} complaints", flush=True)
    return complaints


def _wrong(server: Server, good: Door, workers: dict[int, int]) -> Iterator[str]:
    if not server.running:
        yield f"the master has ended: {server.log[-2_000:]}"
        return
    try:
        if good.ask(b"well?") != b"well?":
            yield "the other pool answers something else"
        server.metrics()
        if server.workers("good") != workers:
            yield "the other pool has lost workers"
    except (OSError, AssertionError, ValueError) as error:
        yield f"{error!r}; the log: {server.log[-2_000:]}"


def _left(server: Server, memory: int, descriptors: int, done: int) -> Iterator[str]:
    server.reload()
    if (grown := processes.resident(server.pid) - memory) > GROWTH:
        yield f"the master has grown by {grown / 2**20:.0f} MiB"
    server.wait_for_workers(2, pool="bad")
    if (held := len(processes.descriptors(server.pid))) > descriptors + 2:
        yield f"the master holds {held} descriptors, and had {descriptors}"
    if (logged := server.log_path.stat().st_size) > LOGGED * done:
        yield f"the log has {logged / 2**20:.1f} MiB"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=short(tempfile.gettempdir())) as folder:
        complaints = play(Path(folder), asked.seed, seconds=asked.seconds)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0
