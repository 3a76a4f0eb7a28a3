"""A headless player of the arena: what the page does, without a screen; over UDP or a WebSocket.

`Player` knows no socket: it is given what has come and gives what is to be sent. `Guests` are many of them on one event
loop, which play as dice say.
Can go wrong: the arena says no, or something that cannot be read: an `AssertionError`.
"""

import asyncio
import json
import math
import random
import struct
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import websockets

from forkful.handlers.examples.game.room import HEIGHT, RATE, REACH, SPEED, UNIT, WIDTH
from tests.kit.turns import turn

SIZES = (4, 2, 1, 2, 3)  # of the parts of a player in a snapshot; then the name, with its length
GONE = 1 << 6
SNAPSHOT = struct.Struct("<cIIH")
SEEN_BEHIND = 3  # ticks: how far behind the newest snapshot others are shown, to be between two of them
Parts = list[bytes]
World = dict[int, Parts]


def changed(world: World, data: bytes) -> World:
    """The world after a snapshot's changes."""
    found, at = {number: [*parts] for number, parts in world.items()}, 0
    while at < len(data):
        number, mask = data[at], data[at + 1]
        at += 2
        if mask & GONE:
            del found[number]
            continue
        parts = found.setdefault(number, [b""] * 6)
        for bit in range(6):
            if mask >> bit & 1:
                size = SIZES[bit] if bit < 5 else 1 + data[at]
                parts[bit] = data[at : at + size]
                assert len(parts[bit]) == size, "a snapshot ends in the middle of a part"
                at += size
    return found


def place(parts: Parts) -> tuple[int, int]:
    x, y = struct.unpack("<HH", parts[0])
    return x, y


def between(worlds: dict[int, World], at: float) -> dict[int, tuple[float, float]]:
    """Places at such a tick, in pixels, by the ticks around it that there are, but of who begins anew meanwhile."""
    before = max((tick for tick in worlds if tick <= at), default=0)
    after = min((tick for tick in worlds if tick >= at), default=before)
    part = (at - before) / (after - before) if after > before else 0.0
    found = {}
    for number, parts in worlds[before].items():
        if number in worlds[after]:
            (x, y), (p, q) = place(parts), place(worlds[after][number])
            if abs(p - x) + abs(q - y) <= 2 * SPEED * (after - before + 1):
                found[number] = ((x + (p - x) * part) / 16, (y + (q - y) * part) / 16)
    return found


