"""Handlers of the standard library and of its documentation, unmodified, met by their own real clients."""

import logging
import logging.handlers
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from xmlrpc.client import Fault, ServerProxy

import pytest

from tests.conftest import Serve
from tests.kit.door import Door

TIMEOUT = 15


def curl(*arguments: str) -> str:
    command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", str(TIMEOUT), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=2 * TIMEOUT, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def port(door: Door) -> int:
    assert isinstance(door.address, tuple)
    return door.address[1]


def test_simple_http_request_handler_serves_files_to_curl(
    serve: Serve, doors: Callable[[str], Door], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "page.html").write_text("<p>found</p>")
    (site / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    door = doors("tcp")
    serve("http.server:SimpleHTTPRequestHandler", "--workers", "2", binds=[door], cwd=site)
    base = f"http://127.0.0.1:{port(door)}"

    assert curl(f"{base}/page.html") == "<p>found</p>"
    assert "large.bin" in curl(f"{base}/")
    curl(f"{base}/large.bin", "--output", str(tmp_path / "copy.bin"))
    assert (tmp_path / "copy.bin").read_bytes() == (site / "large.bin").read_bytes()
    assert "HTTP/1.0 200 OK" in curl("--head", f"{base}/page.html")


def test_base_http_request_handler_keeps_its_connection_for_curl(serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    serve("web:Pages", "--threads", "4", binds=[door])
    base = f"http://127.0.0.1:{port(door)}"

    answer = curl(f"{base}/one", f"{base}/two", "--write-out", "connects=%{num_connects} ")
    assert answer == "you asked for /one\nconnects=1 you asked for /two\nconnects=0 "
    assert curl("--data", "posted", f"{base}/") == "posted"


@pytest.mark.parametrize("what", ["make_server()", "make_server", "ready_made"])
def test_simple_xmlrpc_server_answers_its_client(what: str, serve: Serve, doors: Callable[[str], Door]) -> None:
    door = doors("tcp")
    serve(f"rpc:{what}", "--workers", "2", binds=[door])

    with ServerProxy(f"http://127.0.0.1:{port(door)}", allow_none=True) as proxy:
        assert proxy.add(2, 3) == 5
        assert proxy.pow(2, 9) == 512
        methods = proxy.system.listMethods()
        assert isinstance(methods, list)
        assert "add" in methods
        with pytest.raises(Fault, match="not supported"):
            proxy.nothing()


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("kitchen")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    for handler in tuple(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def test_logging_cookbook_receiver_takes_records_from_a_socket_handler(
    serve: Serve, log: logging.Logger, doors: Callable[[str], Door]
) -> None:
    door = doors("tcp")
    server = serve("receivers:LogRecordStreamHandler", "--threads", "2", binds=[door])
    log.addHandler(logging.handlers.SocketHandler("127.0.0.1", port(door)))
    log.info("%d eggs", 3)
    log.error("%s", "burnt" * 400)

    assert server.events.next() == "INFO kitchen: 3 eggs"
    assert server.events.next() == "ERROR kitchen: " + "burnt" * 400


def test_receiver_takes_records_from_a_datagram_handler(
    serve: Serve, log: logging.Logger, doors: Callable[[str], Door]
) -> None:
    door = doors("udp")
    server = serve("receivers:LogRecordDatagramHandler", binds=[door])
    log.addHandler(logging.handlers.DatagramHandler("127.0.0.1", port(door)))
    log.warning("salt is %s", "low")

    assert server.events.next() == "WARNING kitchen: salt is low"


def test_syslog_receiver_takes_what_logger_sends_over_udp(serve: Serve, doors: Callable[[str], Door]) -> None:
    assert shutil.which("logger"), "logger(1) is part of bsdutils"
    door = doors("udp")
    server = serve("receivers:SyslogHandler", "--workers", "2", binds=[door])
    command = [
        "logger",
        "--udp",
        "-n",
        "127.0.0.1",
        "-P",
        str(port(door)),
        "-t",
        "cook",
        "-p",
        "user.notice",
        "it burns",
    ]
    subprocess.run(command, check=True, timeout=TIMEOUT)

    line = server.events.expect("syslog <13>")
    assert "cook" in line
    assert line.endswith("it burns")


def test_syslog_receiver_takes_what_sys_log_handler_sends_over_a_unix_datagram_socket(
    serve: Serve, log: logging.Logger, doors: Callable[[str], Door]
) -> None:
    door = doors("unixgram")
    server = serve("receivers:SyslogHandler", binds=[door])
    log.addHandler(logging.handlers.SysLogHandler(str(door.address)))
    log.critical("out of gas")

    assert server.events.expect("syslog <10>").rstrip("\0").endswith("out of gas")
