"""The effects of a pool's options, apart from HTTP's."""

import contextlib
import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

from tests.kit import processes as kernel
from tests.kit import proxy_headers
from tests.kit.door import Door, door_of, queue_limit
from tests.kit.wait import gone, readable
from tests.process.effects import Alone, AnyEffect, Check, Effect, Elsewhere, Launch, Service

MB = 1 << 20
LONG, SHORT = 4.0, 0.4
TCP = "tcp://127.0.0.1:0"
FIRST, CROWD, HELD, WHO = (f"optioned:{name}" for name in ("First", "Crowd", "Held", "Who"))
POOLS: dict[str, dict[str, Any]] = {  # Any: what TOML takes
    "handler": {"bind": [TCP]},
    "bind": {"handler": FIRST},
    "workers": {"handler": FIRST, "bind": [TCP]},
    "threads": {"handler": CROWD, "bind": [TCP]},
    "connections": {"handler": "optioned:crowd", "bind": [TCP]},
    "timeout": {"handler": HELD, "bind": [TCP]},
    "action": {"handler": HELD, "bind": [TCP], "timeout": SHORT},
    "requests": {"handler": WHO, "bind": [TCP], "max_requests_jitter": 0},
    "jitter": {"handler": WHO, "bind": [TCP], "max_requests": 2},
    "rss": {"handler": WHO, "bind": [TCP]},
    "preload": {"handler": WHO, "bind": [TCP]},
    "allow": {"handler": FIRST, "bind": [TCP]},
    "deny": {"handler": FIRST, "bind": [TCP]},
    "proxied": {"handler": FIRST, "bind": [TCP]},
    "proxies": {"handler": FIRST, "bind": [TCP], "proxy_protocol": "v1"},
    "idle": {"handler": FIRST, "bind": [TCP]},
    "read": {"handler": FIRST, "bind": [TCP]},
    "peers": {"handler": CROWD, "bind": [TCP], "threads": 4},
    "rate": {"handler": FIRST, "bind": [TCP]},
    "queue": {"handler": FIRST, "bind": [TCP, "unix://FOLDER/queue.sock"]},
    "flows": {"handler": "flows:Lane", "bind": ["udp://127.0.0.1:0"], "workers": 3},
    "slow": {"handler": "optioned:slow()", "bind": [TCP]},
    "age": {"handler": FIRST, "bind": [TCP]},
}


def answers(service: Service, handler: str) -> None:
    assert service.door("handler").ask(b"x") == {"First": b"first", "Second": b"second"}[handler.partition(":")[2]]


def listens(service: Service, binds: list[str]) -> None:
    """Where it says, and nowhere else."""
    for name in ("one", "two"):
        door = Door(socket.AF_UNIX, socket.SOCK_STREAM, f"{service.folder}/{name}.sock")
        if f"unix://{door.address}" in binds:
            assert door.ask(b"x") == b"first"
        else:
            assert not Path(str(door.address)).exists()


def processes(service: Service, count: int) -> None:
    def titled() -> bool:
        titles = kernel.session(service.server.pid).values()
        return sum("worker workers[" in title for title in titles) == count

    service.server.wait_until(titled, what=f"{count} processes of the pool")


def inside_at_a_time(pool: str) -> Any:  # Any: a check, whatever its value is
    """So many clients are served at a time, and the next one when somebody leaves."""

    def check(service: Service, most: int) -> None:
        door = service.door(pool)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(door.connect()) for _ in range(most + 1)]
            seen = [int(client.recv(10)) for client in clients[:most]]
            assert sorted(seen) == list(range(1, most + 1))
            clients[0].close()
            assert int(clients[most].recv(10)) == most, "it was not let in before"

    return check


def held(door: Door) -> socket.socket:
    """A client whose request is in progress."""
    client = door.connect()
    client.sendall(b"x")
    assert client.recv(10) == b"begun"
    return client


def ends_after(service: Service, seconds: float) -> None:
    with held(service.door("timeout")) as client:
        began = time.monotonic()
        assert client.recv(10) == b""
        took = time.monotonic() - began
    assert seconds * 0.9 <= took
    assert seconds > 1 or took < LONG


