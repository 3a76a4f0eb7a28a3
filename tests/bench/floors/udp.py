"""The floor of datagrams: recvfrom, sendto. `python -m tests.bench.floors.udp FD`."""

import sys

from tests.bench.floors import listening


def main() -> None:
    sock = listening(int(sys.argv[1]))
    receive, send = sock.recvfrom, sock.sendto
    while True:
        data, peer = receive(65_507)
        send(data, peer)


main()
