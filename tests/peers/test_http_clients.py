"""HTTP spoken by real clients: curl, wrk, slow ones, a browser; and bodies too large for memory."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit.door import Door, host_port
from tests.kit.server import Server
from tests.kit.web import get
from tests.peers.neighbour import find

Doors = Callable[[str], Door]
GIBIBYTE = 1 << 30
MEMORY = 100 << 20  # bytes that a worker may use while it handles a body of ten times as many
SIZE = GIBIBYTE if os.environ.get("CI") == "true" else GIBIBYTE // 4


def curl(*arguments: str, within: float = 120) -> str:
    done = subprocess.run(
        [find("curl"), "--silent", "--show-error", *arguments],
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def peak(server: Server) -> int:
    """The most resident memory the worker ever had (proc(5), VmHWM), bytes."""
    status = Path(f"/proc/{server.workers()[0]}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "file"
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


@pytest.mark.parametrize("threads", ["1", "2"])
def test_curl_keeps_its_connection(threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve("wsgi:echo", "--threads", threads, binds=[door])
    url = f"http://{host_port(door)}"

    count = curl("-w", "%{num_connects} ", "-o", "/dev/null", "-o", "/dev/null", f"{url}/one", f"{url}/two")
    assert count == "1 0 "
    assert curl("--http1.0", f"{url}/one") == "one"
    assert curl("-H", "Expect: 100-continue", "-d", "x" * 2000, url) == "x" * 2000
    assert curl("-H", "Transfer-Encoding: chunked", "-d", "y" * 2000, url) == "y" * 2000
    assert "Content-Length: 3" in curl("--head", f"{url}/one")


def test_curl_sees_early_hints_and_trailers(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    serve("readers:asgi", binds=[door])
    url = f"http://{host_port(door)}/trailed"

    with_trailers = curl("--include", "-H", "TE: trailers", url, url)
    assert with_trailers.count("HTTP/1.1 103 Early Hints") == 2
    assert with_trailers.count("X-Sum: 7") == 2
    assert "X-Sum" not in curl("--include", url)


@pytest.mark.parametrize("app", ["wsgi:large", "asgi:count"])
@pytest.mark.parametrize("how", [(), ("-H", "Transfer-Encoding: chunked")], ids=["length", "chunked"])
def test_a_large_upload_does_not_sit_in_memory(
    app: str, how: tuple[str, ...], large: Path, serve: Serve, doors: Doors, tmp_path: Path
) -> None:
    door = doors("tcp")
    server = serve(app, binds=[door], env={"TMPDIR": str(tmp_path)})

    assert curl(*how, "-H", "Expect:", "-T", str(large), "-X", "POST", f"http://{host_port(door)}/") == str(SIZE)
    assert peak(server) < MEMORY


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("kind", ["generator", "sendfile"])
def test_a_large_download_does_not_sit_in_memory(
    kind: str, threads: str, large: Path, serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("wsgi:large", "--threads", threads, binds=[door])
    path = f"/{SIZE}" if kind == "generator" else f"/file{large}"

    got = curl("-o", "/dev/null", "-w", "%{size_download}", f"http://{host_port(door)}{path}")

    assert got == str(SIZE)
    assert peak(server) < MEMORY


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_client_that_leaves_within_a_download_ends_it(threads: str, serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("wsgi:large", "--threads", threads, binds=[door])

    with door.connect() as client:
        client.sendall(b"GET /1000000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv(1000)
    server.events.expect("closed")
    assert get(door, "/10").text == "x" * 10


@pytest.mark.parametrize("how", ["-H", "-B", "-X"], ids=["slow heads", "slow bodies", "slow reading"])
def test_slow_clients_do_not_keep_others_out(how: str, serve: Serve, doors: Doors, tmp_path: Path) -> None:
    door = doors("tcp")
    flags = ("--header-timeout", "2", "--body-timeout", "2", "--keep-alive", "2")
    serve("wsgi:echo", *flags, binds=[door])
    url = f"http://{host_port(door)}/hello"
    command = [find("slowhttptest"), how, "-c", "150", "-r", "150", "-i", "1", "-l", "6", "-p", "1", "-u", url]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path) as attack:
        quick = {curl(url) for _ in range(20)}
        during = attack.poll() is None
        output, _ = attack.communicate(timeout=60)

    assert (quick, during) == ({"hello"}, True)
    plain = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", output)
    assert re.search(rb"service available:\s+YES", plain), plain
    assert not re.search(rb"service available:\s+NO", plain), plain
