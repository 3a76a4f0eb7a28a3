"""Addresses and networks as numbers say what `ipaddress` says."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forkful.worker.net import networks
from forkful.worker.net.networks import Networks

ADDRESSES = st.ip_addresses()
TEXTS = (
    ADDRESSES.map(str)
    | ADDRESSES.map(lambda address: address.exploded.upper())
    | st.text(alphabet="0123456789abcdef:.%[] x\x00\xb2", max_size=20)
)


def known(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """What the standard library makes of it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@given(TEXTS)
@example("::1.2.3.4")
@example("::ffff:1.2.3.4")
@example("01.2.3.4")
@example("1.2.3.4 ")
@example("\ud800")
def test_an_address_is_read_as_the_standard_library_reads_it(text: str) -> None:
    if "%" in text:
        return  # callers cut zones off
    wanted = known(text)
    if wanted is None:
        with pytest.raises(ValueError, match="is not an address"):
            networks.read(text)
    else:
        assert networks.read(text) == (str(wanted), wanted.packed)


@given(
    st.lists(ADDRESSES.filter(lambda address: not getattr(address, "ipv4_mapped", None)), min_size=1, max_size=5),
    st.integers(0, 128),
    ADDRESSES,
    st.integers(0, 15),
)
def test_networks_hold_what_the_standard_library_says(
    of: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
    length: int,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
    bit: int,
) -> None:
    said = [ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False) for address in of]
    near = type(of[0])(int(of[0]) ^ 1 << bit)  # mostly in the first network, or just outside
    for asked in (other, near, of[0]):
        plain = getattr(asked, "ipv4_mapped", None) or asked
        _, packed = networks.read(str(asked))
        assert Networks(said).hold(packed) == any(plain in network for network in said)


def test_an_ipv4_network_may_be_written_as_ipv6_has_it() -> None:
    mapped = Networks([ipaddress.ip_network("::ffff:10.0.0.0/104")])

    assert mapped.hold(networks.read("10.1.2.3")[1])
    assert mapped.hold(networks.read("::ffff:10.1.2.3")[1])
    assert not mapped.hold(networks.read("11.1.2.3")[1])
    assert not Networks([])
