"""The question what a handler serves, answered by a process of its own: `python -P -m forkful.handlers.kind HANDLER`.

The master asks it for an address without a scheme (`HOST:PORT`), because it never imports user code itself. Where the
source says it, nothing is imported here either, unless `--import` asks for that.
Prints {"kind": "stream" | "datagram" | "http", "imported": whether it was}.
Can go wrong: the handler cannot be loaded or understood: exit code 4 and {"error": ..., "traceback": ...}.
"""

import json
import os
import sys
from pathlib import Path

from forkful.handlers.binding import held
from forkful.handlers.kinds import classify
from forkful.handlers.load import LoadError, load, parse, prepare_path
from forkful.handlers.source import kind_of

UNLOADABLE = 4


def by_source(text: str, directory: str) -> str:
    """What the handler's source says, as an interpreter started with -P in `directory` would find it; "": nothing.

    For a process that reads settings: nothing is imported, and the search path is what it was.
    """
    kept = sys.path[:]
    try:
        sys.path[:] = kept if sys.flags.safe_path else kept[1:]
        prepare_path(directory)
        return kind_of(parse(text))
    except LoadError:
        return ""
    finally:
        sys.path[:] = kept


def main(arguments: list[str]) -> int:
    answer = os.dup(1)  # what the user's module prints while it is imported must not be taken for the answer
    os.dup2(2, 1)
    held.all = True  # what is asked here may run beside the service itself
    try:
        prepare_path(str(Path.cwd()))
        text, *options = arguments
        kind = "" if options else kind_of(parse(text))
        code, said = 0, {"kind": kind or classify(text, load(text)).kind, "imported": not kind}
    except LoadError as error:
        code, said = UNLOADABLE, {"error": str(error), "traceback": error.traceback}
    sys.stdout.flush()
    os.write(answer, json.dumps(said).encode() + b"\n")
    return code


if __name__ == "__main__":
    # Threads or exit hooks that the module may have left behind have no say in how this ends.
    os._exit(main(sys.argv[1:]))
