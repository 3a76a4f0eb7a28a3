"""The ready-made handlers, each served by a worker alone, and the question what a handler is, asked of a process."""

import http.client
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.wait import PATIENCE
from tests.process.lone_worker import Cast, Connect, Listen, ask


def test_the_page_says_that_it_runs_over_one_connection(cast: Cast, listen: Listen) -> None:
    listener = listen("tcp")
    cast("forkful.handlers.page:PageHandler", [listener])
    host, port = listener.getsockname()
    client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    for method, path, status in (("GET", "/", 200), ("HEAD", "/?x", 200), ("GET", "/other", 404), ("GET", "/", 200)):
        client.request(method, path)
        with client.getresponse() as response:
            body = response.read()
            assert response.status == status
            assert bool(body) is (method == "GET")
            assert "charset=utf-8" in response.headers["Content-Type"]
    assert "Forkful runs." in body.decode()
    client.close()


def test_echo_is_whatever_is_sent(cast: Cast, listen: Listen, connect: Connect) -> None:
    streams, datagrams = listen("tcp"), listen("unixgram")
    cast("forkful.handlers.echo:EchoStream", [streams])
    cast("forkful.handlers.echo:EchoDatagram", [datagrams])
    client = connect(streams)
    assert [ask(client, b"one"), ask(client, b"two")] == [b"one", b"two"]
    assert ask(connect(datagrams), b"three") == b"three"


KINDS = {"Handler": "stream", "packets": "datagram", "application": "http"}


@pytest.mark.parametrize("imported", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_what_a_handler_serves_is_asked_of_a_process_that_imports_it_if_its_source_says_nothing(
    name: str, imported: bool, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        "import socketserver\nprint('said while it is imported')\n"
        "class Handler(socketserver.BaseRequestHandler): pass\n"
        "def packets(data, address): pass\ndef application(environ, start_response): pass\n"
        "globals().update({f'Hidden{name}': it for name, it in list(globals().items())})\n"
    )
    asked = question(f"app:{'Hidden' * imported}{name}", tmp_path)
    assert (asked.returncode, json.loads(asked.stdout)) == (0, {"kind": KINDS[name], "imported": imported})
    assert asked.stderr == "said while it is imported\n" * imported


def test_why_a_handler_cannot_be_served_is_answered_too(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("1 / 0\n")
    asked = question("app:x", tmp_path)
    answer = json.loads(asked.stdout)
    assert (asked.returncode, set(answer)) == (4, {"error", "traceback"})
    assert "ZeroDivisionError" in answer["error"]
    assert "app.py" in answer["traceback"]


def question(handler: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "forkful.handlers.kind", handler]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False)
