"""The computation without its processes: jobs cut and joined, a service whose workers die, a client's many hosts."""

import asyncio
import functools
import json
import re
import struct
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forkful.handlers.examples.compute import service
from forkful.handlers.examples.compute.cache import Cache
from forkful.handlers.examples.compute.client import Crowd
from forkful.handlers.examples.compute.jobs import Task, cut, join, result, task, written

Json = Any  # what json.loads gives
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
EMPTY = {"samples": 1, "seed": "0"}


def done(kind: str, **args: Json) -> Json:
    tasks = cut(kind, args)
    return join(kind, tasks, [result(each) for each in tasks])


def test_the_same_task_has_the_same_key_and_another_has_another() -> None:
    assert task("pi", {"samples": 1, "seed": "0"}) == task("pi", {"seed": "0", "samples": 1})
    assert len({task("pi", {"samples": 1, "seed": str(number)}).key for number in range(100)}) == 100


def test_a_picture_is_the_same_however_it_is_cut() -> None:
    picture = b64decode(done("mandelbrot", width=300, height=120, depth=20))
    size = struct.unpack(">II", picture[16:24])
    pixels = zlib.decompress(picture[picture.index(b"IDAT") + 4 : -16])

    assert (picture[:8], size) == (b"\x89PNG\r\n\x1a\n", (300, 120))
    assert len(pixels) == 120 * 301
    for row, column in ((0, 0), (60, 150), (59, 40), (119, 299)):
        c, z, turn = complex(-0.65 - 1.65 + column * 0.011, (60 - row) * 0.011), 0j, 0
        while turn < 20 and abs(z := z * z + c) <= 2:
            turn += 1
        assert pixels[row * 301 + 1 + column] == (turn + 1) % 21, (row, column)


@pytest.mark.parametrize(
    "texts", [[], [""], [" \n\t"], ["a  b\u2003a"], ["Straße STRASSE", "ÇA ça"], ["x" * 15_000], [" " * 40_000 + "end"]]
)
def test_words_are_counted_as_in_one_piece(texts: list[str]) -> None:
    (whole,) = (result(Task("", "words", {"text": " ".join(texts)})),)
    assert done("words", texts=texts) == whole


def test_long_texts_are_cut_between_words() -> None:
    text = "\n".join(f"word{number % 999} the" for number in range(10_000))
    tasks = cut("words", {"texts": [text]})

    assert len(tasks) > 5
    assert all(len(each.line()) < 65_536 for each in tasks)
    assert done("words", texts=[text]) == Counter(text.split())


