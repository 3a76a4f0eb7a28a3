"""Keys: read by nobody but the mold, in nobody else's memory; and what is told where TLS cannot be had."""

import contextlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.kit import certificates, passable
from tests.kit.certificates import Pair
from tests.kit.door import Door, door_of
from tests.kit.server import APPS, CLI
from tests.process.test_tls import converse, handshakes, secure, trusting

Doors = Callable[[str], Door]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.self_signed(tmp_path_factory.mktemp("tls"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_workers_serve_with_a_key_that_they_cannot_read(serve: Serve, doors: Doors, pair: Pair, folder: Path) -> None:
    door = doors("tcp")
    key, apps = folder / "key", folder / "apps"
    shutil.copy(pair.key, key)
    key.chmod(0o600)
    apps.mkdir()
    (apps / "reader.py").write_text(
        "import socketserver\n"
        "class Handler(socketserver.StreamRequestHandler):\n"
        "    def handle(self):\n"
        "        try:\n"
        f"            open({str(key)!r})\n"
        "        except PermissionError:\n"
        "            self.wfile.write(b'not mine\\n')\n"
    )
    flags = ("--user", "nobody", "--certfile", str(pair.certificate), "--keyfile", str(key))
    server = serve("reader:Handler", *flags, binds=[door], cwd=apps, wrapper=passable.wrapper())

    with secure(door, trusting(pair)) as client:
        assert client.recv(100) == b"not mine\n"
    before = server.workers()
    server.kill(before[0])
    server.wait_for_workers(1, besides=[before[0]])
    with secure(door, trusting(pair)) as client:
        assert client.recv(100) == b"not mine\n"
    assert server.reload().returncode == 0, "the mold of another generation reads it again"


def test_what_has_keys_can_be_traced_by_root_alone(serve: Serve, doors: Doors, pair: Pair) -> None:
    door = doors("tcp")
    server = serve("tls:Handler", *pair.flags, binds=[door])

    for pid in (server.workers()[0], server.child("mold")):
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0, "proc(5): of root, as nobody may dump it"
    assert converse(door, trusting(pair), b"x\n") == b"X\n"


def test_a_pool_without_tls_holds_no_keys_and_without_any_nobody_imports_ssl(
    serve: Serve, doors: Doors, pair: Pair, tmp_path: Path
) -> None:
    (tmp_path / "modules.py").write_text(
        "import socketserver, sys, gc\n"
        "class Handler(socketserver.StreamRequestHandler):\n"
        "    def handle(self):\n"
        "        ssl = sys.modules.get('ssl')\n"
        "        held = [each for each in gc.get_objects() if ssl and isinstance(each, ssl.SSLContext)]\n"
        "        self.wfile.write(f'{ssl is not None} {len(held)}\\n'.encode())\n"
    )
    plain = doors("tcp")
    serve("modules:Handler", binds=[plain], cwd=tmp_path)
    assert plain.ask(b"") == b"False 0\n"

    secured, other = doors("tcp"), doors("tcp")
    serve(
        config=f"""
        [pool.secured]
        handler = "modules:Handler"
        bind = ["{secured.url}"]
        certfile = "{pair.certificate}"
        keyfile = "{pair.key}"
        [pool.other]
        handler = "modules:Handler"
        bind = ["{other.url}"]
        """,
        binds=[secured, other],
        cwd=tmp_path,
    )
    assert other.ask(b"") == b"True 0\n"
    with secure(secured, trusting(pair)) as client:
        assert client.recv(100).startswith(b"True ")


def test_a_mold_that_finds_other_files_than_the_reader_fails_the_reload(
    serve: Serve, pair: Pair, tmp_path: Path
) -> None:
    """The handler is imported once more in between, to be asked what it serves; here that breaks the certificate."""
    used, marker = tmp_path / "used.crt", tmp_path / "marker"
    shutil.copy(pair.certificate, used)
    (tmp_path / "breaking.py").write_text(
        "import pathlib, socketserver\n"
        f"if pathlib.Path({str(marker)!r}).exists():\n"
        f"    pathlib.Path({str(used)!r}).write_text('nonsense')\n"
        "class Handler(socketserver.StreamRequestHandler):\n"
        "    def handle(self):\n"
        "        self.wfile.write(self.rfile.readline().upper())\n"
        "hidden = globals()['Handler']\n"
    )
    flags = ("--bind", "127.0.0.1:0", "--certfile", str(used), "--keyfile", str(pair.key))
    server = serve("breaking:hidden", *flags, binds=[], cwd=tmp_path)
    (address,) = server.listeners()
    assert address.startswith("tls://"), "an address without a scheme, where there is a certificate"

    marker.touch()
    result = server.reload()

    assert result.returncode != 0
    assert "TLS: " in result.stdout + result.stderr
    assert "no certificate in PEM format" in result.stdout + result.stderr
    assert converse(door_of(address), trusting(pair), b"x\n") == b"X\n"


def test_each_address_may_have_its_own(serve: Serve, pair: Pair, tmp_path: Path) -> None:
    authority = certificates.self_signed(tmp_path, "authority")
    client = certificates.issued(tmp_path, authority, "/CN=alice", "alice")
    server = serve(
        config=f"""
        [pool.main]
        handler = "tls:Handler"
        bind = ["tcp://127.0.0.1:0", "tls://127.0.0.1:0", "tls://[::1]:0"]
        certfile = "{pair.certificate}"
        keyfile = "{pair.key}"
        [pool.main.listener."tls://[::1]:0"]
        ca_certs = "{authority.certificate}"
        cert_reqs = "required"
        """,
        binds=[],
    )
    plain, public, members = (door_of(each) for each in server.listeners())

    with plain.connect() as sock:
        sock.sendall(b"x\n")
        assert sock.recv(10) == b"X\n"
    assert converse(public, trusting(pair), b"x\n") == b"X\n"
    assert converse(members, trusting(pair, client), b"who\n").split()[2] == b"alice"
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        assert converse(members, trusting(pair), b"x\n") == b""
    server.wait_until(lambda: handshakes(server, "failed") == 1, what="who has none")
    expiries = [line for line in server.admin.get("/metrics")[1].splitlines() if "_expiry_" in line and "{" in line]
    assert len(expiries) == 2
    assert all('name="localhost"' in line for line in expiries)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--bind", "tls://127.0.0.1:0"), "needs a certificate"),
        (("--bind", "https://127.0.0.1:0", "--certfile", "/nowhere"), "cannot be read"),
        (("--bind", "udp://127.0.0.1:0", "--certfile", "/nowhere"), "is not used"),
    ],
)
def test_what_cannot_be_had_is_told_by_name(flags: tuple[str, ...], told: str) -> None:
    command = [*CLI, "check", "tls:Handler", *flags]
    result = subprocess.run(command, cwd=APPS, capture_output=True, text=True, timeout=60, check=False)

    assert told in result.stdout + result.stderr


def test_a_program_that_wraps_its_socket_and_has_tls_by_settings_is_refused(
    serve: Serve, doors: Doors, pair: Pair, certificate: Path
) -> None:
    door = doors("tcp")
    server = serve("securing:InActivate", *pair.flags, binds=[door], env={"CERTIFICATE": str(certificate)}, ready=False)

    server.wait_exit()
    assert "leave out one of them" in server.log
