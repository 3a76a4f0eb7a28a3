"""Saturation as Prometheus works it out with our rule, beside loads of which it is known."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.conftest import Serve
from tests.kit.door import Door
from tests.kit.wait import until
from tests.peers.test_haproxy import admin_page
from tests.peers.test_prometheus import FOLDER, Prometheus, prometheus

__all__ = ["prometheus"]  # the fixture

Doors = Callable[[str], Door]
Started = Callable[[str], Prometheus]
LANES = 10
SECONDS = 8  # that the share is taken over
TOLERANCE = 0.15  # a beat of the loop is two seconds, and so one in four
ADMIN = ("--timeout", "0", "--admin-bind", "tcp://127.0.0.1:0")
RULE = next(
    text.split("expr: |", 1)[1].split("#", 1)[0].strip()
    for text in (FOLDER / "forkful.rules.yml").read_text().split("- record: ")
    if text.startswith("instance_pool:forkful_saturation")
).replace("[5m]", f"[{SECONDS}s]")


def share_of(here: Prometheus, query: str) -> float:
    """What a query returns; below all that there can be, while it returns nothing."""
    result = here.get("query", query=query)["result"]
    return float(result[0]["value"][1]) if result else -1.0


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 0.01), (3, 0.27, 0.33), (LANES, 0.97, 1.03)])
def test_lanes_that_are_held_are_the_share_that_prometheus_sees(
    count: int, low: float, high: float, serve: Serve, doors: Doors, request: pytest.FixtureRequest
) -> None:
    door = doors("tcp")
    server = serve("loads:Held", "--threads", str(LANES), *ADMIN, binds=[door])
    start: Started = request.getfixturevalue("prometheus")
    with ExitStack() as held:
        for _ in range(count):
            assert held.enter_context(door.connect()).recv(1) == b"!"

        here = start(admin_page(server))
        until(lambda: low <= share_of(here, RULE) <= high, what=f"a saturation of {count} in {LANES}", within=60)
        metrics = server.metrics()
    assert metrics.sum("forkful_lanes_busy") == count
    assert metrics.sum("forkful_loop_busy_seconds_total") == 0


@pytest.mark.parametrize(("percent", "least"), [(0, 0.0), (30, 0.2), (100, 0.7)], ids=["idle", "a third", "blocked"])
def test_an_event_loop_is_as_busy_as_it_has_work_however_many_it_serves(
    percent: int, least: float, serve: Serve, doors: Doors, request: pytest.FixtureRequest
) -> None:
    """The handler measures its own work, so that a machine with other things to do makes both figures larger."""
    door = doors("tcp")
    server = serve("loads:work", *ADMIN, binds=[door])
    start: Started = request.getfixturevalue("prometheus")
    with ExitStack() as held:
        for share in [0] * 20 + [percent]:
            client = held.enter_context(door.connect())
            client.sendall(b"%d\n" % share)
            assert client.recv(1) == b"!"
        here = start(admin_page(server))

        def agree() -> bool:
            busy, own = share_of(here, RULE), share_of(here, f"rate(app_busy_seconds_total[{SECONDS}s])")
            return min(busy, own) >= least and abs(busy - own) < TOLERANCE

        until(agree, what=f"a loop with work for {percent} %", within=60)
        assert server.metrics().sum("forkful_lanes_busy") == 0
