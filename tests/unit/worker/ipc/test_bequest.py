"""A bequest is memory that nobody can change, and the master takes nothing else for one."""

import fcntl
import os
import socket
from collections.abc import Callable

import pytest

from forkful.handlers import BEQUEST_MAX
from forkful.worker.ipc import bequest, messages
from forkful.worker.ipc.channel import Channel
from tests.kit import processes


@pytest.mark.parametrize("data", [b"", b"state", bytes(3_000_000)])
def test_what_goes_in_comes_out(data: bytes) -> None:
    fd = bequest.seal(data)
    assert bequest.is_sound(fd)
    with pytest.raises(PermissionError):
        os.write(fd, b"x")
    assert bequest.read(fd) == data


def memory(size: int, *seals: int) -> int:
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    for seal in seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal)
    return fd


ALL = (fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SEAL)


@pytest.mark.parametrize(
    "fd",
    [
        lambda: os.open("/dev/zero", os.O_RDONLY),
        lambda: os.open("/", os.O_RDONLY),
        lambda: os.pipe()[0],
        lambda: socket.socket().detach(),
        lambda: os.eventfd(0),
        lambda: memory(10),
        lambda: memory(10, *ALL[:2], ALL[3]),
        lambda: memory(10, *ALL[1:]),
        lambda: memory(BEQUEST_MAX + 1, *ALL),
        lambda: memory(2**40, *ALL),
    ],
    ids=["device", "directory", "pipe", "socket", "eventfd", "open", "writable", "shrinks", "too much", "huge"],
)
def test_anything_else_is_none(fd: Callable[[], int]) -> None:
    number = fd()
    try:
        assert not bequest.is_sound(number)
    finally:
        os.close(number)


def test_more_descriptors_than_one_close_the_channel_and_are_closed() -> None:
    ours, theirs = Channel.pair()
    before = len(processes.descriptors(os.getpid()))
    for _ in range(40):  # of one message that has no end
        socket.send_fds(ours.sock, [b"["], [ours.fileno()])
    (refused,) = theirs.receive(messages.FROM_WORKER)

    assert isinstance(refused, messages.Refused)
    assert "descriptors" in refused.why
    assert theirs.closed
    assert theirs.fds == []
    assert len(processes.descriptors(os.getpid())) == before
    ours.close()
    theirs.close()
