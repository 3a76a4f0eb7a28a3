"""Owners: which worker has a room, by cells that all workers share, and which host has it, by Redis.

A worker takes a room that nobody has when its first player comes, and says again and again that it still has it. It
is free again when its worker is gone, unless that has handed it over: then it waits for the heir. Rooms are told
apart by 4,096 numbers; those of the same number share a worker.
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
LEASE: Final = 10.0  # seconds
_HOST_LEASE: Final = 5000  # milliseconds


class Workers:
    """The claims of this host's workers."""

    def __init__(self) -> None:
        self._tally = Tally("arena")
        self._place = self._tally.place(b"owners", 2 * NUMBERS)
        place, shared = self._tally.place(b"secret", 4), self._tally.shared
        with self._tally.alone():
            if not shared[place]:
                shared[place : place + 4] = memoryview(secrets.token_bytes(32)).cast("d")
        self.secret = bytes(shared[place : place + 4])  # of all workers

    def claim(self, room: str) -> bool:
        """Whether it is ours, from now on."""
        owner, until = self._cells(room)
        cells = self._tally.shared
        with self._tally.alone():
            if cells[owner] == os.getpid() or cells[until] < time.monotonic() or _is_gone(int(cells[owner])):
                cells[owner], cells[until] = os.getpid(), time.monotonic() + LEASE
            return cells[owner] == os.getpid()

    def give(self, room: str, owner: int) -> None:
        """From now on it is this one's; 0: it waits for its heir."""
        cell, until = self._cells(room)
        with self._tally.alone():
            self._tally.shared[cell], self._tally.shared[until] = owner, time.monotonic() + LEASE

    def _cells(self, room: str) -> tuple[int, int]:
        cell = self._place + 2 * (crc32(room.encode()) % NUMBERS)
        return cell, cell + 1


def _is_gone(worker: int) -> bool:
    try:
        if worker:
            os.kill(worker, 0)
    except (ProcessLookupError, PermissionError):  # or its number is somebody else's by now
        return True
    return False


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
