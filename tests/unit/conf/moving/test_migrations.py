"""Public configurations of Gunicorn, moved: our reader takes every file, and the page has what came out."""

from pathlib import Path

import pytest

from forkful.conf.moving.table import BY_NAME, Shape
from tests.kit.migrations import CASES, GUNICORN, Case, checked, in_page, made, migrate, settings, verdicts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.project)
def test_configuration_of_a_real_project_is_moved_and_our_reader_takes_it(case: Case, tmp_path: Path) -> None:
    moved, text = migrate(case, tmp_path)
    told = {name for names in verdicts(moved).values() for name in names}
    said = {name for name, value in case.settings.items() if value is not None and name in BY_NAME}
    said |= {name for name in case.hooks.split() if BY_NAME[name].shape is Shape.HOOK}

    assert checked(text, tmp_path) == 0
    assert said <= told
    assert moved.pool["handler"] != "MODULE:ATTRIBUTE"


def test_tables_of_the_page_are_what_comes_out(tmp_path: Path) -> None:
    assert in_page() == made(tmp_path), "python -m tests.bench migrations writes them"
    assert in_page(GUNICORN) == settings()


def test_there_are_twenty_of_them() -> None:
    assert len({case.project for case in CASES}) >= 20  # as was asked
