"""Who else uses the terminal: those in our process group who are neither ours nor those who started us."""

import subprocess
import sys

import pytest

ASK = f"'{sys.executable}' -c 'from forkful.master.system.terminal import _is_shared; print(_is_shared())'"
OURS = f"""'{sys.executable}' -c '
import os, subprocess
from forkful.master.system.terminal import _is_shared
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
print(_is_shared())
child.stdin.close()
child.wait()'"""


@pytest.mark.parametrize(
    ("script", "shared"),
    [
        (f"{ASK}; true", False),  # the shell has started us
        (f"{ASK} | cat", True),  # a pager
        (f"{OURS}; true", False),  # a child of ours
    ],
)
def test_terminal_is_shared_with_who_is_beside_us(script: str, shared: bool) -> None:
    run = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=30, check=True, start_new_session=True
    )
    assert run.stdout.strip() == str(shared)
