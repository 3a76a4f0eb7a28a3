"""What workers do that accept for themselves: four forks of a bare loop on one listener.

`python -m tests.bench.floors.workers uvloop|asyncio FD`; each answers GET with its PID.
"""

import asyncio
import os
import signal
import sys
from typing import cast

import uvloop

from tests.bench.floors import listening

WORKERS = 4


class Pid(asyncio.Protocol):
    """An answer for each piece of a request: enough for a client that sends it whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, _data: bytes) -> None:
        body = b"%d\n" % os.getpid()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def serve(fd: int) -> None:
    sock = listening(fd)
    sock.setblocking(False)
    server = await asyncio.get_running_loop().create_server(Pid, sock=sock, backlog=2048)
    await server.serve_forever()


def main() -> None:
    loop, fd = sys.argv[1:]
    run = uvloop.run if loop == "uvloop" else asyncio.run
    children = []
    for _ in range(WORKERS):
        child = os.fork()
        if not child:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            run(serve(int(fd)))
        children.append(child)

    def stop(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    for child in children:
        os.waitpid(child, 0)


main()
