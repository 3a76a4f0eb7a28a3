"""The log, written to real files and pipes."""

import gc
import io
import json
import logging
import logging.config
import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forkful.conf import log_sink, logs
from forkful.conf.plan import LogPlan

ROOT = Path(__file__).parents[3]
LOG = logging.getLogger("forkful.test")
INI = "[loggers]\nkeys=root\n[handlers]\nkeys=\n[formatters]\nkeys=\n[logger_root]\nhandlers=\n"
TEXT = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[(\d+)\] \[([A-Z]+)\] (.*)")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Leave the process's logging as it was found."""
    last = logging.lastResort
    enabled = [each for each in logging.root.manager.loggerDict.values() if not getattr(each, "disabled", True)]
    yield
    logging.lastResort = last
    for each in enabled:
        vars(each)["disabled"] = False
    for logger in (logs.LOGGER, logs.ACCESS):
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


@contextmanager
def root_unconfigured() -> Iterator[None]:
    """A root logger as a program finds it: pytest has handlers of its own there while a test runs."""
    root = logging.root
    found, level = list(root.handlers), root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = found
        root.setLevel(level)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "forkful.log"


def test_text_has_gunicorns_shape_and_the_level_counts(path: Path) -> None:
    logs.configure(LogPlan(file=str(path)), "master")

    LOG.info("hello %s", "you")
    LOG.debug("not this")

    match = TEXT.fullmatch(path.read_text().strip())
    assert match
    assert match.groups() == (str(os.getpid()), "INFO", "hello you")
    assert path.stat().st_mode & 0o777 == 0o640


def test_json_has_a_record_on_each_line_with_its_traceback_as_a_field(path: Path) -> None:
    logs.configure(LogPlan(file=str(path), format="json"), "worker echo[0] gen=1")

    try:
        int("boom\nbang")
    except ValueError:
        LOG.exception("a handler failed", extra={"peer": "127.0.0.1:1"})
    LOG.warning("next")
    first, second = map(json.loads, path.read_text().splitlines())

    assert first["message"] == "a handler failed"
    assert (first["level"], first["pid"], first["peer"]) == ("ERROR", os.getpid(), "127.0.0.1:1")
    assert (first["process"], first["logger"]) == ("worker echo[0] gen=1", "forkful.test")
    assert first["exception"].endswith("'boom\\nbang'")
    assert first["time"].startswith("20")
    assert second["message"] == "next"


def test_reopening_after_a_rotation_writes_to_the_new_file(path: Path) -> None:
    logs.configure(LogPlan(file=str(path)), "master")
    LOG.info("old")
    path.rename(path.with_suffix(".1"))
    LOG.info("old as well")

    logs.reopen()
    LOG.info("new")

    assert path.with_suffix(".1").read_text().count("\n") == 2
    assert path.read_text().endswith("[INFO] new\n")


def test_a_reopening_that_fails_goes_on_in_the_old_file_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    logs.configure(LogPlan(file=str(folder / "x")), "master")
    folder.rename(tmp_path / "gone")

    logs.reopen()

    assert "could not be reopened: No such file or directory" in (tmp_path / "gone" / "x").read_text()


def test_a_full_disk_and_a_closed_pipe_never_hurt_the_program() -> None:
    logs.configure(LogPlan(file="/dev/full"), "master")
    LOG.info("lost")

    reader, writer = os.pipe()
    os.close(reader)
    sink = log_sink.Sink(writer)
    sink.handle(logging.makeLogRecord({"msg": "lost as well"}))
    os.close(writer)
    sink.handle(logging.makeLogRecord({"msg": "and this"}))

    assert sink.lost == 2


def test_a_stuck_reader_loses_lines_and_they_are_counted_when_it_reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sink, "_PATIENCE", 0.001)
    reader, writer = os.pipe()
    sink = log_sink.Sink(writer)
    line = "x" * (select.PIPE_BUF - 1)
    written = 0
    while not sink.lost:
        sink.handle(logging.makeLogRecord({"msg": line}))
        written += 1
    sink.handle(logging.makeLogRecord({"msg": "lost as well"}))

    os.read(reader, written * (len(line) + 1))
    sink.handle(logging.makeLogRecord({"msg": "again"}))

    assert os.read(reader, 1000) == b"2 lines of the log were lost here\nagain\n"
    assert sink.lost == 0
    os.close(reader)
    os.close(writer)


def test_a_record_that_cannot_be_put_into_words_is_told_with_its_place(path: Path) -> None:
    logs.configure(LogPlan(file=str(path)), "master")

    LOG.info("%s %s", "one")  # noqa: PLE1206  # this is what users do

    assert re.fullmatch(r"INFO at .*test_logs\.py:\d+ could not be put into words\n", path.read_text())


