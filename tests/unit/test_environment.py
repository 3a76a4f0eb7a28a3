"""The tests' own environment: theirs whoever runs them, and with room for the paths of Unix sockets."""

import tempfile
from pathlib import Path

import pytest

from tests.kit import environment

_FOREIGN = {
    "NOTIFY_SOCKET": "/run/of/another",
    "LISTEN_FDS": "3",
    "WATCHDOG_USEC": "1000000",
    "FORKFUL_WORKERS": "7",
    "WEB_CONCURRENCY": "7",
    "PORT": "1",
    "XDG_RUNTIME_DIR": "/run/" + "x" * 90,
}
_KEPT = {"PATH": "/bin", "FORKFUL_REQUIRE_PEERS": "1"}


def test_what_is_meant_for_another_service_reaches_no_server_of_ours() -> None:
    assert environment.without_ours(_FOREIGN | _KEPT) == _KEPT


def test_sockets_have_room_where_temporary_files_have_a_long_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.delenv("PYTEST_DEBUG_TEMPROOT")

    environment.prepare()

    assert len(environment.short(str(long))) <= 16
    assert environment.short("/tmp") == "/tmp"  # is short
