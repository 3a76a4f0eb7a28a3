"""Flows: peers with numbered datagrams through reloads, upgrades and kills, and a ledger of what became of each.

    python -m tests.bench flows --peers 200 --reloads 20 --upgrades 5 --kills 10

Each peer must have had one slot for all the time, nothing may be overtaken, and lost or forgotten only what a worker
that was killed had in hand.
Can go wrong: any of this: each is a line of the verdict.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGUSR2

from tests.bench.deploys import plan
from tests.kit.door import door_of
from tests.kit.environment import short
from tests.kit.flows import Ledger
from tests.kit.server import APPS, CLI, Server

WORKERS = 4
#: What is served, and how many datagrams one that is killed may have in hand: uvloop takes many before it hands on one.
HANDLERS = {
    "lane": ("flows:Lane", "auto", 1),
    "uvloop": ("flows:Protocol", "uvloop", 64),
    "asyncio": ("flows:Protocol", "asyncio", 1),
}
CONFIG = """\
[pool.main]
handler = "{handler}"
bind = ["udp://127.0.0.1:0"]
workers = {workers}
affinity = "peer"
event_loop = "{loop}"
"""


def judge(ledger: Ledger, kills: int, in_hand: int) -> list[str]:
    """What is to be complained about."""
    slots = {inode for flow in ledger.flows for inode in flow.sockets}
    found = {
        f"{len(ledger.moved)} peers had another slot": bool(ledger.moved),
        f"{len(slots)} slots served, not {WORKERS}": len(slots) != WORKERS,
        f"{ledger.overtaken} datagrams were overtaken": ledger.overtaken > 0,
        f"{ledger.lost} datagrams were lost, not at most {kills * in_hand}": ledger.lost > kills * in_hand,
        f"a slot forgot its peers {sum(ledger.forgotten().values())} times": sum(ledger.forgotten().values()) > kills,
    }
    return [complaint for complaint, is_one in found.items() if is_one]


def run(handler: str, peers: int, steps: list[str], folder: Path) -> tuple[Ledger, list[str]]:
    """Serve, send, deploy and kill; stop and judge."""
    name, loop, in_hand = HANDLERS[handler]
    with _serving(folder, CONFIG.format(handler=name, loop=loop, workers=WORKERS)) as server:
        (url,) = server.listeners()
        with Ledger(door_of(url), peers) as ledger:
            ledger.more(2 * peers)
            for step in steps:
                _take(server, step, ledger)
                ledger.more(peers)
            ledger.stop()
        complaints = judge(ledger, steps.count("kill"), in_hand)
        if dropped := server.metrics().sum("forkful_datagrams_dropped_total"):
            complaints.append(f"the kernel dropped {dropped:g}")
    return ledger, complaints


def _take(server: Server, step: str, ledger: Ledger) -> None:
    match step:
        case "reload":
            server.hup(within=60)
        case "upgrade":
            server.notifications.skip()
            server.signal(SIGUSR2)
            server.wait_for(lambda record: record.get("RELOADING") == "1", what="RELOADING=1", within=60)
            server.wait_for(lambda record: record.get("READY") == "1", what="READY=1 after an upgrade", within=120)
        case "kill":
            victim = ledger.servers()[0]
            server.kill(victim)
            ledger.leave(victim)


def mixed(reloads: int, upgrades: int, kills: int) -> list[str]:
    """The kills evenly among the others."""
    others = [*plan(reloads, upgrades)]
    steps, done = [], 0
    for number, step in enumerate(others, 1):
        steps.append(step)
        due = kills * number // len(others)
        steps += ["kill"] * (due - done)
        done = due
    return steps + ["kill"] * (kills - done)


@contextmanager
def _serving(folder: Path, text: str) -> Iterator[Server]:
    server = Server(folder)
    (folder / "forkful.toml").write_text(text)
    command = [*CLI, "serve", "-c", str(folder / "forkful.toml"), "--admin-bind", f"unix://{server.admin.path}"]
    server.launch(command, cwd=APPS, env={})
    try:
        server.wait_ready()
        yield server
    finally:
        server.finish()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench flows", description="Peers that keep their slot.")
    for name, default in (("peers", 200), ("reloads", 20), ("upgrades", 5), ("kills", 10)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    parser.add_argument("--handler", choices=HANDLERS, default="lane", help="what serves (default lane)")
    asked = parser.parse_args(arguments)
    steps = mixed(asked.reloads, asked.upgrades, asked.kills)
    with tempfile.TemporaryDirectory(prefix="forkful-flows-", dir=short(tempfile.gettempdir())) as folder:
        ledger, complaints = run(asked.handler, asked.peers, steps, Path(folder))
    done = ", ".join(f"{steps.count(step)} {step}s" for step in sorted({*steps}))
    print(f"{asked.handler}: {asked.peers} peers over {WORKERS} slots, {done}")
    moved = f"{len(ledger.moved)} peers moved"
    print(f"  {ledger.answered} answered, {ledger.lost} lost, {ledger.overtaken} overtaken, {moved}")
    print("\n".join(f"  FAIL {complaint}" for complaint in complaints) or "  ok")
    return int(bool(complaints))
