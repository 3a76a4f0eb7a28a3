"""Stripping takes out the writes to a row, and on demand what only fed them."""

import ast
from textwrap import dedent

import pytest

from tests.bench.stripping import StrippingError, What, strip

LOOP = """
def serve(data):
    row[0] += 1
    row[1] = since = monotonic_ns()
    answer = handler(data)
    took = monotonic_ns() - since
    busy += took
    row[2] = busy
    if took < 100:
        row[3] += 1
    self._row[4] = 0
    table[5] = answer
"""


def stripped(source: str, what: What) -> str:
    return ast.unparse(strip(source, what))


def test_writes_go_and_the_names_beside_them_stay() -> None:
    wanted = """
    def serve(data):
        pass
        since = monotonic_ns()
        answer = handler(data)
        took = monotonic_ns() - since
        busy += took
        pass
        if took < 100:
            pass
        pass
        table[5] = answer
    """
    assert stripped(LOOP, What.WRITES) == dedent(wanted).strip()


def test_what_only_fed_the_writes_goes_too() -> None:
    text = stripped(LOOP, What.ALL)
    assert "if took" not in text
    assert "monotonic_ns" not in text
    assert "busy" not in text
    assert "answer = handler(data)" in text


def test_a_call_with_effects_stays_although_nobody_reads_its_result() -> None:
    assert "unread = handler(data)" in stripped("def f(data):\n    row[0] = 1\n    unread = handler(data)", What.ALL)


def test_nothing_to_strip_is_an_error_and_not_a_cost_of_nothing() -> None:
    with pytest.raises(StrippingError, match="no write"):
        strip("def serve(data):\n    cells[0] += 1", What.WRITES)
