"""What the settings of commands may say."""

import os
from pathlib import Path
from typing import Any

import pytest

from forkful.conf.arguments import Arguments
from forkful.conf.machine import Machine
from forkful.conf.mistakes import Mistakes
from forkful.conf.reader import read, settle

HANDLER = "forkful.handlers.echo:EchoStream"


def said(**flags: Any) -> Arguments:  # Any: as flags come
    return Arguments(flags={"handler": HANDLER, "bind": ["tcp://:1"], "admin_bind": [], **flags})


def machine(tmp_path: Path, uid: int = 1000) -> Machine:
    return Machine(cwd=str(tmp_path), uid=uid)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("true", ("true",)),
        ("echo 'a b' c", ("echo", "a b", "c")),
        (["sh", "-c", "a | b"], ("sh", "-c", "a | b")),
        ('sh -c "a | b"', ("sh", "-c", "a | b")),
        ("", ()),
        ([], ()),
    ],
)
def test_a_text_is_split_as_by_a_shell_and_a_list_is_taken_as_it_is(
    value: object, words: tuple[str, ...], tmp_path: Path
) -> None:
    plan = read(said(on_stop=value), os.environ, machine(tmp_path))
    assert plan.master.on_stop == words


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("echo down | mail root", "means something to a shell"),
        ("true && true", "means something to a shell"),
        ("no-such-program-anywhere", "there is no program"),
        ("./not-here.sh", "there is no program"),
        ("echo 'open", "is not a program"),
        (["echo", 3], "is not a program"),
        ([""], "is not a program"),
        (3, "is not a program"),
    ],
)
def test_what_cannot_be_run_is_refused(value: object, word: str, tmp_path: Path) -> None:
    with pytest.raises(Mistakes) as wrong:
        read(said(on_ready=value), os.environ, machine(tmp_path))
    assert word in str(wrong.value)


def test_a_program_may_be_in_the_working_directory(tmp_path: Path) -> None:
    program = tmp_path / "tell"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert read(said(on_ready="./tell down"), os.environ, machine(tmp_path)).master.on_ready == ("./tell", "down")


def test_only_root_runs_them_as_somebody_else(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match="only root can become user 1234"):
        read(said(command_user="1234"), os.environ, machine(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_a_program_that_root_runs_and_workers_can_write_is_named(tmp_path: Path) -> None:
    program = tmp_path / "tell"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    os.chown(program, 54_321, 54_321)
    flags = {"on_ready": "./tell", "user": "54321", "chdir": str(tmp_path)}

    def warned(**more: str) -> bool:
        settings = settle(said(**flags, **more), os.environ, machine(tmp_path, uid=0))
        return any("(the program of on_ready), and so what root executes" in warning for warning in settings.warnings)

    assert warned(command_user="root")
    assert not warned(), "it runs as that very user"
