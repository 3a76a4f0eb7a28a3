"""The bytes of PROXY headers: good ones beside somebody else's library, bad ones by what the specification says."""

import contextlib
import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as some
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6, ProxyResultUnix
from proxyprotocol.tlv import ProxyProtocolSSLTLV, ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from forkful.handlers.proxied import ProxyHeader
from forkful.worker.net import proxy_header
from forkful.worker.net.proxy_header import HEAD, MalformedError, Version, crc32c, line_ends, read_v1, version_of
from tests.kit import proxy_headers as made

BOTH = frozenset({Version.V1, Version.V2})
A, B = ("192.0.2.1", 4242), ("198.51.100.1", 443)
A6, B6 = ("2001:db8::1", 4242), ("2001:db8::2", 443)
GOOD_V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 4242 443\r\n"
GOOD_V2 = made.v2(made.TCP4, made.tcp4(A, B))
LONGEST = b"PROXY TCP6 " + b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff " * 2 + b"65535 65535\r\n"


def read(header: bytes) -> ProxyHeader:
    """As the step reads it, which knows where it ends."""
    return read_v2(header) if header.startswith(made.SIGNATURE) else read_line(header)


def read_v2(header: bytes) -> ProxyHeader:
    if len(header) < HEAD:
        raise MalformedError("cut off")
    return proxy_header.read_v2(header[:HEAD], header[HEAD:])


def read_line(line: bytes) -> ProxyHeader:
    if not line_ends(line):
        raise MalformedError("cut off")
    return read_v1(line)


@pytest.mark.parametrize(
    ("header", "source", "destination"),
    [
        (GOOD_V1, A, B),
        (b"PROXY TCP6 2001:DB8:0::1 2001:db8::2 4242 443\r\n", (*A6, 0, 0), (*B6, 0, 0)),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", ("0.0.0.0", 0), ("255.255.255.255", 65535)),
        (b"PROXY UNKNOWN\r\n", None, None),
        (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None, None),
        (GOOD_V2, A, B),
        (made.v2(made.TCP6, made.tcp6(A6, B6)), (*A6, 0, 0), (*B6, 0, 0)),
        (made.v2(made.TCP6, made.tcp6(("::ffff:192.0.2.1", 1), B6)), ("::ffff:192.0.2.1", 1, 0, 0), (*B6, 0, 0)),
        (made.v2(made.UNIX, made.unix(b"/run/a", b"\0b")), "/run/a", b"\0b"),
        (made.v2(made.UNIX, made.unix(b"", b"/" + b"x" * 107)), "", "/" + "x" * 107),
        (made.v2(0, b""), None, None),
        (made.v2(0, made.tlv(made.ALPN, b"h2")), None, None),
        (made.v2(made.TCP4, made.tcp4(A, B), command=made.LOCAL), None, None),
        (made.v2(0xFF, b"whatever it is", command=made.LOCAL), None, None),
        (made.with_crc(made.v2(made.TCP4, made.tcp4(A, B))), A, B),
        (made.with_crc(made.v2(0, b"")), None, None),
        (made.v2(made.TCP4, made.tcp4(A, B) + made.tlv(made.NOOP, bytes(65_000))), A, B),
    ],
)
def test_a_good_header_is_what_it_says(header: bytes, source: object, destination: object) -> None:
    got = read(header)

    assert (got.source, got.destination) == (source, destination)
    assert got.version == (2 if header.startswith(made.SIGNATURE) else 1)


