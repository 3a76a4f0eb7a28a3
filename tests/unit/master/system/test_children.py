"""Signals reach children of ours and nobody else."""

import os
import signal
import subprocess
import sys

import pytest

from forkful.master.system import children


@pytest.mark.parametrize(
    "pid",
    [-(2**40), -1, 0, 1, os.getpid(), os.getppid(), 2**22 + 1, 2**70],
    ids=["far below", "all", "the group", "init", "this process", "its parent", "nobody", "no number of a process"],
)
def test_who_is_no_child_of_ours_gets_no_signal(pid: int) -> None:
    assert not children.is_ours(pid)
    assert not children.send_signal(pid, signal.SIGCONT)  # which would harm nobody


def test_child_gets_it_until_it_is_reaped_and_a_zombie_harms_nobody() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert children.is_ours(child.pid)
        assert children.send_signal(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert children.send_signal(child.pid, signal.SIGKILL), "the number is its own until we reap it"
        assert child.wait() == -signal.SIGKILL
        assert not children.send_signal(child.pid, signal.SIGKILL)


def test_child_gets_it_without_a_descriptor_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        monkeypatch.setattr(os, "pidfd_open", full)
        assert children.send_signal(child.pid, signal.SIGKILL)
        monkeypatch.undo()
        assert child.wait() == -signal.SIGKILL
