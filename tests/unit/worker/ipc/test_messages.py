"""What goes over a channel: each message arrives as it was sent, and nothing else is let in."""

import contextlib
import json
import socket
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkful.worker.ipc import messages, records
from forkful.worker.ipc.channel import Channel
from forkful.worker.ipc.messages import Refused, Vocabulary

VOCABULARIES: dict[str, Vocabulary[Any]] = {  # Any: of all directions
    name: value for name, value in vars(messages).items() if isinstance(value, Vocabulary)
}
WORDS = [(vocabulary, kind) for vocabulary in VOCABULARIES.values() for kind in vocabulary.kinds.values()]
ORDERS = get_args(messages.Order)
SAID = [
    messages.Question(7, made) for made in (messages.Scale("a", 2), messages.ShowStacks(None, 1), messages.Reload())
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def example(kind: Any) -> Any:  # Any: an annotation, and a value of it
    values: dict[Any, Any] = {int: 3, float: 0.5, str: "é\n", bool: True, str | None: None, int | None: 4}
    values |= {
        tuple[int, ...]: (1, 2),
        tuple[str, ...]: ("t",),
        dict[str, Any]: {"a": [1]},
        messages.Order: SAID[0].order,
        messages.Steer: messages.Rollback(),
    }
    values |= {dict[str, tuple[str, ...]]: {"/srv": ("app.py",)}}
    values |= {dict[str, messages.NotLoaded]: {"main": messages.NotLoaded("no", "Traceback")}}
    if kind in values:
        return values[kind]
    return kind(*(example(inner.type) for inner in fields(kind)))


@pytest.mark.parametrize(("vocabulary", "kind"), WORDS, ids=lambda x: getattr(x, "__name__", ""))
def test_message_arrives_as_it_was_sent(vocabulary: Vocabulary[Any], kind: Any) -> None:
    ours, theirs = Channel.pair()
    message = example(kind)
    ours.send(message)

    assert theirs.receive(vocabulary) == [message]
    ours.close()
    theirs.close()


@pytest.mark.parametrize("order", ORDERS, ids=lambda kind: kind.__name__)
def test_each_order_of_the_admin_child_arrives(order: Any) -> None:
    question = messages.Question(1, example(order))

    assert messages.FROM_ADMIN.parse(messages.said(question)) == question


@pytest.mark.parametrize(("vocabulary", "kind"), WORDS, ids=lambda x: getattr(x, "__name__", ""))
def test_message_is_refused_elsewhere_and_with_a_field_less_or_more_or_of_another_type(
    vocabulary: Vocabulary[Any], kind: Any
) -> None:
    said = messages.said(example(kind))
    wrong = [said | {"more": 1}]
    for name in said.keys() - {"is"}:
        wrong += [{key: value for key, value in said.items() if key != name}, said | {name: object}, said | {name: 1j}]
    for broken in wrong:
        with pytest.raises(messages.MessageError):
            vocabulary.parse(broken)
    for other in VOCABULARIES.values():
        if kind not in other.kinds.values():
            with pytest.raises(messages.MessageError, match=kind.__name__):
                other.parse(said)


@pytest.mark.parametrize(
    "broken",
    [
        {"is": "Hello", "pid": True},
        {"is": "Hello", "pid": 1.0},
        {"is": "Hello", "pid": 2**64},
        {"is": "Hello", "pid": None},
    ],
)
def test_a_number_is_a_number(broken: object) -> None:
    with pytest.raises(messages.MessageError, match=r"Hello\.pid"):
        messages.FROM_WORKER.parse(broken)


@given(JSON)
def test_whatever_else_is_json_is_refused(said: object) -> None:
    for vocabulary in VOCABULARIES.values():
        with pytest.raises(messages.MessageError):
            vocabulary.parse(said)


@given(st.sampled_from([kind for _, kind in WORDS]), st.data())
def test_a_known_word_with_anything_in_it_is_understood_or_refused(kind: Any, data: st.DataObject) -> None:
    known = [f.name for f in fields(kind)]
    said = {"is": kind.__name__} | {name: data.draw(JSON) for name in known}
    for vocabulary in VOCABULARIES.values():
        with contextlib.suppress(messages.MessageError):
            message = vocabulary.parse(said)
            assert records.plain(message, tag=True) == said


@pytest.mark.parametrize("line", [b"{", b"", b"\xff\xfe", b"[" * 200_000, b"9" * 5_000, b'"Hello"', b"{}", b"null"])
def test_line_that_is_no_message_is_refused_in_its_place_and_the_next_is_heard(line: bytes) -> None:
    ours, theirs = Channel.pair()
    ours.sock.setblocking(True)
    ours.sock.sendall(b'{"is":"Ready"}\n' + line + b'\n{"is":"Draining"}\n')
    first, refused, last = theirs.receive(messages.FROM_WORKER)

    assert (first, last) == (messages.Ready(), messages.Draining())
    assert isinstance(refused, Refused)
    assert len(refused.why) < 300
    assert not theirs.closed
    ours.close()
    theirs.close()


def test_layout_changes_with_a_field_its_type_and_the_kinds_that_may_stand_in_it() -> None:
    layout = messages.layout()

    assert layout["Hello from a worker"] == "{pid: int}"
    assert "Scale{pool: str, workers: int}" in layout["Question from the admin child"]
    assert json.loads(json.dumps(layout)) == layout


def test_message_without_an_end_closes_the_channel() -> None:
    ours, theirs = Channel.pair()
    refused: list[object] = []
    while not theirs.closed:
        ours.sock.send(b"0" * 65_536)
        refused += theirs.receive(messages.FROM_WORKER)

    assert len(refused) == 1
    assert isinstance(refused[0], Refused)
    ours.close()
    theirs.close()


def test_more_messages_than_there_can_be_close_the_channel() -> None:
    ours, theirs = Channel.pair()
    theirs.budget = 2
    for _ in range(2):
        ours.send(messages.Ready())
        assert theirs.receive(messages.FROM_WORKER) == [messages.Ready()]
    ours.send(messages.Ready())
    (refused,) = theirs.receive(messages.FROM_WORKER)

    assert isinstance(refused, Refused)
    assert theirs.closed
    ours.close()
    theirs.close()


def test_descriptors_that_nobody_expects_are_not_taken() -> None:
    ours, theirs = Channel.pair()
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(50):
        socket.send_fds(ours.sock, [b'{"is":"Ready"}\n'], [ours.fileno()] * 10)
    theirs.receive(messages.FROM_WORKER)

    assert theirs.fds == []
    assert len([*Path("/proc/self/fd").iterdir()]) == before
    ours.close()
    theirs.close()


def test_text_that_is_too_long_for_a_message_keeps_its_end() -> None:
    ours, theirs = Channel.pair()
    ours.send(messages.Failed("load", messages.cut("\U0001f600" * 10**6), messages.cut("x" * 10**6 + "the end")))
    heard: list[object] = []
    while not heard:
        ours.flush()
        heard += theirs.receive(messages.FROM_WORKER)

    assert isinstance(heard[0], messages.Failed)
    assert heard[0].traceback.endswith("the end")
    ours.close()
    theirs.close()
