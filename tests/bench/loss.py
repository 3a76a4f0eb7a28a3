"""Loss of datagrams: what more sockets send than a queue can hold, and whether the kernel counts all that is lost.

The kernel counts the datagrams that found a full queue in the last column of /proc/net/udp, per socket.
"""

from pathlib import Path

from tests.bench.comparison import Rounds, drive
from tests.bench.contenders import ECHO, forkful
from tests.bench.figure import Figure
from tests.bench.load import Load
from tests.bench.server import Server

SENDERS = 1500  # datagrams in flight: the default queue holds about 280 of 64 bytes, socket(7) rmem_default


def loss(rounds: Rounds) -> list[Figure]:
    """Flood one worker, then compare its clients' count with the kernel's."""
    sent = lost = dropped = 0
    with Server(forkful("forkful", f"{ECHO}:Datagram", datagram=True)) as server:
        for _ in range(rounds.rounds):
            before = drops(server.port)
            outcome = drive(server, Load("datagram", SENDERS, timeout=0.5), rounds.seconds)
            sent += outcome.requests
            lost += sum(outcome.errors.values())
            dropped += drops(server.port) - before
    detail = f"of {sent} datagrams {lost} lost, {dropped} counted by the kernel"
    return [Figure("datagrams lost beyond what the kernel counts", float(lost - dropped), "", 0.0, detail=detail)]


def drops(port: int, table: Path = Path("/proc/net/udp")) -> int:
    """Datagrams that the socket at this port had no room for."""
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return sum(int(row[-1]) for row in rows if int(row[1].partition(":")[2], 16) == port)
