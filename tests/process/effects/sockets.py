"""The effects of the options of sockets, and of what reads them: asked of the kernel, or of a handler that reads."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kit import processes
from tests.kit.door import door_of
from tests.process.effects import AnyEffect, Check, Effect, Service

STREAM, DATAGRAM, LINE = "stream-options", "datagram-options", "line"
POOLS: dict[str, dict[str, Any]] = {  # Any: what TOML takes
    STREAM: {"handler": "optioned:Options", "bind": ["tcp://127.0.0.1:0"]},
    DATAGRAM: {"handler": "optioned:Options", "bind": ["udp://0.0.0.0:0"]},
    LINE: {"handler": "optioned:line", "bind": ["tcp://127.0.0.1:0"]},
}


@contextlib.contextmanager
def listener(service: Service, pool: str) -> Iterator[socket.socket]:
    """The master's own."""
    (url,) = service.server.listeners(pool)
    host, _, port = url.partition("://")[2].rpartition(":")
    found = processes.duplicate(service.server.pid, (host, int(port)))
    assert found is not None
    with found:
        yield found


def accepted(service: Service, level: int, *options: int) -> list[int]:
    """What the kernel says of a connection that was just accepted."""
    text = json.dumps([level, options]).encode()
    found: list[int] = json.loads(door_of(service.server.listeners(STREAM)[0]).ask(text))
    return found


def keeps_alive(service: Service, seconds: float) -> None:
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    assert accepted(service, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == [int(seconds > 0)]
    with socket.socket() as new:
        default = [new.getsockopt(socket.IPPROTO_TCP, name) for name in names]
    wanted = [int(seconds), int(seconds / 3), 3] if seconds else default
    assert accepted(service, socket.IPPROTO_TCP, *names) == wanted


def sends_at_once(service: Service, wanted: bool) -> None:  # the option's value
    assert accepted(service, socket.IPPROTO_TCP, socket.TCP_NODELAY) == [int(wanted)]


def defers(service: Service, seconds: float) -> None:
    """The kernel rounds up to when it asks again: after 1, 3, 7, ... seconds."""
    with listener(service, STREAM) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == {0.0: 0, 2.0: 3}[seconds]


def buffers(option: int) -> Check:
    """A size that was asked for, of which the kernel shows twice as much; or its own, which it changes as it likes."""

    def check(service: Service, size: int) -> None:
        with listener(service, DATAGRAM) as sock, socket.socket(sock.family, sock.type) as new:
            assert sock.getsockopt(socket.SOL_SOCKET, option) == (size * 2 or new.getsockopt(socket.SOL_SOCKET, option))

    return check


def is_on(service: Service, name: str) -> None:
    with listener(service, DATAGRAM) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0").decode() == name


def broadcasts(service: Service, wanted: bool) -> None:  # the option's value
    with listener(service, DATAGRAM) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) == wanted


def is_member(service: Service, groups: list[str]) -> None:
    """Of these groups, and of no other of this test's, as the kernel lists them."""
    joined = {
        socket.inet_ntoa(bytes.fromhex(line.split()[0])[::-1])
        for line in Path(f"/proc/{service.server.pid}/net/igmp").read_text().splitlines()
        if line.startswith("\t")
    }
    assert {address for address in joined if address.startswith("239.83.")} == {
        group.partition("%")[0] for group in groups
    }


def reads_lines(service: Service, longest: int) -> None:
    """As `asyncio.start_server` counts them: without the end of the line."""
    for length in (longest, longest + 1):
        wanted = length + 1 if length <= longest else -1
        assert service.door(LINE).ask(b"x" * length + b"\n") == b"%d" % wanted


EFFECTS: dict[str, AnyEffect] = {
    "reader_limit": Effect(3000, 1000, reads_lines, LINE),
    "keepalive_idle": Effect(30.0, 0.0, keeps_alive, STREAM),
    "nodelay": Effect(True, False, sends_at_once, STREAM),
    "defer_accept": Effect(2.0, 0.0, defers, STREAM),
    "receive_buffer": Effect(100_000, 0, buffers(socket.SO_RCVBUF), DATAGRAM),
    "send_buffer": Effect(0, 150_000, buffers(socket.SO_SNDBUF), DATAGRAM),
    "bind_device": Effect("lo", "", is_on, DATAGRAM),
    "broadcast": Effect(False, True, broadcasts, DATAGRAM),
    "multicast": Effect(["239.83.1.1%lo", "239.83.1.2%lo"], ["239.83.1.2%lo"], is_member, DATAGRAM),
}
