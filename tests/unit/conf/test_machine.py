"""What systemd says of us."""

import pytest

from forkful.conf.machine import seconds, stop_limit, unit_of


@pytest.mark.parametrize(
    ("cgroups", "words"),
    [
        ("0::/system.slice/forkful.service\n", ("show", "forkful.service")),
        ("5:cpu:/x\n1:name=systemd:/system.slice/a@1.service\n", ("show", "a@1.service")),
        ("0::/user.slice/user-1.slice/user@1.service/app.slice/a.service\n", ("--user", "show", "a.service")),
        ("0::/user.slice/user-1.slice/session-2.scope\n", ()),
        ("0::/\n", ()),
    ],
)
def test_our_unit_is_found_from_our_control_group(cgroups: str, words: tuple[str, ...]) -> None:
    assert unit_of(cgroups) == words


@pytest.mark.parametrize(
    ("span", "length"),
    [("1min 30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("infinity", None), ("", None), ("what", None)],
)
def test_systemds_spans_of_time_are_read(span: str, length: float | None) -> None:
    assert seconds(span) == length


def test_without_systemd_there_is_no_limit_to_ask_for() -> None:
    assert stop_limit({}) is None