@dataclass
class Player:
    """One who plays."""

    name: str
    room: str = ""
    token: str = ""
    id: int = -1
    joined: bool = False
    tick: int = 0  # of the newest snapshot
    came: float = 0.0  # and when it came
    ahead: float = 0.0  # the tick that the quickest snapshots came with, less the ticks that had passed by our clock
    x: int = 0
    y: int = 0
    seq: int = 0
    worlds: dict[int, World] = field(default_factory=lambda: {0: {}})
    pending: deque[tuple[int, bytes]] = field(default_factory=deque)
    errors: list[float] = field(default_factory=list)  # of its own place, in pixels, as it had guessed it
    gaps: list[float] = field(default_factory=list)  # seconds between snapshots
    elsewhere: str = ""  # where another host is that has this room
    counts: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    heard: Callable[[], object] = lambda: None

    def join(self, cookie: str = "") -> bytes:
        asked = {"room": self.room, "name": self.name, "token": self.token, "cookie": cookie, "on": bool(self.token)}
        return b"J" + json.dumps(asked).encode()

    def take(self, data: bytes) -> bytes:
        """What has come; what is to be said, if anything."""
        kind, rest = data[:1], data[1:]
        self.counts[kind.decode()] += 1
        match kind:
            case b"C":
                return self.join(rest.decode())
            case b"W":
                self._welcomed(json.loads(rest))
            case b"S":
                self._snapshot(data)
            case b"H":
                self.elsewhere = rest.decode()
            case b"?":
                self.joined = False
                return self.join()
            case _:
                raise AssertionError(f"{self.name}: {data!r}")
        return b""

    def _welcomed(self, said: dict[str, object]) -> None:
        if self.token and said["token"] != self.token:  # it has forgotten us
            self.counts["dropped"] += 1
        if said["token"] != self.token:
            self.worlds, self.tick, self.seq = {0: {}}, 0, 0
            self.pending.clear()
        self.token, self.room, self.id = str(said["token"]), str(said["room"]), int(str(said["id"]))
        self.joined = True

    def _snapshot(self, data: bytes) -> None:
        _, tick, base, seq = SNAPSHOT.unpack_from(data)
        self.sizes.append(len(data))
        if base not in self.worlds or tick <= self.tick:
            self.counts["late" if base in self.worlds else "baseless"] += 1
            return
        now = time.monotonic()
        if self.came:
            self.gaps.append(now - self.came)
        self.came = now
        self.ahead = max(tick - now * RATE, self.ahead - 0.02) if self.ahead else tick - now * RATE
        self.worlds[tick] = changed(self.worlds[base], data[SNAPSHOT.size :])
        before, mine = self.worlds[self.tick].get(self.id), self.worlds[tick].get(self.id)
        self.worlds.pop(tick - 64, None)
        self.counts["missed"] += tick - self.tick - 1 if self.tick else 0
        self.tick = tick
        if mine is not None:
            error = self._reconcile(seq, *place(mine))
            if before is not None:
                self._count(before, mine, error)
        self.heard()

    def _count(self, before: Parts, now: Parts, error: float) -> None:
        if now[2] > before[2]:
            self.counts["lives"] += 1
        else:
            self.errors.append(error)
        if before[4] != now[4]:
            self.counts["shots"] += 1
            self.counts["hits"] += struct.unpack("<BH", now[4])[1] < REACH // UNIT

    def _reconcile(self, seq: int, x: int, y: int) -> float:
        """What the arena says of our place, and what we have done since."""
        while self.pending and (seq - self.pending[0][0]) & 0xFFFF < 0x8000:
            self.pending.popleft()
        guessed = self.x, self.y
        self.x, self.y = x, y
        for _, packed in self.pending:
            self._move(*struct.unpack_from("<bb", packed))
        return math.dist(guessed, (self.x, self.y)) / UNIT

    def _move(self, dx: int, dy: int) -> None:
        self.x, self.y = min(max(self.x + dx, 0), WIDTH), min(max(self.y + dy, 0), HEIGHT)

    def act(self, dx: int = 0, dy: int = 0, aim: int = 0, fire: bool = False) -> bytes:  # noqa: FBT002
        """The inputs of this tick, and those before that the arena may not have."""
        self.seq = (self.seq + 1) & 0xFFFF
        self.pending.append((self.seq, struct.pack("<bbHBB", dx, dy, aim & 0xFFFF, fire, self.view & 0xFF)))
        self._move(dx, dy)
        last = [packed for _, packed in self.pending][-10:]
        return struct.pack("<cIHB", b"I", self.tick, self.seq, len(last)) + b"".join(last)

    @property
    def view(self) -> int:
        """The tick in which others are shown."""
        return round(self.shown())

    def shown(self) -> float:
        """The same, between two ticks."""
        return max(0.0, time.monotonic() * RATE + self.ahead - SEEN_BEHIND)

    def others(self, at: float) -> dict[int, tuple[float, float]]:
        """Where others are shown at such a tick, in pixels."""
        found = between(self.worlds, at)
        found.pop(self.id, None)
        return found

    def names(self) -> set[str]:
        """Who is there, by the newest snapshot."""
        return {parts[5][1:].decode() for parts in self.worlds[self.tick].values()}


