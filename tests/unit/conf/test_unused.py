"""What a pool's sockets cannot do is told by name, and what one of them can is not."""

import pytest

from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.reader import settle

MACHINE = Machine(uid=0, cwd="/", cpus=lambda: Cpus(2, "auto: 2"), stop_limit=lambda _: None)
TCP, UDP, UNIX, GRAM, ABSTRACT = "tcp://127.0.0.1:1", "udp://127.0.0.1:1", "unix:///x", "unixgram:///y", "unix:@z"
UNKNOWN = ("127.0.0.1:1", "fd://7")


def told(*flags: str, binds: tuple[str, ...]) -> list[str]:
    settings = settle(["app:Handler", *flags, *(word for bind in binds for word in ("-b", bind))], {}, MACHINE)
    assert not settings.mistakes
    return [line for line in settings.warnings if "is not used" in line]


@pytest.mark.parametrize(
    ("flags", "binds", "lack"),
    [
        (("--socket-mode", "0660"), (TCP, ABSTRACT), "no Unix socket with a path"),
        (("--idle-timeout", "5"), (UNIX,), "no TCP address"),
        (("--idle-timeout", "5"), (UDP,), "no TCP address"),
        (("--read-timeout", "5"), (UDP, GRAM), "only datagrams"),
        (("--max-connections-per-ip", "5"), (UDP,), "no TCP address"),
        (("--max-connections-per-ip", "5"), (UNIX,), "no TCP address"),
        (("--max-rate-per-ip", "5"), (GRAM,), "no IP address"),
        (("--keepalive-idle", "5"), (UDP,), "no TCP address"),
        (("--defer-accept", "5"), (UNIX,), "no TCP address"),
        (("--nodelay",), (UDP, GRAM), "no TCP address"),
        (("--receive-buffer", "1M"), (UNIX, ABSTRACT), "no IP address"),
        (("--receive-buffer", "1M"), (GRAM,), "no IP address"),
        (("--send-buffer", "1M"), (UNIX,), "no IP address"),
        (("--bind-device", "lo"), (UNIX,), "no IP address"),
        (("--broadcast",), (TCP, UNIX), "no UDP address"),
        (("--multicast", "239.1.2.3"), (TCP,), "no UDP address"),
        (("--multicast", "239.1.2.3"), (GRAM,), "no UDP address"),
    ],
)
def test_an_option_that_no_socket_can_follow_is_told(flags: tuple[str, ...], binds: tuple[str, ...], lack: str) -> None:
    (line,) = told(*flags, binds=binds)
    assert line.startswith(f"{flags[0]} is not used: pool main")
    assert lack in line


@pytest.mark.parametrize(
    ("flags", "bind"),
    [
        (("--socket-mode", "0660"), UNIX),
        (("--socket-mode", "0660"), GRAM),
        (("--read-timeout", "5"), UNIX),
        (("--max-rate-per-ip", "5"), UDP),
        (("--send-buffer", "1M"), GRAM),
        (("--receive-buffer", "1M"), UDP),
        (("--bind-device", "lo"), UDP),
        (("--broadcast",), UDP),
        (("--nodelay",), TCP),
        *(((flag, "5"), TCP) for flag in ("--keepalive-idle", "--defer-accept", "--send-buffer")),
        *(((flag, "5"), TCP) for flag in ("--idle-timeout", "--read-timeout", "--max-connections-per-ip")),
    ],
)
def test_one_socket_that_can_is_enough(flags: tuple[str, ...], bind: str) -> None:
    others = {UDP, GRAM} if bind in {UDP, GRAM} else {TCP, UNIX, ABSTRACT}
    assert told(*flags, binds=(bind, *sorted(others - {bind}))) == []


@pytest.mark.parametrize("bind", UNKNOWN)
def test_where_only_the_handler_can_tell_nothing_is_said(bind: str) -> None:
    assert told("--idle-timeout", "5", "--max-rate-per-ip", "5", "--read-timeout", "5", binds=(bind,)) == []
    assert told(binds=(UDP,)) == []
