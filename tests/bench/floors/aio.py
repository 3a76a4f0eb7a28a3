"""The floor of loops: bare uvloop. `python -m tests.bench.floors.aio protocol|streams HANDLER FD`, in apps.aio."""

import asyncio
import sys

import uvloop

from tests.bench.apps import aio
from tests.bench.floors import listening


async def main() -> None:
    kind, handler, fd = sys.argv[1:]
    sock = listening(int(fd))
    sock.setblocking(False)
    what = getattr(aio, handler)
    if kind == "protocol":
        server = await asyncio.get_running_loop().create_server(what, sock=sock, backlog=2048)
    else:
        server = await asyncio.start_server(what, sock=sock, backlog=2048)
    await server.serve_forever()


uvloop.run(main())
