"""Addresses as operators write them."""

import pytest

from forkful.conf.address import Address, AddressError, Kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://127.0.0.1:7000", Address("tcp", host="127.0.0.1", port=7000)),
        ("udp://[::]:53", Address("udp", host="::", port=53)),
        ("tcp://*:0", Address("tcp", host="*", port=0)),
        ("unix:///run/app.sock", Address("unix", path="/run/app.sock")),
        ("unixgram:///run/app.sock", Address("unixgram", path="/run/app.sock")),
        ("fd://3", Address("fd", fd=3)),
        ("localhost:8000", Address("", host="localhost", port=8000)),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected
    assert str(expected) == text


def test_a_missing_host_is_every_interface() -> None:
    assert Address.parse(":8000") == Address("", host="*", port=8000)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("foo://x:1", "scheme"),
        ("unix://run/app.sock", "three slashes"),
        ("::1:80", "brackets"),
        ("tcp://x:65536", "at most 65535"),
        ("fd://three", "number"),
        ("unix:///" + "x" * 200, "107 bytes"),
        ("nonsense", "HOST:PORT"),
    ],
)
def test_what_is_no_address_is_told_what_would_be_right(text: str, word: str) -> None:
    with pytest.raises(AddressError, match=word):
        Address.parse(text)


def test_kind_is_known_from_the_scheme_and_left_open_where_it_does_not_say() -> None:
    assert Address.parse("unixgram:///x").kind is Kind.DATAGRAM
    assert Address.parse("http://x:1").kind is Kind.STREAM
    assert Address.parse(":1").kind is None
    assert Address.parse("fd://3").kind is None
