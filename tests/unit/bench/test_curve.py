"""Curves: how steep, whether they bend upward, and what a leak looks like."""

from collections.abc import Iterator, Sequence

import pytest

from tests.bench.comparison import Rounds
from tests.bench.curve import LEVEL, PROPORTIONAL, TOLERANCE, bends, beyond, control, figure, steepness
from tests.bench.figure import Ratio, Verdict
from tests.bench.growth import GROWTHS, Cost, Growth
from tests.bench.server import ServerError

OCTAVES = [1, 2, 4, 8, 16, 32, 64]


def curve(*ys: float) -> list[tuple[float, float]]:
    return list(zip(OCTAVES, ys, strict=False))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (curve(40, 40, 40, 40, 40, 40, 40), 0.0),
        (curve(1, 2, 4, 8, 16, 32, 64), 1.0),
        (curve(1, 4, 16, 64, 256, 1024, 4096), 2.0),
        (curve(40), 0.0),
        ([], 0.0),
        ([(0, 5), (1, 10), (10, 100)], 1.0),  # nothing has no logarithm
    ],
)
def test_the_slope_is_the_exponent(points: list[tuple[float, float]], expected: float) -> None:
    assert steepness(points) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("what", "points", "expected", "answer"),
    [
        ("level", curve(40, 41, 39, 40, 42, 40, 41), LEVEL, False),
        ("falls", curve(80, 60, 50, 45, 42, 41, 40), LEVEL, False),
        ("one point is off", curve(40, 40, 90, 40, 40, 40, 40), LEVEL, False),
        ("level, and doubles at the end", curve(40, 40, 40, 40, 40, 60, 90), LEVEL, True),
        ("grows, and is level at the end", curve(10, 20, 40, 80, 160, 165, 160), LEVEL, True),
        ("a little everywhere", curve(40, 46, 53, 60, 69, 79, 91), LEVEL, True),
        ("a fixed cost and so much each", curve(10, 11, 13, 17, 25, 41, 73), PROPORTIONAL, False),
        ("proportional", curve(1, 2, 4, 8, 16, 32, 64), PROPORTIONAL, False),
        ("all with all", curve(1, 2, 4, 8, 24, 90, 350), PROPORTIONAL, True),
    ],
)
def test_it_bends_upward(what: str, points: list[tuple[float, float]], expected: float, answer: bool) -> None:
    assert bends(points, expected) is answer, what


def test_a_leak_is_seen_beside_much_memory_and_noise_is_not() -> None:
    requests = [10, 100, 1000, 10_000, 100_000, 1_000_000]
    leaking = [20e6 + n for n in requests]  # a byte each
    breathing = [20e6, 20.1e6, 20.05e6, 20.2e6, 20.1e6, 20.15e6]
    assert not bends(list(zip(requests, leaking, strict=True))), "which is why `beyond` is there"
    assert bends(list(zip(requests, beyond(leaking, 262_144), strict=True)))
    assert not bends(list(zip(requests, beyond(breathing, 262_144), strict=True)))


def test_passes_are_each_others_control() -> None:
    assert control([[10, 20], [10, 16], [8, 16]]) == Ratio(1.125, 1.0, 1.25)
    assert control([[10, 20]]) is None


def test_a_figure_of_a_curve_has_the_medians_and_its_reason() -> None:
    made = figure(
        "cost", ("workers", "us"), [1, 2, 4, 8], [[10, 10, 20, 40], [10, 10, 20, 41], [9, 11, 21, 40]], 0.0, ""
    )
    assert made.points == ((1, 10), (2, 10), (4, 20), (8, 40))
    assert made.verdict is Verdict.FAIL
    assert made.target == TOLERANCE
    assert "10.0 at 1, 40.0 at 8" in made.detail
    assert figure("cost", ("x", "y"), [1, 2, 4], [[1, 2, 4]], LEVEL, "the kernel's").verdict is Verdict.EXPLAINED
    assert figure("cost", ("x", "y"), [1, 2, 4], [[1, 2, 4]], PROPORTIONAL, "").verdict is Verdict.PASS


def growth(last: int) -> Growth:
    """Of a cost that is level, up to this size."""

    def measure(sizes: Sequence[int], _rounds: Rounds) -> Iterator[Sequence[float]]:
        for size in sizes:
            if size > last:
                raise ServerError("not ready:\nits log")
            yield 40.0, float(size)

    costs = (Cost("a request", "us"), Cost("memory", "MB", PROPORTIONAL))
    return Growth("workers", "Workers", "workers", (1, 8, 64), (1, 8), costs, measure, long=(512,))


def test_a_size_that_cannot_be_had_ends_the_curves_before_it() -> None:
    cost, memory, absent = growth(8).run(Rounds())
    assert cost.points == ((1, 40), (8, 40))
    assert (cost.verdict, memory.verdict) == (Verdict.PASS, Verdict.PASS)
    assert (absent.what, absent.absent) == ("64 workers", "not ready:")
    (nothing,) = growth(0).run(Rounds())
    assert nothing.verdict is Verdict.ABSENT


def test_sizes_are_fewer_where_it_is_quick_and_more_where_there_is_time() -> None:
    sizes = [[x for x, _ in growth(512).run(rounds)[0].points] for rounds in (Rounds(quick=True), Rounds(long=True))]
    assert sizes == [[1, 8], [1, 8, 64, 512]]


def test_sizes_go_up_and_cover_what_we_say() -> None:
    ends = {each.name: (each.sizes[0], (each.sizes + each.long)[-1]) for each in GROWTHS}
    assert ends == {
        "workers": (1, 64),
        "threads": (1, 1000),
        "connections": (10, 10_000),
        "pools": (1, 64),
        "listeners": (1, 16),
        "fields": (1, 100),
        "bodies": (0, 100_000_000),
        "requests": (10, 10_000_000),
        "reloads": (1, 1000),
    }
    assert all(list(each.sizes) == sorted({*each.sizes}) for each in GROWTHS)
