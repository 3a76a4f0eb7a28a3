"""Frames: what is read and made here says what the `websockets` library says, which is the judge."""

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from forkful.worker.http.asgi.frames import Frames, Said

LIMIT = 70_000
SIZES = (0, 1, 125, 126, 127, 4096, 65_535, 65_536, LIMIT)


def client(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def heard(pieces: Iterable[bytes], *, ours: bool) -> tuple[list[Said], bytes, tuple[int, str] | None]:
    """Messages, what is to be sent, and how it was closed; `ours`: what may be is read here."""
    frames, said, sent = Frames(LIMIT, []), list[Said](), b""
    for piece in pieces:
        if frames.closed is not None:
            break
        single = frames.single(piece) if ours else None
        if single is None:
            said += frames.feed(piece)
        else:
            said.append(single)
        sent += frames.out()[0]
    return said, sent, frames.closed


WRONG = {
    "not masked": Frame(Opcode.TEXT, b"hello").serialize(mask=False),
    "not masked and empty": b"\x82\x04abcd",
    "no UTF-8": client(Opcode.TEXT, b"\xff"),
    "too big": client(Opcode.BINARY, bytes(LIMIT + 1)),
    "reserved bits": b"\xc1" + client(Opcode.TEXT, b"hello")[1:],
    "no opcode": b"\x83" + client(Opcode.TEXT, b"hello")[1:],
    "a continuation of nothing": client(Opcode.CONT, b"hello"),
    "a length of 2 ** 64 - 1": b"\x82\xff" + b"\xff" * 12,
    "a goodbye": client(Opcode.CLOSE, b"\x03\xe8bye"),
}
PARTS = [
    [client(Opcode.TEXT, "grüß".encode())],
    [client(Opcode.PING, b"are you there")],
    [client(Opcode.PONG, b"")],
    [client(Opcode.TEXT, b"one ", fin=False), client(Opcode.CONT, b"and two")],
    [client(Opcode.BINARY, b"", fin=False), client(Opcode.PING, b""), client(Opcode.CONT, b"", fin=True)],
    [b"\x82\xfe\x00\x03" + bytes(4) + b"abc"],  # a length in more bytes than it needs
    *([client(Opcode.BINARY, bytes(size))] for size in SIZES),
]


@pytest.mark.parametrize("name", WRONG)
def test_a_frame_that_is_wrong_is_refused_as_the_library_refuses_it(name: str) -> None:
    for before in ([], [client(Opcode.TEXT, b"hello")]):
        pieces = [*before, WRONG[name], client(Opcode.TEXT, b"after")]

        assert heard(pieces, ours=True) == heard(pieces, ours=False)


def test_a_whole_message_within_another_is_refused_as_the_library_refuses_it() -> None:
    whole = client(Opcode.TEXT, b"whole")
    for first in (b"", b"begun"):
        pieces = [whole, client(Opcode.TEXT, first, fin=False), whole]

        assert heard(pieces, ours=True) == heard(pieces, ours=False)
        assert heard(pieces, ours=True)[2] is not None


@pytest.mark.parametrize("seed", range(40))
def test_a_conversation_cut_anywhere_is_what_the_library_makes_of_it(seed: int) -> None:
    some = random.Random(seed)
    frames = [frame for part in some.choices(PARTS, k=12) for frame in part]
    if seed % 2:
        frames.insert(some.randrange(len(frames)), some.choice(list(WRONG.values())))
    stream = b"".join(frames)
    ends = {sum(map(len, frames[: index + 1])) for index in range(len(frames))}
    cuts = sorted({0, len(stream), *some.sample(sorted(ends), len(ends) // 2), *some.choices(range(len(stream)), k=6)})
    pieces = [stream[begin:end] for begin, end in pairwise(cuts)]

    assert heard(pieces, ours=True) == heard(pieces, ours=False) == heard([stream], ours=False)


def test_what_looks_like_a_message_within_one_that_is_not_whole_is_part_of_that() -> None:
    inner = client(Opcode.TEXT, b"inner")
    outer = client(Opcode.BINARY, b"").replace(b"\x80", bytes([0x80 | len(inner)]), 1)[:2] + bytes(4) + inner

    assert heard([outer[:6], inner], ours=True) == ([inner], b"", None)


def test_a_message_that_has_come_alone_is_read_without_the_library() -> None:
    frames = Frames(LIMIT, [])
    for size in SIZES:
        assert frames.single(client(Opcode.BINARY, bytes(size))) == bytes(size)
    assert frames.single(client(Opcode.TEXT, b"hello")) == "hello"


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_sent_as_the_library_sends_it(size: int) -> None:
    for said in (bytes(size), "x" * size, "ü" * (size // 2), bytearray(size), memoryview(bytes(size))):
        frames = Frames(LIMIT, [])
        frames.message(said)  # type: ignore[arg-type]  # applications send what is like bytes

        assert frames.frame_of(said) == frames.out()[0]  # type: ignore[arg-type]  # as above


def test_with_compression_the_library_has_everything() -> None:
    frames = Frames(LIMIT, [PerMessageDeflate(False, False, 15, 15)])

    assert frames.single(client(Opcode.TEXT, b"hello")) is None
    assert frames.frame_of("hello") == b""
