"""What a Gunicorn was started with, read as Gunicorn reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.config import Chdir, make_settings

from forkful.conf.mistakes import Mistakes
from forkful.conf.moving.source import gather
from forkful.conf.moving.table import BY_NAME
from forkful.conf.moving.values import plain

Files = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*words: str, **environ: str) -> dict[str, Any]:
    source = gather(words, environ, Path.cwd())
    return {name: found.value for name, found in source.said.items()}


LINES: list[tuple[list[str], str]] = [
    (["-w", "3", "-b", ":8001", "-b", "unix:/run/a.sock", "app:app"], ""),
    (["app:app", "--workers=2", "-k", "gevent", "--threads", "4"], "--timeout 5 --workers 9"),
    (["-c", "other.py", "app:app", "-m", "007"], "-c gunicorn.conf.py"),
    (["--preload", "--log-file", "x.log", "-e", "A=1", "--env", "B=2", "m:a"], "--no-sendfile"),
    (["m:a"], "-c other.py --umask 0o22"),
    (["--max-requests-j", "5", "--proxy-protocol", "-u", "0", "m:a"], "--bind=0.0.0.0:1"),
    (["-t0", "-w4", "m:a"], ""),
]


@pytest.mark.parametrize(("words", "variable"), LINES)
def test_sources_are_laid_over_each_other_as_gunicorn_does(
    words: list[str], variable: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gunicorn.conf.py").write_text("workers = 7\nkeepalive = 9\nbind = '127.0.0.1:1'\n")
    (folder / "other.py").write_text("workers = 5\nthreads = 2\nraw_env = ['C=3']\n")
    for name in ("WEB_CONCURRENCY", "PORT", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GUNICORN_CMD_ARGS", variable)
    monkeypatch.setattr("sys.argv", ["gunicorn", *words])
    monkeypatch.setattr(Chdir, "default", str(folder))  # else where it was imported
    theirs = WSGIApplication().cfg
    ours = said(*words, GUNICORN_CMD_ARGS=variable)

    for name in ("workers", "threads", "bind", "keepalive", "timeout", "raw_env", "umask", "errorlog", "preload_app"):
        if name in ours:
            assert plain(BY_NAME[name], ours[name]) == theirs.settings[name].get(), name
        else:
            assert theirs.settings[name].get() == type(theirs.settings[name])().get(), name
    assert ours["wsgi_app"] in {"app:app", "m:a"}


@pytest.mark.parametrize(
    "words",
    [
        ["gunicorn", "-w", "3", "a:b"],
        ["/srv/venv/bin/gunicorn", "-w", "3", "a:b"],
        ["exec", "gunicorn", "-w", "3", "a:b"],
        ["python3.12", "-m", "gunicorn", "-w", "3", "a:b"],
        ["--", "-w", "3", "a:b"],
        ["gunicorn -w 3 'a:b'"],
        ["newrelic-admin", "run-program", "gunicorn", "-w", "3", "a:b"],
    ],
)
def test_command_line_is_taken_as_it_is_written(words: list[str], folder: Path) -> None:
    source = gather(words, {}, folder)

    assert {name: found.value for name, found in source.said.items()} == {"workers": 3, "wsgi_app": "a:b"}
    assert source.wrapper == (words[:2] if words[0] == "newrelic-admin" else [])


def test_file_may_stand_in_the_place_of_the_application(folder: Path) -> None:
    (folder / "conf.py").write_text("workers = 4")

    assert said("conf.py") == {"workers": 4}
    assert said("-c", "file:conf.py", "a:b") == {"workers": 4, "wsgi_app": "a:b"}


def test_module_may_be_the_file(folder: Path) -> None:
    (folder / "settings_of_gunicorn.py").write_text("threads = 4")

    assert said("-c", "python:settings_of_gunicorn") == {"threads": 4}


@pytest.mark.parametrize("words", [["-k", "own.Mine"], ["-c", "conf.py"]])
def test_class_of_one_s_own_is_known_by_what_it_descends_from(words: list[str], folder: Path) -> None:
    (folder / "own.py").write_text("class Base:\n    pass\nclass Mine(Base):\n    pass\n")
    (folder / "conf.py").write_text("worker_class = 'own.Mine'")

    assert said(*words)["worker_class"] == {"class": "own.Mine", "bases": ["own.Base"]}
    assert said("-k", "own.Nobody")["worker_class"] == "own.Nobody"


PROGRAM = """\
import multiprocessing, os, sys
from http import HTTPStatus
print("hello")
host = "x"
bind = f"{os.environ['HERE']}:80"
workers = HTTPStatus.OK
os.environ["DJANGO_SETTINGS_MODULE"] = "site.settings"
sys.path.insert(0, "/srv/lib")
certfile = None
class Mine(dict):
    pass
