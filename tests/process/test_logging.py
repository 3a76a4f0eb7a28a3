"""The log beside applications and operators who configure logging as well."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import until
from tests.kit.web import get

Doors = Callable[[str], Door]


@pytest.mark.parametrize("app", ["dict_config", "file_config"])
@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_tracebacks_and_the_access_log_survive_an_application_that_configures_logging(
    serve: Serve, doors: Doors, app: str, preload: str
) -> None:
    door = doors("tcp")
    server = serve(f"logged:{app}", "--access-log", "-", preload, binds=[door])
    server.may_log_tracebacks = True

    assert get(door, "/fail").status == 500
    assert get(door, "/").status == 200

    server.wait_for_log('"GET / HTTP/1.1" 200')
    assert '"GET /fail HTTP/1.1" 500' in server.log
    assert "ValueError: as it was told" in server.log
    assert server.log.count("a request came") == 1
    assert ("alembic: a request came" in server.log) == (app == "file_config")


def test_djangos_tracebacks_come_once_where_its_own_handlers_show_them_to_nobody(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("logged:django", "--access-log", "-", "--threads", "2", binds=[door])
    server.may_log_tracebacks = True

    assert get(door, "/fail").status == 500

    server.wait_for_log('"GET /fail HTTP/1.1" 500')
    assert server.log.count("ValueError: as it was told") == 1


def test_a_library_with_a_handler_of_its_own_logs_once(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("logged:library", "--access-log", "-", binds=[door])

    get(door, "/")

    server.wait_for_log('"GET / HTTP/1.1" 200')
    assert server.log.count("a request came") == 1
    assert "library: a request came" in server.log


def test_basic_config_in_the_lifespan_is_honoured(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("logged:star", "--access-log", "-", binds=[door])

    get(door, "/")

    server.wait_for_log('"GET / HTTP/1.1" 200')
    assert server.log.count("a request came") == 1
    assert "mine: a request came" in server.log


CONFIG = {
    "version": 1,
    "formatters": {"own": {"format": "own %(processName)s %(name)s: %(message)s"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "", "formatter": "own"}},
    "loggers": {"forkful": {"handlers": ["file"]}, "forkful.access": {"handlers": ["file"]}},
}


def config(path: Path, **more: object) -> dict[str, object]:
    made = json.loads(json.dumps(CONFIG))
    made["handlers"]["file"]["filename"] = str(path)
    return {**made, **more}


def written(path: Path, wanted: str) -> str:
    """Wait until the file has it: the access log's line comes after the answer."""
    return until(lambda: path.read_text() if path.exists() and wanted in path.read_text() else "", what=wanted)


def test_a_configuration_of_the_operators_holds_for_every_process_and_a_reload_reads_it_anew(
    serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    door = doors("tcp")
    file, log, second = tmp_path / "logging.json", tmp_path / "a.log", tmp_path / "b.log"
    file.write_text(json.dumps(config(log)))
    server = serve("logged:plain", "--log-config", str(file), binds=[door])
    server.may_log_tracebacks = True

    assert get(door, "/fail").status == 500
    said = written(log, '"GET /fail HTTP/1.1" 500')
    assert "ValueError: as it was told" in said
    assert "own MainProcess forkful.master: " in said
    assert "Traceback" not in server.log

    log.rename(tmp_path / "rotated")
    assert server.run("logs", "reopen").returncode == 0
    assert get(door, "/").status == 200
    assert server.reload().returncode == 0
    written(log, '"GET / HTTP/1.1" 200')

    file.write_text(json.dumps(config(second)))
    assert server.reload().returncode == 0
    assert get(door, "/").status == 200
    assert "forkful.master" in written(second, '"GET / HTTP/1.1" 200')

    file.write_text("{")
    failed = server.reload()
    assert failed.returncode != 0
    assert "log_config" in failed.stdout + failed.stderr or "--log-config" in failed.stdout + failed.stderr


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("logging.toml", "version = 1\n[root]\nhandlers = ['nobody']\n", "nobody"),
        ("logging.json", "[]", "object"),
        ("logging.ini", "no ini file", "ini"),
        ("logging.yaml", "version: 1", "YAML"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_a_mistake_in_the_settings(
    serve: Serve, tmp_path: Path, name: str, text: str, why: str
) -> None:
    file = tmp_path / name
    file.write_text(text)

    server = serve("logged:plain", "--log-config", str(file), ready=False)

    assert server.wait_exit() == 1
    assert "--log-config" in server.log
    assert why in server.log
