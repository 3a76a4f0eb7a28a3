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
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from forkful.handlers import Tally

log = logging.getLogger(__name__)
NUMBERS: Final = 4096
LEASE: Final = 10.0  # seconds


class Workers:
    """The claims of this host's workers."""

    def __init__(self) -> None:
        self._tally = Tally("arena")
        self._place = self._tally.place(b"owners", 2 * NUMBERS)
        cells, cell = self._tally.shared, self._tally.place(b"secret", 4)
        with self._tally.alone():
            if not cells[cell]:
                cells[cell : cell + 4] = memoryview(secrets.token_bytes(32)).cast("d")
        self.secret = bytes(cells[cell : cell + 4])  # of all workers, for cookies

    def claim(self, room: str) -> bool:
        """Whether it is ours, from now on."""
        cells, cell = self._tally.shared, self._cell(room)
        with self._tally.alone():
            owner, until = int(cells[cell]), cells[cell + 1]
            gone = owner and not Path(f"/proc/{owner}").exists()
            if owner == os.getpid() or gone or until < time.monotonic():
                cells[cell], cells[cell + 1] = os.getpid(), time.monotonic() + LEASE
            return cells[cell] == os.getpid()

    def give(self, room: str, owner: int) -> None:
        """From now on it is this one's; 0: it waits for its heir."""
        cells, cell = self._tally.shared, self._cell(room)
        with self._tally.alone():
            cells[cell], cells[cell + 1] = owner, time.monotonic() + LEASE

    def _cell(self, room: str) -> int:
        return self._place + 2 * (crc32(room.encode()) % NUMBERS)


class Hosts:
    """The claims of hosts."""

    def __init__(self, redis: Any, here: str) -> None:  # Any: who has no Redis need not install it
        self._redis, self._here, self._works = redis, here, True

    async def other(self, room: str) -> str:
        """How players come to the host that has this room; "": it is this one, from now on."""
        there = await self._set(room, nx=True, get=True)
        return there if isinstance(there, str) and there != self._here else ""

    async def keep(self, room: str) -> None:
        await self._set(room, nx=False, get=False)

    async def _set(self, room: str, *, nx: bool, get: bool) -> object:
        there, works = None, True
        try:
            there = await self._redis.set(f"arena:{room}", self._here, nx=nx, px=int(1000 * LEASE), get=get)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it
            works = False
            if self._works:
                log.warning("Redis does not answer, so this host has all rooms for itself: %s", error)
        self._works = works
        return there


def hosts() -> Hosts | None:
    """None: there is one."""
    if not (url := os.environ.get("ARENA_REDIS")):
        return None
    from redis.asyncio import Redis  # noqa: PLC0415  # as above

    return Hosts(Redis.from_url(url, decode_responses=True, socket_timeout=1), os.environ.get("ARENA_HERE", "{}"))
