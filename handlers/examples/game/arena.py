"""The arena: rooms behind one UDP address, 30 ticks a second, handed on to the next worker in the middle of a match.

A player is known by its address, which it must have shown to be its own: nobody has snapshots sent to somebody else.
What a datagram says is its first byte. From players: J (join: JSON), I (inputs), L (leave). To players: C (a cookie,
to join with), W (welcome: JSON), S (a snapshot), E (elsewhere: this room's worker is found from another port),
H (another host has it: JSON), N (no: why), ? (unknown: join again).
Can go wrong: a datagram that cannot be read is left out. A worker that is killed takes its rooms along; players join
again by themselves, and begin anew.
"""

import asyncio
import contextlib
import hmac
import json
import os
import secrets
import struct
import time
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

from forkful.handlers import bequeath, inherited
from forkful.handlers.examples.game.owners import Workers, hosts
from forkful.handlers.examples.game.room import GRACE, RATE, SLEEPY, Player, Room

Address = tuple[str, int]
ROOMS, CROWD = 100, 16  # in a worker; players of a room who did not ask for it by name
_INPUTS: Final = struct.Struct("<cIHB")  # kind, the newest tick seen, the newest input, how many there are
_INPUT_SIZE, _JOIN_LEAST = 6, 20  # a join is no shorter than its answer
_BOUNDS: Final = (0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 1)
_LATE = Histogram("arena_tick_late_seconds", "How late ticks were.", buckets=_BOUNDS)
_PLAYERS = Gauge("arena_players", "Players in rooms.", multiprocess_mode="livesum")
_JOINED = Counter("arena_joined_total", "Who joined: new, or again by a token.", ["how"])


class Arena(asyncio.DatagramProtocol):
    """One worker's rooms."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.seats: dict[Address, tuple[Room, Player]] = {}  # by where players are
        self._workers, self._hosts = Workers(), hosts()
        self._due = 0.0  # when the next tick is, 0: nobody is here
        self._joining: set[Address] = set()
        self._next = f"#{secrets.token_hex(2)}"  # the room that is opened next
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:  # Any: uvloop's is none of asyncio's classes
        self._transport, self._send = transport, transport.sendto
        if left := inherited():
            self._load(json.loads(left))
        bequeath(self._dump)

    # -- from one worker to the next ---------------------------------------------------------------------------------

    def _dump(self) -> bytes:
        for name in self.rooms:
            self._workers.give(name, 0)
        left = {"due": self._due, "rooms": [room.dump() for room in self.rooms.values()]}
        return json.dumps(left, default=lambda part: part.decode("latin-1")).encode()

    def _load(self, left: dict[str, Any]) -> None:  # Any: of JSON
        self._due = left["due"]
        for room in map(Room.load, left["rooms"]):
            self.rooms[room.name] = room
            self._workers.give(room.name, os.getpid())
            self.seats.update({player.address: (room, player) for player in room.players.values()})
        if self._due:
            self._beat()

    # -- ticks -------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        now = time.monotonic()
        if self._transport.is_closing():  # the next tick is the next worker's
            return
        _LATE.observe(max(0.0, now - self._due))
        try:
            for room in [*self.rooms.values()]:
                self._tick(room)
        finally:
            self._due = 0.0 if not self.rooms else self._due + 1 / RATE if self._due > now - 1 else now
            if self._due:
                asyncio.get_running_loop().call_later(max(0.0, self._due - time.monotonic()), self._beat)

    def _tick(self, room: Room) -> None:
        room.step()
        for player in [*room.players.values()]:
            if room.tick - player.heard < SLEEPY:
                self._send(room.snapshot(player), player.address)
            elif room.tick - player.heard > GRACE:
                self._leave(room, player)
        if room.tick % RATE == 0:
            self._workers.claim(room.name)
            if self._hosts is not None:
                self._spawn(self._hosts.keep(room.name))

    # -- what players say --------------------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: Address) -> None:
        kind, seat = data[:1], self.seats.get(addr)
        if kind == b"J" and len(data) >= _JOIN_LEAST:
            with contextlib.suppress(ValueError, AttributeError):  # it is no JSON
                self._asks(addr, json.loads(data[1:]))
        elif kind == b"I" and len(data) >= _INPUTS.size:
            _, ack, newest, count = _INPUTS.unpack_from(data)
            if seat is None:
                self._send(b"?", addr)
            elif len(data) == _INPUTS.size + count * _INPUT_SIZE:
                seat[1].heard, seat[1].ack = seat[0].tick, ack
                seat[1].take(newest, data[_INPUTS.size :])
        elif kind == b"L" and seat is not None:
            self._leave(*seat)

    def _asks(self, address: Address, asked: dict[str, Any]) -> None:  # Any: of JSON
        room, name, token, cookie = (str(asked.get(key, "")) for key in ("room", "name", "token", "cookie"))
        seat = self.seats.get(address)
        if seat is not None and token in {"", seat[1].token, seat[1].asked} and room in {"", seat[0].name}:
            self._welcome(*seat)  # what we said was lost
            return
        right = hmac.digest(self._workers.secret, f"{address[0]} {time.time() // 3600}".encode(), "sha256").hex()[:16]
        room = room[:32] or self._free_room()
        if not hmac.compare_digest(cookie.encode(), right.encode()):
            self._send(b"C" + right.encode(), address)
        elif room not in self.rooms and not self._workers.claim(room):
            self._send(b"E", address)
        elif address not in self._joining:
            self._joining.add(address)
            name = "".join(filter(str.isprintable, name)).encode()[:16].decode(errors="ignore")
            self._spawn(self._join(address, room, name or "nobody", token, fresh=not asked.get("on")))

    def _free_room(self) -> str:
        """One of ours with room for one more, or a new one."""
        for room in self.rooms.values():
            if room.name[:1] == "#" and len(room.players) < CROWD:
                return room.name
        while self._next in self.rooms or not self._workers.claim(self._next):
            self._next = f"#{secrets.token_hex(2)}"
        return self._next

    async def _join(self, address: Address, name: str, who: str, token: str, *, fresh: bool) -> None:
        other = await self._hosts.other(name) if self._hosts is not None else ""
        self._joining.discard(address)
        if other:
            self._send(b"H" + other.encode(), address)
            return
        if address in self.seats:
            self._leave(*self.seats[address])
        room = self.rooms.get(name) or Room(name)
        player = next((each for each in room.players.values() if each.token == token), None)
        how = "again" if player else "new"
        if player is None and len(self.rooms) < ROOMS:
            player = room.join(who, secrets.token_urlsafe(9), address)
        if player is None:
            self._send(b"N" + b"there is no room", address)
            return
        self.seats.pop(player.address, None)
        if fresh:
            player.seq, player.waiting = 0, []
        player.address, player.asked, player.heard, player.ack = address, token, room.tick, 0
        self.rooms[name], self.seats[address] = room, (room, player)
        _JOINED.labels(how).inc()
        self._welcome(room, player)
        if not self._due:
            self._due = time.monotonic()
            self._beat()
        _PLAYERS.set(len(self.seats))

    def _welcome(self, room: Room, player: Player) -> None:
        said = json.dumps({"id": player.id, "token": player.token, "room": room.name})
        self._send(b"W" + said.encode(), player.address)

    def _leave(self, room: Room, player: Player) -> None:
        self.seats.pop(player.address, None)
        room.players.pop(player.id, None)
        if not room.players:
            self.rooms.pop(room.name, None)
        _PLAYERS.set(len(self.seats))

    def _spawn(self, coroutine: Any) -> None:  # Any: of a coroutine's parameters
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
