"""What a source says is found as an interpreter of its own would, and whoever asks is left as it was."""

import sys
from pathlib import Path

import pytest

from forkful.handlers.kind import by_source

WEB = "def app(environ, start_response): ...\n"


def test_the_directory_goes_first_and_the_search_path_stays(tmp_path: Path) -> None:
    (tmp_path / "shop_of_kinds.py").write_text(WEB)
    before = sys.path[:]

    assert by_source("shop_of_kinds:app", str(tmp_path)) == "http"
    assert sys.path == before
    assert "shop_of_kinds" not in sys.modules


def test_what_lies_beside_the_program_that_asks_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_us.py").write_text(WEB)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    assert by_source("beside_us:app", "/") == ("http" if sys.flags.safe_path else "")


@pytest.mark.parametrize("text", ["nothing_of_that_name:app", "no handler", "os:path.join", "sys:exit"])
def test_what_it_does_not_say_is_left_to_a_process_that_imports(text: str, tmp_path: Path) -> None:
    assert by_source(text, str(tmp_path)) == ""