def silent_for(pool: str) -> Check:
    """A client that says nothing has its place for so long."""

    def check(service: Service, seconds: float) -> None:
        with service.door(pool).connect() as client:
            began = time.monotonic()
            assert client.recv(10) == b""
            took = time.monotonic() - began
        assert seconds * 0.8 <= took
        assert seconds > 1 or took < LONG

    return check


def acts(service: Service, action: str) -> None:
    """Reported, the request goes on; killed, it does not."""
    with held(service.door("action")) as client:
        if action == "report":
            assert not readable(client.fileno(), within=5 * SHORT)
            client.sendall(b"x")
        assert client.recv(10) == (b"done" if action == "report" else b"")


def ask(service: Service, pool: str, size: int = 0) -> tuple[int, int]:
    """Who served, and who imported it."""
    pid, importer = service.door(pool).ask(b"%d" % size).split()
    return int(pid), int(importer)


def leaves_after(service: Service, requests: int) -> None:
    worker = service.worker("requests")
    for _ in range(requests - 1):
        assert ask(service, "requests")[0] == worker
    assert not readable(within=0.5), "time to be replaced in"
    assert ask(service, "requests")[0] == worker
    gone(worker)


def leaves_later(service: Service, jitter: int) -> None:
    """Without jitter after two requests; with such a jitter hardly ever after three."""
    worker = service.worker("jitter")
    for _ in range(2):
        ask(service, "jitter")
    if not jitter:
        gone(worker)
        return
    assert not readable(within=0.5), "time to be replaced in"
    assert ask(service, "jitter")[0] == worker


def leaves_when_big(service: Service, limit: int) -> None:
    worker = service.worker("rss")
    if limit > 200 * MB:
        assert ask(service, "rss", 120 * MB)[0] == worker
        assert not readable(within=3.0), "several looks at its memory"
        assert ask(service, "rss", limit)[0] == worker
    else:
        ask(service, "rss", 120 * MB)
    gone(worker)


def imported_by(service: Service, preload: bool) -> None:  # the option's value
    pid, importer = ask(service, "preload")
    assert (importer != pid) is preload


def loop_of(service: Service, name: str) -> None:
    maps = Path(f"/proc/{service.worker('connections')}/maps").read_text()
    assert ("uvloop/loop" in maps) is (name == "uvloop")


def queue_is(service: Service, backlog: int) -> None:
    """As the kernel shows it, of TCP and of Unix sockets."""
    assert [queue_limit(door_of(url)) for url in service.server.listeners("queue")] == [backlog] * 2


def refuses(pool: str, wanted: str) -> Check:
    """A client of this machine is let in, or it is not."""

    def check(service: Service, networks: list[str]) -> None:
        with service.door(pool).connect() as client, contextlib.suppress(ConnectionError):
            client.sendall(b"x")
            assert client.recv(10) == (b"first" if networks == [wanted] else b"")
            return
        assert networks != [wanted]

    return check


def _is_served(service: Service, pool: str, header: bytes) -> bool:
    with service.door(pool).connect() as client:
        try:
            client.sendall(header + b"x")
            return client.recv(10) == b"first"
        except ConnectionError:
            return False


def reads_headers(service: Service, version: str) -> None:
    v1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
    v2 = proxy_headers.v2(proxy_headers.TCP4, proxy_headers.tcp4(("192.0.2.1", 1), ("192.0.2.2", 2)))
    served = [_is_served(service, "proxied", header) for header in (v1, v2, b"")]
    assert served == [version == "v1", version == "v2", False]


def believes(service: Service, who: str) -> None:
    assert _is_served(service, "proxies", b"PROXY UNKNOWN\r\n") is (who == "127.0.0.1")


def permits(service: Service, mode: str) -> None:
    assert stat.S_IMODE((service.folder / "queue.sock").lstat().st_mode) == int(mode, 8)


def belongs(service: Service, owner: str) -> None:
    found = (service.folder / "queue.sock").lstat()
    assert f"{found.st_uid}:{found.st_gid}" == owner


