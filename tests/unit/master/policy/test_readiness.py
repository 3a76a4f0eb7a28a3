"""When a pool is ready: so many workers, of so many that are wanted."""

import pytest

from forkful.conf.plan import PoolPlan
from forkful.master.policy.readiness import enough, is_ready


def pool(ready_min: str, workers: int = 4, *, least: int = 0, most: int = 0) -> PoolPlan:
    return PoolPlan("main", "a:B", (), workers=workers, workers_min=least, workers_max=most, ready_min=ready_min)


@pytest.mark.parametrize(
    ("plan", "target", "wanted"),
    [
        (pool("1"), 4, 1),
        (pool("3"), 4, 3),
        (pool("3"), 2, 2),
        (pool("60%"), 4, 3),
        (pool("100%"), 4, 4),
        (pool("100%"), 5, 4),
        (pool("100%"), 3, 3),
        (pool("1%"), 4, 1),
        (pool("100%", 1, least=1, most=4), 4, 1),
        (pool("50%", 2, least=2, most=8), 8, 1),
    ],
    ids=str,
)
def test_share_is_of_what_the_settings_name_so_that_a_pool_that_grows_stays_ready(
    plan: PoolPlan, target: int, wanted: int
) -> None:
    assert enough(plan, target) == wanted
    assert is_ready(plan, target, wanted)
    assert not is_ready(plan, target, wanted - 1)


def test_pool_of_which_no_worker_is_wanted_is_not_ready() -> None:
    assert not is_ready(pool("1"), 0, 0)
    assert not is_ready(pool("1"), 0, 2)
