"""The gate of the admin pages: which names of hosts are ours, and who brings the token."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forkful.conf.address import Address
from forkful.conf.plan import AdminPlan
from forkful.master.admin.gate import Gate
from tests.kit import fake_master
from tests.kit.door import read_all
from tests.kit.fake_master import Doors, FakeMaster

OURS = (
    *("127.0.0.1", "127.0.0.1:9464", "[::1]:9464", "10.1.2.3", "localhost", "LOCALHOST:9464", "a.localhost", ""),
    *("metrics.example.org", "metrics.example.org.:9464", "a.wild.example.org", "pod.internal", socket.gethostname()),
)
THEIRS = (
    *("evil.example", "evil.example:9464", "localhost.evil.example", "127.0.0.1.evil.example", "wild.example.org"),
    *("xwild.example.org", "metrics.example.org.evil.example", "localhost,evil.example", "evil.example,localhost"),
    *("127.0.0.1@evil.example", "*", "0x7f.1", "127.1.evil", "[::1].evil.example", "evil.example:80:80"),
)
GATE = Gate.of(
    AdminPlan(allowed_hosts=("metrics.example.org", "*.wild.example.org")), [Address("tcp", "pod.internal", 9464)]
)


@pytest.mark.parametrize("host", OURS)
def test_name_or_number_of_ours_comes_in(host: str) -> None:
    assert GATE.knows(host)


@pytest.mark.parametrize("host", THEIRS)
def test_name_that_is_not_ours_does_not(host: str) -> None:
    assert not GATE.knows(host)


def test_star_lets_any_name_in() -> None:
    assert Gate.of(AdminPlan(allowed_hosts=("*",)), []).knows("evil.example")
    assert not Gate.of(AdminPlan(), [Address("tcp", "*", 9464)]).knows("evil.example"), "as an address it says nothing"


def token(tmp_path: Path, text: str) -> Gate:
    file = tmp_path / "token"
    file.write_text(text)
    return Gate.of(AdminPlan(token_file=str(file)), [])


@pytest.mark.parametrize("said", ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret "])
def test_token_is_the_files_text(tmp_path: Path, said: str) -> None:
    assert token(tmp_path, "s3cret\n").trusts({"HTTP_AUTHORIZATION": said})


@pytest.mark.parametrize("said", ["", "s3cret", "Basic s3cret", "Bearer s3cre", "Bearer s3cret2", "Bearer \xe9"])
def test_another_token_is_none(tmp_path: Path, said: str) -> None:
    assert not token(tmp_path, "s3cret\n").trusts({"HTTP_AUTHORIZATION": said})


@pytest.mark.parametrize("said", ["", "Bearer", "Bearer ", "Bearer x"])
def test_file_that_is_empty_or_gone_lets_nobody_in(tmp_path: Path, said: str) -> None:
    gone = Gate.of(AdminPlan(token_file=str(tmp_path / "nowhere")), [])

    assert not token(tmp_path, " \n").trusts({"HTTP_AUTHORIZATION": said})
    assert not gone.trusts({"HTTP_AUTHORIZATION": said})


# -- in the admin child ------------------------------------------------------------------------------------------------


@contextmanager
def guarded(tmp_path: Path, gate: Gate) -> Iterator[Doors]:
    master = FakeMaster()
    master.facts["ready"], master.facts["reason"] = False, "pool secret: 0 of 1 workers ready"
    with fake_master.running(master, tmp_path, gate) as doors:
        yield doors


def ask(sock: socket.socket, path: str, *lines: str) -> bytes:
    with sock:
        sock.settimeout(10)
        sock.sendall("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
        return read_all(sock)


PAGES = ("/", "/metrics", "/status.json", "/history.json", "/nothing")


@pytest.mark.parametrize("path", PAGES)
def test_page_of_the_web_reads_no_page_of_ours_by_a_name_of_its_own(tmp_path: Path, path: str) -> None:
    with guarded(tmp_path, GATE) as doors:
        over_tcp = socket.create_connection(doors.tcp.getsockname())
        assert b" 421 " in ask(over_tcp, path, "Host: evil.example:9464").splitlines()[0]
        over_unix = socket.socket(socket.AF_UNIX)
        over_unix.connect(doors.unix.getsockname())
        assert b" 421 " not in ask(over_unix, path, "Host: evil.example").splitlines()[0]


def test_probe_is_answered_whatever_name_it_uses_and_tells_no_reason_to_a_stranger(tmp_path: Path) -> None:
    with guarded(tmp_path, GATE) as doors:
        theirs = ask(socket.create_connection(doors.tcp.getsockname()), "/readyz", "Host: evil.example")
        ours = ask(socket.create_connection(doors.tcp.getsockname()), "/readyz", "Host: localhost")
        livez = ask(socket.create_connection(doors.tcp.getsockname()), "/livez", "Host: evil.example")

    assert b" 503 " in theirs
    assert b"secret" not in theirs
    assert b"secret" in ours
    assert b" 200 " in livez


@pytest.mark.parametrize("path", PAGES)
def test_page_wants_the_token_over_tcp(tmp_path: Path, path: str) -> None:
    with guarded(tmp_path, token(tmp_path, "s3cret")) as doors:
        without = ask(socket.create_connection(doors.tcp.getsockname()), path, "Host: localhost")
        with_it = ask(
            socket.create_connection(doors.tcp.getsockname()), path, "Host: localhost", "Authorization: Bearer s3cret"
        )

    assert b" 401 " in without.splitlines()[0]
    assert b"WWW-Authenticate: Bearer" in without
    assert b" 401 " not in with_it.splitlines()[0]
