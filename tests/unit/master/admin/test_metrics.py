"""What Prometheus is told, from facts and a scoreboard that the test has written."""

import copy
import gzip
import os
import time
from collections.abc import Collection, Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from forkful.master.admin.metrics import Exposition
from forkful.master.admin.view import Viewer
from forkful.worker.ipc.scoreboard import (
    ACCEPTED,
    BUCKETS,
    BUSY,
    ERROR,
    RECEIVED,
    RESET,
    RESPONSES,
    SINCE,
    STARTED,
    Scoreboard,
)
from tests.kit.fake_master import Known, pool
from tests.kit.handler_metrics import NOBODY

FIRST = Scoreboard().allocate(1, pool=0, slot=0, generation=1)  # where a board's first worker has its rows


@pytest.fixture
def master() -> Known:
    return Known()


@pytest.fixture
def board() -> Scoreboard:
    board = Scoreboard()
    for slot in range(2):
        row = board.row(board.allocate(1, pool=0, slot=slot, generation=3))
        row[STARTED], row[ERROR], row[RESET] = 10, 1, 1
        row[BUCKETS], row[BUCKETS + 5], row[BUCKETS + 17] = 5, 3, 1
        row[BUSY], row[RECEIVED], row[ACCEPTED], row[ACCEPTED + 1] = 1_500_000_000, 640, 10, 4
    row[SINCE] = time.monotonic_ns() - 2_000_000_000
    return board


def scrape(exposition: Exposition) -> dict[str, float]:
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in parse_text(exposition.page().body.decode())
        for sample in family.samples
    }


def test_what_the_scoreboard_counts_is_told(master: Known, board: Scoreboard) -> None:
    page = scrape(Exposition(Viewer(master, board)))

    assert page["forkful_requests_total outcome=ok pool=main"] == 14
    assert page["forkful_requests_total outcome=error pool=main"] == 2
    assert page["forkful_requests_total outcome=lost pool=main"] == 0
    assert page["forkful_requests_in_flight pool=main"] == 2
    assert page["forkful_connections_active pool=main"] == 1
    assert page["forkful_request_duration_seconds_bucket le=0.0001 pool=main"] == 10
    assert page["forkful_request_duration_seconds_bucket le=0.005 pool=main"] == 16
    assert page["forkful_request_duration_seconds_bucket le=30.0 pool=main"] == 16
    assert page["forkful_request_duration_seconds_bucket le=+Inf pool=main"] == 18
    assert page["forkful_request_duration_seconds_count pool=main"] == 18
    assert page["forkful_request_duration_seconds_sum pool=main"] == 3
    assert page["forkful_lanes_busy pool=main"] == 1
    going_on = page["forkful_oldest_request_seconds pool=main"]
    assert page["forkful_busy_seconds_total pool=main"] == pytest.approx(3 + going_on, abs=1)
    assert page["forkful_received_bytes_total pool=main"] == 1280
    assert page["forkful_lanes pool=main"] == 2
    assert 2 <= page["forkful_oldest_request_seconds pool=main"] < 60


def test_http_answers_are_told_by_class_and_by_pools_that_give_some(master: Known, board: Scoreboard) -> None:
    exposition = Exposition(Viewer(master, board))
    assert not any("http_responses" in name for name in scrape(exposition))

    rows = board.seats(0)
    for row in rows:
        row[RESPONSES + 1], row[RESPONSES + 4] = 7, 2
    page = scrape(exposition)
    assert page["forkful_http_responses_total code=2xx pool=main"] == 14
    assert page["forkful_http_responses_total code=4xx pool=main"] == 0
    assert page["forkful_http_responses_total code=5xx pool=main"] == 4

    board.fold(FIRST, 1)
    assert scrape(exposition)["forkful_http_responses_total code=5xx pool=main"] == 4


def test_what_the_master_and_the_kernel_say_is_told(master: Known, board: Scoreboard) -> None:
    page = scrape(Exposition(Viewer(master, board)))

    assert page["forkful_connections_accepted_total listener=tcp://127.0.0.1:7000 pool=main"] == 20
    assert page["forkful_datagrams_received_total listener=udp://[::]:53 pool=main"] == 8
    assert page["forkful_datagrams_dropped_total listener=udp://[::]:53 pool=main"] == 7
    assert page["forkful_listen_queue_length listener=tcp://127.0.0.1:7000 pool=main"] == 3
    assert page["forkful_listen_queue_limit listener=tcp://127.0.0.1:7000 pool=main"] == 128
    assert not [name for name in page if name.startswith("forkful_listen_queue") and "udp" in name]
    assert page["forkful_workers pool=main state=ready"] == 2
    assert page["forkful_workers pool=main state=starting"] == 0
    assert page["forkful_workers_target pool=main"] == 2
    assert page["forkful_worker_starts_total pool=main"] == 3
    assert page["forkful_worker_exits_total pool=main reason=crash"] == 1
    assert page["forkful_worker_exits_total pool=main reason=oom"] == 0, "there before the first, for rate()"
    assert page["forkful_worker_resident_memory_bytes pool=main slot=1"] > 1_000_000
    assert page["forkful_generation"] == 3
    assert page["forkful_config_last_reload_successful"] == 1
    assert page["forkful_reloads_total result=failure"] == 1
    assert page["forkful_upgrades_total result=success"] == 0
    assert page["process_resident_memory_bytes"] > 0
    assert [name for name in page if "version=0.1.0" in name]