class UdpGuest(asyncio.DatagramProtocol):
    """A player's UDP socket, which tries other ports until it meets the room's worker."""

    def __init__(self, player: Player, arena: tuple[str, int]) -> None:
        self.player, self.arena = player, arena
        self.transport: asyncio.DatagramTransport | None = None
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self.close()
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self.arena)
        self.say(self.player.join())

    def say(self, data: bytes) -> None:
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.sendto(data)

    def datagram_received(self, data: bytes, _: object) -> None:
        if data == b"E":
            self.player.counts["ports"] += 1
            if self._opening is None or self._opening.done():  # else it was said twice
                self._opening = asyncio.get_running_loop().create_task(self.open())
        else:
            self.say(self.player.take(data))

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class WebGuest:
    """A player's WebSocket, which comes again when it ends."""

    def __init__(self, player: Player, url: str) -> None:
        self.player, self._url = player, url
        self._socket: websockets.ClientConnection | None = None
        self.playing: asyncio.Task[None] | None = None
        self._sending = set[asyncio.Task[None]]()

    async def open(self) -> None:
        self.playing = asyncio.get_running_loop().create_task(self._play())

    async def _play(self) -> None:
        while True:
            async with websockets.connect(self._url, compression=None) as self._socket:
                self.player.joined = False
                self.say(self.player.join())
                try:
                    async for data in self._socket:
                        assert isinstance(data, bytes)
                        self.say(self.player.take(data))
                except websockets.ConnectionClosedError:
                    pass
            assert self._socket.close_code == 1012, self._socket.close_code
            self.player.counts["again"] += 1

    def say(self, data: bytes) -> None:
        if data and self._socket is not None:
            task = asyncio.get_running_loop().create_task(self._send(data))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, data: bytes) -> None:
        assert self._socket is not None
        try:
            await self._socket.send(data)
        except websockets.ConnectionClosed:  # it comes again
            return

    def close(self) -> None:
        if self.playing is not None:
            self.playing.cancel()


Guest = UdpGuest | WebGuest


class Guests:
    """Many who play by dice, 30 times a second, from one event loop."""

    def __init__(self, guests: list[Guest], dice: random.Random) -> None:
        self.guests, self._dice = guests, dice
        self._moves = [(0, 0)] * len(guests)
        self._asked = [0.0] * len(guests)

    @property
    def players(self) -> list[Player]:
        return [guest.player for guest in self.guests]

    async def play(self, over: Callable[[], bool], within: float) -> None:
        """Until it is over, at most so many seconds; `TimeoutError`."""
        for guest in self.guests:
            if guest.player.token == "":
                await guest.open()
        due = time.monotonic()
        deadline = due + within
        while not over():
            if due > deadline:
                raise TimeoutError(f"not within {within:g} s: {[vars(player)['counts'] for player in self.players]}")
            for number, guest in enumerate(self.guests):
                self._act(number, guest, due)
            due += 1 / RATE
            beat = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(max(0.0, due - time.monotonic()), beat.set_result, None)
            await beat

    def _act(self, number: int, guest: Guest, now: float) -> None:
        player, dice = guest.player, self._dice
        if not player.joined or now - player.came > 3:
            if now - self._asked[number] > 0.3:
                self._asked[number] = now
                guest.say(player.join())
            return
        if dice.random() < 0.05:
            turn = dice.random() * math.tau
            self._moves[number] = int(SPEED * math.cos(turn)), int(SPEED * math.sin(turn))
        guest.say(player.act(*self._moves[number], *self.aim(player)))

    def aim(self, player: Player) -> tuple[int, bool]:
        """Where to, and whether it shoots."""
        del player
        return self._dice.randrange(65536), self._dice.random() < 0.2

    def close(self) -> None:
        for guest in self.guests:
            guest.say(b"L")
            guest.close()

    async def leave(self) -> None:
        """Close, and see to it that nothing of it stays open."""
        self.close()
        playing = [guest.playing for guest in self.guests if isinstance(guest, WebGuest) and guest.playing is not None]
        await asyncio.gather(*playing, return_exceptions=True)
        for _ in range(3):  # turns of the loop, in which what is closed lets go
            await turn()
