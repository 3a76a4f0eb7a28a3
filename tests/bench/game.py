"""The arena: 64 players and a browser through reloads and upgrades; players behind a long wire that loses packets.

    python -m tests.bench game match --reloads 3 --upgrades 2
    python -m tests.bench game network --delay 50 --loss 5
    python -m tests.bench game picture               # handlers/examples/game.png

`match` says how late ticks were (by the arena's own metric), whether anybody was dropped, and for how long players saw
nothing new. `network` plays in a network namespace of its own, with that delay and loss each way: how far from the
truth players see themselves and others, and how many of the shots at what they see hit.
Can go wrong: the machine is busy, which makes ticks late, too: the part without a deploy says how late. For `network`
it takes rights to make a namespace.
"""

import argparse
import asyncio
import base64
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.deploys import plan
from tests.bench.server import ROOT
from tests.kit.admin import Metrics
from tests.kit.arena import Guest, Guests, Player, UdpGuest, WebGuest, World, between
from tests.kit.door import door_of, host_port
from tests.kit.environment import short
from tests.kit.server import CLI, Server
from tests.kit.wire import NEAR, wire
from tests.peers.browser import Browser, Page

MODULE = "forkful.handlers.examples.game"
CONFIG = f"""
[pool.arena]
handler = "{MODULE}:Arena"
bind = ["udp://{{host}}:9999"]
workers = 2
affinity = "peer"
preload = true
[pool.page]
handler = "{MODULE}:page"
bind = ["http://{{host}}:0"]
workers = 2
preload = true
websocket_compression = false
"""
LATE = 0.1  # seconds that no tick may be late
PICTURE, SIZE = ROOT / "handlers" / "examples" / "game.png", (900, 560)
NAMES = ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida"]
STEP = 5.0  # seconds of a match after each deploy


@contextmanager
def serving(host: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="forkful-", dir=short(tempfile.gettempdir())) as folder:
        server = Server(Path(folder))
        settings = server.folder / "forkful.toml"
        settings.write_text(CONFIG.format(host=host))
        command = [*CLI, "serve", "-c", str(settings), "--admin-bind", f"unix://{server.admin.path}"]
        server.launch(command, cwd=ROOT, env={"ARENA_UDP": f"{host}:9999"})
        try:
            server.wait_ready()
            yield server
        finally:
            server.finish()


@dataclass
class Part:
    """What happened from one deploy to the next."""

    name: str
    before: Metrics
    after: Metrics
    seconds: float = 0.0
    gaps: dict[str, float] = field(default_factory=dict)  # seconds, the longest, by kind of player

    def ticks(self, within: float = math.inf) -> float:
        """How many were so late at most."""
        bound = "+Inf" if within == math.inf else str(float(within))
        return self._grown("arena_tick_late_seconds_bucket", le=bound)

    def _grown(self, name: str, **labels: str) -> float:
        return self.after.sum(name, **labels) - self.before.sum(name, **labels)

    def cpu(self) -> float:
        return self._grown("forkful_worker_cpu_seconds_total", pool="arena")

    def line(self) -> str:
        shares = "  ".join(f"{self.ticks(bound) / self.ticks():7.2%}" for bound in (0.01, 0.033, 0.05))
        gaps = "  ".join(f"{kind} {1000 * gap:4.0f} ms" for kind, gap in self.gaps.items())
        late = self.ticks() - self.ticks(LATE)
        return f"{self.name:10} {self.ticks():6.0f} ticks  {shares}  over 100 ms: {late:3.0f}   {gaps}"


async def stage(server: Server, guests: Guests, page: Page | None, name: str, work: Callable[[], object]) -> Part:
    """They play while this is done, and some seconds more."""
    for player in guests.players:
        player.gaps.clear()
    if page is not None:
        page.run("game.gaps.length = 0")
    before = server.metrics()
    began = time.monotonic()
    working = asyncio.create_task(asyncio.to_thread(work))
    await guests.play(working.done, 200)
    await working
    until = time.monotonic() + STEP
    await guests.play(lambda: time.monotonic() > until, 2 * STEP)
    part = Part(name, before, await asyncio.to_thread(server.metrics), time.monotonic() - began)
    for kind, of in (("UDP", UdpGuest), ("WebSocket", WebGuest)):
        part.gaps[kind] = max(max(each.player.gaps, default=0.0) for each in guests.guests if isinstance(each, of))
    if page is not None:
        part.gaps["browser"] = page.run("return Math.max(...game.gaps)") / 1000
    return part


