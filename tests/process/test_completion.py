"""Completion in the shells themselves: bash, zsh and fish read what `forkful completion` prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.conftest import Serve
from tests.kit.environment import for_servers

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def _script(shell: str, folder: Path) -> Path:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    done = subprocess.run(
        ["forkful", "completion", shell], env={"PATH": PATH}, capture_output=True, timeout=30, check=True
    )
    script = folder / f"forkful.{shell}"
    script.write_bytes(done.stdout)
    return script


def _bash(script: Path, *words: str, **variables: str) -> list[str]:
    program = f"""source {script}
    COMP_WORDS=({" ".join(words)} ''); COMP_CWORD={len(words) - 1}
    _forkful_completion forkful; printf '%s\\n' "${{COMPREPLY[@]}}" """
    command = ["bash", "--norc", "-c", program]
    environment = for_servers(os.environ) | {"PATH": PATH, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.split()


def test_bash_completes_flags_values_commands_and_pools(tmp_path: Path, serve: Serve) -> None:
    script = _script("bash", tmp_path)
    server = serve("forkful.handlers.echo:EchoStream")

    assert _bash(script, "forkful", "ro") == ["rollback"]
    assert _bash(script, "forkful", "serve", "--access-log-") == ["--access-log-format"]
    assert _bash(script, "forkful", "serve", "--log-level", "w") == ["warning"]
    assert _bash(script, "forkful", "migrate", "g") == ["gunicorn"]
    admin = f"unix://{server.admin.path}"
    assert _bash(script, "forkful", "scale", "m", FORKFUL_ADMIN=admin) == ["main"]
    assert _bash(script, "forkful", "scale", "m", FORKFUL_ADMIN=f"unix://{tmp_path}/nobody") == []


def test_fish_completes_flags_values_and_commands(tmp_path: Path) -> None:
    script = _script("fish", tmp_path)
    asked = ["forkful ro", "forkful serve --access-log-", "forkful serve --log-level w"]
    program = f"source {script}; " + "; ".join(f'complete -C "{line}"' for line in asked)
    environment = for_servers(os.environ) | {"PATH": PATH, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", program], env=environment, capture_output=True, text=True, timeout=30, check=True
    )

    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["rollback", "--access-log-format", "warning"]


def test_zsh_completes_values_and_commands(tmp_path: Path) -> None:
    script = _script("zsh", tmp_path)
    environment = for_servers(os.environ) | {"PATH": PATH, "HOME": str(tmp_path), "TERM": "dumb"}
    zsh = pexpect.spawn("zsh", ["-f", "-i"], env=environment, timeout=15, encoding="utf-8")
    try:
        zsh.sendline(f"autoload -Uz compinit; compinit -u -D; source {script}; echo RE''ADY")
        zsh.expect("READY\r\n")
        zsh.send("forkful serve --log-level w\t")
        zsh.expect("warning")
        zsh.send("\x15forkful roll\t")  # Control-U: another line
        zsh.expect("rollback")
    finally:
        zsh.close(force=True)
