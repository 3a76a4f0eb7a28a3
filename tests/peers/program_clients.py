"""The programs' own clients: each asks one question by a new connection, and asserts the answer.

Can go wrong: what a client raises, which its caller counts.
"""

# ruff: noqa: PLC0415  # a client is imported by the test that is about it

import contextlib
import ftplib
import http.client
import io
import smtplib
import urllib.request
from typing import Any

FILE, CONTENT = "greeting.txt", b"hello\n"  # what file servers serve
TIMEOUT = 30
_HOST = "127.0.0.1"


def redis(port: int) -> None:
    from redis import Redis

    with Redis(host=_HOST, port=port, single_connection_client=True, socket_timeout=TIMEOUT) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"


def dns(port: int, *, tcp: bool = False) -> None:
    from dnslib import DNSRecord

    reply = DNSRecord.parse(DNSRecord.question("forkful.test").send(_HOST, port, tcp=tcp, timeout=TIMEOUT))
    assert str(reply.a.rdata) == "192.0.2.1"


def dns_tcp(port: int) -> None:
    dns(port, tcp=True)


def osc(port: int) -> None:
    from pythonosc.osc_message import OscMessage
    from pythonosc.udp_client import SimpleUDPClient

    client = SimpleUDPClient(_HOST, port)
    with client._sock:  # noqa: SLF001  # the only way to what is answered
        client.send_message("/echo", [1, "two"])
        client._sock.settimeout(TIMEOUT)  # noqa: SLF001  # as above
        assert OscMessage(client._sock.recv(65_535)).params == [1, "two"]  # noqa: SLF001  # as above


def json_rpc(port: int) -> None:
    from jsonrpclib import ServerProxy

    proxy: Any = ServerProxy(f"http://{_HOST}:{port}")
    try:
        assert proxy.add(2, 3) == 5
    finally:
        proxy("close")()


def webdav(port: int) -> None:
    with contextlib.closing(http.client.HTTPConnection(_HOST, port, timeout=TIMEOUT)) as client:
        client.request("PROPFIND", "/", headers={"Depth": "1"})
        reply = client.getresponse()
        assert reply.status == 207
        assert FILE.encode() in reply.read()


def web(port: int) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{_HOST}:{port}/?say=hello", timeout=TIMEOUT) as reply:
        assert reply.read() == b"hello"


def dicom(port: int) -> None:
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import

    entity = AE("CLIENT")
    entity.add_requested_context(Verification)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = TIMEOUT
    association = entity.associate(_HOST, port)
    assert association.is_established
    try:
        assert association.send_c_echo().Status == 0
    finally:
        association.release()


def hl7(port: int) -> None:
    from hl7.client import MLLPClient

    message = "MSH|^~\\&|A|B|C|D|20260101000000||ADT^A01|1|P|2.5\rPID|1\r"
    with MLLPClient(_HOST, port) as client:
        assert b"MSA|AA" in client.send_message(message)


def modbus(port: int) -> None:
    from pymodbus.client import ModbusTcpClient

    with ModbusTcpClient(_HOST, port=port, timeout=TIMEOUT, retries=0) as client:
        assert client.read_holding_registers(0, count=2, device_id=1).registers == [17, 17]


def mail(port: int) -> None:
    with smtplib.SMTP(_HOST, port, timeout=TIMEOUT) as client:
        assert client.sendmail("a@example.org", ["b@example.org"], "Subject: hello\r\n\r\nhello\r\n") == {}


def websocket(port: int) -> None:
    from websockets.sync.client import connect

    with connect(f"ws://{_HOST}:{port}", proxy=None, open_timeout=TIMEOUT) as client:
        client.send("hello")
        assert client.recv(TIMEOUT) == "hello"


def ftp(port: int) -> None:
    with ftplib.FTP(timeout=TIMEOUT) as client:
        client.connect(_HOST, port)
        client.login()
        got = io.BytesIO()
        client.retrbinary(f"RETR {FILE}", got.write)
        assert got.getvalue() == CONTENT


def rpc(port: int) -> None:
    import rpyc

    client: Any = rpyc.connect(_HOST, port)
    with contextlib.closing(client):
        assert client.root.add(2, 3) == 5


def smb(port: int) -> None:
    from impacket.smbconnection import SMBConnection

    client = SMBConnection("*SMBSERVER", _HOST, sess_port=port, timeout=TIMEOUT)
    with contextlib.closing(client):
        client.login("", "")
        got = io.BytesIO()
        client.getFile("SHARE", FILE, got.write)
        assert got.getvalue() == CONTENT
