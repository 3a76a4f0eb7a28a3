"""The soak's ledger: what may be noticed of which fault, what is missing, what grows."""

import tomllib

import pytest

from tests.bench.soak import applications, flatness, ledger
from tests.bench.soak.ledger import CALM, Balance, Fault, Ledger, Notice

KILLED = Fault("worker killed", "web")


@pytest.mark.parametrize(
    ("application", "what", "fault", "promised"),
    [
        ("web", "request lost", KILLED, False),
        ("game", "request lost", KILLED, True),  # another's worker
        ("web", "request lost", Fault("reload"), True),
        ("web", "told to come again", Fault("reload"), False),
        ("web", "told to come again", CALM, True),  # nobody had a reason to tell it
        ("game", "told to come again", KILLED, True),
        ("web", "answer wrong", KILLED, True),  # never
        ("operator", "status not answered", Fault("upgrade"), True),
        ("operator", "status not answered", Fault("admin child killed"), False),
    ],
)
def test_what_is_noticed_is_promised_not_to_be_but_for_faults_that_may_cost_it(
    application: str, what: str, fault: Fault, *, promised: bool
) -> None:
    assert ledger.is_promised_not_to_be(Notice(application, what, fault)) is promised


def test_what_is_noticed_is_put_down_to_the_fault_that_is_under_way() -> None:
    book = Ledger()
    book.begin(KILLED)
    book.notice("web", "request lost")
    book.begin(CALM)
    book.notice("web", "request lost", "it was reset")

    assert [*book.complaints()] == ["web: request lost, 1 times, by nothing"]
    assert book.remarks == ["web: request lost (nothing): it was reset"]
    assert book.done_to("web", "worker killed") == 1
    assert "| worker killed | 1 | web: request lost 1 |" in ledger.table_of_faults(book)


@pytest.mark.parametrize(
    ("sent", "counted", "at_most", "even"), [(10, 10, 0, True), (10, 9, 1, True), (10, 8, 1, False), (10, 11, 1, False)]
)
def test_more_may_never_be_counted_than_was_sent_and_less_only_so_much(
    sent: int, counted: int, at_most: int, *, even: bool
) -> None:
    assert Balance("web", "answers", sent, counted, at_most, "").is_even is even


def samples(sizes: list[float], measure: str = "descriptors") -> list[flatness.Sample]:
    return [{("master", measure): size} for size in sizes]


@pytest.mark.parametrize(
    ("sizes", "flat"),
    [
        ([40.0] * 80, True),
        ([40.0, 41.0, 42.0, 41.0] * 20, True),  # it comes and goes
        ([40.0 + number / 10 for number in range(80)], False),  # one of ten times
        ([*[40.0] * 60, *[400.0], *[40.0] * 19], True),  # once
        ([40.0] * 20, None),  # too few to tell
    ],
)
def test_what_grows_from_the_first_to_the_last_quarter_is_no_more_flat(
    sizes: list[float], *, flat: bool | None
) -> None:
    found = [each.is_flat for each in flatness.growth(samples(sizes))]

    assert found == ([] if flat is None else [flat])


def test_each_demo_is_in_the_soak_at_addresses_of_its_own_and_can_be_broken() -> None:
    demos = {path.parent.name: path for path in applications.EXAMPLES.glob("*/demo.toml")}
    assert set(demos) == set(applications.NAMES)

    pools = tomllib.loads(applications.settings([*demos]))["pool"]
    for application, path in demos.items():
        for name, pool in tomllib.loads(path.read_text())["pool"].items():
            ours = pools.pop(f"{application}-{name}")
            assert ours["handler"].startswith(f"soaked:{application}.")
            assert len(ours["bind"]) == len(pool["bind"])
            assert not {*ours["bind"]} & {*pool["bind"]}, "the demo itself may be running"
    assert not pools
