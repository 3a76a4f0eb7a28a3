"""The load: the C generator beside this module, compiled once, run on its own core, and what it reports.

Can go wrong: no C compiler, or the generator gives up (`LoadError` with its words).
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol

from tests.bench.cores import pinned

HERE = Path(__file__).parent
SOURCE = HERE / "load.c"
ERRORS = ("refused", "reset", "closed", "timeout", "wrong", "other")


class LoadError(RuntimeError):
    """The generator could not be built or did not do what it was told."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send. `mode` as in load.c; `requests` 0 is as many as `seconds` allow."""

    mode: str
    connections: int = 16
    seconds: float = 1.0
    requests: int = 0
    size: int = 64
    timeout: float = 5.0
    rate: float = 0.0  # requests a second, 0 is as many as can be
    warm: int = 0  # requests that come first and do not count
    options: tuple[str, ...] = ()

    @property
    def missing(self) -> str:
        """Nothing: without a compiler nothing at all can be measured, and `build` says so."""
        return ""

    def drive(self, address: str, seconds: float, core: int) -> "Outcome":
        """Send it for so long."""
        return send(replace(self, seconds=seconds), address, core)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back. `errors` only has the classes that happened; times in microseconds."""

    requests: int
    ok: int
    seconds: float
    errors: dict[str, int]
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.ok / self.seconds


class Drive(Protocol):
    """A load, whoever sends it; `missing` says what is not installed for it."""

    @property
    def missing(self) -> str: ...

    def drive(self, address: str, seconds: float, core: int) -> Outcome: ...


def build() -> Path:
    """Compile the generator where it is older than its source, and return the program."""
    program = HERE / ".build" / "load"
    if program.exists() and program.stat().st_mtime_ns > SOURCE.stat().st_mtime_ns:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise LoadError("the load generator needs a C compiler: install gcc or clang")
    program.parent.mkdir(exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    built = subprocess.run([compiler, "-O2", "-o", fresh, SOURCE], capture_output=True, text=True, check=False)
    if built.returncode:
        raise LoadError(f"{compiler} cannot compile {SOURCE}:\n{built.stderr}")
    fresh.replace(program)
    return program


def command(load: Load, address: str) -> list[str]:
    """The generator's command line for `HOST:PORT` or a path."""
    words = [str(build()), "-n", str(load.connections), "-t", str(load.seconds), "-s", str(load.size)]
    words += ["-T", str(round(load.timeout * 1000)), *load.options]
    words += ["-r", str(load.requests)] if load.requests else []
    words += ["-w", str(load.warm)] if load.warm else []
    words += ["-R", str(load.rate)] if load.rate else []
    return [*words, load.mode, address]


def send(load: Load, address: str, core: int) -> Outcome:
    """Run the generator on `core` until it is done."""
    patience = load.seconds + load.timeout + 30
    with pinned(core):
        process = subprocess.Popen(command(load, address), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, words = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise LoadError(f"the load generator was not done after {patience:.0f} s") from error
    if process.returncode:
        raise LoadError(words.strip() or f"the load generator left with {process.returncode}")
    return read(out)


@contextmanager
def warmed(load: Load, address: str, core: int) -> Iterator[Callable[[], Outcome]]:
    """The generator when it is warm. What is given waits until it is done; its connections stay until the end.

    So what a server spends between these two is for the requests that count, and for no coming and going.
    """
    with pinned(core):
        process = subprocess.Popen(
            command(load, address), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with process:
        try:
            if (words := process.stderr.readline()) != "warm\n":
                raise LoadError(words.strip() or "the load generator left before it was warm")
            yield lambda: read(_line(process.stdout))
        finally:
            process.stdin.close()
            process.terminate()


def _line(out: IO[str] | None) -> str:
    if out is None or not (line := out.readline()):
        raise LoadError("the load generator left without a word")
    return line


def read(text: str) -> Outcome:
    """Understand the generator's line of JSON."""
    raw = json.loads(text)
    errors = {name: raw[name] for name in ERRORS if raw[name]}
    return Outcome(raw["requests"], raw["ok"], raw["seconds"], errors, raw["p50_us"], raw["p99_us"])
