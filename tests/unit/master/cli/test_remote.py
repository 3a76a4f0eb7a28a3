"""Words that are understood without click mean what click says they mean; all others are left to it."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkful.master.cli import remote
from forkful.master.cli.main import main as root
from forkful.master.cli.remote import COMMANDS, Call, understood

WORDS = [word for command in COMMANDS for word in command.words]
WORDS += [flag.flag for command in COMMANDS for flag in command.flags]
WORDS += ["--admin", "--admin=unix:///a", "--admin=", "unix:///a", "-c", "-cx", "--config", "x.toml", "main", "main[0]"]
WORDS += ["3", "-3", "", "-", "--", "--wait=1", "--nothing", "-h", "top", "٣", "1_0", "+1", "007"]


def by_click(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Call | None:
    """What click would do; None where it would do nothing, but say something."""
    calls: list[Call] = []
    monkeypatch.setattr(remote, "carry_out", calls.append)
    try:
        root.main(list(words), standalone_mode=False)
    except (click.ClickException, click.exceptions.Exit):
        return None
    return calls[0] if calls else None


@given(st.lists(st.sampled_from(WORDS), max_size=5), st.sampled_from(COMMANDS))
def test_click_would_do_the_same(words: list[str], command: remote.Remote) -> None:
    words = [*command.words, *words]
    with pytest.MonkeyPatch.context() as patch:
        call = understood(words)
        assert call is None or call == by_click(words, patch)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("status", Call("status", "", "", {"as_json": False})),
        ("status --json -c a.toml", Call("status", "", "a.toml", {"as_json": True})),
        (
            "reload --wait --admin unix:///a",
            Call("reload", "unix:///a", "", {"wait": True, "promote": False, "abort": False}),
        ),
        ("scale main 8", Call("scale", "", "", {"pool": "main", "workers": 8})),
        ("stacks", Call("stacks", "", "", {"where": ""})),
        ("logs reopen --admin=unix:///a", Call("reopen_logs", "unix:///a", "", {})),
    ],
)
def test_plain_words_need_no_click(words: str, call: Call) -> None:
    assert understood(words.split()) == call


@pytest.mark.parametrize(
    "words", ["", "serve", "top", "logs", "scale main", "scale main x", "status more", "status -x"]
)
def test_what_is_not_plain_is_for_click(words: str) -> None:
    assert understood(words.split()) is None
