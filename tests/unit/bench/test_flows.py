"""The order of what is done to flows."""

from tests.bench.flows import mixed


def test_kills_are_spread_among_the_deploys() -> None:
    steps = mixed(20, 5, 10)
    assert {step: steps.count(step) for step in sorted(set(steps))} == {"kill": 10, "reload": 20, "upgrade": 5}
    assert "kill" not in steps[:2]
    assert all(steps[number : number + 2] != ["kill", "kill"] for number in range(len(steps)))


def test_kills_alone() -> None:
    assert mixed(0, 0, 2) == ["kill", "kill"]
