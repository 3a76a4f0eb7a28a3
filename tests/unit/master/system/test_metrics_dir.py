"""The metrics directory: nobody sweeps that of a master which executes its next image."""

import os
from pathlib import Path

import pytest

from forkful.master.system import metrics_dir


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv(metrics_dir.VARIABLE, raising=False)


def another_starts_and_stops() -> None:
    told = os.environ.pop(metrics_dir.VARIABLE, None)
    with metrics_dir.directory("") as (path, _):
        assert Path(path).is_dir()
    if told is not None:
        os.environ[metrics_dir.VARIABLE] = told


def test_start_or_stop_of_another_leaves_it_to_the_next_image() -> None:
    life = metrics_dir.directory("")
    path, outer = life.__enter__()  # it executes the next image: nothing is left in order
    assert outer is not None
    Path(path, "counter_1.db").touch()
    handed = os.dup(outer.fileno())
    outer.close()
    another_starts_and_stops()

    with metrics_dir.directory(path, handed) as (again, other):
        another_starts_and_stops()
        assert again == path
        assert other is not None
        assert Path(path, "counter_1.db").exists()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(handed)
    assert not Path(path).parent.exists()


def test_one_that_is_gone_is_made_again() -> None:
    life = metrics_dir.directory("")
    path, outer = life.__enter__()
    assert outer is not None
    handed = os.dup(outer.fileno())
    outer.vanish()
    outer.close()

    with metrics_dir.directory(path, handed) as (again, _):
        another_starts_and_stops()
        assert again == path
        assert Path(path).is_dir()