@pytest.mark.parametrize(
    ("kind", "args", "why"),
    [
        ("pie", {}, "what is 'pie'? There are mandelbrot, pi, words"),
        ("pi", {"samples": 0}, "samples: a number from 1 to 5000000000, not 0"),
        ("pi", {"samples": 1e6}, "samples: a number from 1 to"),
        ("mandelbrot", {"depth": 10**6}, "depth: a number from 1 to 20000"),
        ("mandelbrot", {"heigth": 5}, "unexpected keyword argument 'heigth'"),
        ("mandelbrot", {"x": "left"}, "mandelbrot: "),
        ("words", {"texts": [1]}, "words: "),
    ],
)
def test_what_cannot_be_is_said(kind: str, args: dict[str, Json], why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        cut(kind, args)


def test_a_task_that_cannot_be_computed_is_a_mistake_of_who_asks() -> None:
    huge = {"width": 1, "rows": 1, "depth": 9, "x": 1.7e308, "y": 1.7e308, "step": 0}
    with pytest.raises(ValueError, match="absolute value too large"):
        result(task("mandelbrot", huge))


def test_the_oldest_results_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPUTE_CACHE", str(tmp_path))
    monkeypatch.setenv("COMPUTE_CACHE_SIZE", "1000")
    cache = Cache()
    for number in range(30):
        cache.put(f"{number:02}", bytes(100))
    kept = [number for number in range(30) if cache.get(f"{number:02}")]

    assert kept == list(range(30 - len(kept), 30))
    assert 8 <= len(kept) <= 10
    assert Cache().get("29") == bytes(100)


@asynccontextmanager
async def conversation(workers: Serve, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """A service with these workers; what it says to lines, but for its greeting."""
    path = str(folder / "workers")
    patch.setattr(service, "WORKERS", path)
    patch.setattr(service, "_connections", asyncio.Semaphore(9))
    patch.setenv("COMPUTE_CACHE", str(folder / "cache"))
    patch.setattr(service, "_cache", functools.cache(Cache))

    async def front(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await service.jobs(reader, writer)
        writer.close()  # as the server does

    async with (
        await asyncio.start_unix_server(workers, path),
        await asyncio.start_server(front, "127.0.0.1", 0) as door,
    ):

        async def ask(*lines: bytes) -> list[Json]:
            reader, writer = await asyncio.open_connection(*door.sockets[0].getsockname())
            writer.write(b"".join(lines))
            writer.write_eof()
            said = [json.loads(line) for line in (await asyncio.wait_for(reader.read(), 20)).splitlines()]
            writer.close()
            return said[1:]

        yield ask


async def computes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = Task(**json.loads(await reader.readline()))
    writer.write(written({"result": result(asked)}))
    writer.close()


async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b'{"done":0}\n{"resu')
    writer.close()


def told(workers: Serve, folder: Path, patch: pytest.MonkeyPatch, *lines: bytes) -> list[Json]:
    async def run() -> list[Json]:
        async with conversation(workers, folder, patch) as ask:
            said: list[Json] = await ask(*lines)
            return said

    return asyncio.run(run())


def test_a_task_that_its_workers_die_of_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = task("pi", EMPTY)
    *begun, last = told(dies, tmp_path, monkeypatch, asked.line())

    assert begun == [{"key": asked.key, "done": 0}] * 5
    assert last["key"] == asked.key
    assert "5 workers died" in last["failed"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"hello\n", {"failed": "Expecting value: line 1 column 1 (char 0): b'hello\\n'"}),
        (b"5\n", {"failed": "argument of type 'int' is not iterable: b'5\\n'"}),
        (b"[" * 20_000 + b"\n", None),
        (b"x" * 100_000 + b"\n", None),
        (b'{"kind":"pi","args":{},"key":"k"}\n', None),
        (b'{"kind":"pi"}\n', None),
        (b'{"job":"pi","args":[1]}\n', None),
        (b'{"job":["pi"]}\n', None),
    ],
)
def test_a_line_that_cannot_be_is_answered(
    line: bytes, said: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (answer,) = told(computes, tmp_path, monkeypatch, line)
    assert answer == said or (said is None and answer["failed"])
    assert (answer.get("key") == "k") == (b"key" in line)


def test_what_is_asked_for_twice_at_once_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await computes(reader, writer)

    line = b'{"job":"pi","args":{"samples":600000}}\n'
    said = told(counts, tmp_path, monkeypatch, line, task("pi", EMPTY).line() * 3, line)

    jobs = [each for each in said if "job" in each]
    assert jobs == [*jobs[:2], *jobs[:2]]
    assert jobs[1]["result"] == done("pi", samples=600_000)
    assert asked == 3
    assert told(counts, tmp_path, monkeypatch, line)[-1] == jobs[1]
    assert asked == 3


class Host:
    """A host as a client sees it: it computes, or it hangs, fails, ends the connection after each answer."""

    def __init__(self, how: str) -> None:
        self.how, self.answers = how, 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\n" if self.how == "is another" else written({"hello": "", "at_once": 2}))
        while self.how != "ends it at once" and (line := await reader.readline()):
            if self.how == "hangs":
                await reader.read()
                break
            asked = Task(**json.loads(line))
            what = {"failed": "cannot"} if self.how == "fails" else {"result": result(asked)}
            writer.write(written({"key": asked.key, **what}))
            self.answers += "result" in what
            if self.how == "drains":
                writer.write(written({"draining": True}))
                await reader.read()
                break
            if self.how == "ends it":
                break
        writer.close()


def computed(*hosts: Host, patience: float = 20) -> tuple[list[Task], dict[str, Json]]:
    tasks = [task("pi", {"samples": 1, "seed": str(number)}) for number in range(6)]

    async def run() -> dict[str, Json]:
        servers = [await asyncio.start_server(host, "127.0.0.1", 0) for host in hosts]
        addresses = ["{}:{}".format(*server.sockets[0].getsockname()) for server in servers]
        try:
            return await Crowd(tasks, addresses, lambda _, __: None, patience).run()
        finally:
            for server in servers:
                server.close()

    return tasks, asyncio.run(run())


@pytest.mark.parametrize(
    "others", [[], ["computes"], ["hangs"], ["fails"], ["ends it"], ["ends it at once"], ["drains"], ["is another"]]
)
def test_all_results_come_whatever_the_other_hosts_do(others: list[str]) -> None:
    tasks, results = computed(Host("computes"), *map(Host, others))
    assert results == {each.key: result(each) for each in tasks}


@pytest.mark.parametrize("how", ["ends it", "drains"])
def test_a_host_that_is_often_away_does_it_alone(how: str) -> None:
    tasks, results = computed(Host(how))
    assert results == {each.key: result(each) for each in tasks}


def test_a_task_that_all_hosts_fail_has_failed() -> None:
    with pytest.raises(RuntimeError, match="pi: cannot"):
        computed(Host("fails"), Host("fails"))


@pytest.mark.parametrize("how", ["hangs", "is another", "ends it at once"])
def test_hosts_that_say_nothing_are_given_up(how: str) -> None:
    with pytest.raises(TimeoutError, match="no host said anything"):
        computed(Host(how), patience=0.3)
