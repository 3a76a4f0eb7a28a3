"""The handlers' own metrics: nothing is lost, nothing counts twice, and nothing grows, whoever dies and when."""

import os
from pathlib import Path

import pytest

from forkful.master.admin.handler_metrics import HandlerMetrics
from tests.kit.handler_metrics import NOBODY, count, files, write


def figures(metrics: HandlerMetrics) -> dict[str, float]:
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sample.labels.items()): sample.value
        for metric in metrics.collect()
        for sample in metric.samples
    }


def test_counters_of_the_dead_and_of_the_living_add_up(tmp_path: Path) -> None:
    metrics = HandlerMetrics(tmp_path)
    count(tmp_path, os.getpid(), 1)
    count(tmp_path, NOBODY, 10)
    count(tmp_path, NOBODY + 1, 100)
    before = figures(metrics)

    assert metrics.fold() == 2
    assert figures(metrics) == before == {"app_echoes_total": 111}
    assert files(tmp_path) == [f"counter_{os.getpid()}.db"]


def test_thousand_recycled_workers_leave_the_files_and_the_sums_where_they_were(tmp_path: Path) -> None:
    metrics = HandlerMetrics(tmp_path)
    for n in range(1000):
        count(tmp_path, NOBODY + n, 1)
        if n % 50 == 49:
            metrics.fold()

    assert figures(metrics) == {"app_echoes_total": 1000}
    assert not files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["departed-20"]
    assert len(list(tmp_path.rglob("*.db"))) == 1


def test_histogram_and_summary_are_folded_bucket_by_bucket(tmp_path: Path) -> None:
    metrics = HandlerMetrics(tmp_path)
    for pid in (NOBODY, NOBODY + 1):
        for le, value in (("1.0", 3.0), ("+Inf", 2.0)):
            write(tmp_path / f"histogram_{pid}.db", "app_size", "app_size_bucket", value, le=le)
        write(tmp_path / f"histogram_{pid}.db", "app_size", "app_size_sum", 50.0)
        write(tmp_path / f"summary_{pid}.db", "app_wait", "app_wait_count", 4.0)
        metrics.fold()

    assert figures(metrics) == {
        "app_size_bucket le=1.0": 6,
        "app_size_bucket le=+Inf": 10,
        "app_size_count": 10,
        "app_size_sum": 100,
        "app_wait_count": 8,
    }


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        ("sum", {"app_open": 12.0}),
        ("min", {"app_open": 3.0}),
        ("max", {"app_open": 9.0}),
        ("mostrecent", {"app_open": 3.0}),
        ("all", {}),
        ("liveall", {}),
        ("livesum", {}),
        ("livemin", {}),
        ("livemax", {}),
        ("livemostrecent", {}),
    ],
)
def test_gauge_of_the_dead_keeps_the_meaning_of_its_mode(tmp_path: Path, mode: str, left: dict[str, float]) -> None:
    metrics = HandlerMetrics(tmp_path)
    write(tmp_path / f"gauge_{mode}_{NOBODY}.db", "app_open", "app_open", 9.0, timestamp=100.0)
    metrics.fold()
    write(tmp_path / f"gauge_{mode}_{NOBODY + 1}.db", "app_open", "app_open", 3.0, timestamp=200.0)
    metrics.fold()

    assert figures(metrics) == left
    assert not files(tmp_path)


def test_crash_before_the_fold_is_installed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count(tmp_path, NOBODY, 10)
    HandlerMetrics(tmp_path).fold()
    count(tmp_path, NOBODY + 1, 1)

    class KilledError(BaseException):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    killed = HandlerMetrics(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", kill)
        with pytest.raises(KilledError):
            killed.fold()
    after = HandlerMetrics(tmp_path)

    assert figures(after) == {"app_echoes_total": 11}
    assert after.fold() == 1
    assert figures(after) == {"app_echoes_total": 11}
    assert [path.name for path in tmp_path.iterdir()] == ["departed-2"]


def test_crash_after_the_fold_is_installed_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(tmp_path, NOBODY, 10)
    HandlerMetrics(tmp_path).fold()
    count(tmp_path, NOBODY + 1, 1)
    count(tmp_path, os.getpid(), 100)

    class KilledError(BaseException):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    killed = HandlerMetrics(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", kill)
        with pytest.raises(KilledError):
            killed.fold()
    assert {path.name for path in tmp_path.glob("departed-*")} == {"departed-1", "departed-2"}
    after = HandlerMetrics(tmp_path)

    assert figures(after) == {"app_echoes_total": 111}
    assert files(tmp_path) == [f"counter_{os.getpid()}.db"]
    assert [path.name for path in tmp_path.glob("departed-*")] == ["departed-2"]


def test_new_owner_of_a_folded_process_id_is_not_taken_for_it(tmp_path: Path) -> None:
    count(tmp_path, os.getpid(), 1)
    departed = tmp_path / "departed-1"
    departed.mkdir()
    (departed / "folded").write_text(f"counter_{os.getpid()}.db 1\n")

    assert figures(HandlerMetrics(tmp_path)) == {"app_echoes_total": 1}


@pytest.mark.parametrize(
    "content",
    [b"", b"\x01", b"\x7f" * 100, b"\x40\0\0\0\0\0\0\0\x05\0\0\0nope!   " + bytes(99)],
    ids=["empty", "cut", "beyond", "no JSON"],
)
def test_file_that_is_no_metric_file_is_left_out_and_goes_with_its_process(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = HandlerMetrics(tmp_path)
    count(tmp_path, os.getpid(), 1)
    (tmp_path / f"counter_{NOBODY}.db").write_bytes(content)
    (tmp_path / "notes.txt").write_text("the handler's own")

    for _ in range(3):
        assert figures(metrics) == {"app_echoes_total": 1}
    assert len(caplog.records) == 1, "said once"
    assert metrics.fold() == 1
    assert figures(metrics) == {"app_echoes_total": 1}
    assert (tmp_path / "notes.txt").exists()


def test_a_gauge_by_process_has_no_row_for_a_mold_and_its_counters_count(tmp_path: Path) -> None:
    for pid in (os.getpid(), os.getppid()):
        write(tmp_path / f"gauge_all_{pid}.db", "app_depth", "app_depth", 1, pid=str(pid))
        count(tmp_path, pid, 2)
    merged = {metric.name: metric.samples for metric in HandlerMetrics(tmp_path).collect(molds=[os.getppid()])}

    assert [sample.labels["pid"] for sample in merged["app_depth"]] == [str(os.getpid())]
    assert [sample.value for sample in merged["app_echoes"]] == [4]
