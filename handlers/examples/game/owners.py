"""Owners: which worker has a room, by cells that all workers share, and which host has it, by Redis.

A worker takes a room that nobody has when its first player comes, and renews its claim for as long as it has players.
Who inherits a room claims it anew. Rooms are told apart by 4,096 numbers; those of the same number share a worker.
With ARENA_REDIS (a URL) hosts share their rooms: ARENA_HERE (JSON: `udp`, `page`) is how players come to this one.
Can go wrong: Redis does not answer: told once, and each host has all rooms for itself until it does.
"""

import logging
import os
import secrets
import time
from typing import TYPE_CHECKING, Final
from zlib import crc32

from forkful.handlers import Tally

if TYPE_CHECKING:
    import redis.asyncio

log = logging.getLogger(__name__)
NUMBERS: Final = 4096
LEASE: Final = 1.0  # seconds: after so long the rooms of a worker that was killed are anybody's
_HOST_LEASE: Final = 5000  # milliseconds


class Workers:
    """The claims of this host's workers."""

    def __init__(self) -> None:
        self.me = float(secrets.randbits(52) + 1)
        self._tally = Tally("arena")
        self._place = self._tally.place(b"owners", 2 * NUMBERS)
        place, shared = self._tally.place(b"secret", 4), self._tally.shared
        with self._tally.alone():
            if not shared[place]:
                shared[place : place + 4] = memoryview(secrets.token_bytes(32)).cast("d")
        self.secret = bytes(shared[place : place + 4])  # of all workers

    def claim(self, room: str, seconds: float = LEASE) -> bool:
        """Whether it is ours, from now on for so long."""
        cell, now, cells = self._place + 2 * (crc32(room.encode()) % NUMBERS), time.monotonic(), self._tally.shared
        with self._tally.alone():
            if cells[cell] == self.me or cells[cell + 1] < now:
                cells[cell], cells[cell + 1] = self.me, now + seconds
            return cells[cell] == self.me


class Hosts:
    """The claims of hosts; without Redis there is one."""

    def __init__(self) -> None:
        self._redis: redis.asyncio.Redis | None = None
        self._here, self._works = os.environ.get("ARENA_HERE", "{}"), True
        if url := os.environ.get("ARENA_REDIS"):
            from redis.asyncio import Redis as Client  # noqa: PLC0415  # only who uses it needs it

            self._redis = Client.from_url(url, decode_responses=True, socket_timeout=1, socket_connect_timeout=1)

    async def other(self, room: str) -> str:
        """How players come to the host that has this room; "": it is this one."""
        return await self._ask(room, nx=True) or ""

    async def keep(self, room: str) -> None:
        await self._ask(room, nx=False)

    async def _ask(self, room: str, *, nx: bool) -> str | None:
        if self._redis is None:
            return None
        from redis.exceptions import RedisError  # noqa: PLC0415  # as above

        try:
            there = await self._redis.set(f"arena:{room}", self._here, nx=nx, px=_HOST_LEASE, get=nx)
        except (RedisError, OSError) as error:
            if self._works:
                log.warning("Redis does not answer, so this host has all rooms for itself: %s", error)
            self._works = False
            return None
        self._works = True
        return str(there) if nx and there not in (None, self._here) else None
