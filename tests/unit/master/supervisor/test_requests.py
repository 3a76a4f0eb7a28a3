"""What a command may ask for."""

import pytest

from forkful.conf.plan import PoolPlan
from forkful.master.supervisor.requests import SCALE_AT_LEAST, SCALE_TIMES, _most


@pytest.mark.parametrize(
    ("workers", "most_of_settings", "limit"),
    [
        (1, 0, SCALE_AT_LEAST),
        (6, 0, SCALE_AT_LEAST),
        (7, 0, 7 * SCALE_TIMES),
        (40, 0, 40 * SCALE_TIMES),
        (2, 8, SCALE_AT_LEAST),
        (2, 500, 500),
    ],
)
def test_scale_goes_to_ten_times_what_the_settings_say_and_to_64_at_least(
    workers: int, most_of_settings: int, limit: int
) -> None:
    assert _most(PoolPlan("a", "x:y", (), workers=workers, workers_max=most_of_settings)) == limit
