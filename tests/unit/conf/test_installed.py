"""The installed version is the one that `importlib.metadata` tells, wherever the package lies."""

import sys
from importlib.metadata import version as told
from pathlib import Path

import pytest

from forkful.conf import installed


def test_it_is_what_the_library_says() -> None:
    assert installed.version() == told("forkful")


@pytest.mark.parametrize(
    "names",
    [
        ["forkful-9.9.dist-info"],
        ["forkful-9.9rc1.dist-info", "other-1.dist-info"],
        ["forkful-9.9.dist-info", "forkful-9.8.dist-info"],
        ["Forkful-9.9.dist-info"],
        ["forkful.egg-info"],
        ["forkful_more-2.dist-info"],
        ["forkful-9.9+local.dist-info"],
        [],
    ],
    ids=" ".join,
)
def test_whatever_lies_on_the_path_first(names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names:
        (tmp_path / name).mkdir()
        ours = name.lower().partition("-")[0].partition(".")[0] == "forkful"
        number = name.removesuffix(".dist-info").partition("-")[2] or "7"
        text = f"Metadata-Version: 2.1\nName: {'forkful' if ours else 'other'}\nVersion: {number}\n"
        for file in ("METADATA", "PKG-INFO"):
            (tmp_path / name / file).write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path), *sys.path])

    assert installed.version() == told("forkful")


def test_a_place_that_is_no_folder_is_left_to_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some.zip").write_bytes(b"")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "some.zip"), *sys.path])

    assert installed.version() == told("forkful")
