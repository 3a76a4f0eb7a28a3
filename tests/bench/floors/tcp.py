"""The floor of streams: accept, recv, sendall, close. `python -m tests.bench.floors.tcp FD`."""

import sys

from tests.bench.floors import listening


def main() -> None:
    listener = listening(int(sys.argv[1]))
    accept = listener.accept
    while True:
        connection, _ = accept()
        connection.sendall(connection.recv(1024))
        connection.close()


main()