def has_at_a_time(service: Service, most: int) -> None:
    """So many connections of one address, and the next one is closed, although there are lanes left."""
    door = service.door("peers")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(door.connect_from("127.0.0.2")) for _ in range(most)]
        assert all(client.recv(10) for client in clients)
        assert door.is_refused("127.0.0.2")
        assert stack.enter_context(door.connect_from("127.0.0.3")).recv(10)


def comes_at_once(service: Service, rate: int) -> None:
    """Nearly so many of one address, or all that came. From one that has not come before."""
    address = f"127.0.1.{rate}"
    refused = sum(service.door("rate").is_refused(address, b"x") for _ in range(20))
    assert (refused == 0) is (rate > 20)
    assert not service.door("rate").is_refused("127.0.1.3", b"x"), "another one"


def is_shared(service: Service, shared: bool) -> None:  # the option's value
    (address,) = [door_of(url).address for url in service.server.listeners("queue") if url.startswith("tcp")]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if shared:
            other.bind(address)
        else:
            try:
                other.bind(address)
            except OSError:
                return
            raise AssertionError("the port is shared")


def keeps_peers(service: Service, affinity: str) -> None:
    """Each has one worker, and not all of them the same."""
    who = []
    for _ in range(12):
        with service.door("flows").connect() as peer:
            served = {peer.send(b"x") and peer.recv(100).split()[2] for _ in range(4)}
        assert affinity != "peer" or len(served) == 1
        who.append(served)
    assert len(set.union(*who)) > 1, who


def boots_within(service: Service, seconds: float) -> None:
    closed = service.folder / "closed"
    worker = service.worker("slow")
    closed.touch()
    try:
        service.server.kill(worker)

        def stuck() -> int | None:
            found = kernel.session(service.server.pid).items()
            return next((pid for pid, title in found if "worker slow[" in title and pid != worker), None)

        pid = service.server.wait_until(stuck, what="a worker that does not boot")
        began = time.monotonic()
        gone(pid)
        took = time.monotonic() - began
    finally:
        closed.unlink()
    service.server.wait_for_workers(1, pool="slow")
    assert seconds * 0.8 <= took  # it was there a moment before it was seen
    assert seconds > LONG or took < 2 * LONG * 0.8


def lives(service: Service, seconds: float) -> None:
    """Give or take a tenth, as it is documented."""
    worker = service.worker("age")
    gone(worker)
    fresh = service.worker("age")
    began = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    ticks = int(Path(f"/proc/{fresh}/stat").read_text().rpartition(")")[2].split()[19])
    gone(fresh)
    age = time.time() - began - ticks / os.sysconf("SC_CLK_TCK")
    assert seconds * 0.85 <= age
    assert seconds > 1 or age < 6.0 * 0.85


def surge(launch: Launch, reloaded: bool) -> None:  # see `Alone`
    """So many boot at a time in a reload, beside those who serve."""
    section = {"handler": "optioned:gated()", "bind": [TCP], "workers": 4, "surge": 1}
    service = launch({}, {"main": section})
    most = 3 if reloaded else 1
    gate = service.folder / "gate"
    os.mkfifo(gate)
    service.configure({}, {"main": section | {"surge": most}})
    service.server.signal(signal.SIGHUP)

    def booting() -> int:
        workers = service.server.pool("main")["workers"]
        canary = any(w["generation"] == 2 and w["phase"].lower() == "ready" for w in workers)
        return sum(w["phase"].lower() == "starting" for w in workers) if canary else 0

    service.server.wait_until(lambda: booting() == most, what=f"{most} that boot at a time")
    assert not readable(within=1.0), "time for others to begin"
    assert booting() == most
    writer = os.open(gate, os.O_WRONLY)
    gate.unlink()
    os.close(writer)
    service.server.wait_until(lambda: service.server.status()["generation"] == 2, what="the end of the reload")


