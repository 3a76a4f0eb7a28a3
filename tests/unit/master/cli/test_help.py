"""The help and the manual: every option and every command, in its group, with an example that is right."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from forkful.conf import arguments
from forkful.conf.groups import GROUPS, Group
from forkful.conf.option import Form
from forkful.conf.options import OPTIONS
from forkful.master.cli.help import EXAMPLES, SECTIONS
from forkful.master.cli.main import main
from forkful.master.cli.manual import page


def commands(group: click.Group = main, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command by its words."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")


def shown(*words: str) -> str:
    result = CliRunner().invoke(main, [*words, "--help"], prog_name="forkful", terminal_width=200)
    assert result.exit_code == 0
    return result.output


def test_every_option_is_in_one_group() -> None:
    assert sorted(option.name for group in GROUPS for option in group.options) == sorted(o.name for o in OPTIONS)


def test_every_command_is_in_one_section_and_has_an_example() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(main.commands)
    assert {name for name, _ in commands()} | {""} == {*EXAMPLES}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.title)
def test_help_of_serve_has_the_group_its_example_and_its_options(group: Group) -> None:
    text = shown("serve")
    part = text[text.index(f"{group.title}:\n  forkful serve {group.example}\n") :]

    for option in group.options:
        assert option.flag in part or option.form is Form.HANDLER
    assert arguments.parse(shlex.split(group.example))[1] == []


@pytest.mark.parametrize("words", [name for name, _ in commands()] + [""])
def test_help_ends_with_an_example(words: str) -> None:
    assert shown(*words.split()).endswith(f"Example:\n  {EXAMPLES[words]}\n")


@pytest.mark.parametrize("words", [name for name, command in commands() if not isinstance(command, click.Group)])
def test_example_of_a_command_is_one_that_it_takes(words: str) -> None:
    said = EXAMPLES[words].split(" | ")[0].split(" > ")[0].split(" && ")[-1]
    program, *rest = shlex.split(said)
    command = dict(commands())[words]
    taken = rest[len(words.split()) :]

    assert (program, rest[: len(words.split())]) == ("forkful", words.split())
    assert command.make_context(words, taken)


def test_manual_has_every_option_and_command() -> None:
    text = page(main, "1.2.3", date(2026, 1, 2)).replace("\\-", "-")

    assert text.startswith('.TH FORKFUL 1 "2026-01-02" "forkful 1.2.3"')
    for option in OPTIONS:
        assert f"\\fB{option.flag}\\fR" in text
        assert f"{option.section} {option.key}; ${option.variable}" in text
    for name, command in commands():
        if not isinstance(command, click.Group):
            assert f"\\fB{name}\\fR" in text


def test_manual_is_right_for_mandoc(tmp_path: Path) -> None:
    if not shutil.which("mandoc"):
        pytest.skip("there is no mandoc")
    (tmp_path / "forkful.1").write_text(page(main, "1.2.3", date(2026, 1, 2)))
    command = ["mandoc", "-T", "lint", "-W", "warning", str(tmp_path / "forkful.1")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (0, "")
