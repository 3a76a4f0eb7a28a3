"""Link-local addresses, whose zone is an interface of any name, in a network of the test's own, ip-netns(8)."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import Serve
from tests.kit.server import Server
from tests.kit.wait import PATIENCE

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes interfaces"),
    pytest.mark.skipif(not all(map(shutil.which, ("ip", "unshare", "nsenter"))), reason="ip or unshare is missing"),
]

INTERFACE = "br-lan"
NETWORK = f"""
set -e
ip link set lo up
ip link add {INTERFACE} type veth peer name other
ip link set {INTERFACE} up
ip link set other up
ip addr add fe80::1/64 dev {INTERFACE} nodad
exec "$@"
"""
WITHIN = ("unshare", "--net", "sh", "-c", NETWORK, "sh")
CLIENT = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
(found, *_) = socket.getaddrinfo(sys.argv[2], 7000, socket.AF_INET6, kind)
with socket.socket(found[0], kind) as client:
    client.settimeout(15)
    client.connect(found[4])
    client.send(b"hello")
    print(client.recv(100).decode(), client.getpeername()[3] == socket.if_nametoindex("br-lan"))
"""
HANDLERS = {"tcp": ("forkful.handlers.echo:EchoStream", "locals:stream"), "udp": ("locals:packets", "locals:Packets")}


def ask(server: Server, kind: str, host: str) -> str:
    """As a client on the same link."""
    command = ["nsenter", f"--net=/proc/{server.pid}/ns/net", sys.executable, "-c", CLIENT, kind, host]
    told = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


@pytest.mark.parametrize(("kind", "handler"), [(kind, handler) for kind, all_ in HANDLERS.items() for handler in all_])
def test_address_with_the_zone_of_an_interface_is_served_and_reloaded(kind: str, handler: str, serve: Serve) -> None:
    url = f"{kind}://[fe80::1%{INTERFACE}]:7000"
    server = serve(handler, "--bind", url, "--workers", "2", binds=[], wrapper=WITHIN)

    assert server.listeners() == [url]
    assert ask(server, kind, f"fe80::1%{INTERFACE}") == "hello True"
    assert server.reload().returncode == 0
    assert ask(server, kind, f"fe80::1%{INTERFACE}") == "hello True"
    assert server.listeners() == [url]


def test_datagram_on_every_address_is_answered_from_the_link_local_one_that_was_asked(serve: Serve) -> None:
    server = serve("locals:packets", "--bind", "udp://*:7000", binds=[], wrapper=WITHIN)

    assert ask(server, "udp", f"fe80::1%{INTERFACE}") == "hello True"
    assert ask(server, "udp", "::1") == "hello False"


@pytest.mark.parametrize("zone", ["no-such-if", "br"])
def test_zone_that_there_is_not_is_refused_with_its_name(zone: str, serve: Serve) -> None:
    server = serve("locals:packets", "--bind", f"udp://[fe80::1%{zone}]:7000", binds=[], wrapper=WITHIN, ready=False)

    assert server.wait_exit() == 1
    assert f"%{zone}" in server.log


def test_plain_address_with_a_zone_takes_the_kind_of_its_handler(serve: Serve) -> None:
    server = serve("locals:packets", "--bind", f"[fe80::1%{INTERFACE}]:7000", binds=[], wrapper=WITHIN)

    assert ask(server, "udp", f"fe80::1%{INTERFACE}") == "hello True"