worker_class = Mine
def post_fork(server, worker):
    pass
when_ready = lambda server: None
"""


def test_file_is_executed_and_what_it_does_beside_is_kept(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "gunicorn.conf.py").write_text(PROGRAM)
    source = gather([], {"HERE": "127.0.0.1"}, folder)
    values = {name: found.value for name, found in source.said.items()}

    assert values["bind"] == "127.0.0.1:80"
    assert values["workers"] == 200
    assert values["worker_class"] == {"class": "__config__.Mine", "bases": ["builtins.dict"]}
    assert values["post_fork"] == {"callable": "post_fork"}
    assert "certfile" not in values
    assert source.environ == {"DJANGO_SETTINGS_MODULE": "site.settings"}
    assert source.path == ["/srv/lib"]
    assert source.ignored == ["host"]
    assert capfd.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / 0", "it raises ZeroDivisionError: division by zero\n"),
        ("bind = (", "it is not Python: '(' was never closed in line 1"),
        ("import sys; sys.exit(3)", "it ended with sys.exit(3) and said no settings"),
        ("import os; bind = os.environ['NOT_HERE']", "it needs the variable NOT_HERE; set it as the service has it"),
        ("import os; os._exit(5)", "its process ended with code 5 and said nothing"),
        ("import os; os.kill(os.getpid(), 9)", "its process was ended by SIGKILL and said nothing"),
        ("import nobody_has_this", "it raises ModuleNotFoundError: No module named 'nobody_has_this'"),
        ("raise KeyboardInterrupt", "it raises KeyboardInterrupt"),
    ],
)
def test_file_that_fails_is_told(text: str, why: str, folder: Path) -> None:
    (folder / "bad.py").write_text(text)
    with pytest.raises(Mistakes) as wrong:
        said("-c", "bad.py")

    assert f"bad.py: cannot be executed: {why}" in str(wrong.value)
    assert wrong.value.code == 1


def test_traceback_of_a_file_begins_in_the_file(folder: Path) -> None:
    (folder / "bad.py").write_text("def f():\n    1 / 0\nf()\n")
    with pytest.raises(Mistakes) as wrong:
        said("bad.py")

    assert 'bad.py", line 3' in str(wrong.value)
    assert "execute.py" not in str(wrong.value)


def test_words_that_cannot_be_split_are_told() -> None:
    with pytest.raises(Mistakes, match="GUNICORN_CMD_ARGS: cannot be split into words: No closing quotation"):
        gather(["a:b"], {"GUNICORN_CMD_ARGS": "--name 'shop"}, Path.cwd())
    with pytest.raises(Mistakes, match="the command line: cannot be split"):
        gather(["gunicorn 'a:b"], {}, Path.cwd())


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["-w", "x"], "invalid int value"),
        (["--nobody-has-this"], "unrecognized arguments: --nobody-has-this"),
        (["--max"], "ambiguous option"),
        (["nothing.py"], "nothing.py: there is no such file"),
        (["-c", "nothing.py"], "nothing.py: there is no such file"),
    ],
)
def test_what_gunicorn_does_not_take_is_told(words: list[str], what: str) -> None:
    with pytest.raises(Mistakes) as wrong:
        said(*words)

    assert what in str(wrong.value)


VALUES = [5, 0, -1, "5", "0x10", " 7 ", "x", "true", True, False, ["a", "b"], {"a": "b"}, 1.5]
#: Whose values are looked up in the system, or imported, where Gunicorn reads them.
ELSEWHERE = {"user", "group", "chdir", "reload_engine"}


@pytest.mark.parametrize("name", [name for name in make_settings() if name in BY_NAME and name not in ELSEWHERE])
def test_no_value_is_refused_that_gunicorn_takes(name: str) -> None:
    for value in VALUES:
        setting = make_settings()[name]
        try:
            setting.set(value)
        except (TypeError, ValueError, AssertionError):
            continue
        if isinstance(setting.get(), list) and not isinstance(value, str | list):
            continue  # a table whose keys are taken for a list, or nothing for an empty one: nobody writes that
        plain(BY_NAME[name], value)
