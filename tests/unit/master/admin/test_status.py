"""What people read: the table, its refresh, and the page."""

import contextlib
import html.parser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from forkful.master.admin import status, status_page
from forkful.master.admin.history import History
from forkful.master.admin.status import Status
from forkful.master.admin.view import Viewer
from forkful.master.cli import tables, top
from forkful.master.cli.client import Client
from forkful.master.model import format as as_text
from forkful.worker.ipc.scoreboard import BUCKETS, Scoreboard
from tests.kit.fake_master import FakeMaster, Known, pool, running

EVIL = "<script>alert(1)</script>\x1b[2J[red]\N{RIGHT-TO-LEFT OVERRIDE}"


@pytest.fixture
def master() -> Known:
    return Known()


@pytest.fixture
def board() -> Scoreboard:
    board = Scoreboard()
    board.row(board.allocate(1, pool=0, slot=0, generation=3))[BUCKETS] = 1234
    return board


@pytest.fixture
def service(master: Known, board: Scoreboard) -> Status:
    return status.document(Viewer(master, board).take(), board)


def test_table_has_a_row_per_pool_and_a_row_per_worker(service: Status) -> None:
    lines = tables.text(tables.whole(service)).splitlines()

    assert any(line.startswith("main ") and "2/2" in line and "1,234" in line for line in lines)
    assert any(line.startswith("main[0]") and "ready" in line.lower() for line in lines)
    assert any(line.startswith("main[1]") for line in lines)


def test_a_narrow_terminal_breaks_no_figure_and_no_address(service: Status) -> None:
    service["pools"][0]["handler"] = "package.subpackage.module:make_handler()"
    service["pools"][0]["name"] = "web-frontend"
    wide, narrow = (tables.text(tables.whole(service), width=width) for width in (160, 80))

    for text in (wide, narrow):
        for said in (
            "package.subpackage.module:make_handler()",
            "tcp://127.0.0.1:7000",
            "web-frontend",
            "1,234",
        ):
            assert said in text
        for title in ("handler", "addresses", "requests", "deaths", "generation 3", "in flight", "memory"):
            assert title in text
    assert max(map(len, narrow.splitlines())) <= 80
    assert (wide.count("pool "), narrow.count("pool ")) == (1, 2)


def test_http_answers_that_say_that_we_failed_have_a_column_where_there_are_any(service: Status) -> None:
    assert "5xx" not in tables.text(tables.whole(service))

    service["pools"][0]["responses"] = {"2xx": 10, "4xx": 1, "5xx": 60}
    assert re.search(r"5xx[^\n]*\n[^\n]*\n[^\n]* 60 ", tables.text(tables.whole(service)))
    assert '<dt>5xx</dt><dd><span class="bad">60</span>' in status_page.render(service, History())


def test_a_screen_of_figures_leaves_out_what_is_long(service: Status) -> None:
    service["reload"] |= {"successful": False, "message": "cannot import app", "traceback": "Traceback:\n  line 1"}
    service["pools"][0]["handler"] = "package.subpackage.module:make_handler()"
    text = tables.text(tables.whole(service, {"main": 12.0}), width=80)

    assert "cannot import app" in text
    assert "12.0/s" in text
    assert "Traceback" not in text
    assert "make_handler" not in text


def test_trouble_throttling_and_a_failed_reload_are_told(service: Status) -> None:
    service["pools"][0]["trouble"], service["pools"][0]["throttled_for"] = "ImportError: no module named x", 4.0
    service["ready"], service["reason"] = False, "pool main: 0 of 2 workers ready"
    service["reload"] |= {"successful": False, "message": "cannot import app", "traceback": "Traceback:\n  line 1"}
    for text in (tables.text(tables.whole(service)), status_page.render(service, History())):
        for said in ("ImportError: no module named x", "throttled", "0 of 2", "cannot import app", "  line 1"):
            assert said in text


def test_what_others_said_moves_no_cursor_and_runs_no_script(service: Status) -> None:
    service["name"] = service["reason"] = service["version"] = EVIL
    service["ready"] = False
    service["reload"] |= {"successful": False, "message": EVIL, "traceback": EVIL}
    service["pools"] = [{**service["pools"][0], "name": EVIL, "handler": EVIL, "trouble": EVIL}]
    service["pools"][0]["listeners"][0]["address"] = EVIL
    service["pools"][0]["workers"][0]["phase"] = EVIL
    service["admin"] = [EVIL]

    for text in (tables.text(tables.whole(service), width=500), status_page.render(service, History())):
        assert "\x1b[2J" not in text
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text
        assert text.count("alert(1)") >= 10
    assert status_page.render(service, History()).count("<script>") == 1


def test_page_is_well_formed_and_needs_nothing_from_elsewhere(service: Status) -> None:
    class Reader(html.parser.HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert not any(name == "src" or (value or "").startswith(("http", "//")) for name, value in attrs)
            if tag not in ("meta", "link"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(status_page.render(service, History()))
    reader.close()
    assert not reader.open


def test_house_without_pools_workers_or_listeners_can_be_shown(master: Known, board: Scoreboard) -> None:
    empty = pool(workers=0)
    empty["listeners"].clear()
    empty["exits"].clear()
    for pools in ([], [empty]):
        master.answer["pools"] = pools
        service = status.document(Viewer(master, board).take(), board)
        assert tables.text(tables.whole(service))
        assert status_page.render(service, History())


def test_rates_are_what_was_served_between_two_documents(service: Status) -> None:
    later = Status(**{**service, "at": service["at"] + 2})
    later["pools"] = [{**service["pools"][0], "requests": {"ok": 1434}}, {**service["pools"][0], "name": "new"}]

    assert top.rates(service, later) == {"main": pytest.approx(100)}
    assert top.rates(later, service) == {}, "time does not run backwards; no figure is better than a wrong one"


def test_top_draws_until_a_key_says_to_leave(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Fingers:
        looks = 0

        def leave(self, seconds: float) -> bool:
            assert seconds == 1.0
            self.looks += 1
            return self.looks == 3

    fingers = Fingers()
    with served(tmp_path) as client:
        assert top.top(client, fingers).exit_code == 0
    assert fingers.looks == 3
    assert "main[0]" in capsys.readouterr().out


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Client]:
    with running(FakeMaster(), folder) as doors:
        yield Client(doors.tcp_address)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (as_text.age(-1), "0s"),
        (as_text.age(59.9), "59s"),
        (as_text.age(245), "4m 05s"),
        (as_text.age(12_000), "3h 20m"),
        (as_text.age(457_200), "5d 7h"),
        (as_text.size(512), "512 B"),
        (as_text.size(33_000_000), "31.5 MiB"),
        (as_text.size(2**60), "1048576.0 TiB"),
        (as_text.number(1234567), "1,234,567"),
        (as_text.rate(0), "0.0/s"),
        (as_text.rate(0.25), "0.25/s"),
        (as_text.rate(12_345.6), "12,346/s"),
    ],
)
def test_figures_are_written_for_people(said: str, text: str) -> None:
    assert said == text
