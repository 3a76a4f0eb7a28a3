"""What the setting `hooks` may say, in a file, a flag and a variable."""

import tomllib

import pytest

from forkful.conf.hook_names import ALIASES, ELSEWHERE, NAMES, HookNameError, as_toml, parse

SAID = {
    "a module": ("moments", [("", "moments")]),
    "a module of a package": ("app.moments", [("", "app.moments")]),
    "a table": ({"post_fork": "db:connect"}, [("post_fork", "db:connect")]),
    "Gunicorn's names": (
        {"post_worker_init": "a:b", "worker_start": "a:c"},
        [("worker_ready", "a:b"), ("post_fork", "a:c")],
    ),
    "several for one moment": (
        {"worker_exit": ["a:b", "a:C.d"]},
        [("worker_exit", "a:b"), ("worker_exit", "a:C.d")],
    ),
    "a flag": (["worker_exit=a:b"], [("worker_exit", "a:b")]),
    "both": (["moments", "on_load = a:b"], [("", "moments"), ("on_load", "a:b")]),
    "nothing": ("", []),
    "a plan": ((("", "moments"), ("post_fork", "a:b")), [("", "moments"), ("post_fork", "a:b")]),
    "the script itself": ({"post_fork": "__main__:f"}, [("post_fork", "__main__:f")]),
}


@pytest.mark.parametrize(("value", "found"), SAID.values(), ids=SAID)
def test_hooks_are_a_module_or_functions_by_moment(value: object, found: list[tuple[str, str]]) -> None:
    assert parse(value) == tuple(found)


@pytest.mark.parametrize(("value", "found"), SAID.values(), ids=SAID)
def test_what_is_shown_can_be_written_in_a_file(value: object, found: list[tuple[str, str]]) -> None:
    shown = tomllib.loads(f"hooks = {as_toml(parse(value))}")["hooks"]
    assert sorted(parse(shown)) == sorted(found)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"post_forks": "a:b"}, "post_fork"),
        ({"when_ready": "a:b"}, "on_ready under [master]"),
        ({"pre_request": "a:b"}, "middleware"),
        ({"post_fork": "a"}, "module:function"),
        ({"post_fork": "a:b()"}, "module:function"),
        ({"post_fork": 3}, "module:function"),
        ({"nonsense": "a:b"}, "there are on_load"),
        (3, "a module"),
        ("a:b", "a module"),
        (["post_fork="], "module:function"),
    ],
)
def test_what_is_no_hook_is_refused_with_what_would_be_right(value: object, word: str) -> None:
    with pytest.raises(HookNameError) as wrong:
        parse(value)
    assert word.replace("under [master]", "").strip() in str(wrong.value)


def test_a_name_means_one_thing() -> None:
    assert not set(NAMES) & set(ALIASES) & set(ELSEWHERE)
    assert set(ALIASES.values()) <= set(NAMES)
