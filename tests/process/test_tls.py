"""TLS for every kind of handler: who speaks it and who does not, sessions, reloads, clients' certificates, silence."""

import contextlib
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apps.tls import BIG
from tests.conftest import Serve
from tests.kit import certificates
from tests.kit.certificates import Pair
from tests.kit.door import Door, read_all
from tests.kit.server import Server

Doors = Callable[[str], Door]

STREAMS = {
    "a lane": ("tls:Handler", ()),
    "lanes": ("tls:Handler", ("--threads", "2")),
    "a coroutine": ("tls:coroutine", ("--event-loop", "uvloop")),
    "a coroutine of asyncio": ("tls:coroutine", ("--event-loop", "asyncio")),
    "a protocol": ("tls:Protocol", ("--event-loop", "uvloop")),
    "a protocol of asyncio": ("tls:Protocol", ("--event-loop", "asyncio")),
    "a buffered protocol": ("tls:Buffered", ()),
}
WEB = {
    f"{app} {loop}": (f"tls:{app}", ("--event-loop", loop, *flags))
    for app, flags in (("wsgi", ()), ("asgi", ("--interface", "asgi")))
    for loop in ("uvloop", "asyncio")
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.self_signed(tmp_path_factory.mktemp("tls"))


def trusting(pair: Pair, client: Pair | None = None) -> ssl.SSLContext:
    trust = ssl.create_default_context(cafile=str(pair.certificate))
    if client is not None:
        trust.load_cert_chain(client.certificate, client.key)
    return trust


def secure(
    door: Door, trust: ssl.SSLContext, name: str = "localhost", session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    # An end without goodbye is an error: what an answer lacks has to be seen.
    return trust.wrap_socket(door.connect(), server_hostname=name, session=session, suppress_ragged_eofs=False)


def converse(door: Door, trust: ssl.SSLContext, said: bytes) -> bytes:
    with secure(door, trust) as client:
        client.sendall(said)
        return client.recv(1000)


def curl(door: Door, pair: Pair, path: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    url = f"https://localhost:{door.address[1]}{path}"
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", str(pair.certificate), *arguments, url]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def handshakes(server: Server, result: str) -> float:
    return server.metrics().sum("forkful_tls_handshakes_total", result=result)


@pytest.mark.parametrize("kind", STREAMS)
def test_streams_are_secured_and_ended_with_a_goodbye(kind: str, serve: Serve, doors: Doors, pair: Pair) -> None:
    handler, flags = STREAMS[kind]
    door = doors("tcp")
    server = serve(handler, *flags, *pair.flags, binds=[door])
    trust = trusting(pair)

    assert converse(door, trust, b"hello\n") == b"HELLO\n"
    assert converse(door, trust, b"who\n").split()[1] == b"TLSv1.3"
    with secure(door, trust) as client:
        client.sendall(b"big\n")
        assert len(read_all(client)) == BIG
    with door.connect() as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in read_all(plain)
    door.connect().close()
    server.wait_until(lambda: handshakes(server, "failed") == handshakes(server, "gone") == 1, what="two failures")
    assert handshakes(server, "ok") == 3
    metrics = server.metrics_at_rest()
    assert (
        metrics.sum("forkful_refused_total", reason="tls") == metrics.sum("forkful_refused_total", reason="gone") == 1
    )
    assert metrics.sum("forkful_requests_total", outcome="ok") == 3
    assert metrics.sum("forkful_requests_total") == 3
    assert metrics.sum("forkful_sent_bytes_total") > BIG


@pytest.mark.parametrize("kind", WEB)
def test_web_applications_are_secured(kind: str, serve: Serve, doors: Doors, pair: Pair, tmp_path: Path) -> None:
    handler, flags = WEB[kind]
    door, plain = doors("tcp"), doors("unix")
    file = tmp_path / "file"
    file.write_bytes(b"y" * BIG)
    server = serve(handler, *flags, *pair.flags, binds=[door, plain])

    told = curl(door, pair, "/", "-H", "SSL-CLIENT-VERIFY: SUCCESS", "-H", "HTTPS: off").stdout
    assert b"scheme='https'" in told.replace(b"scheme=https", b"scheme='https'")
    assert b"HTTPS='on'" in told or b"'tls_version'" in told or b"tls_version=772" in told
    assert b"\nSSL_CLIENT_VERIFY='SUCCESS'" not in told
    assert len(curl(door, pair, "/big").stdout) == BIG
    assert curl(door, pair, f"/file?{file}").stdout == file.read_bytes()
    slow = curl(door, pair, "/big", "--limit-rate", "4M", "--http1.0")
    assert (slow.returncode, len(slow.stdout)) == (0, BIG)
    sent = curl(door, pair, "/", "--data-binary", f"@{file}", "-H", "Expect:")
    assert sent.returncode == 0, sent.stderr
    assert plain.ask(b"GET / HTTP/1.0\r\n\r\n").count(b"https") == 0, "the other address is as plain as it was"
    assert server.metrics_at_rest().sum("forkful_requests_total", outcome="ok") == 6


@pytest.mark.parametrize("handler", ["tls:Handler", "tls:coroutine"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_sessions_go_on_with_any_worker_and_with_those_that_come_later(
    handler: str, version: str, serve: Serve, doors: Doors, pair: Pair
) -> None:
    door = doors("tcp")
    server = serve(handler, "--workers", "3", *pair.flags, binds=[door])
    trust = trusting(pair)
    trust.maximum_version = ssl.TLSVersion[version]
    session, reused, seen = None, 0, set[bytes]()

    for number in range(30):
        with secure(door, trust, session=session) as client:
            client.sendall(b"who\n")
            seen.add(client.recv(100).split()[0])
            reused += bool(client.session_reused)
            session = client.session
        if number in (10, 20):
            before = server.workers()
            server.kill(before[0], signal.SIGKILL)
            server.wait_for_workers(3, besides=[before[0]])

    assert reused == 29, "all but the first"
    assert len(seen) > 1
    assert handshakes(server, "resumed") + handshakes(server, "ok") <= 30


@pytest.mark.parametrize("handler", ["tls:Handler", "tls:coroutine"])
def test_a_silent_client_and_one_that_drips_hold_up_nobody(
    handler: str, serve: Serve, doors: Doors, pair: Pair
) -> None:
    door = doors("tcp")
    server = serve(handler, "--handshake-timeout", "1", *pair.flags, binds=[door])
    trust = trusting(pair)
    workers = server.workers()

    with door.connect() as silent, door.connect() as half:
        half.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert converse(door, trust, b"hello\n") == b"HELLO\n"
        assert silent.recv(1) == b""
        assert half.recv(1) == b""
    server.wait_until(lambda: handshakes(server, "timeout") == 2, what="two that took too long")
    assert server.workers() == workers

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with door.connect() as client:  # a byte at a time
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    client.sendall(bytes([byte]))
                incoming.write(client.recv(65536))
        tls.write(b"hello\n")
        for byte in outgoing.read():
            client.sendall(bytes([byte]))
        answer = b""
        while not answer:
            with contextlib.suppress(ssl.SSLWantReadError):
                answer = tls.read(100)
                break
            incoming.write(client.recv(65536))
        assert answer == b"HELLO\n"


def test_a_reload_takes_new_certificates_and_leaves_connections_alone(
    serve: Serve, doors: Doors, pair: Pair, tmp_path: Path
) -> None:
    door = doors("tcp")
    (tmp_path / "now.crt").write_bytes(pair.certificate.read_bytes())
    (tmp_path / "now.key").write_bytes(pair.key.read_bytes())
    now = Pair(tmp_path / "now.crt", tmp_path / "now.key")
    server = serve("tls:coroutine", *now.flags, binds=[door])
    other = certificates.self_signed(tmp_path, "localhost", "other.test")
    expired = certificates.expired(tmp_path, pair)

    with secure(door, trusting(pair)) as client:
        client.sendall(b"a\n")
        assert client.recv(10) == b"A\n"
        for wrong in (other.certificate.read_bytes(), b"nonsense", expired.certificate.read_bytes()):
            now.certificate.write_bytes(wrong)
            result = server.reload()
            assert result.returncode != 0
            assert "--certfile" in result.stderr + result.stdout or "--keyfile" in result.stderr + result.stdout
            assert converse(door, trusting(pair), b"b\n") == b"B\n", "the old generation serves on"
        now.certificate.write_bytes(other.certificate.read_bytes())
        now.key.write_bytes(other.key.read_bytes())
        assert server.reload().returncode == 0
        assert converse(door, trusting(other), b"c\n") == b"C\n"
        with pytest.raises(ssl.SSLCertVerificationError):
            secure(door, trusting(pair))
        client.sendall(b"d\n")
        assert client.recv(10) == b"D\n"


def test_the_name_that_a_client_asks_for_chooses_the_certificate(
    serve: Serve, doors: Doors, pair: Pair, tmp_path: Path
) -> None:
    door = doors("tcp")
    other = certificates.self_signed(tmp_path, "other.test", "*.wild.test")
    flags = ("--certificates", f"{other.certificate}:{other.key}")
    serve("tls:Handler", *pair.flags, *flags, binds=[door])

    for name, shown in (("localhost", pair), ("other.test", other), ("OTHER.test", other), ("a.wild.test", other)):
        with secure(door, trusting(shown), name) as client:
            client.sendall(b"x\n")
            assert client.recv(10) == b"X\n"
    stranger = trusting(pair)
    stranger.check_hostname = False
    with secure(door, stranger, "nobody.test") as client:
        client.sendall(b"x\n")
        assert client.recv(10) == b"X\n"


@pytest.mark.parametrize("kind", ["tls:Handler", "tls:coroutine", "tls:wsgi", "tls:asgi"])
@pytest.mark.parametrize("reqs", ["required", "1"])
def test_clients_show_certificates_and_handlers_see_them(
    kind: str, reqs: str, serve: Serve, doors: Doors, pair: Pair, tmp_path: Path
) -> None:
    door = doors("tcp")
    authority = certificates.self_signed(tmp_path, "authority")
    client = certificates.issued(tmp_path, authority, "/C=CH/O=Käse, Söhne\\+Co/CN=alice", "alice")
    stranger = certificates.self_signed(tmp_path, "stranger")
    flags = ("--cert-reqs", reqs, "--ca-certs", str(authority.certificate))
    server = serve(kind, *pair.flags, *flags, binds=[door])
    shown = ("--cert", str(client.certificate), "--key", str(client.key))

    if "gi" in kind:
        answer = curl(door, pair, "/", *shown).stdout.decode()
        name = "CN=alice,O=Käse\\, Söhne\\+Co,C=CH"
        wsgi_name = name.encode().decode("latin-1")
        assert repr(wsgi_name) in answer or repr(name) in answer
        assert "BEGIN CERTIFICATE" in answer
        without = curl(door, pair, "/")
        refused = curl(door, pair, "/", "--cert", str(stranger.certificate), "--key", str(stranger.key))
        assert refused.returncode != 0
        assert (without.returncode == 0) == (reqs == "1")
    else:
        assert converse(door, trusting(pair, client), b"who\n").split()[2] == b"alice"
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert converse(door, trusting(pair, stranger), b"who\n") == b""
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert (converse(door, trusting(pair), b"x\n") == b"X\n") == (reqs == "1")
    failed = 1 if reqs == "1" else 2
    server.wait_until(lambda: handshakes(server, "failed") == failed, what="who is not believed")


def test_a_websocket_is_one_within_tls(serve: Serve, doors: Doors, pair: Pair) -> None:
    door = doors("tcp")
    serve("tls:asgi", *pair.flags, binds=[door])
    with secure(door, trusting(pair)) as client:
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        got = b""
        while b"wss True" not in got:
            more = client.recv(1000)
            assert more, got
            got += more
        client.sendall(b"\x88\x80\0\0\0\0")


def test_a_reload_changes_what_an_address_says_in_tls(serve: Serve, doors: Doors, pair: Pair, tmp_path: Path) -> None:
    door = doors("tcp")
    locked, other = certificates.encrypted(pair, "secret"), certificates.self_signed(tmp_path, "other.test")
    client = certificates.self_signed(tmp_path, "client")
    password = tmp_path / "password"
    password.write_text("secret\n")
    head = f'[pool.main]\nhandler = "tls:Handler"\nbind = ["{door.url}"]\ncertfile = "{pair.certificate}"\n'
    server = serve(config=f'{head}keyfile = "{pair.key}"', binds=[door])
    old = trusting(pair)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with secure(door, old) as plain:
        assert plain.selected_alpn_protocol() is None

    server.configure(
        f"""{head}
        keyfile = "{locked.key}"
        keyfile_password_file = "{password}"
        certificates = [{{ certfile = "{other.certificate}", keyfile = "{other.key}" }}]
        ca_certs = "{client.certificate}"
        cert_reqs = "optional"
        ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"
        alpn = ["echo"]
        """
    )
    assert server.reload().returncode == 0
    for trust, name in ((trusting(pair, client), "localhost"), (trusting(other), "other.test")):
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
        trust.set_alpn_protocols(["nothing", "echo"])
        with secure(door, trust, name) as chosen:
            assert chosen.selected_alpn_protocol() == "echo"
            assert (chosen.cipher() or "")[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
            chosen.sendall(b"who\n")
            assert chosen.recv(100).split()[2:] == ([b"client"] if name == "localhost" else [])

    server.configure(f'{head}keyfile = "{pair.key}"\ntls_min_version = "1.3"')
    assert server.reload().returncode == 0
    with pytest.raises(ssl.SSLError):
        secure(door, old)
    assert converse(door, trusting(pair), b"x\n") == b"X\n"
