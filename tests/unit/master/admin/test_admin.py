"""The admin child over real sockets, against a master that is only a channel."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forkful.master.admin import http_server
from forkful.master.cli.client import Client
from forkful.worker.ipc import messages
from tests.kit.door import read_all
from tests.kit.fake_master import Doors, FakeMaster, running
from tests.kit.handler_metrics import NOBODY, count, files
from tests.kit.wait import PATIENCE, until


@pytest.fixture
def master() -> FakeMaster:
    return FakeMaster()


@pytest.fixture
def doors(master: FakeMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with running(master, tmp_path) as doors:
        yield doors


def ask(doors: Doors, request: bytes) -> bytes:
    """Send bytes over TCP and read all that comes back."""
    with socket.create_connection(doors.tcp.getsockname(), PATIENCE) as client:
        client.sendall(request)
        return read_all(client)


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/livez", "/readyz", "/readyz?verbose"])
def test_page_is_there_over_tcp_and_over_the_unix_socket(doors: Doors, path: str) -> None:
    for address in (doors.tcp_address, doors.unix_address):
        assert Client(address).get(path).code == 200


def test_child_shows_that_it_turns_as_soon_as_it_does(master: FakeMaster, doors: Doors) -> None:
    assert doors
    assert master.seen_to_turn.wait(PATIENCE)


def test_readyz_gives_the_reason(master: FakeMaster, doors: Doors) -> None:
    master.facts["ready"], master.facts["reason"] = False, "stopping"
    reply = Client(doors.tcp_address).get("/readyz")

    assert (reply.code, reply.body) == (503, b"stopping\n")
    assert Client(doors.tcp_address).get("/livez").code == 200, "it turns, though it is not ready"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/", "/status.json"])
def test_master_that_does_not_answer_is_503(
    master: FakeMaster, doors: Doors, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del master.answers[messages.TellFacts]
    for name in ("facts", "probe"):
        monkeypatch.setattr(f"forkful.master.admin.master_client.MasterClient.{name}.__defaults__", (0.01,))
    reply = Client(doors.tcp_address).get(path)

    assert reply.code == 503
    assert b"did not answer" in reply.body


def test_probe_is_answered_while_every_command_thread_waits_for_a_reload(master: FakeMaster, doors: Doors) -> None:
    waiting, numbers = [], []
    for _ in range(http_server.THREADS):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(doors.unix.getsockname())
        client.sendall(b"POST /reload?wait=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.append(client)
        numbers.append(master.next_heard().id)

    assert Client(doors.tcp_address).get("/livez").code == 200
    refused = Client(doors.unix_address).post("/logs/reopen")
    assert refused.code == 503, "and a command too many is refused at once"

    for number in reversed(numbers):
        master.say(messages.Answer(number, ok=True, message=f"reload {number}"))
    for number, client in zip(numbers, waiting, strict=True):
        with client:
            assert f"reload {number}".encode() in read_all(client), "each gets its own answer"


def test_probe_is_answered_while_pages_are_asked_for_by_a_crowd(
    master: FakeMaster, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("facts", "probe"):
        monkeypatch.setattr(f"forkful.master.admin.master_client.MasterClient.{name}.__defaults__", (PATIENCE,))
    known = master.answers.pop(messages.TellFacts)  # so each page waits
    crowd = [socket.create_connection(doors.tcp.getsockname(), PATIENCE) for _ in range(http_server.THREADS)]
    for client in crowd:
        client.sendall(b"GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: [t.name for t in threading.enumerate()].count("answer") == len(crowd), what="all threads of pages")
    master.answers[messages.TellFacts] = known

    assert Client(doors.tcp_address).get("/status.json").code == 503, "a page too many is refused at once"
    assert Client(doors.tcp_address).get("/livez").code == 200
    assert Client(doors.tcp_address).get("/readyz?verbose").code == 200
    for client in crowd:
        client.close()


def test_slow_clients_keep_no_probe_waiting(doors: Doors) -> None:
    slow = [socket.create_connection(doors.tcp.getsockname(), PATIENCE) for _ in range(50)]
    for client in slow:
        client.sendall(b"GET /livez HT")

    assert Client(doors.tcp_address).get("/livez").code == 200
    for client in slow:
        client.close()


def test_slow_client_is_sent_away_at_its_deadline(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "PATIENCE", 0.01)
    with socket.create_connection(doors.tcp.getsockname(), PATIENCE) as client:
        client.sendall(b"GET /livez HT")
        assert read_all(client).startswith(b"HTTP/1.1 408")


def test_oldest_goes_when_there_are_too_many(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_CONNECTIONS", 2)
    clients = [socket.create_connection(doors.tcp.getsockname(), PATIENCE) for _ in range(3)]

    assert read_all(clients[0]).startswith(b"HTTP/1.1 503")
    for client in clients[1:]:
        client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 200")
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"GET\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /" + bytes([0, 255, 1]) + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /%00%ff%0d%0a HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 413),
        (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /reload HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET http://x/livez?y=z HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /://livez HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nAccept: \xff\xfe\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text; version=x;q=\xff\r\n\r\n", 200),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n\x00\x01\x02", 200),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
    ],
)
def test_hostile_bytes_are_answered_and_survived(doors: Doors, request_: bytes, code: int) -> None:
    try:
        status = int(ask(doors, request_).split()[1])
    except ConnectionError:
        status = 413  # it was reset while it still sent what nobody reads
    assert status == code
    assert Client(doors.tcp_address).get("/livez").code == 200


def test_client_that_leaves_before_its_answer_is_nobodys_trouble(doors: Doors) -> None:
    for _ in range(20):
        with socket.create_connection(doors.tcp.getsockname(), PATIENCE) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")

    # More than there are threads to answer: until they have, another is refused.
    until(lambda: Client(doors.tcp_address).get("/livez").code == 200, what="an answer to who stays")


def test_head_has_no_body_and_the_length_of_the_page(doors: Doors) -> None:
    head = ask(doors, b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 17\r\n" in head
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/livez", "/readyz", "/nothing", "/reload", "/stop"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE"])
def test_every_answer_is_of_now_loads_nothing_and_is_for_no_other_site(doors: Doors, method: str, path: str) -> None:
    head, _, body = ask(doors, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])

    assert fields[b"Cache-Control"] == b"no-store"
    assert fields[b"X-Content-Type-Options"] == b"nosniff"
    assert fields[b"Referrer-Policy"] == b"no-referrer"
    assert fields[b"Cross-Origin-Resource-Policy"] == b"same-origin"
    policy = fields[b"Content-Security-Policy"]
    assert policy.startswith(b"default-src 'none'; ")
    assert b"frame-ancestors 'none'" in policy
    assert b"unsafe" not in policy
    assert b"Server" not in fields
    assert len(body) == (0 if method == "HEAD" else int(fields[b"Content-Length"]))
    assert (b" 405 " in head) == (b"Allow" in fields)


def test_answer_closes_the_connection_and_says_so(doors: Doors) -> None:
    answer = ask(doors, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"the master turns\n")


@pytest.mark.parametrize(
    "path", ["/reload", "/upgrade", "/scale?pool=main&workers=3", "/stop", "/logs/reopen", "/stacks"]
)
def test_command_over_tcp_is_forbidden_and_says_where_to_go(master: FakeMaster, doors: Doors, path: str) -> None:
    reply = Client(doors.tcp_address).post(path)

    assert reply.code == 403
    assert doors.unix_address in reply.json()["message"]
    assert master.heard.empty()


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("/reload?wait=1", messages.Reload()),
        ("/upgrade?wait=1", messages.Upgrade()),
        ("/scale?pool=main&workers=3", messages.Scale("main", 3)),
        ("/stop?quick=1", messages.Stop(quick=True)),
        ("/stop", messages.Stop(quick=False)),
        ("/logs/reopen", messages.ReopenLogs()),
        ("/stacks", messages.ShowStacks(None, None)),
        ("/stacks?pool=main&slot=1", messages.ShowStacks("main", 1)),
    ],
)
def test_command_reaches_the_master_and_its_answer_the_client(
    master: FakeMaster, doors: Doors, path: str, order: messages.Order
) -> None:
    for done, code in ((True, 200), (False, 409)):
        answer = {"ok": done, "message": "so it went", "traceback": "Traceback: ..."}
        master.will_answer(type(order), "so it went", ok=done, traceback="Traceback: ...")
        reply = Client(doors.unix_address).post(path)

        assert (reply.code, reply.json()) == (code, answer)
        assert master.next_heard().order == order


@pytest.mark.parametrize(
    "query",
    ["/scale", "/scale?pool=main", "/scale?pool=main&workers=-1", "/scale?pool=x&workers=%C2%B2", "/stop?quick=so"],
)
def test_command_that_is_not_understood_goes_no_further(master: FakeMaster, doors: Doors, query: str) -> None:
    reply = Client(doors.unix_address).post(query)

    assert reply.code == 400
    assert not reply.json()["ok"]
    assert master.heard.empty()


def test_reload_that_nobody_waits_for_is_begun(master: FakeMaster, doors: Doors) -> None:
    reply = Client(doors.unix_address).post("/reload")

    assert reply.code == 202
    assert master.next_heard().order == messages.Reload()


def test_handlers_metrics_of_the_dead_are_folded_when_the_master_says_so(
    master: FakeMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "metrics"
    directory.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    count(directory, NOBODY, 1)
    with running(master, tmp_path) as doors:
        until(lambda: not files(directory), what="files of before the start folded")
        count(directory, NOBODY + 1, 2)
        assert b"app_echoes_total 3.0\n" in Client(doors.tcp_address).get("/metrics").body
        master.say(messages.Gone(NOBODY + 1))
        until(lambda: not files(directory), what="files of the dead folded")
        assert b"app_echoes_total 3.0\n" in Client(doors.tcp_address).get("/metrics").body


def test_shape_of_the_contract_of_the_status_document(doors: Doors) -> None:
    document = Client(doors.unix_address).get("/status.json").json()

    (pool,) = document["pools"]
    assert pool["requests"] == {"ok": 0, "error": 0, "reset": 0, "refused": 0, "timeout": 0, "lost": 0}
    assert pool["workers"][0]["resident_bytes"] > 0
    assert document["reload"]["successful"] is True


def test_entrance_brings_nothing_that_the_master_would_have_to_carry() -> None:
    heavy = {"prometheus_client", "httptools", "rich", "forkful.master.admin.server"}
    source = "import sys, forkful.master.admin.entry, forkful.master.model.facts; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout.split()

    assert not heavy & set(loaded)