def test_two_workers_in_one_slot_while_one_succeeds_the_other_are_one_series(master: Known, board: Scoreboard) -> None:
    workers = master.answer["pools"][0]["workers"]
    alone = scrape(Exposition(Viewer(master, board)))["forkful_worker_resident_memory_bytes pool=main slot=1"]
    workers.append({**workers[1], "phase": "STARTING"})
    page = scrape(Exposition(Viewer(master, board)))

    assert page["forkful_worker_resident_memory_bytes pool=main slot=1"] == pytest.approx(2 * alone, rel=0.2)


def test_ok_does_not_fall_between_a_lanes_two_writes(master: Known, board: Scoreboard) -> None:
    exposition = Exposition(Viewer(master, board))
    before = scrape(exposition)
    row = board.seats(0)[0]
    row[ERROR] += 1  # it has written how the request went, and not yet that it ended
    during = scrape(exposition)
    row[BUCKETS] += 1
    after = scrape(exposition)

    ok, error = "forkful_requests_total outcome=ok pool=main", "forkful_requests_total outcome=error pool=main"
    assert before[ok] == during[ok] == after[ok] == 14
    assert after[error] == before[error] + 1


def test_cpu_of_a_worker_does_not_fall_when_it_dies(master: Known, board: Scoreboard) -> None:
    name = "forkful_worker_cpu_seconds_total pool=main"
    exposition = Exposition(Viewer(master, board))
    before = scrape(exposition)[name]
    assert before > 1.5, "this process's own, twice, and the departed"

    workers = master.answer["pools"][0]["workers"]
    master.answer["pid"] = NOBODY  # whose children the processes are not: both were reaped since it answered
    assert scrape(exposition)[name] >= before
    workers.clear()
    master.answer["pools"][0]["departed_cpu_seconds"] = before + 0.01
    assert scrape(exposition)[name] == pytest.approx(before + 0.01)


def test_cpu_of_a_worker_that_an_admin_child_never_saw_does_not_fall(
    master: Known, board: Scoreboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "forkful_worker_cpu_seconds_total pool=main"
    before = scrape(Exposition(Viewer(master, board)))[name]
    late = copy.deepcopy(master.answer)
    late["pid"] = NOBODY  # as above, and the next admin child has seen none of them
    master.answer["pools"][0]["workers"].clear()
    master.answer["pools"][0]["departed_cpu_seconds"] = before + 0.01
    answers = iter([late, master.answer])
    monkeypatch.setattr(master, "facts", lambda: next(answers))

    assert scrape(Exposition(Viewer(master, board)))[name] >= before


def test_stranger_with_a_dead_workers_process_id_is_not_taken_for_it(master: Known, board: Scoreboard) -> None:
    for worker in master.answer["pools"][0]["workers"]:
        worker["pid"] = os.getppid()  # a process, and no child of the master's
    page = scrape(Exposition(Viewer(master, board)))

    assert page["forkful_worker_cpu_seconds_total pool=main"] == 1.5
    assert "forkful_worker_resident_memory_bytes pool=main slot=0" not in page


def test_openmetrics_and_gzip_by_what_the_client_accepts(master: Known, board: Scoreboard) -> None:
    exposition = Exposition(Viewer(master, board))
    page = exposition.page("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "deflate, gzip;q=1.0")

    assert page.content_type.startswith("application/openmetrics-text")
    assert page.encoding == "gzip"
    text = gzip.decompress(page.body).decode()
    names = {family.name for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]  # has no types
    assert {"forkful_requests", "forkful_build", "forkful_request_duration_seconds"} <= names
    assert exposition.page("*/*").content_type.startswith("text/plain")


def handlers(_: Collection[int] = ()) -> Iterator[Metric]:
    for name in ("app_open", "forkful_generation", "process_open_fds", "forkful_mine"):
        metric = Metric(name, "Help.", "gauge")
        metric.add_sample(name, {}, 99)
        yield metric


def test_handlers_metrics_are_on_the_page_and_ours_win(master: Known, board: Scoreboard) -> None:
    page = scrape(Exposition(Viewer(master, board), handlers))

    assert page["app_open"] == page["forkful_mine"] == 99
    assert page["forkful_generation"] == 3
    assert page["process_open_fds"] != 99


def test_page_is_there_without_the_handlers_metrics_when_these_cannot_be_shown(
    master: Known, board: Scoreboard, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Collection[int]) -> Iterator[Metric]:
        yield from handlers()
        raise RuntimeError("torn")

    page = scrape(Exposition(Viewer(master, board), broken))

    assert page["forkful_generation"] == 3
    assert "app_open" not in page
    assert "torn" in caplog.text


def test_hostile_names_are_escaped(master: Known, board: Scoreboard) -> None:
    master.answer["pools"] = [{**pool('we"ird\\\n{x}'), "workers": []}]

    assert scrape(Exposition(Viewer(master, board)))['forkful_workers_target pool=we"ird\\\n{x}'] == 2