BAD = {
    "v1 in small letters": b"proxy TCP4 192.0.2.1 198.51.100.1 4242 443\r\n",
    "v1 of datagrams": GOOD_V1.replace(b"TCP4", b"UDP4"),
    "v1 of another family": GOOD_V1.replace(b"TCP4", b"TCP6"),
    "v1 with two spaces": GOOD_V1.replace(b" 4242", b"  4242"),
    "v1 with a tab": GOOD_V1.replace(b" 4242", b"\t4242"),
    "v1 with one more word": GOOD_V1.replace(b"443", b"443 1"),
    "v1 with one word less": GOOD_V1.replace(b" 443", b""),
    "v1 with a space at its end": GOOD_V1.replace(b"443", b"443 "),
    "v1 with a sign": GOOD_V1.replace(b"443", b"+443"),
    "v1 with a negative port": GOOD_V1.replace(b"443", b"-443"),
    "v1 with a nought in front": GOOD_V1.replace(b"443", b"0443"),
    "v1 with an underscore": GOOD_V1.replace(b"4242", b"4_2"),
    "v1 with a large port": GOOD_V1.replace(b"443", b"65536"),
    "v1 with digits of another script": GOOD_V1.replace(b"443", "٤".encode()),
    "v1 with an octal address": GOOD_V1.replace(b"192.0.2.1", b"192.0.02.1"),
    "v1 with a short address": GOOD_V1.replace(b"192.0.2.1", b"192.2.1"),
    "v1 with a large address": GOOD_V1.replace(b"192.0.2.1", b"192.0.2.256"),
    "v1 with a name": GOOD_V1.replace(b"192.0.2.1", b"localhost"),
    "v1 with a zone": b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
    "v1 that is mapped in TCP4": GOOD_V1.replace(b"192.0.2.1", b"::ffff:192.0.2.1"),
    "v1 without a return": GOOD_V1.replace(b"\r", b""),
    "v1 with a NUL": GOOD_V1.replace(b"443", b"443\0"),
    "v1 that is unknown and more": b"PROXY UNKNOWNS\r\n",
    "v1 with nothing in it": b"PROXY \r\n",
    "v1 that is too long": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "v1 that never ends": b"PROXY UNKNOWN " + b"x" * 500,
    "v2 of version 1": made.v2(made.TCP4, made.tcp4(A, B), command=0x11),
    "v2 of version 3": made.v2(made.TCP4, made.tcp4(A, B), command=0x31),
    "v2 with command 2": made.v2(made.TCP4, made.tcp4(A, B), command=0x22),
    "v2 of TCP6 with addresses of TCP4": made.v2(made.TCP6, made.tcp4(A, B)),
    "v2 of Unix with addresses of TCP6": made.v2(made.UNIX, made.tcp6(A6, B6)),
    "v2 that says less than it has": made.v2(made.TCP4, made.tcp4(A, B), length=11),
    "v2 that says more than it has": made.v2(made.TCP4, made.tcp4(A, B), length=13),
    "v2 without addresses": made.v2(made.TCP4, b""),
    "v2 with half a TLV": made.v2(made.TCP4, made.tcp4(A, B) + b"\x01\x00"),
    "v2 with a TLV that is cut off": made.v2(made.TCP4, made.tcp4(A, B) + made.tlv(made.ALPN, b"h2")[:-1]),
    "v2 with a TLV longer than all": made.v2(made.TCP4, made.tcp4(A, B) + b"\x01\xff\xff"),
    "v2 with TLS that is cut off": made.v2(made.TCP4, made.tcp4(A, B) + made.tlv(made.SSL, bytes(4))),
    "v2 with TLS and a cut TLV": made.v2(made.TCP4, made.tcp4(A, B) + made.tlv(made.SSL, bytes(5) + b"\x21\0\5")),
    "v2 with a wrong checksum": made.with_crc(GOOD_V2, checksum=0),
    "v2 with a short checksum": made.v2(made.TCP4, made.tcp4(A, B) + made.tlv(made.CRC32C, bytes(3))),
}  # fmt: skip
BAD |= {
    f"v2 with family and transport {kind:#04x}": made.v2(kind, made.unix(b"/a", b"/b"))
    for kind in set(range(256)) - {0, made.TCP4, made.TCP6, made.UNIX}
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_header_is_none(name: str) -> None:
    with pytest.raises(MalformedError) as told:
        read(BAD[name])
    assert len(str(told.value)) < 500


@pytest.mark.parametrize("header", [GOOD_V1, LONGEST, GOOD_V2, made.with_crc(GOOD_V2)])
def test_a_header_that_is_cut_off_is_none_wherever_that_is(header: bytes) -> None:
    assert read(header)
    for end in range(len(header)):
        with pytest.raises(MalformedError):
            read(header[:end])


def test_a_bit_that_turned_over_is_seen_by_the_checksum() -> None:
    header = made.with_crc(made.v2(made.TCP4, made.tcp4(A, B) + made.tlv(made.AUTHORITY, b"example.org")))
    for at in range(HEAD, len(header)):
        for bit in range(8):
            turned = bytearray(header)
            turned[at] ^= 1 << bit
            try:
                got = read(bytes(turned))
            except MalformedError:
                continue
            assert all(kind == made.CRC32C ^ 1 << bit for kind, _ in got.tlvs[1:]), "the checksum was none any more"


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of all lists of such sums
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


@pytest.mark.parametrize(
    ("opening", "version"),
    [
        (b"", Version.PART),
        (b"P", Version.PART),
        (b"PROXY", Version.PART),
        (b"PROXY ", Version.V1),
        (b"PROXY TCP4", Version.V1),
        (b"POST / HTTP/", Version.NONE),
        (b"PROXYING", Version.NONE),
        (b"\r", Version.PART),
        (b"\r\n\r\n\0\r\nQUIT", Version.PART),
        (b"\r\n\r\nGET / HTT", Version.NONE),
        (made.SIGNATURE, Version.V2),
        (b"x", Version.NONE),
    ],
)
def test_the_first_bytes_tell_as_soon_as_they_can(opening: bytes, version: Version) -> None:
    assert version_of(opening, BOTH) is version


# -- beside proxy-protocol, from PyPI ----------------------------------------------------------------------------------

ports = some.integers(0, 65_535)
v4, v6 = some.ip_addresses(v=4).map(str), some.ip_addresses(v=6).map(str)
texts = some.text(some.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40)
tls = some.builds(
    ProxyProtocolSSLTLV,
    has_ssl=some.booleans(),
    has_cert_conn=some.booleans(),
    verified=some.one_of(some.none(), some.booleans()),
    version=texts,
    cn=texts,
    cipher=texts,
)
extras = some.builds(
    ProxyProtocolTLV,
    alpn=some.binary(max_size=20),
    authority=texts,
    unique_id=some.binary(max_size=128),
    netns=texts,
    ssl=tls,
)
pairs = some.one_of(some.tuples(v4, v4), some.tuples(v6, v6))


@given(pairs, ports, ports)
def test_version_1_is_read_as_the_library_writes_it(hosts: tuple[str, str], one: int, two: int) -> None:
    source, destination = ((ip_address(host), port) for host, port in zip(hosts, (one, two), strict=True))
    result = (ProxyResultIPv4 if source[0].version == 4 else ProxyResultIPv6)(source, destination)  # type: ignore[arg-type]  # of one family
    got = read(ProxyProtocolV1().pack(result))

    assert (ip_address(got.source[0]), got.source[1]) == source
    assert (ip_address(got.destination[0]), got.destination[1]) == destination


@given(pairs, ports, ports, extras)
def test_version_2_is_read_as_the_library_writes_it(
    hosts: tuple[str, str], one: int, two: int, tlv: ProxyProtocolTLV
) -> None:
    source, destination = ((ip_address(host), port) for host, port in zip(hosts, (one, two), strict=True))
    kind = ProxyResultIPv4 if source[0].version == 4 else ProxyResultIPv6
    got = read(ProxyProtocolV2().pack(kind(source, destination, protocol=socket.SOCK_STREAM, tlv=tlv)))  # type: ignore[arg-type]  # of one family

    assert (ip_address(got.source[0]), got.source[1]) == source
    assert (ip_address(got.destination[0]), got.destination[1]) == destination
    assert (got.alpn, got.authority) == (tlv.alpn or b"", tlv.authority or "")
    assert (got.unique_id, got.netns) == (tlv.unique_id, tlv.netns or "")
    assert got.is_tls == bool(tlv.ssl.has_ssl)
    if got.ssl is not None:
        said = tlv.ssl
        assert (got.ssl.version, got.ssl.cn, got.ssl.cipher) == (
            said.version or "", said.cn or "", said.cipher or "",
        )  # fmt: skip


@given(some.text("abc/.", max_size=107), some.text("abc/.", max_size=107))
def test_unix_addresses_are_read_as_the_library_writes_them(one: str, two: str) -> None:
    got = read(ProxyProtocolV2().pack(ProxyResultUnix(one, two, protocol=socket.SOCK_STREAM)))

    assert (got.source, got.destination) == (one, two)


STARTS = (b"", b"PROXY ", b"PROXY TCP4 ", GOOD_V2[:12], GOOD_V2[:14], GOOD_V2)


@given(some.binary(max_size=300), some.sampled_from(STARTS))
def test_whatever_comes_is_a_header_or_malformed(data: bytes, start: bytes) -> None:
    with contextlib.suppress(MalformedError):
        read(start + data)
