"""A room: players who move and shoot, ticks, and snapshots of what has changed since a tick that a player has seen.

Pure: inputs in, bytes out; nothing here knows a socket or a clock. A place is whole sixteenths of a pixel, so that a
browser, which moves its own player at once, comes to the very same place.
Can go wrong: an input that cannot be (too fast, too many, too old) is left out, and the player is where the room says.
"""

import math
import random
import struct
from dataclasses import asdict, dataclass, field
from typing import Any, Final

RATE: Final = 30  # ticks a second
UNIT: Final = 16  # of a pixel
WIDTH, HEIGHT, RADIUS, REACH = 1600 * UNIT, 900 * UNIT, 18 * UNIT, 700 * UNIT
SPEED: Final = 127  # units in a tick
REWIND: Final = 6  # ticks, 200 ms: how far back a shot is judged by what the shooter saw
KEPT: Final = 64  # ticks of which snapshots are kept, to send only what has changed since
BURST: Final = 8  # inputs that may come late and together; who sends more does not go faster
COOL, DAMAGE, WHOLE = 8, 25, 100  # inputs between two shots, what a hit costs, health
SLEEPY, GRACE = 2 * RATE, 10 * RATE  # ticks of silence until nothing is sent any more, and until the player is gone
MOST: Final = 32  # players, whose whole snapshot fits into one datagram
Parts = tuple[bytes, ...]  # of a player, as they are sent: place, aim, health, score, shot, name
_GONE, _NEWER = 1 << 6, 0x7FFF
_SNAPSHOT: Final = struct.Struct("<cIIH")  # kind, tick, the tick it builds on (0: none), the newest input that counts
_INPUT: Final = struct.Struct("<bbHBB")
#: What a player does in a tick: dx, dy, aim (1/65536 of a turn), fire, the last eight bits of the tick it has in view.
Input = tuple[int, int, int, int, int]


@dataclass(slots=True)
class Player:
    """One of them, with all that the next worker must know."""

    id: int
    name: str
    token: str
    address: tuple[str, int]
    asked: str = ""  # the token that it came with, which it may say again until it has heard of this one
    x: int = 0
    y: int = 0
    aim: int = 0
    health: int = WHOLE
    score: int = 0
    shot: tuple[int, int] = (0, 0)  # the last one: its number, and how far it reached, in pixels
    seq: int = 0  # of the newest input that counts
    ack: int = 0  # the newest tick that it has seen
    heard: int = 0  # the tick in which it last said something
    budget: int = BURST  # inputs that it may still do at once
    cool: int = 0
    waiting: list[Input] = field(default_factory=list)

    def place(self) -> None:
        self.x, self.y, self.health = random.randrange(WIDTH), random.randrange(HEIGHT), WHOLE

    def parts(self) -> Parts:
        name, place = self.name.encode(), struct.pack("<HH", self.x, self.y)
        aim, score, shot = (struct.pack(*each) for each in (("<H", self.aim), ("<H", self.score), ("<BH", *self.shot)))
        return place, aim, bytes((self.health,)), score, shot, bytes((len(name),)) + name

    def take(self, newest: int, packed: bytes) -> None:
        """Inputs, the last of which is `newest`; most of them have come before, in case a datagram was lost."""
        inputs: list[Input] = [*_INPUT.iter_unpack(packed)]
        new = (newest - self.seq - len(self.waiting)) & 0xFFFF
        if new <= _NEWER:
            self.waiting = (self.waiting + inputs[max(0, len(inputs) - new) :])[-2 * BURST :]
            self.seq = (newest - len(self.waiting)) & 0xFFFF


