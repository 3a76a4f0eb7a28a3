"""Real servers from PyPI, unmodified, each met by its own client through a reload, a killed worker and a stop.

`tests/apps/programs.py` makes them as their documentation does; `program_clients` are the clients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.traffic import Traffic
from tests.peers import program_clients as clients

# impacket's client leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CLIENTS = 2


@dataclass(frozen=True)
class Program:
    """What is served, by which flags, and who asks it."""

    handler: str
    ask: Callable[[int], None]
    flags: tuple[str, ...] = ()
    door: str = "tcp"


THREADS = ("--threads", "4")
PROGRAMS = {
    "Redis: fakeredis": Program("redis", clients.redis, THREADS),
    "DNS over UDP: dnslib": Program("dns", clients.dns, door="udp"),
    "DNS over TCP: dnslib": Program("dns_tcp", clients.dns_tcp, THREADS),
    "OSC: python-osc": Program("osc", clients.osc, THREADS, door="udp"),
    "JSON-RPC: jsonrpclib-pelix": Program("json_rpc", clients.json_rpc, THREADS),
    "WebDAV: WsgiDAV": Program("webdav", clients.webdav, THREADS),
    "HTTP: Werkzeug's server": Program("web", clients.web, THREADS),
    "SMB: impacket": Program("smb", clients.smb, THREADS),
    "DICOM: pynetdicom": Program("dicom", clients.dicom),
    "HL7: hl7 (owns_loop)": Program("hl7_mllp", clients.hl7),
    "Modbus: pymodbus (owns_loop)": Program("modbus", clients.modbus),
    "SMTP: aiosmtpd (owns_loop)": Program("mail", clients.mail),
    "WebSocket: websockets (owns_loop)": Program("websocket", clients.websocket),
    "FTP: pyftpdlib (owns_loop)": Program("ftp", clients.ftp),
    "RPyC: rpyc (owns_loop)": Program("rpc", clients.rpc),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_serves_its_own_client_through_a_reload_a_kill_and_a_stop(
    name: str, serve: Serve, doors: Callable[[str], Door], tmp_path: Path
) -> None:
    program, root = PROGRAMS[name], tmp_path / "root"
    root.mkdir()
    (root / clients.FILE).write_bytes(clients.CONTENT)
    door = doors(program.door)
    assert isinstance(door.address, tuple)
    port = door.address[1]
    server = serve(
        f"programs:{program.handler}", "--workers", "2", *program.flags, binds=[door], env={"ROOT": str(root)}
    )
    with Traffic(lambda: program.ask(port), clients=CLIENTS) as traffic:
        traffic.more(6)
        server.hup(within=60)
        traffic.more(6)
        assert traffic.lost == [], "a reload loses nothing"

        before = server.workers()
        server.kill(before[0], SIGKILL)
        server.wait_for_workers(2, besides=[before[0]])
        traffic.more(6)
    assert len(traffic.lost) <= CLIENTS, f"a kill loses what its worker had in hand: {traffic.lost}"
    program.ask(port)
    server.signal(SIGTERM)

    assert server.wait_exit() == 0
    assert "graceful_timeout" not in server.log
