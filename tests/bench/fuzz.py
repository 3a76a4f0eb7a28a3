"""Fuzz: whatever a client may say over HTTP, at WSGI's doors and ASGI's, judged by `tests.unit.worker.http.judge`.

    python -m tests.bench fuzz --minutes 5 --seed 1

Requests are put together from the corpus of the unit tests, from a grammar and from pieces of both, then damaged. With
atheris (libFuzzer) the parts of the worker that were not reached yet steer it; without, or with `--dice`, the dice do.
What was found interesting before is in `fuzz_corpus`; `--keep` adds what this run found.
Can go wrong: a complaint: it is printed with the input that it is about, cut short, and the exit code is 1.
"""

# ruff: noqa: E501  # tables of words

import argparse
import importlib.util
import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.unit.worker.http.corpus import CASES

Judge = Callable[[bytes], list[str]]  # `judge`, which is imported where it is used: atheris must see it imported

CORPUS = Path(__file__).parent / "fuzz_corpus"
LONGEST = 20_000  # bytes of an input
KEPT, MOST = 400, 60  # bytes of an input that is worth keeping, and how many of them
HANGS = 20  # seconds of CPU after which an input hangs
FOUND = 75  # exit code of the process that atheris steers, once it has said what it found
MEMORY = 256  # MB that a run may take beyond what it began with

# fmt: off
METHODS = [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"CONNECT", b"get", b"PRI"]
TARGETS = [b"/", b"/a", b"/ab?c=d", b"*", b"http://b/c", b"http://b", b"/%00%2f", b"//x", b"a:80", b"/a#b", b"/?"]
FIELDS = [
    b"Host: b", b"host: c", b"Content-Length: 3", b"Content-Length: 0", b"Content-Length: 03", b"Content-Length: 3, 3",
    b"Content-Length: +3", b"Transfer-Encoding: chunked", b"transfer-encoding: CHUNKED", b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked", b"Connection: close", b"Connection: Upgrade",
    b"Connection: keep-alive", b"Connection: x, close", b"Upgrade: websocket", b"Upgrade: h2c", b"Expect: 100-continue",
    b"Expect: x", b"Cookie: a=b", b"Cookie: c", b"X: 1", b"X:", b"X_Y: 1", b" folded", b"\tfolded", b"Content_Length: 9",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Version: 13", b"Trailer: X", b"TE: trailers",
    b"Sec-WebSocket-Extensions: permessage-deflate", b"Keep-Alive: 5", b"Content-Type: a/b",
    b"X-Forwarded-For: 6.6.6.6:99999, [::1]:8, x", b'Forwarded: for="[::1]:8";proto=https, for=x;', b"X-Forwarded-Proto: wss",
]
BODIES = [
    b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"1;a=b\r\nx\r\n0\r\nX: y\r\n\r\n", b"0\r\n\r\n", b"0\r\nContent-Length: 3\r\n\r\n",
    b"fffffffffffffff\r\n", b"3\nabc\n0\n\n", b"3\r\nabcX\r\n0\r\n\r\n", b"00003\r\nabc\r\n00\r\n\r\n", b"GET /x HTTP/1.1\r\n\r\n",
    b"\x81\x85\0\0\0\0hello", b"\x89\x80\0\0\0\0", b"\x88\x82\0\0\0\0\x03\xe8", b"\x01\x81\0\0\0\0a", b"\xc1\x83\0\0\0\0abc",
]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0\r\n"]
WORDS = [
    *FIELDS, *METHODS, *TARGETS, b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b"\t", b" ", b":", b",", b";", b"\xff", b"0", b"9" * 20,
    b"a" * 4090, b"a" * 8190, b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"chunked", b"Content-Length: ", b"\x80", b"X: y\r\n" * 99,
]
# fmt: on
HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

# -- inputs ----------------------------------------------------------------------------------------------------------


