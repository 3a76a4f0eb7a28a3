"""The command `forkful migrate gunicorn`: what goes where, what is never written over, and how it ends."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forkful.conf.check import check
from forkful.conf.machine import Machine
from forkful.master.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "PORT", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["migrate", "gunicorn", *words], prog_name="forkful")


@pytest.mark.parametrize(
    "words",
    [
        ["-w", "3", "-b", ":8001", "shop:app"],
        ["--", "gunicorn", "-w", "3", "-b", ":8001", "shop:app"],
        ["-w3", "--bind=:8001", "shop:app"],
        ["gunicorn --workers 3 --bind :8001 shop:app"],
    ],
)
def test_settings_file_goes_to_standard_output_and_the_report_to_standard_error(words: list[str], folder: Path) -> None:
    result = run(*words)

    assert result.exit_code == 0
    assert tomllib.loads(result.stdout)["pool"]["main"] == {
        "handler": "shop:app",
        "bind": ["http://0.0.0.0:8001"],
        "workers": 3,
        "interface": "wsgi",
    }
    assert "The same here:\n" in result.stderr
    assert "workers = 3 (command line) -> workers = 3" in result.stderr
    assert not [*folder.iterdir()]


def test_flags_of_ours_may_stand_among_gunicorn_s(folder: Path) -> None:
    assert run("-w", "3", "--output", "a.toml", "shop:app", "-t", "5").exit_code == 0
    raw = tomllib.loads((folder / "a.toml").read_text())["pool"]["main"]
    assert (raw["workers"], raw["timeout"]) == (3, 5)


def test_file_that_is_there_is_not_written_over(folder: Path) -> None:
    (folder / "a.toml").write_text("mine")
    (folder / "b.toml").symlink_to("nowhere")

    for name in ("a.toml", "b.toml"):
        result = run("--output", name, "shop:app")
        assert result.exit_code == 1
        assert f"{name}: there already; nothing was written (--force writes over it)" in result.stderr
    assert (folder / "a.toml").read_text() == "mine"
    assert run("--output", "a.toml", "--force", "shop:app").exit_code == 0
    assert "shop:app" in (folder / "a.toml").read_text()


def test_folder_that_is_not_there_is_told(folder: Path) -> None:
    result = run("--output", f"{folder}/nowhere/a.toml", "shop:app")

    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    ("text", "what"),
    [("1 / 0", "ZeroDivisionError"), ("workers = 'many'", "'many' is no whole number"), ("x = (", "not Python")],
)
def test_file_that_is_wrong_ends_it_and_nothing_is_written(text: str, what: str, folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text(text)
    result = run("--output", "a.toml", "shop:app")

    assert result.exit_code == 1
    assert what in result.stderr
    assert not (folder / "a.toml").exists()


def test_what_our_check_says_here_is_told_and_does_not_stop_it(folder: Path) -> None:
    result = run(
        "--certfile", "nowhere.pem", "--user", "nobody-has-this-name", "-b", ":8443", "--output", "a.toml", "a:b"
    )

    assert result.exit_code == 0
    assert "forkful check says of it, here and now:" in result.stderr
    assert "there is no user 'nobody-has-this-name'" in result.stderr
    assert (folder / "a.toml").exists()


HOOKS = """\
import multiprocessing
bind = "unix:app.sock"
workers = multiprocessing.cpu_count() + 1
max_worker_memory = 150
raw_env = ["A=1"]
def post_fork(server, worker): ...
def when_ready(server): ...
def pre_request(worker, req): ...
"""


def test_variables_before_the_command_are_there_for_the_file_and_told(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text("import os\nworkers = int(os.environ['COUNT'])\n")
    result = run("env", "COUNT=3", "GUNICORN_CMD_ARGS=-t 7", "ddtrace-run", "gunicorn", "shop:app")

    assert result.exit_code == 0, result.stderr
    assert "workers = 3\ntimeout = 7\n" in result.stdout
    assert "  COUNT=3\n" in result.stderr
    assert "GUNICORN_CMD_ARGS=-t" not in result.stderr
    assert "start forkful by ddtrace-run, too" in result.stderr


def test_everything_that_is_left_to_people_is_said(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text(HOOKS)
    result = run("newrelic-admin", "run-program", "gunicorn")
    (folder / "a.toml").write_text(result.stdout)

    assert check(["-c", "a.toml"], {}, machine=Machine(cwd=str(folder)))[1] == 0
    for words in (
        '# [pool.main.hooks]\n# post_fork = "MODULE:post_fork"  # in each worker, after the fork',
        '# on_ready = "PROGRAM ARGUMENT"  # when all pools are ready',
    ):
        assert words in result.stdout
    for words in (
        "use a middleware",
        '"auto" does',
        "No settings of Gunicorn, which ignores them: max_worker_memory",
        "  A=1\n",
        "start forkful by newrelic-admin run-program, too",
        "write your application in place of MODULE:ATTRIBUTE",
    ):
        assert words in result.stderr
