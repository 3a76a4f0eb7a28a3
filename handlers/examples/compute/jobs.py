"""Jobs: a picture of the Mandelbrot set, an estimate of pi, a count of words; each is cut into tasks and joined again.

A task is its kind and its arguments, which are JSON, and nothing else: the same key is the same result, whoever
computes it, however often. What computes one yields how much of it is done, from 0 to 1, and returns the result.
Can go wrong: what is asked for cannot be, or is too much: a `ValueError` that says so.
"""

import base64
import json
import random
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

Json = Any  # what json.loads gives
Args = dict[str, Json]
Work = Generator[float, None, Json]
_CODE: Final = blake2b(Path(__file__).read_bytes(), digest_size=8).hexdigest()  # a result is one of this very code
_MOST: Final = 10_000  # tasks of a job
_PIXELS, _SAMPLES, _PIECE = 15_000, 500_000, 15_000  # of a task: pixels, samples, characters
_PIECES = re.compile(rf"(?s).{{1,{_PIECE}}}(?!\S)|\S{{1,{_PIECE}}}")  # which end between words
_WORD = re.compile(r"\w+")


class Task(NamedTuple):
    """A part of a job."""

    key: str
    kind: str
    args: Args

    def line(self) -> bytes:
        """As it is sent."""
        return written({"key": self.key, "kind": self.kind, "args": self.args})


def written(what: object) -> bytes:
    """A line: the same for the same."""
    return json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def task(kind: str, args: Args, key: str = "") -> Task:
    """The task with its key; `key` is what its sender takes for it."""
    found = blake2b(written([_CODE, _kind(kind), args]), digest_size=16).hexdigest()
    if key not in ("", found):
        raise ValueError(f"the key of this task is {found} here: whoever sent it has another version of jobs.py")
    return Task(found, kind, args)


def cut(kind: str, args: Args) -> list[Task]:
    """The tasks of a job, in their order."""
    try:
        return [task(kind, each) for each in KINDS[_kind(kind)].cut(**args)]
    except TypeError as error:  # of arguments that it does not have
        raise ValueError(f"{kind}: {error}") from None


def compute(asked: Task) -> Work:
    """The task's result, found here and now."""
    try:
        return (yield from KINDS[asked.kind].compute(**asked.args))
    except (ArithmeticError, LookupError, TypeError) as error:
        raise ValueError(f"{asked.kind}: {error}") from None


def result(asked: Task) -> Json:
    """The same, in one piece."""
    work = compute(asked)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def join(kind: str, tasks: Sequence[Task], results: Sequence[Json]) -> Json:
    """A job's result, of those of its tasks in their order."""
    return KINDS[kind].join(tasks, results)


def _kind(kind: object) -> str:
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"what is {kind!r}? There are {', '.join(KINDS)}")
    return kind


def _check(**limits: tuple[object, int]) -> None:
    for name, (value, most) in limits.items():
        if not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{name}: a number from 1 to {most}, not {value!r}")


# -- a picture of the Mandelbrot set: rows of pixels, a byte each, how soon the point leaves; 0: it stays -------------


def _cut_picture(  # noqa: PLR0913  # they are a job's
    *, width: int = 900, height: int = 600, x: float = -0.65, y: float = 0, span: float = 3.3, depth: int = 200
) -> Iterator[Args]:
    _check(width=(width, 10_000), height=(height, 10_000), depth=(depth, 20_000))
    rows, step = max(1, _PIXELS // width), span / width
    for top in range(0, height, rows):
        place = {"x": x - span / 2, "y": y + (height / 2 - top) * step, "step": step}
        yield {"width": width, "rows": min(rows, height - top), "depth": depth, **place}


def _picture(*, width: int, rows: int, depth: int, x: float, y: float, step: float) -> Work:  # noqa: PLR0913
    _check(width=(width, _PIXELS), rows=(rows, _PIXELS // width), depth=(depth, 20_000))
    pixels, turns = bytearray(), range(depth)
    for row in range(rows):
        yield row / rows
        for column in range(width):
            c, z = complex(x + column * step, y - row * step), 0j
            for turn in turns:
                z = z * z + c
                if abs(z) > 2:  # noqa: PLR2004  # of the definition
                    pixels.append(turn % 255 + 1)
                    break
            else:
                pixels.append(0)
    return base64.b64encode(zlib.compress(pixels)).decode()


def _png(tasks: Sequence[Task], results: Sequence[Json]) -> str:
    """In 256 colours, in base64 (PNG, ISO/IEC 15948)."""
    width, pixels = tasks[0].args["width"], b"".join(zlib.decompress(base64.b64decode(each)) for each in results)
    rows = [b"\0" + pixels[begin : begin + width] for begin in range(0, len(pixels), width)]
    colours = bytes(3) + bytes(min(255, part * each // 8) for each in range(1, 256) for part in (16, 32, 80))
    head = struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)
    chunks = b"IHDR" + head, b"PLTE" + colours, b"IDAT" + zlib.compress(b"".join(rows)), b"IEND"
    sealed = (struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(sealed)).decode()


# -- an estimate of pi: how many of so many points in a square are in its circle -------------------------------------


def _cut_samples(*, samples: int = 20_000_000, seed: int = 1) -> Iterator[Args]:
    _check(samples=(samples, _MOST * _SAMPLES))
    for begin in range(0, samples, _SAMPLES):
        yield {"samples": min(_SAMPLES, samples - begin), "seed": f"{seed}/{begin}"}


def _hits(*, samples: int, seed: str) -> Work:
    _check(samples=(samples, 20 * _SAMPLES))
    dice, hits, most = random.Random(seed).random, 0, 20_000
    for done in range(0, samples, most):
        yield done / samples
        hits += sum(dice() ** 2 + dice() ** 2 < 1 for _ in range(min(most, samples - done)))
    return [hits, samples]


def _pi(_: Sequence[Task], results: Sequence[Json]) -> float:
    return float(4 * sum(hits for hits, _ in results) / sum(samples for _, samples in results))


# -- a count of words --------------------------------------------------------------------------------------------------


def _cut_texts(*, texts: Sequence[str]) -> Iterator[Args]:
    return ({"text": found[0]} for text in texts for found in _PIECES.finditer(text))


def _words(*, text: str) -> Work:
    yield 0
    return Counter(_WORD.findall(text.casefold()))


def _most_common(_: Sequence[Task], results: Sequence[Json]) -> dict[str, int]:
    counts = Counter[str]()
    for each in results:
        counts.update(each)
    return dict(counts.most_common())


class Kind(NamedTuple):
    """How a job is cut, its tasks computed, and their results joined."""

    cut: Callable[..., Iterator[Args]]
    compute: Callable[..., Work]
    join: Callable[[Sequence[Task], Sequence[Json]], Json]


KINDS: Final = {
    "mandelbrot": Kind(_cut_picture, _picture, _png),
    "pi": Kind(_cut_samples, _hits, _pi),
    "words": Kind(_cut_texts, _words, _most_common),
}