def compose(dice: random.Random) -> bytes:
    """One request, mostly a good one."""
    kind = dice.random()
    if kind < 0.3:  # of the corpus
        return dice.choice(CASES).raw
    if kind < 0.4:  # a WebSocket and some frames
        return HANDSHAKE + b"".join(dice.choices(BODIES[-5:], k=dice.randrange(4)))
    end = dice.choice(ENDS) if dice.random() < 0.2 else b"\r\n"  # some lines end badly
    version = dice.choice([b"HTTP/1.1"] * 6 + [b"HTTP/1.0"] * 2 + [b"HTTP/1.2"])
    lines = [b" ".join((dice.choice(METHODS[:6]), dice.choice(TARGETS), version)), b"Host: a"]
    lines += dice.choices(FIELDS, k=dice.choice([0, 0, 1, 1, 2, 3, 6]))
    head = b"".join(line + (end if dice.random() < 0.1 else b"\r\n") for line in lines)
    return head + end + dice.choice(BODIES)


def damage(data: bytes, dice: random.Random) -> bytes:
    """One change."""
    at = dice.randrange(len(data) + 1)
    to = min(len(data), at + dice.choice([0, 1, 1, 2, 5, 20, 200]))
    match dice.randrange(6):
        case 0:
            return data[:at] + dice.choice(WORDS) + data[at:]
        case 1:
            return data[:at] + dice.choice(WORDS) + data[to:]
        case 2:
            return data[:at] + data[to:]
        case 3:
            return data[:to] + data[at:]
        case 4:
            return data[:at] + dice.randbytes(1) + data[at + 1 :]
        case _:
            return data[:at] + compose(dice) + data[at:]


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """A new input from an old one; the same for the same seed."""
    dice = random.Random(seed)
    if not data or dice.random() < 0.15:  # from nothing, now and then
        data = b"".join(compose(dice) for _ in range(dice.choice([1, 1, 2, 3])))
    if dice.random() < 0.2:  # a pipeline
        data += compose(dice)
    for _ in range(dice.choice([0, 1, 1, 1, 2, 4])):
        data = damage(data, dice)
    return data[: min(most, LONGEST)]


# -- one input -------------------------------------------------------------------------------------------------------


class Hang(BaseException):
    """An input takes too long."""


def _alarm(*_: object) -> None:
    raise Hang


def examine(judge: Judge, data: bytes) -> list[str]:
    """What the judge has to say, also when it does not come to an end."""
    began = time.process_time()
    hung = f"an input takes more than {HANGS} s of CPU"
    signal.signal(signal.SIGVTALRM, _alarm)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS, 1)  # again and again: where applications are called it is caught
    try:
        found = judge(data)
    except Exception as error:  # noqa: BLE001  # that is the question
        at = traceback.extract_tb(error.__traceback__)[-1]
        found = [f"{type(error).__name__} escaped from {at.name}, line {at.lineno} of {at.filename}: {error}"]
    except Hang:
        return [hung]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return found if time.process_time() - began < HANGS else [*found, hung]


def shorten(judge: Judge, data: bytes) -> bytes:
    """Leave out what the complaint does not need."""
    size = len(data)
    while size:
        size //= 2
        at = 0
        while size and at < len(data):
            shorter = data[:at] + data[at + size :]
            if examine(judge, shorter):
                data = shorter
            else:
                at += size
    return data


def report(judge: Judge, data: bytes) -> None:
    data = shorten(judge, data)
    complaints = examine(judge, data)
    print(f"fuzz: {len(complaints)} complaints about {data!r}", *complaints[:6], sep="\n  ", flush=True)


