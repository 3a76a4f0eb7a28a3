"""The floor of memory: import, keep all of it from the collector, fork, and in each child accept, handle, close.

`python -m tests.bench.floors.forked HANDLER WORKERS FD`; what it has beyond a bare fork(2) is the handler's own doing.
"""

import gc
import os
import sys
from importlib import import_module
from typing import Any

import setproctitle

from tests.bench.floors import listening


def main() -> None:
    name, workers, fd = sys.argv[1:]
    module, _, attribute = name.partition(":")
    handler: Any = getattr(import_module(module), attribute)  # Any: whatever socketserver would call
    gc.collect()
    gc.freeze()
    listener = listening(int(fd))
    for _ in range(int(workers)):
        if os.fork() == 0:
            setproctitle.setproctitle("floor: worker")
            while True:
                connection, address = listener.accept()
                handler(connection, address, None)
                connection.close()
    for _ in range(int(workers)):
        os.wait()


main()
