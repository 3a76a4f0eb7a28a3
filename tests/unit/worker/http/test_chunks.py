"""The chunked coding on its own, against an encoder and against nonsense (hypothesis)."""

import contextlib
import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from forkful.worker.http.chunks import Chunks
from forkful.worker.http.fields import Refused
from tests.unit.worker.http.wire import Client, statuses

QUICK = settings(max_examples=60, deadline=None)


def encode(chunks: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@QUICK
@given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(0, 10_000)), st.binary(max_size=20))
def test_what_was_encoded_is_decoded_in_whatever_pieces(chunks: list[bytes], cuts: list[int], behind: bytes) -> None:
    decoder = Chunks()
    content, rest = b"", b""

    for piece in pieces(encode(chunks) + behind, cuts):
        if decoder.done:
            rest += piece
            continue
        found, left = decoder.feed(piece)
        content += b"".join(found)
        rest += left

    assert decoder.done
    assert content == b"".join(chunks)
    assert rest == behind


@QUICK
@given(st.binary(max_size=200) | st.from_regex(re.compile(rb"([0-9a-fA-F;= \r\n]{0,5}\r\n?a*){0,5}"), fullmatch=True))
def test_nonsense_is_refused_or_waits_but_never_breaks(data: bytes) -> None:
    decoder = Chunks()
    with contextlib.suppress(Refused):
        decoder.feed(data)


WORDS = [
    b"GET ", b"POST ", b"HEAD ", b"/", b"/a%20b?c=d", b"*", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r",
    b"\r\n\r\n",
    b"Host: a", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Connection: close", b"Expect: 100-continue",
    b"Upgrade: x", b"Connection: upgrade", b"3", b"0", b"abc", b": ", b" ", b"\t", b"\0", b"\xff", b"X-A: b", b";a=b",
]  # fmt: skip


@QUICK
@given(
    st.lists(st.sampled_from(WORDS) | st.binary(max_size=3), max_size=40), st.lists(st.integers(0, 10_000), max_size=8)
)
def test_words_of_http_in_any_order_end_the_same_way_in_whatever_pieces(words: list[bytes], cuts: list[int]) -> None:
    data = b"".join(words)
    whole, cut = Client(), Client()

    first = whole.say(data)
    second = cut.say(*pieces(data, cuts))

    assert statuses(first) == statuses(second)
    assert whole.transport.over is cut.transport.over
    assert whole.connection.phase == cut.connection.phase
