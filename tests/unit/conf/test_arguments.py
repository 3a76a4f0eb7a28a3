"""The command line, parsed as the CLI and the reader both do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkful.conf.arguments import Arguments, _by_click, _plain, parse
from forkful.conf.foreign import INSTEAD
from forkful.conf.option import Form


def test_only_what_was_given_is_said() -> None:
    said, _ = parse(["-w", "4", "app:H", "-b", ":1", "--bind", ":2", "--no-preload", "-c", "x.toml"])

    assert said == Arguments("x.toml", {"workers": "4", "handler": "app:H", "bind": [":1", ":2"], "preload": False})


def test_an_empty_admin_address_is_said() -> None:
    assert parse(["--admin-bind", ""])[0].flags == {"admin_bind": [""]}


def test_the_drop_in_mode_hands_its_keywords_on() -> None:
    assert parse(["--embedded", '{"workers": 2}'])[0].embedded == {"workers": 2}


@pytest.mark.parametrize(
    ("argv", "flags", "mistakes"),
    [
        (["--workrs", "3", "a:b"], {"handler": "a:b"}, ["--workrs: there is no such flag; did you mean --workers?"]),
        (["--prelaod", "a:b"], {"handler": "a:b"}, ["--prelaod: there is no such flag; did you mean --preload?"]),
        (
            ["--access-logfile", "-", "-k", "gevent", "--daemon", "a:b", "-w", "2"],
            {"handler": "a:b", "workers": "2"},
            [
                "--access-logfile: there is no such flag; write --access-log",
                "-k: there is no such flag; the handler decides how it is served; set threads or max_connections",
                f"--daemon: there is no such flag; {INSTEAD['daemon']}",
            ],
        ),
        (
            ["-kgevent", "a:b"],
            {"handler": "a:b"},
            ["-k: there is no such flag; the handler decides how it is served; set threads or max_connections"],
        ),
        (
            ["--limit-request-field_size", "9", "a:b"],
            {"handler": "a:b"},
            ["--limit-request-field_size: there is no such flag; write --limit-request-field-size"],
        ),
        (["--host", "::", "a:b"], {"handler": "a:b"}, ["--host: there is no such flag; write --bind"]),
        (["a:b", "-w"], {"handler": "a:b"}, ["-w: it needs a value; " + Form.WORKERS.right]),
        (["a:b", "c:d"], {"handler": "a:b"}, ["c:d: one HANDLER is enough; write it once, and flags with --"]),
        (
            ["--frobnicate", "--treads=3", "a:b", "-w", "2"],
            {"handler": "a:b", "workers": "2"},
            [
                "--frobnicate: there is no such flag; forkful serve --help lists those there are",
                "--treads: there is no such flag; did you mean --threads?",
            ],
        ),
    ],
)
def test_all_wrong_arguments_are_told_and_the_others_still_count(
    argv: list[str], flags: dict[str, object], mistakes: list[str]
) -> None:
    given, found = parse(argv)

    assert given.flags == flags
    assert [str(mistake) for mistake in found] == mistakes


_WORDS = ["app:H", "-", "--", "", "4", "-w", "-w4", "-b", ":1", "--bind", "--bind=:2", "--bind=", "-c", "x.toml", "-cx"]
_WORDS += ["--config", "--preload", "--no-preload", "--preload=1", "--workers=", "--workers", "--nothing", "-5", "-=3"]
_WORDS += ["--embedded={}", "--pinned", "{}", "--allow", "10.0.0.0/8", "--no-workers", "-h", "--handler", "-w=4", "a=b"]


@given(st.lists(st.sampled_from(_WORDS), max_size=7))
def test_whether_click_is_asked_makes_no_difference(words: list[str]) -> None:
    plain = _plain(words)

    assert plain is None or (plain, []) == _by_click(words)


@pytest.mark.parametrize(
    "words",
    [[], ["app:H", "--bind", ":1", "-w", "2"], ["-c", "a.toml"], ["--preload", "--threads=4", "a:b", "--pinned={}"]],
)
def test_click_is_not_asked_about_plain_words(words: list[str]) -> None:
    assert _plain(words) is not None
