"""The report: its sections, what becomes of one that breaks, and its three forms."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import curve, figures_page, growth_page, html_page, machine, pythons, report
from tests.bench.comparison import Rounds
from tests.bench.figure import Figure, Ratio, Verdict
from tests.bench.report import Part, Report, beside, together
from tests.bench.sections import GROUPS, SECTIONS, Section, named
from tests.bench.server import ServerError

MACHINE = machine.Machine("a processor", 2, 24.0, "6.18", "3.11.7", {"granian": "2.8.9"})


def broken(_: Rounds) -> list[Figure]:
    raise ServerError("it left with 1:\nTraceback")


def known(rounds: Rounds) -> list[Figure]:
    return [
        Figure("ours / <theirs>", 0.5, "x", 0.9, control=Ratio(1.0, 0.99, 1.01), detail=f"{rounds.rounds} rounds"),
        Figure("told", 1.0, target=0.0, output="a < b"),
    ]


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Section("broken", "Breaks", broken), Section("known", "Is known", known)]
    monkeypatch.setattr(report, "named", lambda names: [each for each in made if each.name in names])
    monkeypatch.setattr(machine, "read", lambda: MACHINE)


def test_sections_have_one_name_each_and_groups_are_of_them() -> None:
    names = [section.name for section in SECTIONS]
    assert len({*names, *GROUPS}) == len(names) + len(GROUPS)
    assert [section.name for section in named(["http", "tcp", "http"])] == ["tcp", "http"]
    assert named(["all"]) == list(SECTIONS)
    for group in GROUPS.values():
        assert named(list(group))
    with pytest.raises(KeyError, match="nonsense"):
        named(["http", "nonsense"])


@pytest.mark.usefixtures("sections")
def test_a_section_that_breaks_is_absent_and_the_next_one_comes(tmp_path: Path) -> None:
    assert report.main(["--section", "broken", "--out", str(tmp_path)]) == 0
    assert report.main(["broken", "known", "--out", str(tmp_path)]) == 1  # a target was missed

    text = (tmp_path / "report.txt").read_text()
    assert "not run: it left with 1:" in text
    assert "others used" in text
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["machine"]["kernel"] == "6.18"
    assert [figure["verdict"] for figure in written["sections"]["known"]["figures"]] == ["pass", "FAIL"]


def test_the_page_stands_alone_and_says_what_a_verdict_was_made_of() -> None:
    part = Part("known", "Is known", known(Rounds()), 3.0, 0.4, 2.5)
    html = html_page.page(Report(MACHINE, "today", "5 rounds", [part]))

    assert "ours / &lt;theirs&gt;" in html
    assert "<pre>a &lt; b</pre>" in html
    assert "others used 40% of the machine: too much to tell small differences; load 2.5" in html
    assert "1.00 (0.99 … 1.01)" in html
    assert "1 pass, 1 FAIL" in html
    assert "http://" not in html.replace("http://www.w3.org/", "")
    assert "<script" not in html


def test_what_others_use_is_a_share() -> None:
    assert 0.0 <= machine.Watch().others <= 1.0


def grown(*, reason: str = "") -> Figure:
    passes = [[10.0, 10.0, 90.0], [10.0, 10.0, 90.0]]
    return curve.figure("a request", ("workers", "us"), [1, 8, 64], passes, curve.LEVEL, reason)


def reported(name: str, figure: Figure, python: str = "3.11.7") -> Report:
    made = machine.Machine("a processor", 2, 24.0, "6.18", python, {})
    return Report(made, "today", "5 rounds", [Part(name, "Title", [figure], 3.0, 0.4, 2.5)])


def test_what_was_written_is_read_as_it_was() -> None:
    made = reported("growth-workers", grown())
    assert Report.read(json.loads(json.dumps(made.record()))) == made


def test_of_several_runs_a_section_is_the_last() -> None:
    first, other, again = Figure("x", 1.0), Figure("y", 2.0), Figure("x", 3.0)
    put = together([reported("udp", first), reported("tcp", other), reported("udp", again)])
    assert [(part.name, part.figures) for part in put.parts] == [("tcp", [other]), ("udp", [again])]


def test_pythons_stand_side_by_side() -> None:
    here, there = Figure("sync / bare", 1.0, "x", 1.05), Figure("sync / bare", 1.2, "x", 1.05)
    head, row = beside([reported("tcp", here), reported("tcp", there, "3.13.0")])
    assert head.split() == ["target", "3.11.7", "3.13.0"]
    assert row.split() == ["tcp:", "sync", "/", "bare", "<=", "1.05", "1.00", "x", "pass", "1.20", "x", "FAIL"]


def test_a_line_that_bends_upward_says_so_with_its_reason() -> None:
    bare, explained = (reported("growth-workers", grown(reason=why)) for why in ("", "all wake up"))
    assert bare.missed
    assert not explained.missed
    assert explained.parts[0].figures[0].verdict is Verdict.EXPLAINED
    assert "| bends upward: not explained |" in growth_page.page(bare)
    assert "| 10.0 at 1 | 90.0 at 64 | 0.53 | 0.15 | 1.00 | bends upward: all wake up |" in growth_page.page(explained)


def test_other_pythons_are_none_where_none_are(tmp_path: Path) -> None:
    assert pythons.found(tmp_path) == []


def test_the_table_of_figures_is_renewed_and_what_stands_around_it_stays() -> None:
    part = Part("known", "Is known", known(Rounds()), 3.0, 0.4, 2.5)
    made = together(
        [Report(MACHINE, "today", "5 rounds", [replace(part, name="tcp")]), reported("growth-workers", grown())]
    )
    page = figures_page.renewed(f"# Costs\n{figures_page.BEGIN}old\n{figures_page.END}prose\n", made)

    assert page.startswith("# Costs\n")
    assert page.endswith(f"{figures_page.END}prose\n")
    assert "old" not in page
    assert "| ours / <theirs> | 0.50 |  | at most 0.90 | 1.00 | pass | 5 rounds |" in page
    assert "Title" not in page  # curves have a page of their own
    assert figures_page.renewed(page, made) == page
    with pytest.raises(ValueError, match="has no"):
        figures_page.renewed("# Costs\n", made)
