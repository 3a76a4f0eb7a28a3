"""Hooks: how functions are found, checked and called."""

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from forkful.handlers import hooks
from forkful.handlers.hooks import HookContext, HookError, Hooks


class Method:
    def start(self, hook: HookContext) -> None:
        CALLS.append(f"method {hook.hook}")


CALLS: list[str] = []


def plain(hook: HookContext) -> None:
    CALLS.append(f"{hook.hook} {hook.pool} {hook.slot} {hook.generation}")


async def awaited(hook: HookContext) -> None:
    CALLS.append(hook.hook)


def gives_a_coroutine(hook: HookContext) -> object:
    return awaited(hook)


def leaves(_: HookContext) -> None:
    raise SystemExit(3)


def gunicorns(server: object, worker: object) -> None:  # noqa: ARG001  # their names are shown
    raise AssertionError


MODULE = {
    "plain": plain,
    "awaited": awaited,
    "gives_a_coroutine": gives_a_coroutine,
    "leaves": leaves,
    "gunicorns": gunicorns,
    "bound": Method().start,
    "number": 3,
    "space": SimpleNamespace(inner=plain),
}


@pytest.fixture(autouse=True)
def module() -> Iterator[ModuleType]:
    made = ModuleType("moments_of_a_test")
    vars(made).update(MODULE)
    sys.modules[made.__name__] = made
    CALLS.clear()
    hooks._loaded.clear()  # noqa: SLF001  # as in a process that was just forked
    yield made
    del sys.modules[made.__name__]


def of(*said: tuple[str, str]) -> Hooks:
    texts = [(name, text.replace("m:", "moments_of_a_test:")) for name, text in said]
    return Hooks(texts, "chat", 2, 5)


def test_functions_of_a_moment_are_called_in_their_order() -> None:
    found = of(("post_fork", "m:plain"), ("worker_exit", "m:plain"), ("post_fork", "m:bound"))
    found.call("post_fork")
    assert CALLS == ["post_fork chat 5 2", "method post_fork"]


def test_a_function_may_be_an_attribute_of_something() -> None:
    of(("post_fork", "m:space.inner")).call("post_fork")
    assert CALLS == ["post_fork chat 5 2"]


def test_a_module_has_the_functions_of_these_names_and_no_others(module: ModuleType) -> None:
    vars(module).update(worker_start=plain, worker_exit=plain, when_ready=gunicorns)
    found = Hooks([("", module.__name__)], "chat", 2, 5)
    for hook in ("post_fork", "worker_exit", "worker_drain"):
        found.call(hook)
    assert CALLS == ["post_fork chat 5 2", "worker_exit chat 5 2"]
    (told,) = found.unheeded()
    assert "when_ready is not called" in told
    assert "on_ready" in told


def test_on_load_is_called_once_in_a_process_and_its_children() -> None:
    of(("on_load", "m:plain")).on_load()
    of(("on_load", "m:plain")).on_load()
    assert len(CALLS) == 1


def test_on_load_that_failed_is_tried_again() -> None:
    for _ in range(2):
        with pytest.raises(HookError):
            of(("on_load", "m:leaves")).on_load()


@pytest.mark.parametrize(
    ("function", "word"),
    [
        ("m:missing", "has no attribute"),
        ("nowhere_at_all:f", "there is no module"),
        ("m:number", "cannot be called"),
        ("m:gunicorns", "(server: object, worker: object)"),
        ("m:leaves", "SystemExit: 3"),
        ("m:gives_a_coroutine", "wants to be awaited"),
    ],
)
def test_what_cannot_be_called_says_why(function: str, word: str) -> None:
    with pytest.raises(HookError) as wrong:
        of(("worker_ready", function)).call("worker_ready")
    assert wrong.value.hook == "worker_ready"
    assert word in str(wrong.value)


@pytest.mark.parametrize("hook", ["on_load", "post_fork"])
def test_a_coroutine_function_is_refused_where_there_is_no_loop_yet(hook: str) -> None:
    with pytest.raises(HookError, match="no event loop yet"):
        of((hook, "m:awaited")).find_all()


def test_a_coroutine_function_is_refused_before_it_is_needed() -> None:
    of(("worker_exit", "m:awaited")).find_all()
    with pytest.raises(HookError, match="a blocking handler has none"):
        of(("worker_exit", "m:awaited")).find_all("a blocking handler has none")


def test_a_traceback_shows_the_users_frames_only() -> None:
    with pytest.raises(HookError) as wrong:
        of(("worker_ready", "m:leaves")).call("worker_ready")
    assert wrong.value.traceback.count("File") == 1
    assert "in leaves" in wrong.value.traceback


def test_without_hooks_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:  # Any: whatever it is asked
        raise AssertionError

    monkeypatch.setattr(hooks, "load", fail)
    none = of()
    assert not none
    none.on_load()
    none.find_all()
    none.call("post_fork")