def memory() -> int:
    """The most memory this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# -- runs ------------------------------------------------------------------------------------------------------------


def seeds() -> Iterator[bytes]:
    for path in sorted(CORPUS.iterdir()):
        yield path.read_bytes()
    for case in CASES:
        yield case.raw


def roll(minutes: float, seed: int) -> int:
    """Without atheris: the dice alone."""
    from tests.unit.worker.http.judge import judge  # noqa: PLC0415  # see `Judge`

    dice, known, count = random.Random(seed), list(seeds()), 0
    end, before = time.monotonic() + minutes * 60, memory()
    while time.monotonic() < end:
        data = mutate(dice.choice(known), LONGEST, dice.getrandbits(32))
        count += 1
        if examine(judge, data):
            report(judge, data)
            return 1
    grown = memory() - before
    print(f"fuzz: seed {seed}: {count} inputs in {minutes:g} minutes, {grown} MB more memory, no complaint")
    return int(grown > MEMORY)


def steer(minutes: float, seed: int, *, keep: bool) -> int:
    """With atheris, in a process of its own, because libFuzzer ends it."""
    with tempfile.TemporaryDirectory(prefix="forkful-fuzz-") as folder:
        work, known = Path(folder, "found"), Path(folder, "known")
        work.mkdir()
        known.mkdir()
        for number, data in enumerate(seeds()):
            (known / f"seed{number}").write_bytes(data)
        command = [sys.executable, "-m", "tests.bench.fuzz", f"-max_len={LONGEST}", "-timeout=600"]
        limits = [f"-max_total_time={max(1, int(minutes * 60))}", f"-seed={seed}", f"-rss_limit_mb={MEMORY + 256}"]
        done = subprocess.run(
            [*command, *limits, f"-artifact_prefix={folder}/", "-print_final_stats=1", str(work), str(known)],
            stderr=subprocess.PIPE,
            check=False,
        )
        lines = done.stderr.decode(errors="replace").splitlines()
        if done.returncode:
            if done.returncode != FOUND:
                print(*lines[-30:], sep="\n")
            return 1
        stats = ", ".join(
            line.partition("stat::")[2] for line in lines if "executed_units" in line or "peak_rss" in line
        )
        print(f"fuzz: seed {seed}: {minutes:g} minutes, {' '.join(stats.split())}, no complaint")
        if keep:
            _keep([*command, "-merge=1", str(known), str(work)], known)
    return 0


def _keep(merge: list[str], known: Path) -> None:
    """Of what was found, the shortest that reach something that nothing in the corpus does."""
    before = set(known.iterdir())
    subprocess.run(merge, stderr=subprocess.DEVNULL, check=True)
    fresh = sorted((path.stat().st_size, path) for path in set(known.iterdir()) - before)
    room = MOST - len(list(CORPUS.iterdir()))
    for size, path in fresh[:room]:
        if size <= KEPT:
            shutil.copy(path, CORPUS / path.name[:16])


def child(arguments: list[str]) -> None:
    """The process that atheris steers; it never returns."""
    import atheris  # noqa: PLC0415  # only here: it is not everywhere

    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=["forkful.worker"]):
        from tests.unit.worker.http.judge import judge  # noqa: PLC0415  # see `Judge`

    def one(data: bytes) -> None:
        if examine(judge, data):
            report(judge, data)
            os._exit(FOUND)

    def change(data: bytes, most: int, seed: int) -> bytes:
        return mutate(data, most, seed) if seed % 4 else fuzzer.Mutate(data, most)

    fuzzer: Any = atheris  # Any: it has no types
    again = f"{sys.executable} -m tests.bench.fuzz"  # to merge, it has itself run by a shell
    fuzzer.Setup([again, *arguments], one, custom_mutator=change)
    fuzzer.Fuzz()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.bench fuzz", description="Fuzz the framing of HTTP.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dice", action="store_true", help="without atheris, even where it is installed")
    parser.add_argument("--keep", action="store_true", help="add what this run found to the corpus (with atheris)")
    asked = parser.parse_args(arguments)
    if asked.dice or importlib.util.find_spec("atheris") is None:
        logging.disable(logging.CRITICAL)
        return roll(asked.minutes, asked.seed)
    return steer(asked.minutes, asked.seed, keep=asked.keep)


if __name__ == "__main__":
    child(sys.argv[1:])
