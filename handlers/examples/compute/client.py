"""A client of several hosts at once: each has as many tasks as it takes, and the faster gets more of them.

A connection that ends is made anew, and what its host had in hand is given to the others. Towards the end they get
copies of what is still missing, so that nobody waits for a host that hangs; the first result of a key counts.
Can go wrong: all hosts fail a task (`RuntimeError`), or none says anything for `patience` seconds (`TimeoutError`).
"""

import asyncio
import contextlib
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from forkful.handlers.examples.compute.jobs import Json, Task

Tell = Callable[[str, dict[str, Json]], object]
_LINE_MOST = 1 << 24  # bytes
_PAUSE = 0.2  # seconds, before a host is asked again whose connection has ended


class Crowd:
    """Tasks over hosts (`HOST:PORT`). `tell(host, said)` hears all that they say."""

    def __init__(self, tasks: Iterable[Task], hosts: Iterable[str], tell: Tell, patience: float = 60) -> None:
        self._left = {each.key: each for each in tasks}
        self._waiting = deque(self._left)
        self._hosts, self._tell, self._patience = list(hosts), tell, patience
        self._held: dict[str, set[str]] = {host: set() for host in self._hosts}  # keys, by who has them in hand
        self._refused: defaultdict[str, dict[str, str]] = defaultdict(dict)  # by key, by host
        self._feeds: dict[str, Callable[[], None]] = {}
        self._trouble: dict[str, str] = {}
        self._results: dict[str, Json] = {}

    async def run(self) -> dict[str, Json]:
        """The results, by key."""
        self._done = asyncio.get_running_loop().create_future()
        visits = [asyncio.create_task(self._visit(host)) for host in self._hosts]
        try:
            async with asyncio.timeout(self._patience) as self._silence:
                if self._left:
                    await self._done
        except TimeoutError:
            why = "; ".join(f"{host}: {trouble}" for host, trouble in self._trouble.items())
            raise TimeoutError(f"no host said anything for {self._patience:g} s. {why}") from None
        finally:
            for visit in visits:
                visit.cancel()
            await asyncio.gather(*visits, return_exceptions=True)
        return self._results

    async def _visit(self, host: str) -> None:
        while True:
            self._trouble[host] = "it ended the connection"
            try:
                await self._converse(host)
            except (OSError, ValueError, LookupError) as error:  # away, or no service of ours
                self._trouble[host] = repr(error)
            self._feeds.pop(host, None)
            lost, self._held[host] = self._held[host], set()
            self._waiting.extend(key for key in lost if key in self._left and not self._copies(key))
            self._feed()
            await asyncio.sleep(_PAUSE)

    def _feed(self) -> None:
        for feed in self._feeds.values():
            feed()

    async def _converse(self, host: str) -> None:
        name, _, port = host.rpartition(":")
        reader, writer = await asyncio.open_connection(name.strip("[]"), int(port), limit=_LINE_MOST)

        def feed() -> None:
            while len(self._held[host]) < at_once and (key := self._next(host)):
                self._held[host].add(key)
                writer.write(self._left[key].line())

        with contextlib.closing(writer):
            at_once = int(json.loads(await reader.readline())["at_once"])
            self._feeds[host] = feed
            feed()
            while line := await reader.readline():
                said = json.loads(line)
                self._tell(host, said)
                if "draining" in said:  # it finishes what it has; its successor takes the rest
                    del self._feeds[host]
                    writer.write_eof()
                elif "key" not in said:
                    raise ValueError(said["failed"])
                else:
                    self._silence.reschedule(asyncio.get_running_loop().time() + self._patience)
                    if "done" not in said:
                        self._take(host, said)
                        self._feed()

    def _take(self, host: str, said: dict[str, Json]) -> None:
        key = said["key"]
        self._held[host].discard(key)
        if key not in self._left:
            return  # the copy was faster
        if "failed" in said:
            self._refused[key][host] = said["failed"]
            if len(self._refused[key]) == len(self._hosts) and not self._done.done():
                self._done.set_exception(RuntimeError(f"{self._left[key].kind}: {said['failed']}"))
            elif not self._copies(key):
                self._waiting.append(key)
            return
        self._results[key] = said["result"]
        del self._left[key]
        if not self._left and not self._done.done():
            self._done.set_result(None)

    def _next(self, host: str) -> str:
        """What this host should compute next: what nobody has, or else a copy of what only one other has."""
        for key in self._waiting:
            if host not in self._refused[key]:
                self._waiting.remove(key)
                return key
        known = self._held[host]
        return next(
            (k for k in self._left if k not in known and host not in self._refused[k] and self._copies(k) == 1), ""
        )

    def _copies(self, key: str) -> int:
        return sum(key in held for held in self._held.values())


def compute(tasks: Iterable[Task], hosts: Iterable[str], tell: Tell = lambda _, __: None) -> dict[str, Json]:
    """The results of these tasks by their keys, computed by these hosts."""
    return asyncio.run(Crowd(tasks, hosts, tell).run())
