"""What is answered to misspelled names, to other servers' names, and to other servers' settings files."""

from pathlib import Path

import pytest

from forkful.conf.foreign import INSTEAD, as_toml, instead
from forkful.conf.mistakes import nearest
from forkful.conf.options import BY_NAME, OPTIONS
from forkful.conf.sources import read_file

FLAGS = [option.flag for option in OPTIONS]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--wrokers", "--workers"),
        ("--worker", "--workers"),
        ("--gracefull-timeout", "--graceful-timeout"),
        ("--max-request", "--max-requests"),
        ("--graceful_timeout", "--graceful-timeout"),
        ("--THREADS", "--threads"),
        ("--owrkers", "--workers"),
        ("--limit-request-field_size", "--limit-request-field-size"),
        ("--backlgo", "--backlog"),
    ],
)
def test_a_misspelled_flag_finds_the_one_that_was_meant(written: str, meant: str) -> None:
    assert nearest(written, FLAGS) == f"did you mean {meant}?"


@pytest.mark.parametrize("written", ["--daemon", "--paste", "--zzz", "-k", "--x"])
def test_no_guess_is_better_than_a_wrong_one(written: str) -> None:
    assert nearest(written, FLAGS) == ""


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_what_is_written_instead_exists(name: str) -> None:
    answer = INSTEAD[name]
    if answer.startswith("write "):
        assert answer.split()[1].strip(",") in BY_NAME
    assert instead(f"--{name.replace('_', '-')}") == answer


GUNICORN = """\
import multiprocessing
bind = ["127.0.0.1:8000", "unix:/run/app.sock"]
workers = multiprocessing.cpu_count() * 2 + 1
threads = 4
timeout = 60
loglevel = "warning"
worker_class = "gthread"

def on_starting(server):
    pass
"""


def test_a_gunicorn_conf_py_gets_the_lines_to_write(tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.conf.py"
    path.write_text(GUNICORN)
    _, (mistake,) = read_file(str(path))

    assert "is a Python file, and settings are TOML here" in mistake.what
    for line in (
        "[pool.main]",
        'bind = ["127.0.0.1:8000", "unix:/run/app.sock"]',
        "threads = 4",
        'log_level = "warning"',
    ):
        assert line in mistake.hint
    assert "worker_class" not in mistake.hint


@pytest.mark.parametrize("text", ["workers = 3\n", 'bind = "0.0.0.0:8000"\nkeepalive = 5\nworker_class = "gthread"\n'])
def test_plain_assignments_are_python_by_the_files_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.conf.py"
    path.write_text(text)
    (mistake,) = read_file(str(path))[1]

    assert "is a Python file, and settings are TOML here" in mistake.what
    assert "[pool.main]" in mistake.hint


def test_toml_with_a_mistake_is_not_taken_for_python(tmp_path: Path) -> None:
    path = tmp_path / "forkful.toml"
    path.write_text("[pool.main]\nworkers = = 2\n")

    assert "is not TOML" in str(read_file(str(path))[1][0])


def test_what_a_program_makes_is_left_out() -> None:
    assert (
        as_toml("workers = f()\nthreads = {1}\nthreads = None\n", {"workers": "[pool.main]", "threads": "[pool.main]"})
        == []
    )