async def match(server: Server, players: int, steps: list[str], page: Page | None) -> bool:
    host = "127.0.0.1"
    url = "ws://{}:{}/play".format(*door_of(server.listeners("page")[0]).address)
    made: list[Guest] = [UdpGuest(Player(f"udp{number}"), (host, 9999)) for number in range(players * 3 // 4)]
    made += [WebGuest(Player(f"web{number}"), url) for number in range(players - len(made))]
    guests = Guests(made, random.Random(15))
    await guests.play(lambda: all(player.tick > 0 for player in guests.players), 60)
    if page is not None:
        page.open(f"{url.replace('ws', 'http', 1).removesuffix('play')}#name=browser&play")
        await guests.play(lambda: bool(page.run("return game.tick > 0")), 60)
    print(f"{'':10} {'':12} late at most: {'10 ms':>7}  {'33 ms':>7}  {'50 ms':>7}{'':19}longest without a snapshot")
    deploys = {"reload": server.hup, "upgrade": server.usr2, "no deploy": lambda: time.sleep(STEP)}
    parts = []
    for step in ["no deploy", *steps]:
        parts.append(await stage(server, guests, page, step, deploys[step]))
        print(parts[-1].line(), flush=True)
    dropped = sum(player.counts["dropped"] for player in guests.players)
    dropped += page.run("return game.dropped") if page is not None else 0
    rooms = {player.room for player in guests.players}
    late = sum(part.ticks() - part.ticks(LATE) for part in parts)
    sizes = sorted(size for player in guests.players for size in player.sizes)
    print(f"{players} players in {len(rooms)} rooms{', and a browser' if page is not None else ''}: {dropped} dropped")
    print(f"a snapshot is {sizes[len(sizes) // 2]} bytes (median), {sizes[-1]} at most")
    print(f"arena: {parts[0].cpu() / parts[0].seconds:.0%} of a core")
    guests.close()
    return not dropped and not late


class Hunters(Guests):
    """Players who shoot at what they see; what they saw is kept, to be compared with what was there."""

    def __init__(self, guests: list[Guest], dice: random.Random) -> None:
        super().__init__(guests, dice)
        self.seen: list[tuple[str, float, dict[int, tuple[float, float]]]] = []
        self.truth: dict[str, dict[int, World]] = {}

    def aim(self, player: Player) -> tuple[int, bool]:
        at = player.shown()
        others = player.others(at)
        self.truth.setdefault(player.room, {}).setdefault(player.tick, player.worlds[player.tick])
        if player.seq % 8 == 0:
            self.seen.append((player.room, at, others))
        near = min(others.values(), key=lambda spot: math.dist(spot, (player.x / 16, player.y / 16)), default=None)
        if near is None:
            return 0, False
        turn = math.atan2(near[1] - player.y / 16, near[0] - player.x / 16)
        return round(turn / math.tau * 65536), math.dist(near, (player.x / 16, player.y / 16)) < 600

    def errors(self) -> list[float]:
        """Of the places at which others were shown, in pixels."""
        found = []
        for room, at, others in self.seen:
            if not min(self.truth[room]) <= at <= max(self.truth[room]):
                continue
            there = between(self.truth[room], at)
            found += [math.dist(spot, there[number]) for number, spot in others.items() if number in there]
        return sorted(found)


def share(values: list[float], part: float) -> float:
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0.0


async def hunt(far: str, players: int, seconds: float) -> None:
    guests = Hunters([UdpGuest(Player(f"p{n}"), (far, 9999)) for n in range(players)], random.Random(15))
    await guests.play(lambda: all(player.tick > 0 for player in guests.players), 60)
    for player in guests.players:
        player.errors.clear()
    until = time.monotonic() + seconds
    await guests.play(lambda: time.monotonic() > until, 2 * seconds)
    own, others = sorted(error for player in guests.players for error in player.errors), guests.errors()
    counts = sum((player.counts for player in guests.players), Counter())
    missed, came, shots = counts["missed"], counts["S"], counts["shots"]
    print(f"  {came} snapshots, {missed / (missed + came):.1%} missed; {counts['lives']} lives begun anew")
    for what, errors in (("itself", own), ("others", others)):
        median, most, worst = (share(errors, part) for part in (0.5, 0.99, 1))
        print(f"  error of {what}: median {median:.1f} px, 99 % {most:.1f} px, worst {worst:.1f} px")
    print(f"  {shots} shots at what was seen, {counts['hits'] / max(1, shots):.0%} hit", flush=True)
    guests.close()


def network(players: int, delay: float, loss: float, seconds: float) -> None:
    """Without delay and loss, then with them."""
    for late, lost in ((0.0, 0.0), (delay / 1000, loss / 100)):
        with wire(late, lost) as (far, how), serving(NEAR):
            print(f"{1000 * late:.0f} ms and {lost:.0%} lost each way ({how}), {players} players:")
            asyncio.run(hunt(far, players, seconds))


async def pose(server: Server, page: Page) -> None:
    """A picture of a browser among others."""
    guests = Hunters([UdpGuest(Player(name, "cellar"), ("127.0.0.1", 9999)) for name in NAMES], random.Random(15))
    page.resize(*SIZE)
    page.open(f"http://{host_port(door_of(server.listeners('page')[0]))}/#name=you&room=cellar&play")
    until = time.monotonic() + 20
    await guests.play(lambda: time.monotonic() > until, 60)
    await guests.play(lambda: bool(page.run("return game.rays.length > 1 && !(performance.now() < game.hurt)")), 60)
    PICTURE.write_bytes(base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"]))
    print(f"written: {PICTURE}, {PICTURE.stat().st_size:,} bytes")
    guests.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench game", description="The arena, measured.")
    parser.add_argument("what", choices=["match", "network", "picture"])
    for name, default in (
        ("players", 64),
        ("reloads", 3),
        ("upgrades", 2),
        ("delay", 50),
        ("loss", 5),
        ("seconds", 20),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    asked = parser.parse_args(arguments)
    if asked.what == "network":
        if os.environ.get("ARENA_INSIDE") != "1":
            os.environ["ARENA_INSIDE"] = "1"
            os.execvp("unshare", ["unshare", "-n", sys.executable, "-m", "tests.bench", "game", *arguments])
        network(asked.players, asked.delay, asked.loss, asked.seconds)
        return 0
    with ExitStack() as life:
        server = life.enter_context(serving("127.0.0.1"))
        page = None
        if shutil.which("chromium"):
            page = life.enter_context(life.enter_context(Browser(server.folder)).page())
        if asked.what == "picture":
            assert page is not None, "no chromium: apt install it"
            asyncio.run(pose(server, page))
            return 0
        return int(not asyncio.run(match(server, asked.players, [*plan(asked.reloads, asked.upgrades)], page)))
