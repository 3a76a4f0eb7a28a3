"""A table fits where it can, and says the same everywhere."""

from hypothesis import given
from hypothesis import strategies as st

from forkful.master.cli.grid import Span, Table, cells, drawn, line

NAMES = st.text(st.sampled_from("ab:/.日\u0301 "), max_size=30)


def test_columns_are_as_wide_as_what_is_in_them_and_figures_end_on_the_right() -> None:
    table = Table({"pool": [Span("main"), Span("b")], " queue": [Span("12"), Span("1,234,567")]})

    assert drawn(table.lines(80), color=False).splitlines() == [
        "pool      queue",
        "───────────────",
        "main         12",
        "b     1,234,567",
    ]


def test_what_takes_several_lines_has_them_one_below_the_other() -> None:
    table = Table({"at": [Span("one\ntwo")], " n": [Span("1")]})

    assert drawn(table.lines(80), color=False).splitlines()[2:] == ["one  1", "two"]


def test_only_texts_with_a_style_are_colored() -> None:
    assert drawn([line(("a", "red"), "b", ("", "bold"))], color=True) == "\x1b[31ma\x1b[0mb"
    assert drawn([line(("a", "red"), "b", ("", "bold"))], color=False) == "ab"


def test_a_table_without_rows_is_its_titles() -> None:
    assert drawn(Table({"pool": [], " n": []}).lines(80), color=False).splitlines() == ["pool  n", "───────"]


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4), st.integers(30, 90))
def test_it_is_broken_to_fit_and_no_character_is_lost(rows: list[tuple[str, str]], width: int) -> None:
    names, places = ([Span(row[column]) for row in rows] for column in range(2))
    table = Table({"name": names, "place": places, " figure": [Span("1,234")] * len(rows)})
    text = drawn(table.lines(width), color=False)

    assert max(map(cells, text.splitlines())) <= max(width, 0)
    said = "".join(name.text + place.text for name, place in zip(names, places, strict=True))
    for char in {*said} - {" "}:
        assert text.count(char) == said.count(char) + "nameplacefigure".count(char)
