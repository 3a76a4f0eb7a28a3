"""The admin child's pages and the commands that go through it, as an operator and Prometheus meet them."""

import json
import stat
from collections.abc import Callable
from signal import SIGTERM

from tests.conftest import Serve
from tests.kit.door import Door, door_of
from tests.kit.load import Load
from tests.kit.server import Server

Doors = Callable[[str], Door]


def test_healthy_service_is_live_and_ready(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--workers", "2")

    assert server.admin.get("/livez")[0] == 200
    assert server.admin.get("/readyz")[0] == 200
    assert server.admin.get("/nothing")[0] == 404


def test_readyz_is_503_from_the_first_moment_of_a_stop_while_requests_are_still_taken(
    serve: Serve, doors: Doors
) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--workers", "2", "--drain-delay", "1", binds=[door])
    server.signal(SIGTERM)
    server.wait_for(lambda record: "STOPPING" in record, what="STOPPING=1")

    code, reason = server.admin.get("/readyz")
    assert code == 503
    assert "stop" in reason.lower()
    assert server.admin.get("/livez")[0] == 200
    assert door.ask(b"still taken") == b"still taken"
    assert server.wait_exit() == 0


def test_readyz_is_200_when_a_pool_has_grown(serve: Serve, doors: Doors) -> None:
    server = serve("stages:Staged", "--workers", "2", binds=[doors("tcp")])
    server.run("scale", "main", "3")
    server.wait_for_workers(3)
    assert server.admin.get("/readyz")[0] == 200
    server.now_holds_more()


EXPECTED = (
    "forkful_build_info",
    "forkful_generation",
    "forkful_config_last_reload_successful",
    "forkful_config_last_reload_success_timestamp_seconds",
    "forkful_reloads_total",
    "forkful_workers",
    "forkful_workers_target",
    "forkful_worker_starts_total",
    "forkful_worker_resident_memory_bytes",
    "forkful_worker_cpu_seconds_total",
    "forkful_connections_accepted_total",
    "forkful_connections_active",
    "forkful_requests_total",
    "forkful_request_duration_seconds_bucket",
    "forkful_request_duration_seconds_count",
    "forkful_busy_seconds_total",
    "forkful_lanes",
    "forkful_oldest_request_seconds",
    "forkful_received_bytes_total",
    "forkful_sent_bytes_total",
    "forkful_listen_queue_length",
    "forkful_listen_queue_limit",
    "process_resident_memory_bytes",
    "process_open_fds",
)


def test_metrics_of_the_contract_are_there_after_one_request(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", binds=[door])
    door.ask(b"count me")

    assert set(EXPECTED) - {name for name, _ in server.metrics_at_rest()} == set()


def test_bytes_and_durations_of_streams_are_counted(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", binds=[door])
    for _ in range(10):
        door.ask(bytes(100))
    metrics = server.metrics_at_rest()

    assert metrics.sum("forkful_received_bytes_total", pool="main") == 1000
    assert metrics.sum("forkful_sent_bytes_total", pool="main") == 1000
    assert metrics.sum("forkful_request_duration_seconds_count", pool="main") == 10
    assert 0 < metrics.sum("forkful_request_duration_seconds_sum", pool="main") < 5


def test_datagrams_are_counted_per_listener(serve: Serve, doors: Doors) -> None:
    door = doors("udp")
    server = serve("classic:DatagramEcho", "--workers", "2", binds=[door])
    for _ in range(10):
        door.ask(b"x")

    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_datagrams_received_total", pool="main") == 10
    assert metrics.sum("forkful_datagrams_dropped_total") == 0
    assert metrics.sum("forkful_requests_total", pool="main", outcome="ok") == 10


def test_request_in_progress_shows_as_active_and_as_the_oldest(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("stages:Staged", "--threads", "2", binds=[door])
    with door.connect() as client:
        client.sendall(b"wait")
        server.events.expect("started")
        metrics = server.metrics()
        assert metrics.sum("forkful_connections_active", pool="main") == 1
        assert metrics.sum("forkful_oldest_request_seconds", pool="main") > 0
        assert metrics.sum("forkful_lanes", pool="main") == 2
        server.events.let_through()
        client.recv(10)
        server.wait_until(
            lambda: server.metrics().sum("forkful_connections_active", pool="main") == 0, what="nothing active"
        )


def test_metrics_of_the_handlers_are_exact_over_recycled_workers(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("counted:Counted", "--max-requests", "10", "--max-requests-jitter", "0", binds=[door])
    last = server.metrics().counters()
    for step in range(1, 9):
        worker = server.workers()[0]
        for _ in range(10):
            assert door.ask(b"twelve bytes") == b"twelve bytes"
        server.wait_for_workers(1, besides=[worker])
        now = server.metrics_at_rest()
        assert now.sum("app_echoes_total", length="12") == 10 * step
        assert now.sum("app_echo_size_bytes_sum") == 120 * step
        assert now.sum("app_echo_size_bytes_bucket", le="10.0") == 0
        assert now.sum("forkful_worker_exits_total", reason="max_requests") == step
        counters = now.counters()
        assert not {key for key, value in last.items() if counters.get(key, -1) < value}, "no counter ever falls"
        last = counters

    metrics = server.metrics()
    assert metrics.sum("app_echoes_open") == 0
    assert metrics.sum("forkful_requests_total", pool="main", outcome="ok") == 80
    files = [path.name for path in server.runtime.rglob("*.db")]
    assert len(files) <= 9, f"files of dead workers are folded together: {files}"


def test_worker_that_retires_has_a_successor_first_and_loses_nothing(serve: Serve, doors: Doors) -> None:
    door = doors("tcp")
    server = serve("classic:EchoHandler", "--workers", "1", "--max-requests", "20", binds=[door])
    with Load(door) as load:
        for _ in range(4):
            worker = server.workers()[0]
            server.wait_until(lambda: set(server.workers().values()) - {worker}, what="a successor")  # noqa: B023

    metrics = server.metrics_at_rest()
    assert metrics.sum("forkful_worker_exits_total", pool="main", reason="max_requests") >= 3
    assert metrics.sum("forkful_requests_total", pool="main", outcome="ok") == load.ok


# -- commands ----------------------------------------------------------------------------------------------------------


def commanded(server: Server, *arguments: str) -> str:
    result = server.run(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_status_is_a_table_for_people_and_json_for_programs(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--workers", "2")
    table = commanded(server, "status")
    page = json.loads(commanded(server, "status", "--json"))

    assert "main" in table
    assert str(server.workers()[0]) in table
    assert page["pid"] == server.pid
    assert len(page["pools"][0]["workers"]) == 2


def test_scale_sets_the_number_and_a_reload_keeps_it(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--workers", "2")
    commanded(server, "scale", "main", "4")
    four = server.wait_for_workers(4)
    server.hup()
    server.wait_for_workers(4, besides=list(four.values()))
    commanded(server, "scale", "main", "1")
    server.wait_for_workers(1)


def test_scale_goes_so_far_and_no_further(serve: Serve) -> None:
    server = serve("classic:EchoHandler")

    result = server.run("scale", "main", "65")

    assert result.returncode != 0
    assert "65 workers are too many for pool main: more than 64 only the settings may say" in result.stderr
    server.wait_for_workers(1)


def test_scale_of_an_unknown_pool_is_refused_in_words(serve: Serve) -> None:
    server = serve("classic:EchoHandler")
    result = server.run("scale", "nowhere", "4")

    assert result.returncode != 0
    assert "nowhere" in result.stderr + result.stdout


def test_stop_by_command_stops(serve: Serve) -> None:
    server = serve("classic:EchoHandler")
    commanded(server, "stop")

    assert server.wait_exit() == 0


def test_commands_are_taken_over_the_unix_socket_of_its_owner_and_never_over_tcp(serve: Serve) -> None:
    server = serve("classic:EchoHandler", "--admin-bind", "tcp://127.0.0.1:0")
    (tcp,) = [address for address in server.status()["admin"] if address.startswith("tcp")]

    assert stat.S_IMODE(server.admin.path.stat().st_mode) == 0o600
    request = b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    answer = door_of(tcp).ask(request)
    assert answer.split()[1] in (b"403", b"404", b"405"), answer
    assert server.status()["generation"] == 1


def test_command_without_a_server_says_so(serve: Serve) -> None:
    server = serve("classic:EchoHandler")
    server.signal(SIGTERM)
    server.wait_exit()
    result = server.run("status")

    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert str(server.admin.path) in result.stderr + result.stdout
