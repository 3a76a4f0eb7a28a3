"""What wrk says, understood; what it is told; a peer that is not installed."""

import json

import pytest

from tests.bench.comparison import Rounds, Score, against, compare, cost
from tests.bench.figure import Verdict
from tests.bench.server import Contender
from tests.bench.wrk import BROWSER, Wrk, read

PRINTED = {"requests": 120, "microseconds": 2_000_000, "p50": 400, "p99": 900}


def printed(**errors: int) -> str:
    raw = dict.fromkeys(("connect", "read", "write", "timeout", "status"), 0) | PRINTED | errors
    return f"Running 2s test @ http://127.0.0.1:80/\n  120 requests in 2.00s\n\n{json.dumps(raw)}\n"


def test_every_kind_of_error_is_a_fault_and_a_bad_status_is_no_answer() -> None:
    outcome = read(printed(read=3, status=20, timeout=1))
    assert (outcome.requests, outcome.ok, outcome.rate) == (120, 100, 50)
    assert outcome.errors == {"read": 3, "status": 20, "timeout": 1}


def test_without_errors_there_are_none() -> None:
    assert read(printed()).errors == {}


def test_a_browser_sends_eleven_fields_with_the_host() -> None:
    assert len({field.partition(":")[0] for field in BROWSER}) == 10
    command = Wrk(headers=BROWSER, drawn="varying").command("127.0.0.1:80", 1)
    assert command.count("-H") == 10
    assert command[-2:] == ["--", "varying"]


@pytest.mark.parametrize("needs", ["no_such_module_of_python", "/usr/sbin/no-such-program"])
def test_a_peer_that_is_not_installed_is_absent_and_says_how_to_get_it(needs: str) -> None:
    contender = Contender("peer", (), needs=needs, install="get it")
    assert contender.missing == f"no {needs}: get it"
    scores = {"ours": Score([1.0]), "peer": Score(absent=contender.missing)}
    assert against("ours / peer", scores, ("ours", "peer"), 0.5).verdict is Verdict.ABSENT
    assert cost("peer", scores, "peer").verdict is Verdict.ABSENT


def test_without_wrk_every_figure_is_absent_and_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    scores = compare([Contender("ours", ("no-such-program",))], Wrk(), Rounds(1))
    assert cost("ours", scores, "ours").absent == "no wrk: apt install wrk"


def test_what_is_installed_is_not_missing() -> None:
    assert not Contender("ourselves", ()).missing
    assert not Contender("the shell", (), needs="/bin/sh").missing
    assert not Contender("pytest", (), needs="pytest").missing
