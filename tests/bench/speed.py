"""Speed: TCP and UDP echo of 64 bytes beside bare loops and the standard library, in CPU per answered request."""

from tests.bench.comparison import Rounds, against, compare, cost
from tests.bench.contenders import ECHO, floor, forkful, stdlib
from tests.bench.figure import Figure
from tests.bench.load import Load

FLOOR_STREAM = "bare loop, StreamRequestHandler"
FLOOR, SYNC, STREAM, THREADS = "bare Python loop", "forkful sync", "forkful StreamRequestHandler", "forkful threads=16"
THREADING = "ThreadingTCPServer"
BURST = 32


def tcp(rounds: Rounds) -> list[Figure]:
    """One connection per request."""
    contenders = [
        floor(FLOOR, "tcp"),
        floor(FLOOR_STREAM, "tcp", "stream"),
        forkful(SYNC, f"{ECHO}:Once"),
        forkful(STREAM, f"{ECHO}:OnceStream"),
        forkful(THREADS, f"{ECHO}:Once", "--threads", "16"),
        stdlib(THREADING, "Once"),
        stdlib("TCPServer", "Once"),
    ]
    scores = compare(contenders, Load("close", connections=16), rounds)
    return [
        against("sync / bare accept loop", scores, (SYNC, FLOOR), 1.05),
        against("StreamRequestHandler / bare accept loop", scores, (STREAM, FLOOR), 1.2),
        against("the same / a bare loop with that handler", scores, (STREAM, FLOOR_STREAM)),
        against("threads = 16 / bare accept loop", scores, (THREADS, FLOOR), 1.35),
        against("sync / ThreadingTCPServer", scores, (SYNC, THREADING), 1 / 3.5),
        against("threads = 16 / ThreadingTCPServer", scores, (THREADS, THREADING), 1 / 3.5),
        against("for comparison: the bare loop / ThreadingTCPServer", scores, (FLOOR, THREADING)),
        cost("TCPServer, per request", scores, "TCPServer"),
    ]


def persistent(rounds: Rounds) -> list[Figure]:
    """Fifty connections, ping-pong."""
    ours = "forkful threads=50"
    contenders = [forkful(ours, f"{ECHO}:Until", "--threads", "50"), stdlib(THREADING, "Until")]
    scores = compare(contenders, Load("persistent", connections=50), rounds)
    return [against("threads = 50 / ThreadingTCPServer", scores, (ours, THREADING), 1.0)]


def udp(rounds: Rounds) -> list[Figure]:
    """One datagram back for each."""
    ours, files, wild = "forkful datagram", "forkful DatagramRequestHandler", "forkful datagram on a wildcard"
    contenders = [
        floor(FLOOR, "udp", datagram=True),
        forkful(ours, f"{ECHO}:Datagram", datagram=True),
        forkful(files, f"{ECHO}:DatagramFile", datagram=True),
        forkful(wild, f"{ECHO}:Datagram", datagram=True, wildcard=True),
        stdlib("UDPServer", "Datagram", datagram=True),
    ]
    scores = compare(contenders, Load("datagram", connections=32, timeout=1.0), rounds)
    bursts = compare(contenders[:2], Load("datagram", connections=BURST, timeout=1.0, options=("-B",)), rounds)
    return [
        against("datagram / bare recvfrom loop", scores, (ours, FLOOR), 1.12),
        against(f"datagrams in bursts of {BURST} / bare recvfrom loop", bursts, (ours, FLOOR), 1.0),
        cost("DatagramRequestHandler, per datagram", scores, files),
        against("for comparison: on a wildcard, which notes who was asked / on one address", scores, (wild, ours)),
        cost("UDPServer, per datagram", scores, "UDPServer"),
    ]
