"""What scanners say of our TLS, and the clients that ship with everything: sslscan, testssl.sh, openssl."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import Serve
from tests.kit import certificates
from tests.kit.certificates import Pair
from tests.kit.door import Door
from tests.peers.neighbour import find

Doors = Callable[[str], Door]

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return certificates.self_signed(tmp_path_factory.mktemp("tls"))


def run(*command: str, said: str = "", within: float = 300.0) -> str:
    found = [find(command[0], package={"testssl": "testssl.sh"}.get(command[0], "")), *command[1:]]
    return subprocess.run(found, input=said, capture_output=True, text=True, timeout=within, check=False).stdout


@pytest.mark.parametrize("handler", ["tls:Handler", "tls:wsgi"])
def test_sslscan_finds_two_versions_and_no_weak_cipher(
    handler: str, serve: Serve, doors: Doors, pair: Pair, tmp_path: Path
) -> None:
    door = doors("tcp")
    serve(handler, "--workers", "2", *pair.flags, binds=[door])
    file = tmp_path / "scan.xml"

    run("sslscan", f"--xml={file}", f"localhost:{door.address[1]}")

    (test,) = ET.parse(file).getroot()  # our own scan
    protocols = test.findall("protocol")
    enabled = {f"{each.get('type')} {each.get('version')}" for each in protocols if each.get("enabled") == "1"}
    assert enabled == {"tls 1.2", "tls 1.3"}
    ciphers = test.findall("cipher")
    assert {each.get("strength") for each in ciphers} <= {"strong", "acceptable"}
    assert all(
        int(each.get("bits", "0")) >= 128 and "ECDHE" in each.get("cipher", "") + "TLS_ECDHE" for each in ciphers
    )
    assert [each.get("supported") for each in test.findall("renegotiation")] == ["0"]
    assert {each.get("vulnerable") for each in test.findall("heartbleed")} == {"0"}


def test_testssl_finds_nothing_that_matters(serve: Serve, doors: Doors, pair: Pair, tmp_path: Path) -> None:
    door = doors("tcp")
    serve("tls:wsgi", "--workers", "2", *pair.flags, binds=[door])
    file = tmp_path / "testssl.json"

    run("testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", str(file), "-p", "-s", "-R", "-U",
        f"localhost:{door.address[1]}")  # fmt: skip

    found = {each["id"]: each for each in json.loads(file.read_text())}
    for version in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert found[version]["finding"] == "not offered"
    assert found["secure_client_renego"]["severity"] == "OK"
    # LOW is what it says of CBC in TLS 1.2, which Python offers last: `ciphers` may leave it out.
    assert {each["severity"] for each in found.values()} <= {"OK", "INFO", "LOW"}
    assert {name for name, each in found.items() if each["severity"] == "LOW"} <= {"cipherlist_AVERAGE", "LUCKY13"}


def test_testssl_has_nothing_at_all_to_say_once_ciphers_are_few(
    serve: Serve, doors: Doors, pair: Pair, tmp_path: Path
) -> None:
    door = doors("tcp")
    serve("tls:wsgi", "--ciphers", "ECDHE+AESGCM:ECDHE+CHACHA20", *pair.flags, binds=[door])
    file = tmp_path / "testssl.json"

    run("testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", str(file), "-s", "-L",
        f"localhost:{door.address[1]}")  # fmt: skip

    found = json.loads(file.read_text())
    assert {each["id"] for each in found} >= {"cipherlist_AVERAGE", "LUCKY13"}
    assert {each["severity"] for each in found} <= {"OK", "INFO"}


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_takes_its_session_to_other_workers(
    version: str, serve: Serve, doors: Doors, pair: Pair, tmp_path: Path
) -> None:
    door = doors("tcp")
    server = serve("tls:coroutine", "--workers", "3", *pair.flags, binds=[door])
    session = tmp_path / "session"
    command = ["openssl", "s_client", version, "-CAfile", str(pair.certificate), "-servername", "localhost"]
    command += ["-verify_return_error", "-ign_eof", "-connect", f"localhost:{door.address[1]}"]
    said = "who\nbig\n"  # the second one ends it

    first = run(*command, "-sess_out", str(session), said=said)
    assert "New, TLSv1" in first
    reused, served = 0, set()
    for number in range(12):
        if number == 6:
            before = server.workers()
            server.kill(before[0])
            server.wait_for_workers(3, besides=[before[0]])
        answer = run(*command, "-sess_in", str(session), said=said)
        reused += "Reused, TLSv1" in answer
        served.update(re.findall(r"^(\d+) TLSv1\.[23] ", answer, re.MULTILINE))

    assert reused == 12
    assert len(served) >= 2
