"""The working directory keeps the name that its user gave it, and only where that is true."""

from pathlib import Path

import pytest

from forkful.conf.directory import named


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release, a link `current` to it, and another directory."""
    (tmp_path / "releases" / "1").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1")
    return tmp_path / "releases" / "1"


@pytest.mark.parametrize(
    ("pwd", "config", "expected"),
    [
        ("current", "", "current"),
        ("current/", "", "current"),
        ("releases/1", "", "releases/1"),
        ("releases", "", ""),
        ("gone", "", ""),
        ("", "", ""),
        ("current/../current", "", ""),
        ("", "current/forkful.toml", "current"),
        ("releases/1", "current/forkful.toml", "current"),
        ("current", "releases/1/forkful.toml", "current"),
        ("", "releases/forkful.toml", ""),
    ],
)
def test_name_is_that_of_pwd_or_of_the_settings_file_where_it_leads_here(
    pwd: str, config: str, expected: str, release: Path, tmp_path: Path
) -> None:
    environ = {"PWD": f"{tmp_path}/{pwd}"} if pwd else {}
    found = named(str(release), environ, f"{tmp_path}/{config}" if config else "")

    assert found == (f"{tmp_path}/{expected}" if expected else "")


@pytest.mark.parametrize("environ", [{}, {"PWD": "."}, {"PWD": "relative"}, {"PWD": ""}])
def test_relative_names_are_none(environ: dict[str, str], release: Path) -> None:
    assert named(str(release), environ, "forkful.toml") == ""
