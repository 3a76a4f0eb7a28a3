"""What a canary and bake_time need, and what they say of pools."""

import pytest

from forkful.conf.cpus import Cpus
from forkful.conf.machine import Machine
from forkful.conf.reader import settle
from forkful.conf.settings import Settings

MACHINE = Machine(uid=0, cwd="/", cpus=lambda: Cpus(2, "auto: 2"), stop_limit=lambda _: None)


def settled(*flags: str) -> Settings:
    return settle(["app:Handler", "-b", "tcp://127.0.0.1:1", *flags], {}, MACHINE)


def test_canary_without_a_time_is_refused_with_the_key_to_write() -> None:
    (mistake,) = settled("--canary", "1").mistakes

    assert (mistake.place, mistake.hint) == ("--canary", "write bake_time as well, like 60")
    assert not settled("--canary", "10%", "--bake-time", "2m").mistakes


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("--canary", value) for value in ("0", "0%", "101%", "-1", "1.5", "many", "10 %")),
        *(("--canary-errors", value) for value in ("1", "0.01", "-1%", "%", "", "much")),
        ("--canary-requests", "0"),
        ("--bake-time", "-1"),
    ],
)
def test_what_is_no_bound_is_a_mistake(flag: str, value: str) -> None:
    assert [mistake.place for mistake in settled(flag, value).mistakes if mistake.place == flag] == [flag]


@pytest.mark.parametrize("value", ["0%", "1%", "0.25%", "1000%"])
def test_percentages_are_kept_as_they_are_said(value: str) -> None:
    assert settled("--canary-latency", value).master["canary_latency"].value == value


@pytest.mark.parametrize(
    ("flags", "preload", "place"),
    [
        ((), False, "default"),
        (("--bake-time", "60"), True, "--bake-time"),
        (("--bake-time", "0"), False, "default"),
        (("--bake-time", "60", "--preload"), True, "--preload"),
    ],
)
def test_bake_time_preloads_where_nobody_says_otherwise(flags: tuple[str, ...], preload: bool, place: str) -> None:
    said = settled(*flags).pools["main"]["preload"]

    assert (said.value, said.place) == (preload, place)


def test_pool_that_does_not_preload_is_told() -> None:
    settings = settle(["-c", "/nowhere"], {"FORKFUL_BAKE_TIME": "60", "FORKFUL_PRELOAD": "no"}, MACHINE)
    assert settings.mistakes, "of the file alone"
    settings = settle(["app:Handler", "-b", ":1"], {"FORKFUL_BAKE_TIME": "60", "FORKFUL_PRELOAD": "no"}, MACHINE)

    assert any("FORKFUL_PRELOAD: pool main does not preload" in warning for warning in settings.warnings)


def test_bounds_without_a_canary_are_told() -> None:
    assert "--canary-errors is not used: there is no canary" in settled("--canary-errors", "5%").warnings
    assert not settled("--canary-errors", "5%", "--canary", "1", "--bake-time", "9").warnings