class Room:
    """A match that never ends."""

    def __init__(self, name: str) -> None:
        self.name, self.tick = name, 0
        self.players: dict[int, Player] = {}
        self.history: dict[int, dict[int, Parts]] = {0: {}}
        self._written: dict[int, bytes] = {}

    # -- players -----------------------------------------------------------------------------------------------------

    def join(self, name: str, token: str, address: tuple[str, int]) -> Player | None:
        """A new player, or None if the room is full."""
        if (free := next((number for number in range(MOST) if number not in self.players), None)) is None:
            return None
        player = self.players[free] = Player(free, name, token, address, heard=self.tick)
        player.place()
        return player

    # -- a tick ------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        self.tick += 1
        for player in self.players.values():
            due, player.waiting = player.waiting, []
            player.seq = (player.seq + len(due)) & 0xFFFF
            player.budget = min(player.budget + 1, BURST)
            for each in due[-player.budget :]:
                player.budget -= 1
                self._act(player, each)
        self.history[self.tick] = {player.id: player.parts() for player in self.players.values()}
        if self.tick > KEPT:
            self.history.pop(self.tick - KEPT, None)  # but for tick 0, when nobody was there
        self._written.clear()

    def _act(self, player: Player, done: Input) -> None:
        dx, dy, player.aim, fire, view = done
        if dx**2 + dy**2 <= (SPEED + 1) ** 2:
            player.x = min(max(player.x + dx, 0), WIDTH)
            player.y = min(max(player.y + dy, 0), HEIGHT)
        player.cool = max(player.cool - 1, 0)
        if fire and not player.cool:
            player.cool = COOL
            self._shoot(player, self.tick - ((self.tick - view) & 0xFF))

    def _shoot(self, player: Player, view: int) -> None:
        """Who is hit is judged by where the others were in the tick that the shooter saw, at most `REWIND` ago."""
        then = self.history.get(max(view, self.tick - REWIND), {})
        turn = math.tau * player.aim / 65536
        along_x, along_y, reach, hit = math.cos(turn), math.sin(turn), float(REACH), None
        for other in self.players.values():
            x, y = struct.unpack("<HH", then[other.id][0]) if other.id in then else (other.x, other.y)
            forward = (x - player.x) * along_x + (y - player.y) * along_y
            aside = abs((y - player.y) * along_x - (x - player.x) * along_y)
            if other is not player and 0 < forward < reach and aside < RADIUS:
                reach, hit = forward, other
        player.shot = (player.shot[0] + 1) & 0xFF, int(reach) // UNIT
        if hit is not None:
            hit.health -= DAMAGE
            if hit.health <= 0:
                player.score = (player.score + 1) & 0xFFFF
                hit.place()

    # -- snapshots ---------------------------------------------------------------------------------------------------

    def snapshot(self, player: Player) -> bytes:
        """What has changed since the newest tick that this player has seen."""
        base = player.ack if player.ack in self.history else 0
        if base not in self._written:
            self._written[base] = self._since(base)
        return _SNAPSHOT.pack(b"S", self.tick, base, player.seq) + self._written[base]

    def _since(self, base: int) -> bytes:
        before, now = self.history[base], self.history[self.tick]
        written = [bytes((number, _GONE)) for number in before.keys() - now.keys()]
        for number, parts in now.items():
            old = before.get(number, (b"",) * 6)
            mask = sum(1 << bit for bit, part in enumerate(parts) if part != old[bit])
            if mask:
                changed = (part for bit, part in enumerate(parts) if mask >> bit & 1)
                written.append(bytes((number, mask)) + b"".join(changed))
        return b"".join(written)

    # -- to the next worker ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:  # Any: what JSON takes
        past = {tick: players for tick, players in self.history.items() if tick > self.tick - RATE}
        return {"name": self.name, "tick": self.tick, "players": [*map(asdict, self.players.values())], "past": past}

    @classmethod
    def load(cls, left: dict[str, Any]) -> "Room":
        room = cls(left["name"])
        room.tick = left["tick"]
        for each in left["players"]:
            each |= {key: tuple(each[key]) for key in ("address", "shot")}
            each["waiting"] = [*map(tuple, each["waiting"])]
            room.players[each["id"]] = Player(**each)
        for tick, players in left["past"].items():
            room.history[int(tick)] = {int(n): tuple(part.encode("latin-1") for part in p) for n, p in players.items()}
        return room