def ready_min(launch: Launch, reloaded: bool) -> None:  # see `Alone`
    """With one of two workers gone it is ready, or not."""
    few, both = (1, "100%")
    section = {"handler": "optioned:gated()", "bind": [TCP], "workers": 2, "ready_min": few}
    service = launch({}, {"main": section})
    if reloaded:
        service.configure({}, {"main": section | {"ready_min": both}})
        assert service.server.reload().returncode == 0
    gate = service.folder / "gate"
    os.mkfifo(gate)
    for name in ("canary", f"canary{os.environ.get('ROUND', '')}"):
        (service.folder / name).touch()  # the next one waits, too
    service.server.kill(service.server.workers()[0])

    def one() -> bool:
        return len(service.server.workers()) == 1

    service.server.wait_until(one, what="one worker")
    assert service.server.admin.get("/readyz")[0] == (503 if reloaded else 200)
    writer = os.open(gate, os.O_WRONLY)
    gate.unlink()
    os.close(writer)
    service.server.wait_for_workers(2)
    assert service.server.admin.get("/readyz")[0] == 200


EFFECTS: dict[str, AnyEffect] = {
    "handler": Effect(FIRST, "optioned:Second", answers, "handler"),
    "bind": Effect(["unix://FOLDER/one.sock"], ["unix://FOLDER/two.sock"], listens, "bind"),
    "workers": Effect(1, 2, processes, "workers"),
    "threads": Effect(1, 2, inside_at_a_time("threads"), "threads"),
    "max_connections": Effect(1, 2, inside_at_a_time("connections"), "connections"),
    "event_loop": Effect("asyncio", "uvloop", loop_of, "connections"),
    "timeout": Effect(LONG, SHORT, ends_after, "timeout"),
    "timeout_action": Effect("report", "kill", acts, "action"),
    "max_requests": Effect(3, 6, leaves_after, "requests"),
    "max_requests_jitter": Effect(0, 100_000, leaves_later, "jitter"),
    "max_rss": Effect(100 * MB, 300 * MB, leaves_when_big, "rss"),
    "preload": Effect(False, True, imported_by, "preload"),
    "allow": Effect(["127.0.0.2"], ["127.0.0.1"], refuses("allow", "127.0.0.1"), "allow"),
    "deny": Effect(["127.0.0.1"], ["127.0.0.2"], refuses("deny", "127.0.0.2"), "deny"),
    "proxy_protocol": Effect("v1", "v2", reads_headers, "proxied"),
    "proxy_allow_from": Effect("127.0.0.2", "127.0.0.1", believes, "proxies"),
    "max_connections_per_ip": Effect(2, 1, has_at_a_time, "peers"),
    "max_rate_per_ip": Effect(2, 100, comes_at_once, "rate"),
    # Until there is a step that waits for its client, shown by the steps themselves.
    **{
        key: Elsewhere("process/test_tls.py", "test_a_reload_changes_what_an_address_says_in_tls")
        for key in (
            "keyfile_password_file",
            "certificates",
            "ca_certs",
            "cert_reqs",
            "ciphers",
            "tls_min_version",
            "alpn",
        )
    },
    **{
        key: Elsewhere("process/test_tls.py", "test_a_reload_takes_new_certificates_and_leaves_connections_alone")
        for key in ("certfile", "keyfile")
    },
    "handshake_timeout": Elsewhere(
        "process/test_secured.py",
        "test_a_client_that_is_silent_in_the_handshake_holds_its_lane_until_handshake_timeout",
    ),
    "idle_timeout": Effect(LONG, SHORT, silent_for("idle"), "idle"),
    "read_timeout": Effect(LONG, SHORT, silent_for("read"), "read"),
    "backlog": Effect(64, 128, queue_is, "queue"),
    "socket_mode": Effect("0640", "0606", permits, "queue"),
    "socket_owner": Effect("54321:54323", "54322:54324", belongs, "queue"),
    "reuse_port": Effect(True, False, is_shared, "queue"),
    "affinity": Effect("peer", "none", keeps_peers, "flows"),
    "boot_timeout": Effect(LONG, 2 * LONG, boots_within, "slow", service="slow"),
    "max_worker_age": Effect(6.0, 1.0, lives, "age", service="slow"),
    "surge": Alone(surge),
    "ready_min": Alone(ready_min),
}
