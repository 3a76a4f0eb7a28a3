"""What a container allows, beside what the settings would take."""

import pytest

from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.reader import settle

GIB = 2**30


def warnings(*flags: str, quota: float | None = None, memory: int | None = None) -> list[str]:
    machine = Machine(
        uid=0,
        cwd="/",
        cpus=lambda: Cpus(64, "auto: 64"),
        stop_limit=lambda _: None,
        cpu_quota=lambda: quota,
        memory_limit=lambda: memory,
    )
    settings = settle(["app:Handler", *flags], {}, machine)
    assert not settings.mistakes
    return settings.warnings


@pytest.mark.parametrize(
    ("flags", "quota", "memory"),
    [
        (["-w", "129"], None, None),
        (["-w", "5"], 0.5, None),
        (["-w", "16"], 2.0, None),
        (["-w", "auto"], 2.0, None),
        (["-w", "4", "--max-rss", "1G"], None, None),
        (["-w", "4", "--max-rss", "1G"], None, 4 * GIB),
        (["-w", "400"], None, GIB),
    ],
)
def test_nothing_is_said_of_what_fits_or_has_no_limit(
    flags: list[str], quota: float | None, memory: int | None
) -> None:
    assert warnings(*flags, quota=quota, memory=memory) == []


@pytest.mark.parametrize(("flags", "quota"), [(["-w", "129"], 2.0), (["-w", "2-33"], 4.0), (["-w", "9"], 0.25)])
def test_workers_for_the_cpus_of_another_machine_are_told_of(flags: list[str], quota: float) -> None:
    (told,) = warnings(*flags, quota=quota)
    assert told.startswith("--workers: ")
    assert f"{quota:g} CPUs" in told


@pytest.mark.parametrize("flags", [["-w", "4", "--max-rss", "1G"], ["-w", "1-4", "--max-rss", "1G"]])
def test_memory_that_the_kernel_will_not_give_is_told_of(flags: list[str]) -> None:
    (told,) = warnings(*flags, memory=3 * GIB)
    assert "4,096 MiB, and the control group allows 3,072" in told
