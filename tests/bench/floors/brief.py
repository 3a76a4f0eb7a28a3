"""The floor of brief connections: epoll, accept, recv, send, close, and nothing else. `... floors.brief FD`.

Nobody is counted, timed or given a protocol, and who has not spoken yet is not waited for, but asked again.
"""

import select
import socket
import sys
from contextlib import suppress

from tests.bench.floors import listening

AT_ONCE = 8


def main() -> None:
    listener = listening(int(sys.argv[1]))
    listener.setblocking(False)
    accept, kind = listener._accept, (int(listener.family), int(listener.type), listener.proto)  # type: ignore[attr-defined]  # noqa: SLF001  # the C half
    silent: list[socket.SocketType] = []
    with select.epoll() as poll:
        poll.register(listener, select.EPOLLIN)
        while True:
            poll.poll(0 if silent else None)
            with suppress(BlockingIOError):
                silent.extend(socket.SocketType(*kind, accept()[0]) for _ in range(AT_ONCE))
            heard, silent = silent, []
            for sock in heard:
                try:
                    sock.send(sock.recv(1024, socket.MSG_DONTWAIT))
                except BlockingIOError:
                    silent.append(sock)
                else:
                    sock.close()


main()
