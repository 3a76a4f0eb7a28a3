"""Flame graphs: where a worker's time goes under the lines of `before`, `python -m tests.bench flames [NAME ...]`.

py-spy looks at the worker 400 times a second, C code included, and draws `NAME.svg`; with `--other FORKFUL`, the
command of another version's environment, `NAME-other.svg` beside it. What was seen is also a table: microseconds of
CPU per request by part, a part being a module of ours, a library, or a system call. Where threads only wait is left
out, and what the kernel does is its system call's.
Can go wrong: py-spy or wrk is not installed, or may not trace (`kernel.yama.ptrace_scope`): exit code 2 with its words.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tests.bench import cpu
from tests.bench.before import LINES, Line, by, named
from tests.bench.comparison import drive
from tests.bench.cores import load_core, pinned
from tests.bench.load import LoadError
from tests.bench.server import Server, ServerError

RATE = 400  # looks a second
USUAL = ("balanced", "asgi-balanced", "close")
WARM = 1.0
#: The first frame from the leaf that one of these knows says whose time it is.
PARTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\(.*?(tests/bench/apps/\w+\.py)"), "the application"),
    (re.compile(r"\(.*?((?:worker|conf|handlers|master)/[\w/]+\.py)"), ""),
    (re.compile(r"\((?:parser\.c|llhttp\.c|api\.c|http\.c|http_parser)"), "httptools"),
    (re.compile(r"\((?:loop\.c|core\.c|linux\.c|stream\.c|tcp\.c|udp\.c|uv-common|async\.c)"), "uvloop"),
)
#: By glibc's name at the leaf.
CALL = re.compile(
    r"^(eventfd_write|read|writev?|recv(?:msg|from)?|send(?:msg|to)?|accept4?|close|shutdown|epoll_ctl) \(libc"
)
#: On one core a thread that wakes another is seen in eventfd_write(2) while the other runs.
WAITS = re.compile(r"^(epoll_p?wait|eventfd_read|eventfd_write|pthread_cond_\w*wait) \(libc")
LEAF = 3  # frames that may belong to one system call


@dataclass(frozen=True, slots=True)
class Row:
    """One part's share, and what it comes to in microseconds of a request."""

    part: str
    share: float
    microseconds: float


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench flames", description=__doc__.splitlines()[0])
    names = [line.name for line in LINES]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which (default {' '.join(USUAL)}): {', '.join(names)}"
    )
    parser.add_argument("--other", metavar="FORKFUL", help="the command of another version, drawn beside this one")
    parser.add_argument(
        "--seconds", type=int, default=10, help="of looking, for the picture and for the table (default 10)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("bench-report"), metavar="FOLDER", help="where the pictures go"
    )
    asked = parser.parse_intermixed_args(arguments)
    lines = named(parser, asked.names or USUAL)
    asked.out.mkdir(parents=True, exist_ok=True)
    try:
        for line in lines:
            _show(line, f"{line.name}.svg", asked)
            if asked.other:
                contender = replace(line.contender, argv=by(asked.other, line.contender.argv))
                _show(replace(line, contender=contender), f"{line.name}-other.svg", asked)
    except (LoadError, ServerError, FileNotFoundError, subprocess.CalledProcessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        print(f"bench: {said}", file=sys.stderr)
        return 2
    return 0


def _show(line: Line, picture: str, asked: argparse.Namespace) -> None:
    path: Path = asked.out / picture
    raw = path.with_suffix(".txt")
    with Server(line.contender) as server:
        drive(server, line.load, WARM)
        before = server.cpu()
        answered = drive(server, line.load, WARM).ok
        cost = (server.cpu() - before) * 1e6 / answered
        worker = busiest(server.pid)
        for kind, target in (("flamegraph", path), ("raw", raw)):
            _look(server, line, worker, asked.seconds, kind, target)
    print(f"{line.contender.name}: {cost:.1f} us of CPU per request; {path}")
    for row in rows(raw.read_text().splitlines(), cost):
        print(f"  {row.microseconds:6.1f} us {row.share:6.1%}  {row.part}")


def _look(server: Server, line: Line, worker: int, seconds: int, kind: str, path: Path) -> None:
    words = [
        "record",
        "--pid",
        str(worker),
        "--duration",
        str(seconds),
        "--rate",
        str(RATE),
        "--native",
        "--format",
        kind,
    ]
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(drive, server, line.load, seconds + 2.0)
        with pinned(load_core()):
            spy = Path(sys.executable).with_name("py-spy")
            subprocess.run([spy, *words, "--output", path], check=True, capture_output=True, text=True)
        load.result()


def busiest(pid: int) -> int:
    """The process below `pid` that has spent most: the worker, after a load."""
    return max(psutil.Process(pid).children(recursive=True), key=lambda child: cpu.seconds(child.pid)).pid


def rows(stacks: Iterable[str], cost: float) -> list[Row]:
    """The parts of py-spy's stacks, `frame;frame;leaf COUNT`, dearest first; `cost` of a request in microseconds."""
    seen: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        if part := part_of(frames.split(";")):
            seen[part] += int(count)
    total = seen.total() or 1
    return [Row(part, count / total, cost * count / total) for part, count in seen.most_common()]


def part_of(frames: list[str]) -> str:
    """Whose time a stack is, its leaf last; empty where it only waits."""
    leaf = frames[-LEAF:]
    if any(WAITS.match(frame) for frame in leaf):
        return ""
    if calls := [found[1] for frame in leaf if (found := CALL.match(frame))]:
        return f"system call {calls[0]}"
    for frame in reversed(frames):
        for pattern, name in PARTS:
            if found := pattern.search(frame):
                return name or found[1]
    return "the interpreter"
