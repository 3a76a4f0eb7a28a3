"""Applications by servers: which of them answers the same requests in the same way, as a table.

    python -m tests.bench applications

It leaves with 1 where one of ours differs from the server that an application's authors test with.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.kit import oracles
from tests.kit.conversations import APPLICATIONS, Answers, Application, prepare
from tests.kit.door import Door, open_door
from tests.kit.oracles import oracle
from tests.kit.server import CLI

OURS = {
    "1 thread, uvloop": ("--threads", "1", "--event-loop", "uvloop"),
    "1 thread, asyncio": ("--threads", "1", "--event-loop", "asyncio"),
    "4 threads, uvloop": ("--threads", "4", "--event-loop", "uvloop"),
    "4 threads, asyncio": ("--threads", "4", "--event-loop", "asyncio"),
}
THEIRS = {"Gunicorn": ("Gunicorn", "Gunicorn, 4 threads"), "uvicorn": ("uvicorn", "Gunicorn, ASGI")}


def main(arguments: list[str]) -> int:
    """Print the table; `arguments` are names of applications, none: all of them."""
    differ = 0
    for name, site in APPLICATIONS.items():
        if arguments and name not in arguments:
            continue
        right, *others = THEIRS[site.oracle]
        wanted = answers(site, right)
        print(f"{name} ({len(wanted)} conversations; {right} is right)", flush=True)
        for server in (*OURS, *others):
            if site.oracle == "uvicorn" and server.startswith("4 threads"):
                continue
            wrong = differences(answers(site, server), wanted)
            differ += len(wrong) if server in OURS else 0
            label = f"Forkful, {server}" if server in OURS else server
            print(f"  {label:28} {len(wanted) - len(wrong):3} the same  {'; '.join(wrong)}".rstrip(), flush=True)
    return int(differ > 0)


def differences(said: Answers, wanted: Answers) -> list[str]:
    return [what for what in wanted if said.get(what) != wanted[what]]


def answers(site: Application, server: str) -> Answers:
    """What the site says behind this server."""
    with tempfile.TemporaryDirectory(prefix="applications-") as folder:
        door = open_door("tcp", Path(folder))
        running = ours if server in OURS else oracle
        with running(server, site.handler, door, prepare(Path(folder))):
            try:
                return site.ask(door)
            except (OSError, AssertionError) as error:
                return {"nothing": repr(error)}
            finally:
                door.close()


@contextlib.contextmanager
def ours(flags: str, app: str, door: Door, environment: Mapping[str, str]) -> Iterator[None]:
    admin = Path(environment["STATIC"]).parent / "admin.sock"
    command = [*CLI, "serve", app, "--bind", door.url, *OURS[flags], "--admin-bind", f"unix://{admin}"]
    with oracles.running(command, door, environment):
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