@root_unconfigured()
def test_the_users_records_go_to_our_log_if_they_configured_none(path: Path) -> None:
    logs.configure(LogPlan(file=str(path), level="debug"), "worker")
    users = logging.getLogger("users.own")

    users.warning("while importing")
    assert logging.root.handlers == []
    logs.adopt_root()
    users.debug("while serving")
    logging.info("by the module's function")  # noqa: LOG015

    assert [line.rpartition("] ")[2] for line in path.read_text().splitlines()] == [
        "while importing",
        "while serving",
        "by the module's function",
    ]


@root_unconfigured()
def test_what_the_user_configured_is_left_alone(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogPlan(file=str(path)), "worker")
    logging.basicConfig(format="mine: %(message)s", level=logging.ERROR)

    logs.adopt_root()
    logging.getLogger("users.own").error("hello")

    assert capsys.readouterr().err == "mine: hello\n"
    assert path.read_text() == ""
    assert logging.root.level == logging.ERROR


@root_unconfigured()
def test_configuring_again_follows_for_ours_and_for_what_was_adopted(tmp_path: Path) -> None:
    logs.configure(LogPlan(file=str(tmp_path / "a")), "worker")
    logs.adopt_root()
    gc.collect()  # what other tests have left must not be closed meanwhile
    before = len(list(Path("/proc/self/fd").iterdir()))

    logs.configure(LogPlan(file=str(tmp_path / "b"), level="error"), "worker")
    LOG.error("ours")
    logging.getLogger("users.own").error("theirs")
    logging.getLogger("users.own").info("too quiet")

    assert (tmp_path / "a").read_text() == ""
    assert [line.rpartition("] ")[2] for line in (tmp_path / "b").read_text().splitlines()] == ["ours", "theirs"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_that_cannot_be_opened_is_told_and_changes_nothing(path: Path) -> None:
    logs.configure(LogPlan(file=str(path)), "master")

    with pytest.raises(FileNotFoundError):
        logs.configure(LogPlan(file=str(path), access="/nowhere/access.log"), "master")
    LOG.info("still here")

    assert path.read_text().endswith("still here\n")


def test_the_access_log_has_its_own_place(path: Path, tmp_path: Path) -> None:
    logs.configure(LogPlan(file=str(path), access=str(tmp_path / "access")), "worker")

    logs.ACCESS.info("GET /")

    assert (tmp_path / "access").read_text() == "GET /\n"
    assert path.read_text() == ""


def test_every_logger_of_ours_is_one_that_stays_enabled() -> None:
    sources = [path for room in ("conf", "handlers", "worker", "master") for path in (ROOT / room).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r'getLogger\("(forkful[\w.]*)"\)', path.read_text())}

    assert named <= set(logs.NAMES)


@pytest.mark.parametrize("how", ["dict", "file"])
def test_our_loggers_and_their_files_survive_what_others_configure(path: Path, how: str) -> None:
    logs.configure(LogPlan(file=str(path)), "master")
    with root_unconfigured():
        if how == "dict":
            logging.config.dictConfig({"version": 1})
        else:
            logging.config.fileConfig(io.StringIO(INI))
    logging.getLogger("forkful.worker").error("still here")

    assert path.read_text().endswith("[ERROR] still here\n")


@root_unconfigured()
def test_a_record_is_written_once_whoever_else_has_a_handler(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogPlan(file=str(path), level="info"), "worker")
    logs.adopt_root()
    library = logging.getLogger("users.library")
    library.addHandler(logging.NullHandler())
    library.info("nobody else")
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    library.addHandler(handler)

    library.info("below its handler's level")
    library.warning("twice?")
    logging.getLogger("users.library.part").warning("of a child")
    logging.getLogger("users.other").warning("of another")
    library.removeHandler(handler)
    logging.root.addHandler(handler)
    library.warning("the root is theirs now")

    ours = [line.rpartition("] ")[2] for line in path.read_text().splitlines()]
    assert ours == ["nobody else", "below its handler's level", "of another"]
    assert capsys.readouterr().err.splitlines() == ["twice?", "of a child", "the root is theirs now"]


@root_unconfigured()
def test_basic_config_is_honoured_after_we_took_the_root(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogPlan(file=str(path), level="debug"), "worker")
    logs.adopt_root()
    logging.getLogger("users.own").debug("ours")

    logging.basicConfig(format="mine: %(message)s")
    logging.getLogger("users.own").warning("theirs")
    logging.getLogger("users.own").info("below the default of the root")

    assert capsys.readouterr().err == "mine: theirs\n"
    assert path.read_text().endswith("] ours\n")


def fail(error: Exception) -> None:
    raise error


def test_what_a_client_says_forges_no_record_and_reaches_no_terminal_as_it_is(path: Path) -> None:
    logs.configure(LogPlan(file=str(path)), "worker")

    try:
        fail(ValueError("a\n[2026-01-01 00:00:00 +0000] [1] [INFO] forged\x1b[2J\r\x85"))
    except ValueError:
        LOG.exception("error in %s", "/\n[forged]\x00é")

    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("[")] == lines[:1]
    assert lines[1] == " [forged]\\x00é"
    assert lines[-1] == " [2026-01-01 00:00:00 +0000] [1] [INFO] forged\\x1b[2J\\r\\x85"
