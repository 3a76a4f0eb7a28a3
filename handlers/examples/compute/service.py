"""The service: `jobs` takes jobs and tasks from clients, `Worker` computes one task after the other.

They are two pools. `jobs` gives each task a connection of its own to the workers' address: so the queue in front of
them is the kernel's, and the worker that is free takes the next. One that is killed ends its connection, and the task
is given to another. Lines of JSON go in and come out; `compute.md` has them.
Can go wrong: a task's workers die one after the other, or there are none: it fails, and says so.
"""

import asyncio
import contextlib
import functools
import json
import os
import socket
import time
from collections.abc import Awaitable
from socketserver import StreamRequestHandler
from typing import Final
from weakref import WeakValueDictionary

from prometheus_client import Counter

from forkful.handlers import draining
from forkful.handlers.examples.compute.cache import Cache
from forkful.handlers.examples.compute.jobs import Json, Task, compute, cut, join, task, written

WORKERS: Final = os.environ.get("COMPUTE_WORKERS", "@forkful-compute")  # a Unix socket
AT_ONCE: Final = int(os.environ.get("COMPUTE_AT_ONCE", "0")) or 2 * len(os.sched_getaffinity(0))  # tasks of a client
_DEATHS: Final = 5  # of workers, after which they are taken to die of the task
_OFTEN: Final = 0.1  # seconds from one word about a task to the next
_RESULT_MOST: Final = 1 << 24  # bytes
TASKS = Counter("compute_tasks", "Tasks that were asked for.", ["kind", "how"])
REDONE = Counter("compute_tasks_redone", "How often a task was given to another worker, as its own had died.")

_underway: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by key
_cache = functools.cache(Cache)
_connections = asyncio.Semaphore(1_000)  # fewer than may wait in the kernel's queue


class Worker(StreamRequestHandler):
    """Computes: a line in, the task; lines out, how much of it is done, and in the end its result."""

    def handle(self) -> None:
        work, told = compute(Task(**json.loads(self.rfile.readline()))), 0.0
        try:
            while True:
                done = next(work)
                if (now := time.monotonic()) >= told + _OFTEN:
                    told = now
                    self._say({"done": round(done, 3)})  # whoever asked may be gone: then the task is given up here
        except StopIteration as end:
            self._say({"result": end.value})
        except ValueError as error:
            self._say({"failed": str(error)})

    def _say(self, what: Json) -> None:
        self.wfile.write(written(what))


class Conversation:
    """A client's connection: it has so many tasks at once, and its other lines wait until there is room."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._room = asyncio.Semaphore(AT_ONCE)
        self._group = asyncio.TaskGroup()

    async def hold(self) -> None:
        self.say({"hello": "compute", "at_once": AT_ONCE})
        leaving = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, self.say, {"draining": True})
        draining().add_callback(leaving)  # a client that hears it asks for no more here, and ends its side
        try:
            async with self._group:
                while line := await self._reader.readline():
                    await self._take(line)
        except* ValueError as error:  # of readline()
            self.say({"failed": f"a line is too long: {error}"})
        finally:
            draining().remove_callback(leaving)

    def say(self, what: Json) -> None:
        self._writer.write(written(what))

    async def _take(self, line: bytes) -> None:
        asked = {}
        try:
            asked = json.loads(line)
            if "job" not in asked:
                await self._begin(task(**asked))
                return
            kind, tasks = asked["job"], cut(asked["job"], asked.get("args", {}))
        except (TypeError, ValueError, RecursionError) as error:
            named = {"key": asked["key"]} if isinstance(asked, dict) and "key" in asked else {}
            self.say({**named, "failed": f"{error}: {line[:80]!r}"})
            return
        self.say({"job": kind, "tasks": [each.key for each in tasks]})
        begun = [await self._begin(each) for each in tasks]
        answers = [json.loads(await each) for each in begun]
        failed = next((each["failed"] for each in answers if "failed" in each), "")
        what = {"failed": failed} if failed else {"result": join(kind, tasks, [each["result"] for each in answers])}
        self.say({"job": kind, **what})

    async def _begin(self, asked: Task) -> asyncio.Task[bytes]:
        await self._room.acquire()
        begun = self._group.create_task(self._answer(asked))
        begun.add_done_callback(lambda _: self._room.release())
        return begun

    async def _answer(self, asked: Task) -> bytes:
        async with _underway.setdefault(asked.key, asyncio.Lock()):  # who asks for the same finds it in the cache then
            how, answer = "cached", _cache().get(asked.key)
            if not answer:
                said = await self._computed(asked)
                how, answer = "failed" if "failed" in said else "computed", written({"key": asked.key, **said})
                if how == "computed":
                    _cache().put(asked.key, answer)
        TASKS.labels(asked.kind, how).inc()
        self._writer.write(answer)
        await self._writer.drain()
        return answer

    async def _computed(self, asked: Task) -> dict[str, Json]:
        for _ in range(_DEATHS):
            try:
                async with _connections:
                    reader, writer = await _connect()
                    with contextlib.closing(writer):
                        writer.write(asked.line())
                        while (line := await reader.readline()).endswith(b"\n"):
                            said: dict[str, Json] = json.loads(line)
                            if "done" not in said:
                                return said
                            self.say({"key": asked.key, **said})
            except ConnectionResetError:  # as the end of its lines: the worker is dead
                pass
            except OSError as error:
                return {"failed": f"no workers at {WORKERS}: {error}"}
            REDONE.inc()
        return {"failed": f"{_DEATHS} workers died, one after the other, while they computed it: look into the log"}


def _connect() -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        sock.connect(WORKERS.replace("@", "\0", 1))  # is done, or cannot be; uvloop knows no abstract addresses
    except OSError:
        sock.close()
        raise
    return asyncio.open_unix_connection(sock=sock, limit=_RESULT_MOST)


async def jobs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A client's connection, until it has no more to ask for and has been told all."""
    await Conversation(reader, writer).hold()
